/* Reading one operator's value from a record. Header operators of what the record already holds
 * (path, authority, user agent, request id) read the field; others ask the owner of the headers.
 * Credentials come out as "redacted". */
#include "telemetry/log_operator.h"

#include <stdio.h>
#include <time.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "telemetry/log_redact.h"

const struct log_operator_row log_operator_rows[LOG_OP_COUNT_] = {
#define X(id, argument, may_cut, text)                                                             \
    [LOG_OP_##id] = {{#id, sizeof #id - 1}, LOG_##argument##_ARGUMENT, may_cut, text},
    LOG_OPERATORS(X)
#undef X
};

/* ---- compilation ---- */

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

struct log_header log_header_of(struct str name)
{
    struct log_header h = {.name = name, .is_secret = log_redact_is_secret_name(name)};

    for (size_t i = 0; i < N_ELEMENTS(log_header_fields); i++) {
        if (str_eq(name, str_of(log_header_fields[i].name)))
            h.field = log_header_fields[i].field;
    }
    return h;
}

static const struct log_metadata log_metadata_rows[] = {
    {"tollgate:tenant", offsetof(struct access_record, tenant), true, 0},
    {"tollgate:jwt_sub", offsetof(struct access_record, subject), true, 0},
    {"tollgate:model", offsetof(struct access_record, model), true, 0},
    {"tollgate:model_served", offsetof(struct access_record, model_served), true, 0},
    {"tollgate:ai_service", offsetof(struct access_record, ai_service), true, 0},
    {"tollgate:tokens_in", offsetof(struct access_record, tokens_in), false, 0},
    {"tollgate:tokens_cached", offsetof(struct access_record, tokens_cached), false, 0},
    {"tollgate:tokens_out", offsetof(struct access_record, tokens_out), false, 0},
    {"tollgate:tokens_reasoning", offsetof(struct access_record, tokens_reasoning), false, 0},
    {"tollgate:tokens_total", offsetof(struct access_record, tokens_total), false, 0},
    {"tollgate:tokens_source", offsetof(struct access_record, tokens_source), true, 0},
    {"tollgate:first_token_ms", offsetof(struct access_record, first_token_us), false, 1000},
};

const struct log_metadata *log_metadata_of(struct str argument)
{
    for (size_t i = 0; i < N_ELEMENTS(log_metadata_rows); i++) {
        if (str_eq(argument, str_of(log_metadata_rows[i].key)))
            return &log_metadata_rows[i];
    }
    return NULL;
}

bool log_grpc_form_of(struct str argument, enum log_grpc_form *ret)
{
    static const char *const names[] = {"CAMEL_STRING", "SNAKE_STRING", "NUMBER"};

    *ret = LOG_GRPC_CAMEL;
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        if (!str_eq(argument, str_of(names[i])))
            continue;
        *ret = (enum log_grpc_form)i;
        return true;
    }
    return argument.len == 0;
}

struct str log_cost_key_of(struct str argument)
{
    static const struct str namespace = {"io.envoy.ai_gateway:", 20};

    return str_starts_with(argument, namespace) ? str_slice(argument, namespace.len, argument.len)
                                                : STR("");
}

/* ---- time ---- */

/* One of Envoy's additions to strftime at `format`: %f and %1f to %9f (fraction), %s (seconds; that
 * of strftime would take the time for local). Its length, or 0; the digits go to `ret_digits`. */
static size_t log_time_addition(struct str format, int64_t wall_us, char ret_digits[24])
{
    char second = format.len > 1 ? format.ptr[1] : '\0';
    size_t width = 9;

    if (second == 's') {
        snprintf(ret_digits, 24, "%lld", (long long)(wall_us / 1000000));
        return 2;
    }
    if (second >= '1' && second <= '9' && format.len > 2 && format.ptr[2] == 'f')
        width = (size_t)(second - '0');
    else if (second != 'f')
        return 0;
    snprintf(ret_digits, 24, "%06u000", (unsigned)(wall_us % 1000000));
    ret_digits[width] = '\0';
    return second == 'f' ? 2 : 3;
}

static void log_expand_time_format(struct str format, int64_t wall_us, char *ret, size_t cap)
{
    size_t n = 0;
    size_t step;

    for (size_t i = 0; i < format.len && n + 26 < cap; i += step) {
        char digits[24];

        step = format.ptr[i] == '%'
                   ? log_time_addition(str_slice(format, i, format.len), wall_us, digits)
                   : 0;
        if (step > 0) {
            memcpy(ret + n, digits, strlen(digits));
            n += strlen(digits);
            continue;
        }
        step = format.ptr[i] == '%' && i + 1 < format.len ? 2 : 1;
        memcpy(ret + n, format.ptr + i, step);
        n += step;
    }
    ret[n] = '\0';
}

