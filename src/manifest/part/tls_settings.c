/* Decoding of the TLS settings that several kinds share.
 *
 * Owner: the load's arena. Thread: compile thread. Whether OpenSSL knows a suite or a group is left
 * to the place that builds the context. */
#include "manifest/part/tls_settings.h"

const char *const tls_version_names[] = {"Auto", "1.0", "1.1", "1.2", "1.3", NULL};

void tls_settings_check(struct decoder *d, const struct node *node, const struct tls_settings *t)
{
    if (t->min_version > 0 && t->max_version > 0 && t->min_version > t->max_version)
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "minVersion"), "minVersion",
                     "must not be above maxVersion, %s", tls_version_names[t->max_version]);
    if (t->min_version == TLS_1_3 && t->ciphers.n > 0)
        decode_error(d, DIAG_INEFFECTIVE, node_find(node, "ciphers"), "ciphers",
                     "has no effect where TLS 1.3 is the lowest version");
}

static void tls_settings_only_check(struct decoder *d, const struct node *node, void *object)
{
    tls_settings_check(d, node, object);
}

static const struct field tls_settings_fields[] = {TLS_SETTINGS_FIELDS(tls_settings, , 0, 0, 0)};
const struct table tls_settings_table = TABLE_CHECKED(tls_settings, tls_settings_only_check);
