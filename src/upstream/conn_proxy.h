/* The PROXY header that a connection to a backend began with. It says whose connection it is, so
 * that no other client's request may go there: the header's bytes are the address. Owned by its
 * connection; worker-local. */
#pragma once

#include "net/proxy_protocol.h"
#include "upstream/conn.h"

struct conn_proxy {
    struct str header; /* in `bytes` */
    char bytes[PROXY_FORMAT_BYTES];
};

/* For a connection that is opened for `a`; where nobody's request is its cause (a probe), that of
 * the gateway's own. */
struct conn_proxy *conn_proxy_new(enum proxy_version version, const struct attempt *a);
/* Does it begin as one for `a` would? */
bool conn_proxy_is_of(const struct conn *c, const struct attempt *a);
/* May a request of `a` go there? */
static inline bool conn_proxy_may_carry(const struct conn *c, const struct attempt *a)
{
    return LIKELY(!c->proxy) || conn_proxy_is_of(c, a);
}
