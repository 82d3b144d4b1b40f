/* The ring alone, and with its two threads. */
#include "telemetry/otlp/export_ring.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "base/limits.h"
#include "test/harness/test.h"

static int target, other;

TEST(items_come_out_as_they_went_in)
{
    struct export_ring *r = export_ring_new();
    void *to;
    struct str item;

    CHECK(!export_ring_peek(r, &to, &item));
    CHECK(export_ring_push(r, &target, STR("one")));
    CHECK(export_ring_push(r, &other, STR("")));
    CHECK(export_ring_peek(r, &to, &item) && to == &target);
    CHECK_STR(item, "one");
    export_ring_advance(r);
    CHECK(export_ring_peek(r, &to, &item) && to == &other && item.len == 0);
    export_ring_advance(r);
    CHECK(!export_ring_peek(r, &to, &item));
    CHECK(!export_ring_is_filling(r));
    export_ring_free(r);
}

TEST(a_full_ring_drops_and_counts_and_goes_on_when_it_is_emptied)
{
    struct export_ring *r = export_ring_new();
    static char bytes[LIMIT_EXPORT_ITEM_BYTES + 1];
    unsigned n = 0;
    void *to;
    struct str item;

    CHECK(!export_ring_push(r, &target, str_make(bytes, sizeof bytes)));
    CHECK_INT(export_ring_n_dropped(r), 1);
    while (export_ring_push(r, &target, str_make(bytes, 50000)))
        n++;
    CHECK(n >= LIMIT_EXPORT_RING_BYTES / 50000 - 1);
    CHECK(export_ring_is_filling(r));
    CHECK_INT(export_ring_n_dropped(r), 2);
    for (unsigned i = 0; i < n; i++) {
        CHECK(export_ring_peek(r, &to, &item) && item.len == 50000);
        export_ring_advance(r);
    }
    CHECK(!export_ring_peek(r, &to, &item));
    CHECK(export_ring_push(r, &target, STR("again")));
    CHECK(export_ring_peek(r, &to, &item));
    CHECK_STR(item, "again");
    export_ring_free(r);
}

enum { N_ITEMS = 100000 };

static void *fill(void *ring)
{
    char text[2000];

    for (unsigned i = 0; i < N_ITEMS; i++) {
        int n = snprintf(text, sizeof text, "%u %0*u", i, (int)(i % 1500) + 1, 0U);

        while (!export_ring_push(ring, &target, str_make(text, (size_t)n)))
            sched_yield();
    }
    return NULL;
}

TEST(two_threads_lose_nothing_and_keep_the_order)
{
    struct export_ring *r = export_ring_new();
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, fill, r) == 0);
    for (unsigned i = 0; i < N_ITEMS;) {
        void *to;
        struct str item;
        char wanted[16];
        int n = snprintf(wanted, sizeof wanted, "%u ", i);

        if (!export_ring_peek(r, &to, &item))
            continue;
        CHECK(to == &target && item.len == (size_t)n + i % 1500 + 1);
        CHECK(str_starts_with(item, str_make(wanted, (size_t)n)));
        export_ring_advance(r);
        i++;
    }
    pthread_join(thread, NULL);
    export_ring_free(r);
}
