/* Matches of access logs: the attributes that CEL knows here, one table, and what they are worth of
 * an access record.
 *
 * Names, types and when a value is absent are Envoy's. What Envoy has and nothing here knows (the
 * time as a timestamp, localities, filter states) is no attribute: an expression that names it is
 * refused instead of never holding. Owner: nothing; what has to be joined lies in the exchange's
 * arena. */
#include "gateway/account/log_match.h"

#include "base/assert.h"
#include "policy/regex.h"
#include "telemetry/log_flags.h"
#include "telemetry/log_operator.h"

/* id, name, type, keys, meaning */
#define LOG_ATTRIBUTES(X)                                                                          \
    X(REQUEST_PATH, "request.path", STRING, 0, "path as routed, with its query")                   \
    X(REQUEST_URL_PATH, "request.url_path", STRING, 0, "path as routed")                           \
    X(REQUEST_HOST, "request.host", STRING, 0, "authority")                                        \
    X(REQUEST_SCHEME, "request.scheme", STRING, 0, "`https` where the client's connection is TLS") \
    X(REQUEST_METHOD, "request.method", STRING, 0, "method")                                       \
    X(REQUEST_HEADERS, "request.headers", STRING, 1,                                               \
      "headers by name, values of one name joined by commas")                                      \
    X(REQUEST_HEADERS_BYTES, "request.headers_bytes", INT, 0, "as `%REQUEST_HEADERS_BYTES%`")      \
    X(REQUEST_REFERER, "request.referer", STRING, 0, "header Referer")                             \
    X(REQUEST_USERAGENT, "request.useragent", STRING, 0, "header User-Agent")                      \
    X(REQUEST_ID, "request.id", STRING, 0, "header x-request-id")                                  \
    X(REQUEST_PROTOCOL, "request.protocol", STRING, 0, "`HTTP/1.0`, `HTTP/1.1` or `HTTP/2`")       \
    X(REQUEST_QUERY, "request.query", STRING, 0, "query; empty when there is none")                \
    X(REQUEST_DURATION, "request.duration", DURATION, 0, "whole request")                          \
    X(REQUEST_TOTAL_SIZE, "request.total_size", INT, 0, "bytes of headers and content")            \
    X(REQUEST_SIZE, "request.size", INT, 0, "bytes of content received")                           \
    X(RESPONSE_CODE, "response.code", INT, 0, "status; none when no head was sent")                \
    X(RESPONSE_CODE_DETAILS, "response.code_details", STRING, 0, "what decided the status")        \
    X(RESPONSE_FLAGS, "response.flags", INT, 0,                                                    \
      "response flags, each a bit of Envoy's enumeration; 0 when there are none")                  \
    X(RESPONSE_GRPC_STATUS, "response.grpc_status", INT, 0, "of a call of gRPC")                   \
    X(RESPONSE_HEADERS, "response.headers", STRING, 1, "headers of the answer by name")            \
    X(RESPONSE_HEADERS_BYTES, "response.headers_bytes", INT, 0, "as `%RESPONSE_HEADERS_BYTES%`")   \
    X(RESPONSE_TRAILERS, "response.trailers", STRING, 1, "trailers of the answer by name")         \
    X(RESPONSE_TOTAL_SIZE, "response.total_size", INT, 0, "bytes of headers, content, trailers")   \
    X(RESPONSE_BACKEND_LATENCY, "response.backend_latency", DURATION, 0,                           \
      "from the head to the endpoint to the last byte of its answer")                              \
    X(RESPONSE_SIZE, "response.size", INT, 0, "bytes of the answer, as `%BYTES_SENT%`")            \
    X(SOURCE_ADDRESS, "source.address", STRING, 0, "client as detected, address and port")         \
    X(SOURCE_PORT, "source.port", INT, 0, "its port")                                              \
    X(DESTINATION_ADDRESS, "destination.address", STRING, 0,                                       \
      "our address towards the client, and port")                                                  \
    X(DESTINATION_PORT, "destination.port", INT, 0, "its port")                                    \
    X(CONNECTION_SERVER_NAME, "connection.requested_server_name", STRING, 0,                       \
      "SNI; empty when there is none")                                                             \
    X(CONNECTION_ID, "connection.id", UINT, 0, "as `%CONNECTION_ID%`")                             \
    X(CONNECTION_MTLS, "connection.mtls", BOOL, 0, "the client has shown a verified certificate")  \
    X(CONNECTION_TLS_VERSION, "connection.tls_version", STRING, 0, "of the client's connection")   \
    X(CONNECTION_SUBJECT, "connection.subject_peer_certificate", STRING, 0,                        \
      "subject of that certificate")                                                               \
    X(CONNECTION_URI, "connection.uri_san_peer_certificate", STRING, 0, "its first URI")           \
    X(CONNECTION_DNS, "connection.dns_san_peer_certificate", STRING, 0, "its first DNS name")      \
    X(CONNECTION_LOCAL_URI, "connection.uri_san_local_certificate", STRING, 0,                     \
      "first URI of our own certificate, to such a client")                                        \
    X(CONNECTION_DIGEST, "connection.sha256_peer_certificate_digest", STRING, 0, "its SHA-256")    \
    X(CONNECTION_CERTIFICATE, "connection.peer_certificate", STRING, 0,                            \
      "that certificate, PEM, percent-encoded")                                                    \
    X(CONNECTION_FAILURE, "connection.transport_failure_reason", STRING, 0,                        \
      "of a connection: why its handshake failed")                                                 \
    X(CONNECTION_TERMINATION, "connection.termination_details", STRING, 0,                         \
      "why the gateway ended the connection")                                                      \
    X(UPSTREAM_ADDRESS, "upstream.address", STRING, 0, "endpoint, address and port")               \
    X(UPSTREAM_PORT, "upstream.port", INT, 0, "its port")                                          \
    X(UPSTREAM_LOCAL_ADDRESS, "upstream.local_address", STRING, 0,                                 \
      "our address towards the endpoint, and port")                                                \
    X(UPSTREAM_FAILURE, "upstream.transport_failure_reason", STRING, 0,                            \
      "why the connection to the endpoint failed")                                                 \
    X(UPSTREAM_TLS_VERSION, "upstream.tls_version", STRING, 0,                                     \
      "of the connection to the endpoint")                                                         \
    X(UPSTREAM_POOL_TIME, "upstream.cx_pool_ready_duration", DURATION, 0,                          \
      "until the attempt had a connection")                                                        \
    X(UPSTREAM_ATTEMPTS, "upstream.request_attempt_count", UINT, 0, "attempts made")               \
    X(METADATA, "metadata.filter_metadata", STRING, 2,                                             \
      "what `%DYNAMIC_METADATA(NAMESPACE:KEY)%` prints, by namespace and key")                     \
    X(CLUSTER_NAME, "xds.cluster_name", STRING, 0, "backend")                                      \
    X(ROUTE_NAME, "xds.route_name", STRING, 0, "the route's rule")

