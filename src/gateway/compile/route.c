/* compile: routes into rules. Every rule of an attached HTTPRoute (or AIGatewayRoute, ai_route.c;
 * GRPCRoute, grpc_route.c) becomes a rule_plan, and each of its matches a row of the listener's
 * route table. A rule with an error refuses; it never disappears, since then a less specific rule
 * would take its traffic. */
#include "base/assert.h"
#include "base/limits.h"
#include "gateway/compile/layer.h"
#include "gateway/compile/limit.h"
#include "gateway/compile/rule.h"
#include "gateway/compile/traffic.h"
#include "gateway/compile/traffic/retry.h"
#include "http/path.h"
#include "policy/route_table.h"

enum { WEIGHT_MAX = 1000000 };

void compile_rule_done(struct compile_rules *r)
{
    struct rule_plan *rule = r->at.rule;
    const char *why;

    compile_traffic_rule(r->c, &r->at);
    if (rule->is_ai)
        compile_check_limit_costs(r->c, &r->at, &r->listener->costs);
    rule->security = compile_security(r->c, &r->at);
    why = compile_guards(r->c, &r->at);
    if (why)
        rule->security = compile_unavailable(&r->at.plan->arena, rule->security, why);
    if (compile_judges_model(rule))
        rule->model_uses |= MODEL_JUDGED;
    if (compile_counts_model(rule))
        rule->model_uses |= MODEL_COUNTED;
    if (!rule->cors && rule->security)
        rule->cors = rule->security->cors;
}

static uint32_t compile_auth_group(struct compile_rules *r, const struct rule_plan *rule)
{
    struct listener_plan *l = r->listener;
    const struct authentication *a = rule->security ? rule->security->authentication : NULL;
    const struct authentication **grown;

    if (!a)
        return 0;
    for (uint32_t i = 0; i < l->n_authentications; i++) {
        if (l->authentications[i]->id == a->id)
            return i + 1;
    }
    grown = ARENA_ARRAY(&l->routing, const struct authentication *, l->n_authentications + 1);
    if (l->n_authentications > 0)
        memcpy(grown, l->authentications, l->n_authentications * sizeof grown[0]);
    grown[l->n_authentications++] = a;
    l->authentications = grown;
    return l->n_authentications;
}

/* Names are as written here. */
static bool compile_matches_model(const struct route_spec *spec)
{
    for (size_t i = 0; i < spec->n_headers; i++) {
        if (str_eq_nocase(spec->headers[i].name, header_name(HEADER_X_AI_EG_MODEL)) ||
            str_eq_nocase(spec->headers[i].name, header_name(HEADER_X_MODEL)))
            return true;
    }
    return false;
}

void compile_add_match(struct compile_rules *r, struct route_spec *spec, struct mark mark)
{
    struct regex_error error;

    spec->hosts = r->attached->hostnames.items;
    spec->n_hosts = r->attached->hostnames.n;
    spec->created_unix_s = r->at.route->creation_unix_s;
    spec->route_name = r->at.plan->name;
    spec->rule_index = r->at.rule->index;
    spec->auth_group = compile_auth_group(r, r->at.rule);
    spec->rule = r->at.rule;
    if (compile_matches_model(spec))
        r->at.rule->model_uses |= MODEL_MATCHED;
    if (route_table_builder_add(r->builder, spec, &error) == 0)
        return;
    manifest_object_error(r->c->manifest, r->at.route, DIAG_INVALID_VALUE, mark,
                          "a match of this rule cannot be compiled: %s", error.text);
    /* Its traffic must not fall to another rule: match what can be matched of it, and refuse. */
    r->at.rule->is_broken = true;
    r->at.rule->why_broken = STR("a match cannot be compiled");
    spec->n_headers = 0;
    spec->n_queries = 0;
    spec->path_suffix = STR("");
    if (spec->path_kind == ROUTE_PATH_REGEX) {
        spec->path_kind = ROUTE_PATH_PREFIX;
        spec->path = STR("/");
    }
    if (route_table_builder_add(r->builder, spec, NULL) != 0)
        UNREACHABLE();
}

struct route_field_spec *compile_values(struct arena *a, const struct http_value_match *items,
                                        size_t n)
{
    struct route_field_spec *fields = ARENA_ARRAY(a, struct route_field_spec, n + 1);

    for (size_t i = 0; i < n; i++) {
        fields[i].name = items[i].name;
        fields[i].value = items[i].value;
        fields[i].is_regex = items[i].type == VALUE_REGEX;
    }
    return fields;
}

bool compile_path(struct compile *c, struct object *o, struct mark mark, struct str path,
                  struct str *ret)
{
    return compile_path_as(c, o, mark, path, 0, ret);
}

