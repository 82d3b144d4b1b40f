/* Decoding of ReferenceGrant (Gateway API v1, v1beta1). What a grant permits is judged by link.
 *
 * Owner: the load's arena. Thread: the compile thread. */
#include "manifest/reference_grant.h"

#include "manifest/common.h"

static const struct field grant_from_fields[] = {
    FIELD_STR(grant_from, group, "group", 0, "API group of who refers; empty for core."),
    FIELD_STR(grant_from, kind, "kind", FIELD_REQUIRED | FIELD_NON_EMPTY, "Kind of who refers."),
    FIELD_STR(grant_from, namespace, "namespace", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Namespace of who refers."),
};
static void grant_group_check(struct decoder *d, const struct node *node, void *object)
{
    (void)object;
    if (node->type == NODE_MAP && !node_find(node, "group"))
        decode_error(d, DIAG_MISSING_FIELD, node, "group",
                     "required but not given (\"\" means the core group)");
}
static const struct table grant_from_table = TABLE_CHECKED(grant_from, grant_group_check);

static const struct field grant_to_fields[] = {
    FIELD_STR(grant_to, group, "group", 0, "API group of what is referred to; empty for core."),
    FIELD_STR(grant_to, kind, "kind", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Kind of what is referred to."),
    FIELD_STR(grant_to, name, "name", 0, "Name of the one object; all of the kind unless given."),
};
static const struct table grant_to_table = TABLE_CHECKED(grant_to, grant_group_check);

static const struct field reference_grant_spec_fields[] = {
    FIELD_LIST(reference_grant_spec, from, "from", FIELD_REQUIRED | FIELD_NON_EMPTY, grant_from,
               "Who may refer."),
    FIELD_LIST(reference_grant_spec, to, "to", FIELD_REQUIRED | FIELD_NON_EMPTY, grant_to,
               "What may be referred to, in the grant's own namespace."),
};
const struct table reference_grant_spec_table = TABLE(reference_grant_spec);
