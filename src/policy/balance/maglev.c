/* Maglev hashing (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer",
 * NSDI 2016, 3.4): each endpoint has an order of its own over all places, and they take turns in
 * taking the first one in it that is free.
 *
 * The table is one of all endpoints, whatever their health: it is not built again when one falls
 * ill, and what the others have stays theirs. */
#include "policy/balance/maglev.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "policy/balance/stable_hash.h"

enum {
    MAGLEV_PLACES = 16, /* of a key that are looked at before the endpoints are gone through */
};

static const uint32_t FREE = UINT32_MAX;

/* An endpoint's order: `next`, `next` + `skip` and so on, around. */
struct maglev_turn {
    struct str name;
    uint32_t index;
    uint32_t next;
    uint32_t skip;
};

static int maglev_compare(const void *a, const void *b)
{
    return str_compare(((const struct maglev_turn *)a)->name,
                       ((const struct maglev_turn *)b)->name);
}

static struct maglev_turn *maglev_turns(const struct str *names, uint32_t n, uint32_t size)
{
    struct maglev_turn *turns = mem_alloc(n * sizeof turns[0]);

    for (uint32_t i = 0; i < n; i++) {
        uint64_t hash = stable_hash(names[i]);

        turns[i] = (struct maglev_turn){names[i], i, (uint32_t)(hash % size),
                                        (uint32_t)(stable_hash_nth(hash, 1) % (size - 1)) + 1};
    }
    qsort(turns, n, sizeof turns[0], maglev_compare);
    return turns;
}

/* Every place is in its order, so that there is a free one. */
static void maglev_take(struct maglev *m, struct maglev_turn *t)
{
    while (m->places[t->next] != FREE) {
        t->next += t->skip; /* both are below the size, which is far from wrapping */
        if (t->next >= m->size)
            t->next -= m->size;
    }
    m->places[t->next] = t->index;
}

struct maglev *maglev_new(const struct str *names, uint32_t n, uint32_t size)
{
    struct maglev *m;
    struct maglev_turn *turns;

    PRE(n > 0 && size > 1);
    m = mem_alloc(sizeof *m + size * sizeof m->places[0]);
    turns = maglev_turns(names, n, size);
    m->size = size;
    memset(m->places, 0xff, size * sizeof m->places[0]);
    for (uint32_t i = 0; i < size; i++)
        maglev_take(m, &turns[i % n]);
    mem_free(turns);
    return m;
}

void maglev_free(struct maglev *m)
{
    mem_free(m);
}

static bool maglev_has(const uint32_t *seen, uint32_t n, uint32_t index)
{
    for (uint32_t i = 0; i < n; i++) {
        if (seen[i] == index)
            return true;
    }
    return false;
}

uint32_t maglev_pick(const struct maglev *m, uint64_t key, uint32_t n_passed,
                     const struct balancer_view *v)
{
    uint32_t seen[MAGLEV_PLACES];
    uint32_t n_seen = 0;
    uint32_t n_usable = 0;

    for (unsigned i = 0; i < MAGLEV_PLACES; i++) {
        uint32_t index = m->places[stable_hash_nth(key, i) % m->size];

        if (maglev_has(seen, n_seen, index))
            continue;
        seen[n_seen++] = index;
        if (v->load(v->context, index) == UINT32_MAX)
            continue;
        if (n_usable++ >= n_passed && index != v->avoid)
            return index;
    }
    return balancer_scan(v, (uint32_t)(key % v->n));
}
