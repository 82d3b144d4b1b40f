/* AIGatewayRoute (aigateway.envoyproxy.io v1alpha1, v1beta1): which AIServiceBackends answer which
 * models, and what usage costs. The older form (targetRefs, schema) is accepted; its targets become
 * parent references. Immutable after load. */
#pragma once

#include "manifest/ai_service_backend.h"
#include "manifest/part/policy_target.h"

struct ai_header_match {
    struct mark mark;
    int type; /* 0 Exact (default), 1 RegularExpression */
    struct str name;
    struct str value;
};
struct ai_route_match {
    struct mark mark;
    VEC(struct ai_header_match) headers; /* all must hold */
};
struct ai_backend_ref {
    struct backend_ref ref;  /* AIServiceBackend unless group and kind say InferencePool */
    struct opt_int priority; /* 0 first */
    struct str model_name_override;
    struct ai_header_mutation *header_mutation;
    struct ai_body_mutation *body_mutation;
};
struct ai_route_rule {
    struct mark mark;
    struct str name;
    VEC(struct ai_route_match) matches; /* any of these; none: every AI request */
    VEC(struct ai_backend_ref) backend_refs;
    struct ai_timeouts *timeouts;
    struct opt_duration stream_idle_timeout;
    struct str models_owned_by;
    struct str models_created_at; /* RFC 3339 as written */
};
enum ai_cost_type {
    AI_COST_OUTPUT_TOKEN,
    AI_COST_INPUT_TOKEN,
    AI_COST_CACHED_INPUT_TOKEN,
    AI_COST_CACHE_CREATION_INPUT_TOKEN,
    AI_COST_TOTAL_TOKEN,
    AI_COST_REASONING_TOKEN,
    AI_COST_CEL,
};
struct ai_request_cost {
    struct mark mark;
    struct str metadata_key;
    int type;               /* enum ai_cost_type */
    struct marked_text cel; /* with type CEL */
};

struct ai_gateway_route_spec {
    struct policy_targets targets;      /* older form; emptied into parent_refs */
    VEC(struct parent_ref) parent_refs; /* after the check: of either form */
    struct ai_schema *schema;           /* older form; OpenAI */
    struct str_vec hostnames;
    VEC(struct ai_route_rule) rules;
    VEC(struct ai_request_cost) llm_request_costs;
};
struct ai_gateway_route {
    struct object object;
    struct ai_gateway_route_spec spec;
};
extern const struct table ai_gateway_route_spec_table;
