/* Linear probing with backward-shift deletion: no tombstones, so a long-lived map does not degrade.
 */
#include "base/map.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

void map_deinit(struct map *m)
{
    mem_free(m->slots);
    *m = (struct map){0};
}

static struct map_slot *map_probe(const struct map *m, struct str key, uint64_t hash)
{
    size_t mask = m->n_slots - 1;
    size_t i = hash & mask;

    while (m->slots[i].key.ptr) {
        if (m->slots[i].hash == hash && str_eq(m->slots[i].key, key))
            break;
        i = (i + 1) & mask;
    }
    return &m->slots[i];
}

void *map_find(const struct map *m, struct str key)
{
    if (m->n_items == 0)
        return NULL;
    return map_probe(m, key, hash_str(key))->value;
}

static void map_grow(struct map *m)
{
    struct map old = *m;

    m->n_slots = old.n_slots ? old.n_slots * 2 : 16;
    m->slots = mem_alloc_zero(m->n_slots * sizeof *m->slots);
    MAP_FOREACH (&old, slot)
        *map_probe(m, slot->key, slot->hash) = *slot;
    mem_free(old.slots);
}

void *map_put(struct map *m, struct str key, void *value)
{
    PRE(value != NULL);
    if (!key.ptr)
        key.ptr = "";
    if ((m->n_items + 1) * 4 > m->n_slots * 3)
        map_grow(m);
    uint64_t hash = hash_str(key);
    struct map_slot *slot = map_probe(m, key, hash);
    void *before = slot->key.ptr ? slot->value : NULL;

    if (!slot->key.ptr) {
        m->n_items++;
        slot->key = key;
        slot->hash = hash;
    }
    slot->value = value;
    return before;
}

void *map_remove(struct map *m, struct str key)
{
    if (m->n_items == 0)
        return NULL;
    struct map_slot *slot = map_probe(m, key, hash_str(key));

    if (!slot->key.ptr)
        return NULL;
    void *value = slot->value;
    size_t mask = m->n_slots - 1;
    size_t hole = (size_t)(slot - m->slots);
    size_t i = (hole + 1) & mask;

    while (m->slots[i].key.ptr) {
        size_t home = m->slots[i].hash & mask;

        /* Move back whatever would no longer be reached across the hole. */
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
        i = (i + 1) & mask;
    }
    m->slots[hole] = (struct map_slot){0};
    m->n_items--;
    return value;
}
