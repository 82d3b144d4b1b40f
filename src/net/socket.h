/* Addresses and listening sockets. */
#pragma once

#include <sys/socket.h>

#include "base/str.h"

struct socket_address {
    struct sockaddr_storage address;
    socklen_t len;
};

/* Conditions of socket_probe and socket_listen. */
enum socket_condition {
    SOCKET_IN_USE = 1,
    SOCKET_DENIED,        /* a privileged port without the privilege */
    SOCKET_NOT_AVAILABLE, /* the address is not one of this machine */
    SOCKET_BAD_ADDRESS,
    SOCKET_FAILED,
};

/* "127.0.0.1", "::1"; empty: the wildcard (IPv6 that takes IPv4 too where the machine has it, else
 * IPv4). 0 or SOCKET_BAD_ADDRESS. */
MUST_USE int socket_address_parse_ip(struct str ip, uint16_t port,
                                     struct socket_address *ret_address);
/* "127.0.0.1:9901", "[::1]:9901", ":9901". 0 or SOCKET_BAD_ADDRESS. */
MUST_USE int socket_address_parse(struct str text, struct socket_address *ret_address);
uint16_t socket_address_port(const struct socket_address *a);
/* Family, address, port and scope, not the padding. Both are of IPv4 or IPv6. */
bool socket_address_is_same(const struct socket_address *a, const struct socket_address *b);
/* "192.0.2.1:80", "[2001:db8::1]:80"; IPv4-mapped addresses as IPv4. Into `room` of `cap` bytes. */
void socket_format_address(const struct sockaddr *address, char *room, size_t cap);
/* The local address of a connected descriptor. */
void socket_format_local(int fd, char *room, size_t cap);

/* Binds once without SO_REUSEPORT and lets go: notices a port that somebody else uses. 0 or a
 * condition. */
MUST_USE int socket_probe(const struct socket_address *a);
/* A listening socket with SO_REUSEPORT, non-blocking. 0 or a condition. */
MUST_USE int socket_listen(const struct socket_address *a, int *ret_fd);
/* No more after a shutdown, by whoever shares it. */
bool socket_is_listening(int fd);
/* A TCP socket that listens at an address of IPv4 or IPv6, by the kernel's word. */
bool socket_is_port(int fd, struct socket_address *ret_address);
/* One sentence for a condition. */
const char *socket_listen_error(int condition);
/* How an accepted or connecting socket differs from the system's defaults; 0: not at all. */
struct socket_options {
    int buffer_bytes; /* of each direction; fixed then */
    bool keeps_alive; /* an idle peer is probed */
    int idle_s;       /* before the first probe */
    int interval_s;   /* between probes */
    int n_probes;     /* that may stay without an answer */
};
void socket_set_options(int fd, const struct socket_options *o);
bool socket_may_bind_privileged(void);
void socket_close(int fd);
