/* Decoding of AIServiceBackend, and of the schema and mutations that AIGatewayRoute shares with it.
 *
 * Owner: the load's arena. Thread: compile thread. Body values are checked to be JSON where they
 * are applied. */
#include "manifest/ai_service_backend.h"

const char *const ai_schema_names[] = {"OpenAI",      "Cohere",       "AWSBedrock",
                                       "AzureOpenAI", "GCPVertexAI",  "GCPAnthropic",
                                       "Anthropic",   "AWSAnthropic", NULL};

static void ai_schema_check(struct decoder *d, const struct node *node, void *object)
{
    const struct ai_schema *s = object;

    if (s->name == AI_SCHEMA_AZURE_OPENAI && s->version.len == 0)
        decode_error(d, DIAG_MISSING_FIELD, node, "version",
                     "required with AzureOpenAI: the api-version of its paths");
}

static const struct field ai_schema_fields[] = {
    FIELD_ENUM(ai_schema, name, "name", FIELD_REQUIRED, ai_schema_names, "Provider's schema."),
    FIELD_STR(ai_schema, prefix, "prefix", 0, "Path put before the endpoints; v1 for OpenAI."),
    FIELD_STR(ai_schema, version, "version", 0,
              "API version (AzureOpenAI); older place of prefix (OpenAI)."),
};
const struct table ai_schema_table = TABLE_CHECKED(ai_schema, ai_schema_check);

static const struct field ai_body_field_fields[] = {
    FIELD_STR(ai_body_field, path, "path", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Top-level field of the body."),
    FIELD_STR(ai_body_field, value, "value", FIELD_REQUIRED, "Its value, as JSON."),
};
static const struct table ai_body_field_table = TABLE(ai_body_field);

static void mutation_check(struct decoder *d, const struct node *node, void *object)
{
    (void)object;
    check_max_items(d, node, "set", 16);
    check_max_items(d, node, "remove", 16);
}

static const struct field ai_body_mutation_fields[] = {
    FIELD_LIST(ai_body_mutation, set, "set", 0, ai_body_field, "Fields to write."),
    FIELD_STRS(ai_body_mutation, remove, "remove", 0, "Fields to remove."),
};
const struct table ai_body_mutation_table = TABLE_CHECKED(ai_body_mutation, mutation_check);

static const struct field ai_header_mutation_fields[] = {
    FIELD_LIST(ai_header_mutation, set, "set", 0, header_value, "Headers to write."),
    FIELD_OTHER(ai_header_mutation, remove, "remove", 0, decode_header_name_list, NULL,
                "Headers to remove."),
};
const struct table ai_header_mutation_table = TABLE_CHECKED(ai_header_mutation, mutation_check);

static void ai_timeouts_check(struct decoder *d, const struct node *node, void *object)
{
    const struct ai_timeouts *t = object;

    /* A request limit of 0s means none. */
    if (t->request.is_set && t->request.us > 0 && t->backend_request.is_set &&
        t->backend_request.us > t->request.us)
        decode_error(d, DIAG_OUT_OF_RANGE, node_find(node, "backendRequest"), "backendRequest",
                     "must not be longer than request");
}

static const struct field ai_timeouts_fields[] = {
    FIELD_DURATION(ai_timeouts, request, "request", 0, "Time for the whole request."),
    FIELD_DURATION(ai_timeouts, backend_request, "backendRequest", 0,
                   "Time for each attempt at a backend."),
};
const struct table ai_timeouts_table = TABLE_CHECKED(ai_timeouts, ai_timeouts_check);

/* Their bodies and signatures are not made here yet. */
static bool ai_schema_is_foreign(int name)
{
    return name == AI_SCHEMA_AWS_BEDROCK || name == AI_SCHEMA_GCP_VERTEX_AI ||
           name == AI_SCHEMA_GCP_ANTHROPIC || name == AI_SCHEMA_AWS_ANTHROPIC;
}

static void ai_service_backend_check(struct decoder *d, const struct node *node, void *object)
{
    const struct ai_service_backend_spec *s = object;
    const struct backend_ref *r = s->backend_ref;

    if (s->schema && ai_schema_is_foreign(s->schema->name))
        decode_warning(d, DIAG_NOT_ENFORCED, node_find(node, "schema"), "schema.name",
                       "%s is not spoken yet: requests to this backend are refused",
                       ai_schema_names[s->schema->name]);
    if (r && !(str_eq(r->kind, STR("Backend")) && str_eq(r->group, GROUP_ENVOY)))
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "backendRef"), "backendRef",
                     "must name a Backend of gateway.envoyproxy.io");
}

static const struct field ai_service_backend_spec_fields[] = {
    FIELD_OBJECT(ai_service_backend_spec, schema, "schema", FIELD_REQUIRED, ai_schema,
                 "What the backend speaks."),
    FIELD_OBJECT(ai_service_backend_spec, backend_ref, "backendRef", FIELD_REQUIRED, backend_ref,
                 "Backend that is reached."),
    FIELD_OBJECT(ai_service_backend_spec, header_mutation, "headerMutation", 0, ai_header_mutation,
                 "Changes to request headers."),
    FIELD_OBJECT(ai_service_backend_spec, body_mutation, "bodyMutation", 0, ai_body_mutation,
                 "Changes to the request body."),
    FIELD_OBJECT(ai_service_backend_spec, timeouts, "timeouts", FIELD_DEPRECATED, ai_timeouts,
                 "Time limits; older form of the route rule's timeouts."),
    FIELD_OBJECT(ai_service_backend_spec, backend_security_policy_ref, "backendSecurityPolicyRef",
                 FIELD_DEPRECATED, local_object_ref,
                 "Credential; older form of the BackendSecurityPolicy's targetRefs."),
};
const struct table ai_service_backend_spec_table =
    TABLE_CHECKED(ai_service_backend_spec, ai_service_backend_check);
