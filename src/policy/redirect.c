/* Building the Location of a redirect.
 *
 * Port (HTTPRequestRedirectFilter.port): as given; else the well-known port of the redirect's own
 * scheme, else the listener's; left out where it is the scheme's default. The query is kept.
 * Scheme, host and path of the request were checked when its head was read, so nothing in them can
 * end the header. Owner: the result is the exchange's. Pure. */
#include "policy/redirect.h"

#include <stdio.h>

static uint16_t default_port(struct str scheme)
{
    return str_eq(scheme, STR("https")) ? 443 : 80;
}

static uint16_t redirect_port(const struct redirect *r, uint16_t listener_port)
{
    if (r->port != 0)
        return r->port;
    return r->scheme.len > 0 ? default_port(r->scheme) : listener_port;
}

int redirect_location(const struct redirect *r, const struct http_request *request,
                      size_t n_matched, uint16_t listener_port, struct arena *arena,
                      struct str *ret_location)
{
    struct str scheme = r->scheme.len > 0 ? r->scheme : request->scheme;
    struct str host = r->hostname.len > 0 ? r->hostname : request->host;
    uint16_t port = redirect_port(r, listener_port);
    struct str query = request->query;
    const char *mark = query.ptr ? "?" : "";
    struct str path;
    char port_text[8] = "";

    if (path_rewrite_apply(&r->path, request->path, n_matched, arena, &path) != 0)
        return REWRITE_REFUSED;
    if (port != 0 && port != default_port(scheme))
        snprintf(port_text, sizeof port_text, ":%u", (unsigned)port);
    /* No host is known only to HTTP/1.0 clients; a path alone is a valid Location too, but one that
     * begins with two slashes would name a host (RFC 3986 4.2, 5.2.4). */
    if (host.len == 0)
        *ret_location =
            arena_printf(arena, "%s%.*s%s%.*s", str_starts_with(path, STR("//")) ? "/." : "",
                         STR_ARG(path), mark, STR_ARG(query));
    else
        *ret_location = arena_printf(arena, "%.*s://%.*s%s%.*s%s%.*s", STR_ARG(scheme),
                                     STR_ARG(host), port_text, STR_ARG(path), mark, STR_ARG(query));
    return 0;
}
