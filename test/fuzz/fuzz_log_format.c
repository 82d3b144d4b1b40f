/* Fuzz target of access logs. Bytes up to the first NUL are a format, and a match in CEL, the rest
 * whatever a client wrote. Beyond not crashing: an error names a place inside the text; a line
 * holds no byte that the format did not bring and that could end it or a quoted value, and is no
 * longer than one may be; a match that was accepted answers the same again and again, and never as
 * its negation does. */
#include "base/assert.h"
#include "base/limits.h"
#include "gateway/account/log_match.h"
#include "telemetry/log_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct str find_header(const void *context, struct str name)
{
    return name.len > 0 && !str_eq(name, STR("x-none")) ? *(const struct str *)context : STR_NULL;
}

static uint64_t bytes_of(const void *context, enum access_headers which)
{
    return ((const struct str *)context)->len + (uint64_t)which;
}

/* All of it is `value`: a client's certificate too. */
static struct access_record record_of(const struct str *value, const struct access_peer *peer)
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
        .details = *value,
        .flags = *value,
        .server_name = *value,
        .upstream_host = *value,
        .upstream_failure = *value,
        .tls_cipher = *value,
        .model_served = *value,
        .peer = peer,
        .points_us = {0, 5, ACCESS_NEVER, 4},
        .headers_bytes = bytes_of,
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
    return line.len > 0 && line.len <= LIMIT_LOG_LINE_BYTES && line.ptr[line.len - 1] == '\n';
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

static void check_match(struct arena *a, struct str text, const struct cel_expr *match,
                        const struct access_record *r)
{
    const struct cel_expr *opposite;
    struct cel_error error;
    bool holds = log_match_any(&match, 1, r, a);

    ASSERT(log_match_any(&match, 1, r, a) == holds);
    if (log_match_parse(a, arena_printf(a, "!(%.*s\n)", STR_ARG(text)), &opposite, &error) == 0)
        ASSERT(!(holds && log_match_any(&opposite, 1, r, a)));
}

static void play_match(struct str text, const struct access_record *r)
{
    const struct cel_expr *match = NULL;
    struct cel_error error;
    struct arena a;
    int code;

    arena_init(&a, 65536);
    code = log_match_parse(&a, text, &match, &error);
    ASSERT(code == 0 || (code == CEL_INVALID && error.offset <= text.len && error.text.len > 0));
    if (code == 0)
        check_match(&a, text, match, r);
    arena_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str all = str_make(bytes, size);
    ssize_t nul = str_find_char(all, '\0', 0);
    struct str format = str_slice(all, 0, nul < 0 ? size : (size_t)nul);
    struct str value = nul < 0 ? STR_NULL : str_slice(all, (size_t)nul + 1, size);
    const struct access_peer peer = {value, value, value, &value, &value, &value, 1, 1, 1};
    struct access_record r = record_of(&value, &peer);
    struct buf out = {0};

    play_text(format, &r);
    play_json(format, &r);
    play_match(format, &r);
    log_format_line(log_format_default(), &r, &out);
    ASSERT(is_harmless(buf_str(&out)));
    buf_deinit(&out);
    return 0;
}
