/* compile: health checks. Rules whose policies ask different things of one backend cannot each have
 * theirs: a backend has one prober, and one verdict on each endpoint. The policy that comes first
 * (the older, then by name) has its way, and the others are told. */
#include "gateway/compile/health.h"

#include "auth/base64url.h"
#include "gateway/compile/rule.h"
#include "gateway/compile/traffic.h"

enum {
    DEFAULT_PROBE_TIMEOUT_US = 1000000,
    DEFAULT_PROBE_INTERVAL_US = 3 * 1000000,
    DEFAULT_PROBE_UNHEALTHY_THRESHOLD = 3,
    DEFAULT_PROBE_HEALTHY_THRESHOLD = 1,
    DEFAULT_OUTLIER_INTERVAL_US = 3 * 1000000,
    DEFAULT_OUTLIER_BASE_US = 30 * 1000000,
    DEFAULT_OUTLIER_5XX = 5,
    DEFAULT_OUTLIER_LOCAL = 5,
    DEFAULT_OUTLIER_PERCENT = 10,
    DEFAULT_PANIC_PERCENT = 50,
};

/* What a backend has so far. */
struct health_draft {
    struct health_wish wish;
    struct object *policy;
};

static uint32_t health_number_or(struct opt_int given, uint32_t otherwise)
{
    return given.is_set ? (uint32_t)given.value : otherwise;
}

static void health_statuses(const struct int_vec *given, struct status_set *set)
{
    for (size_t i = 0; i < given->n; i++)
        status_set_add(set, (uint16_t)given->items[i]);
}

/* False after reporting it. */
static bool health_payload(struct compile *c, struct object *policy, const struct health_payload *p,
                           struct str *ret)
{
    char *bytes;
    ssize_t n;

    if (!p)
        return true;
    if (p->binary.len == 0) {
        *ret = p->text;
        return true;
    }
    bytes = arena_bytes(&c->snapshot->arena, p->binary.len);
    n = base64_decode(p->binary, (unsigned char *)bytes, p->binary.len);
    if (n < 0) {
        manifest_object_error(c->manifest, policy, DIAG_INVALID_VALUE, p->mark,
                              "the payload of a health check is not base64 (RFC 4648)");
        return false;
    }
    *ret = str_make(bytes, (size_t)n);
    return true;
}

static bool health_http(struct compile *c, struct object *policy, const struct http_health_check *h,
                        struct probe_plan *p)
{
    ssize_t mark = str_find_char(h->path, '?', 0);

    p->kind = PROBE_KIND_HTTP;
    p->method_text = h->method.len > 0 ? h->method : STR("GET");
    p->method = http_method_parse(p->method_text);
    p->host = h->hostname;
    p->path = str_slice(h->path, 0, mark < 0 ? h->path.len : (size_t)mark);
    if (mark >= 0)
        p->query = str_slice(h->path, (size_t)mark + 1, h->path.len);
    health_statuses(&h->expected_statuses, &p->expected);
    if (h->expected_statuses.n == 0)
        status_set_add(&p->expected, 200);
    health_statuses(&h->retriable_statuses, &p->retriable);
    return health_payload(c, policy, h->expected_response, &p->receive);
}

static bool health_tcp(struct compile *c, struct object *policy, const struct tcp_health_check *t,
                       struct probe_plan *p)
{
    p->kind = PROBE_KIND_TCP;
    return health_payload(c, policy, t->send, &p->send) &&
           health_payload(c, policy, t->receive, &p->receive);
}

static bool health_probe(struct compile *c, struct object *policy,
                         const struct active_health_check *a, struct probe_plan *p)
{
    if (!a || a->type == HEALTH_CHECK_GRPC) /* not supported: said when it was read */
        return true;
    p->timeout_us = duration_or(a->timeout, DEFAULT_PROBE_TIMEOUT_US);
    p->interval_us = duration_or(a->interval, DEFAULT_PROBE_INTERVAL_US);
    p->initial_jitter_us = duration_or(a->initial_jitter, 0);
    p->unhealthy_threshold =
        health_number_or(a->unhealthy_threshold, DEFAULT_PROBE_UNHEALTHY_THRESHOLD);
    p->healthy_threshold = health_number_or(a->healthy_threshold, DEFAULT_PROBE_HEALTHY_THRESHOLD);
    p->port = a->overrides ? (uint16_t)health_number_or(a->overrides->port, 0) : 0;
    if (a->type == HEALTH_CHECK_HTTP)
        return a->http && health_http(c, policy, a->http, p);
    return a->tcp && health_tcp(c, policy, a->tcp, p);
}

static void health_outlier(const struct passive_health_check *p, struct outlier_plan *o)
{
    if (!p)
        return;
    o->is_on = true;
    o->splits_local = p->split_external_local_origin_errors.value;
    o->ejects_one = p->always_eject_one_endpoint.value;
    o->n_5xx = health_number_or(p->consecutive_5xx_errors, DEFAULT_OUTLIER_5XX);
    o->n_gateway_errors = health_number_or(p->consecutive_gateway_errors, 0);
    o->n_local_failures =
        health_number_or(p->consecutive_local_origin_failures, DEFAULT_OUTLIER_LOCAL);
    o->failure_percent = health_number_or(p->failure_percentage_threshold, 0);
    o->percent = health_number_or(p->max_ejection_percent, DEFAULT_OUTLIER_PERCENT);
    o->base_us = duration_or(p->base_ejection_time, DEFAULT_OUTLIER_BASE_US);
    o->interval_us = duration_or(p->interval, DEFAULT_OUTLIER_INTERVAL_US);
}

