/* compile: the rules of an AIGatewayRoute. Each takes part in routing as PathPrefix "/" with its
 * header matches, on AI endpoints only; its backends are the Backends behind AIServiceBackends,
 * ordered by priority, each with what an upstream of its schema needs: model name, changes of
 * headers and body, a credential. What cannot be had as written makes that backend's share refuse,
 * never pass without it. */
#include "base/mem.h"
#include "gateway/compile/cost.h"
#include "gateway/compile/rule.h"
#include "manifest/ai_gateway_route.h"
#include "manifest/backend_security_policy.h"
#include "manifest/core.h"
#include "manifest/http_filter.h"
#include "policy/route_table.h"

/* ---- matches ---- */

/* The list of models names those that some match names. */
static void compile_model(struct compile_rules *r, const struct ai_route_rule *spec,
                          const struct ai_header_match *h)
{
    const struct ai_gateway_route *route = (const struct ai_gateway_route *)r->at.route;
    struct listener_plan *l = r->listener;
    struct model_plan *m;

    if (h->type == 1 || !str_eq_nocase(h->name, STR("x-ai-eg-model")))
        return;
    VEC_FOREACH (&l->models, known) {
        if (str_eq(known->name, h->value))
            return;
    }
    m = VEC_ADD(&l->routing, &l->models);
    m->name = arena_str(&l->routing, h->value);
    m->owned_by = spec->models_owned_by.len ? arena_str(&l->routing, spec->models_owned_by)
                                            : STR("Envoy AI Gateway");
    if (!clock_parse_rfc3339(spec->models_created_at.ptr, spec->models_created_at.len,
                             &m->created_unix_s))
        m->created_unix_s = route->object.creation_unix_s;
}

static void compile_ai_match(struct compile_rules *r, const struct ai_route_match *m,
                             uint32_t index)
{
    struct route_spec spec = {
        .path_kind = ROUTE_PATH_PREFIX, .path = STR("/"), .match_index = index, .is_ai = true};
    struct route_field_spec *fields;

    if (m && m->headers.n > 0) {
        fields = ARENA_ARRAY(&r->c->scratch, struct route_field_spec, m->headers.n);
        for (size_t i = 0; i < m->headers.n; i++) {
            fields[i].name = m->headers.items[i].name;
            fields[i].value = m->headers.items[i].value;
            fields[i].is_regex = m->headers.items[i].type == 1;
        }
        spec.headers = fields;
        spec.n_headers = m->headers.n;
    }
    compile_add_match(r, &spec, m ? m->mark : r->at.route->mark);
}

/* ---- one backend ---- */

static const struct header_mods *compile_mutation(struct compile_rules *r, struct object *owner,
                                                  const struct ai_header_mutation *m,
                                                  bool *is_valid)
{
    struct header_modifier modifier = {.mark = m->mark};
    const struct header_mods *mods;

    modifier.set.items = m->set.items;
    modifier.set.n = m->set.n;
    modifier.remove = m->remove;
    mods = compile_header_mods(r->c, &r->at.plan->arena, owner, &modifier);
    *is_valid &= mods != NULL;
    return mods;
}

/* ---- changes of the body ---- */

static size_t mutation_count(const struct ai_body_mutation *m)
{
    return m ? m->set.n + m->remove.n : 0;
}

static bool mutation_names(const struct ai_body_mutation *m, struct str field)
{
    if (!m)
        return false;
    VEC_FOREACH (&m->set, set) {
        if (str_eq(set->path, field))
            return true;
    }
    VEC_FOREACH (&m->remove, removed) {
        if (str_eq(*removed, field))
            return true;
    }
    return false;
}

struct mutation_lists {
    struct body_field *set;
    struct str *remove;
};

/* Adds the changes of `m` to fields that `stronger` does not speak of. */
static void compile_body_mutation(struct arena *a, const struct ai_body_mutation *m,
                                  const struct ai_body_mutation *stronger,
                                  struct ai_backend_plan *plan, struct mutation_lists *to)
{
    if (!m)
        return;
    VEC_FOREACH (&m->remove, field) {
        if (!mutation_names(stronger, *field))
            to->remove[plan->n_remove++] = arena_str(a, *field);
    }
    VEC_FOREACH (&m->set, field) {
        if (!mutation_names(stronger, field->path))
            to->set[plan->n_set++] =
                body_field_make(a, arena_str(a, field->path), arena_str(a, field->value));
    }
}

