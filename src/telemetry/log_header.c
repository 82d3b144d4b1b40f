/* Headers of a record. Those that the record holds itself (path, authority, user agent, request id)
 * are read there; others are asked of the owner of the headers. Owner: nothing; texts borrow from
 * the record, or lie in the caller's scratch. Credentials come out as "redacted". */
#include "telemetry/log_header.h"

#include "base/buf.h"
#include "telemetry/log_redact.h"

#define FIELD(member) (offsetof(struct access_record, member) + 1)

static const struct {
    const char *name;
    size_t field;
} log_header_fields[] = {
    {":method", FIELD(method)},          {":path", FIELD(path)}, /* with the query: see log_path */
    {":authority", FIELD(authority)},    {"host", FIELD(authority)},
    {"user-agent", FIELD(user_agent)},   {"x-forwarded-for", FIELD(forwarded_for)},
    {"x-request-id", FIELD(request_id)}, {"x-envoy-original-path", FIELD(original_path)},
};

static bool log_is_url(struct str name)
{
    static const char *const names[] = {"referer", "location", "content-location", "x-original-uri",
                                        "x-original-url"};

    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        if (str_eq(name, str_of(names[i])))
            return true;
    }
    return false;
}

struct log_header log_header_of(struct str name)
{
    struct log_header h = {
        .name = name, .is_secret = log_redact_is_secret_name(name), .is_url = log_is_url(name)};

    for (size_t i = 0; i < N_ELEMENTS(log_header_fields); i++) {
        if (str_eq(name, str_of(log_header_fields[i].name)))
            h.field = log_header_fields[i].field;
    }
    return h;
}

static bool log_header_is_target(const struct log_header *h)
{
    return h->field == FIELD(path) || h->field == FIELD(original_path);
}

bool log_header_is_field(const struct log_header *h)
{
    return h->field > 0 && !log_header_is_target(h) && !h->is_secret;
}

static const struct str *log_field(const struct access_record *r, size_t field)
{
    return (const struct str *)(const void *)((const char *)r + field - 1);
}

/* The routed path with its query, as the backend sees it. */
static struct str log_path(const struct access_record *r, char scratch[LOG_SCRATCH_BYTES])
{
    size_t n = MIN(r->path.len, (size_t)LOG_SCRATCH_BYTES / 2);
    size_t n_query = MIN(r->query.len, LOG_SCRATCH_BYTES - n - 1);

    if (r->query.len == 0)
        return r->path;
    memcpy(scratch, r->path.ptr, n);
    scratch[n] = '?';
    memcpy(scratch + n + 1, r->query.ptr, n_query);
    return str_make(scratch, n + 1 + n_query);
}

static struct str log_target(const struct log_header *h, const struct access_record *r,
                             char scratch[LOG_SCRATCH_BYTES])
{
    char whole[LOG_SCRATCH_BYTES];
    struct str text = h->field == FIELD(path) ? log_path(r, whole) : *log_field(r, h->field);
    struct str clean = log_redact_target(text, scratch, LOG_SCRATCH_BYTES);

    if (clean.ptr == whole) {
        memcpy(scratch, whole, clean.len);
        clean.ptr = scratch;
    }
    return clean;
}

struct str log_known_header(struct str name, const struct access_record *r)
{
    if (str_eq(name, STR("x-model")) || str_eq(name, STR("x-ai-eg-model")))
        return r->model;
    if (str_eq(name, STR("x-jwt-sub")))
        return r->subject;
    if (str_eq(name, STR(":scheme")) && r->method.len > 0)
        return r->tls_version.len > 0 ? STR("https") : STR("http");
    return str_eq(name, STR("x-tenant")) ? r->tenant : STR_NULL;
}

/* What stands behind a `#` is for the client alone, tokens of some logins among it. */
static struct str log_clean_url(struct str url, char scratch[LOG_SCRATCH_BYTES])
{
    ssize_t hash = str_find_char(url, '#', 0);

    return log_redact_target(hash < 0 ? url : str_slice(url, 0, (size_t)hash), scratch,
                             LOG_SCRATCH_BYTES);
}

static struct str log_clean_header(const struct log_header *h, struct str text,
                                   char scratch[LOG_SCRATCH_BYTES])
{
    if (UNLIKELY(h->is_url))
        return log_clean_url(text, scratch);
    if (text.len > 0 && (h->is_secret || UNLIKELY(log_redact_has_token(text))))
        return STR("redacted");
    return text;
}

struct str log_request_header(const struct log_header *h, const struct access_record *r,
                              char scratch[LOG_SCRATCH_BYTES])
{
    struct str text = STR_NULL;

    if (h->name.len == 0)
        return text;
    if (log_header_is_target(h))
        return log_target(h, r, scratch);
    if (h->field > 0)
        return log_clean_header(h, *log_field(r, h->field), scratch);
    if (r->request_header)
        text = r->request_header(r->context, h->name);
    if (text.len == 0)
        text = log_known_header(h->name, r);
    return log_clean_header(h, text, scratch);
}

struct str log_response_header(const struct log_header *h, const struct access_record *r,
                               bool is_trailer, char scratch[LOG_SCRATCH_BYTES])
{
    struct str (*find)(const void *, struct str) =
        is_trailer ? r->response_trailer : r->response_header;
    struct str text = find && h->name.len > 0 ? find(r->context, h->name) : STR_NULL;

    if (text.len == 0 && !is_trailer && r->has_upstream &&
        str_eq(h->name, STR("x-envoy-upstream-service-time"))) {
        struct buf digits = {scratch, 0, LOG_SCRATCH_BYTES};

        buf_append_u64(&digits, r->upstream_us / 1000);
        text = buf_str(&digits);
    }
    return log_clean_header(h, text, scratch);
}

/* ---- the query ---- */

struct str log_query_parameter(struct str name, const struct access_record *r)
{
    struct str query = r->original_path;
    ssize_t mark = str_find_char(query, '?', 0);
    struct str part;

    query = mark < 0 ? STR_NULL : str_slice(query, (size_t)mark + 1, query.len);
    while (str_split(&query, '&', &part)) {
        ssize_t equals = str_find_char(part, '=', 0);
        struct str key = str_slice(part, 0, equals < 0 ? part.len : (size_t)equals);

        if (!str_eq(key, name))
            continue;
        if (log_redact_is_secret_parameter(name))
            return STR("redacted");
        return log_clean_text(equals < 0 ? STR("") : str_slice(part, key.len + 1, part.len));
    }
    return STR_NULL;
}

struct str log_clean_text(struct str text)
{
    return UNLIKELY(log_redact_has_token(text)) ? STR("redacted") : text;
}
