/* Hash map from str to pointer: open addressing, keyed hash, keys borrowed (they must live as long
 * as the map, usually in the same arena). Memory from the heap; map_deinit frees the table, not the
 * values. Not thread-safe; a map that no longer changes may be read by all threads. */
#pragma once

#include "base/str.h"

struct map_slot {
    struct str key; /* key.ptr == NULL: free */
    uint64_t hash;
    void *value;
};

struct map {
    struct map_slot *slots;
    size_t n_slots; /* a power of two, or 0 */
    size_t n_items;
};

/* A zeroed struct map is empty and ready. */
void map_deinit(struct map *m);
/* NULL when absent. */
void *map_find(const struct map *m, struct str key);
/* Returns the value that stood there before (NULL: none). `value` must not be NULL. */
void *map_put(struct map *m, struct str key, void *value);
/* Returns the removed value or NULL. */
void *map_remove(struct map *m, struct str key);

/* `slot` is a struct map_slot *; the map must not change meanwhile. */
#define MAP_FOREACH(m, slot)                                                                       \
    for (struct map_slot *slot = (m)->slots,                                                       \
                         *slot##_end = (m)->n_slots ? slot + (m)->n_slots : slot;                  \
         slot < slot##_end; slot++)                                                                \
        if (slot->key.ptr)
