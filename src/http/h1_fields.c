/* What the codec's own fields mean: Connection (RFC 9110 7.6.1), Content-Length and
 * Transfer-Encoding (RFC 9112 6), trailers (RFC 9110 6.5.1). Every doubt is an error: two readers
 * of one message must never disagree about where it ends. Worker-local, owns nothing. */
#include "base/limits.h"
#include "http/grammar.h"
#include "http/h1_internal.h"
#include "http/h1_spelling.h"

#define CONNECTION_NAMES 8 /* a client that names more is probing */

static const struct str untouchable_names[] = {
    {"host", 4},
    {"content-length", 14},
    {"transfer-encoding", 17},
    {"content-type", 12},
    {"content-encoding", 16},
    {"authorization", 13},
    {"proxy-authorization", 19},
    {"cookie", 6},
    {"expect", 6},
    {"forwarded", 9},
    {"via", 3},
    {"origin", 6},
    {"x-request-id", 12},
    {"x-real-ip", 9},
    {"x-model", 7},
};

/* Headers that no client may have removed by naming them in Connection: framing, credentials,
 * and those that say who the client is. */
static bool h1_is_untouchable(struct str name)
{
    for (size_t i = 0; i < N_ELEMENTS(untouchable_names); i++) {
        if (str_eq(untouchable_names[i], name))
            return true;
    }
    return str_starts_with(name, STR("x-forwarded-")) || str_starts_with(name, STR("x-ai-eg-"));
}

int h1_connection_apply(struct h1 *c, struct h1_fields *f)
{
    struct str rest = f->connection;
    struct str option;
    unsigned n = 0;

    while (grammar_list_next(&rest, &option)) {
        if (++n > CONNECTION_NAMES || !grammar_is_token(option))
            return h1_fail(c, H1_ERROR_BAD_CONNECTION);
        if (str_eq(option, STR("close")))
            f->is_close = true;
        else if (str_eq(option, STR("keep-alive")))
            f->is_keep_alive = true;
        else if (str_eq(option, STR("upgrade")))
            f->is_upgrade = true;
        else if (!c->options.is_client && h1_is_untouchable(option))
            return h1_fail(c, H1_ERROR_BAD_CONNECTION);
        else
            http_headers_remove(f->headers, option);
    }
    return 0;
}

int h1_framing_parse(struct h1 *c, const struct h1_fields *f, unsigned minor_version,
                     enum http_body *ret_body, uint64_t *ret_content_length)
{
    *ret_body = HTTP_BODY_NONE;
    if (f->n_transfer_encoding > 0) {
        if (f->n_transfer_encoding > 1 || f->n_content_length > 0 || minor_version == 0 ||
            !str_eq_nocase(f->transfer_encoding, STR("chunked")))
            return h1_fail(c, H1_ERROR_BAD_TRANSFER_ENCODING);
        *ret_body = HTTP_BODY_CHUNKED;
    } else if (f->n_content_length > 0) {
        if (f->n_content_length > 1 || f->content_length.len == 0 ||
            !str_to_u64(f->content_length, ret_content_length) || *ret_content_length > INT64_MAX)
            return h1_fail(c, H1_ERROR_BAD_CONTENT_LENGTH);
        *ret_body = HTTP_BODY_LENGTH;
    }
    return 0;
}

int h1_trailers_parse(struct h1 *c, struct str section, struct arena *arena,
                      struct http_headers *ret_trailers)
{
    struct h1_fields f = {.headers = ret_trailers};
    unsigned n_kept = 0;

    http_headers_init(ret_trailers, arena);
    f.cursor = arena_bytes(arena, section.len);
    f.end = f.cursor + section.len;
    memcpy(f.cursor, section.ptr, section.len);
    if (h1_fields_parse(c, &f))
        return h1_fail(c, H1_ERROR_BAD_TRAILER);
    for (unsigned i = 0; i < ret_trailers->n; i++) {
        if (!header_is_forbidden_trailer(ret_trailers->items[i].id, ret_trailers->items[i].name))
            ret_trailers->items[n_kept++] = ret_trailers->items[i];
    }
    ret_trailers->n = (uint16_t)n_kept;
    if (UNLIKELY(c->options.keeps_case))
        ret_trailers->spelling = h1_spelling_read(section, false, arena);
    return 0;
}
