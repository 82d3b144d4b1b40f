/* Which addresses a Gateway listens on: those of its spec, else one of --address-pool (stable by
 * the Gateway's uid or name, so that many Gateways may want port 80 at once), else the wildcard
 * address. */
#pragma once

#include "gateway/compile/compile.h"

/* Keeps the addresses that the Gateway asks for from being drawn; of all Gateways, before the first
 * address_pool_of. */
void address_pool_reserve(struct compile *c, const struct gateway *g);
/* Fills `ret` with at least one address, in the manifest's arena and of one spelling each; an empty
 * string is the wildcard. NULL, or why there is none (static). */
const char *address_pool_of(struct compile *c, const struct gateway *g, struct str_vec *ret);
