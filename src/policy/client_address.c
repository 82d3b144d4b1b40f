/* Client address detection.
 *
 *   numTrustedHops N: the Nth address from the right of X-Forwarded-For; a shorter list means that
 *                     the request did not come by all those proxies, and the peer counts.
 *   trustedCIDRs:     the peer must be trusted; then from right to left the first address that is
 *                     not; all trusted: the leftmost.
 *   customHeader:     that header's address; missing or malformed: the peer, or a refusal.
 *
 * A member that is no address ends the walk: what stands left of it was vouched for by nobody we
 * know. Nothing is allocated: several X-Forwarded-For lines are walked from the last line's last
 * member on, as if joined (RFC 9110 5.3). */
#include "policy/client_address.h"

#include "http/forwarded.h"

/* A place in all lines of X-Forwarded-For, moving left; linear in the bytes walked over, since a
 * client chooses how long the list is. */
struct hop_walk {
    const struct http_headers *headers;
    unsigned line;   /* lines at and after this one are done */
    struct str list; /* what is left of the current line; ptr NULL: nothing */
};

/* Cuts the last member off; empty members count, so that a forged ",," cannot shift the others. */
static struct str cut_last(struct str *list)
{
    size_t start = list->len;

    while (start > 0 && list->ptr[start - 1] != ',')
        start--;
    struct str node = str_trim(str_slice(*list, start, list->len));

    *list = start > 0 ? str_slice(*list, 0, start - 1) : STR_NULL;
    return node;
}

/* The next member to the left; false at the left end. */
static bool next_hop(struct hop_walk *w, struct str *ret_node)
{
    while (!w->list.ptr) {
        if (w->line == 0)
            return false;
        const struct http_header *header = &w->headers->items[--w->line];

        if (header->id == HEADER_X_FORWARDED_FOR)
            w->list = header->value;
    }
    *ret_node = cut_last(&w->list);
    return true;
}

static bool node_address(struct str node, struct ip_address *ret_address)
{
    struct str text;

    return forwarded_address(node, &text) && ip_address_parse(text, ret_address);
}

static struct client_address by_hops(const struct client_address_policy *policy,
                                     const struct ip_address *peer,
                                     const struct http_headers *headers)
{
    struct client_address result = {.address = *peer};
    struct hop_walk walk = {.headers = headers, .line = headers->n};
    struct ip_address address;
    struct str node = STR("");

    for (uint32_t i = 0; i < policy->n_trusted_hops; i++) {
        if (!next_hop(&walk, &node))
            return result;
    }
    if (policy->n_trusted_hops > 0 && node_address(node, &address)) {
        result.address = address;
        result.is_trusted_peer = true;
    }
    return result;
}

static struct client_address by_cidrs(const struct client_address_policy *policy,
                                      const struct ip_address *peer,
                                      const struct http_headers *headers)
{
    struct client_address result = {.address = *peer};
    struct hop_walk walk = {.headers = headers, .line = headers->n};
    struct ip_address address;
    struct str node;

    if (!cidr_list_has(&policy->trusted, peer))
        return result;
    result.is_trusted_peer = true;
    while (next_hop(&walk, &node) && node_address(node, &address)) {
        result.address = address;
        if (!cidr_list_has(&policy->trusted, &address))
            break;
    }
    return result;
}

static struct client_address by_header(const struct client_address_policy *policy,
                                       const struct ip_address *peer,
                                       const struct http_headers *headers)
{
    struct client_address result = {.address = *peer};
    struct ip_address address;

    if (node_address(str_trim(http_headers_value(headers, policy->header)), &address)) {
        result.address = address;
        result.is_trusted_peer = true;
    } else {
        result.is_missing = policy->must_have;
    }
    return result;
}

struct client_address client_address_find(const struct client_address_policy *policy,
                                          const struct ip_address *peer,
                                          const struct http_headers *headers)
{
    switch (policy->mode) {
    case CLIENT_ADDRESS_HOPS:
        return by_hops(policy, peer, headers);
    case CLIENT_ADDRESS_CIDRS:
        return by_cidrs(policy, peer, headers);
    case CLIENT_ADDRESS_HEADER:
        return by_header(policy, peer, headers);
    case CLIENT_ADDRESS_SOCKET:
    default:
        return (struct client_address){.address = *peer};
    }
}
