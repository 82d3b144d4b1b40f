/* Names to addresses through c-ares, on the loop and without threads. /etc/hosts is honoured. */
#pragma once

#include <sys/socket.h>

#include "base/str.h"
#include "net/loop.h"

enum { RESOLVER_SOCKETS_MAX = 16, RESOLVER_TIMEOUT_MS = 2000 };

enum resolve_status {
    RESOLVE_OK,
    RESOLVE_NOT_FOUND, /* the name does not exist, or has no address */
    RESOLVE_SERVER_FAILURE,
    RESOLVE_TIMEOUT,
};

struct resolve_address {
    struct sockaddr_storage address; /* port 0 */
    socklen_t len;
};

struct resolve_result {
    enum resolve_status status;
    uint32_t ttl_s;                    /* the smallest; 0 unknown */
    struct resolve_address *addresses; /* in the order of the answer; borrowed for the call */
    size_t n_addresses;                /* at most LIMIT_NAME_ADDRESSES */
    size_t n_dropped;                  /* beyond that */
};

struct resolve_query;
typedef void resolve_fn(struct resolve_query *q, const struct resolve_result *result);

/* Embedded in its owner. */
struct resolve_query {
    resolve_fn *on_done;
    struct resolve_job *job; /* NULL: not running */
};

struct resolver_socket {
    struct loop_fd io;
    struct resolver *resolver;
};

struct resolver {
    struct loop *loop;
    struct ares_channeldata *channel;
    struct resolver_socket sockets[RESOLVER_SOCKETS_MAX];
    struct timer timer;
    struct list jobs;
};

/* Asks the system's servers (resolv.conf). 0 or negative. */
MUST_USE int resolver_init(struct resolver *r, struct loop *l);
/* Before the first query: asks these instead ("127.0.0.1:5353,..."), each for `timeout_ms` at
 * first. 0 or negative. */
MUST_USE int resolver_use_servers(struct resolver *r, const char *servers, int timeout_ms);
/* Running queries are dropped without completion. */
void resolver_deinit(struct resolver *r);
/* `family`: AF_INET, AF_INET6, or AF_UNSPEC for both. Exactly one completion, unless cancelled;
 * never from within this call. */
void resolver_start(struct resolver *r, struct resolve_query *q, struct str name, int family,
                    resolve_fn *on_done);
void resolver_cancel(struct resolve_query *q);
