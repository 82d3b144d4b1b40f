/* Sockets as the listeners need them. No state; any thread. */
#include "net/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"

enum { SOCKET_BACKLOG = 4096 };

static bool socket_has_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return false;
    close(fd);
    return access("/proc/self/net/if_inet6", R_OK) == 0;
}

static void address_set_v4(struct socket_address *a, struct in_addr ip, uint16_t port)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a->address;

    *a = (struct socket_address){.len = sizeof *v4};
    v4->sin_family = AF_INET;
    v4->sin_addr = ip;
    v4->sin_port = htons(port);
}

static void address_set_v6(struct socket_address *a, struct in6_addr ip, uint16_t port)
{
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a->address;

    *a = (struct socket_address){.len = sizeof *v6};
    v6->sin6_family = AF_INET6;
    v6->sin6_addr = ip;
    v6->sin6_port = htons(port);
}

int socket_address_parse_ip(struct str ip, uint16_t port, struct socket_address *ret_address)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;

    if (ip.len == 0) {
        if (socket_has_ipv6())
            address_set_v6(ret_address, in6addr_any, port);
        else
            address_set_v4(ret_address, (struct in_addr){INADDR_ANY}, port);
        return 0;
    }
    if (ip.len >= sizeof text || memchr(ip.ptr, '\0', ip.len))
        return SOCKET_BAD_ADDRESS;
    memcpy(text, ip.ptr, ip.len);
    text[ip.len] = '\0';
    if (inet_pton(AF_INET, text, &v4) == 1)
        address_set_v4(ret_address, v4, port);
    else if (inet_pton(AF_INET6, text, &v6) == 1)
        address_set_v6(ret_address, v6, port);
    else
        return SOCKET_BAD_ADDRESS;
    return 0;
}

int socket_address_parse(struct str text, struct socket_address *ret_address)
{
    struct str ip;
    uint64_t port;
    size_t colon = text.len;

    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0 || !str_to_u64(str_slice(text, colon, text.len), &port) || port > UINT16_MAX)
        return SOCKET_BAD_ADDRESS;
    ip = str_slice(text, 0, colon - 1);
    if (ip.len >= 2 && ip.ptr[0] == '[' && ip.ptr[ip.len - 1] == ']')
        ip = str_slice(ip, 1, ip.len - 1);
    else if (str_find_char(ip, ':', 0) >= 0)
        return SOCKET_BAD_ADDRESS; /* an IPv6 address needs its brackets */
    return socket_address_parse_ip(ip, (uint16_t)port, ret_address);
}

uint16_t socket_address_port(const struct socket_address *a)
{
    return a->address.ss_family == AF_INET
               ? ntohs(((const struct sockaddr_in *)&a->address)->sin_port)
               : ntohs(((const struct sockaddr_in6 *)&a->address)->sin6_port);
}

bool socket_address_is_same(const struct socket_address *a, const struct socket_address *b)
{
    const struct sockaddr_in6 *a6 = (const void *)&a->address;
    const struct sockaddr_in6 *b6 = (const void *)&b->address;
    const struct sockaddr_in *a4 = (const void *)&a->address;
    const struct sockaddr_in *b4 = (const void *)&b->address;

    if (a->address.ss_family != b->address.ss_family)
        return false;
    if (a->address.ss_family == AF_INET)
        return a4->sin_port == b4->sin_port && a4->sin_addr.s_addr == b4->sin_addr.s_addr;
    return a6->sin6_port == b6->sin6_port && a6->sin6_scope_id == b6->sin6_scope_id &&
           memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof a6->sin6_addr) == 0;
}

void socket_format_address(const struct sockaddr *address, char *room, size_t cap)
{
    char ip[INET6_ADDRSTRLEN];

    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;

        inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof ip);
        snprintf(room, cap, "%s:%u", ip, ntohs(v4->sin_port));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        bool is_mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);

        inet_ntop(is_mapped ? AF_INET : AF_INET6,
                  is_mapped ? (const void *)&v6->sin6_addr.s6_addr[12]
                            : (const void *)&v6->sin6_addr,
                  ip, sizeof ip);
        snprintf(room, cap, is_mapped ? "%s:%u" : "[%s]:%u", ip, ntohs(v6->sin6_port));
    } else {
        snprintf(room, cap, "-");
    }
}

