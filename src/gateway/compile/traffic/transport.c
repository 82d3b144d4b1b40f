/* compile: tcpKeepalive, connection, proxyProtocol and maxConnectionDuration of a
 * BackendTrafficPolicy. They make clusters of their own, as the settings of HTTP/2 do: connections
 * that were opened otherwise are not theirs. */
#include "gateway/compile/traffic/transport.h"

#include "base/limits.h"
#include "gateway/compile/rule.h"

enum {
    KEEPALIVE_PROBES_MAX = 127, /* MAX_TCP_KEEPCNT of Linux */
    SECOND_US = 1000000,
};

static int transport_bounded(struct opt_int asked, int64_t limit)
{
    return asked.is_set ? (int)MIN(asked.value, limit) : 0;
}

static int transport_seconds(struct opt_duration d)
{
    return d.is_set ? (int)MIN(MAX(d.us / SECOND_US, (uint64_t)1), (uint64_t)INT16_MAX) : 0;
}

void compile_socket_options(struct opt_int buffer_bytes, const struct tcp_keepalive *k,
                            struct socket_options *ret)
{
    ret->buffer_bytes = transport_bounded(buffer_bytes, LIMIT_SOCKET_BUFFER_BYTES);
    if (!k)
        return;
    ret->keeps_alive = true;
    ret->idle_s = transport_seconds(k->idle_time);
    ret->interval_s = transport_seconds(k->interval);
    ret->n_probes = transport_bounded(k->probes, KEEPALIVE_PROBES_MAX);
}

static uint64_t transport_age(const struct cluster_timeout *t)
{
    return t && t->http ? duration_or(t->http->max_connection_duration, 0) : 0;
}

/* A connection that carries one client's address is of no use to the next one. */
static uint32_t transport_preconnect(const struct cluster_settings *s)
{
    const struct cluster_preconnect *p = s->connection ? s->connection->preconnect : NULL;
    int64_t percent = p ? p->per_endpoint_percent.value : 0;

    return percent > 100 && !s->proxy_protocol ? (uint32_t)percent : 0;
}

const struct cluster_transport *compile_transport(struct compile *c,
                                                  const struct cluster_settings *s)
{
    static const struct opt_int none;
    const struct cluster_connection *connection = s ? s->connection : NULL;
    struct cluster_transport *t;

    if (!s ||
        (!connection && !s->tcp_keepalive && !s->proxy_protocol && transport_age(s->timeout) == 0))
        return NULL;
    t = ARENA_NEW(&c->scratch, struct cluster_transport);
    compile_socket_options(connection ? connection->socket_buffer_limit_bytes : none,
                           s->tcp_keepalive, &t->socket);
    if (connection)
        t->buffer_bytes =
            (uint32_t)transport_bounded(connection->buffer_limit_bytes, LIMIT_BACKEND_BUFFER_BYTES);
    t->age_us = transport_age(s->timeout);
    t->preconnect_percent = transport_preconnect(s);
    if (s->proxy_protocol)
        t->proxy =
            s->proxy_protocol->version == PROXY_PROTOCOL_V1 ? PROXY_VERSION_1 : PROXY_VERSION_2;
    return t;
}

struct str compile_transport_key(struct compile *c, struct str key,
                                 const struct cluster_transport *t)
{
    const struct socket_options *s = &t->socket;

    return arena_printf(&c->scratch, "%.*s|link %d,%d,%d,%d,%d,%u,%llu,%u,%d", STR_ARG(key),
                        s->buffer_bytes, s->keeps_alive, s->idle_s, s->interval_s, s->n_probes,
                        t->buffer_bytes, (unsigned long long)t->age_us, t->preconnect_percent,
                        t->proxy);
}
