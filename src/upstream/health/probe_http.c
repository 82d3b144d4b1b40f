/* Probes by HTTP: an attempt at one endpoint that nobody chooses, over a connection that
 * is made for it and closed behind it: the way to the endpoint is probed, too. Redirects are
 * statuses like others. */
#include "http/header_name.h"
#include "upstream/health/probe.h"

static const struct attempt_events probe_events;

static struct probe *probe_of(struct attempt *a)
{
    return CONTAINER_OF(a, struct probe, attempt);
}

/* That of the attempt; NULL: swept meanwhile, since the attempt is over and nothing routes to the
 * cluster any more. */
static struct pool *probe_pool(const struct probe *p)
{
    const struct upstreams *u = p->upstreams;

    return p->cluster->id < u->n_pools ? u->pools[p->cluster->id] : NULL;
}

/* Nobody has to be told: their attempt has ended. */
void probe_http_close(struct probe *p)
{
    struct pool *pool = probe_pool(p);

    for (int state = CONN_OPEN; pool && state < CONN_CLOSED; state++) {
        LIST_FOREACH (&pool->lists[state], node) {
            struct conn *c = CONTAINER_OF(node, struct conn, node);

            if (c->endpoint == &p->target)
                conn_close(c);
        }
    }
}

/* The name that it is asked by: that of the plan, else the backend's, else the address. */
static struct str probe_host(const struct probe *p)
{
    struct str name = p->cluster->server_name;

    if (p->plan->host.len > 0)
        return p->plan->host;
    /* A Backend of addresses has none but its object's ("Backend/namespace/name"). */
    return str_find_char(name, '/', 0) < 0 ? name : str_of(p->target.text);
}

static void probe_make_request(struct probe *p)
{
    struct http_request *r = &p->request;

    arena_reset(&p->arena);
    *r = (struct http_request){.method = p->plan->method,
                               .method_text = p->plan->method_text,
                               .scheme = p->cluster->tls ? STR("https") : STR("http"),
                               .authority = probe_host(p),
                               .path = p->plan->path,
                               .query = p->plan->query,
                               .minor_version = 1};
    http_headers_init(&r->headers, &p->arena);
    http_headers_add_id(&r->headers, HEADER_USER_AGENT, STR("tollgate"));
}

/* As attempt_start, but nobody chooses, nothing waits, and nothing counts at the endpoint. */
static int probe_connect(struct probe *p)
{
    struct attempt *a = &p->attempt;
    int r;

    attempt_init(a, p->upstreams, &probe_events, &p->arena);
    a->pool = upstreams_pool(p->upstreams, p->cluster);
    a->pool->speaks_http1 = true; /* or it may share the connection of another probe */
    a->request = &p->request;
    a->started_us = p->upstreams->loop->now.mono_us;
    a->state = ATTEMPT_CONNECTING;
    r = conn_open(a->pool, &p->target, a, p->plan->timeout_us, &a->conn);
    if (r != 0)
        a->state = ATTEMPT_FAILED;
    return r;
}

void probe_http_start(struct probe *p)
{
    int r;

    probe_make_request(p);
    r = probe_connect(p);
    if (r != 0)
        probe_finish(p, r == CONN_NO_ROOM ? PROBE_NOT_MADE : PROBE_FAILED);
}

static void probe_on_ready(struct attempt *a)
{
    attempt_send_end(a, NULL);
}

static void probe_on_nothing(struct attempt *a UNUSED)
{
}

static void probe_on_head(struct attempt *a)
{
    struct probe *p = probe_of(a);
    uint16_t status = a->response.status;

    p->result = status_set_has(&p->plan->expected, status)    ? PROBE_OK
                : status_set_has(&p->plan->retriable, status) ? PROBE_RETRIABLE_STATUS
                                                              : PROBE_STATUS;
}

/* What it answers is known from the head and the content that was looked at. */
static void probe_judge(struct probe *p)
{
    probe_finish(p, p->result == PROBE_OK && !probe_has_content(p) ? PROBE_CONTENT : p->result);
}

static void probe_on_data(struct attempt *a, struct str span)
{
    if (!probe_take(probe_of(a), span))
        probe_judge(probe_of(a));
}

static void probe_on_end(struct attempt *a)
{
    probe_judge(probe_of(a));
}

static void probe_on_fail(struct attempt *a, enum attempt_failure why UNUSED)
{
    probe_finish(probe_of(a), PROBE_FAILED);
}

static const struct attempt_events probe_events = {
    .on_ready = probe_on_ready,
    .on_writable = probe_on_nothing,
    .on_head = probe_on_head,
    .on_data = probe_on_data,
    .on_end = probe_on_end,
    .on_batch_end = probe_on_nothing,
    .on_fail = probe_on_fail,
};
