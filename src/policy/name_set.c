/* Open addressing over folded names. The hash is not keyed: the names come from configuration, so
 * an outsider can choose what is looked up but not what collides inside the table. Owner: whoever
 * embeds the set; memory from the arena given at add. Thread: built by one, then read by all. */
#include "policy/name_set.h"

static char name_fold(char c)
{
    return (char)(c == '_' ? '-' : str_lower_char(c));
}

static uint32_t name_hash(struct str name)
{
    uint32_t hash = 2166136261U;

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (unsigned char)name_fold(name.ptr[i])) * 16777619U;
    return hash ^ (hash >> 15);
}

static bool name_eq(struct str folded, struct str name)
{
    if (folded.len != name.len)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (folded.ptr[i] != name_fold(name.ptr[i]))
            return false;
    }
    return true;
}

static uint64_t name_length_bit(struct str name)
{
    return UINT64_C(1) << (name.len < 63 ? name.len : 63);
}

static struct str *name_slot(const struct name_set *set, struct str name)
{
    size_t mask = set->n_slots - 1;
    size_t i = name_hash(name) & mask;

    while (set->slots[i].ptr && !name_eq(set->slots[i], name))
        i = (i + 1) & mask;
    return &set->slots[i];
}

static void name_set_grow(struct name_set *set, struct arena *arena)
{
    struct name_set old = *set;

    set->n_slots = old.n_slots ? old.n_slots * 2 : 16;
    set->slots = ARENA_ARRAY(arena, struct str, set->n_slots);
    for (size_t i = 0; i < old.n_slots; i++) {
        if (old.slots[i].ptr)
            *name_slot(set, old.slots[i]) = old.slots[i];
    }
}

void name_set_add(struct name_set *set, struct arena *arena, struct str name)
{
    if (name.len == 0 || name_set_has(set, name))
        return;
    if ((set->n_names + 1) * 2 > set->n_slots)
        name_set_grow(set, arena);
    char *folded = arena_bytes(arena, name.len);

    for (size_t i = 0; i < name.len; i++)
        folded[i] = name_fold(name.ptr[i]);
    *name_slot(set, name) = str_make(folded, name.len);
    set->n_names++;
    set->lengths |= name_length_bit(name);
}

bool name_set_has(const struct name_set *set, struct str name)
{
    if (!(set->lengths & name_length_bit(name)))
        return false;
    return name_slot(set, name)->ptr != NULL;
}

bool name_set_next(const struct name_set *set, size_t *at, struct str *ret_name)
{
    while (*at < set->n_slots) {
        struct str *slot = &set->slots[(*at)++];

        if (slot->ptr) {
            *ret_name = *slot;
            return true;
        }
    }
    return false;
}
