/* compile: the whole. Listeners that may be opened are gathered by address and port; those of one
 * port share its sockets and, on TLS, one server with an entry per listener. */
#include "gateway/compile/compile.h"
#include "gateway/compile/health.h"

#include "base/mem.h"
#include "gateway/compile/cost.h"
#include "gateway/compile/layer.h"
#include "gateway/compile/limit.h"
#include "gateway/compile/log/access_log.h"
#include "gateway/compile/telemetry/tracing.h"
#include "gateway/compile/tls.h"
#include "gateway/server_options.h"

/* Names with '_' and paths with %2F are read, or not, before the host tells the listener: so they
 * are when any listener of the port wants them, and the others refuse them afterwards. So are paths
 * with `//`, which the others merge, and spellings of names, which they forget. */
static void compile_share_reading(struct port_plan *p)
{
    for (uint32_t i = 0; i < p->n_listeners; i++) {
        p->client.allows_underscore |= p->listeners[i]->client.allows_underscore;
        p->client.keeps_case |= p->listeners[i]->client.keeps_case;
        p->client.path_reading |= p->listeners[i]->client.path_reading;
    }
}

static bool compile_h2_differs(const struct client_h2_plan *x, const struct client_h2_plan *y)
{
    return x->stream_window != y->stream_window || x->connection_window != y->connection_window ||
           x->n_streams_max != y->n_streams_max || x->keeps_connection != y->keeps_connection ||
           x->pings_idle != y->pings_idle || x->ping_us != y->ping_us ||
           x->ping_jitter_us != y->ping_jitter_us || x->ping_answer_us != y->ping_answer_us;
}

static bool compile_limit_differs(const struct client_plan *x, const struct client_plan *y)
{
    return x->connection_limit != y->connection_limit || x->close_delay_us != y->close_delay_us ||
           x->connection_us != y->connection_us || x->ends_when_old != y->ends_when_old ||
           x->n_requests_max != y->n_requests_max;
}

static bool compile_keepalive_differs(const struct socket_options *x,
                                      const struct socket_options *y)
{
    return x->keeps_alive != y->keeps_alive || x->idle_s != y->idle_s ||
           x->interval_s != y->interval_s || x->n_probes != y->n_probes;
}

/* What runs before a request tells its host can be of one listener only: the port's first. */
static void compile_name_differences(struct compile *c, const struct port_draft *draft, uint32_t at)
{
    const struct listener_member *first = &draft->listeners.items[0].members.items[0];
    const struct listener_member *m = &draft->listeners.items[at].members.items[0];
    const struct client_plan *x = &draft->plan.client;
    const struct client_plan *y = &draft->plan.listeners[at]->client;
    const struct {
        const char *key;
        bool differs;
    } rows[] = {
        {"timeout.http.idleTimeout", x->idle_us != y->idle_us},
        {"timeout.http.streamIdleTimeout", x->silence_us != y->silence_us},
        {"timeout.tcp.connectionInspectionTimeout", x->inspect_us != y->inspect_us},
        {"timeout.tcp.tlsHandshakeTimeout",
         draft->plan.is_tls && x->handshake_us != y->handshake_us},
        {"connection.bufferLimit", x->buffer_bytes != y->buffer_bytes},
        {"connection.socketBufferLimit", x->socket.buffer_bytes != y->socket.buffer_bytes},
        {"connection.maxAcceptPerSocketEvent", x->n_accepts_max != y->n_accepts_max},
        {"tcpKeepalive", compile_keepalive_differs(&x->socket, &y->socket)},
        {"http1.enableTrailers", x->omits_trailers != y->omits_trailers},
        {"http1.http10.useDefaultHost",
         !draft->plan.is_tls && !str_eq(x->default_host, y->default_host)},
        {"proxyProtocol", x->proxy_mode != y->proxy_mode},
        {"timeout.http.requestHeadersReceivedTimeout", x->head_us != y->head_us},
        {"timeout.http.requestReceivedTimeout", x->received_us != y->received_us},
        {"headers.maxRequestHeaderLimit", x->head_bytes_limit != y->head_bytes_limit},
        {"connection.connectionLimit", compile_limit_differs(x, y)},
        {"http2", compile_h2_differs(&x->h2, &y->h2)},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct diag *d;

        if (!rows[i].differs)
            continue;
        d = diag_add(
            &c->manifest->diags, DIAG_WARNING, DIAG_INEFFECTIVE, m->listener->mark,
            m->gateway->object.label,
            "listener \"%.*s\": %s of ClientTrafficPolicies differs on port %u, where that "
            "of listener \"%.*s\" holds for all",
            STR_ARG(m->listener->name), rows[i].key, draft->plan.number,
            STR_ARG(first->listener->name));
        d->other = first->listener->mark;
        d->other_text = STR("the port's first listener");
    }
}

