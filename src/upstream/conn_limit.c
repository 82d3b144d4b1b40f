/* See conn_limit.h. The lock is for the list alone, and is taken only where there is no place. */
#include "upstream/conn_limit.h"

#include "base/assert.h"

void conn_limit_init(struct conn_limit *l, uint32_t n_max)
{
    *l = (struct conn_limit){.n_max = n_max};
    pthread_mutex_init(&l->lock, NULL);
}

void conn_limit_deinit(struct conn_limit *l)
{
    ASSERT(l->members.n_nodes == 0);
    pthread_mutex_destroy(&l->lock);
}

void conn_limit_add_member(struct conn_limit *l, struct conn_limit_member *m)
{
    m->limit = l;
    pthread_mutex_lock(&l->lock);
    list_append(&l->members, &m->node);
    pthread_mutex_unlock(&l->lock);
}

void conn_limit_remove_member(struct conn_limit_member *m)
{
    struct conn_limit *l = m->limit;

    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    list_remove(&m->node);
    pthread_mutex_unlock(&l->lock);
    m->limit = NULL;
}

bool conn_limit_take(struct conn_limit_member *m)
{
    if (!m->limit)
        return true;
    m->n_given_seen = atomic_load(&m->limit->n_given);
    return bounded_count_take(&m->limit->open, m->limit->n_max);
}

void conn_limit_put_unused(struct conn_limit_member *m)
{
    if (m->limit)
        bounded_count_put(&m->limit->open);
}

void conn_limit_begin_closing(struct conn_limit_member *m)
{
    if (m->limit)
        atomic_fetch_add(&m->limit->n_closing, 1);
}

bool conn_limit_gets_room(const struct conn_limit_member *m)
{
    /* In this order: a place is given back before its connection closes no more. */
    return atomic_load(&m->limit->n_closing) > 0 ||
           atomic_load(&m->limit->n_given) != m->n_given_seen;
}

/* Who waits may be anywhere: all look. */
static void conn_limit_tell(struct conn_limit *l)
{
    pthread_mutex_lock(&l->lock);
    LIST_FOREACH (&l->members, node)
        wake_post(&CONTAINER_OF(node, struct conn_limit_member, node)->wake);
    pthread_mutex_unlock(&l->lock);
}

void conn_limit_put(struct conn_limit_member *m)
{
    struct conn_limit *l = m->limit;

    if (!l)
        return;
    bounded_count_put(&l->open);
    atomic_fetch_add(&l->n_given, 1);
    atomic_fetch_sub(&l->n_closing, 1);
    /* By writing, so that it comes behind the line above in every thread's eyes. */
    if (UNLIKELY(atomic_fetch_add(&l->n_crowded, 0) > 0))
        conn_limit_tell(l);
}

bool conn_limit_ask(struct conn_limit_member *m)
{
    struct conn_limit *l = m->limit;
    bool has_asked = false;

    if (!l)
        return false;
    pthread_mutex_lock(&l->lock);
    LIST_FOREACH (&l->members, node) {
        struct conn_limit_member *other = CONTAINER_OF(node, struct conn_limit_member, node);

        if (other == m || atomic_load(&other->n_unused) == 0)
            continue;
        atomic_store(&other->is_asked, true);
        wake_post(&other->wake);
        has_asked = true;
    }
    pthread_mutex_unlock(&l->lock);
    return has_asked;
}

bool conn_limit_is_asked(struct conn_limit_member *m)
{
    return atomic_exchange(&m->is_asked, false);
}

void conn_limit_note_unused(struct conn_limit_member *m, bool has_some)
{
    uint32_t n = atomic_load_explicit(&m->n_unused, memory_order_relaxed);

    /* Who sees one less sees also that it is closing, if it is. */
    atomic_store_explicit(&m->n_unused, has_some ? n + 1 : n - 1, memory_order_release);
}

void conn_limit_join(struct conn_limit_member *m)
{
    atomic_fetch_add(&m->limit->n_crowded, 1);
}

void conn_limit_leave(struct conn_limit_member *m)
{
    atomic_fetch_sub(&m->limit->n_crowded, 1);
}
