/* The hash index of a routing table.
 *
 * Not keyed, unlike base/map: everything in it comes from configuration, so an outsider can choose
 * what is looked up but never what collides, and a lookup for a known path costs a few nanoseconds.
 * A slot is 16 bytes and a key stands at the front of its object, so that a hit touches two cache
 * lines whatever the size of the table. Owner: the arena. Thread: see the header. */
#include "policy/route_index.h"

#include "base/assert.h"

static inline uint64_t index_mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t index_hash(uint32_t scope, struct str text)
{
    uint64_t hash = (scope + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15) ^ text.len;
    const char *p = text.ptr;
    size_t n = text.len;
    uint64_t word;

    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&word, p, 8);
        hash = index_mix(hash ^ word, UINT64_C(0xe7037ed1a0b428db));
    }
    word = 0;
    if (n > 0)
        memcpy(&word, p, n);
    return index_mix(hash ^ word ^ UINT64_C(0x8ebc6af09c88c6e3), UINT64_C(0xa0761d6478bd642f));
}

void route_index_init(struct route_index *index, struct arena *arena)
{
    *index = (struct route_index){.arena = arena};
}

static struct route_index_slot *index_probe(const struct route_index *index, uint64_t hash,
                                            uint32_t scope, struct str text)
{
    size_t mask = index->n_slots - 1;
    size_t i = hash & mask;

    for (;; i = (i + 1) & mask) {
        struct route_index_slot *slot = &index->slots[i];

        if (!slot->key)
            return slot;
        if (slot->hash != hash)
            continue;
        __builtin_prefetch((const char *)slot->key + 64); /* the text, behind the object */
        if (slot->key->scope == scope && str_eq(slot->key->text, text))
            return slot;
    }
}

struct route_key *route_index_find(const struct route_index *index, uint32_t scope, struct str text)
{
    if (index->n_keys == 0)
        return NULL;
    return index_probe(index, index_hash(scope, text), scope, text)->key;
}

static void index_resize(struct route_index *index, struct arena *arena, size_t n_slots)
{
    struct route_index old = *index;

    index->n_slots = n_slots;
    index->slots = ARENA_ARRAY(arena, struct route_index_slot, n_slots);
    for (size_t i = 0; i < old.n_slots; i++) {
        struct route_index_slot *slot = &old.slots[i];

        if (slot->key)
            *index_probe(index, slot->hash, slot->key->scope, slot->key->text) = *slot;
    }
}

void route_index_add(struct route_index *index, struct route_key *key)
{
    if ((index->n_keys + 1) * 2 > index->n_slots)
        index_resize(index, index->arena, index->n_slots ? index->n_slots * 2 : 16);
    uint64_t hash = index_hash(key->scope, key->text);
    struct route_index_slot *slot = index_probe(index, hash, key->scope, key->text);

    PRE(!slot->key);
    *slot = (struct route_index_slot){hash, key};
    index->n_keys++;
}

void route_index_finish(struct route_index *index, struct arena *arena)
{
    size_t n_slots = 16;

    /* Fuller than while growing: three keys in four slots still probe within a line, and the slots
     * are what the caches have least room for. */
    while (n_slots * 3 < index->n_keys * 4)
        n_slots *= 2;
    if (index->n_keys > 0)
        index_resize(index, arena, n_slots);
    index->arena = NULL;
}