static struct str log_time_by_format(struct str format, int64_t wall_us,
                                     char scratch[LOG_SCRATCH_BYTES])
{
    char expanded[1024];
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm tm;

    log_expand_time_format(format, wall_us, expanded, sizeof expanded);
    gmtime_r(&seconds, &tm);
    return str_make(scratch, strftime(scratch, LOG_SCRATCH_BYTES, expanded, &tm));
}

/* Lines of one second share its text. */
static struct str log_time_iso(int64_t wall_us, char scratch[LOG_SCRATCH_BYTES])
{
    static _Thread_local int64_t text_s = -1;
    static _Thread_local char text[25];
    unsigned ms = (unsigned)(wall_us / 1000 % 1000);

    if (wall_us / 1000000 != text_s) {
        clock_format_iso(wall_us, text);
        text_s = wall_us / 1000000;
    }
    memcpy(scratch, text, 24);
    scratch[20] = (char)('0' + ms / 100);
    scratch[21] = (char)('0' + ms / 10 % 10);
    scratch[22] = (char)('0' + ms % 10);
    return str_make(scratch, 24);
}

/* ---- headers ---- */

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
    return str_eq(name, STR("x-tenant")) ? r->tenant : STR_NULL;
}

static struct str log_clean_header(const struct log_header *h, struct str text)
{
    if (text.len > 0 && (h->is_secret || UNLIKELY(log_redact_has_token(text))))
        return STR("redacted");
    return text;
}

static struct str log_request_header(const struct log_header *h, const struct access_record *r,
                                     char scratch[LOG_SCRATCH_BYTES])
{
    struct str text = STR_NULL;

    if (h->name.len == 0)
        return text;
    if (h->field == FIELD(path) || h->field == FIELD(original_path))
        return log_target(h, r, scratch);
    if (h->field > 0)
        return log_clean_header(h, *log_field(r, h->field));
    if (r->request_header)
        text = r->request_header(r->context, h->name);
    if (text.len == 0)
        text = log_known_header(h->name, r);
    return log_clean_header(h, text);
}

static struct str log_response_header(const struct log_header *h, const struct access_record *r,
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
    return log_clean_header(h, text);
}

/* ---- values ---- */

static struct log_value log_text(struct str text)
{
    return (struct log_value){text.len > 0 ? LOG_TEXT : LOG_ABSENT, text, 0};
}

static struct log_value log_number(uint64_t number)
{
    return (struct log_value){LOG_NUMBER, STR_NULL, number};
}

static struct log_value log_header_value(const struct log_read *op, const struct access_record *r,
                                         char scratch[LOG_SCRATCH_BYTES])
{
    bool is_request = op->kind == LOG_OP_REQ || op->kind == LOG_OP_REQ_WITHOUT_QUERY;
    bool is_trailer = op->kind == LOG_OP_TRAILER;
    struct str text = STR_NULL;

    for (const struct log_header *h = &op->first; text.len == 0; h = &op->second) {
        text = is_request ? log_request_header(h, r, scratch)
                          : log_response_header(h, r, is_trailer, scratch);
        if (h == &op->second)
            break;
    }
    if (op->kind == LOG_OP_REQ_WITHOUT_QUERY) {
        ssize_t mark = str_find_char(text, '?', 0);

        text = mark < 0 ? text : str_slice(text, 0, (size_t)mark);
    }
    if (op->limit_bytes > 0)
        text = str_slice(text, 0, op->limit_bytes);
    return log_text(text);
}

static struct log_value log_metadata_value(const struct log_read *op, const struct access_record *r)
{
    const struct log_header no_header = {0};
    int64_t count;
    struct str text;

    for (size_t i = 0; op->cost_key.len > 0 && i < r->n_costs; i++) {
        if (str_eq(r->costs[i].key, op->cost_key))
            return log_number(r->costs[i].value);
    }
    if (!op->metadata)
        return log_text(STR_NULL);
    if (op->metadata->is_text) {
        memcpy(&text, (const char *)r + op->metadata->field, sizeof text);
        text = log_clean_header(&no_header, text);
        return log_text(op->limit_bytes > 0 ? str_slice(text, 0, op->limit_bytes) : text);
    }
    memcpy(&count, (const char *)r + op->metadata->field, sizeof count);
    if (count < 0)
        return log_text(STR_NULL);
    return log_number((uint64_t)count / MAX(op->metadata->divisor, 1U));
}

