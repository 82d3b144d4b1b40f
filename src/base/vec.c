/* The growing half of VEC: doubles inside the arena. */
#include "base/vec.h"

void *vec_grow(struct arena *a, void *items, size_t n, size_t *cap, size_t item_size)
{
    size_t new_cap = *cap ? *cap * 2 : 4;
    void *moved = arena_alloc(a, new_cap * item_size);

    if (n > 0)
        memcpy(moved, items, n * item_size);
    *cap = new_cap;
    return moved;
}
