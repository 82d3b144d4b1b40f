/* compile: the layers in front of a rule (gateway/layer/layer_plan.h), of its SecurityPolicy and of
 * the BackendSecurityPolicies ("guards") of every backend that it may use. A layer that cannot be
 * had as written makes the rule refuse. Secrets are read in credential.c. */
#include "gateway/compile/layer.h"
#include "gateway/compile/breaker.h"
#include "gateway/compile/health.h"
#include "gateway/compile/rule.h"

#include "http/grammar.h"
#include "manifest/backend_security_policy.h"
#include "manifest/security_policy.h"

static const uint64_t EXT_AUTH_TIMEOUT_US = 10 * 1000000;

static const struct str backend_authorization = {"x-backend-authorization", 23};

static struct layer_plan *compile_layers(const struct layer_draft *d)
{
    struct rule_plan *rule = d->at->rule;

    if (!rule->layers)
        rule->layers = ARENA_NEW(&d->at->plan->arena, struct layer_plan);
    return rule->layers;
}

/* ---- headers that a layer writes ---- */

static bool compile_is_claim_header(const struct authentication *a, struct str name)
{
    for (uint32_t i = 0; a && i < a->n_providers; i++) {
        for (uint32_t k = 0; k < a->providers[i].n_claim_headers; k++) {
            if (str_eq(a->providers[i].claim_headers[k], name))
                return true;
        }
    }
    return false;
}

bool compile_may_write(struct compile *c, struct object *policy, struct mark mark,
                       struct str header, const char *source)
{
    enum header_id id = header_id_find(header);

    if (!header_is_protected(id, header) && id != HEADER_HOST)
        return true;
    manifest_object_error(c->manifest, policy, DIAG_INVALID_VALUE, mark,
                          "header \"%.*s\" cannot be written from %s", STR_ARG(header), source);
    return false;
}

/* A header that is the layer's alone: what claims and the gateway say of a caller stays theirs. */
static bool compile_may_own(const struct layer_draft *d, struct mark mark, struct str header,
                            const char *source)
{
    if (!compile_may_write(d->c, d->policy, mark, header, source))
        return false;
    if (!compile_is_claim_header(d->authentication, header) &&
        !str_starts_with(header, STR("x-ai-eg-")))
        return true;
    manifest_object_error(
        d->c->manifest, d->policy, DIAG_CONFLICT, mark,
        "header \"%.*s\" comes from a claim or from the gateway itself: it cannot "
        "be written from %s",
        STR_ARG(header), source);
    return false;
}

/* ---- API keys ---- */

static void api_keys_cleanup(void *keys)
{
    api_keys_unref(keys);
}

static void compile_key_sources(struct arena *a, const struct api_key_auth *s,
                                struct api_key_plan *plan)
{
    VEC_FOREACH (&s->extract_from, from) {
        const struct str_vec *lists[] = {
            [CREDENTIAL_HEADER] = &from->headers,
            [CREDENTIAL_PARAM] = &from->params,
            [CREDENTIAL_COOKIE] = &from->cookies,
        };

        for (size_t place = 0; place < N_ELEMENTS(lists); place++) {
            for (size_t i = 0; i < lists[place]->n; i++) {
                struct credential_source *source = VEC_ADD(a, &plan->sources);

                source->place = (enum credential_place)place;
                source->name = arena_str(a, lists[place]->items[i]);
            }
        }
    }
}

static const char *compile_api_key_layer(const struct layer_draft *d, const struct api_key_auth *s)
{
    struct arena *a = &d->at->plan->arena;
    struct api_key_plan plan = {.keys = compile_keys(d, s)};

    if (!plan.keys)
        return "its API keys cannot be had";
    arena_on_cleanup(a, api_keys_cleanup, plan.keys);
    if (s->forward_client_id_header.len > 0 &&
        !compile_may_own(d, s->mark, s->forward_client_id_header, "a client id"))
        return "a client id would be written into a header that is not its own";
    plan.policy = arena_str(a, d->policy->label);
    plan.client_id_header = arena_str(a, s->forward_client_id_header);
    plan.forwards = s->sanitize.is_set && !s->sanitize.value;
    compile_key_sources(a, s, &plan);
    VEC_PUSH(a, &compile_layers(d)->api_keys, plan);
    return NULL;
}

