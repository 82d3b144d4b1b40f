/* X-Forwarded-For as a list of hops. Whether to trust it is the gateway's question
 * (ClientTrafficPolicy clientIPDetection). Pure; any thread; all results borrow. */
#pragma once

#include "base/str.h"

/* The `hop`-th member of the (joined) list counted from the right, 1 the last; false when the list
 * is shorter. Empty members count, so that a forged ",," cannot shift the trusted ones. */
bool forwarded_for_hop(struct str list, unsigned hop, struct str *ret_node);
/* The address of a member without port and brackets: "1.2.3.4", "1.2.3.4:80", "2001:db8::1",
 * "[2001:db8::1]", "[2001:db8::1]:80". False when it is no IP address (a name, "unknown", "_x"). */
MUST_USE bool forwarded_address(struct str node, struct str *ret_address);
