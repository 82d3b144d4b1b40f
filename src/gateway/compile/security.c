/* compile: SecurityPolicies into security plans, and the late headers that they write. A policy
 * that is broken, or that uses a feature which is not enforced yet, makes its routes refuse: never
 * pass. */
#include "base/hash.h"
#include "gateway/compile/layer.h"
#include "gateway/server_options.h"
#include "manifest/backend_security_policy.h"
#include "manifest/core.h"
#include "manifest/policy_merge.h"
#include "manifest/security_policy.h"

static struct merged_policy compile_security_chain(struct compile *c,
                                                   const struct compile_place *at)
{
    struct policy_chain chain =
        manifest_policy_chain(c->manifest, KIND_SECURITY_POLICY, at->route, at->rule_name,
                              &at->gateway->object, at->listener->name);

    return policy_merge(&c->scratch, &chain);
}

static struct str *compile_strs(struct arena *a, const struct str *items, size_t n)
{
    struct str *copy = ARENA_ARRAY(a, struct str, n + 1);

    for (size_t i = 0; i < n; i++)
        copy[i] = arena_str(a, items[i]);
    return copy;
}

static void key_feed_cleanup(void *feed)
{
    key_feed_unref(feed);
}

/* ---- providers ---- */

static bool compile_claims_are_writable(struct compile *c, struct object *policy,
                                        const struct jwt_spec *spec)
{
    VEC_FOREACH (&spec->providers, provider) {
        VEC_FOREACH (&provider->claim_to_headers, claim) {
            if (!compile_may_write(c, policy, claim->mark, claim->header, "a claim"))
                return false;
        }
    }
    return true;
}

static void compile_claim_headers(struct arena *a, const struct jwt_provider_spec *spec,
                                  struct jwt_plan *plan)
{
    size_t n = spec->claim_to_headers.n;

    plan->claim_headers = ARENA_ARRAY(a, struct str, n + 1);
    plan->claim_paths = ARENA_ARRAY(a, struct str, n + 1);
    plan->n_claim_headers = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        plan->claim_headers[i] = arena_str(a, spec->claim_to_headers.items[i].header);
        plan->claim_paths[i] = arena_str(a, spec->claim_to_headers.items[i].claim);
    }
}

static void compile_sources(struct arena *a, const struct jwt_extract_from *from,
                            struct jwt_plan *plan)
{
    plan->is_default_source = !from || from->headers.n + from->cookies.n + from->params.n == 0;
    if (plan->is_default_source)
        return;
    plan->source_headers = ARENA_ARRAY(a, struct str, from->headers.n + 1);
    plan->source_prefixes = ARENA_ARRAY(a, struct str, from->headers.n + 1);
    plan->n_source_headers = (uint32_t)from->headers.n;
    for (size_t i = 0; i < from->headers.n; i++) {
        plan->source_headers[i] = arena_str(a, from->headers.items[i].name);
        plan->source_prefixes[i] = arena_str(a, from->headers.items[i].value_prefix);
    }
    plan->source_cookies = compile_strs(a, from->cookies.items, from->cookies.n);
    plan->n_source_cookies = (uint32_t)from->cookies.n;
    plan->source_params = compile_strs(a, from->params.items, from->params.n);
    plan->n_source_params = (uint32_t)from->params.n;
}

