/* Fuzz target of access logs. Bytes up to the first NUL are a format, the rest a header's value.
 * Beyond not crashing: an error names a column inside the format; a line holds no byte that the
 * format did not bring and that could end it or a quoted value. */
#include "base/assert.h"
#include "base/limits.h"
#include "telemetry/log_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct str find_header(const void *context, struct str name)
{
    return name.len > 0 ? *(const struct str *)context : STR_NULL;
}

static struct access_record record_of(const struct str *value)
{
    return (struct access_record){
        .start_wall_us = 1767323045678901,
        .method = *value,
        .path = *value,
        .query = *value,
        .original_path = *value,
        .status = 200,
        .remote = *value,
        .remote_ip = *value,
        .user_agent = *value,
        .has_upstream = true,
        .tokens_in = LOG_TOKENS_UNKNOWN,
        .context = value,
        .request_header = find_header,
        .response_header = find_header,
        .response_trailer = find_header,
    };
}

static bool is_harmless(struct str line)
{
    for (size_t i = 0; i + 1 < line.len; i++) {
        if ((unsigned char)line.ptr[i] < 0x20 || line.ptr[i] == 0x7f)
            return false;
    }
    return line.len > 0 && line.ptr[line.len - 1] == '\n';
}

static void play_text(struct str format, const struct access_record *r)
{
    struct arena a;
    struct buf out = {0};
    const struct log_format *f;
    struct log_format_error error;

    arena_init(&a, 4096);
    if (log_format_new_text(&a, format, &f, &error) != 0) {
        ASSERT(error.column <= format.len && error.text[0] != '\0');
    } else {
        log_format_line(f, r, &out);
        ASSERT(out.len > 0 && out.ptr[out.len - 1] == '\n');
    }
    buf_deinit(&out);
    arena_deinit(&a);
}

static void play_json(struct str format, const struct access_record *r)
{
    struct str names[2] = {format, STR("b")};
    struct str values[2] = {STR("%REQ(X-A)% %REQ(:PATH)%"), format};
    struct arena a;
    struct buf out = {0};
    const struct log_format *f;
    struct log_format_error error;

    arena_init(&a, 4096);
    if (log_format_new_json(&a, names, values, 2, &f, &error) == 0) {
        log_format_line(f, r, &out);
        ASSERT(is_harmless(buf_str(&out))); /* the format's own bytes are escaped too */
    }
    buf_deinit(&out);
    arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str all = str_make(bytes, size);
    ssize_t nul = str_find_char(all, '\0', 0);
    struct str format = str_slice(all, 0, nul < 0 ? size : (size_t)nul);
    struct str value = nul < 0 ? STR_NULL : str_slice(all, (size_t)nul + 1, size);
    struct access_record r = record_of(&value);
    struct buf out = {0};

    play_text(format, &r);
    play_json(format, &r);
    log_format_line(log_format_default(), &r, &out);
    ASSERT(is_harmless(buf_str(&out)));
    buf_deinit(&out);
    return 0;
}