void socket_format_local(int fd, char *room, size_t cap)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        snprintf(room, cap, "-");
    else
        socket_format_address((const struct sockaddr *)&address, room, cap);
}

static int socket_condition_of(int error)
{
    switch (error) {
    case EADDRINUSE:
        return SOCKET_IN_USE;
    case EACCES:
    case EPERM:
        return SOCKET_DENIED;
    case EADDRNOTAVAIL:
        return SOCKET_NOT_AVAILABLE;
    default:
        return SOCKET_FAILED;
    }
}

static int socket_bind(const struct socket_address *a, bool is_shared, int *ret_fd)
{
    int fd = socket(a->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    int off = 0;

    if (fd < 0)
        return SOCKET_FAILED;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (is_shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (a->address.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, (const struct sockaddr *)&a->address, a->len) < 0) {
        int condition = socket_condition_of(errno);

        close(fd);
        return condition;
    }
    *ret_fd = fd;
    return 0;
}

int socket_probe(const struct socket_address *a)
{
    int fd;
    int r = socket_bind(a, false, &fd);

    if (r != 0)
        return r;
    /* Linux refuses the bind beside whatever listens there, with SO_REUSEADDR on both sides too. No
     * listen: a client that comes in that moment would connect to a socket that is about to close,
     * to be reset or to wait a second for its next try. */
    close(fd);
    return 0;
}

int socket_listen(const struct socket_address *a, int *ret_fd)
{
    int r = socket_bind(a, true, ret_fd);

    if (r != 0)
        return r;
    if (listen(*ret_fd, SOCKET_BACKLOG) < 0) {
        r = socket_condition_of(errno);
        close(*ret_fd);
        *ret_fd = -1;
    }
    return r;
}

bool socket_is_listening(int fd)
{
    int is_listening = 0;
    socklen_t len = sizeof is_listening;

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) == 0 && is_listening;
}

bool socket_is_port(int fd, struct socket_address *ret_address)
{
    int protocol = 0;
    socklen_t len = sizeof protocol;

    *ret_address = (struct socket_address){.len = sizeof ret_address->address};
    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 &&
           protocol == IPPROTO_TCP && socket_is_listening(fd) &&
           getsockname(fd, (struct sockaddr *)&ret_address->address, &ret_address->len) == 0 &&
           socket_address_port(ret_address) != 0;
}

const char *socket_listen_error(int condition)
{
    switch (condition) {
    case SOCKET_IN_USE:
        return "the port is in use by another program";
    case SOCKET_DENIED:
        return "this user may not bind the port";
    case SOCKET_NOT_AVAILABLE:
        return "the address is not one of this machine";
    case SOCKET_BAD_ADDRESS:
        return "not a valid address";
    default:
        return "the system refused to open it";
    }
}

bool socket_may_bind_privileged(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {0};

    if (syscall(SYS_capget, &header, data) != 0)
        return geteuid() == 0;
    return (data[0].effective & (1U << CAP_NET_BIND_SERVICE)) != 0;
}

static void socket_set(int fd, int level, int name, int value)
{
    /* Fails on sockets that are not TCP (tests): nothing is probed there. */
    if (value > 0)
        setsockopt(fd, level, name, &value, sizeof value);
}

void socket_set_options(int fd, const struct socket_options *o)
{
    socket_set(fd, SOL_SOCKET, SO_SNDBUF, o->buffer_bytes);
    socket_set(fd, SOL_SOCKET, SO_RCVBUF, o->buffer_bytes);
    if (!o->keeps_alive)
        return;
    socket_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    socket_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, o->idle_s);
    socket_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, o->interval_s);
    socket_set(fd, IPPROTO_TCP, TCP_KEEPCNT, o->n_probes);
}

void socket_close(int fd)
{
    if (fd >= 0)
        close(fd);
}