static void health_key_statuses(struct buf *key, const struct status_set *set)
{
    for (size_t i = 0; i < N_ELEMENTS(set->bits); i++)
        buf_printf(key, "%llx,", (unsigned long long)set->bits[i]);
}

/* All that a plan says: texts with their lengths, so that no two plans have one key. */
static struct str health_key(struct arena *a, const struct health_plan *plan)
{
    const struct probe_plan *p = &plan->probe;
    const struct outlier_plan *o = &plan->outlier;
    const struct str texts[] = {p->method_text, p->host, p->path, p->query, p->send, p->receive};
    struct buf key = {0};
    struct str kept;

    buf_printf(&key, "%d|%llu|%llu|%llu|%u|%u|%u|%d|", p->kind, (unsigned long long)p->timeout_us,
               (unsigned long long)p->interval_us, (unsigned long long)p->initial_jitter_us,
               p->unhealthy_threshold, p->healthy_threshold, p->port, p->query.ptr != NULL);
    health_key_statuses(&key, &p->expected);
    health_key_statuses(&key, &p->retriable);
    for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
        buf_printf(&key, "%zu:", texts[i].len);
        if (texts[i].ptr)
            buf_append(&key, texts[i].ptr, texts[i].len);
    }
    buf_printf(&key, "%d%d%d|%u|%u|%u|%u|%u|%llu|%llu|%u", o->is_on, o->splits_local, o->ejects_one,
               o->n_5xx, o->n_gateway_errors, o->n_local_failures, o->failure_percent, o->percent,
               (unsigned long long)o->base_us, (unsigned long long)o->interval_us,
               plan->panic_percent);
    kept = arena_str(a, buf_str(&key));
    buf_deinit(&key);
    return kept;
}

/* NULL: nothing is asked for, or an error was reported. */
static const struct health_plan *health_make(struct compile *c, struct object *policy,
                                             const struct cluster_health_check *spec)
{
    struct health_plan *plan = ARENA_NEW(&c->snapshot->arena, struct health_plan);

    if (!health_probe(c, policy, spec->active, &plan->probe))
        return NULL;
    health_outlier(spec->passive, &plan->outlier);
    plan->panic_percent = health_number_or(spec->panic_threshold_percent, DEFAULT_PANIC_PERCENT);
    if (plan->probe.kind == PROBE_KIND_NONE && !plan->outlier.is_on)
        return NULL;
    plan->key = health_key(&c->snapshot->arena, plan);
    return plan;
}

static void health_tell(struct compile *c, const struct object *loser, const struct object *winner,
                        struct str backend)
{
    if (compile_tells(c, arena_printf(&c->scratch, "health|%.*s|%.*s|%.*s", STR_ARG(loser->label),
                                      STR_ARG(winner->label), STR_ARG(backend))))
        diag_add(&c->manifest->diags, DIAG_WARNING, DIAG_INEFFECTIVE, loser->mark, loser->label,
                 "healthCheck asks something else of %.*s than that of %.*s, which comes first: a "
                 "backend has one prober, and that one's holds for all that is sent there",
                 STR_ARG(backend), STR_ARG(winner->label));
}

static void health_ask(struct compile *c, struct cluster *b, const struct health_plan *plan,
                       struct object *policy)
{
    struct health_draft *d = map_find(&c->health, b->name);

    if (!d) {
        d = ARENA_NEW(&c->scratch, struct health_draft);
        *d = (struct health_draft){{b, plan}, policy};
        map_put(&c->health, b->name, d);
        return;
    }
    if (str_eq(d->wish.plan->key, plan->key))
        return;
    if (object_compare_age(policy, d->policy) >= 0) {
        health_tell(c, policy, d->policy, b->name);
        return;
    }
    health_tell(c, d->policy, policy, b->name);
    d->wish = (struct health_wish){b, plan};
    d->policy = policy;
}

void compile_health(struct compile *c, struct compile_place *at)
{
    const struct compile_traffic *t = at->traffic;
    const struct cluster_health_check *spec = t->spec ? t->spec->cluster.health_check : NULL;
    const struct health_plan *plan = spec ? health_make(c, t->merged.object, spec) : NULL;

    for (uint32_t i = 0; plan && i < at->rule->n_backends; i++) {
        if (at->rule->backends[i].cluster)
            health_ask(c, at->rule->backends[i].cluster, plan, t->merged.object);
    }
}

void compile_health_of(struct compile *c, struct object *policy, struct cluster *cluster,
                       const struct cluster_health_check *spec)
{
    const struct health_plan *plan = spec ? health_make(c, policy, spec) : NULL;

    if (plan)
        health_ask(c, cluster, plan, policy);
}

void compile_health_done(struct compile *c)
{
    struct snapshot *s = c->snapshot;

    s->health = ARENA_ARRAY(&s->arena, struct health_wish, c->health.n_items + 1);
    MAP_FOREACH (&c->health, slot)
        s->health[s->n_health++] = ((const struct health_draft *)slot->value)->wish;
    map_deinit(&c->health);
}
