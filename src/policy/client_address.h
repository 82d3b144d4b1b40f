/* Who is the client? The address that authorization, limits and logs use, found by a
 * ClientTrafficPolicy's clientIPDetection (Envoy Gateway ClientIPDetectionSettings), and whether
 * the forwarding headers that came with the request may be believed. Pure; any thread. */
#pragma once

#include "http/message.h"
#include "policy/cidr.h"

enum client_address_mode {
    CLIENT_ADDRESS_SOCKET, /* no policy, or directSourceIP: the peer of the connection */
    CLIENT_ADDRESS_HOPS,   /* xForwardedFor.numTrustedHops */
    CLIENT_ADDRESS_CIDRS,  /* xForwardedFor.trustedCIDRs */
    CLIENT_ADDRESS_HEADER, /* customHeader */
};

struct client_address_policy {
    enum client_address_mode mode;
    uint32_t n_trusted_hops;
    struct cidr_list trusted;
    struct str header; /* lower-case */
    bool must_have;    /* customHeader.failClosed: no address, no request (403) */
};

struct client_address {
    struct ip_address address;
    bool is_trusted_peer; /* the peer is a proxy of ours: its X-Forwarded-* are kept, else replaced
                           */
    bool is_missing;      /* the policy demands an address and the request has none: refuse (403) */
};

/* `headers` as received, before hop-by-hop and late headers leave. */
struct client_address client_address_find(const struct client_address_policy *policy,
                                          const struct ip_address *peer,
                                          const struct http_headers *headers);
