/* Paths of KServe: a call to a model by its first protocol ends in ":predict", in the element that
 * a PathPrefix has to match as a whole; and its servers answer health checks where they do, not
 * where others do. */
#include "gateway/advice/advice_internal.h"
#include "llm/kserve.h"

bool advice_is_model_path(struct str path)
{
    static const struct str head = {"/v1/models/", 11};
    struct str name = str_slice(path, head.len, path.len);

    if (str_ends_with(name, STR("/")))
        name = str_slice(name, 0, name.len - 1);
    return str_starts_with(path, head) && name.len > 0 && str_find_char(name, '/', 0) < 0 &&
           str_find_char(name, ':', 0) < 0;
}

static struct str predict_of(struct advice *a, struct str prefix)
{
    if (str_ends_with(prefix, STR("/")))
        prefix = str_slice(prefix, 0, prefix.len - 1);
    return arena_printf(&a->scratch, "%.*s:predict", STR_ARG(prefix));
}

/* Might the pattern take the path? Judged by what stands before its first special character: rather
 * silent than wrong. */
static bool pattern_may_take(struct str pattern, struct str path)
{
    size_t n = 0;

    if (str_starts_with(pattern, STR("^")))
        pattern = str_slice(pattern, 1, pattern.len);
    while (n < pattern.len && !strchr("\\.[({*+?|$", pattern.ptr[n]))
        n++;
    return str_starts_with(path, str_slice(pattern, 0, n));
}

/* ---- HTTPRoutes ---- */

/* The paths that routes name for calls: exactly, or as prefixes. */
static void collect_predicts(struct advice *a, struct map *named)
{
    VEC_FOREACH (manifest_kind(a->m, KIND_HTTP_ROUTE), o) {
        VEC_FOREACH (&CONTAINER_OF(*o, struct http_route, object)->spec.rules, rule) {
            VEC_FOREACH (&rule->matches, match) {
                if (match->path && match->path->type != PATH_REGEX &&
                    str_ends_with(match->path->value, STR(":predict")))
                    map_put(named, match->path->value, match->path);
            }
        }
    }
}

static bool route_has_pattern(const struct http_route *route, struct str path)
{
    VEC_FOREACH (&route->spec.rules, rule) {
        VEC_FOREACH (&rule->matches, match) {
            if (match->path && match->path->type == PATH_REGEX &&
                pattern_may_take(match->path->value, path))
                return true;
        }
    }
    return false;
}

static void advise_match(struct advice *a, const struct http_route *route, size_t rule,
                         size_t match, const struct map *named)
{
    const struct http_route_match *m = &route->spec.rules.items[rule].matches.items[match];
    const struct http_path_match *path = m->path;
    struct str predict;
    struct diag *d;

    if (!path || path->type != PATH_PREFIX || !advice_is_model_path(path->value))
        return;
    if (m->method >= 0 && strcmp(http_method_names[m->method], "POST") != 0)
        return; /* no prediction is meant */
    predict = predict_of(a, path->value);
    if (map_find(named, predict) || route_has_pattern(route, predict))
        return;
    d = diag_add(&a->m->diags, DIAG_NOTE, DIAG_PREFIX_WITHOUT_PREDICT, path->mark,
                 route->object.label,
                 "a PathPrefix takes whole path elements: %.*s is not below %.*s, so predictions "
                 "by KServe's V1 protocol go elsewhere",
                 STR_ARG(predict), STR_ARG(path->value));
    d->path = ADVICE_PATH(a, "spec.rules[%zu].matches[%zu].path", rule, match);
    d->hint = STR("add a match of type Exact for it, and for :explain where it is served");
}

/* ---- policies ---- */

/* Where a policy speaks of the model's path in one rule, another may speak of its calls. */
struct condition_list {
    const void *rules;
    size_t n;
    const struct path_condition *(*at)(const void *rules, size_t i); /* NULL: of no path */
};

