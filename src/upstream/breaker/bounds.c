/* See bounds.h. A change is written first, and then every queue looked at under its lock: who joins
 * one meanwhile sees the change, or is seen. */
#include "upstream/breaker/bounds.h"

#include "base/assert.h"
#include "base/mem.h"
#include "upstream/cluster.h"

/* The registry's lock is held, here and in the next. */
static struct bounds *bounds_find_locked(struct cluster_registry *r, struct str key)
{
    struct bounds *b = map_find(&r->bounds, key);

    if (b)
        b->n_refs++;
    return b;
}

static struct bounds *bounds_new(struct cluster_registry *r, struct str key,
                                 const struct breaker_limits *first)
{
    struct bounds *b = MEM_NEW(struct bounds);

    b->n_refs = 1;
    b->registry = r;
    b->key = str_make(mem_dup_text(key.ptr, key.len), key.len);
    (void)breaker_limits_set(&b->now, first);
    map_put(&r->bounds, b->key, b);
    return b;
}

struct bounds *bounds_get(struct cluster_registry *r, struct str key,
                          const struct breaker_limits *first)
{
    pthread_mutex_lock(&r->lock);
    struct bounds *b = bounds_find_locked(r, key);

    if (!b)
        b = bounds_new(r, key, first);
    pthread_mutex_unlock(&r->lock);
    return b;
}

struct bounds *bounds_find(struct cluster_registry *r, struct str key)
{
    pthread_mutex_lock(&r->lock);
    struct bounds *b = bounds_find_locked(r, key);

    pthread_mutex_unlock(&r->lock);
    return b;
}

struct bounds *bounds_ref(struct bounds *b)
{
    pthread_mutex_lock(&b->registry->lock);
    b->n_refs++;
    pthread_mutex_unlock(&b->registry->lock);
    return b;
}

void bounds_unref(struct bounds *b)
{
    struct cluster_registry *r = b->registry;

    pthread_mutex_lock(&r->lock);
    ASSERT(b->n_refs > 0);
    bool is_last = --b->n_refs == 0;

    if (is_last)
        map_remove(&r->bounds, b->key);
    pthread_mutex_unlock(&r->lock);
    if (!is_last)
        return;
    mem_free((void *)(uintptr_t)b->key.ptr);
    mem_free(b);
}

void bounds_adopt(struct cluster_registry *r, const struct bounds_wish *wishes, uint32_t n)
{
    bool is_changed = false;

    for (uint32_t i = 0; i < n; i++)
        is_changed |= breaker_limits_set(&wishes[i].bounds->now, &wishes[i].limits);
    if (!is_changed)
        return;
    pthread_mutex_lock(&r->lock);
    MAP_FOREACH (&r->backends, slot) {
        struct backend_state *s = slot->value;

        pending_on_bounds(&s->breaker);
    }
    pthread_mutex_unlock(&r->lock);
}
