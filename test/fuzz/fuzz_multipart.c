/* Fuzz target of form data: the first line is the Content-Type, the rest is the body. Whole, byte
 * by byte and in pieces of changing size it gives the same verdict and values; a complete form has
 * a model that can be replaced, and reads back. */
#include "base/assert.h"
#include "llm/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Pieces of `n` bytes; 0: of 1, 2, 3 ... */
static int read_form(struct multipart *m, struct str type, struct str body, size_t n)
{
    int code = multipart_init(m, type);

    for (size_t at = 0, piece = n ? n : 1; at < body.len; at += piece, piece += n ? 0 : 1) {
        if (code == 0)
            code = multipart_feed(m, str_slice(body, at, at + piece));
    }
    return code == 0 ? multipart_finish(m) : code;
}

static void compare(const struct multipart *a, const struct multipart *b)
{
    ASSERT(str_eq(multipart_model(a), multipart_model(b)));
    ASSERT(str_eq(multipart_format(a), multipart_format(b)));
    ASSERT(multipart_is_stream(a) == multipart_is_stream(b));
    ASSERT(a->condition == b->condition);
}

static void replace(const struct multipart *m, struct str type, struct str body)
{
    struct multipart again;
    struct str out;
    struct arena a;

    arena_init(&a, 65536);
    int code = multipart_replace_model(m, body, STR("another/model:1"), &a, &out);

    ASSERT(code == 0);
    code = read_form(&again, type, out, out.len + 1);
    ASSERT(code == 0);
    ASSERT(str_eq(multipart_model(&again), STR("another/model:1")));
    ASSERT(again.model_offset == m->model_offset);
    arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str all = str_make(bytes, size);
    ssize_t line = str_find_char(all, '\n', 0);
    struct multipart whole;
    struct multipart cut;

    if (line < 0)
        return 0;
    struct str type = str_slice(all, 0, (size_t)line);
    struct str body = str_slice(all, (size_t)line + 1, size);
    int code = read_form(&whole, type, body, body.len + 1);

    ASSERT(code >= 0 && code <= MULTIPART_NO_MODEL);
    for (size_t n = 0; n < 8; n++) {
        int again = read_form(&cut, type, body, n);

        ASSERT(again == code);
        compare(&whole, &cut);
    }
    ASSERT(code != 0 || multipart_has_model(&whole));
    if (code == 0)
        replace(&whole, type, body);
    return 0;
}
