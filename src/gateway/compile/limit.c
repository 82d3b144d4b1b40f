/* compile: rate limits. The rules of one policy become one set, shared by all route rules that they
 * hold for, so that thousands of routes under one Gateway's policy cost a few pointers each.
 *
 * A counter's identity is all that tells it from another: the policy that wrote the rule, the
 * rule's selectors, unit and cost, and the route rule unless it is shared. What has the same
 * identity after a reload keeps its counts; the limit itself is left out, so that raising or
 * lowering it does not forget what is used already. Neither Gateway nor listener is part of it: a
 * request counts once, whichever listener it came by. */
#include "gateway/compile/limit.h"

#include "gateway/cost.h"
#include "gateway/limit.h"
#include "llm/kserve_grpc.h"
#include "manifest/ai_gateway_route.h"
#include "manifest/backend_traffic_policy.h"
#include "policy/bucket.h"

struct limit_compile {
    struct compile *c;
    struct object *policy; /* for messages */
    struct limit_set *set;
    unsigned path_reading; /* of the listener's requests */
};

/* ---- identity ---- */

static void identity_put(struct buf *out, const char *tag, struct str text)
{
    buf_printf(out, "|%s%zu:%.*s", tag, text.len, STR_ARG(text));
}

static void identity_put_items(struct buf *out, const char *tag,
                               const struct rate_limit_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "|%s%d%d", tag, items[i].type, items[i].invert.value);
        identity_put(out, "n", items[i].name);
        identity_put(out, "v", items[i].value);
    }
}

static void identity_put_selector(struct buf *out, const struct rate_limit_selector *s)
{
    buf_printf(out, "|selector");
    identity_put_items(out, "h", s->headers.items, s->headers.n);
    identity_put_items(out, "q", s->query_params.items, s->query_params.n);
    VEC_FOREACH (&s->methods, m)
        buf_printf(out, "|m%d%d", m->value, m->invert.value);
    if (s->path) {
        buf_printf(out, "|p%d%d", s->path->type, s->path->invert.value);
        identity_put(out, "v", s->path->value);
    }
    if (s->source_cidr) {
        buf_printf(out, "|c%d%d", s->source_cidr->type, s->source_cidr->invert.value);
        identity_put(out, "v", s->source_cidr->value);
    }
}

static void identity_put_cost(struct buf *out, const char *tag,
                              const struct rate_limit_cost_part *part)
{
    if (!part)
        return;
    buf_printf(out, "|%s%d:%lld", tag, part->from,
               part->number.is_set ? (long long)part->number.value : -1);
    if (part->metadata) {
        identity_put(out, "n", part->metadata->namespace);
        identity_put(out, "k", part->metadata->key);
    }
}

/* The rule's content, but for its limit. */
static struct str identity_of_rule(struct arena *a, const char *scope, const struct object *owner,
                                   const struct rate_limit_rule *rule)
{
    struct buf out = {0};
    struct str text;

    buf_printf(&out, "%s|%.*s|%d|%s", scope, STR_ARG(owner->label), rule->limit->unit,
               rule->shared.value ? "shared" : "own");
    VEC_FOREACH (&rule->client_selectors, s)
        identity_put_selector(&out, s);
    identity_put_cost(&out, "request", rule->cost ? rule->cost->request : NULL);
    identity_put_cost(&out, "response", rule->cost ? rule->cost->response : NULL);
    text = arena_str(a, buf_str(&out));
    buf_deinit(&out);
    return text;
}

/* Rules of equal content are told apart by their order, and by nothing else: a rule keeps its count
 * when others come and go around it. */
static struct str identity_number(const struct limit_set *set, struct arena *a, struct str content)
{
    struct str unnumbered = arena_join(a, content, STR("|#"));
    unsigned n_before = 0;

    for (uint32_t i = 0; i < set->n_rules; i++)
        n_before += str_starts_with(set->rules[i].identity, unnumbered);
    return arena_printf(a, "%.*s%u", STR_ARG(unnumbered), n_before);
}

/* ---- selectors ---- */

