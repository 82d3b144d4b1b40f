/* Reading one operator's value from a record. Most are a field of it, in one of a few forms, which
 * is found when a format is compiled: a table. Headers are log_header.c's, times log_time.c's,
 * arguments log_argument.c's. */
#include "telemetry/log_operator.h"

#include "base/assert.h"
#include "base/buf.h"
#include "telemetry/log_flags.h"
#include "telemetry/log_time.h"

const struct log_operator_row log_operator_rows[LOG_OP_COUNT_] = {
#define X(id, argument, may_cut, text)                                                             \
    [LOG_OP_##id] = {{#id, sizeof #id - 1}, LOG_##argument##_ARGUMENT, may_cut, text},
    LOG_OPERATORS(X)
#undef X
};

bool log_operator_is_envoys(struct str name)
{
    static const char names[] =
        "BYTES_RETRANSMITTED CEL CLUSTER_METADATA COALESCE CUSTOM_FLAGS "
        "DOWNSTREAM_DETECTED_CLOSE_TYPE DOWNSTREAM_DIRECT_ "
        "DOWNSTREAM_HANDSHAKE_DURATION DOWNSTREAM_HEADER_ DOWNSTREAM_LOCAL_ "
        "DOWNSTREAM_PEER_ DOWNSTREAM_TLS_SESSION_ID DOWNSTREAM_WIRE_ EMIT_TIME_LOCAL "
        "FILTER_STATE LOCAL_REPLY_BODY PACKETS_RETRANSMITTED QUERY_PARAMS "
        "ROUNDTRIP_DURATION SPAN_ID START_TIME_LOCAL STREAM_ID TLS_JA3_FINGERPRINT "
        "TLS_JA4_FINGERPRINT TRACE_ID UNIQUE_ID UPSTREAM_CONNECTION_ID "
        "UPSTREAM_DETECTED_CLOSE_TYPE UPSTREAM_FILTER_STATE UPSTREAM_HEADER_ "
        "UPSTREAM_HOST_NAME UPSTREAM_HOST_NAME_WITHOUT_PORT UPSTREAM_LOCAL_ "
        "UPSTREAM_METADATA UPSTREAM_PEER_ UPSTREAM_TLS_SESSION_ID UPSTREAM_WIRE_ "
        "VIRTUAL_CLUSTER_NAME";
    struct str rest = str_of(names);
    struct str known;

    while (str_split(&rest, ' ', &known)) {
        bool is_family = known.ptr[known.len - 1] == '_';

        if (is_family ? str_starts_with(name, known) : str_eq(name, known))
            return true;
    }
    return false;
}

static const struct log_metadata log_metadata_rows[] = {
    {"io.envoy.ai_gateway:backend_name", offsetof(struct access_record, ai_service), true, 0},
    {"io.envoy.ai_gateway:model_name_override", offsetof(struct access_record, model_override),
     true, 0},
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

struct str log_cost_key_of(struct str argument)
{
    static const struct str namespace = {"io.envoy.ai_gateway:", 20};

    return str_starts_with(argument, namespace) ? str_slice(argument, namespace.len, argument.len)
                                                : STR("");
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

static struct str log_cut(const struct log_read *op, struct str text)
{
    return op->limit_bytes > 0 ? str_slice(text, 0, op->limit_bytes) : text;
}

static struct log_value log_header_value(const struct log_read *op, const struct access_record *r,
                                         char scratch[LOG_SCRATCH_BYTES])
{
    bool is_response = op->kind == LOG_OP_RESP || op->kind == LOG_OP_TRAILER;
    bool is_trailer = op->kind == LOG_OP_TRAILER;
    struct str text = STR_NULL;

    for (const struct log_header *h = &op->first; text.len == 0; h = &op->second) {
        text = is_response ? log_response_header(h, r, is_trailer, scratch)
                           : log_request_header(h, r, scratch);
        if (h == &op->second)
            break;
    }
    if (op->without_query) {
        ssize_t mark = str_find_char(text, '?', 0);

        text = mark < 0 ? text : str_slice(text, 0, (size_t)mark);
    }
    return log_text(log_cut(op, text));
}

static struct str log_text_at(const char *field)
{
    struct str text;

    memcpy(&text, field, sizeof text);
    return text;
}

static struct log_value log_clean_at(const struct log_read *op, const char *field)
{
    return log_text(log_cut(op, log_clean_text(log_text_at(field))));
}

static struct log_value log_number_at(const char *field)
{
    uint64_t number;

    memcpy(&number, field, sizeof number);
    return log_number(number);
}

static struct log_value log_ms_at(const char *field)
{
    uint64_t us;

    memcpy(&us, field, sizeof us);
    return us == ACCESS_NEVER ? log_text(STR_NULL) : log_number(us / 1000);
}

static struct log_value log_count_at(const char *field, unsigned divisor)
{
    int64_t count;

    memcpy(&count, field, sizeof count);
    if (count < 0)
        return log_text(STR_NULL);
    return log_number(divisor > 1 ? (uint64_t)count / divisor : (uint64_t)count);
}

static struct log_value log_metadata_value(const struct log_read *op, const struct access_record *r)
{
    const char *field;

    for (size_t i = 0; op->cost_key.len > 0 && i < r->n_costs; i++) {
        if (str_eq(r->costs[i].key, op->cost_key))
            return log_number(r->costs[i].value);
    }
    if (!op->metadata)
        return log_text(STR_NULL);
    field = (const char *)r + op->metadata->field;
    return op->metadata->is_text ? log_clean_at(op, field)
                                 : log_count_at(field, op->metadata->divisor);
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

/* In microseconds / `divisor`, or nanoseconds. Less than none where an answer came before the
 * request was sent, as in Envoy. */
static struct log_value log_between(const struct access_record *r, enum access_point from,
                                    enum access_point to, unsigned divisor)
{
    uint64_t begin = r->points_us[from];
    uint64_t end = r->points_us[to];
    uint64_t us = end < begin ? begin - end : end - begin;

    if (begin == ACCESS_NEVER || end == ACCESS_NEVER)
        return log_text(STR_NULL);
    us = divisor > 0 ? us / divisor : us * 1000;
    return (struct log_value){end < begin && us > 0 ? LOG_NEGATIVE : LOG_NUMBER, STR_NULL, us};
}

static struct log_value log_until(const struct access_record *r, enum access_point to)
{
    return log_between(r, ACCESS_DS_RX_BEG, to, 1000);
}

/* ---- addresses ---- */

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

bool log_split_address(struct str address, struct str *ret_ip, uint64_t *ret_port)
{
    ssize_t first = str_find_char(address, ':', 0);
    ssize_t colon = first;

    *ret_ip = address;
    if (str_starts_with(address, STR("["))) {
        ssize_t end = str_find_char(address, ']', 0);

        if (end < 0)
            return false;
        *ret_ip = str_slice(address, 1, (size_t)end);
        colon = end + 1;
    } else if (first < 0 || str_find_char(address, ':', (size_t)first + 1) >= 0) {
        return false; /* an address of IPv6 by itself has colons too */
    } else {
        *ret_ip = str_slice(address, 0, (size_t)first);
    }
    return (size_t)colon < address.len && address.ptr[colon] == ':' &&
           str_to_u64(str_slice(address, (size_t)colon + 1, address.len), ret_port);
}

static struct log_value log_ip(struct str address)
{
    struct str ip;
    uint64_t port;
    bool has_port = log_split_address(address, &ip, &port);

    (void)has_port;
    return log_text(ip);
}

static struct log_value log_port(struct str address)
{
    struct str ip;
    uint64_t port;

    return log_split_address(address, &ip, &port) ? log_number(port) : log_text(STR_NULL);
}

/* ---- certificates ---- */

static struct log_value log_names(const struct str *names, size_t n,
                                  char scratch[LOG_SCRATCH_BYTES])
{
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        size_t n_bytes = MIN(names[i].len, LOG_SCRATCH_BYTES - at);

        if (i > 0 && n_bytes > 0)
            scratch[at++] = ',';
        n_bytes = MIN(n_bytes, LOG_SCRATCH_BYTES - at);
        memcpy(scratch + at, names[i].ptr, n_bytes);
        at += n_bytes;
    }
    return log_text(str_make(scratch, at));
}

bool log_reads_peer(enum log_operator kind)
{
    switch (kind) {
    case LOG_OP_DOWNSTREAM_PEER_SUBJECT:
    case LOG_OP_DOWNSTREAM_PEER_FINGERPRINT_256:
    case LOG_OP_DOWNSTREAM_PEER_CERT:
    case LOG_OP_DOWNSTREAM_PEER_URI_SAN:
    case LOG_OP_DOWNSTREAM_PEER_DNS_SAN:
    case LOG_OP_DOWNSTREAM_LOCAL_URI_SAN:
        return true;
    default:
        return false;
    }
}

static struct log_value log_peer(enum log_operator op, const struct access_peer *peer,
                                 char scratch[LOG_SCRATCH_BYTES])
{
    if (!peer)
        return log_text(STR_NULL);
    switch (op) {
    case LOG_OP_DOWNSTREAM_PEER_SUBJECT:
        return log_text(peer->subject);
    case LOG_OP_DOWNSTREAM_PEER_FINGERPRINT_256:
        return log_text(peer->hash);
    case LOG_OP_DOWNSTREAM_PEER_CERT:
        return log_text(peer->certificate);
    case LOG_OP_DOWNSTREAM_PEER_URI_SAN:
        return log_names(peer->uris, peer->n_uris, scratch);
    case LOG_OP_DOWNSTREAM_PEER_DNS_SAN:
        return log_names(peer->dns_names, peer->n_dns_names, scratch);
    case LOG_OP_DOWNSTREAM_LOCAL_URI_SAN:
        return log_names(peer->local_uris, peer->n_local_uris, scratch);
    default:
        UNREACHABLE();
    }
}

/* ---- the table ---- */

/* Operators that are a field of the record. */
#define AS(form, member)                                                                           \
    {                                                                                              \
        LOG_FORM_##form, offsetof(struct access_record, member)                                    \
    }
static const struct {
    enum log_form form;
    size_t field;
} log_forms[LOG_OP_COUNT_] = {
    [LOG_OP_PROTOCOL] = AS(TEXT, protocol),
    [LOG_OP_UPSTREAM_PROTOCOL] = AS(TEXT, upstream_protocol),
    [LOG_OP_RESPONSE_CODE_DETAILS] = AS(TEXT, details),
    [LOG_OP_CONNECTION_TERMINATION_DETAILS] = AS(TEXT, termination),
    [LOG_OP_BYTES_RECEIVED] = AS(NUMBER, bytes_received),
    [LOG_OP_BYTES_SENT] = AS(NUMBER, bytes_sent),
    [LOG_OP_DURATION] = AS(MS, duration_us),
    [LOG_OP_UPSTREAM_CONNECTION_POOL_READY_DURATION] = AS(MS, pool_us),
    [LOG_OP_UPSTREAM_HOST] = AS(TEXT, upstream_host),
    [LOG_OP_UPSTREAM_REMOTE_ADDRESS] = AS(TEXT, upstream_host),
    [LOG_OP_UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT] = AS(IP, upstream_host),
    [LOG_OP_UPSTREAM_REMOTE_PORT] = AS(PORT, upstream_host),
    [LOG_OP_UPSTREAM_LOCAL_ADDRESS] = AS(TEXT, upstream_local),
    [LOG_OP_UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT] = AS(IP, upstream_local),
    [LOG_OP_UPSTREAM_LOCAL_PORT] = AS(PORT, upstream_local),
    [LOG_OP_UPSTREAM_CLUSTER] = AS(TEXT, upstream_cluster),
    [LOG_OP_UPSTREAM_CLUSTER_RAW] = AS(TEXT, upstream_cluster),
    [LOG_OP_UPSTREAM_TLS_VERSION] = AS(TEXT, upstream_tls_version),
    [LOG_OP_UPSTREAM_TLS_CIPHER] = AS(TEXT, upstream_tls_cipher),
    [LOG_OP_UPSTREAM_TRANSPORT_FAILURE_REASON] = AS(TEXT, upstream_failure),
    [LOG_OP_ROUTE_NAME] = AS(TEXT, route_name),
    [LOG_OP_FILTER_CHAIN_NAME] = AS(TEXT, listener_name),
    [LOG_OP_DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT] = AS(TEXT, remote_ip),
    [LOG_OP_DOWNSTREAM_DIRECT_REMOTE_ADDRESS] = AS(TEXT, remote),
    [LOG_OP_DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT] = AS(IP, remote),
    [LOG_OP_DOWNSTREAM_DIRECT_REMOTE_PORT] = AS(PORT, remote),
    [LOG_OP_DOWNSTREAM_LOCAL_ADDRESS] = AS(TEXT, local),
    [LOG_OP_DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT] = AS(IP, local),
    [LOG_OP_DOWNSTREAM_LOCAL_PORT] = AS(PORT, local),
    [LOG_OP_CONNECTION_ID] = AS(NUMBER, connection_id),
    [LOG_OP_REQUESTED_SERVER_NAME] = AS(TEXT, server_name),
    [LOG_OP_DOWNSTREAM_TRANSPORT_FAILURE_REASON] = AS(TEXT, tls_failure),
    [LOG_OP_DOWNSTREAM_TLS_VERSION] = AS(TEXT, tls_version),
    [LOG_OP_DOWNSTREAM_TLS_CIPHER] = AS(TEXT, tls_cipher),
};

static bool log_is_request_field(const struct log_read *op)
{
    return op->kind == LOG_OP_REQ && op->second.name.len == 0 && log_header_is_field(&op->first);
}

void log_read_place(struct log_read *op)
{
    op->form = log_forms[op->kind].form;
    op->field = log_forms[op->kind].field;
    if (op->metadata) {
        op->form = op->metadata->is_text ? LOG_FORM_CLEAN : LOG_FORM_COUNT;
        op->field = op->metadata->field;
        op->divisor = op->metadata->divisor;
    } else if (log_is_request_field(op)) {
        op->form = LOG_FORM_CLEAN;
        op->field = op->first.field - 1;
    }
}

static struct log_value log_headers_bytes(const struct access_record *r, enum access_headers which)
{
    return log_number(r->headers_bytes ? r->headers_bytes(r->context, which) : 0);
}

/* What is neither a field nor has an argument. */
static struct log_value log_read_other(enum log_operator op, const struct access_record *r,
                                       char scratch[LOG_SCRATCH_BYTES])
{
    switch (op) {
    case LOG_OP_RESPONSE_CODE:
        return log_number(r->status);
    case LOG_OP_GRPC_STATUS_NUMBER:
        return log_grpc_status(LOG_GRPC_NUMBER, r);
    case LOG_OP_RESPONSE_FLAGS:
        return log_text(r->flags.len > 0 ? r->flags : STR("-"));
    case LOG_OP_RESPONSE_FLAGS_LONG:
        return log_text(log_flags_long(r->flags, scratch));
    case LOG_OP_REQUEST_HEADERS_BYTES:
        return log_headers_bytes(r, ACCESS_REQUEST_HEADERS);
    case LOG_OP_RESPONSE_HEADERS_BYTES:
        return log_headers_bytes(r, ACCESS_RESPONSE_HEADERS);
    case LOG_OP_RESPONSE_TRAILERS_BYTES:
        return log_headers_bytes(r, ACCESS_RESPONSE_TRAILERS);
    case LOG_OP_REQUEST_DURATION:
        return log_until(r, ACCESS_DS_RX_END);
    case LOG_OP_REQUEST_TX_DURATION:
        return log_until(r, ACCESS_US_TX_END);
    case LOG_OP_RESPONSE_DURATION:
        return log_until(r, ACCESS_US_RX_BEG);
    case LOG_OP_RESPONSE_TX_DURATION:
        return log_between(r, ACCESS_US_RX_BEG, ACCESS_DS_TX_END, 1000);
    case LOG_OP_UPSTREAM_REQUEST_ATTEMPT_COUNT:
        return log_number(r->n_attempts);
    case LOG_OP_DOWNSTREAM_REMOTE_ADDRESS:
        return log_text(log_remote(r));
    case LOG_OP_DOWNSTREAM_REMOTE_PORT:
        return log_port(log_remote(r));
    case LOG_OP_ACCESS_LOG_TYPE:
        return log_text(r->is_connection ? STR("") : STR("DownstreamEnd"));
    default:
        return log_peer(op, r->peer, scratch);
    }
}

static struct log_value log_read_kind(const struct log_read *op, const struct access_record *r,
                                      char scratch[LOG_SCRATCH_BYTES])
{
    switch (op->kind) {
    case LOG_OP_START_TIME:
        return log_text(log_time_format(op->text, r->start_wall_us, scratch));
    case LOG_OP_EMIT_TIME:
        return log_text(
            log_time_format(op->text, r->start_wall_us + (int64_t)r->duration_us, scratch));
    case LOG_OP_REQ:
    case LOG_OP_REQ_WITHOUT_QUERY:
    case LOG_OP_PATH:
    case LOG_OP_RESP:
    case LOG_OP_TRAILER:
        return log_header_value(op, r, scratch);
    case LOG_OP_QUERY_PARAM:
        return log_text(log_cut(op, log_query_parameter(op->text, r)));
    case LOG_OP_GRPC_STATUS:
        return log_grpc_status(op->grpc_form, r);
    case LOG_OP_COMMON_DURATION:
        return log_between(r, op->from, op->to, op->us_divisor);
    case LOG_OP_DYNAMIC_METADATA:
    case LOG_OP_METADATA:
        return log_metadata_value(op, r);
    case LOG_OP_HOSTNAME:
    case LOG_OP_ENVIRONMENT:
        return log_text(log_cut(op, op->text));
    default:
        return log_read_other(op->kind, r, scratch);
    }
}

struct log_value log_read(const struct log_read *op, const struct access_record *r,
                          char scratch[LOG_SCRATCH_BYTES])
{
    const char *field = (const char *)r + op->field;

    switch (op->form) {
    case LOG_FORM_OTHER:
        return log_read_kind(op, r, scratch);
    case LOG_FORM_TEXT:
        return log_text(log_text_at(field));
    case LOG_FORM_CLEAN:
        return log_clean_at(op, field);
    case LOG_FORM_IP:
        return log_ip(log_text_at(field));
    case LOG_FORM_PORT:
        return log_port(log_text_at(field));
    case LOG_FORM_NUMBER:
        return log_number_at(field);
    case LOG_FORM_MS:
        return log_ms_at(field);
    case LOG_FORM_COUNT:
        return log_count_at(field, op->divisor);
    }
    UNREACHABLE();
}
