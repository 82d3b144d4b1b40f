/* Typed growable arrays inside an arena. `VEC(struct foo)` declares {items, n, cap}; growing copies
 * and leaves the old array to the arena. Reading needs no macro: v.items[i], v.n. */
#pragma once

#include "base/arena.h"

#define VEC(type)                                                                                  \
    struct {                                                                                       \
        type *items;                                                                               \
        size_t n;                                                                                  \
        size_t cap;                                                                                \
    }

void *vec_grow(struct arena *a, void *items, size_t n, size_t *cap, size_t item_size);

/* Appends one zeroed item and yields its address. */
#define VEC_ADD(arena, v)                                                                          \
    ({                                                                                             \
        __typeof__(v) vec_ = (v);                                                                  \
        if (vec_->n == vec_->cap)                                                                  \
            vec_->items =                                                                          \
                vec_grow((arena), vec_->items, vec_->n, &vec_->cap, sizeof *vec_->items);          \
        memset(&vec_->items[vec_->n], 0, sizeof *vec_->items);                                     \
        &vec_->items[vec_->n++];                                                                   \
    })
#define VEC_PUSH(arena, v, value) (*VEC_ADD((arena), (v)) = (value))
/* `it` points at each item in turn. */
#define VEC_FOREACH(v, it)                                                                         \
    for (__typeof__(*(v)->items) *it = (v)->items, *it##_end = (v)->n ? it + (v)->n : it;          \
         it < it##_end; it++)
