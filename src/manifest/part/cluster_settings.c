/* Decoding of cluster settings: circuit breaker, timeouts, connection, names, protocol; and the
 * whole as `backendSettings`.
 *
 * Owner: the load's arena. Thread: compile thread. What of `backendSettings` is not for its use is
 * named by who has it. */
#include "manifest/part/cluster_settings.h"

#include "base/limits.h"

#include "manifest/part/cluster_fields.h"

static const struct field retry_budget_fields[] = {
    FIELD_OBJECT(retry_budget, percent, "percent", FIELD_REQUIRED, fraction,
                 "Share of the requests in flight that may be retries."),
    FIELD_INT(retry_budget, min_retry_concurrency, "minRetryConcurrency", 0, UINT32_RANGE,
              "Retries that are allowed whatever the share."),
};
static const struct table retry_budget_table = TABLE(retry_budget);

static const struct field per_endpoint_breaker_fields[] = {
    FIELD_INT(per_endpoint_breaker, max_connections, "maxConnections", 0, UINT32_RANGE,
              "Connections to one endpoint at most; 1024 unless given."),
};
static const struct table per_endpoint_breaker_table = TABLE(per_endpoint_breaker);

static const struct field cluster_circuit_breaker_fields[] = {
    FIELD_INT(cluster_circuit_breaker, max_connections, "maxConnections", 0, UINT32_RANGE,
              "Connections at most; 1024 unless given."),
    FIELD_INT(cluster_circuit_breaker, max_pending_requests, "maxPendingRequests", 0, UINT32_RANGE,
              "Requests that wait for a connection at most; 1024 unless given."),
    FIELD_INT(cluster_circuit_breaker, max_parallel_requests, "maxParallelRequests", 0,
              UINT32_RANGE, "Requests in flight at most; 1024 unless given."),
    FIELD_INT(cluster_circuit_breaker, max_parallel_retries, "maxParallelRetries", 0, UINT32_RANGE,
              "Retries in flight at most; 1024 unless given."),
    FIELD_INT(cluster_circuit_breaker, max_requests_per_connection, "maxRequestsPerConnection", 0,
              UINT32_RANGE, "Requests after which a connection is closed."),
    FIELD_OBJECT(cluster_circuit_breaker, per_endpoint, "perEndpoint", 0, per_endpoint_breaker,
                 "Limits of one endpoint."),
    FIELD_OBJECT(cluster_circuit_breaker, retry_budget, "retryBudget", 0, retry_budget,
                 "Retries in proportion to the requests in flight."),
};
const struct table cluster_circuit_breaker_table = TABLE(cluster_circuit_breaker);

static const struct field cluster_tcp_timeout_fields[] = {
    FIELD_DURATION(cluster_tcp_timeout, connect_timeout, "connectTimeout", 0,
                   "Time to establish a connection; 10s unless given."),
};
static const struct table cluster_tcp_timeout_table = TABLE(cluster_tcp_timeout);

static const struct field cluster_http_timeout_fields[] = {
    FIELD_DURATION(cluster_http_timeout, request_timeout, "requestTimeout", 0,
                   "Time for the whole answer; for event streams, for its first byte."),
    FIELD_DURATION(cluster_http_timeout, connection_idle_timeout, "connectionIdleTimeout", 0,
                   "Time after which an unused connection is closed; 1h unless given."),
    FIELD_DURATION(cluster_http_timeout, max_connection_duration, "maxConnectionDuration", 0,
                   "Age at which a connection takes no further request; 0s: no limit."),
    FIELD_DURATION(cluster_http_timeout, stream_idle_timeout, "streamIdleTimeout", 0,
                   "Longest silence inside an answer; 300s unless given."),
    FIELD_DURATION(cluster_http_timeout, max_stream_duration, "maxStreamDuration", 0,
                   "Longest time of a stream, from when it is sent; 0s: no limit."),
};
static const struct table cluster_http_timeout_table = TABLE(cluster_http_timeout);

static const struct field cluster_timeout_fields[] = {
    FIELD_OBJECT(cluster_timeout, tcp, "tcp", 0, cluster_tcp_timeout, "Limits of connections."),
    FIELD_OBJECT(cluster_timeout, http, "http", 0, cluster_http_timeout, "Limits of requests."),
};
const struct table cluster_timeout_table = TABLE(cluster_timeout);

static const struct field tcp_keepalive_fields[] = {
    FIELD_INT(tcp_keepalive, probes, "probes", 0, RANGE(1, INT32_MAX),
              "Unanswered probes after which the connection is dead; 9 unless given."),
    FIELD_DURATION(tcp_keepalive, idle_time, "idleTime", 0,
                   "Silence before the first probe; 7200s unless given."),
    FIELD_DURATION(tcp_keepalive, interval, "interval", 0,
                   "Time between probes; 75s unless given."),
};
const struct table tcp_keepalive_table = TABLE(tcp_keepalive);