static void compile_body_mutations(struct arena *a, const struct ai_body_mutation *route,
                                   const struct ai_body_mutation *service,
                                   struct ai_backend_plan *plan)
{
    size_t n = mutation_count(route) + mutation_count(service);
    struct mutation_lists to = {ARENA_ARRAY(a, struct body_field, n + 1),
                                ARENA_ARRAY(a, struct str, n + 1)};

    compile_body_mutation(a, route, NULL, plan, &to);
    compile_body_mutation(a, service, route, plan, &to);
    plan->set = to.set;
    plan->remove = to.remove;
}

/* ---- credentials ---- */

static void credential_wipe(void *credential)
{
    struct credential_plan *c = credential;

    mem_wipe((char *)(uintptr_t)c->value.ptr, c->value.len);
}

static bool compile_secret_key(struct compile_rules *r, const struct object *policy,
                               const struct secret_credential *from, struct str *ret_key)
{
    const struct secret_ref *ref = from ? from->secret_ref : NULL;

    *ret_key = ref && ref->state == REF_RESOLVED && ref->target ? keeper_find(ref->target, "apiKey")
                                                                : STR_NULL;
    *ret_key = str_trim(*ret_key);
    while (ret_key->len > 0 &&
           (ret_key->ptr[ret_key->len - 1] == '\n' || ret_key->ptr[ret_key->len - 1] == '\r'))
        ret_key->len--;
    if (ret_key->len > 0)
        return true;
    diag_add(&r->c->manifest->diags, DIAG_WARNING, DIAG_INEFFECTIVE,
             from ? from->mark : policy->mark, policy->label,
             "no Secret with a key apiKey is given: backends with this policy refuse");
    return false;
}

/* What the gateway presents to the backend. False: asked for and not to be had. */
static bool compile_credential(struct compile_rules *r, const struct object *policy,
                               struct credential_plan *ret)
{
    const struct ai_backend_security_policy *p =
        CONTAINER_OF(policy, const struct ai_backend_security_policy, object);
    struct arena *a = &r->at.plan->arena;
    struct str key = STR_NULL;
    bool is_found = false;

    switch (p->spec.type) {
    case CREDENTIAL_API_KEY:
        is_found = compile_secret_key(r, policy, p->spec.api_key, &key);
        ret->header = STR("authorization");
        ret->value = is_found ? arena_join(a, STR("Bearer "), key) : STR_NULL;
        break;
    case CREDENTIAL_ANTHROPIC_API_KEY:
        is_found = compile_secret_key(r, policy, p->spec.anthropic_api_key, &key);
        ret->header = STR("x-api-key");
        ret->value = arena_str(a, key);
        break;
    case CREDENTIAL_AZURE_API_KEY:
        is_found = compile_secret_key(r, policy, p->spec.azure_api_key, &key);
        ret->header = STR("api-key");
        ret->value = arena_str(a, key);
        break;
    default:
        break; /* named by check as not enforced */
    }
    if (is_found)
        arena_on_cleanup(a, credential_wipe, ret);
    return is_found;
}

static bool compile_credentials(struct compile_rules *r, const struct ai_service_backend *s,
                                struct credential_plan *ret)
{
    const struct object_vec *at =
        manifest_policies_at(r->c->manifest, KIND_AI_BACKEND_SECURITY_POLICY, &s->object, STR(""));
    const struct local_object_ref *older = s->spec.backend_security_policy_ref;

    if (manifest_has_lost_guard(r->c->manifest, s->object.namespace))
        return false;
    if (at->n == 0 && older)
        return older->target && !older->target->is_broken &&
               older->target->kind->id == KIND_AI_BACKEND_SECURITY_POLICY &&
               compile_credential(r, older->target, ret);
    return at->n == 0 || (!at->items[0]->is_broken && compile_credential(r, at->items[0], ret));
}

