/* Backends and their registry. Threads: compile makes and releases, control publishes endpoints,
 * workers read. References are atomic; the registry's lock guards the map so that a cluster is
 * never found while its last reference goes. */
#include "upstream/cluster.h"

#include "base/assert.h"
#include "base/mem.h"
#include "net/tls.h"
#include "upstream/balance/table.h"

void cluster_registry_init(struct cluster_registry *r)
{
    *r = (struct cluster_registry){0};
    pthread_mutex_init(&r->lock, NULL);
    places_init(&r->places);
}

void cluster_registry_deinit(struct cluster_registry *r)
{
    ASSERT(r->clusters.n_nodes == 0);
    ASSERT(r->backends.n_items == 0);
    ASSERT(r->bounds.n_items == 0);
    map_deinit(&r->by_key);
    map_deinit(&r->backends);
    map_deinit(&r->bounds);
    mem_free(r->free_ids);
    places_deinit(&r->places);
    pthread_mutex_destroy(&r->lock);
}

static uint32_t registry_take_id(struct cluster_registry *r)
{
    if (r->n_free_ids > 0)
        return r->free_ids[--r->n_free_ids];
    /* Room for every id to come back. */
    r->free_ids = mem_realloc(r->free_ids, (r->next_id + 1) * sizeof r->free_ids[0]);
    return r->next_id++;
}

static struct str cluster_copy(struct str text)
{
    return str_make(mem_dup_text(text.ptr, text.len), text.len);
}

static struct cluster *cluster_new(struct cluster_registry *r, struct cluster_identity *identity)
{
    struct cluster *b = MEM_NEW(struct cluster);

    atomic_init(&b->n_refs, 1);
    atomic_init(&b->n_users, 1);
    atomic_init(&b->version, 1);
    pthread_mutex_init(&b->lock, NULL);
    pthread_mutex_init(&b->publishing, NULL);
    b->registry = r;
    b->id = registry_take_id(r);
    b->key = cluster_copy(identity->key);
    b->name = cluster_copy(identity->name);
    b->server_name = cluster_copy(identity->server_name);
    b->resolve_host = cluster_copy(identity->resolve_host);
    b->resolve_port = identity->resolve_port;
    b->protocol = identity->protocol;
    b->http2 = identity->http2;
    b->transport = identity->transport;
    b->lookup = identity->lookup;
    b->tls = TAKE(identity->tls);
    b->backend = backend_state_get(r, b->name);
    b->endpoints = TAKE(identity->endpoints);
    endpoint_set_bind(b->endpoints, b->backend);
    map_put(&r->by_key, b->key, b);
    list_append(&r->clusters, &b->node);
    return b;
}

struct cluster *cluster_registry_get(struct cluster_registry *r, struct cluster_identity *identity)
{
    /* Whole before anybody else can find it. */
    pthread_mutex_lock(&r->lock);
    struct cluster *b = map_find(&r->by_key, identity->key);

    if (b)
        cluster_ref(b);
    else
        b = cluster_new(r, identity);
    pthread_mutex_unlock(&r->lock);
    return b;
}

struct cluster *cluster_observe(struct cluster *b)
{
    atomic_fetch_add_explicit(&b->n_refs, 1, memory_order_relaxed);
    return b;
}

struct cluster *cluster_ref(struct cluster *b)
{
    atomic_fetch_add_explicit(&b->n_users, 1, memory_order_relaxed);
    return cluster_observe(b);
}

bool cluster_is_in_use(const struct cluster *b)
{
    return atomic_load_explicit(&b->n_users, memory_order_relaxed) > 0;
}

static void cluster_free_text(struct str *s)
{
    mem_free((void *)(uintptr_t)s->ptr);
    *s = STR_NULL;
}

static void cluster_free(struct cluster *b)
{
    endpoint_set_unref(b->endpoints);
    backend_state_unref(b->backend);
    tls_client_free(b->tls);
    cluster_free_text(&b->key);
    cluster_free_text(&b->name);
    cluster_free_text(&b->server_name);
    cluster_free_text(&b->resolve_host);
    table_wishes_free(b->tables);
    pthread_mutex_destroy(&b->publishing);
    pthread_mutex_destroy(&b->lock);
    mem_free(b);
}

void cluster_unref(struct cluster *b)
{
    if (!b)
        return;
    atomic_fetch_sub_explicit(&b->n_users, 1, memory_order_relaxed);
    cluster_unobserve(b);
}

void cluster_unobserve(struct cluster *b)
{
    struct cluster_registry *r = b->registry;

    /* Not the last: no lock. The last one goes under the lock, since a lookup may revive it. */
    uint32_t n = atomic_load_explicit(&b->n_refs, memory_order_relaxed);

    while (n > 1) {
        if (atomic_compare_exchange_weak_explicit(&b->n_refs, &n, n - 1, memory_order_acq_rel,
                                                  memory_order_relaxed))
            return;
    }
    pthread_mutex_lock(&r->lock);
    bool is_last = atomic_fetch_sub_explicit(&b->n_refs, 1, memory_order_acq_rel) == 1;

    if (is_last) {
        map_remove(&r->by_key, b->key);
        list_remove(&b->node);
        r->free_ids[r->n_free_ids++] = b->id;
    }
    pthread_mutex_unlock(&r->lock);
    if (is_last)
        cluster_free(b);
}

/* `publishing` is held. The former ones are the caller's. */
static struct endpoint_set *cluster_replace(struct cluster *b, struct endpoint_set *endpoints)
{
    struct endpoint_set *old;

    endpoint_set_bind(endpoints, b->backend);
    endpoint_set_add_tables(endpoints, &b->tables);
    pthread_mutex_lock(&b->lock);
    old = b->endpoints;
    b->endpoints = endpoints;
    atomic_fetch_add_explicit(&b->version, 1, memory_order_release);
    pthread_mutex_unlock(&b->lock);
    return old;
}

struct table_wish *cluster_want_table(struct cluster *b, uint32_t size)
{
    struct endpoint_set *old = NULL;
    struct table_wish *t;

    pthread_mutex_lock(&b->publishing);
    t = table_want(&b->tables, size);
    /* Tables go with their set only: those that nobody wants any more would stay for as long as the
     * addresses do. */
    if (endpoint_set_has_spare_tables(b->endpoints, &b->tables))
        old = cluster_replace(b, endpoint_set_copy(b->endpoints));
    else
        endpoint_set_add_table(b->endpoints, size);
    pthread_mutex_unlock(&b->publishing);
    endpoint_set_unref(old);
    return t;
}

void cluster_prepare(struct cluster *b, struct endpoint_set *endpoints)
{
    pthread_mutex_lock(&b->publishing);
    if (!endpoint_set_is_same(b->endpoints, endpoints))
        endpoint_set_add_tables(endpoints, &b->tables);
    pthread_mutex_unlock(&b->publishing);
}

bool cluster_publish(struct cluster *b, struct endpoint_set *endpoints)
{
    struct endpoint_set *old = endpoints;

    pthread_mutex_lock(&b->publishing);
    bool is_changed = !endpoint_set_is_same(b->endpoints, endpoints);

    if (is_changed)
        old = cluster_replace(b, endpoints);
    pthread_mutex_unlock(&b->publishing);
    endpoint_set_unref(old);
    return is_changed;
}

struct endpoint_set *cluster_endpoints(struct cluster *b)
{
    pthread_mutex_lock(&b->lock);
    struct endpoint_set *s = endpoint_set_ref(b->endpoints);

    pthread_mutex_unlock(&b->lock);
    return s;
}
