/* Timers: a 4-ary heap ordered by the time at which an entry was last placed. Moving a timer later
 * only stores the new time; the entry is found too early once, and placed again then. So the
 * timeouts that a busy connection pushes ahead with every request cost a store. */
#include "base/assert.h"
#include "base/mem.h"
#include "net/loop_internal.h"

enum { HEAP_WIDTH = 4 };

static void heap_place(struct loop *l, uint32_t i, struct timer *t)
{
    l->heap[i] = t;
    t->heap_index = i;
}

static uint32_t heap_parent(uint32_t i)
{
    return (i - 2) / HEAP_WIDTH + 1;
}

static void heap_up(struct loop *l, uint32_t i, struct timer *t)
{
    while (i > 1 && l->heap[heap_parent(i)]->placed_us > t->placed_us) {
        heap_place(l, i, l->heap[heap_parent(i)]);
        i = heap_parent(i);
    }
    heap_place(l, i, t);
}

static void heap_down(struct loop *l, uint32_t i, struct timer *t)
{
    for (;;) {
        uint32_t first = (i - 1) * HEAP_WIDTH + 2;
        uint32_t best = first;

        if (first > l->n_timers)
            break;
        for (uint32_t k = first + 1; k < first + HEAP_WIDTH && k <= l->n_timers; k++) {
            if (l->heap[k]->placed_us < l->heap[best]->placed_us)
                best = k;
        }
        if (l->heap[best]->placed_us >= t->placed_us)
            break;
        heap_place(l, i, l->heap[best]);
        i = best;
    }
    heap_place(l, i, t);
}

static void heap_remove(struct loop *l, struct timer *t)
{
    uint32_t i = t->heap_index;
    struct timer *last = l->heap[l->n_timers--];

    t->heap_index = 0;
    if (last == t)
        return;
    if (i > 1 && l->heap[heap_parent(i)]->placed_us > last->placed_us)
        heap_up(l, i, last);
    else
        heap_down(l, i, last);
}

static void heap_add(struct loop *l, struct timer *t)
{
    if (l->n_timers + 1 >= l->heap_cap) {
        l->heap_cap = l->heap_cap ? l->heap_cap * 2 : 64;
        l->heap = mem_realloc(l->heap, l->heap_cap * sizeof(struct timer *));
    }
    t->placed_us = t->due_us;
    heap_up(l, ++l->n_timers, t);
}

void timer_set(struct loop *l, struct timer *t, uint64_t due_us)
{
    PRE(t->fn != NULL);
    t->due_us = due_us;
    if (t->heap_index == 0) {
        heap_add(l, t);
    } else if (due_us < t->placed_us) {
        heap_remove(l, t);
        heap_add(l, t);
    }
}

void timer_cancel(struct loop *l, struct timer *t)
{
    if (t->heap_index != 0)
        heap_remove(l, t);
}

int loop_timer_wait_ms(struct loop *l)
{
    if (l->n_timers == 0)
        return -1;
    uint64_t due_us = l->heap[1]->placed_us;
    uint64_t now_us = l->now.mono_us;

    if (due_us <= now_us)
        return 0;
    return (int)MIN((due_us - now_us + 999) / 1000, (uint64_t)60000);
}

void loop_run_timers(struct loop *l)
{
    uint32_t n_left = l->n_timers; /* one that arms itself for now again must not hold the loop */

    while (l->n_timers > 0 && l->heap[1]->placed_us <= l->now.mono_us) {
        struct timer *t = l->heap[1];

        if (t->due_us > t->placed_us) { /* was moved later meanwhile */
            t->placed_us = t->due_us;
            heap_down(l, 1, t);
            continue;
        }
        if (n_left-- == 0)
            break;
        heap_remove(l, t);
        t->fn(t);
    }
}
