/* Wake-ups from other threads: a lock-free stack of posted wakes and one eventfd per loop. A wake
 * that is posted already is not posted again, so the eventfd is written once per burst. */
#include <stdatomic.h>
#include <unistd.h>

#include "net/loop_internal.h"

void wake_init(struct wake *w, struct loop *l, wake_fn *fn)
{
    w->loop = l;
    w->fn = fn;
    w->next = NULL;
    atomic_init(&w->is_posted, false);
}

void wake_post(struct wake *w)
{
    struct loop *l = w->loop;
    struct wake *head;
    uint64_t one = 1;

    if (atomic_exchange_explicit(&w->is_posted, true, memory_order_acq_rel))
        return;
    head = atomic_load_explicit(&l->wakes, memory_order_relaxed);
    do
        w->next = head;
    while (!atomic_compare_exchange_weak_explicit(&l->wakes, &head, w, memory_order_acq_rel,
                                                  memory_order_relaxed));
    if (!head) {
        ssize_t unused UNUSED = write(l->event_fd, &one, sizeof one);
    }
}

void loop_run_wakes(struct loop *l)
{
    struct wake *w = atomic_exchange_explicit(&l->wakes, NULL, memory_order_acq_rel);

    while (w) {
        struct wake *next = w->next;

        /* Cleared first: a post from now on counts as a new one. */
        atomic_exchange_explicit(&w->is_posted, false, memory_order_acq_rel);
        w->fn(w);
        w = next;
    }
}
