/* Where a Backend or Service leads in a running gateway, as a part of its status. Control's thread.
 */
#pragma once

#include "admin/json.h"
#include "gateway/snapshot.h"

/* A member "endpoints": one for each address that is known now; none where no route uses the
 * object. An unresolved name is one without an address, whose `state` says so. */
void object_format_endpoints(struct json *j, const struct snapshot *s, const struct object *o);
