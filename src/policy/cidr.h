/* IP addresses and CIDR ranges for matching. An IPv4 address and its IPv4-mapped IPv6 form are the
 * same address (RFC 4291 2.5.5.2). Values; any thread. */
#pragma once

#include <sys/socket.h>

#include "base/arena.h"

/* 16 bytes in network order; IPv4 as ::ffff:a.b.c.d. All zero and not valid: unknown. */
struct ip_address {
    uint8_t bytes[16];
    bool is_valid;
};

struct cidr {
    struct ip_address address; /* bits past the prefix are zero */
    uint8_t n_bits;            /* of the 128 */
    bool is_ipv4;
};

/* A compiled list: immutable, in an arena. */
struct cidr_list {
    const struct cidr *items;
    size_t n;
};

/* "1.2.3.4" or "2001:db8::1"; no port, brackets or zone. False when it is neither. */
MUST_USE bool ip_address_parse(struct str text, struct ip_address *ret_address);
/* AF_INET and AF_INET6; anything else gives an address that is not valid. */
struct ip_address ip_address_of_socket(const struct sockaddr *address);
bool ip_address_eq(const struct ip_address *a, const struct ip_address *b);
/* Text form into `room` (at least 46 bytes, INET6_ADDRSTRLEN); "" when not valid. */
struct str ip_address_format(const struct ip_address *address, char room[46]);

/* "10.0.0.0/8", "2001:db8::/32", or a single address. Host bits set are accepted and ignored, as
 * Envoy does. False when malformed. */
MUST_USE bool cidr_parse(struct str text, struct cidr *ret_cidr);
/* An address that is not valid lies in no range. */
bool cidr_has(const struct cidr *cidr, const struct ip_address *address);
/* Compiles into `arena`. On a malformed member returns false with its index in *ret_bad. */
MUST_USE bool cidr_list_parse(const struct str *texts, size_t n, struct arena *arena,
                              struct cidr_list *ret_list, size_t *ret_bad);
bool cidr_list_has(const struct cidr_list *list, const struct ip_address *address);
