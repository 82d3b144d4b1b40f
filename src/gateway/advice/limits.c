/* Limits and retries of BackendTrafficPolicies: a count that its clients choose, one that is kept
 * more often than it seems, and statuses that only Tollgate tries again. */
#include "gateway/advice/advice_internal.h"

#include <stdio.h>

#include "manifest/backend_security_policy.h"
#include "manifest/client_traffic_policy.h"

/* ---- counts by the values of a header ---- */

static void note_written(struct advice *a, struct map *written, struct str name)
{
    if (name.len > 0)
        map_put(written, arena_lower(&a->scratch, name), a);
}

/* Parameters beside headers in one map: no header begins so. */
static struct str param_key(struct advice *a, struct str name)
{
    return arena_printf(&a->scratch, "?%.*s", STR_ARG(name));
}

static void note_checks(struct advice *a, struct map *written, const struct api_key_auth *key,
                        const struct basic_auth *basic, const struct ext_auth *ext)
{
    if (key) {
        note_written(a, written, key->forward_client_id_header);
        /* A key that is not known goes no further than here. */
        VEC_FOREACH (&key->extract_from, from) {
            for (size_t i = 0; i < from->headers.n; i++)
                note_written(a, written, from->headers.items[i]);
            for (size_t i = 0; i < from->params.n; i++)
                map_put(written, param_key(a, from->params.items[i]), a);
        }
    }
    if (basic) {
        note_written(a, written, basic->forward_username_header);
        note_written(a, written, STR("authorization"));
    }
    for (size_t i = 0; ext && ext->http && i < ext->http->headers_to_backend.n; i++)
        note_written(a, written, ext->http->headers_to_backend.items[i]);
}

static void note_claims(struct advice *a, struct map *written, const struct jwt_spec *jwt)
{
    VEC_FOREACH (&jwt->providers, provider) {
        if (!provider->extract_from && !jwt->optional.value)
            note_written(a, written, STR("authorization"));
        VEC_FOREACH (&provider->claim_to_headers, claim)
            note_written(a, written, claim->header);
    }
}

static void note_filters(struct advice *a, struct map *written, const struct http_filter_vec *f)
{
    VEC_FOREACH (f, filter) {
        const struct header_modifier *mods = filter->request_header_modifier;

        for (size_t i = 0; mods && i < mods->set.n; i++)
            note_written(a, written, mods->set.items[i].name);
    }
}

static void note_routes(struct advice *a, struct map *written)
{
    VEC_FOREACH (manifest_kind(a->m, KIND_HTTP_ROUTE), o) {
        VEC_FOREACH (&CONTAINER_OF(*o, struct http_route, object)->spec.rules, rule)
            note_filters(a, written, &rule->filters);
    }
    VEC_FOREACH (manifest_kind(a->m, KIND_GRPC_ROUTE), o) {
        VEC_FOREACH (&CONTAINER_OF(*o, struct grpc_route, object)->spec.rules, rule)
            note_filters(a, written, &rule->filters);
    }
    VEC_FOREACH (manifest_kind(a->m, KIND_CLIENT_TRAFFIC_POLICY), o) {
        const struct client_headers *headers =
            CONTAINER_OF(*o, struct client_traffic_policy, object)->spec.headers;
        const struct header_edit *edit = headers ? headers->early_request_headers : NULL;

        for (size_t i = 0; edit && i < edit->set.n; i++)
            note_written(a, written, edit->set.items[i].name);
    }
}

/* What the gateway itself writes somewhere, whatever clients say, or judges. */
static void collect_written(struct advice *a, struct map *written)
{
    note_written(a, written, STR("x-ai-eg-model"));
    note_written(a, written, STR("x-model"));
    VEC_FOREACH (manifest_kind(a->m, KIND_SECURITY_POLICY), o) {
        const struct security_policy_spec *s =
            &CONTAINER_OF(*o, struct security_policy, object)->spec;

        if (s->jwt)
            note_claims(a, written, s->jwt);
        note_checks(a, written, s->api_key_auth, s->basic_auth, s->ext_auth);
    }
    VEC_FOREACH (manifest_kind(a->m, KIND_BACKEND_SECURITY_POLICY), o) {
        const struct backend_security_policy_spec *s =
            &CONTAINER_OF(*o, struct backend_security_policy, object)->spec;

        note_checks(a, written, s->api_key_auth, s->basic_auth, s->ext_auth);
    }
    note_routes(a, written);
}