/* ---- basic credentials ---- */

static void htpasswd_cleanup(void *users)
{
    htpasswd_unref(users);
}

static const char *compile_basic_layer(const struct layer_draft *d, const struct basic_auth *s)
{
    struct arena *a = &d->at->plan->arena;
    struct basic_plan plan = {.users = compile_users(d, s->users)};

    if (!plan.users)
        return "its users and passwords cannot be had";
    arena_on_cleanup(a, htpasswd_cleanup, plan.users);
    if (s->forward_username_header.len > 0 &&
        !compile_may_own(d, s->mark, s->forward_username_header, "a user name"))
        return "a user name would be written into a header that is not its own";
    plan.policy = arena_str(a, d->policy->label);
    plan.credential_header =
        arena_str(a, s->credential_header.len > 0 ? s->credential_header : backend_authorization);
    plan.user_header = arena_str(a, s->forward_username_header);
    plan.prefers_header = d->policy->kind->id == KIND_BACKEND_SECURITY_POLICY;
    plan.matches_tenant = s->match_tenant.value;
    plan.forwards = s->forward_credentials.value;
    VEC_PUSH(a, &compile_layers(d)->basics, plan);
    return NULL;
}

/* ---- external authorization ---- */

/* What claims and the gateway say stays theirs, whatever the authorizer answers. */
static bool compile_backend_headers(const struct layer_draft *d, const struct ext_auth_server *s,
                                    struct ext_auth_plan *plan)
{
    struct arena *a = &d->at->plan->arena;

    plan->backend_headers = ARENA_ARRAY(a, struct str, s->headers_to_backend.n + 1);
    VEC_FOREACH (&s->headers_to_backend, name) {
        if (!compile_may_write(d->c, d->policy, s->mark, *name, "an authorizer's answer"))
            return false;
        if (!compile_is_claim_header(d->authentication, *name) &&
            !str_starts_with(*name, STR("x-ai-eg-")))
            plan->backend_headers[plan->n_backend_headers++] = arena_str(a, *name);
    }
    return true;
}

static bool compile_ext_auth_path(const struct layer_draft *d, const struct ext_auth_server *s,
                                  struct str path, struct str *ret_path)
{
    if (grammar_span(path, GRAMMAR_TARGET) != path.len) {
        manifest_object_error(d->c->manifest, d->policy, DIAG_INVALID_VALUE, s->mark,
                              "\"%.*s\" is not a path", STR_ARG(path));
        return false;
    }
    *ret_path = arena_printf(&d->at->plan->arena, "%s%.*s",
                             path.len > 0 && path.ptr[0] != '/' ? "/" : "", STR_ARG(path));
    return true;
}

static struct cluster *compile_ext_auth_cluster(const struct layer_draft *d,
                                                const struct ext_auth_server *s, bool is_grpc)
{
    struct cluster *cluster = NULL;

    if (s->backend_refs.n > 1)
        diag_add(&d->c->manifest->diags, DIAG_WARNING, DIAG_UNSUPPORTED_FIELD, s->mark,
                 d->policy->label, "of the backendRefs of extAuth only the first is used");
    if (s->backend_refs.n > 0)
        cluster = compile_cluster_of(d->c, d->policy, &s->backend_refs.items[0], is_grpc,
                                     s->backend_settings);
    if (!cluster)
        manifest_object_error(d->c->manifest, d->policy, DIAG_INVALID_VALUE, s->mark,
                              "the authorizer's backend cannot be had as written");
    return cluster;
}

/* What is particular to an authorizer that is asked by HTTP. NULL, or why it cannot be had. */
static const char *compile_ext_auth_http(const struct layer_draft *d,
                                         const struct ext_auth_server *s,
                                         struct ext_auth_config *config, struct ext_auth_plan *plan)
{
    if (!compile_ext_auth_path(d, s, s->path, &config->path_prefix) ||
        !compile_ext_auth_path(d, s, s->path_override, &config->path_override))
        return "the path of its external authorizer is not valid";
    if (!compile_backend_headers(d, s, plan))
        return "an authorizer's answer would be written into a header that frames the message";
    return NULL;
}

