/* Wake-ups of a loop by other threads. */
#pragma once

#include <stdbool.h>

struct loop;
struct wake;
typedef void wake_fn(struct wake *w);

/* A wake-up that another thread posts; `fn` runs on the loop's thread, once for any number of posts
 * since the last run. Embedded in its owner, which must outlive the loop or be unposted by its
 * thread. */
struct wake {
    struct loop *loop;
    wake_fn *fn;
    struct wake *next;
    _Atomic bool is_posted;
};
void wake_init(struct wake *w, struct loop *l, wake_fn *fn);
/* Any thread. */
void wake_post(struct wake *w);
