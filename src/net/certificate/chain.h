/* What a chain of certificates says of itself, for who shows it. Pure. */
#pragma once

#include "base/str.h"

/* Until when all of the chain is valid (unix): the earliest of its ends. False: it does not begin
 * with a certificate, or one has no end that can be read. */
bool chain_until(struct str chain_pem, int64_t *ret_until_s);
