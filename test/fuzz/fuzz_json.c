/* Fuzz target of JSON bodies. Four bytes draw the splits, the endpoint and the edit; the rest is
 * the text. Beyond not crashing: verdict and hits are the same whole and split, with each twin of
 * json_skip; what is accepted is what jansson accepts, but for the differences named below; a body
 * that an endpoint takes is still good when edited, and says then what the edit says. */
/* jansson's type names are ours too. */
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY  JANSSON_ARRAY
#define JSON_STRING JANSSON_STRING
#define JSON_TRUE   JANSSON_TRUE
#define JSON_FALSE  JANSSON_FALSE
#define JSON_NULL   JANSSON_NULL
#include <jansson.h>
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL

#include <stdlib.h>

#include "base/assert.h"
#include "llm/body_edit.h"
#include "llm/json/json_skip.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

JSON_PATHS(paths, {"", true}, {"model", true}, {"a", true}, {"a.*", false}, {"a.*.b", true},
           {"a.{*}", true}, {"a.b", false}, {"u.n", false}, {"u", true}, {"n", true})

struct draw {
    uint32_t state;
};

static uint32_t draw(struct draw *d, uint32_t bound)
{
    d->state = d->state * 1664525u + 1013904223u;
    return (d->state >> 8) % bound;
}

static void note(void *context, const struct json_hit *hit)
{
    struct buf *out = context;

    ASSERT(hit->text.len <= JSON_TEXT_BYTES && hit->begin < hit->end);
    ASSERT(hit->is_cut || hit->text.len == 0 || hit->text.len == hit->n_bytes);
    buf_printf(out, "%u %d %llu %llu %llu %llu %d%d%d %lld '%.*s'\n", hit->path, (int)hit->type,
               (unsigned long long)hit->begin, (unsigned long long)hit->end,
               (unsigned long long)hit->n_items, (unsigned long long)hit->n_bytes, hit->is_cut,
               hit->has_half_pair, hit->is_integer, (long long)hit->integer, STR_ARG(hit->text));
}

/* Each span in memory of its own, so that a sanitizer sees a read past its end. `d` NULL: whole. */
static int scan(const struct json_paths *table, struct str text, struct draw *d, struct buf *out)
{
    struct json_scan s;
    size_t widest = d ? 1 + draw(d, 100) : text.len;

    buf_clear(out);
    json_scan_init(&s, table, note, out);
    for (size_t at = 0; at < text.len;) {
        size_t n = d ? draw(d, (uint32_t)widest + 1) : text.len;
        struct str part = str_slice(text, at, at + n);
        char *copy = malloc(part.len + 1);

        ASSERT(copy);
        memcpy(copy + 1, part.ptr, part.len);
        int r = json_scan_feed(&s, str_make(copy + 1, part.len));

        free(copy);
        at += n;
        ASSERT(r == 0 || json_scan_feed(&s, STR("x")) == r);
    }
    int r = json_scan_end(&s);

    ASSERT(json_scan_is_complete(&s) == (r == 0));
    buf_append_str(out, json_scan_error_path(&s));
    return r;
}

static void play_twins(struct str text, struct draw *d)
{
    struct buf want = {0};
    struct buf got = {0};
    int r = scan(&paths, text, NULL, &want);

    for (unsigned i = 0; json_skip_usable[i]; i++) {
        json_skip = json_skip_usable[i];
        ASSERT(scan(&paths, text, NULL, &got) == r);
        ASSERT(str_eq(buf_str(&got), buf_str(&want)));
        ASSERT(scan(&paths, text, d, &got) == r);
        ASSERT(str_eq(buf_str(&got), buf_str(&want)));
    }
    json_skip = json_skip_usable[0];
    buf_deinit(&want);
    buf_deinit(&got);
}

/* jansson refuses three things that RFC 8259 allows: numbers that its types cannot hold, a NUL in a
 * key, half a surrogate pair. It goes deeper than we do, and takes a NUL byte behind the document
 * for its end. */
static bool may_differ(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);

    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
           strncmp(error->text, "invalid Unicode", 15) == 0;
}

JSON_PATHS(no_paths, {"-", false})

static void play_jansson(struct str text)
{
    struct buf out = {0};
    json_error_t error;
    json_t *value = json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    int r = scan(&no_paths, text, NULL, &out);

    if (value)
        ASSERT(r == 0 || r == JSON_TOO_DEEP || r == JSON_ESCAPED_KEY || r == JSON_DUPLICATE_KEY ||
               str_find_char(text, '\0', 0) >= 0);
    else
        ASSERT(r != 0 || may_differ(&error));
    json_decref(value);
    buf_deinit(&out);
}

static int read_request(struct request_scan *s, enum ai_endpoint endpoint, struct str text,
                        struct draw *d)
{
    request_scan_init(s, endpoint);
    for (size_t at = 0; at < text.len;) {
        size_t n = d ? 1 + draw(d, 50) : text.len;

        if (request_scan_feed(s, str_slice(text, at, at + n)) != 0)
            break;
        at += n;
    }
    return request_scan_end(s);
}

static void play_edit(const struct request_scan *s, struct str text, struct draw *d)
{
    static const struct body_field set[] = {{STR("x"), STR("[1]")}, {STR("a"), STR("\"\\n\"")}};
    static const struct str remove[] = {STR("n"), STR("messages"), STR("stream_options")};
    struct body_edit how = {.model = draw(d, 2) ? STR("other\"model") : STR_NULL,
                            .asks_usage = draw(d, 2),
                            .set = set,
                            .n_set = draw(d, 3),
                            .remove = remove,
                            .n_remove = draw(d, 4)};
    static struct request_scan after;
    struct buf out = {0};

    body_edit_apply(&how, s, text, &out);
    ASSERT(read_request(&after, AI_ENDPOINT_NONE, buf_str(&out), NULL) == 0);
    const struct request_value *model = request_scan_value(&after, REQUEST_FIELD_MODEL);

    if (how.model.ptr && model->is_present)
        ASSERT(
            str_eq(str_slice(buf_str(&out), model->begin, model->end), STR("\"other\\\"model\"")));
    if (how.n_remove > 0)
        ASSERT(!request_scan_value(&after, REQUEST_FIELD_N)->is_present);
    if (how.asks_usage && how.n_remove < 3)
        ASSERT(request_scan_has_include_usage(&after));
    if (!how.model.ptr && !how.asks_usage && how.n_set + how.n_remove == 0)
        ASSERT(str_eq(buf_str(&out), text));
    buf_deinit(&out);
}

static void play_request(struct str text, struct draw *d)
{
    static struct request_scan whole;
    static struct request_scan split;
    enum ai_endpoint endpoint = (enum ai_endpoint)draw(d, AI_ENDPOINT_COUNT_);
    int r = read_request(&whole, endpoint, text, NULL);

    ASSERT(read_request(&split, endpoint, text, d) == r);
    ASSERT(str_eq(request_scan_param(&whole), request_scan_param(&split)));
    ASSERT(str_eq(request_scan_model(&whole), request_scan_model(&split)));
    ASSERT(request_scan_n_rows(&whole) >= 1 && request_scan_n_answers(&whole) >= 1);
    if (r == 0)
        play_edit(&whole, text, d);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct draw d;

    if (size < sizeof d.state)
        return 0;
    memcpy(&d.state, bytes, sizeof d.state);
    struct str text = str_make(bytes + sizeof d.state, size - sizeof d.state);

    play_twins(text, &d);
    play_jansson(text);
    for (int i = 0; i < 4; i++)
        play_request(text, &d);
    return 0;
}
