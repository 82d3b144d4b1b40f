/* A cluster: one destination of traffic with its endpoints and how to speak to it. Shared by all
 * workers and by successive snapshots; its identity is its key, so that pools outlive a reload. Its
 * endpoints change while it lives: from configuration or from the resolver, both on the control
 * side. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/map.h"
#include "upstream/cluster_settings.h"
#include "upstream/cluster_transport.h"
#include "upstream/endpoint.h"

struct table_wish; /* upstream/balance/table.h */
struct tls_client;
struct wake;

struct cluster {
    _Atomic uint32_t n_refs;  /* of users and observers */
    _Atomic uint32_t n_users; /* those that keep it in use: not pools, not the resolver */
    uint32_t id;              /* small, unique among living clusters: index of a worker's pool */
    struct str key;
    struct str name;        /* "Backend/ns/name", "Service/ns/name:80": logs and metrics */
    struct str server_name; /* for SNI, verification, and Host where a rewrite says so */
    struct tls_client *tls; /* NULL: plain; owned */
    enum cluster_protocol protocol;
    struct cluster_http2 http2;
    struct cluster_transport transport;
    struct str resolve_host; /* empty: endpoints are fixed */
    uint16_t resolve_port;
    struct cluster_lookup lookup;
    struct cluster_registry *registry;
    struct backend_state *backend; /* of its name; one reference */
    /* Published endpoints: read `version` first, take the lock only when it changed. */
    _Atomic uint32_t version;
    pthread_mutex_t lock;
    struct endpoint_set *endpoints;
    /* Held while endpoints or tables change; before `lock`, and not by workers. */
    pthread_mutex_t publishing;
    struct table_wish *tables; /* that the endpoints are to have; under it */
    bool is_watched_name;      /* control only: the resolver keeps its endpoints */
    struct list_node node;     /* registry's list */
};

/* All living clusters. Shared; its lock is taken when configuration or names change, never per
 * request. */
struct cluster_registry {
    pthread_mutex_t lock;
    struct map by_key;
    struct map backends; /* struct backend_state by name */
    struct list clusters;
    struct places places; /* of all backends */
    struct map bounds;    /* struct bounds by key */
    uint32_t *free_ids;
    uint32_t n_free_ids;
    uint32_t next_id;
};

void cluster_registry_init(struct cluster_registry *r);
/* All clusters must have been released. */
void cluster_registry_deinit(struct cluster_registry *r);
/* What a cluster is made of, copied when it is new; `tls` and `endpoints` are taken over then. */
struct cluster_identity {
    struct str key;
    struct str name;
    struct str server_name;
    struct str resolve_host;
    uint16_t resolve_port;
    enum cluster_protocol protocol; /* this and the next three in `key` too */
    struct cluster_http2 http2;
    struct cluster_transport transport;
    struct cluster_lookup lookup;
    struct tls_client *tls;
    struct endpoint_set *endpoints;
};

/* The cluster of that key with one more reference, made if there is none (then what it took over is
 * NULL in `identity`). Any thread. */
struct cluster *cluster_registry_get(struct cluster_registry *r, struct cluster_identity *identity);
struct cluster *cluster_ref(struct cluster *b);
/* A reference that keeps the memory and not the use: of what goes away with the last user. */
struct cluster *cluster_observe(struct cluster *b);
void cluster_unobserve(struct cluster *b);
bool cluster_is_in_use(const struct cluster *b);
/* Any thread; the last one removes it from the registry and frees it. NULL is nothing. */
void cluster_unref(struct cluster *b);
/* From now on all its endpoints have a table of that size, until table_unwant of what it returns:
 * once for each, while the cluster is there. Takes as long as a table takes. */
struct table_wish *cluster_want_table(struct cluster *b, uint32_t size);
/* Endpoints that are to be published get their tables, unless they are those that it has. */
void cluster_prepare(struct cluster *b, struct endpoint_set *endpoints);
/* Replaces the endpoints (takes over the caller's reference); no change when they are the same.
 * Any thread. Returns whether they changed. */
bool cluster_publish(struct cluster *b, struct endpoint_set *endpoints);
/* The current endpoints with one more reference. Any thread. */
struct endpoint_set *cluster_endpoints(struct cluster *b);