/* What makes two providers the same authentication. */
static uint64_t compile_provider_identity(const struct jwt_provider_spec *spec,
                                          const struct key_feed *feed)
{
    struct buf text = {0};

    buf_printf(&text, "%.*s\n%.*s\n%.*s\n", STR_ARG(feed->key), STR_ARG(spec->issuer),
               STR_ARG(spec->name));
    for (size_t i = 0; i < spec->audiences.n; i++)
        buf_printf(&text, "a %.*s\n", STR_ARG(spec->audiences.items[i]));
    for (size_t i = 0; i < spec->claim_to_headers.n; i++)
        buf_printf(&text, "c %.*s %.*s\n", STR_ARG(spec->claim_to_headers.items[i].header),
                   STR_ARG(spec->claim_to_headers.items[i].claim));
    for (size_t i = 0; spec->extract_from && i < spec->extract_from->headers.n; i++)
        buf_printf(&text, "h %.*s %.*s\n", STR_ARG(spec->extract_from->headers.items[i].name),
                   STR_ARG(spec->extract_from->headers.items[i].value_prefix));
    for (size_t i = 0; spec->extract_from && i < spec->extract_from->cookies.n; i++)
        buf_printf(&text, "k %.*s\n", STR_ARG(spec->extract_from->cookies.items[i]));
    for (size_t i = 0; spec->extract_from && i < spec->extract_from->params.n; i++)
        buf_printf(&text, "p %.*s\n", STR_ARG(spec->extract_from->params.items[i]));
    uint64_t identity = hash_str(buf_str(&text));

    buf_deinit(&text);
    return identity;
}

static bool compile_provider(struct compile *c, const struct compile_place *at,
                             struct object *policy, const struct jwt_provider_spec *spec,
                             struct jwt_plan *plan)
{
    struct arena *a = &at->plan->arena;

    plan->keys = compile_key_source(c, policy, spec);
    if (!plan->keys)
        return false;
    arena_on_cleanup(a, key_feed_cleanup, plan->keys);
    VEC_PUSH(&c->snapshot->arena, &c->used_feeds, key_feed_ref(plan->keys));
    plan->provider.name = arena_str(a, spec->name);
    plan->provider.issuer = arena_str(a, spec->issuer);
    plan->provider.audiences = compile_strs(a, spec->audiences.items, spec->audiences.n);
    plan->provider.n_audiences = spec->audiences.n;
    compile_claim_headers(a, spec, plan);
    compile_sources(a, spec->extract_from, plan);
    plan->identity = compile_provider_identity(spec, plan->keys);
    return true;
}

static bool compile_jwt(struct compile *c, const struct compile_place *at, struct object *policy,
                        const struct jwt_spec *spec, struct security_plan *plan)
{
    struct arena *a = &at->plan->arena;
    struct authentication *auth = ARENA_NEW(a, struct authentication);

    auth->is_optional = spec->optional.value;
    auth->id = auth->is_optional ? 1469598103934665603ULL : 1099511628211ULL;
    auth->providers = ARENA_ARRAY(a, struct jwt_plan, spec->providers.n + 1);
    for (size_t i = 0; i < spec->providers.n; i++) {
        if (!compile_provider(c, at, policy, &spec->providers.items[i], &auth->providers[i]))
            return false;
        auth->id = (auth->id ^ auth->providers[i].identity) * 1099511628211ULL;
        auth->n_providers++;
    }
    plan->authentication = auth;
    return true;
}

/* ---- authorization ---- */

static void compile_claims(struct arena *a, const struct jwt_principal *jwt,
                           struct authorize_rule_spec *rule)
{
    struct authorize_values *claims = ARENA_ARRAY(a, struct authorize_values, jwt->claims.n + 1);

    for (size_t i = 0; i < jwt->claims.n; i++) {
        const struct claim_condition *claim = &jwt->claims.items[i];

        claims[i] = (struct authorize_values){claim->name, claim->values.items, claim->values.n,
                                              claim->value_type == CLAIM_STRING_ARRAY};
    }
    rule->has_jwt = true;
    rule->provider = jwt->provider;
    rule->claims = claims;
    rule->n_claims = jwt->claims.n;
    rule->scopes = jwt->scopes.items;
    rule->n_scopes = jwt->scopes.n;
}

static void compile_principal(struct arena *a, const struct rule_principal *p,
                              struct authorize_rule_spec *rule)
{
    struct authorize_values *headers = ARENA_ARRAY(a, struct authorize_values, p->headers.n + 1);

