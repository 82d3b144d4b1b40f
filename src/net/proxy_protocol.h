/* The PROXY protocol's header, versions 1 and 2: what a proxy in front says of the connection that
 * it relays, before that connection's own bytes. Pure. Source: HAProxy, "The PROXY protocol,
 * versions 1 & 2" (sections are its). */
#pragma once

#include "net/socket.h"

/* Conditions of proxy_header_parse. */
enum proxy_condition {
    PROXY_MORE = 1, /* all of it belongs to a header, or may; there is more to come */
    PROXY_NONE,     /* it begins otherwise */
    PROXY_BAD,      /* it begins as a header, and is none */
};

struct proxy_header {
    size_t n;      /* bytes; what follows is the connection's own */
    bool is_local; /* of the proxy itself (LOCAL), or of unknown origin: the socket's peer counts */
    struct socket_address source;
    struct socket_address destination;
};

/* `bytes` are a connection's first. 0 or a proxy_condition; never PROXY_MORE beyond
 * LIMIT_PROXY_HEADER_BYTES. */
MUST_USE int proxy_header_parse(struct str bytes, struct proxy_header *ret_header);

/* What is sent. */
enum proxy_version { PROXY_VERSION_NONE, PROXY_VERSION_1, PROXY_VERSION_2 };
enum { PROXY_FORMAT_BYTES = 108 }; /* the longest of them, with a NUL behind it */

/* Of a connection between those ends; where they are not of one family, that of unknown ones. Its
 * length. */
size_t proxy_header_format(enum proxy_version version, const struct socket_address *source,
                           const struct socket_address *destination, char room[PROXY_FORMAT_BYTES]);
/* Of a connection that is the gateway's own: the ends of its socket count. */
struct str proxy_header_local(enum proxy_version version);