bool compile_path_as(struct compile *c, struct object *o, struct mark mark, struct str path,
                     unsigned reading, struct str *ret)
{
    struct path_found found;

    if (path_read(path, reading, &c->scratch, ret, &found) == 0)
        return true;
    manifest_object_error(c->manifest, o, DIAG_INVALID_VALUE, mark,
                          "no request has the path \"%.*s\": it would be refused", STR_ARG(path));
    return false;
}

static void compile_match_path(struct compile_rules *r, const struct http_path_match *m,
                               struct route_spec *spec)
{
    static const enum route_path_kind path_kinds[] = {
        [PATH_EXACT] = ROUTE_PATH_EXACT,
        [PATH_PREFIX] = ROUTE_PATH_PREFIX,
        [PATH_REGEX] = ROUTE_PATH_REGEX,
    };

    /* Of a broken route it may be none: what it would have matched is not known, so all below. */
    spec->path_kind = m->type >= 0 ? path_kinds[m->type] : ROUTE_PATH_PREFIX;
    spec->path = m->value;
    if (m->type == PATH_REGEX)
        return;
    /* A broken route needs no second report, but its traffic must find it all the same, and be
     * refused. */
    if (r->at.route->is_broken) {
        if (path_normalize(m->value, &r->c->scratch, &spec->path) != 0)
            spec->path = m->value; /* no request's, either way */
        return;
    }
    if (!compile_path(r->c, r->at.route, m->mark, m->value, &spec->path))
        compile_break_rule(&r->at, "the path of a match is one that no request has");
}

static void compile_http_match(struct compile_rules *r, const struct http_route_match *m,
                               uint32_t index)
{
    struct arena *a = &r->c->scratch;
    struct route_spec spec = {
        .path_kind = ROUTE_PATH_PREFIX, .path = STR("/"), .match_index = index};
    struct mark mark = r->at.route->mark;

    if (m) {
        mark = m->mark;
        if (m->path)
            compile_match_path(r, m->path, &spec);
        if (m->method >= 0)
            spec.method = str_of(http_method_names[m->method]);
        spec.headers = compile_values(a, m->headers.items, m->headers.n);
        spec.n_headers = m->headers.n;
        spec.queries = compile_values(a, m->query_params.items, m->query_params.n);
        spec.n_queries = m->query_params.n;
    }
    compile_add_match(r, &spec, mark);
}

/* Backends [first, end) are those of one priority. */
static void compile_priority(struct compile *c, struct arena *a, struct rule_plan *rule,
                             uint32_t first, uint32_t end)
{
    struct priority_plan *p = &rule->priorities[rule->n_priorities++];
    uint32_t *weights = ARENA_ARRAY(&c->scratch, uint32_t, end - first + 1);

    for (uint32_t i = first; i < end; i++)
        weights[i - first] = rule->backends[i].weight;
    p->first = first;
    weights_init(&p->weights, a, weights, end - first);
}

/* Stable: drafts of one priority keep their order. */
static void drafts_sort(struct backend_draft_vec *drafts)
{
    for (size_t i = 1; i < drafts->n; i++) {
        struct backend_draft d = drafts->items[i];
        size_t k = i;

        for (; k > 0 && drafts->items[k - 1].priority > d.priority; k--)
            drafts->items[k] = drafts->items[k - 1];
        drafts->items[k] = d;
    }
}

void compile_backends(struct compile_rules *r, struct backend_draft_vec *drafts)
{
    struct rule_plan *rule = r->at.rule;
    struct arena *a = &r->at.plan->arena;
    uint64_t largest = 0;
    uint32_t first = 0;

    drafts_sort(drafts);
    rule->backends = ARENA_ARRAY(a, struct backend_plan, drafts->n + 1);
    rule->priorities = ARENA_ARRAY(a, struct priority_plan, drafts->n + 1);
    rule->n_backends = (uint32_t)drafts->n;
    for (size_t i = 0; i < drafts->n; i++)
        largest = MAX(largest, drafts->items[i].weight);
    for (uint32_t i = 0; i < rule->n_backends; i++) {
        uint64_t weight = drafts->items[i].weight;

        rule->backends[i] = drafts->items[i].plan;
        /* The scale that lets names of one Backend share evenly goes where the weights are large
         * already. */
        if (largest > WEIGHT_MAX)
            weight = (weight + COMPILE_WEIGHT_SCALE - 1) / COMPILE_WEIGHT_SCALE;
        rule->backends[i].weight = (uint32_t)weight;
        if (i + 1 == drafts->n || drafts->items[i + 1].priority != drafts->items[i].priority) {
            compile_priority(r->c, a, rule, first, i + 1);
            first = i + 1;
        }
    }
}

