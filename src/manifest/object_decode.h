/* From documents to objects: for manifest.c. */
#pragma once

#include "manifest/kind.h"

/* Never NULL; what was wrong is reported and is_broken set. */
struct object *object_decode(const struct kind *k, const struct node *root, struct arena *a,
                             struct diag_list *diags);
/* "Kind/namespace/name", or "Kind/name" where the namespace is empty. */
struct str object_label(struct arena *a, struct str kind, struct str namespace, struct str name);