static struct log_value log_grpc_status(enum log_grpc_form form, const struct access_record *r)
{
    struct str name = form == LOG_GRPC_CAMEL   ? r->grpc_camel
                      : form == LOG_GRPC_SNAKE ? r->grpc_snake
                                               : STR("");

    if (!r->has_grpc_status)
        return log_text(STR_NULL);
    return name.len > 0 ? log_text(name) : log_number(r->grpc_status);
}

static struct log_value log_duration(bool is_known, uint64_t us)
{
    return is_known ? log_number(us / 1000) : log_text(STR_NULL);
}

/* Is `ip` the address in `peer` (address and port, IPv6 in brackets)? */
static bool log_is_peer(struct str peer, struct str ip)
{
    bool is_v6 = peer.len > 0 && peer.ptr[0] == '[';
    struct str rest = str_slice(peer, is_v6 ? 1 : 0, peer.len);

    return str_starts_with(rest, ip) &&
           (rest.len == ip.len || rest.ptr[ip.len] == (is_v6 ? ']' : ':'));
}

struct str log_remote(const struct access_record *r)
{
    return r->remote_ip.len == 0 || log_is_peer(r->remote, r->remote_ip) ? r->remote : r->remote_ip;
}

static struct log_value log_read_text(enum log_operator op, const struct access_record *r)
{
    switch (op) {
    case LOG_OP_PROTOCOL:
        return log_text(r->protocol);
    case LOG_OP_RESPONSE_CODE_DETAILS:
        return log_text(r->details);
    case LOG_OP_RESPONSE_FLAGS:
        return log_text(r->flags.len > 0 ? r->flags : STR("-"));
    case LOG_OP_CONNECTION_TERMINATION_DETAILS:
        return log_text(r->termination);
    case LOG_OP_UPSTREAM_HOST:
    case LOG_OP_UPSTREAM_REMOTE_ADDRESS:
        return log_text(r->upstream_host);
    case LOG_OP_UPSTREAM_LOCAL_ADDRESS:
        return log_text(r->upstream_local);
    case LOG_OP_UPSTREAM_CLUSTER:
        return log_text(r->upstream_cluster);
    case LOG_OP_UPSTREAM_TRANSPORT_FAILURE_REASON:
        return log_text(r->upstream_failure);
    case LOG_OP_ROUTE_NAME:
        return log_text(r->route_name);
    case LOG_OP_DOWNSTREAM_REMOTE_ADDRESS:
        return log_text(log_remote(r));
    case LOG_OP_DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT:
        return log_text(r->remote_ip);
    case LOG_OP_DOWNSTREAM_DIRECT_REMOTE_ADDRESS:
        return log_text(r->remote);
    case LOG_OP_DOWNSTREAM_LOCAL_ADDRESS:
        return log_text(r->local);
    case LOG_OP_REQUESTED_SERVER_NAME:
        return log_text(r->server_name);
    default:
        UNREACHABLE();
    }
}

struct log_value log_read(const struct log_read *op, const struct access_record *r,
                          char scratch[LOG_SCRATCH_BYTES])
{
    switch (op->kind) {
    case LOG_OP_START_TIME:
        return log_text(op->time_format.len > 0
                            ? log_time_by_format(op->time_format, r->start_wall_us, scratch)
                            : log_time_iso(r->start_wall_us, scratch));
    case LOG_OP_REQ:
    case LOG_OP_REQ_WITHOUT_QUERY:
    case LOG_OP_RESP:
    case LOG_OP_TRAILER:
        return log_header_value(op, r, scratch);
    case LOG_OP_RESPONSE_CODE:
        return log_number(r->status);
    case LOG_OP_GRPC_STATUS:
        return log_grpc_status(op->grpc_form, r);
    case LOG_OP_GRPC_STATUS_NUMBER:
        return log_grpc_status(LOG_GRPC_NUMBER, r);
    case LOG_OP_BYTES_RECEIVED:
        return log_number(r->bytes_received);
    case LOG_OP_BYTES_SENT:
        return log_number(r->bytes_sent);
    case LOG_OP_DURATION:
        return log_number(r->duration_us / 1000);
    case LOG_OP_RESPONSE_DURATION:
        return log_duration(r->has_upstream, r->upstream_us);
    case LOG_OP_RESPONSE_TX_DURATION:
        return log_duration(r->has_upstream, r->duration_us - MIN(r->upstream_us, r->duration_us));
    case LOG_OP_UPSTREAM_REQUEST_ATTEMPT_COUNT:
        return log_number(r->n_attempts);
    case LOG_OP_DYNAMIC_METADATA:
        return log_metadata_value(op, r);
    default:
        return log_read_text(op->kind, r);
    }
}
