/* Which addresses a Gateway listens on: those of its spec, else one of --address-pool (stable by
 * the Gateway's uid or name, so that many Gateways may want port 80 at once), else the wildcard
 * address. */
#pragma once

#include "gateway/compile/compile.h"

/* At least one; an empty string is the wildcard. In c->scratch. */
struct str_vec address_pool_of(struct compile *c, const struct gateway *g);
