/* BackendTLSPolicy (gateway.networking.k8s.io): TLS from the gateway to a Service (or Backend).
 * Immutable after link. */
#pragma once

#include "manifest/part/policy_target.h"
#include "manifest/ref.h"

enum subject_alt_name_type { SAN_HOSTNAME, SAN_URI };
struct subject_alt_name {
    struct mark mark;
    int type; /* enum subject_alt_name_type */
    struct str hostname;
    struct str uri;
};
struct backend_tls_validation {
    struct mark mark;
    VEC(struct local_object_ref) ca_certificate_refs; /* ConfigMap or Secret, key ca.crt */
    struct str well_known_ca_certificates;            /* "System" or empty */
    struct str hostname;                              /* SNI, and the name checked */
    VEC(struct subject_alt_name) subject_alt_names;
};
struct backend_tls_policy_spec {
    struct policy_targets targets; /* targetRefs only; sectionName: a port name of the Service */
    struct backend_tls_validation *validation;
    struct text_pair_vec options;
};
struct backend_tls_policy {
    struct object object;
    struct backend_tls_policy_spec spec;
};
extern const struct table backend_tls_policy_spec_table;

/* What is given here and not enforced yet, NULL when all is: what the policy covers refuses. */
const char *backend_tls_policy_find_unenforced(const struct backend_tls_policy_spec *s);
