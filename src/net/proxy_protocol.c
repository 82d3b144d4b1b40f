/* See proxy_protocol.h. One reading or none: what a sender may not write is refused, since whoever
 * reads it otherwise believes another address. Addresses of UNIX sockets and datagrams are no
 * client of ours. Of version 2's further values (TLVs) only the frame is looked at. */
#include "net/proxy_protocol.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/limits.h"

static const char v1_signature[] = "PROXY ";
static const char v2_signature[] = "\r\n\r\n\0\r\nQUIT\n";

enum {
    V1_SIGNATURE_BYTES = sizeof v1_signature - 1,
    V1_LINE_BYTES = 107, /* 2.1: the longest line, its end included */
    V2_SIGNATURE_BYTES = sizeof v2_signature - 1,
    V2_FIXED_BYTES = V2_SIGNATURE_BYTES + 4,
    V2_IPV4_BYTES = 12, /* two addresses, two ports */
    V2_IPV6_BYTES = 36,
    V2_TLV_HEAD_BYTES = 3,
    V2_LOCAL = 0x20, /* version and command */
    V2_PROXY = 0x21,
    V2_TCP4 = 0x11, /* family and transport */
    V2_TCP6 = 0x21,
};

static uint16_t read_u16(const char *p)
{
    return (uint16_t)((uint8_t)p[0] << 8 | (uint8_t)p[1]);
}

/* ---- version 1: a line of text (2.1) ---- */

static bool v1_read_port(struct str text, uint16_t *ret_port)
{
    uint64_t port;

    if (text.len > 5 || (text.len > 1 && text.ptr[0] == '0') || !str_to_u64(text, &port) ||
        port > UINT16_MAX)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

static bool v1_read_end(struct str ip, struct str port_text, sa_family_t family,
                        struct socket_address *ret)
{
    uint16_t port;

    return ip.len > 0 && v1_read_port(port_text, &port) &&
           socket_address_parse_ip(ip, port, ret) == 0 && ret->address.ss_family == family;
}

static bool v1_read_ends(struct str rest, sa_family_t family, struct proxy_header *ret)
{
    struct str parts[4], extra;
    size_t n = 0;

    while (n < N_ELEMENTS(parts) && str_split(&rest, ' ', &parts[n]))
        n++;
    return n == N_ELEMENTS(parts) && !str_split(&rest, ' ', &extra) &&
           v1_read_end(parts[0], parts[2], family, &ret->source) &&
           v1_read_end(parts[1], parts[3], family, &ret->destination);
}

static bool v1_read_line(struct str line, struct proxy_header *ret)
{
    if (str_starts_with(line, STR("TCP4 ")))
        return v1_read_ends(str_slice(line, 5, line.len), AF_INET, ret);
    if (str_starts_with(line, STR("TCP6 ")))
        return v1_read_ends(str_slice(line, 5, line.len), AF_INET6, ret);
    ret->is_local = true; /* whatever stands behind it is to be ignored */
    return str_eq(line, STR("UNKNOWN")) || str_starts_with(line, STR("UNKNOWN "));
}

static int v1_parse(struct str bytes, struct proxy_header *ret)
{
    ssize_t end = str_find_char(str_slice(bytes, 0, V1_LINE_BYTES), '\n', 0);

    if (end < 0)
        return bytes.len < V1_LINE_BYTES ? PROXY_MORE : PROXY_BAD;
    if (bytes.ptr[end - 1] != '\r')
        return PROXY_BAD;
    ret->n = (size_t)end + 1;
    return v1_read_line(str_slice(bytes, V1_SIGNATURE_BYTES, (size_t)end - 1), ret) ? 0 : PROXY_BAD;
}

/* ---- version 2: binary (2.2) ---- */

static void v2_read_ipv4(const char *at, const char *port, struct socket_address *ret)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&ret->address;

    *ret = (struct socket_address){.len = sizeof *v4};
    v4->sin_family = AF_INET;
    memcpy(&v4->sin_addr, at, sizeof v4->sin_addr);
    memcpy(&v4->sin_port, port, sizeof v4->sin_port);
}

static void v2_read_ipv6(const char *at, const char *port, struct socket_address *ret)
{
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret->address;

    *ret = (struct socket_address){.len = sizeof *v6};
    v6->sin6_family = AF_INET6;
    memcpy(&v6->sin6_addr, at, sizeof v6->sin6_addr);
    memcpy(&v6->sin6_port, port, sizeof v6->sin6_port);
}

static bool v2_has_whole_tlvs(struct str rest)
{
    while (rest.len >= V2_TLV_HEAD_BYTES) {
        size_t n = V2_TLV_HEAD_BYTES + (size_t)read_u16(rest.ptr + 1);

        if (n > rest.len)
            return false;
        rest = str_slice(rest, n, rest.len);
    }
    return rest.len == 0;
}

static bool v2_read_ends(uint8_t family, struct str rest, struct proxy_header *ret)
{
    if (family == V2_TCP4 && rest.len >= V2_IPV4_BYTES) {
        v2_read_ipv4(rest.ptr, rest.ptr + 8, &ret->source);
        v2_read_ipv4(rest.ptr + 4, rest.ptr + 10, &ret->destination);
        return v2_has_whole_tlvs(str_slice(rest, V2_IPV4_BYTES, rest.len));
    }
    if (family == V2_TCP6 && rest.len >= V2_IPV6_BYTES) {
        v2_read_ipv6(rest.ptr, rest.ptr + 32, &ret->source);
        v2_read_ipv6(rest.ptr + 16, rest.ptr + 34, &ret->destination);
        return v2_has_whole_tlvs(str_slice(rest, V2_IPV6_BYTES, rest.len));
    }
    return false;
}

