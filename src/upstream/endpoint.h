/* Endpoints: the addresses behind a cluster. A set is immutable once published, and refcounted
 * (shared by all threads); what changes at an address is in its state, which later sets with that
 * address share. */
#pragma once

#include <stdatomic.h>
#include <sys/socket.h>

#include "base/str.h"
#include "upstream/backend_state.h"

struct endpoint {
    struct sockaddr_storage address;
    socklen_t address_len;
    char text[ENDPOINT_TEXT_BYTES]; /* "127.0.0.1:8080", "[::1]:8080" */
    struct endpoint_state *state;   /* one reference; NULL until the set is published */
};

struct endpoint_table; /* upstream/balance/table.h */

/* How sure we are of the set. */
enum endpoints_state {
    ENDPOINTS_PENDING, /* a name not resolved yet: callers wait */
    ENDPOINTS_KNOWN,
    ENDPOINTS_FAILED, /* the name does not resolve and never did */
};

struct endpoint_set {
    _Atomic uint32_t n_refs;
    enum endpoints_state state;
    _Atomic uint64_t well;                 /* endpoints that are: kept by health/usable.c */
    struct endpoint_table *_Atomic tables; /* NULL: no keys are told apart */
    uint32_t n;
    struct endpoint items[];
};

/* One reference is the caller's; items zeroed for it to fill before sharing. */
struct endpoint_set *endpoint_set_new(uint32_t n, enum endpoints_state state);
struct endpoint_set *endpoint_set_ref(struct endpoint_set *s);
void endpoint_set_unref(struct endpoint_set *s);
/* Fills address and text. False when `ip` is no IPv4 or IPv6 address. */
bool endpoint_init_ip(struct endpoint *e, struct str ip, uint16_t port);
/* As above from a resolved address (its port is replaced). */
void endpoint_init_address(struct endpoint *e, const struct sockaddr *address, socklen_t len,
                           uint16_t port);
/* Gives each endpoint its state at the backend. Before the set is shared, once. */
void endpoint_set_bind(struct endpoint_set *s, struct backend_state *b);
/* The same addresses, not shared nor bound yet. */
struct endpoint_set *endpoint_set_copy(const struct endpoint_set *s);
bool endpoint_set_is_same(const struct endpoint_set *a, const struct endpoint_set *b);