static const struct field cluster_preconnect_fields[] = {
    FIELD_INT(cluster_preconnect, per_endpoint_percent, "perEndpointPercent", 0, RANGE(100, 300),
              "Connections to each endpoint, in percent of those that its streams need."),
    FIELD_INT(cluster_preconnect, predictive_percent, "predictivePercent", FIELD_NOT_ENFORCED,
              RANGE(100, INT32_MAX), "The same of all endpoints, at those that come next."),
};
static const struct table cluster_preconnect_table = TABLE(cluster_preconnect);

static const struct field cluster_connection_fields[] = {
    FIELD_QUANTITY(cluster_connection, buffer_limit_bytes, "bufferLimit", 0,
                   "Bytes held of one connection at most."),
    FIELD_QUANTITY(cluster_connection, socket_buffer_limit_bytes, "socketBufferLimit", 0,
                   "Size of the socket's buffers."),
    FIELD_OBJECT(cluster_connection, preconnect, "preconnect", 0, cluster_preconnect,
                 "Connections opened ahead of need."),
};
const struct table cluster_connection_table = TABLE(cluster_connection);

static const char *const dns_family_names[] = {"IPv4",          "IPv6",        "IPv4Preferred",
                                               "IPv6Preferred", "IPv4AndIPv6", NULL};

static const struct field cluster_dns_fields[] = {
    FIELD_DURATION(cluster_dns, refresh_rate, "dnsRefreshRate", 0,
                   "Time between resolutions where TTLs are not respected; 30s unless given."),
    FIELD_BOOL(cluster_dns, respect_ttl, "respectDnsTtl", 0,
               "Whether a name's TTL decides; true unless given."),
    FIELD_ENUM(cluster_dns, lookup_family, "lookupFamily", 0, dns_family_names,
               "Address families that are used."),
};
const struct table cluster_dns_table = TABLE(cluster_dns);

static const char *const proxy_protocol_names[] = {"V1", "V2", NULL};

static const struct field cluster_proxy_protocol_fields[] = {
    FIELD_ENUM(cluster_proxy_protocol, version, "version", FIELD_REQUIRED, proxy_protocol_names,
               "Version of the PROXY protocol that is sent."),
};
const struct table cluster_proxy_protocol_table = TABLE(cluster_proxy_protocol);

static void http2_keepalive_check(struct decoder *d, const struct node *node, void *object)
{
    const struct http2_keepalive *k = object;

    if (k->timeout.is_set && k->interval.is_set && k->timeout.us >= k->interval.us)
        decode_error(d, DIAG_OUT_OF_RANGE, node_find(node, "timeout"), "timeout",
                     "must be less than interval");
}

static const struct field http2_keepalive_fields[] = {
    FIELD_DURATION(http2_keepalive, interval, "interval", 0, "Silence after which a PING is sent."),
    FIELD_DURATION(http2_keepalive, timeout, "timeout", 0, "Time for a PING's answer."),
    FIELD_DURATION(http2_keepalive, idle_interval, "idleInterval", 0,
                   "Silence after which the first request is preceded by a PING."),
    FIELD_INT(http2_keepalive, interval_jitter_percent, "intervalJitter", 0, RANGE(0, 100),
              "Random lengthening of the interval, in percent."),
};
static const struct table http2_keepalive_table =
    TABLE_CHECKED(http2_keepalive, http2_keepalive_check);

static const char *const on_invalid_names[] = {"TerminateConnection", "TerminateStream", NULL};

/* RFC 9113 6.9.2 begins with 65535 bytes, and 6.9.1 ends at what a signed number holds. */
static void http2_window_check(struct decoder *d, const struct node *node, const char *key,
                               struct opt_int bytes)
{
    if (bytes.is_set && (bytes.value < UINT16_MAX || bytes.value > INT32_MAX))
        decode_error(d, DIAG_OUT_OF_RANGE, node_find(node, key), key,
                     "must be between 65535 and 2147483647 bytes");
}

static void http2_settings_check(struct decoder *d, const struct node *node, void *object)
{
    const struct http2_settings *h = object;

    http2_window_check(d, node, "initialStreamWindowSize", h->initial_stream_window_bytes);
    http2_window_check(d, node, "initialConnectionWindowSize", h->initial_connection_window_bytes);
}

static void http2_bound_judge(struct decoder *d, const struct node *node, const char *key,
                              struct opt_int asked, unsigned limit)
{
    if (asked.is_set && asked.value > limit)
        decode_warning(d, DIAG_INEFFECTIVE, node_find(node, key), key,
                       "more than %u is not given: %u", limit, limit);
}