enum log_attribute {
#define X(id, name, type, n_keys, text) LOG_ATTRIBUTE_##id,
    LOG_ATTRIBUTES(X)
#undef X
};

static const struct cel_variable log_variables[] = {
#define X(id, name, type, n_keys, text) {name, CEL_##type, n_keys, LOG_ATTRIBUTE_##id},
    LOG_ATTRIBUTES(X)
#undef X
};

/* ---- parsing ---- */

/* Names of headers in lower case. A number of the metadata is one by its name. */
static bool log_match_take_key(struct arena *arena, unsigned id, struct str *io_key,
                               enum cel_type *io_type)
{
    const struct log_metadata *row;

    if (id != LOG_ATTRIBUTE_METADATA) {
        *io_key = arena_lower(arena, *io_key);
        return true;
    }
    row = log_metadata_of(*io_key);
    if (row ? !row->is_text : log_cost_key_of(*io_key).len > 0)
        *io_type = CEL_UINT;
    return row || *io_type == CEL_UINT;
}

static bool log_match_take_pattern(struct arena *arena, struct str text, const void **ret_pattern,
                                   struct str *ret_why)
{
    const struct regex *regex;
    struct regex_error error;

    if (regex_compile(arena, text, &regex, &error) != 0) {
        *ret_why = arena_printf(arena, "not a regular expression: %s", error.text);
        return false;
    }
    *ret_pattern = regex;
    return true;
}

static const struct cel_scope log_scope = {
    .variables = log_variables,
    .n_variables = N_ELEMENTS(log_variables),
    .hint = "request.*, response.*, source.*, destination.*, connection.*, upstream.*, "
            "metadata.filter_metadata, xds.cluster_name and xds.route_name, as the reference lists "
            "them",
    .take_key = log_match_take_key,
    .take_pattern = log_match_take_pattern,
};

int log_match_parse(struct arena *arena, struct str text, const struct cel_expr **ret,
                    struct cel_error *ret_error)
{
    int code = cel_parse(arena, &log_scope, text, ret, ret_error);

