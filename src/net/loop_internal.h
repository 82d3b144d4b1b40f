/* Between the files of the loop: loop.c, timer.c, wake.c. Nobody else includes this. */
#pragma once

#include "net/loop.h"

/* Stands in a fetched event whose descriptor was removed in this turn. */
#define LOOP_GONE ((void *)(uintptr_t)-1)

/* In place of a descriptor: there are late ones. */
#define LOOP_LATE ((void *)(uintptr_t)-2)

/* Milliseconds to the next timer, rounded up; -1: none. */
int loop_timer_wait_ms(struct loop *l);
static inline bool loop_has_due_timer(const struct loop *l)
{
    return l->n_timers > 0 && l->heap[1]->placed_us <= l->now.mono_us;
}
/* Calls every timer that is due. */
void loop_run_timers(struct loop *l);
/* Calls every wake that was posted. */
void loop_run_wakes(struct loop *l);