    for (size_t i = 0; i < p->headers.n; i++)
        headers[i] =
            (struct authorize_values){p->headers.items[i].name, p->headers.items[i].values.items,
                                      p->headers.items[i].values.n, false};
    rule->headers = headers;
    rule->n_headers = p->headers.n;
    rule->cidrs = p->client_cidrs.items;
    rule->n_cidrs = p->client_cidrs.n;
    if (p->jwt)
        compile_claims(a, p->jwt, rule);
}

static void compile_operation(const struct rule_operation *op, unsigned path_reading,
                              struct authorize_rule_spec *rule)
{
    static const enum route_path_kind path_kinds[] = {ROUTE_PATH_EXACT, ROUTE_PATH_PREFIX,
                                                      ROUTE_PATH_REGEX};

    rule->methods = op->methods.items;
    rule->n_methods = op->methods.n;
    if (op->path) {
        rule->has_path = true;
        rule->path_reading = path_reading;
        rule->is_path_inverted = op->path->invert.value;
        rule->path_kind = op->path->type >= 0 && op->path->type < 3 ? path_kinds[op->path->type]
                                                                    : ROUTE_PATH_EXACT;
        rule->path = op->path->value;
    }
}

static bool compile_authorization(struct compile *c, const struct compile_place *at,
                                  struct object *policy, const struct authorization_spec *spec,
                                  struct security_plan *plan)
{
    struct authorize_rule_spec *rules =
        ARENA_ARRAY(&c->scratch, struct authorize_rule_spec, spec->rules.n + 1);
    struct authorization *authorization = ARENA_NEW(&at->plan->arena, struct authorization);
    size_t bad;

    for (size_t i = 0; i < spec->rules.n; i++) {
        const struct authorization_rule *r = &spec->rules.items[i];

        rules[i].name = r->name;
        rules[i].is_allow = r->action == RULE_ALLOW;
        if (r->principal)
            compile_principal(&c->scratch, r->principal, &rules[i]);
        if (r->operation)
            compile_operation(r->operation, client_path_reading(at->client), &rules[i]);
    }
    if (authorization_init(authorization, &at->plan->arena, rules, spec->rules.n,
                           spec->default_action == RULE_ALLOW, &bad) != 0) {
        manifest_object_error(c->manifest, policy, DIAG_INVALID_VALUE, spec->rules.items[bad].mark,
                              "authorization rule %zu is not valid", bad);
        return false;
    }
    plan->authorization = authorization;
    return true;
}

static bool compile_security_cors(struct compile *c, const struct compile_place *at,
                                  struct object *policy, const struct cors_spec *spec,
                                  struct security_plan *plan)
{
    struct cors *cors = ARENA_NEW(&at->plan->arena, struct cors);
    struct cors_policy settings = {
        .origins = spec->allow_origins.items,
        .n_origins = spec->allow_origins.n,
        .methods = spec->allow_methods.items,
        .n_methods = spec->allow_methods.n,
        .headers = spec->allow_headers.items,
        .n_headers = spec->allow_headers.n,
        .expose = spec->expose_headers.items,
        .n_expose = spec->expose_headers.n,
        .max_age_s = spec->max_age.is_set ? (int64_t)(spec->max_age.us / 1000000) : -1,
        .may_credentials = spec->allow_credentials.value,
    };
    size_t bad;

    if (cors_init(cors, &at->plan->arena, &settings, &bad) != 0) {
        manifest_object_error(c->manifest, policy, DIAG_INVALID_VALUE, spec->mark,
                              "cors.allowOrigins[%zu] is not an origin", bad);
        return false;
    }
    plan->cors = cors;
    return true;
}