/* NULL: something that was asked for cannot be had. */
static const struct ai_backend_plan *compile_ai_service(struct compile_rules *r,
                                                        struct ai_service_backend *s,
                                                        const struct ai_backend_ref *ref)
{
    struct arena *a = &r->at.plan->arena;
    struct ai_backend_plan *plan = ARENA_NEW(a, struct ai_backend_plan);
    const struct ai_timeouts *older = s->spec.timeouts;
    /* Nothing is ever sent to a schema that is not spoken: that is what its clients are told. */
    bool is_spoken = translate_verdict(AI_ENDPOINT_CHAT_COMPLETIONS,
                                       (enum llm_schema)s->spec.schema->name) != TRANSLATE_NOT_YET;
    bool is_valid = !is_spoken || compile_credentials(r, s, &plan->credential);

    plan->name =
        arena_printf(a, "%.*s/%.*s", STR_ARG(s->object.namespace), STR_ARG(s->object.name));
    plan->target.schema = (enum llm_schema)s->spec.schema->name;
    plan->target.prefix = arena_str(a, s->spec.schema->prefix);
    plan->target.version = arena_str(a, s->spec.schema->version);
    plan->model = arena_str(a, ref->model_name_override);
    if (ref->header_mutation)
        plan->route_mods = compile_mutation(r, r->at.route, ref->header_mutation, &is_valid);
    if (s->spec.header_mutation)
        plan->service_mods = compile_mutation(r, &s->object, s->spec.header_mutation, &is_valid);
    compile_body_mutations(a, ref->body_mutation, s->spec.body_mutation, plan);
    if (older) {
        plan->request_us = duration_or(older->request, 0);
        plan->backend_request_us = duration_or(older->backend_request, 0);
    }
    return is_valid ? plan : NULL;
}

static void compile_ai_ref(struct compile_rules *r, struct ai_backend_ref *ref,
                           struct backend_draft_vec *drafts)
{
    bool is_pool = ref->ref.state == REF_INVALID_KIND; /* others of a wrong kind break the route */
    struct ai_service_backend *s =
        ref->ref.state == REF_RESOLVED ? (struct ai_service_backend *)ref->ref.target : NULL;
    bool is_usable = s && s->object.kind->id == KIND_AI_SERVICE_BACKEND && !s->object.is_broken &&
                     s->spec.schema && s->spec.backend_ref;
    struct backend_ref inner = is_usable ? *s->spec.backend_ref : ref->ref;
    const struct ai_backend_plan *plan = is_usable ? compile_ai_service(r, s, ref) : NULL;
    size_t before = drafts->n;

    /* The weight is the route's to say. */
    inner.weight = ref->ref.weight;
    if (!is_usable)
        inner.state = REF_NOT_FOUND;
    compile_backend_ref(r->c, &r->at, &inner, drafts);
    for (size_t i = before; i < drafts->n; i++) {
        struct backend_draft *d = &drafts->items[i];

        /* A fallback comes behind the others of its priority. */
        d->priority += 2 * (uint64_t)(ref->priority.is_set ? ref->priority.value : 0);
        d->plan.ai = plan;
        d->plan.withholds_token = true;
        if (is_usable && !plan)
            d->plan.validity = BACKEND_NOT_ENFORCED;
        else if (is_pool)
            d->plan.validity = BACKEND_UNSUPPORTED;
    }
}

/* ---- rules ---- */

static void compile_ai_rule(struct compile_rules *r, const struct ai_route_rule *spec,
                            uint32_t index)
{
    struct rule_plan *rule = &r->at.plan->rules[index];
    struct backend_draft_vec drafts = {0};

    compile_rule_begin(r, spec->name, "aigatewayroute", index);
    rule->is_ai = true;
    VEC_FOREACH (&spec->backend_refs, ref)
        compile_ai_ref(r, ref, &drafts);
    compile_backends(r, &drafts);
    compile_rule_done(r);
    if (spec->timeouts) {
        rule->request_us = duration_or(spec->timeouts->request, 0);
        rule->backend_request_us = duration_or(spec->timeouts->backend_request, 0);
        if (spec->timeouts->request.is_set)
            rule->policy_request_us = 0;
    }
    rule->stream_idle_us = duration_or(spec->stream_idle_timeout, rule->stream_idle_us);
    for (size_t k = 0; k < spec->matches.n; k++) {
        compile_ai_match(r, &spec->matches.items[k], (uint32_t)k);
        VEC_FOREACH (&spec->matches.items[k].headers, h)
            compile_model(r, spec, h);
    }
    if (spec->matches.n == 0)
        compile_ai_match(r, NULL, 0);
}

void compile_ai_route(struct compile_rules *r)
{
    const struct ai_gateway_route *route = (const struct ai_gateway_route *)r->at.route;

    r->at.plan->costs = compile_costs(route, &r->at.plan->arena);
    r->at.plan->rules = ARENA_ARRAY(&r->at.plan->arena, struct rule_plan, route->spec.rules.n + 1);
    r->at.plan->n_rules = (uint32_t)route->spec.rules.n;
    for (size_t i = 0; i < route->spec.rules.n; i++)
        compile_ai_rule(r, &route->spec.rules.items[i], (uint32_t)i);
}
