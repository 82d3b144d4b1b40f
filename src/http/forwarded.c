/* Reads X-Forwarded-For from the right, where the hops that we may trust stand. Addresses are
 * checked by the system's own parser, so that what leaves here can go into logs and address sets.
 * Stateless. */
#include "http/forwarded.h"

#include <arpa/inet.h>

bool forwarded_for_hop(struct str list, unsigned hop, struct str *ret_node)
{
    size_t end = list.len;

    if (hop == 0 || list.len == 0)
        return false;
    for (;;) {
        size_t start = end;

        while (start > 0 && list.ptr[start - 1] != ',')
            start--;
        if (--hop == 0) {
            *ret_node = str_trim(str_slice(list, start, end));
            return true;
        }
        if (start == 0)
            return false;
        end = start - 1;
    }
}

static bool forwarded_is_address(struct str s, int family)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (s.len == 0 || s.len >= sizeof text || memchr(s.ptr, '\0', s.len))
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return inet_pton(family, text, &address) == 1;
}

static bool forwarded_is_port(struct str s)
{
    uint64_t port;

    return s.len >= 1 && s.len <= 5 && str_to_u64(s, &port) && port <= 65535;
}

bool forwarded_address(struct str node, struct str *ret_address)
{
    ssize_t colon = str_find_char(node, ':', 0);

    if (node.len > 0 && node.ptr[0] == '[') {
        ssize_t close = str_find_char(node, ']', 1);

        if (close < 0)
            return false;
        struct str rest = str_slice(node, (size_t)close + 1, node.len);

        *ret_address = str_slice(node, 1, (size_t)close);
        if (rest.len > 0 &&
            (rest.ptr[0] != ':' || !forwarded_is_port(str_slice(rest, 1, rest.len))))
            return false;
        return forwarded_is_address(*ret_address, AF_INET6);
    }
    if (colon >= 0 && str_find_char(node, ':', (size_t)colon + 1) >= 0) {
        *ret_address = node;
        return forwarded_is_address(node, AF_INET6);
    }
    if (colon >= 0 && !forwarded_is_port(str_slice(node, (size_t)colon + 1, node.len)))
        return false;
    *ret_address = colon >= 0 ? str_slice(node, 0, (size_t)colon) : node;
    return forwarded_is_address(*ret_address, AF_INET);
}
