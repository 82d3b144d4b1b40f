#include "gateway/account/refusal_ring.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/limits.h"
#include "test/harness/test.h"

static struct refusal_note some_note(const char *path)
{
    return (struct refusal_note){.wall_us = 17,
                                 .refusal = REFUSAL_FORBIDDEN,
                                 .status = 403,
                                 .method = STR("POST"),
                                 .path = str_of(path),
                                 .route = STR("httproute/ns/r/rule/0"),
                                 .tenant = STR("tenant-a"),
                                 .detail = STR("only-admins")};
}

TEST(what_is_noted_is_read)
{
    struct refusal_ring *r = refusal_ring_new();
    struct refusal_note in = some_note("/v1/models");
    struct refusal_note out;

    CHECK(!refusal_ring_read(r, 0, &out));
    refusal_ring_note(r, &in);
    CHECK_INT(refusal_ring_count(r), 1);
    CHECK(refusal_ring_read(r, 0, &out));
    CHECK(!refusal_ring_read(r, 1, &out));
    CHECK(out.wall_us == 17 && out.refusal == REFUSAL_FORBIDDEN && out.status == 403);
    CHECK(str_eq(out.method, STR("POST")) && str_eq(out.path, STR("/v1/models")));
    CHECK(str_eq(out.route, STR("httproute/ns/r/rule/0")) && str_eq(out.tenant, STR("tenant-a")));
    CHECK(str_eq(out.detail, STR("only-admins")));
    CHECK(out.listener.len == 0 && out.model.len == 0 && out.message.len == 0);
    refusal_ring_free(r);
}

TEST(texts_are_cut_to_their_room)
{
    struct refusal_ring *r = refusal_ring_new();
    static char endless[5000];
    struct str text = str_make(memset(endless, 'x', sizeof endless), sizeof endless);
    struct refusal_note in = {.method = text,
                              .path = text,
                              .listener = text,
                              .route = text,
                              .tenant = text,
                              .model = text,
                              .detail = text,
                              .message = text};
    struct refusal_note out;
    size_t n;

    refusal_ring_note(r, &in);
    CHECK(refusal_ring_read(r, 0, &out));
    n = out.method.len + out.path.len + out.listener.len + out.route.len + out.tenant.len +
        out.model.len + out.detail.len + out.message.len;
    CHECK_INT(n, REFUSAL_NOTE_BYTES);
    CHECK_INT(out.path.len, 160);
    refusal_ring_free(r);
}

TEST(the_latest_stay)
{
    enum { N = LIMIT_REFUSALS_KEPT + 5 };
    struct refusal_ring *r = refusal_ring_new();
    struct refusal_note out;
    char path[32];

    for (int i = 0; i < N; i++) {
        struct refusal_note in = some_note(path);

        in.path.len = (size_t)snprintf(path, sizeof path, "/%d", i);
        refusal_ring_note(r, &in);
    }
    CHECK_INT(refusal_ring_count(r), N);
    for (uint64_t i = 0; i < N; i++)
        CHECK(refusal_ring_read(r, i, &out) == (i >= N - LIMIT_REFUSALS_KEPT));
    CHECK(refusal_ring_read(r, N - 1, &out));
    CHECK(str_eq(out.path, str_of(path)));
    refusal_ring_free(r);
}

/* ---- two threads ---- */

struct writer {
    struct refusal_ring *ring;
    _Atomic bool is_done;
};

enum { WRITER_NOTES = 200000 };

/* Every text of a note says the same number. */
static void *writer_run(void *arg)
{
    struct writer *w = arg;

    for (int i = 0; i < WRITER_NOTES; i++) {
        char text[16];
        size_t n = (size_t)snprintf(text, sizeof text, "%d", i);
        struct refusal_note note = {.wall_us = i,
                                    .method = str_make(text, n),
                                    .path = str_make(text, n),
                                    .detail = str_make(text, n),
                                    .message = str_make(text, n)};

        refusal_ring_note(w->ring, &note);
    }
    atomic_store(&w->is_done, true);
    return NULL;
}

TEST(a_reader_sees_whole_records_or_none)
{
    struct writer w = {.ring = refusal_ring_new()};
    pthread_t thread;
    uint64_t n_read = 0;

    CHECK(pthread_create(&thread, NULL, writer_run, &w) == 0);
    while (!atomic_load(&w.is_done)) {
        uint64_t n = refusal_ring_count(w.ring);
        struct refusal_note out;
        char text[24];
        size_t len;

        /* The oldest that may still be there: the writer is about to take its place. */
        if (n < LIMIT_REFUSALS_KEPT ||
            !refusal_ring_read(w.ring, n - LIMIT_REFUSALS_KEPT + n % 3, &out))
            continue;
        len = (size_t)snprintf(text, sizeof text, "%lld", (long long)out.wall_us);
        CHECK(str_eq(out.method, str_make(text, len)) && str_eq(out.path, str_make(text, len)));
        CHECK(str_eq(out.detail, str_make(text, len)) && str_eq(out.message, str_make(text, len)));
        n_read++;
    }
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(n_read > 0);
    refusal_ring_free(w.ring);
}
