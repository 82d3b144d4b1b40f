/* States of backends and of their endpoints. A lock guards each map, so that a state is never found
 * while its last reference goes. Both locks are taken when configuration or names change, never
 * per request; the backend's is let go before the registry's is taken. */
#include "upstream/backend_state.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "upstream/cluster.h"

struct backend_state *backend_state_get(struct cluster_registry *r, struct str name)
{
    struct backend_state *b = map_find(&r->backends, name);

    if (b)
        return backend_state_ref(b);
    b = MEM_NEW(struct backend_state);
    atomic_init(&b->n_refs, 1);
    b->registry = r;
    b->name = str_make(mem_dup_text(name.ptr, name.len), name.len);
    pthread_mutex_init(&b->lock, NULL);
    breaker_init(&b->breaker);
    breaker_join(&b->breaker, &r->places, b->name);
    map_put(&r->backends, b->name, b);
    return b;
}

struct backend_state *backend_state_find(struct cluster_registry *r, struct str name)
{
    pthread_mutex_lock(&r->lock);
    struct backend_state *b = map_find(&r->backends, name);

    if (b)
        backend_state_ref(b);
    pthread_mutex_unlock(&r->lock);
    return b;
}

struct backend_state *backend_state_ref(struct backend_state *b)
{
    atomic_fetch_add_explicit(&b->n_refs, 1, memory_order_relaxed);
    return b;
}

void backend_state_unref(struct backend_state *b)
{
    struct cluster_registry *r = b->registry;

    pthread_mutex_lock(&r->lock);
    bool is_last = atomic_fetch_sub_explicit(&b->n_refs, 1, memory_order_acq_rel) == 1;

    if (is_last)
        map_remove(&r->backends, b->name);
    pthread_mutex_unlock(&r->lock);
    if (!is_last)
        return;
    map_deinit(&b->endpoints);
    pthread_mutex_destroy(&b->lock);
    breaker_deinit(&b->breaker);
    mem_free((void *)(uintptr_t)b->name.ptr);
    mem_free(b);
}

static struct endpoint_state *endpoint_state_new(struct backend_state *b, const char *text)
{
    struct endpoint_state *e = MEM_NEW(struct endpoint_state);
    uint32_t before;

    e->backend = backend_state_ref(b); /* the caller has one */
    atomic_init(&e->new_since_us, clock_read().mono_us);
    snprintf(e->text, sizeof e->text, "%s", text);
    bounded_count_mark(&e->connections, places_session(b->breaker.places), &before);
    map_put(&b->endpoints, str_of(e->text), e);
    return e;
}

struct endpoint_state *endpoint_state_get(struct backend_state *b, const char *text)
{
    pthread_mutex_lock(&b->lock);
    struct endpoint_state *e = map_find(&b->endpoints, str_of(text));

    if (!e)
        e = endpoint_state_new(b, text);
    e->n_refs++;
    pthread_mutex_unlock(&b->lock);
    return e;
}

void endpoint_state_unref(struct endpoint_state *e)
{
    struct backend_state *b;

    if (!e)
        return;
    b = e->backend;
    pthread_mutex_lock(&b->lock);
    bool is_last = --e->n_refs == 0;

    if (is_last)
        map_remove(&b->endpoints, str_of(e->text));
    pthread_mutex_unlock(&b->lock);
    if (!is_last)
        return;
    mem_free(e);
    backend_state_unref(b);
}
