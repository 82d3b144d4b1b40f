/* Decoding of the two kinds named BackendSecurityPolicy: the founding document's inbound checks,
 * and the AI Gateway's upstream credentials.
 *
 * Owner: the load's arena. Thread: compile thread. A broken or not enforced policy makes the
 * routes that may use its targets refuse; that is compile's to do. */
#include "manifest/backend_security_policy.h"

static void backend_security_policy_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const kinds[] = {"Backend", NULL};
    static const char *const keys[] = {"basicAuth", "apiKeyAuth", "extAuth", NULL};
    const struct target_rule rule = {GROUP_ENVOY, kinds};
    struct backend_security_policy_spec *s = object;

    policy_targets_check(d, node, &s->targets, &rule, 1);
    check_at_least_one(d, node, keys);
}

static const struct field backend_security_policy_spec_fields[] = {
    POLICY_TARGET_FIELDS(backend_security_policy_spec, targets.),
    FIELD_OTHER(backend_security_policy_spec, basic_auth, "basicAuth", 0, decode_object,
                &founding_basic_auth_table,
                "Requests need a user name and password, besides what their route asks for."),
    FIELD_OBJECT(backend_security_policy_spec, api_key_auth, "apiKeyAuth", 0, api_key_auth,
                 "Requests need an API key, besides what their route asks for."),
    FIELD_OTHER(backend_security_policy_spec, ext_auth, "extAuth", 0, decode_object,
                &founding_ext_auth_table,
                "A service of its own must agree, besides what their route asks for."),
};
const struct table backend_security_policy_spec_table =
    TABLE_CHECKED(backend_security_policy_spec, backend_security_policy_check);

const char *backend_security_policy_find_unenforced(const struct backend_security_policy_spec *s)
{
    return s->ext_auth ? ext_auth_find_unenforced(s->ext_auth) : NULL;
}

static const struct field secret_credential_fields[] = {
    FIELD_OBJECT(secret_credential, secret_ref, "secretRef", FIELD_REQUIRED, secret_ref,
                 "Secret that holds the credential (an API key under the key apiKey)."),
};
static const struct table secret_credential_table = TABLE(secret_credential);

static const struct field aws_credentials_file_fields[] = {
    FIELD_OBJECT(aws_credentials_file, secret_ref, "secretRef", FIELD_REQUIRED, secret_ref,
                 "Secret whose key credentials is an AWS credentials file."),
    FIELD_STR(aws_credentials_file, profile, "profile", 0, "Profile; default unless given."),
};
static const struct table aws_credentials_file_table = TABLE(aws_credentials_file);

static const struct field aws_credentials_fields[] = {
    FIELD_STR(aws_credentials, region, "region", FIELD_REQUIRED | FIELD_NON_EMPTY, "Region."),
    FIELD_OBJECT(aws_credentials, credentials_file, "credentialsFile", 0, aws_credentials_file,
                 "Credentials from a file."),
    FIELD_UNSUPPORTED("oidcExchangeToken", "Credentials in exchange for a token."),
};
static const struct table aws_credentials_table = TABLE(aws_credentials);

static void azure_credentials_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"clientSecretRef", "oidcExchangeToken", NULL};

    (void)object;
    check_exactly_one(d, node, keys);
}

static const struct field azure_credentials_fields[] = {
    FIELD_STR(azure_credentials, client_id, "clientID", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Client."),
    FIELD_STR(azure_credentials, tenant_id, "tenantID", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Tenant of the provider."),
    FIELD_OBJECT(azure_credentials, client_secret_ref, "clientSecretRef", 0, secret_ref,
                 "Secret whose key client-secret is the client's secret."),
    FIELD_UNSUPPORTED("oidcExchangeToken", "Credentials in exchange for a token."),
};
static const struct table azure_credentials_table =
    TABLE_CHECKED(azure_credentials, azure_credentials_check);

static void gcp_credentials_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"credentialsFile", "workloadIdentityFederationConfig", NULL};

    (void)object;
    check_at_most_one(d, node, keys);
}

static const struct field gcp_credentials_fields[] = {
    FIELD_STR(gcp_credentials, project_name, "projectName", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Project."),
    FIELD_STR(gcp_credentials, region, "region", FIELD_REQUIRED | FIELD_NON_EMPTY, "Region."),
    FIELD_OBJECT(gcp_credentials, credentials_file, "credentialsFile", 0, secret_credential,
                 "Secret whose key service_account.json is a service account."),
    FIELD_UNSUPPORTED("workloadIdentityFederationConfig", "Credentials in exchange for a token."),
};
static const struct table gcp_credentials_table =
    TABLE_CHECKED(gcp_credentials, gcp_credentials_check);

static const char *const credential_type_names[] = {
    "APIKey",         "AWSCredentials",  "AzureAPIKey", "AzureCredentials",
    "GCPCredentials", "AnthropicAPIKey", NULL};

static void ai_backend_security_policy_check(struct decoder *d, const struct node *node,
                                             void *object)
{
    static const char *const backends[] = {"AIServiceBackend", NULL};
    static const char *const pools[] = {"InferencePool", NULL};
    static const char *const keys[] = {"apiKey",           "awsCredentials", "azureAPIKey",
                                       "azureCredentials", "gcpCredentials", "anthropicAPIKey"};
    const struct target_rule rules[] = {{GROUP_AI_GATEWAY, backends},
                                        {STR("inference.networking.k8s.io"), pools}};
    struct ai_backend_security_policy_spec *s = object;
    bool is_targeted = s->targets.refs.n > 0;

    /* Older objects are named by their AIServiceBackend instead of naming it. */
    if (is_targeted)
        policy_targets_check(d, node, &s->targets, rules, N_ELEMENTS(rules));
    check_max_items(d, node, "targetRefs", 16);
    check_union(d, node, s->type, credential_type_names, keys, true);
}

static const struct field ai_backend_security_policy_spec_fields[] = {
    FIELD_LIST(ai_backend_security_policy_spec, targets.refs, "targetRefs", 0, policy_target,
               "AIServiceBackends that get the credential."),
    FIELD_ENUM(ai_backend_security_policy_spec, type, "type", FIELD_REQUIRED, credential_type_names,
               "Kind of the credential."),
    FIELD_OBJECT(ai_backend_security_policy_spec, api_key, "apiKey", 0, secret_credential,
                 "API key, sent as Authorization: Bearer."),
    FIELD_OBJECT(ai_backend_security_policy_spec, azure_api_key, "azureAPIKey", 0,
                 secret_credential, "Azure API key, sent as api-key."),
    FIELD_OBJECT(ai_backend_security_policy_spec, anthropic_api_key, "anthropicAPIKey", 0,
                 secret_credential, "Anthropic API key, sent as x-api-key."),
    FIELD_OBJECT(ai_backend_security_policy_spec, aws_credentials, "awsCredentials",
                 FIELD_NOT_ENFORCED, aws_credentials, "Credentials of AWS."),
    FIELD_OBJECT(ai_backend_security_policy_spec, azure_credentials, "azureCredentials",
                 FIELD_NOT_ENFORCED, azure_credentials, "Credentials of Azure."),
    FIELD_OBJECT(ai_backend_security_policy_spec, gcp_credentials, "gcpCredentials",
                 FIELD_NOT_ENFORCED, gcp_credentials, "Credentials of Google Cloud."),
    FIELD_UNSUPPORTED("credentialOverride", "Credential that the request brings itself."),
};
const struct table ai_backend_security_policy_spec_table =
    TABLE_CHECKED(ai_backend_security_policy_spec, ai_backend_security_policy_check);