static const struct limit_item_spec *compile_items(struct arena *a,
                                                   const struct rate_limit_item *items, size_t n)
{
    static const enum limit_item_kind item_kinds[] = {
        [LIMIT_EXACT] = LIMIT_ITEM_EXACT,
        [LIMIT_REGEX] = LIMIT_ITEM_REGEX,
        [LIMIT_DISTINCT] = LIMIT_ITEM_DISTINCT,
    };
    struct limit_item_spec *specs = ARENA_ARRAY(a, struct limit_item_spec, n + 1);

    for (size_t i = 0; i < n; i++)
        specs[i] = (struct limit_item_spec){items[i].name, items[i].value,
                                            item_kinds[items[i].type], items[i].invert.value};
    return specs;
}

static struct limit_selector_spec
compile_selector(struct arena *a, const struct rate_limit_selector *s, unsigned path_reading)
{
    static const enum route_path_kind path_kinds[] = {
        [PATH_CONDITION_EXACT] = ROUTE_PATH_EXACT,
        [PATH_CONDITION_PREFIX] = ROUTE_PATH_PREFIX,
        [PATH_CONDITION_REGEX] = ROUTE_PATH_REGEX,
    };
    struct limit_method_spec *methods = ARENA_ARRAY(a, struct limit_method_spec, s->methods.n + 1);
    struct limit_selector_spec spec = {
        .headers = compile_items(a, s->headers.items, s->headers.n),
        .n_headers = s->headers.n,
        .queries = compile_items(a, s->query_params.items, s->query_params.n),
        .n_queries = s->query_params.n,
        .methods = methods,
        .n_methods = s->methods.n,
    };

    for (size_t i = 0; i < s->methods.n; i++)
        methods[i] = (struct limit_method_spec){
            str_of(http_method_names[s->methods.items[i].value]), s->methods.items[i].invert.value};
    if (s->path) {
        spec.has_path = true;
        spec.path_reading = path_reading;
        spec.path_kind = path_kinds[s->path->type];
        spec.path = s->path->value;
        spec.is_path_inverted = s->path->invert.value;
    }
    if (s->source_cidr) {
        spec.has_cidr = true;
        spec.cidr = s->source_cidr->value;
        spec.is_cidr_distinct = s->source_cidr->type == CIDR_DISTINCT;
        spec.is_cidr_inverted = s->source_cidr->invert.value;
    }
    return spec;
}

static bool compile_selectors(struct limit_compile *l, const struct rate_limit_rule *rule,
                              struct limit_rule_plan *plan)
{
    static const char *const faults[] = {
        [LIMIT_RULE_BAD_REGEX] = "a pattern is not valid",
        [LIMIT_RULE_BAD_CIDR] = "the range of addresses is not valid",
        [LIMIT_RULE_BAD_PATH] = "no request has that path: it would be refused",
    };
    size_t n = rule->client_selectors.n;
    struct limit_selector_spec *specs =
        ARENA_ARRAY(&l->c->scratch, struct limit_selector_spec, n + 1);
    size_t bad = 0;
    int r;

    for (size_t i = 0; i < n; i++)
        specs[i] =
            compile_selector(&l->c->scratch, &rule->client_selectors.items[i], l->path_reading);
    r = limit_rule_init(&plan->rule, &l->set->arena, specs, n, &bad);
    if (r == 0)
        return true;
    manifest_object_error(l->c->manifest, l->policy, DIAG_INVALID_VALUE,
                          rule->client_selectors.items[bad].mark, "a limit cannot be enforced: %s",
                          faults[r]);
    return false;
}

/* ---- costs ---- */

static bool cost_is_known(const struct manifest *m, struct str namespace, struct str key)
{
    if (!str_eq(namespace, COST_NAMESPACE))
        return false;
    VEC_FOREACH (manifest_kind(m, KIND_AI_GATEWAY_ROUTE), o) {
        const struct ai_gateway_route *route = CONTAINER_OF(*o, struct ai_gateway_route, object);

        VEC_FOREACH (&route->spec.llm_request_costs, cost) {
            if (str_eq(cost->metadata_key, key))
                return true;
        }
    }
    return false;
}