/* And by gRPC. */
static void compile_ext_auth_grpc(const struct layer_draft *d, const struct ext_auth *s,
                                  struct ext_auth_config *config)
{
    struct arena *a = &d->at->plan->arena;

    config->is_grpc = true;
    config->authority =
        arena_str(a, compile_authority_of(d->c, d->policy, &s->grpc->backend_refs.items[0]));
    config->contexts = ARENA_ARRAY(a, struct check_context, s->context_extensions.n + 1);
    VEC_FOREACH (&s->context_extensions, e)
        config->contexts[config->n_contexts++] =
            (struct check_context){arena_str(a, e->name), arena_str(a, e->value)};
}

/* What its settings say of the calls, but for connections, which their cluster has. */
static void compile_ext_auth_settings(const struct layer_draft *d, const struct cluster_settings *s,
                                      struct ext_auth_config *config)
{
    const struct cluster_timeout *t = s ? s->timeout : NULL;

    config->connect_us = config->timeout_us;
    if (t && t->tcp)
        config->connect_us = duration_or(t->tcp->connect_timeout, config->timeout_us);
    if (t && t->http)
        config->idle_us = compile_idle_time(t->http->connection_idle_timeout);
    config->limits =
        compile_breaker_of(d->c, d->at,
                           arena_printf(&d->c->scratch, "authorizer|%.*s|%.*s",
                                        STR_ARG(d->policy->label), STR_ARG(config->cluster->name)),
                           config->cluster, s ? s->circuit_breaker : NULL);
    if (!s)
        return;
    compile_health_of(d->c, d->policy, config->cluster, s->health_check);
}

static const char *compile_ext_auth_layer(const struct layer_draft *d, const struct ext_auth *s)
{
    struct arena *a = &d->at->plan->arena;
    bool is_grpc = s->grpc != NULL;
    struct ext_auth_config config = {
        .cluster = compile_ext_auth_cluster(d, is_grpc ? s->grpc : s->http, is_grpc)};
    struct ext_auth_plan plan = {.fails_open = s->fail_open.value};
    const char *why = NULL;

    if (!config.cluster)
        return "its external authorizer cannot be had";
    arena_on_cleanup(a, compile_cluster_cleanup, config.cluster);
    if (is_grpc)
        compile_ext_auth_grpc(d, s, &config);
    else
        why = compile_ext_auth_http(d, s->http, &config, &plan);
    if (why)
        return why;
    config.timeout_us = s->timeout.us > 0 ? s->timeout.us : EXT_AUTH_TIMEOUT_US;
    compile_ext_auth_settings(d, (is_grpc ? s->grpc : s->http)->backend_settings, &config);
    config.headers = ARENA_ARRAY(a, struct str, s->headers_to_ext_auth.n + 1);
    VEC_FOREACH (&s->headers_to_ext_auth, name)
        config.headers[config.n_headers++] = arena_str(a, *name);
    plan.policy = arena_str(a, d->policy->label);
    plan.config = config;
    plan.status_on_error = s->status_on_error.is_set ? (uint16_t)s->status_on_error.value : 0;
    VEC_PUSH(a, &compile_layers(d)->ext_auths, plan);
    return NULL;
}

/* ---- policies ---- */

static const char *compile_three(const struct layer_draft *d, const struct api_key_auth *api_key,
                                 const struct basic_auth *basic, const struct ext_auth *ext)
{
    const char *why = NULL;

    if (api_key)
        why = compile_api_key_layer(d, api_key);
    if (basic && !why)
        why = compile_basic_layer(d, basic);
    if (ext && !why)
        why = compile_ext_auth_layer(d, ext);
    return why;
}

const char *compile_security_layers(struct compile *c, const struct compile_place *at,
                                    struct object *policy, const struct security_policy_spec *spec,
                                    const struct authentication *authentication)
{
    struct layer_draft d = {c, at, policy, authentication};

    return compile_three(&d, spec->api_key_auth, spec->basic_auth, spec->ext_auth);
}

