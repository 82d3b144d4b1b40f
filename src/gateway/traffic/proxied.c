/* See proxied.h. */
#include "gateway/traffic/proxied.h"

#include "gateway/exchange.h"

struct str proxied_header(const struct exchange *x, enum proxy_version version, struct arena *a)
{
    struct socket_address source, destination;
    char room[PROXY_FORMAT_BYTES];
    size_t n;

    if (socket_address_parse(x->peer, &source) != 0 ||
        socket_address_parse(x->local, &destination) != 0)
        return proxy_header_local(version);
    n = proxy_header_format(version, &source, &destination, room);
    return arena_str(a, str_make(room, n));
}
