/* Routes: AI routes that anybody may use, times that end streams, and an EnvoyProxy that nothing
 * uses. */
#include "gateway/advice/advice_internal.h"
#include "llm/ai_endpoint.h"
#include "manifest/client_traffic_policy.h"
#include "manifest/envoy_proxy.h"
#include "manifest/gateway_class.h"
#include "policy/cidr.h"

/* ---- who may come in ---- */

static bool policy_asks(const struct security_policy_spec *s)
{
    return (s->jwt && !s->jwt->optional.value) || s->api_key_auth || s->basic_auth || s->ext_auth ||
           s->has_oidc || s->authorization;
}

/* The most specific policy holds as a whole, unless it says that it merges. */
static bool chain_asks(const struct policy_chain *chain)
{
    for (size_t i = 0; i < chain->n; i++) {
        const struct security_policy *p =
            CONTAINER_OF(chain->items[i], struct security_policy, object);

        if (p->object.is_broken || policy_asks(&p->spec))
            return true;
        if (p->spec.merge_type < 0)
            return false;
    }
    return false;
}

static bool policies_ask(const struct object_vec *policies)
{
    for (size_t i = 0; i < policies->n; i++) {
        const struct client_tls *tls =
            CONTAINER_OF(policies->items[i], struct client_traffic_policy, object)->spec.tls;

        if (tls && tls->client_validation && !client_validation_is_optional(tls->client_validation))
            return true;
    }
    return false;
}

/* Client certificates: of the listener's policy, the Gateway's, or its own tls.frontend. */
static bool listener_asks(struct advice *a, const struct advice_place *at)
{
    const struct gateway_tls *tls = at->gateway->spec.tls;

    return (tls && tls->frontend) ||
           policies_ask(manifest_policies_at(a->m, KIND_CLIENT_TRAFFIC_POLICY, &at->gateway->object,
                                             at->listener->name)) ||
           policies_ask(manifest_policies_at(a->m, KIND_CLIENT_TRAFFIC_POLICY, &at->gateway->object,
                                             STR("")));
}

/* Only for who is on the machine already. */
static bool gateway_is_local(const struct gateway *g)
{
    struct cidr loopback;
    bool is_cidr = cidr_parse(STR("127.0.0.0/8"), &loopback);

    for (size_t i = 0; i < g->addresses.n; i++) {
        struct ip_address ip;

        if (!ip_address_parse(g->addresses.items[i], &ip) ||
            (!(is_cidr && cidr_has(&loopback, &ip)) && !str_eq(g->addresses.items[i], STR("::1"))))
            return false;
    }
    return g->addresses.n > 0;
}

/* Of the founding form: in front of every Backend that the rule may use. */
static bool backends_ask(struct advice *a, const struct ai_route_rule *rule)
{
    VEC_FOREACH (&rule->backend_refs, ref) {
        const struct ai_service_backend *s = NULL;
        const struct object *backend;

        if (ref->ref.target && ref->ref.target->kind->id == KIND_AI_SERVICE_BACKEND)
            s = CONTAINER_OF(ref->ref.target, struct ai_service_backend, object);
        backend = s && s->spec.backend_ref ? s->spec.backend_ref->target : NULL;
        if (!backend ||
            manifest_policies_at(a->m, KIND_BACKEND_SECURITY_POLICY, backend, STR(""))->n == 0)
            return false;
    }
    return rule->backend_refs.n > 0;
}

static void advise_open_route(struct advice *a, const struct advice_place *at,
                              const struct ai_gateway_route *route, struct map *told)
{
    for (size_t i = 0; i < route->spec.rules.n; i++) {
        const struct ai_route_rule *rule = &route->spec.rules.items[i];
        struct policy_chain chain =
            manifest_policy_chain(a->m, KIND_SECURITY_POLICY, &route->object, rule->name,
                                  &at->gateway->object, at->listener->name);
        struct diag *d;

        if (chain_asks(&chain) || backends_ask(a, rule) ||
            !advice_tells(a, told, route->object.label))
            continue;
        d = diag_add(&a->m->diags, DIAG_NOTE, DIAG_OPEN_AI_ROUTE, rule->mark, route->object.label,
                     "whoever reaches listener %.*s of %.*s may use its models: nothing asks who "
                     "calls%s",
                     STR_ARG(at->listener->name), STR_ARG(at->gateway->object.label),
                     chain.n > 0 ? " (the nearest SecurityPolicy holds as a whole, and does not)"
                                 : "");
        d->path = ADVICE_PATH(a, "spec.rules[%zu]", i);
        d->hint = STR("a SecurityPolicy with jwt, apiKeyAuth or basicAuth asks; who listens on a "
                      "loopback address alone needs none");
    }
}

static void advise_open_listener(struct advice *a, const struct advice_place *at, void *user)
{
    if (gateway_is_local(at->gateway) || listener_asks(a, at))
        return;
    VEC_FOREACH (&at->listener->routes, attached) {
        if (attached->route->kind->id == KIND_AI_GATEWAY_ROUTE && !attached->route->is_broken)
            advise_open_route(a, at, CONTAINER_OF(attached->route, struct ai_gateway_route, object),
                              user);
    }
}

void advise_open_ai_routes(struct advice *a)
{
    struct map told = {0};

    advice_each_listener(a, advise_open_listener, &told);
    map_deinit(&told);
}

/* ---- times that end streams ---- */

/* Of a total shorter than this a long answer of a model may well meet the end. */
enum { ADVICE_STREAM_S = 600 };

static bool time_cuts(struct opt_duration d)
{
    return d.is_set && d.us > 0 && d.us < (uint64_t)ADVICE_STREAM_S * 1000000;
}