static void advise_key(struct advice *a, const struct object *policy, const char *place,
                       const struct rate_limit_item *item, const char *what)
{
    struct diag *d = diag_add(
        &a->m->diags, DIAG_NOTE, DIAG_CLIENT_CHOSEN_COUNT, item->mark, policy->label,
        "each value of %s %.*s has a count of its own, and nothing here writes or judges it: a "
        "client that changes it is counted anew",
        what, STR_ARG(item->name));

    d->path = ADVICE_PATH(a, "%s", place);
    d->hint = STR("count by a header that claimToHeaders or forwardClientIDHeader writes, or by "
                  "sourceCIDR");
}

static void advise_selector(struct advice *a, const struct object *policy, const char *place,
                            const struct rate_limit_selector *selector, const struct map *written)
{
    VEC_FOREACH (&selector->headers, h) {
        if (h->type == LIMIT_DISTINCT && !map_find(written, arena_lower(&a->scratch, h->name)))
            advise_key(a, policy, place, h, "the header");
    }
    VEC_FOREACH (&selector->query_params, p) {
        if (p->type == LIMIT_DISTINCT && !map_find(written, param_key(a, p->name)))
            advise_key(a, policy, place, p, "the parameter");
    }
}

static void advise_part(struct advice *a, const struct object *policy, const char *part,
                        const struct rate_limit_rules *rules, const struct map *written)
{
    for (size_t i = 0; rules && i < rules->rules.n; i++) {
        char place[64];

        snprintf(place, sizeof place, "spec.rateLimit.%s.rules[%zu].clientSelectors", part, i);
        VEC_FOREACH (&rules->rules.items[i].client_selectors, selector)
            advise_selector(a, policy, place, selector, written);
    }
}

void advise_limit_keys(struct advice *a)
{
    struct map written = {0};

    if (manifest_kind(a->m, KIND_BACKEND_TRAFFIC_POLICY)->n > 0)
        collect_written(a, &written);
    VEC_FOREACH (manifest_kind(a->m, KIND_BACKEND_TRAFFIC_POLICY), o) {
        const struct rate_limit_spec *limit =
            CONTAINER_OF(*o, struct backend_traffic_policy, object)->spec.rate_limit;

        if (!limit)
            continue;
        advise_part(a, *o, "global", limit->global, &written);
        advise_part(a, *o, "local", limit->local, &written);
    }
    map_deinit(&written);
}

/* ---- counts of each rule ---- */

struct rule_tally {
    const struct object *policy;
    struct map routes; /* each once, however many listeners it has */
    size_t n_rules;
};

static bool policy_is_at(struct advice *a, const struct object *policy,
                         const struct advice_place *at, struct str section)
{
    const struct object_vec *there =
        manifest_policies_at(a->m, KIND_BACKEND_TRAFFIC_POLICY, &at->gateway->object, section);

    for (size_t i = 0; i < there->n; i++) {
        if (there->items[i] == policy)
            return true;
    }
    return false;
}

static size_t route_n_rules(const struct object *route)
{
    if (route->kind->id == KIND_HTTP_ROUTE)
        return CONTAINER_OF(route, const struct http_route, object)->spec.rules.n;
    if (route->kind->id == KIND_GRPC_ROUTE)
        return CONTAINER_OF(route, const struct grpc_route, object)->spec.rules.n;
    return CONTAINER_OF(route, const struct ai_gateway_route, object)->spec.rules.n;
}

static struct str route_rule_name(const struct object *route, size_t i)
{
    if (route->kind->id == KIND_HTTP_ROUTE)
        return CONTAINER_OF(route, const struct http_route, object)->spec.rules.items[i].name;
    if (route->kind->id == KIND_GRPC_ROUTE)
        return CONTAINER_OF(route, const struct grpc_route, object)->spec.rules.items[i].name;
    return CONTAINER_OF(route, const struct ai_gateway_route, object)->spec.rules.items[i].name;
}

