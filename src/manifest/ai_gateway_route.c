/* Decoding of AIGatewayRoute, older and current form.
 *
 * Owner: the load's arena. Thread: compile thread. Cost expressions are kept as text with their
 * place and compiled by the llm level; patterns are tried here. */
#include "manifest/ai_gateway_route.h"

enum { RULES_MAX = 128, COSTS_MAX = 36 };

static const char *const ai_match_names[] = {"Exact", "RegularExpression", NULL};

static void ai_header_match_check(struct decoder *d, const struct node *node, void *object)
{
    struct ai_header_match *m = object;

    if (m->type < 0)
        m->type = 0;
    if (m->type == 1)
        check_regex(d, node, "value", m->value);
}

static const struct field ai_header_match_fields[] = {
    FIELD_ENUM(ai_header_match, type, "type", 0, ai_match_names,
               "Exact (default) or RegularExpression, in full."),
    FIELD_OTHER(ai_header_match, name, "name", FIELD_REQUIRED, decode_header_name, NULL,
                "Header; x-ai-eg-model is the model that the request names."),
    FIELD_STR(ai_header_match, value, "value", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Value or pattern."),
};
static const struct table ai_header_match_table =
    TABLE_CHECKED(ai_header_match, ai_header_match_check);

static void ai_route_match_check(struct decoder *d, const struct node *node, void *object)
{
    (void)object;
    check_max_items(d, node, "headers", 16);
}

static const struct field ai_route_match_fields[] = {
    FIELD_LIST(ai_route_match, headers, "headers", 0, ai_header_match, "Headers, all of them."),
};
static const struct table ai_route_match_table =
    TABLE_CHECKED(ai_route_match, ai_route_match_check);

/* Group and kind come together or not at all: AIServiceBackend, or an InferencePool. */
static void ai_backend_ref_check(struct decoder *d, const struct node *node, void *object)
{
    struct backend_ref *r = &((struct ai_backend_ref *)object)->ref;

    if ((r->group.len > 0) != (r->kind.len > 0)) {
        decode_error(d, DIAG_MISSING_FIELD, node, NULL, "group and kind are given together");
    } else if (r->kind.len == 0) {
        r->group = GROUP_AI_GATEWAY;
        r->kind = STR("AIServiceBackend");
    }
    if (str_eq(r->kind, STR("AIServiceBackend")) && str_eq(r->group, GROUP_AI_GATEWAY))
        return;
    if (str_eq(r->kind, STR("InferencePool")) &&
        str_starts_with(r->group, STR("inference.networking.")))
        decode_warning(d, DIAG_UNSUPPORTED_FIELD, node, "kind",
                       "InferencePool is known to the API but not supported here: its share of the "
                       "requests is refused");
    else if (r->kind.len > 0)
        decode_error(d, DIAG_INVALID_VALUE, node, "kind", "must be AIServiceBackend");
}

static const struct field ai_backend_ref_fields[] = {
    FIELD_STR(ai_backend_ref, ref.name, "name", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Name of the AIServiceBackend."),
    FIELD_STR(ai_backend_ref, ref.namespace, "namespace", 0,
              "Namespace of the AIServiceBackend; another one needs a ReferenceGrant."),
    FIELD_STR(ai_backend_ref, ref.group, "group", 0, "aigateway.envoyproxy.io unless given."),
    FIELD_STR(ai_backend_ref, ref.kind, "kind", 0, "AIServiceBackend unless given."),
    FIELD_INT(ai_backend_ref, ref.weight, "weight", 0, &weight_range,
              "Share of the traffic among backends of the same priority; 1 unless given."),
    FIELD_INT(ai_backend_ref, priority, "priority", 0, UINT32_RANGE,
              "Rank; 0 (default) is tried first."),
    FIELD_STR(ai_backend_ref, model_name_override, "modelNameOverride", 0,
              "Model name that the backend gets."),
    FIELD_OBJECT(ai_backend_ref, header_mutation, "headerMutation", 0, ai_header_mutation,
                 "Changes to request headers; stronger than those of the AIServiceBackend."),
    FIELD_OBJECT(ai_backend_ref, body_mutation, "bodyMutation", 0, ai_body_mutation,
                 "Changes to the request body; stronger than those of the AIServiceBackend."),
};
static const struct table ai_backend_ref_table =
    TABLE_CHECKED(ai_backend_ref, ai_backend_ref_check);

static void ai_route_rule_check(struct decoder *d, const struct node *node, void *object)
{
    const struct ai_route_rule *r = object;

    check_max_items(d, node, "matches", 128);
    check_max_items(d, node, "backendRefs", 128);
    if (str_eq(r->name, STR("route-not-found")))
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "name"), "name",
                     "this name is reserved");
}

static const struct field ai_route_rule_fields[] = {
    FIELD_STR(ai_route_rule, name, "name", FIELD_NON_EMPTY, "Name, unique in the route."),
    FIELD_LIST(ai_route_rule, matches, "matches", 0, ai_route_match,
               "Conditions, any of these; every AI request unless given."),
    FIELD_LIST(ai_route_rule, backend_refs, "backendRefs", 0, ai_backend_ref,
               "Backends that answer."),
    FIELD_OBJECT(ai_route_rule, timeouts, "timeouts", 0, ai_timeouts, "Time limits."),
    FIELD_DURATION(ai_route_rule, stream_idle_timeout, "streamIdleTimeout", 0,
                   "Longest silence inside an answer; 300s unless given."),
    FIELD_STR(ai_route_rule, models_owned_by, "modelsOwnedBy", 0,
              "Owner of the models, in the list of models."),
    FIELD_STR(ai_route_rule, models_created_at, "modelsCreatedAt", 0,
              "Creation time of the models, in the list of models."),
};
static const struct table ai_route_rule_table = TABLE_CHECKED(ai_route_rule, ai_route_rule_check);

