/* compile: how connections to backends are opened and kept. Compile thread. */
#pragma once

#include "gateway/compile/compile.h"
#include "manifest/part/cluster_settings.h"
#include "upstream/cluster_transport.h"

/* In the scratch arena; NULL: nothing but defaults. */
const struct cluster_transport *compile_transport(struct compile *c,
                                                  const struct cluster_settings *s);
/* `key` with what `t` adds to it. */
struct str compile_transport_key(struct compile *c, struct str key,
                                 const struct cluster_transport *t);
/* Of clients' sockets as of backends'. Either may be NULL or not set. */
void compile_socket_options(struct opt_int buffer_bytes, const struct tcp_keepalive *k,
                            struct socket_options *ret);
