/* What a TLS listener asks of its clients' certificates: its ClientTrafficPolicy says so, else its
 * Gateway's tls.frontend. Compile thread. */
#pragma once

#include "gateway/compile/compile.h"
#include "net/tls.h"

/* Into `entry`. What cannot be enforced as written is told, and then nobody is asked, since the
 * listener's routes refuse: a policy is broken, of a Gateway compile_frontend_trouble tells. */
void compile_client_rule(struct compile *c, const struct gateway *g, const struct listener *l,
                         struct tls_entry_config *entry);
/* What the Gateway asks of clients of the listener's port, whatever a policy says; NULL: nothing.
 */
const struct frontend_validation *compile_frontend(const struct gateway *g,
                                                   const struct listener *l);
/* Why the listener's routes refuse for what its Gateway asks; NULL: they need not. */
const char *compile_frontend_trouble(struct compile *c, const struct gateway *g,
                                     const struct listener *l);
