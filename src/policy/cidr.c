/* CIDR ranges. Everything is kept as 128 bits, so that one comparison serves both families and a
 * range written for IPv4 also takes a client that came over a dual-stack socket. "::/0" covers
 * every address, IPv4 included; "0.0.0.0/0" only IPv4. Pure; lists live in the caller's arena. */
#include "policy/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool parse_family(int family, struct str text, void *ret_bytes)
{
    char copy[INET6_ADDRSTRLEN];

    if (text.len == 0 || text.len >= sizeof copy || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return inet_pton(family, copy, ret_bytes) == 1;
}

static struct ip_address from_ipv4(const void *four_bytes)
{
    struct ip_address address = {.is_valid = true};

    memcpy(address.bytes, mapped_prefix, sizeof mapped_prefix);
    memcpy(address.bytes + sizeof mapped_prefix, four_bytes, 4);
    return address;
}

static bool is_mapped(const struct ip_address *address)
{
    return memcmp(address->bytes, mapped_prefix, sizeof mapped_prefix) == 0;
}

bool ip_address_parse(struct str text, struct ip_address *ret_address)
{
    uint8_t four[4];

    *ret_address = (struct ip_address){0};
    if (parse_family(AF_INET, text, four)) {
        *ret_address = from_ipv4(four);
        return true;
    }
    ret_address->is_valid = parse_family(AF_INET6, text, ret_address->bytes);
    return ret_address->is_valid;
}

struct ip_address ip_address_of_socket(const struct sockaddr *address)
{
    struct ip_address result = {0};

    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, address, sizeof in);
        return from_ipv4(&in.sin_addr);
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, address, sizeof in6);
        memcpy(result.bytes, &in6.sin6_addr, sizeof result.bytes);
        result.is_valid = true;
    }
    return result;
}

bool ip_address_eq(const struct ip_address *a, const struct ip_address *b)
{
    return a->is_valid && b->is_valid && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

struct str ip_address_format(const struct ip_address *address, char room[46])
{
    bool is_ipv4 = is_mapped(address);
    const void *bytes = is_ipv4 ? address->bytes + sizeof mapped_prefix : address->bytes;

    if (!address->is_valid || !inet_ntop(is_ipv4 ? AF_INET : AF_INET6, bytes, room, 46))
        return STR("");
    return str_of(room);
}

static void clear_host_bits(struct ip_address *address, unsigned n_bits)
{
    for (unsigned i = 0; i < sizeof address->bytes; i++) {
        unsigned n_kept = n_bits > i * 8 ? MIN(n_bits - i * 8, 8U) : 0;

        address->bytes[i] &= (uint8_t)(0xff00U >> n_kept);
    }
}

bool cidr_parse(struct str text, struct cidr *ret_cidr)
{
    ssize_t slash = str_find_char(text, '/', 0);
    struct str host = slash < 0 ? text : str_slice(text, 0, (size_t)slash);
    uint64_t n_bits;

    *ret_cidr = (struct cidr){0};
    if (!ip_address_parse(host, &ret_cidr->address))
        return false;
    /* The written form decides what the number counts; "::ffff:10.0.0.0/104" counts IPv6 bits. */
    bool is_dotted = str_find_char(host, ':', 0) < 0;
    uint64_t n_max = is_dotted ? 32 : 128;

    n_bits = n_max;
    if (slash >= 0 && !str_to_u64(str_slice(text, (size_t)slash + 1, text.len), &n_bits))
        return false;
    if (n_bits > n_max)
        return false;
    ret_cidr->n_bits = (uint8_t)(is_dotted ? n_bits + 96 : n_bits);
    ret_cidr->is_ipv4 = is_dotted;
    clear_host_bits(&ret_cidr->address, ret_cidr->n_bits);
    return true;
}

bool cidr_has(const struct cidr *cidr, const struct ip_address *address)
{
    size_t n_bytes = cidr->n_bits / 8;
    unsigned n_rest = cidr->n_bits % 8;

    if (!address->is_valid || memcmp(cidr->address.bytes, address->bytes, n_bytes) != 0)
        return false;
    return n_rest == 0 ||
           ((cidr->address.bytes[n_bytes] ^ address->bytes[n_bytes]) >> (8 - n_rest)) == 0;
}

bool cidr_list_parse(const struct str *texts, size_t n, struct arena *arena,
                     struct cidr_list *ret_list, size_t *ret_bad)
{
    struct cidr *items = ARENA_ARRAY(arena, struct cidr, n);

    *ret_list = (struct cidr_list){items, n};
    for (size_t i = 0; i < n; i++) {
        if (!cidr_parse(texts[i], &items[i])) {
            *ret_bad = i;
            return false;
        }
    }
    return true;
}

bool cidr_list_has(const struct cidr_list *list, const struct ip_address *address)
{
    for (size_t i = 0; i < list->n; i++) {
        if (cidr_has(&list->items[i], address))
            return true;
    }
    return false;
}