/* A nearer policy holds as a whole, unless it says that it merges. */
static bool chain_reaches(const struct policy_chain *chain, const struct object *policy)
{
    for (size_t i = 0; i < chain->n; i++) {
        if (chain->items[i] == policy)
            return true;
        if (CONTAINER_OF(chain->items[i], struct backend_traffic_policy, object)->spec.merge_type <
            0)
            return false;
    }
    return false;
}

static void tally_listener(struct advice *a, const struct advice_place *at, void *user)
{
    struct rule_tally *tally = user;

    if (!policy_is_at(a, tally->policy, at, STR("")) &&
        !policy_is_at(a, tally->policy, at, at->listener->name))
        return;
    VEC_FOREACH (&at->listener->routes, attached) {
        const struct object *route = attached->route;

        if (!advice_tells(a, &tally->routes, route->label))
            continue;
        for (size_t i = 0; i < route_n_rules(route); i++) {
            struct policy_chain chain = manifest_policy_chain(
                a->m, KIND_BACKEND_TRAFFIC_POLICY, route, route_rule_name(route, i),
                &at->gateway->object, at->listener->name);

            tally->n_rules += chain_reaches(&chain, tally->policy);
        }
    }
}

static void advise_unshared(struct advice *a, const struct backend_traffic_policy *p,
                            size_t n_rules)
{
    const struct rate_limit_rules *rules = p->spec.rate_limit->global;

    for (size_t i = 0; i < rules->rules.n; i++) {
        const struct rate_limit_rule *rule = &rules->rules.items[i];
        struct diag *d;

        if (rule->shared.value || !rule->limit)
            continue;
        d = diag_add(&a->m->diags, DIAG_NOTE, DIAG_UNSHARED_LIMIT, rule->mark, p->object.label,
                     "counted apart for each of the %zu route rules behind the Gateway: together "
                     "they allow %lld",
                     n_rules, (long long)rule->limit->requests.value * (long long)n_rules);
        d->path = ADVICE_PATH(a, "spec.rateLimit.global.rules[%zu]", i);
        d->hint = STR("shared: true keeps one count for all");
    }
}

void advise_unshared_limits(struct advice *a)
{
    VEC_FOREACH (manifest_kind(a->m, KIND_BACKEND_TRAFFIC_POLICY), o) {
        const struct backend_traffic_policy *p =
            CONTAINER_OF(*o, struct backend_traffic_policy, object);
        struct rule_tally tally = {.policy = *o};

        if (!p->spec.rate_limit || !p->spec.rate_limit->global || p->object.is_broken)
            continue;
        advice_each_listener(a, tally_listener, &tally);
        map_deinit(&tally.routes);
        if (tally.n_rules > 1)
            advise_unshared(a, p, tally.n_rules);
    }
}

/* ---- statuses that are tried again ---- */

/* Would Envoy Gateway's triggers try it again by themselves? */
static bool triggers_cover(uint32_t triggers, int64_t status)
{
    return (triggers & 1U << RETRY_ON_5XX && status >= 500) ||
           (triggers & 1U << RETRY_ON_GATEWAY_ERROR && status >= 502 && status <= 504) ||
           (triggers & 1U << RETRY_ON_RETRIABLE_4XX && status == 409);
}

void advise_retry_codes(struct advice *a)
{
    VEC_FOREACH (manifest_kind(a->m, KIND_BACKEND_TRAFFIC_POLICY), o) {
        const struct cluster_retry *retry =
            CONTAINER_OF(*o, struct backend_traffic_policy, object)->spec.cluster.retry;
        const struct cluster_retry_on *on = retry ? retry->retry_on : NULL;
        struct diag *d;
        size_t i = 0;

        if (!on || on->triggers == 0 || on->triggers & 1U << RETRY_ON_RETRIABLE_STATUS_CODES)
            continue;
        while (i < on->http_status_codes.n &&
               triggers_cover(on->triggers, on->http_status_codes.items[i]))
            i++;
        if (i == on->http_status_codes.n)
            continue;
        d = diag_add(&a->m->diags, DIAG_NOTE, DIAG_DIFFERENCE, on->mark, (*o)->label,
                     "tried again here; Envoy Gateway heeds these statuses only with the trigger "
                     "retriable-status-codes");
        d->path = STR("spec.retry.retryOn.httpStatusCodes");
        d->hint = STR("with that trigger both do the same");
    }
}