static const char *const ai_cost_names[] = {"OutputToken",
                                            "InputToken",
                                            "CachedInputToken",
                                            "CacheCreationInputToken",
                                            "TotalToken",
                                            "ReasoningToken",
                                            "CEL",
                                            NULL};

static void ai_request_cost_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {NULL, NULL, NULL, NULL, NULL, NULL, "cel"};
    const struct ai_request_cost *c = object;

    check_union(d, node, c->type, ai_cost_names, keys, true);
}

static const struct field ai_request_cost_fields[] = {
    FIELD_STR(ai_request_cost, metadata_key, "metadataKey", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Key of the value under io.envoy.ai_gateway, for limits and logs."),
    FIELD_ENUM(ai_request_cost, type, "type", FIELD_REQUIRED, ai_cost_names,
               "Which usage the value is; CEL: computed."),
    FIELD_OTHER(ai_request_cost, cel, "cel", 0, decode_marked_text, NULL,
                "Expression over model, backend, route_name and the token counts."),
};
static const struct table ai_request_cost_table =
    TABLE_CHECKED(ai_request_cost, ai_request_cost_check);

/* The older form's targets are the Gateways that the current form names as parents. */
static void adopt_targets(struct decoder *d, struct ai_gateway_route_spec *s)
{
    VEC_FOREACH (&s->targets.refs, t) {
        struct parent_ref *p = VEC_ADD(d->arena, &s->parent_refs);

        p->mark = t->mark;
        p->group = t->group;
        p->kind = t->kind;
        p->name = t->name;
        p->section_name = t->section_name;
    }
    s->targets.refs.n = 0; /* one place for each reference: link visits it once */
}

static void check_rule_names(struct decoder *d, const struct ai_gateway_route_spec *s)
{
    /* More is refused anyway; comparing all with all must not take quadratic time. */
    for (size_t i = 0; i < MIN(s->rules.n, (size_t)RULES_MAX); i++) {
        const struct ai_route_rule *rule = &s->rules.items[i];

        for (size_t k = 0; k < i && rule->name.len > 0; k++) {
            struct node at = {.mark = rule->mark};

            if (str_eq(rule->name, s->rules.items[k].name))
                decode_error(d, DIAG_CONFLICT, &at, "rules", "two rules have the name %.*s",
                             STR_ARG(rule->name));
        }
    }
}

static void check_cost_keys(struct decoder *d, const struct ai_gateway_route_spec *s)
{
    for (size_t i = 0; i < MIN(s->llm_request_costs.n, (size_t)COSTS_MAX); i++) {
        const struct ai_request_cost *c = &s->llm_request_costs.items[i];

        for (size_t k = 0; k < i && c->metadata_key.len > 0; k++) {
            struct node at = {.mark = c->mark};

            if (str_eq(c->metadata_key, s->llm_request_costs.items[k].metadata_key))
                decode_error(d, DIAG_CONFLICT, &at, "llmRequestCosts",
                             "two costs have the key %.*s", STR_ARG(c->metadata_key));
        }
    }
}

static void ai_gateway_route_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const kinds[] = {"Gateway", NULL};
    static const char *const parents[] = {"targetRefs", "parentRefs", NULL};
    const struct target_rule rule = {GROUP_GATEWAY, kinds};
    struct ai_gateway_route_spec *s = object;

    check_at_most_one(d, node, parents);
    check_max_items(d, node, "parentRefs", 16);
    check_max_items(d, node, "hostnames", 16);
    check_max_items(d, node, "rules", RULES_MAX);
    check_max_items(d, node, "llmRequestCosts", COSTS_MAX);
    VEC_FOREACH (&s->parent_refs, p) {
        struct node at = {.mark = p->mark};

        if (!str_eq(p->kind, STR("Gateway")))
            decode_error(d, DIAG_INVALID_VALUE, &at, "parentRefs", "only a Gateway is supported");
    }
    if (s->targets.refs.n > 0)
        policy_targets_check(d, node, &s->targets, &rule, 1);
    if (s->schema && s->schema->name > AI_SCHEMA_OPENAI)
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "schema"), "schema.name",
                     "only OpenAI is possible for a route");
    adopt_targets(d, s);
    check_rule_names(d, s);
    check_cost_keys(d, s);
}

static const struct field ai_gateway_route_spec_fields[] = {
    FIELD_LIST(ai_gateway_route_spec, targets.refs, "targetRefs", FIELD_DEPRECATED, policy_target,
               "Gateways that the route is attached to; older form of parentRefs."),
    FIELD_LIST(ai_gateway_route_spec, parent_refs, "parentRefs", 0, parent_ref,
               "Gateways that the route is attached to."),
    FIELD_OBJECT(ai_gateway_route_spec, schema, "schema", FIELD_DEPRECATED, ai_schema,
                 "Schema of requests: OpenAI; older form, told by the endpoint today."),
    FIELD_STRS(ai_gateway_route_spec, hostnames, "hostnames", 0,
               "Hosts that the route serves; all of its listeners unless given."),
    FIELD_LIST(ai_gateway_route_spec, rules, "rules", FIELD_REQUIRED, ai_route_rule,
               "Which backends answer which requests."),
    FIELD_LIST(ai_gateway_route_spec, llm_request_costs, "llmRequestCosts", 0, ai_request_cost,
               "Usage that limits and logs see."),
    FIELD_UNSUPPORTED("filterConfig", "Deployment of the processor; there is none here."),
};
const struct table ai_gateway_route_spec_table =
    TABLE_CHECKED(ai_gateway_route_spec, ai_gateway_route_check);
