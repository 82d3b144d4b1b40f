/* AIServiceBackend (aigateway.envoyproxy.io v1alpha1, v1beta1): a Backend that speaks one
 * provider's schema. Immutable after load. */
#pragma once

#include "manifest/common.h"

enum ai_schema_name {
    AI_SCHEMA_OPENAI,
    AI_SCHEMA_COHERE,
    AI_SCHEMA_AWS_BEDROCK,
    AI_SCHEMA_AZURE_OPENAI,
    AI_SCHEMA_GCP_VERTEX_AI,
    AI_SCHEMA_GCP_ANTHROPIC,
    AI_SCHEMA_ANTHROPIC,
    AI_SCHEMA_AWS_ANTHROPIC,
};
extern const char *const ai_schema_names[]; /* by enum ai_schema_name */
struct ai_schema {
    struct mark mark;
    int name;           /* enum ai_schema_name */
    struct str prefix;  /* path prefix of the endpoints; OpenAI: v1 unless given */
    struct str version; /* API version (Azure), or the older place of prefix (OpenAI) */
};
extern const struct table ai_schema_table;

struct ai_body_field {
    struct mark mark;
    struct str path;  /* a top-level field of the body */
    struct str value; /* JSON */
};
struct ai_body_mutation {
    struct mark mark;
    VEC(struct ai_body_field) set;
    struct str_vec remove;
};
struct ai_header_mutation {
    struct mark mark;
    VEC(struct header_value) set;
    struct str_vec remove;
};
extern const struct table ai_body_mutation_table;
extern const struct table ai_header_mutation_table;

struct ai_timeouts {
    struct mark mark;
    struct opt_duration request;         /* total */
    struct opt_duration backend_request; /* one attempt */
};
extern const struct table ai_timeouts_table;

struct ai_service_backend_spec {
    struct mark mark;
    struct ai_schema *schema;
    struct backend_ref *backend_ref; /* a Backend */
    struct ai_header_mutation *header_mutation;
    struct ai_body_mutation *body_mutation;
    struct ai_timeouts *timeouts;                         /* older form */
    struct local_object_ref *backend_security_policy_ref; /* older form */
};
struct ai_service_backend {
    struct object object;
    struct ai_service_backend_spec spec;
};
extern const struct table ai_service_backend_spec_table;
