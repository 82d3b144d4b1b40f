/* Hostname patterns: matching, intersection, rank (Gateway API HTTPRouteSpec.hostnames,
 * Listener.hostname). "*.example.com" covers a.example.com and a.b.example.com, never example.com.
 * Pure functions on borrowed text; any thread. The routing table has its own index over the same
 * rules; a test compares the two. */
#include "policy/host_pattern.h"

bool host_pattern_is_wildcard(struct str pattern)
{
    return pattern.len > 2 && pattern.ptr[0] == '*' && pattern.ptr[1] == '.';
}

bool host_pattern_matches(struct str pattern, struct str host)
{
    if (pattern.len == 0)
        return true;
    if (!host_pattern_is_wildcard(pattern))
        return str_eq(pattern, host);
    struct str suffix = str_slice(pattern, 1, pattern.len);

    return host.len > suffix.len && str_ends_with(host, suffix);
}

bool host_pattern_intersect(struct str listener, struct str route, struct str *ret_pattern)
{
    if (listener.len == 0 || route.len == 0) {
        *ret_pattern = listener.len == 0 ? route : listener;
        return true;
    }
    bool is_route_narrower = host_pattern_rank(route) >= host_pattern_rank(listener);
    struct str narrow = is_route_narrower ? route : listener;
    struct str wide = is_route_narrower ? listener : route;

    *ret_pattern = narrow;
    if (str_eq(narrow, wide))
        return true;
    if (!host_pattern_is_wildcard(wide))
        return false;
    /* A narrower wildcard lies inside a wider one exactly when its text ends in the other's. */
    return host_pattern_matches(wide, narrow);
}

unsigned host_pattern_rank(struct str pattern)
{
    if (pattern.len == 0)
        return 0;
    if (host_pattern_is_wildcard(pattern))
        return 1 + (unsigned)(pattern.len < 1024 ? pattern.len : 1024);
    return 2048;
}