    if (code != 0 || cel_expr_type(*ret) == CEL_BOOL)
        return code;
    ret_error->text = arena_printf(arena, "a match is a bool, but this is a %s",
                                   cel_type_name(cel_expr_type(*ret)));
    return CEL_INVALID;
}

/* ---- reading ---- */

struct log_reading {
    const struct access_record *record;
    struct arena *arena;
};

static bool log_give_text(struct str text, struct cel_value *ret)
{
    ret->s = text;
    return text.len > 0;
}

static bool log_give_count(uint64_t n, struct cel_value *ret)
{
    ret->i = (int64_t)MIN(n, (uint64_t)INT64_MAX);
    return true;
}

static bool log_give_us(uint64_t us, struct cel_value *ret)
{
    ret->i = (int64_t)MIN(us, (uint64_t)INT64_MAX / 1000) * 1000;
    return true;
}

static bool log_give_between(const struct access_record *r, enum access_point from,
                             enum access_point to, struct cel_value *ret)
{
    uint64_t begin = r->points_us[from];
    uint64_t end = r->points_us[to];

    return begin != ACCESS_NEVER && end != ACCESS_NEVER && end >= begin &&
           log_give_us(end - begin, ret);
}

static bool log_give_port(struct str address, struct cel_value *ret)
{
    struct str ip;
    uint64_t port;

    return log_split_address(address, &ip, &port) && log_give_count(port, ret);
}

static uint64_t log_bytes_of(const struct access_record *r, enum access_headers which)
{
    return r->headers_bytes ? r->headers_bytes(r->context, which) : 0;
}

static struct str log_match_path(const struct log_reading *l)
{
    const struct access_record *r = l->record;

    if (r->query.len == 0)
        return r->path;
    return arena_printf(l->arena, "%.*s?%.*s", STR_ARG(r->path), STR_ARG(r->query));
}

static bool log_give_request_header(const struct log_reading *l, struct str name,
                                    struct cel_value *ret)
{
    const struct access_record *r = l->record;

    if (str_eq(name, STR(":path")))
        return log_give_text(log_match_path(l), ret);
    if (str_eq(name, STR(":method")))
        return log_give_text(r->method, ret);
    if (str_eq(name, STR(":authority")) || str_eq(name, STR("host")))
        return log_give_text(r->authority, ret);
    ret->s = r->request_header ? r->request_header(r->context, name) : STR_NULL;
    if (!ret->s.ptr)
        ret->s = log_known_header(name, r);
    return ret->s.ptr != NULL;
}

static bool log_give_header(struct str (*find)(const void *context, struct str name),
                            const struct access_record *r, struct str name, struct cel_value *ret)
{
    ret->s = find ? find(r->context, name) : STR_NULL;
    return ret->s.ptr != NULL;
}

static bool log_give_metadata(const struct access_record *r, struct str key, struct cel_value *ret)
{
    const struct log_read read = {
        .kind = LOG_OP_DYNAMIC_METADATA,
        .metadata = log_metadata_of(key),
        .cost_key = log_cost_key_of(key),
    };
    char scratch[LOG_SCRATCH_BYTES];
    struct log_value v = log_read(&read, r, scratch);

    if (v.kind == LOG_TEXT)
        ret->s = v.text;
    else
        ret->u = v.number;
    return v.kind != LOG_ABSENT;
}

static bool log_read_request(const struct log_reading *l, enum log_attribute id, struct str key,
                             struct cel_value *ret)
{
    const struct access_record *r = l->record;

    switch (id) {
    case LOG_ATTRIBUTE_REQUEST_PATH:
        return log_give_text(log_match_path(l), ret);
    case LOG_ATTRIBUTE_REQUEST_URL_PATH:
        return log_give_text(r->path, ret);
    case LOG_ATTRIBUTE_REQUEST_HOST:
        return log_give_text(r->authority, ret);
    case LOG_ATTRIBUTE_REQUEST_SCHEME:
        return log_give_text(r->tls_version.len > 0 ? STR("https") : STR("http"), ret);
    case LOG_ATTRIBUTE_REQUEST_METHOD:
        return log_give_text(r->method, ret);
    case LOG_ATTRIBUTE_REQUEST_HEADERS:
        return log_give_request_header(l, key, ret);
    case LOG_ATTRIBUTE_REQUEST_HEADERS_BYTES:
        return log_give_count(log_bytes_of(r, ACCESS_REQUEST_HEADERS), ret);
    case LOG_ATTRIBUTE_REQUEST_TOTAL_SIZE:
        return log_give_count(log_bytes_of(r, ACCESS_REQUEST_HEADERS) + r->bytes_received, ret);
    case LOG_ATTRIBUTE_REQUEST_REFERER:
        return log_give_request_header(l, STR("referer"), ret);
    case LOG_ATTRIBUTE_REQUEST_USERAGENT:
        return log_give_text(r->user_agent, ret);
    case LOG_ATTRIBUTE_REQUEST_ID:
        return log_give_text(r->request_id, ret);
    case LOG_ATTRIBUTE_REQUEST_PROTOCOL:
        return log_give_text(r->protocol, ret);
    case LOG_ATTRIBUTE_REQUEST_QUERY:
        ret->s = r->query;
        return true;
    case LOG_ATTRIBUTE_REQUEST_DURATION:
        return log_give_us(r->duration_us, ret);
    default: /* REQUEST_SIZE */
        return log_give_count(r->bytes_received, ret);
    }
}