static bool list_has_predict(struct condition_list list, struct str predict)
{
    for (size_t i = 0; i < list.n; i++) {
        const struct path_condition *other = list.at(list.rules, i);

        if (other && (other->type == PATH_CONDITION_REGEX ? pattern_may_take(other->value, predict)
                                                          : str_eq(other->value, predict)))
            return true;
    }
    return false;
}

/* NULL: nothing is to be said of it. */
static struct diag *advise_condition(struct advice *a, enum diag_severity severity,
                                     const struct object *o, struct condition_list list, size_t i)
{
    const struct path_condition *path = list.at(list.rules, i);
    struct str predict;

    if (!path || path->type != PATH_CONDITION_PREFIX || !advice_is_model_path(path->value))
        return NULL;
    predict = predict_of(a, path->value);
    if (list_has_predict(list, predict))
        return NULL;
    return diag_add(&a->m->diags, severity, DIAG_PREFIX_WITHOUT_PREDICT, path->mark, o->label,
                    "a PathPrefix takes whole path elements: %.*s is not below %.*s, so the rule "
                    "does not hold for predictions by KServe's V1 protocol",
                    STR_ARG(predict), STR_ARG(path->value));
}

static const struct path_condition *authorization_path(const void *policy, size_t i)
{
    const struct authorization_spec *s = policy;
    const struct rule_operation *operation = s->rules.items[i].operation;

    return operation ? operation->path : NULL;
}

/* Does the rule let more through than somebody may think, since it does not hold for calls? */
static bool rule_opens(const struct authorization_rule *rule)
{
    const struct rule_operation *operation = rule->operation;

    return operation && operation->path &&
           (rule->action == RULE_DENY) != operation->path->invert.value;
}

static void advise_authorization(struct advice *a, const struct security_policy *p)
{
    const struct authorization_spec *s = p->spec.authorization;

    for (size_t i = 0; s && i < s->rules.n; i++) {
        struct condition_list list = {.rules = s, .n = s->rules.n, .at = authorization_path};
        struct diag *d = advise_condition(
            a, rule_opens(&s->rules.items[i]) ? DIAG_WARNING : DIAG_NOTE, &p->object, list, i);

        if (!d)
            continue;
        d->path = ADVICE_PATH(a, "spec.authorization.rules[%zu].operation.path", i);
        d->hint = STR("add a rule with a path of type Exact for it, and for :explain");
    }
}

static const struct path_condition *selector_path(const void *policy, size_t i)
{
    const struct rate_limit_rules *s = policy;

    VEC_FOREACH (&s->rules.items[i].client_selectors, selector) {
        if (selector->path)
            return selector->path;
    }
    return NULL;
}

static void advise_selectors(struct advice *a, const struct backend_traffic_policy *p)
{
    const struct rate_limit_spec *limit = p->spec.rate_limit;
    const struct rate_limit_rules *s = limit ? limit->global : NULL;

    for (size_t i = 0; s && i < s->rules.n; i++) {
        struct condition_list list = {.rules = s, .n = s->rules.n, .at = selector_path};
        struct diag *d = advise_condition(a, DIAG_NOTE, &p->object, list, i);

        if (!d)
            continue;
        d->path = ADVICE_PATH(a, "spec.rateLimit.global.rules[%zu].clientSelectors", i);
        d->hint = STR("add a rule with a path of type Exact for it, and for :explain");
    }
}

void advise_prefixes(struct advice *a)
{
    struct map named = {0};

    collect_predicts(a, &named);
    VEC_FOREACH (manifest_kind(a->m, KIND_HTTP_ROUTE), o) {
        const struct http_route *route = CONTAINER_OF(*o, struct http_route, object);

        for (size_t i = 0; !route->object.is_broken && i < route->spec.rules.n; i++) {
            for (size_t k = 0; k < route->spec.rules.items[i].matches.n; k++)
                advise_match(a, route, i, k, &named);
        }
    }
    VEC_FOREACH (manifest_kind(a->m, KIND_SECURITY_POLICY), o)
        advise_authorization(a, CONTAINER_OF(*o, struct security_policy, object));
    VEC_FOREACH (manifest_kind(a->m, KIND_BACKEND_TRAFFIC_POLICY), o)
        advise_selectors(a, CONTAINER_OF(*o, struct backend_traffic_policy, object));
    map_deinit(&named);
}