static void http2_keepalive_judge(struct decoder *d, const struct node *node,
                                  const struct http2_keepalive *k, bool is_of_clients)
{
    size_t above = decode_enter_key(d, "connectionKeepalive");

    if (k->idle_interval.is_set && is_of_clients)
        decode_warning(d, DIAG_INEFFECTIVE, node_find(node, "idleInterval"), "idleInterval",
                       "of connections that the gateway opens, to backends, alone");
    if (k->interval_jitter_percent.is_set && !is_of_clients)
        decode_warning(d, DIAG_NOT_ENFORCED, node_find(node, "intervalJitter"), "intervalJitter",
                       "PINGs are sent after the interval, not enforced yet");
    decode_leave(d, above);
}

static void http2_judge(struct decoder *d, const struct node *parent,
                        const struct http2_settings *h, bool is_of_clients)
{
    const struct node *node = node_find(parent, "http2");
    size_t above = decode_enter_key(d, "http2");

    http2_bound_judge(d, node, "initialStreamWindowSize", h->initial_stream_window_bytes,
                      LIMIT_H2_STREAM_WINDOW_BYTES);
    http2_bound_judge(d, node, "initialConnectionWindowSize", h->initial_connection_window_bytes,
                      LIMIT_H2_WINDOW_BYTES);
    http2_bound_judge(d, node, "maxConcurrentStreams", h->max_concurrent_streams,
                      LIMIT_H2_STREAMS_MAX);
    if (h->connection_keepalive)
        http2_keepalive_judge(d, node_find(node, "connectionKeepalive"), h->connection_keepalive,
                              is_of_clients);
    decode_leave(d, above);
}

void http2_settings_judge(struct decoder *d, const struct node *parent,
                          const struct http2_settings *h)
{
    http2_judge(d, parent, h, true);
}

static const struct field http2_settings_fields[] = {
    FIELD_QUANTITY(http2_settings, initial_stream_window_bytes, "initialStreamWindowSize", 0,
                   "Flow-control window of a stream; 64Ki unless given."),
    FIELD_QUANTITY(http2_settings, initial_connection_window_bytes, "initialConnectionWindowSize",
                   0, "Flow-control window of a connection; 1Mi unless given."),
    FIELD_INT(http2_settings, max_concurrent_streams, "maxConcurrentStreams", 0,
              RANGE(1, INT32_MAX), "Streams of one connection at most; 100 unless given."),
    FIELD_ENUM(http2_settings, on_invalid_message, "onInvalidMessage", 0, on_invalid_names,
               "What ends at a malformed message: the connection (default) or its stream."),
    FIELD_OBJECT(http2_settings, connection_keepalive, "connectionKeepalive", 0, http2_keepalive,
                 "PINGs that keep connections alive."),
};
const struct table http2_settings_table = TABLE_CHECKED(http2_settings, http2_settings_check);

static void cluster_buffer_judge(struct decoder *d, const struct node *node, const char *key,
                                 struct opt_int asked, int limit)
{
    if (asked.is_set && asked.value > limit)
        decode_warning(d, DIAG_INEFFECTIVE, node_find(node, key), key,
                       "more than %d bytes is not given: %d", limit, limit);
}

static void cluster_connection_judge(struct decoder *d, const struct node *parent,
                                     const struct cluster_settings *s)
{
    const struct cluster_connection *c = s->connection;
    const struct node *node = node_find(parent, "connection");
    size_t above = decode_enter_key(d, "connection");

    cluster_buffer_judge(d, node, "bufferLimit", c->buffer_limit_bytes, LIMIT_BACKEND_BUFFER_BYTES);
    cluster_buffer_judge(d, node, "socketBufferLimit", c->socket_buffer_limit_bytes,
                         LIMIT_SOCKET_BUFFER_BYTES);
    if (c->preconnect && s->proxy_protocol)
        decode_warning(d, DIAG_INEFFECTIVE, node_find(node, "preconnect"), "preconnect",
                       "connections that carry a client's address are not opened ahead of need");
    decode_leave(d, above);
}

void cluster_judge(struct decoder *d, const struct node *parent, const struct cluster_settings *s)
{
    if (s->http2)
        http2_judge(d, parent, s->http2, false);
    if (s->connection)
        cluster_connection_judge(d, parent, s);
}

static void cluster_settings_check(struct decoder *d, const struct node *node, void *object)
{
    cluster_judge(d, node, object);
}

static const struct field cluster_settings_fields[] = {
    CLUSTER_SETTINGS_FIELDS(cluster_settings, , 0, FIELD_NOT_ENFORCED)};
const struct table cluster_settings_table = TABLE_CHECKED(cluster_settings, cluster_settings_check);
