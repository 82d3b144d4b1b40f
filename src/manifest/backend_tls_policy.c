/* Decoding of BackendTLSPolicy (Gateway API v1): the certificates that a backend is checked
 * against.
 *
 * Owner: the load's arena. Thread: the compile thread. Targets and certificates are link's. */
#include "manifest/backend_tls_policy.h"

#include "manifest/hostname.h"

static const char *const san_names[] = {"Hostname", "URI", NULL};
static const char *const san_keys[] = {"hostname", "uri"};
static const struct field subject_alt_name_fields[] = {
    FIELD_ENUM(subject_alt_name, type, "type", FIELD_REQUIRED, san_names, "Form of the name."),
    FIELD_OTHER(subject_alt_name, hostname, "hostname", 0, decode_wildcard_hostname, NULL,
                "A DNS name of the certificate."),
    FIELD_STR(subject_alt_name, uri, "uri", 0, "A URI of the certificate."),
};
static void subject_alt_name_check(struct decoder *d, const struct node *node, void *object)
{
    const struct subject_alt_name *s = object;

    check_union(d, node, s->type, san_names, san_keys, true);
    if (s->type == SAN_URI)
        decode_warning(d, DIAG_NOT_ENFORCED, node_find(node, "type"), "type",
                       "names by URI are not enforced yet: what the policy covers refuses");
}
static const struct table subject_alt_name_table =
    TABLE_CHECKED(subject_alt_name, subject_alt_name_check);

static const struct field backend_tls_validation_fields[] = {
    FIELD_LIST(backend_tls_validation, ca_certificate_refs, "caCertificateRefs", 0,
               local_object_ref, "ConfigMaps or Secrets with the key ca.crt."),
    FIELD_STR(backend_tls_validation, well_known_ca_certificates, "wellKnownCACertificates", 0,
              "\"System\": the certificates of the machine."),
    FIELD_OTHER(backend_tls_validation, hostname, "hostname", FIELD_REQUIRED,
                decode_precise_hostname, NULL,
                "SNI, and the name that the certificate must carry."),
    FIELD_LIST(backend_tls_validation, subject_alt_names, "subjectAltNames", 0, subject_alt_name,
               "Names of which the certificate must carry one, instead of hostname."),
};
static void backend_tls_validation_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const sources[] = {"caCertificateRefs", "wellKnownCACertificates", NULL};
    const struct backend_tls_validation *v = object;

    check_exactly_one(d, node, sources);
    check_max_items(d, node, "caCertificateRefs", 8);
    check_max_items(d, node, "subjectAltNames", 5);
    if (!str_is_empty(v->well_known_ca_certificates) &&
        !str_eq(v->well_known_ca_certificates, STR("System")))
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "wellKnownCACertificates"),
                     "wellKnownCACertificates", "expected \"System\"");
}
static const struct table backend_tls_validation_table =
    TABLE_CHECKED(backend_tls_validation, backend_tls_validation_check);

static const struct field backend_tls_policy_spec_fields[] = {
    FIELD_LIST(backend_tls_policy_spec, targets.refs, "targetRefs",
               FIELD_REQUIRED | FIELD_NON_EMPTY, policy_target,
               "Services (or Backends) of the policy's namespace."),
    FIELD_OBJECT(backend_tls_policy_spec, validation, "validation", FIELD_REQUIRED,
                 backend_tls_validation, "What the backend must present."),
    FIELD_TEXT_MAP(backend_tls_policy_spec, options, "options", 0,
                   "Extension options; none known."),
};
static void backend_tls_policy_spec_check(struct decoder *d, const struct node *node, void *object)
{
    struct backend_tls_policy_spec *s = object;

    check_max_items(d, node, "targetRefs", 16);
    if (s->options.n > 0)
        decode_warning(d, DIAG_UNSUPPORTED_FIELD, node_find(node, "options"), "options",
                       "no option is known here: ignored");
}
const struct table backend_tls_policy_spec_table =
    TABLE_CHECKED(backend_tls_policy_spec, backend_tls_policy_spec_check);

const char *backend_tls_policy_find_unenforced(const struct backend_tls_policy_spec *s)
{
    for (size_t i = 0; s->validation && i < s->validation->subject_alt_names.n; i++) {
        if (s->validation->subject_alt_names.items[i].type == SAN_URI)
            return "validation.subjectAltNames of type URI";
    }
    return NULL;
}
