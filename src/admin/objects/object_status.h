/* What becomes of an object, as the `status` of its kind's API says it: the conditions of Gateway
 * API and Envoy Gateway, of a Gateway its addresses and listeners too. */
#pragma once

#include "admin/json.h"
#include "gateway/snapshot.h"
#include "manifest/object.h"

/* A member "status"; none for kinds that say nothing of themselves (Secret, Service). `live`: of a
 * gateway that runs, where the object leads now; NULL: that is not told. */
void object_format_status(struct json *j, const struct object *o, const struct snapshot *live);
/* A member "addresses": where a Gateway listens (Gateway API, "GatewayStatus"). */
void object_status_addresses(struct json *j, const struct object *gateway);