bool compile_tells(struct compile *c, struct str key)
{
    struct str kept;

    if (map_find(&c->told, key))
        return false;
    kept = arena_str(&c->scratch, key);
    map_put(&c->told, kept, c);
    return true;
}

/* False: the port cannot be opened (its TLS). */
static bool compile_port(struct compile *c, struct port_draft *draft)
{
    struct port_plan *p = &draft->plan;

    p->listeners = ARENA_ARRAY(&c->snapshot->arena, struct listener_plan *, draft->listeners.n);
    VEC_FOREACH (&draft->listeners, of) {
        struct listener_plan *l = compile_listener(c, of);

        l->index = c->n_listeners++;
        p->listeners[p->n_listeners++] = l;
        if (l->hostname.len > 0 && l->hostname.ptr[0] != '*')
            map_put(&p->by_host, l->hostname, l);
    }
    p->client = p->listeners[0]->client;
    for (uint32_t i = 1; i < p->n_listeners; i++)
        compile_name_differences(c, draft, i);
    compile_share_reading(p);
    return !p->is_tls || compile_port_tls(c, draft);
}

static void compile_drop_port(struct port_plan *p)
{
    for (uint32_t i = 0; i < p->n_listeners; i++) {
        listener_plan_close(p->listeners[i]);
        listener_plan_unref(p->listeners[i]);
    }
    map_deinit(&p->by_host);
}

static void compile_ports(struct compile *c)
{
    struct port_draft_vec ports = {0};
    struct snapshot *s = c->snapshot;

    compile_gather(c, &ports);
    s->ports = ARENA_ARRAY(&s->arena, struct port_plan, ports.n + 1);
    VEC_FOREACH (&ports, draft) {
        if (compile_port(c, draft))
            s->ports[s->n_ports++] = draft->plan;
        else
            compile_drop_port(&draft->plan);
    }
}

int compile_pass(const struct compile_input *input, struct manifest *m,
                 struct snapshot **ret_snapshot)
{
    struct snapshot *s = snapshot_new();
    struct compile c = {
        .options = input->options,
        .clusters = input->clusters,
        .feeds = input->feeds,
        .exporters = input->exporters,
        .limits = input->limits,
        .log_writer = input->log_writer,
        .tickets = input->tickets,
        .manifest = m,
        .snapshot = s,
    };

    arena_init(&c.scratch, 65536);
    compile_check_costs(&c);
    compile_check_logs(&c);
    compile_check_tracing(&c);
    compile_ports(&c);
    s->manifest = m;
    s->clusters = c.used_clusters.items;
    s->n_clusters = (uint32_t)c.used_clusters.n;
    s->publications = c.publications.items;
    s->n_publications = (uint32_t)c.publications.n;
    /* Control, which publishes them, has other things to do than to build tables. */
    VEC_FOREACH (&c.publications, p)
        cluster_prepare(p->cluster, p->endpoints);
    s->feeds = c.used_feeds.items;
    s->n_feeds = (uint32_t)c.used_feeds.n;
    s->bounds = c.bounds.items;
    s->n_bounds = (uint32_t)c.bounds.n;
    compile_certificates(&c);
    compile_health_done(&c);
    compile_limits_done(&c);
    compile_drop_sets(&c);
    map_deinit(&c.told);
    arena_deinit(&c.scratch);
    *ret_snapshot = s;
    return 0;
}
