/* A hash index from (scope, text) to an object that embeds a struct route_key. One index serves all
 * hosts, paths and header values of a routing table: the scope says which of them a key belongs to.
 * Built once in an arena, then read by all threads. */
#pragma once

#include "base/arena.h"

struct route_key {
    struct str text;
    uint32_t scope;
};

struct route_index_slot {
    uint64_t hash;
    struct route_key *key; /* NULL: free */
};

struct route_index {
    struct route_index_slot *slots;
    size_t n_slots; /* a power of two, or 0 */
    size_t n_keys;
    struct arena *arena;
};

/* Empty and ready; memory from `arena` as it grows. */
void route_index_init(struct route_index *index, struct arena *arena);
/* NULL when absent. */
struct route_key *route_index_find(const struct route_index *index, uint32_t scope,
                                   struct str text);
/* The key must not be there yet, and must stay where it is. */
void route_index_add(struct route_index *index, struct route_key *key);
/* Copies the slots into `arena`, compact, for a table that no longer changes. */
void route_index_finish(struct route_index *index, struct arena *arena);
