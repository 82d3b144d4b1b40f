/* The PROXY protocol towards backends: what is said of the connection that a request came by.
 * Worker-local. */
#pragma once

#include "net/proxy_protocol.h"

struct arena;
struct exchange;

/* In `a`. The ends are those of the client's connection (as a PROXY header of its own has them,
 * where its listener reads one), whatever X-Forwarded-For says: that is for who reads headers. */
struct str proxied_header(const struct exchange *x, enum proxy_version version, struct arena *a);
