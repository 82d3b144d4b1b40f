/* Where it would go: each backend of the rule, by priority and share, and whether it may be used;
 * of its endpoints what is known of their health, and of its circuit breaker what there is and may
 * be. Then how long everything may take, and what is tried again. */
#include "admin/explain/parts.h"
#include "gateway/traffic/client_protocol.h"
#include "gateway/traffic/retry_plan.h"
#include "gateway/worker.h"
#include "upstream/health/usable.h"

/* ---- endpoints ---- */

static const char *endpoint_word(const struct endpoint_state *s)
{
    uint32_t bits = atomic_load_explicit(&s->health.bits, memory_order_relaxed);

    if (bits & HEALTH_EJECTED)
        return " ejected";
    return bits & HEALTH_FAILS_PROBES ? " fails its probes" : "";
}

static struct str endpoints_text(struct explain *e, struct endpoint_set *s)
{
    struct str text = STR("");

    for (uint32_t i = 0; i < s->n; i++) {
        const struct endpoint *p = &s->items[i];

        text = arena_printf(&e->arena, "%.*s%s%s%s (%u in flight)", STR_ARG(text),
                            i > 0 ? ", " : "", p->text, endpoint_word(p->state),
                            atomic_load_explicit(&p->state->n_in_flight, memory_order_relaxed));
    }
    return text;
}

/* NULL: some endpoint may be used. */
static const char *endpoints_why_none(const struct explain *e, struct endpoint_set *s,
                                      bool may_panic)
{
    if (s->state == ENDPOINTS_PENDING)
        return e->options->is_live ? "its name is not resolved yet" : NULL;
    if (s->n == 0)
        return s->state == ENDPOINTS_FAILED ? "its name does not resolve" : "it has no endpoint";
    for (uint32_t i = 0; i < s->n; i++) {
        if (endpoint_set_may_use(s, i, may_panic))
            return NULL;
    }
    return "none of its endpoints is well";
}

/* ---- the breaker ---- */

static void breaker_tell_count(struct explain *e, const char *name, uint32_t n, uint32_t limit)
{
    report_str(e->body, name,
               limit >= BOUNDED_COUNT_MAX ? arena_printf(&e->arena, "%u of any number", n)
                                          : arena_printf(&e->arena, "%u of %u", n, limit));
}

static void breaker_tell(struct explain *e, const struct exchange *x, struct cluster *c)
{
    const struct breaker_limits *l = x->rule->breaker;
    const struct breaker *b = &c->backend->breaker;

    if (!l)
        return;
    breaker_tell_count(e, "connections", bounded_count_get(&b->connections), l->n_connections);
    breaker_tell_count(e, "requests", bounded_count_get(&b->requests), l->n_requests);
}

bool explain_breaker_is_full(const struct exchange *x)
{
    const struct breaker_limits *l = x->rule ? x->rule->breaker : NULL;
    const struct cluster *c =
        l && x->backend && x->backend->cluster ? client_protocol_cluster(x, x->backend) : NULL;

    return c && bounded_count_get(&c->backend->breaker.requests) >= l->n_requests;
}

/* ---- backends ---- */

static uint64_t shares_of(const struct rule_plan *r, const struct priority_plan *p)
{
    uint64_t total = 0;

    for (uint32_t i = p->first; i < p->first + p->weights.n; i++)
        total += r->backends[i].weight;
    return total;
}

static const char *backend_why_not(struct explain *e, struct exchange *x,
                                   const struct backend_plan *b, struct endpoint_set **ret_set)
{
    *ret_set = NULL;
    switch (b->validity) {
    case BACKEND_INVALID:
        return "it is not valid: its share is refused with no_backend";
    case BACKEND_NOT_ENFORCED:
        return "a security policy of it is not enforced: its share is refused";
    case BACKEND_UNSUPPORTED:
        return "it is of a kind that is not supported: its share is refused";
    case BACKEND_VALID:
        break;
    }
    if (b->cluster) {
        struct pool *p = upstreams_pool(&x->worker->upstreams, client_protocol_cluster(x, b));

        pool_refresh(p);
        *ret_set = p->endpoints;
    }
    if (b->weight == 0)
        return "its weight is 0";
    return *ret_set ? endpoints_why_none(e, *ret_set, !x->attempt.forbids_panic) : "no cluster";
}