static struct limit_cost compile_cost(struct limit_compile *l,
                                      const struct rate_limit_cost_part *part)
{
    struct arena *a = &l->set->arena;

    if (!part)
        return (struct limit_cost){.source = LIMIT_COST_NONE};
    if (part->from == COST_NUMBER)
        return (struct limit_cost){.source = LIMIT_COST_NUMBER,
                                   .number =
                                       part->number.is_set ? (uint64_t)part->number.value : 1};
    if (!cost_is_known(l->c->manifest, part->metadata->namespace, part->metadata->key))
        diag_add(&l->c->manifest->diags, DIAG_WARNING, DIAG_INEFFECTIVE, part->metadata->mark,
                 l->policy->label,
                 "no AIGatewayRoute has a cost \"%.*s\" in %.*s: the limit counts nothing",
                 STR_ARG(part->metadata->key), STR_ARG(part->metadata->namespace));
    return (struct limit_cost){.source = LIMIT_COST_METADATA,
                               .namespace = arena_str(a, part->metadata->namespace),
                               .key = arena_str(a, part->metadata->key)};
}

/* ---- sets ---- */

static uint32_t compile_window_s(int unit)
{
    static const uint32_t seconds[] = {
        [LIMIT_SECOND] = 1,         [LIMIT_MINUTE] = 60,      [LIMIT_HOUR] = 3600,
        [LIMIT_DAY] = 86400,        [LIMIT_WEEK] = 7 * 86400, [LIMIT_MONTH] = 30 * 86400,
        [LIMIT_YEAR] = 365 * 86400,
    };

    return seconds[unit];
}

static void compile_limit_rule(struct limit_compile *l, const char *scope,
                               const struct object *owner, const struct rate_limit_rule *rule,
                               unsigned index)
{
    struct limit_set *set = l->set;
    struct limit_rule_plan *plan = &set->rules[set->n_rules];
    struct limit_store *store = set->store;

    if (!compile_selectors(l, rule, plan)) {
        set->is_broken = true;
        return;
    }
    plan->policy = arena_str(&set->arena, owner->label);
    plan->name = arena_printf(&set->arena, "%s/%u", scope, index);
    plan->identity =
        identity_number(set, &set->arena, identity_of_rule(&l->c->scratch, scope, owner, rule));
    plan->limit = (uint64_t)rule->limit->requests.value;
    plan->window_s = compile_window_s(rule->limit->unit);
    plan->is_shadow = rule->shadow_mode.value;
    plan->has_headers = rule->rate_limit_headers != LIMIT_HEADERS_OFF;
    plan->request = compile_cost(l, rule->cost ? rule->cost->request : NULL);
    plan->response = compile_cost(l, rule->cost ? rule->cost->response : NULL);
    if (rule->shared.value)
        plan->counter =
            store->ops->counter(store, plan->identity, plan->window_s, plan->rule.is_distinct);
    set->n_rules++;
}

static const struct rate_limit_rules *limit_rules(const struct rate_limit_spec *spec,
                                                  enum rate_limit_type which)
{
    if (spec->type >= 0 && spec->type != (int)which)
        return NULL;
    return which == RATE_LIMIT_GLOBAL ? spec->global : spec->local;
}

/* The policy of the chain that wrote the list: merging replaces lists as a whole. */
static const struct object *limit_owner(const struct policy_chain *chain,
                                        const struct merged_policy *merged,
                                        const struct rate_limit_rules *rules,
                                        enum rate_limit_type which)
{
    for (size_t i = 0; i < merged->n_policies; i++) {
        const struct backend_traffic_policy *p =
            CONTAINER_OF(chain->items[i], struct backend_traffic_policy, object);
        const struct rate_limit_rules *own =
            p->spec.rate_limit ? limit_rules(p->spec.rate_limit, which) : NULL;

        if (own && own->rules.items == rules->rules.items)
            return chain->items[i];
    }
    return merged->object;
}