static void advise_time(struct advice *a, const struct object *o, struct mark at,
                        struct opt_duration time, struct str path)
{
    struct diag *d;

    if (!time_cuts(time))
        return;
    d = diag_add(&a->m->diags, DIAG_NOTE, DIAG_CUT_STREAMS, at, o->label,
                 "counts until the end of the answer: a stream that takes longer than %llu.%03llu "
                 "s is cut",
                 (unsigned long long)(time.us / 1000000),
                 (unsigned long long)(time.us / 1000 % 1000));
    d->path = path;
    d->hint = STR("timeout.http.requestTimeout of a BackendTrafficPolicy ends where a stream "
                  "begins, and streamIdleTimeout bounds its silence");
}

/* Does a path of the match lead to calls whose answers are streams? "/" alone says nothing. */
static bool path_may_stream(const struct http_path_match *path)
{
    static const enum ai_endpoint streams[] = {
        AI_ENDPOINT_CHAT_COMPLETIONS, AI_ENDPOINT_COMPLETIONS,        AI_ENDPOINT_RESPONSES,
        AI_ENDPOINT_MESSAGES,         AI_ENDPOINT_ANTHROPIC_MESSAGES,
    };
    struct str value = path->value;

    if (path->type == PATH_REGEX || value.len <= 1)
        return false;
    if (path->type == PATH_PREFIX && str_ends_with(value, STR("/")))
        value = str_slice(value, 0, value.len - 1);
    for (size_t i = 0; i < N_ELEMENTS(streams); i++) {
        struct str call = ai_endpoint_row(streams[i])->path;

        if (str_eq(value, call) || (path->type == PATH_PREFIX && str_starts_with(call, value) &&
                                    call.ptr[value.len] == '/'))
            return true;
    }
    return str_ends_with(value, STR("/generate_stream"));
}

static bool rule_may_stream(const struct http_route_rule *rule)
{
    VEC_FOREACH (&rule->matches, match) {
        if (match->path && path_may_stream(match->path))
            return true;
    }
    return false;
}

static void advise_cut_http(struct advice *a, const struct http_route *route)
{
    for (size_t i = 0; i < route->spec.rules.n; i++) {
        const struct http_route_rule *rule = &route->spec.rules.items[i];
        const struct http_route_timeouts *t = rule->timeouts;

        if (!t || !rule_may_stream(rule))
            continue;
        advise_time(a, &route->object, t->mark, t->request,
                    ADVICE_PATH(a, "spec.rules[%zu].timeouts.request", i));
        advise_time(a, &route->object, t->mark, t->backend_request,
                    ADVICE_PATH(a, "spec.rules[%zu].timeouts.backendRequest", i));
    }
}

static void advise_cut_ai(struct advice *a, const struct ai_gateway_route *route)
{
    for (size_t i = 0; i < route->spec.rules.n; i++) {
        const struct ai_timeouts *t = route->spec.rules.items[i].timeouts;

        if (!t)
            continue;
        advise_time(a, &route->object, t->mark, t->request,
                    ADVICE_PATH(a, "spec.rules[%zu].timeouts.request", i));
        advise_time(a, &route->object, t->mark, t->backend_request,
                    ADVICE_PATH(a, "spec.rules[%zu].timeouts.backendRequest", i));
    }
}

void advise_cut_streams(struct advice *a)
{
    VEC_FOREACH (manifest_kind(a->m, KIND_HTTP_ROUTE), o)
        advise_cut_http(a, CONTAINER_OF(*o, struct http_route, object));
    VEC_FOREACH (manifest_kind(a->m, KIND_AI_GATEWAY_ROUTE), o)
        advise_cut_ai(a, CONTAINER_OF(*o, struct ai_gateway_route, object));
    VEC_FOREACH (manifest_kind(a->m, KIND_AI_SERVICE_BACKEND), o) {
        const struct ai_timeouts *t =
            CONTAINER_OF(*o, struct ai_service_backend, object)->spec.timeouts;

        if (!t)
            continue;
        advise_time(a, *o, t->mark, t->request, STR("spec.timeouts.request"));
        advise_time(a, *o, t->mark, t->backend_request, STR("spec.timeouts.backendRequest"));
    }
}

/* ---- EnvoyProxies; policies without a target are link's to name ---- */

void advise_unattached(struct advice *a)
{
    struct map used = {0};

    VEC_FOREACH (manifest_kind(a->m, KIND_GATEWAY_CLASS), o) {
        const struct secret_ref *ref =
            CONTAINER_OF(*o, struct gateway_class, object)->spec.parameters_ref;

        if (ref && ref->target)
            map_put(&used, ref->target->label, ref->target);
    }
    VEC_FOREACH (manifest_kind(a->m, KIND_GATEWAY), o) {
        const struct gateway_infrastructure *infra =
            CONTAINER_OF(*o, struct gateway, object)->spec.infrastructure;

        if (infra && infra->parameters_ref && infra->parameters_ref->target)
            map_put(&used, infra->parameters_ref->target->label, infra->parameters_ref->target);
    }
    VEC_FOREACH (manifest_kind(a->m, KIND_ENVOY_PROXY), o) {
        struct diag *d;

        if (map_find(&used, (*o)->label))
            continue;
        d = diag_add(&a->m->diags, DIAG_WARNING, DIAG_INEFFECTIVE, (*o)->mark, (*o)->label,
                     "attached to nothing: what it says has no effect");
        d->hint = STR("name it in parametersRef of a GatewayClass, or in "
                      "infrastructure.parametersRef of a Gateway");
    }
    map_deinit(&used);
}