static void backend_tell(struct explain *e, struct exchange *x, uint32_t priority,
                         const struct backend_plan *b)
{
    uint64_t total = shares_of(x->rule, &x->rule->priorities[priority]);
    struct endpoint_set *set;
    const char *why_not = backend_why_not(e, x, b, &set);
    bool is_drawn = e->rehearsal.sent && x->backend == b;

    report_row(e->body, b->name, explain_place(e, b->name),
               why_not    ? "may not be used"
               : is_drawn ? "drawn"
                          : "may be used",
               why_not ? str_of(why_not) : STR(""));
    report_u64(e->body, "priority", priority);
    report_str(e->body, "share",
               arena_printf(&e->arena, "%llu %%",
                            (unsigned long long)(total ? (uint64_t)b->weight * 100 / total : 0)));
    if (b->ai)
        report_str(e->body, "ai_service", b->ai->name);
    if (b->ai && b->ai->model.len > 0)
        report_str(e->body, "model", b->ai->model);
    if (b->ai && b->ai->credential.header.len > 0)
        report_str(e->body, "credential_in", b->ai->credential.header);
    if (b->cluster && b->cluster->tls)
        report_str(e->body, "tls_name", b->cluster->server_name);
    if (set && set->state == ENDPOINTS_PENDING)
        report_str(e->body, "name_to_resolve", client_protocol_cluster(x, b)->resolve_host);
    else if (set)
        report_str(e->body, "endpoints", endpoints_text(e, set));
    if (b->cluster)
        breaker_tell(e, x, client_protocol_cluster(x, b));
    report_row_end(e->body);
}

static void sent_tell(struct explain *e, const struct exchange *x)
{
    const struct http_request *r = e->rehearsal.sent;

    if (!r)
        return;
    report_open(e->body, "request_to_the_backend");
    report_str(e->body, "method", r->method_text);
    report_str(e->body, "host", r->authority);
    report_str(e->body, "path", r->path);
    if (x->rule->n_mirrors > 0)
        report_u64(e->body, "copies_to_mirrors", x->rule->n_mirrors);
    report_close(e->body);
}

void explain_backends(struct explain *e, struct exchange *x)
{
    const struct rule_plan *r = x->rule;

    report_list(e->body, "backends");
    for (uint32_t i = 0; i < r->n_priorities; i++) {
        const struct priority_plan *p = &r->priorities[i];

        for (uint32_t k = p->first; k < p->first + p->weights.n; k++)
            backend_tell(e, x, i, &r->backends[k]);
    }
    report_list_close(e->body);
    sent_tell(e, x);
}

/* ---- time ---- */

void explain_timeouts(struct explain *e, const struct exchange *x)
{
    const struct rule_plan *r = x->rule;

    report_open(e->body, "timeouts");
    report_time(e->body, "connect",
                r->connect_us ? r->connect_us : (uint64_t)UPSTREAM_CONNECT_TIMEOUT_US);
    report_time(e->body, "request", r->request_us);
    report_time(e->body, "request_by_policy", r->policy_request_us);
    report_time(e->body, "backend_request", r->backend_request_us);
    report_time(e->body, "stream", r->stream_us);
    report_time(e->body, "stream_idle", r->stream_idle_us);
    report_time(e->body, "connection_idle", r->connection_idle_us);
    if (x->has_grpc_timeout)
        report_time(e->body, "callers_deadline", x->grpc_timeout_us);
    if (r->fault && r->fault->delay_share > 0)
        report_time(e->body, "injected_delay", r->fault->delay_us);
    report_close(e->body);
}

void explain_retries(struct explain *e, const struct exchange *x)
{
    static const struct {
        enum retry_condition bit;
        const char *word;
    } words[] = {{RETRY_IF_5XX, "5xx"},
                 {RETRY_IF_GATEWAY_ERROR, "gateway-error"},
                 {RETRY_IF_RESET, "reset"},
                 {RETRY_IF_RESET_BEFORE_REQUEST, "reset-before-request"},
                 {RETRY_IF_CONNECT_FAILURE, "connect-failure"},
                 {RETRY_IF_RETRIABLE_4XX, "retriable-4xx"},
                 {RETRY_IF_REFUSED_STREAM, "refused-stream"},
                 {RETRY_IF_CANCELLED, "cancelled"},
                 {RETRY_IF_DEADLINE_EXCEEDED, "deadline-exceeded"},
                 {RETRY_IF_INTERNAL, "internal"},
                 {RETRY_IF_RESOURCE_EXHAUSTED, "resource-exhausted"},
                 {RETRY_IF_UNAVAILABLE, "unavailable"}};
    const struct retry_plan *p = x->rule->retry;
    struct str on = STR("");

    if (!p)
        return;
    for (size_t i = 0; i < N_ELEMENTS(words); i++) {
        if (p->rule.conditions & (uint32_t)words[i].bit)
            on = arena_printf(&e->arena, "%.*s%s%s", STR_ARG(on), on.len ? "," : "", words[i].word);
    }
    for (size_t i = 0; i < p->rule.n_codes; i++)
        on = arena_printf(&e->arena, "%.*s%s%u", STR_ARG(on), on.len ? "," : "", p->rule.codes[i]);
    report_open(e->body, "retries");
    report_u64(e->body, "at_most", p->n_retries);
    report_str(e->body, "on", on);
    report_time(e->body, "each_try", p->try_us);
    report_close(e->body);
}
