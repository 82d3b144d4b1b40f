/* Between jwt.c and claims.c. Nobody else includes this. */
#pragma once

#include <jansson.h>

#include "auth/jwt.h"

/* Takes over `payload`, an object. 0, or JWT_MALFORMED when a registered claim has the wrong type.
 */
MUST_USE int jwt_claims_new(json_t *payload, struct jwt_claims **ret_claims);