void compile_route_backends(struct compile_rules *r, const struct http_backend_ref *refs, size_t n)
{
    struct backend_draft_vec drafts = {0};

    for (size_t k = 0; k < n; k++) {
        size_t before = drafts.n;

        compile_backend_ref(r->c, &r->at, &refs[k].ref, &drafts);
        for (size_t i = before; i < drafts.n; i++)
            compile_backend_filters(r->c, &r->at, &refs[k], &drafts.items[i].plan);
    }
    compile_backends(r, &drafts);
}

void compile_rule_begin(struct compile_rules *r, struct str name, const char *kind, uint32_t index)
{
    struct route_plan *plan = r->at.plan;
    struct rule_plan *rule = &plan->rules[index];

    r->at.rule = rule;
    r->at.rule_name = name;
    rule->route = plan;
    rule->index = index;
    rule->name = arena_str(&plan->arena, name);
    rule->log_name =
        arena_printf(&plan->arena, "%s/%.*s/rule/%u", kind, STR_ARG(plan->name), index);
    compile_traffic_begin(r->c, &r->at);
}

static void compile_http_rule(struct compile_rules *r, const struct http_route_rule *spec,
                              uint32_t index)
{
    struct rule_plan *rule = &r->at.plan->rules[index];

    compile_rule_begin(r, spec->name, "httproute", index);
    compile_filters(r->c, &r->at, spec->filters.items, spec->filters.n);
    if (spec->timeouts) {
        rule->request_us = duration_or(spec->timeouts->request, 0);
        rule->backend_request_us = duration_or(spec->timeouts->backend_request, 0);
    }
    compile_route_backends(r, spec->backend_refs.items, spec->backend_refs.n);
    compile_rule_done(r);
    compile_route_retry(r->c, &r->at, spec->retry);
    /* The route's own word, "0s" for none too, is not the policy's to change. */
    if (spec->timeouts && spec->timeouts->request.is_set)
        rule->policy_request_us = 0;
    for (size_t i = 0; i < spec->matches.n; i++)
        compile_http_match(r, &spec->matches.items[i], (uint32_t)i);
    if (spec->matches.n == 0)
        compile_http_match(r, NULL, 0);
}

static void compile_http_route(struct compile_rules *r)
{
    static const struct http_route_rule everything;
    const struct http_route *route = (const struct http_route *)r->at.route;
    size_t n = MAX(route->spec.rules.n, (size_t)1);

    r->at.plan->rules = ARENA_ARRAY(&r->at.plan->arena, struct rule_plan, n);
    r->at.plan->n_rules = (uint32_t)n;
    for (size_t i = 0; i < route->spec.rules.n; i++)
        compile_http_rule(r, &route->spec.rules.items[i], (uint32_t)i);
    /* "If no rules are specified": one that matches everything and has no backend. */
    if (route->spec.rules.n == 0)
        compile_http_rule(r, &everything, 0);
}

static void compile_number(struct compile *c, struct route_plan *plan)
{
    for (uint32_t i = 0; i < plan->n_rules; i++) {
        plan->rules[i].number = c->snapshot->n_numbers++;
        for (uint32_t k = 0; k < plan->rules[i].n_backends; k++)
            plan->rules[i].backends[k].number = c->snapshot->n_numbers++;
    }
}

/* A bad object is isolated as a whole, also where its last rule alone is bad. */
static void compile_break_route(struct compile_place *at)
{
    for (uint32_t i = 0; i < at->plan->n_rules; i++) {
        at->rule = &at->plan->rules[i];
        compile_break_rule(at, "the route has an error");
    }
}

void compile_route(struct compile *c, const struct listener_member *m,
                   const struct attached_route *attached, struct listener_plan *plan,
                   struct route_table_builder *builder)
{
    struct compile_rules r = {.c = c, .attached = attached, .listener = plan, .builder = builder};
    enum kind_id kind = attached->route->kind->id;

    r.at = (struct compile_place){.gateway = m->gateway,
                                  .listener = m->listener,
                                  .route = attached->route,
                                  .client = &plan->client,
                                  .plan = route_plan_new()};
    r.at.plan->name =
        arena_printf(&r.at.plan->arena, "%.*s/%.*s", STR_ARG(attached->route->namespace),
                     STR_ARG(attached->route->name));
    r.at.plan->label = arena_str(&r.at.plan->arena, attached->route->label);
    plan->route_plans[plan->n_route_plans++] = r.at.plan;
    if (kind == KIND_AI_GATEWAY_ROUTE)
        compile_ai_route(&r);
    else if (kind == KIND_GRPC_ROUTE)
        compile_grpc_route(&r);
    else
        compile_http_route(&r);
    if (r.at.route->is_broken)
        compile_break_route(&r.at);
    compile_number(c, r.at.plan);
}
