/* Addresses from the pool are drawn by a hash of the Gateway's identity that does not depend on the
 * process, and by probing on when another Gateway drew the same. */
#include "gateway/compile/address_pool.h"

#include <stdio.h>

#include "base/hash.h"
#include "gateway/server_options.h"
#include "net/socket.h"
#include "policy/cidr.h"

enum { POOL_BITS_MAX = 16 };

static uint64_t address_stable_hash(const struct gateway *g)
{
    static const struct hash_key key = {0x746f6c6c67617465ULL, 0x61646472706f6f6cULL};
    char text[512];
    int n = snprintf(text, sizeof text, "%.*s|%.*s|%.*s", STR_ARG(g->object.uid),
                     STR_ARG(g->object.namespace), STR_ARG(g->object.name));

    return hash_sip24(key, text, MIN((size_t)(n < 0 ? 0 : n), sizeof text - 1));
}

/* Address number `index` of the range. */
static struct ip_address address_at(const struct cidr *pool, uint32_t index)
{
    struct ip_address a = pool->address;

    for (int i = 15; i >= 0 && index > 0; i--) {
        uint32_t sum = a.bytes[i] + (index & 0xff);

        a.bytes[i] = (uint8_t)sum;
        index = (index >> 8) + (sum >> 8);
    }
    return a;
}

static bool address_is_taken(const struct compile *c, struct str text)
{
    VEC_FOREACH (&c->taken_addresses, taken) {
        if (str_eq(*taken, text))
            return true;
    }
    return false;
}

/* Empty: all are taken. */
static struct str address_draw(struct compile *c, const struct gateway *g, const struct cidr *pool)
{
    uint32_t bits = MIN(128U - pool->n_bits, (uint32_t)POOL_BITS_MAX);
    uint32_t n = 1U << bits;
    uint32_t start = (uint32_t)(address_stable_hash(g) % n);

    for (uint32_t i = 0; i < n; i++) {
        uint32_t index = (start + i) % n;
        struct ip_address a = address_at(pool, index);
        struct str text;
        char room[46];

        /* Network and broadcast address are nobody's. */
        if (n > 2 && pool->is_ipv4 && (index == 0 || index == n - 1))
            continue;
        text = arena_str(&c->manifest->arena, ip_address_format(&a, room));
        if (address_is_taken(c, text))
            continue;
        VEC_PUSH(&c->scratch, &c->taken_addresses, text);
        return text;
    }
    return STR("");
}

/* One spelling per address: ports are told apart by it. What listens on every address by another
 * name is the wildcard. */
static struct str address_canonical(struct compile *c, struct str text)
{
    struct socket_address wildcard;
    struct ip_address a, any = {0};
    char room[46];

    if (!ip_address_parse(text, &a))
        return text; /* checked at decode */
    if (socket_address_parse_ip(STR(""), 0, &wildcard) == 0)
        any = ip_address_of_socket((const struct sockaddr *)&wildcard.address);
    if (ip_address_eq(&a, &any))
        return STR("");
    return arena_str(&c->manifest->arena, ip_address_format(&a, room));
}

static bool address_is_asked_for(const struct gateway_address *a)
{
    return a->parsed_type == ADDRESS_IP && a->value.len > 0;
}

void address_pool_reserve(struct compile *c, const struct gateway *g)
{
    for (size_t i = 0; i < g->spec.addresses.n; i++) {
        if (address_is_asked_for(&g->spec.addresses.items[i]))
            VEC_PUSH(&c->scratch, &c->taken_addresses,
                     address_canonical(c, g->spec.addresses.items[i].value));
    }
}

static void address_add(struct compile *c, struct str_vec *ret, struct str text)
{
    for (size_t i = 0; i < ret->n; i++) {
        if (str_eq(ret->items[i], text))
            return;
    }
    VEC_PUSH(&c->manifest->arena, ret, text);
}

const char *address_pool_of(struct compile *c, const struct gateway *g, struct str_vec *ret)
{
    bool is_free = true; /* no address is asked for by name */
    struct str drawn = STR("");
    struct cidr pool;

    for (size_t i = 0; i < g->spec.addresses.n; i++) {
        const struct gateway_address *a = &g->spec.addresses.items[i];

        is_free &= a->value.len == 0 && a->parsed_type == ADDRESS_IP;
        if (address_is_asked_for(a))
            address_add(c, ret, address_canonical(c, a->value));
    }
    if (ret->n > 0)
        return NULL;
    if (!is_free)
        return "none of its addresses is an IP address";
    if (c->options->address_pool.len > 0 && cidr_parse(c->options->address_pool, &pool)) {
        drawn = address_draw(c, g, &pool);
        if (drawn.len == 0)
            return "no address of --address-pool is left";
    }
    address_add(c, ret, drawn);
    return NULL;
}