static void compile_limit_list(struct limit_compile *l, const struct policy_chain *chain,
                               const struct merged_policy *merged,
                               const struct rate_limit_rules *rules, enum rate_limit_type which)
{
    const struct object *owner;

    if (!rules)
        return;
    owner = limit_owner(chain, merged, rules, which);
    for (size_t i = 0; i < rules->rules.n; i++)
        compile_limit_rule(l, which == RATE_LIMIT_GLOBAL ? "global" : "local", owner,
                           &rules->rules.items[i], (unsigned)i);
    l->c->snapshot->has_global_limits |= which == RATE_LIMIT_GLOBAL && rules->rules.n > 0;
    if (which == RATE_LIMIT_GLOBAL && rules->rules.n > 0)
        diag_add(&l->c->manifest->diags, DIAG_NOTE, DIAG_DIFFERENCE, rules->mark, owner->label,
                 "global limits are counted by this process: each further replica of the gateway "
                 "allows them once more");
}

/* Which lists a set was made of, for listeners that read paths alike. */
struct limit_set_key {
    const void *global;
    const void *local;
    uintptr_t path_reading;
};

static struct limit_set *compile_limit_set(struct compile *c, const struct policy_chain *chain,
                                           const struct merged_policy *merged,
                                           const struct rate_limit_spec *spec,
                                           unsigned path_reading)
{
    const struct rate_limit_rules *global = limit_rules(spec, RATE_LIMIT_GLOBAL);
    const struct rate_limit_rules *local = limit_rules(spec, RATE_LIMIT_LOCAL);
    struct limit_set_key *key = ARENA_NEW(&c->scratch, struct limit_set_key);
    size_t n = (global ? global->rules.n : 0) + (local ? local->rules.n : 0);
    struct limit_compile l = {.c = c, .policy = merged->object, .path_reading = path_reading};

    key->path_reading = path_reading;
    key->global = global ? global->rules.items : NULL;
    key->local = local ? local->rules.items : NULL;
    l.set = map_find(&c->limit_sets, str_make(key, sizeof *key));
    if (l.set)
        return l.set;
    l.set = limit_set_new(c->limits);
    map_put(&c->limit_sets, str_make(key, sizeof *key), l.set);
    l.set->is_broken = n > BUCKET_CLAIMS_MAX; /* found by the decoder */
    if (l.set->is_broken)
        return l.set;
    l.set->rules = ARENA_ARRAY(&l.set->arena, struct limit_rule_plan, n + 1);
    compile_limit_list(&l, chain, merged, global, RATE_LIMIT_GLOBAL);
    compile_limit_list(&l, chain, merged, local, RATE_LIMIT_LOCAL);
    return l.set;
}

/* ---- plans ---- */

static struct limit_counter *compile_own_counter(const struct compile_place *at,
                                                 struct limit_set *set,
                                                 const struct limit_rule_plan *rule,
                                                 struct arena *scratch)
{
    struct str place =
        at->rule_name.len > 0
            ? arena_printf(scratch, "%.*s|name:%.*s", STR_ARG(at->route->label),
                           STR_ARG(at->rule_name))
            : arena_printf(scratch, "%.*s|rule:%u", STR_ARG(at->route->label), at->rule->index);
    struct str identity =
        arena_printf(scratch, "%.*s|%.*s", STR_ARG(rule->identity), STR_ARG(place));

    return set->store->ops->counter(set->store, identity, rule->window_s, rule->rule.is_distinct);
}

static const struct limit_plan *
compile_limit_plan(struct compile *c, const struct compile_place *at, struct limit_set *set)
{
    struct arena *a = &at->plan->arena;
    struct limit_plan *plan = ARENA_NEW(a, struct limit_plan);

    atomic_fetch_add_explicit(&set->n_refs, 1, memory_order_relaxed);
    plan->set = set;
    plan->counters = ARENA_ARRAY(a, struct limit_counter *, set->n_rules);
    for (uint32_t i = 0; i < set->n_rules; i++)
        plan->counters[i] = set->rules[i].counter
                                ? set->rules[i].counter
                                : compile_own_counter(at, set, &set->rules[i], &c->scratch);
    arena_on_cleanup(a, limit_plan_cleanup, plan);
    return plan;
}

void compile_limits(struct compile *c, struct compile_place *at, const struct policy_chain *chain,
                    const struct merged_policy *merged)
{
    const struct backend_traffic_policy_spec *spec = merged->spec;
    struct limit_set *set;

    if (!spec || merged->is_broken || !spec->rate_limit)
        return;
    set = compile_limit_set(c, chain, merged, spec->rate_limit, client_path_reading(at->client));
    if (set->is_broken)
        compile_break_rule(at, "a limit of its BackendTrafficPolicy cannot be enforced");
    else if (set->n_rules > 0)
        at->rule->limits = compile_limit_plan(c, at, set);
}

