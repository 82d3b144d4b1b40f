/* BackendSecurityPolicy, two kinds of one name:
 *  - gateway.envoyproxy.io/v1alpha1, the founding document's form: inbound checks in front of the
 *    Backends it targets, besides those of the route (basic credentials, API keys, an external
 *    authorizer). All policies of one target add up.
 *  - aigateway.envoyproxy.io v1alpha1 and v1beta1: the credential that the gateway itself presents
 *    to the AIServiceBackends it targets.
 * Immutable after load; secrets stay in their Secrets, referred to only. */
#pragma once

#include "manifest/part/authentication.h"
#include "manifest/part/policy_target.h"

struct backend_security_policy_spec {
    struct policy_targets targets;
    struct basic_auth *basic_auth;
    struct api_key_auth *api_key_auth;
    struct ext_auth *ext_auth;
};
struct backend_security_policy {
    struct object object;
    struct backend_security_policy_spec spec;
};
extern const struct table backend_security_policy_spec_table;

/* The key of the first check given here that is not enforced yet, NULL when all are: routes that
 * may use the target Backends refuse (500). */
const char *backend_security_policy_find_unenforced(const struct backend_security_policy_spec *s);

enum credential_type {
    CREDENTIAL_API_KEY,
    CREDENTIAL_AWS, /* AWS, Azure and GCP credentials are decoded as text only */
    CREDENTIAL_AZURE_API_KEY,
    CREDENTIAL_AZURE,
    CREDENTIAL_GCP,
    CREDENTIAL_ANTHROPIC_API_KEY,
};
struct secret_credential {
    struct mark mark;
    struct secret_ref *secret_ref; /* key apiKey */
};
struct aws_credentials_file {
    struct mark mark;
    struct secret_ref *secret_ref;
    struct str profile;
};
struct aws_credentials {
    struct mark mark;
    struct str region;
    struct aws_credentials_file *credentials_file;
};
struct azure_credentials {
    struct mark mark;
    struct str client_id;
    struct str tenant_id;
    struct secret_ref *client_secret_ref;
};
struct gcp_credentials {
    struct mark mark;
    struct str project_name;
    struct str region;
    struct secret_credential *credentials_file;
};
struct ai_backend_security_policy_spec {
    struct policy_targets targets;
    int type; /* enum credential_type */
    struct secret_credential *api_key;
    struct secret_credential *azure_api_key;
    struct secret_credential *anthropic_api_key;
    struct aws_credentials *aws_credentials;
    struct azure_credentials *azure_credentials;
    struct gcp_credentials *gcp_credentials;
};
struct ai_backend_security_policy {
    struct object object;
    struct ai_backend_security_policy_spec spec;
};
extern const struct table ai_backend_security_policy_spec_table;
