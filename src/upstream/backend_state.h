/* What everything that sends to a backend knows of it together: all workers, all clusters of its
 * name (the names of one Backend, the same addresses under other settings for connections) and
 * successive snapshots. It lives as long as a cluster of that name does, its endpoints' part as
 * long as a set of endpoints has their address: neither a reload nor a changed answer of the name
 * server forgets what is under way at the addresses that stay. Shared by all threads. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "upstream/breaker/breaker.h"
#include "upstream/health/health_state.h"

struct cluster_registry;

enum { ENDPOINT_TEXT_BYTES = 64 };

struct backend_state {
    struct cluster_registry *registry;
    _Atomic uint32_t n_refs; /* of clusters and endpoint states */
    struct str name;         /* owned */
    pthread_mutex_t lock;
    struct map endpoints; /* struct endpoint_state by text; under `lock` */
    struct breaker breaker;
    struct backend_health health;
};

struct endpoint_state {
    struct backend_state *backend;  /* one reference */
    uint32_t n_refs;                /* of endpoints in sets; under the backend's lock */
    char text[ENDPOINT_TEXT_BYTES]; /* "127.0.0.1:8080", "[::1]:8080" */
    _Atomic uint32_t n_in_flight;   /* requests */
    /* When it was first seen, or was last found healthy again by its probes. */
    _Atomic uint64_t new_since_us;
    struct bounded_count connections;
    struct endpoint_health health;
};

/* That of the name with one more reference, made if there is none. The registry's lock is held. */
struct backend_state *backend_state_get(struct cluster_registry *r, struct str name);
/* That of the name with one more reference; NULL: there is none. Takes the registry's lock. */
struct backend_state *backend_state_find(struct cluster_registry *r, struct str name);
struct backend_state *backend_state_ref(struct backend_state *b);
/* Takes the registry's lock; the last one frees. */
void backend_state_unref(struct backend_state *b);
/* That of an address ("127.0.0.1:8080") with one more reference, made if there is none. */
struct endpoint_state *endpoint_state_get(struct backend_state *b, const char *text);
/* The last one forgets the address. Takes the registry's lock then. NULL is nothing. */
void endpoint_state_unref(struct endpoint_state *e);