/* NULL: everything is had as written; else why the routes refuse. */
static const char *compile_security_parts(struct compile *c, const struct compile_place *at,
                                          struct object *policy,
                                          const struct security_policy_spec *spec,
                                          struct security_plan *plan)
{
    if (security_policy_find_unenforced(spec))
        return "the policy uses a security feature that is not enforced yet";
    if (spec->jwt && !compile_claims_are_writable(c, policy, spec->jwt))
        return "a claim would be written into a header that frames the message";
    if (spec->jwt && !compile_jwt(c, at, policy, spec->jwt, plan))
        return "a key source of the policy cannot be had";
    if (spec->authorization && !compile_authorization(c, at, policy, spec->authorization, plan))
        return "an authorization rule is not valid";
    if (spec->cors && !compile_security_cors(c, at, policy, spec->cors, plan))
        return "an origin of the CORS policy is not valid";
    return compile_security_layers(c, at, policy, spec, plan->authentication);
}

const struct security_plan *compile_security(struct compile *c, const struct compile_place *at)
{
    struct merged_policy merged = compile_security_chain(c, at);
    struct security_plan *plan;
    const char *why;

    if (manifest_has_lost_guard(c->manifest, at->route->namespace) ||
        manifest_has_lost_guard(c->manifest, at->gateway->object.namespace))
        return compile_unavailable(&at->plan->arena, NULL,
                                   "a security policy of the namespace cannot be attached");
    if (!merged.spec)
        return NULL;
    plan = ARENA_NEW(&at->plan->arena, struct security_plan);
    plan->policy = arena_str(&at->plan->arena, merged.object->label);
    why = merged.is_broken ? "the policy has an error"
                           : compile_security_parts(c, at, merged.object, merged.spec, plan);
    if (why) {
        plan->is_unavailable = true;
        plan->why = str_of(why);
        plan->authentication = NULL;
    }
    return plan;
}

const struct security_plan *compile_unavailable(struct arena *a, const struct security_plan *plan,
                                                const char *why)
{
    struct security_plan *refusing = ARENA_NEW(a, struct security_plan);

    if (plan)
        *refusing = *plan;
    refusing->is_unavailable = true;
    refusing->why = str_of(why);
    return refusing;
}

/* ---- late headers ---- */

/* Authorization is never late: an external authorizer may set it, but clients must be able to send
 * it. */
static void compile_add_late(struct name_set *late, struct arena *a, struct str name)
{
    if (!str_eq_nocase(name, STR("authorization")))
        name_set_add(late, a, name);
}

static void compile_late_of_claims(const struct jwt_spec *s, struct arena *a, struct name_set *late)
{
    for (size_t i = 0; s && i < s->providers.n; i++) {
        VEC_FOREACH (&s->providers.items[i].claim_to_headers, claim)
            compile_add_late(late, a, claim->header);
    }
}

static void compile_late_of_layers(const struct api_key_auth *api_key,
                                   const struct basic_auth *basic, const struct ext_auth *ext,
                                   struct arena *a, struct name_set *late)
{
    if (api_key)
        compile_add_late(late, a, api_key->forward_client_id_header);
    if (basic)
        compile_add_late(late, a, basic->forward_username_header);
    for (size_t i = 0; ext && ext->http && i < ext->http->headers_to_backend.n; i++)
        compile_add_late(late, a, ext->http->headers_to_backend.items[i]);
}

void compile_late_headers(struct compile *c, struct arena *a, struct name_set *late)
{
    name_set_add(late, a, STR("x-ai-eg-model"));
    name_set_add(late, a, STR("x-model"));
    /* Of every policy, attached here or not: a name that is late anywhere is nobody's to forge. */
    VEC_FOREACH (manifest_kind(c->manifest, KIND_SECURITY_POLICY), o) {
        const struct security_policy_spec *s =
            &CONTAINER_OF(*o, struct security_policy, object)->spec;

        compile_late_of_claims(s->jwt, a, late);
        compile_late_of_layers(s->api_key_auth, s->basic_auth, s->ext_auth, a, late);
    }
    VEC_FOREACH (manifest_kind(c->manifest, KIND_BACKEND_SECURITY_POLICY), o) {
        const struct backend_security_policy_spec *s =
            &CONTAINER_OF(*o, struct backend_security_policy, object)->spec;

        compile_late_of_layers(s->api_key_auth, s->basic_auth, s->ext_auth, a, late);
    }
}