static const char *compile_guard(struct compile *c, const struct compile_place *at,
                                 struct object *policy)
{
    const struct backend_security_policy_spec *spec =
        &CONTAINER_OF(policy, struct backend_security_policy, object)->spec;
    const struct security_plan *security = at->rule->security;
    struct layer_draft d = {c, at, policy, security ? security->authentication : NULL};

    if (policy->is_broken)
        return "a check in front of one of its backends has an error";
    if (backend_security_policy_find_unenforced(spec))
        return "a check in front of one of its backends is not enforced yet";
    return compile_three(&d, spec->api_key_auth, spec->basic_auth, spec->ext_auth);
}

void compile_note_guard(struct compile *c, struct object *policy)
{
    VEC_FOREACH (&c->guards, known) {
        if (*known == policy)
            return;
    }
    VEC_PUSH(&c->scratch, &c->guards, policy);
}

const char *compile_guards(struct compile *c, const struct compile_place *at)
{
    const char *why = at->rule->has_lost_guard
                          ? "a check in front of one of its backends cannot be attached"
                          : NULL;

    VEC_FOREACH (&c->guards, policy) {
        if (!why)
            why = compile_guard(c, at, *policy);
    }
    c->guards.n = 0;
    return why;
}

/* ---- by model ---- */

static bool authorization_names_model(const struct authorization *a)
{
    for (uint32_t i = 0; i < a->n_rules; i++) {
        for (uint32_t k = 0; k < a->rules[i].n_headers; k++) {
            if (header_is_model(a->rules[i].headers[k].name))
                return true;
        }
    }
    return false;
}

bool compile_judges_model(const struct rule_plan *rule)
{
    const struct authorization *a = rule->security ? rule->security->authorization : NULL;

    if (a && authorization_names_model(a))
        return true;
    for (size_t i = 0; rule->layers && i < rule->layers->ext_auths.n; i++) {
        if (ext_auth_names_model(&rule->layers->ext_auths.items[i].config))
            return true;
    }
    return false;
}

/* ---- names that no log shows ---- */

static void compile_api_key_names(const struct api_key_auth *s, struct arena *a,
                                  struct name_set *names)
{
    for (size_t i = 0; s && i < s->extract_from.n; i++) {
        VEC_FOREACH (&s->extract_from.items[i].headers, name)
            name_set_add(names, a, *name);
        VEC_FOREACH (&s->extract_from.items[i].params, name)
            name_set_add(names, a, *name);
    }
}

static void compile_basic_names(const struct basic_auth *s, struct arena *a, struct name_set *names)
{
    if (s)
        name_set_add(names, a,
                     s->credential_header.len > 0 ? s->credential_header : backend_authorization);
}

static void compile_jwt_names(const struct jwt_spec *s, struct arena *a, struct name_set *names)
{
    for (size_t i = 0; s && i < s->providers.n; i++) {
        const struct jwt_extract_from *from = s->providers.items[i].extract_from;

        if (!from)
            continue;
        VEC_FOREACH (&from->headers, header)
            name_set_add(names, a, header->name);
        VEC_FOREACH (&from->params, name)
            name_set_add(names, a, *name);
    }
}

void compile_credential_names(struct compile *c, struct arena *a, struct name_set *names)
{
    VEC_FOREACH (manifest_kind(c->manifest, KIND_SECURITY_POLICY), o) {
        const struct security_policy_spec *s =
            &CONTAINER_OF(*o, struct security_policy, object)->spec;

        compile_jwt_names(s->jwt, a, names);
        compile_api_key_names(s->api_key_auth, a, names);
        compile_basic_names(s->basic_auth, a, names);
    }
    VEC_FOREACH (manifest_kind(c->manifest, KIND_BACKEND_SECURITY_POLICY), o) {
        const struct backend_security_policy_spec *s =
            &CONTAINER_OF(*o, struct backend_security_policy, object)->spec;

        compile_api_key_names(s->api_key_auth, a, names);
        compile_basic_names(s->basic_auth, a, names);
    }
}