static bool cost_list_has(const struct cost_list *costs, struct str key)
{
    for (uint32_t i = 0; i < costs->n; i++) {
        if (str_eq(costs->items[i].metadata_key, key))
            return true;
    }
    return false;
}

static void check_limit_cost(struct compile *c, const struct compile_place *at,
                             const struct limit_rule_plan *rule, const struct limit_cost *cost,
                             const struct cost_list *costs)
{
    struct str told;

    /* Of a cost that no route has the policy is told. */
    if (cost->source != LIMIT_COST_METADATA || cost_list_has(costs, cost->key) ||
        !cost_is_known(c->manifest, cost->namespace, cost->key))
        return;
    told = arena_printf(&c->scratch, "%.*s|%.*s", STR_ARG(at->route->label), STR_ARG(cost->key));
    if (!compile_tells(c, told))
        return;
    diag_add(
        &c->manifest->diags, DIAG_WARNING, DIAG_INEFFECTIVE, at->route->mark, at->route->label,
        "llmRequestCosts has no \"%.*s\", which a limit of %.*s counts: requests of this route "
        "cost nothing there",
        STR_ARG(cost->key), STR_ARG(rule->policy));
}

void compile_check_limit_costs(struct compile *c, const struct compile_place *at,
                               const struct cost_list *costs)
{
    const struct limit_set *set = at->rule->limits ? at->rule->limits->set : NULL;
    const struct cost_list *own = &at->plan->costs;

    for (uint32_t i = 0; set && i < set->n_rules; i++)
        check_limit_cost(c, at, &set->rules[i], &set->rules[i].response, own->n > 0 ? own : costs);
}

static bool limit_is_by_usage(const struct limit_rule_plan *p)
{
    return p->request.source == LIMIT_COST_METADATA || p->response.source == LIMIT_COST_METADATA;
}

static bool limit_is_by_model(const struct limit_rule_plan *p)
{
    for (uint32_t i = 0; i < p->rule.n_selectors; i++) {
        for (uint32_t k = 0; k < p->rule.selectors[i].n_headers; k++) {
            if (header_is_model(p->rule.selectors[i].headers[k].name.text))
                return true;
        }
    }
    return false;
}

bool compile_counts_model(const struct rule_plan *rule)
{
    const struct limit_set *set = rule->limits ? rule->limits->set : NULL;

    for (uint32_t i = 0; set && i < set->n_rules; i++) {
        if (limit_is_by_model(&set->rules[i]))
            return true;
    }
    return false;
}

static void check_grpc_limit(struct compile *c, const struct compile_place *at,
                             const struct limit_rule_plan *rule, const char *why)
{
    if (compile_tells(c, arena_printf(&c->scratch, "%.*s|%s|%.*s", STR_ARG(at->route->label), why,
                                      STR_ARG(rule->policy))))
        diag_add(&c->manifest->diags, DIAG_WARNING, DIAG_NOT_ENFORCED, at->route->mark,
                 at->route->label, "%s: limits of %.*s by it do not hold for them", why,
                 STR_ARG(rule->policy));
}

void compile_check_grpc_limits(struct compile *c, const struct compile_place *at,
                               bool reads_all_models)
{
    const struct limit_set *set = at->rule->limits ? at->rule->limits->set : NULL;

    for (uint32_t i = 0; set && i < set->n_rules; i++) {
        if (limit_is_by_usage(&set->rules[i]))
            check_grpc_limit(c, at, &set->rules[i], "the usage of calls of gRPC is not metered");
        if (limit_is_by_model(&set->rules[i]) && !reads_all_models)
            check_grpc_limit(
                c, at, &set->rules[i],
                "the model is read in no call of gRPC but those of " KSERVE_GRPC_SERVICE
                " that have it in one message");
    }
}

void compile_limits_done(struct compile *c)
{
    MAP_FOREACH (&c->limit_sets, slot)
        limit_set_unref(slot->value);
    map_deinit(&c->limit_sets);
}