/* ---- health checks ---- */

/* KServe's model servers have these, and 404 for others. */
static bool kserve_answers(struct str path)
{
    ssize_t query = str_find_char(path, '?', 0);

    if (query >= 0)
        path = str_slice(path, 0, (size_t)query);
    return path.len == 0 || str_eq(path, STR("/")) || str_eq(path, STR("/metrics")) ||
           kserve_version(path) > 0;
}

static bool rule_is_kserve(const struct http_route_rule *rule)
{
    VEC_FOREACH (&rule->matches, match) {
        if (match->path && match->path->type != PATH_REGEX &&
            (advice_is_model_path(match->path->value) ||
             str_starts_with(match->path->value, STR("/v2/models/")) ||
             str_ends_with(match->path->value, STR(":predict"))))
            return true;
    }
    return false;
}

/* Of the policy that says how the rule's backends are probed; NULL: nobody does by HTTP. */
static const struct backend_traffic_policy *find_prober(const struct policy_chain *chain)
{
    for (size_t i = 0; i < chain->n; i++) {
        const struct backend_traffic_policy *p =
            CONTAINER_OF(chain->items[i], struct backend_traffic_policy, object);
        const struct cluster_health_check *check = p->spec.cluster.health_check;

        if (check && check->active)
            return check->active->http ? p : NULL;
        if (p->spec.merge_type < 0)
            return NULL;
    }
    return NULL;
}

static void advise_health_path(struct advice *a, const struct backend_traffic_policy *p,
                               const struct object *route, struct str rule)
{
    const struct http_health_check *http = p->spec.cluster.health_check->active->http;
    struct diag *d;

    if (kserve_answers(http->path))
        return;
    for (size_t i = 0; i < http->expected_statuses.n; i++) {
        if (http->expected_statuses.items[i] == 404)
            return;
    }
    d = diag_add(&a->m->diags, DIAG_NOTE, DIAG_HEALTH_PATH, http->mark, p->object.label,
                 "rule %.*s of %.*s leads to KServe models, whose servers answer 404 to %.*s: they "
                 "would count as ill",
                 STR_ARG(rule), STR_ARG(route->label), STR_ARG(http->path));
    d->path = STR("spec.healthCheck.active.http.path");
    d->hint = STR("KServe's own paths are /v2/health/ready and, of a model, /v2/models/NAME/ready "
                  "or /v1/models/NAME");
}

static void advise_health_of(struct advice *a, const struct advice_place *at, void *user)
{
    struct map *told = user;

    VEC_FOREACH (&at->listener->routes, attached) {
        const struct http_route *route;

        if (attached->route->kind->id != KIND_HTTP_ROUTE || attached->route->is_broken)
            continue;
        route = CONTAINER_OF(attached->route, struct http_route, object);
        for (size_t i = 0; i < route->spec.rules.n; i++) {
            const struct http_route_rule *rule = &route->spec.rules.items[i];
            const struct backend_traffic_policy *prober;
            struct policy_chain chain;

            if (!rule_is_kserve(rule))
                continue;
            chain = manifest_policy_chain(a->m, KIND_BACKEND_TRAFFIC_POLICY, attached->route,
                                          rule->name, &at->gateway->object, at->listener->name);
            prober = find_prober(&chain);
            if (prober && advice_tells(a, told, prober->object.label))
                advise_health_path(a, prober, attached->route,
                                   rule->name.len > 0 ? rule->name
                                                      : arena_printf(&a->scratch, "%zu", i));
        }
    }
}

void advise_health_paths(struct advice *a)
{
    struct map told = {0};

    if (manifest_kind(a->m, KIND_BACKEND_TRAFFIC_POLICY)->n > 0)
        advice_each_listener(a, advise_health_of, &told);
    map_deinit(&told);
}