static bool log_read_response(const struct access_record *r, enum log_attribute id, struct str key,
                              struct cel_value *ret)
{
    switch (id) {
    case LOG_ATTRIBUTE_RESPONSE_CODE:
        return log_give_count(r->status, ret) && r->status != 0;
    case LOG_ATTRIBUTE_RESPONSE_CODE_DETAILS:
        return log_give_text(r->details, ret);
    case LOG_ATTRIBUTE_RESPONSE_FLAGS:
        ret->i = log_flag_bits(r->flags);
        return true;
    case LOG_ATTRIBUTE_RESPONSE_GRPC_STATUS:
        return log_give_count(r->grpc_status, ret) && r->has_grpc_status;
    case LOG_ATTRIBUTE_RESPONSE_HEADERS:
        return log_give_header(r->response_header, r, key, ret);
    case LOG_ATTRIBUTE_RESPONSE_HEADERS_BYTES:
        return log_give_count(log_bytes_of(r, ACCESS_RESPONSE_HEADERS), ret);
    case LOG_ATTRIBUTE_RESPONSE_TOTAL_SIZE:
        return log_give_count(log_bytes_of(r, ACCESS_RESPONSE_HEADERS) + r->bytes_sent +
                                  log_bytes_of(r, ACCESS_RESPONSE_TRAILERS),
                              ret);
    case LOG_ATTRIBUTE_RESPONSE_BACKEND_LATENCY:
        return log_give_between(r, ACCESS_US_TX_BEG, ACCESS_US_RX_END, ret);
    case LOG_ATTRIBUTE_RESPONSE_TRAILERS:
        return log_give_header(r->response_trailer, r, key, ret);
    default: /* RESPONSE_SIZE */
        return log_give_count(r->bytes_sent, ret);
    }
}

static bool log_give_first(const struct str *names, size_t n, struct cel_value *ret)
{
    return n > 0 && log_give_text(names[0], ret);
}

static bool log_read_peer(const struct access_peer *peer, enum log_attribute id,
                          struct cel_value *ret)
{
    if (!peer)
        return false;
    switch (id) {
    case LOG_ATTRIBUTE_CONNECTION_SUBJECT:
        return log_give_text(peer->subject, ret);
    case LOG_ATTRIBUTE_CONNECTION_URI:
        return log_give_first(peer->uris, peer->n_uris, ret);
    case LOG_ATTRIBUTE_CONNECTION_DNS:
        return log_give_first(peer->dns_names, peer->n_dns_names, ret);
    case LOG_ATTRIBUTE_CONNECTION_LOCAL_URI:
        return log_give_first(peer->local_uris, peer->n_local_uris, ret);
    case LOG_ATTRIBUTE_CONNECTION_DIGEST:
        return log_give_text(peer->hash, ret);
    default: /* CONNECTION_CERTIFICATE */
        return log_give_text(peer->certificate, ret);
    }
}

static bool log_read_connection(const struct access_record *r, enum log_attribute id,
                                struct cel_value *ret)
{
    switch (id) {
    case LOG_ATTRIBUTE_SOURCE_ADDRESS:
        return log_give_text(log_remote(r), ret);
    case LOG_ATTRIBUTE_SOURCE_PORT:
        return log_give_port(log_remote(r), ret);
    case LOG_ATTRIBUTE_DESTINATION_ADDRESS:
        return log_give_text(r->local, ret);
    case LOG_ATTRIBUTE_DESTINATION_PORT:
        return log_give_port(r->local, ret);
    case LOG_ATTRIBUTE_CONNECTION_SERVER_NAME:
        ret->s = r->server_name;
        return true;
    case LOG_ATTRIBUTE_CONNECTION_ID:
        ret->u = r->connection_id;
        return true;
    case LOG_ATTRIBUTE_CONNECTION_MTLS:
        ret->b = r->peer != NULL;
        return true;
    case LOG_ATTRIBUTE_CONNECTION_TLS_VERSION:
        return log_give_text(r->tls_version, ret);
    case LOG_ATTRIBUTE_CONNECTION_FAILURE:
        return log_give_text(r->tls_failure, ret);
    case LOG_ATTRIBUTE_CONNECTION_TERMINATION:
        return log_give_text(r->termination, ret);
    default:
        return log_read_peer(r->peer, id, ret);
    }
}