static int v2_parse(struct str bytes, struct proxy_header *ret)
{
    uint8_t command;

    if (bytes.len <= V2_SIGNATURE_BYTES)
        return PROXY_MORE;
    command = (uint8_t)bytes.ptr[V2_SIGNATURE_BYTES];
    if (command != V2_LOCAL && command != V2_PROXY)
        return PROXY_BAD;
    if (bytes.len < V2_FIXED_BYTES)
        return PROXY_MORE;
    ret->n = V2_FIXED_BYTES + (size_t)read_u16(bytes.ptr + V2_FIXED_BYTES - 2);
    if (ret->n > LIMIT_PROXY_HEADER_BYTES)
        return PROXY_BAD;
    if (bytes.len < ret->n)
        return PROXY_MORE;
    ret->is_local = command == V2_LOCAL;
    return ret->is_local || v2_read_ends((uint8_t)bytes.ptr[V2_SIGNATURE_BYTES + 1],
                                         str_slice(bytes, V2_FIXED_BYTES, ret->n), ret)
               ? 0
               : PROXY_BAD;
}

/* ---- both ---- */

/* As far as both go. */
static bool proxy_begins(struct str bytes, const char *signature, size_t n)
{
    return memcmp(bytes.ptr, signature, MIN(n, bytes.len)) == 0;
}

int proxy_header_parse(struct str bytes, struct proxy_header *ret_header)
{
    *ret_header = (struct proxy_header){.n = 0};
    if (bytes.len == 0)
        return PROXY_MORE;
    if (proxy_begins(bytes, v2_signature, V2_SIGNATURE_BYTES))
        return v2_parse(bytes, ret_header);
    if (proxy_begins(bytes, v1_signature, V1_SIGNATURE_BYTES))
        return bytes.len < V1_SIGNATURE_BYTES ? PROXY_MORE : v1_parse(bytes, ret_header);
    return PROXY_NONE;
}

/* ---- what is sent ---- */

struct str proxy_header_local(enum proxy_version version)
{
    PRE(version != PROXY_VERSION_NONE);
    return version == PROXY_VERSION_1 ? STR("PROXY UNKNOWN\r\n")
                                      : STR("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
}

static const void *proxy_ip(const struct socket_address *a)
{
    return a->address.ss_family == AF_INET
               ? (const void *)&((const struct sockaddr_in *)&a->address)->sin_addr
               : (const void *)&((const struct sockaddr_in6 *)&a->address)->sin6_addr;
}

static size_t v1_format(const struct socket_address *source,
                        const struct socket_address *destination, char *room)
{
    int family = source->address.ss_family;
    char ips[2][INET6_ADDRSTRLEN];
    int n;

    inet_ntop(family, proxy_ip(source), ips[0], sizeof ips[0]);
    inet_ntop(family, proxy_ip(destination), ips[1], sizeof ips[1]);
    n = snprintf(room, PROXY_FORMAT_BYTES, "PROXY %s %s %s %u %u\r\n",
                 family == AF_INET ? "TCP4" : "TCP6", ips[0], ips[1], socket_address_port(source),
                 socket_address_port(destination));
    ASSERT(n > 0 && n < PROXY_FORMAT_BYTES);
    return (size_t)n;
}

static char *v2_put(char *p, const void *bytes, size_t n)
{
    memcpy(p, bytes, n);
    return p + n;
}

static size_t v2_format(const struct socket_address *source,
                        const struct socket_address *destination, char *room)
{
    bool is_v4 = source->address.ss_family == AF_INET;
    size_t ip_bytes = is_v4 ? sizeof(struct in_addr) : sizeof(struct in6_addr);
    const uint16_t ports[] = {htons(socket_address_port(source)),
                              htons(socket_address_port(destination))};
    const char head[] = {V2_PROXY, is_v4 ? V2_TCP4 : V2_TCP6, 0,
                         is_v4 ? V2_IPV4_BYTES : V2_IPV6_BYTES};
    char *p = v2_put(room, v2_signature, V2_SIGNATURE_BYTES);

    p = v2_put(p, head, sizeof head);
    p = v2_put(p, proxy_ip(source), ip_bytes);
    p = v2_put(p, proxy_ip(destination), ip_bytes);
    p = v2_put(p, ports, sizeof ports);
    return (size_t)(p - room);
}

size_t proxy_header_format(enum proxy_version version, const struct socket_address *source,
                           const struct socket_address *destination, char room[PROXY_FORMAT_BYTES])
{
    sa_family_t family = source->address.ss_family;
    struct str local = proxy_header_local(version);

    if (family != destination->address.ss_family || (family != AF_INET && family != AF_INET6)) {
        memcpy(room, local.ptr, local.len);
        return local.len;
    }
    return version == PROXY_VERSION_1 ? v1_format(source, destination, room)
                                      : v2_format(source, destination, room);
}