static bool log_read_upstream(const struct access_record *r, enum log_attribute id,
                              struct cel_value *ret)
{
    switch (id) {
    case LOG_ATTRIBUTE_UPSTREAM_ADDRESS:
        return log_give_text(r->upstream_host, ret);
    case LOG_ATTRIBUTE_UPSTREAM_PORT:
        return log_give_port(r->upstream_host, ret);
    case LOG_ATTRIBUTE_UPSTREAM_LOCAL_ADDRESS:
        return log_give_text(r->upstream_local, ret);
    case LOG_ATTRIBUTE_UPSTREAM_FAILURE:
        return log_give_text(r->upstream_failure, ret);
    case LOG_ATTRIBUTE_UPSTREAM_TLS_VERSION:
        return log_give_text(r->upstream_tls_version, ret);
    case LOG_ATTRIBUTE_UPSTREAM_POOL_TIME:
        return r->pool_us != ACCESS_NEVER && log_give_us(r->pool_us, ret);
    case LOG_ATTRIBUTE_CLUSTER_NAME:
        return log_give_text(r->upstream_cluster, ret);
    case LOG_ATTRIBUTE_ROUTE_NAME:
        return log_give_text(r->route_name, ret);
    default: /* UPSTREAM_ATTEMPTS */
        ret->u = r->n_attempts;
        return true;
    }
}

static bool log_read_attribute(const void *context, unsigned id, struct str key,
                               struct cel_value *ret)
{
    const struct log_reading *l = context;

    if (id == LOG_ATTRIBUTE_METADATA)
        return log_give_metadata(l->record, key, ret);
    if (id < LOG_ATTRIBUTE_RESPONSE_CODE)
        return log_read_request(l, (enum log_attribute)id, key, ret);
    if (id < LOG_ATTRIBUTE_SOURCE_ADDRESS)
        return log_read_response(l->record, (enum log_attribute)id, key, ret);
    if (id < LOG_ATTRIBUTE_UPSTREAM_ADDRESS)
        return log_read_connection(l->record, (enum log_attribute)id, ret);
    return log_read_upstream(l->record, (enum log_attribute)id, ret);
}

/* CEL's matches() finds its pattern anywhere. */
static enum cel_verdict log_match_pattern(const void *pattern, struct str text)
{
    struct regex_groups groups;

    switch (regex_search(pattern, text, 0, &groups)) {
    case REGEX_MISS:
        return CEL_MISS;
    case REGEX_HIT:
        return CEL_HIT;
    case REGEX_LIMIT:
        return CEL_LIMIT;
    }
    UNREACHABLE();
}

bool log_match_any(const struct cel_expr *const *matches, size_t n, const struct access_record *r,
                   struct arena *arena)
{
    const struct log_reading l = {r, arena};
    const struct cel_reader reader = {&l, log_read_attribute, log_match_pattern};

    for (size_t i = 0; i < n; i++) {
        struct cel_value v;

        if (cel_eval(matches[i], &reader, &v) == 0 && v.b)
            return true;
    }
    return false;
}

void log_match_docs(struct buf *out)
{
    static const char *const texts[] = {
#define X(id, name, type, n_keys, text) text,
        LOG_ATTRIBUTES(X)
#undef X
    };

    buf_printf(out, "| attribute | type | meaning |\n|---|---|---|\n");
    for (size_t i = 0; i < N_ELEMENTS(log_variables); i++) {
        const struct cel_variable *v = &log_variables[i];

        buf_printf(out, "| `%s%s` | %s | %s |\n", v->name,
                   v->n_keys == 0   ? ""
                   : v->n_keys == 1 ? "['NAME']"
                                    : "['NAMESPACE']['KEY']",
                   v->id == LOG_ATTRIBUTE_METADATA ? "string or uint" : cel_type_name(v->type),
                   texts[i]);
    }
}
