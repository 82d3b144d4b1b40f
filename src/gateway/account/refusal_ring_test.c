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
                                 .port = 65535,
                                 .is_tls = true,
                                 .method = STR("POST"),
                                 .host = STR("a.test"),
                                 .path = str_of(path),
                                 .client = STR("2001:db8::1"),
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
    CHECK(out.port == 65535 && out.is_tls);
    CHECK(str_eq(out.host, STR("a.test")) && str_eq(out.client, STR("2001:db8::1")));
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
                              .host = text,
                              .path = text,
                              .client = text,
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
    n = out.method.len + out.host.len + out.path.len + out.client.len + out.listener.len +
        out.route.len + out.tenant.len + out.model.len + out.detail.len + out.message.len;
    CHECK_INT(n, REFUSAL_NOTE_BYTES);
    CHECK_INT(out.path.len, 160);
    CHECK(str_ends_with(out.path, STR("xxx\xe2\x80\xa6")));
    refusal_ring_free(r);
}

/* Not in the middle of a character; and what fits exactly is whole. */
TEST(a_text_is_cut_between_characters)
{
    struct refusal_ring *r = refusal_ring_new();
    struct refusal_note in = {.method = STR("1234567890123456"),
                              .client = STR("12345678901234567890123456789012345678901234\xc3\xa9"
                                            "\xc3\xa9\xc3\xa9")};
    struct refusal_note out;

    refusal_ring_note(r, &in);
    CHECK(refusal_ring_read(r, 0, &out));
    CHECK_STR(out.method, "1234567890123456");
    CHECK_STR(out.client, "12345678901234567890123456789012345678901234\xe2\x80\xa6");
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
    _Atomic bool is_over;
};

enum { WHOLE_NOTES = 20000, TEXT_BYTES = 100 };

/* Every byte of every text of a note is the same. */
static void *writer_run(void *arg)
{
    struct writer *w = arg;

    for (int64_t i = 0; !atomic_load(&w->is_over); i++) {
        char text[TEXT_BYTES];
        struct str all = str_make(memset(text, 'a' + (int)(i % 26), sizeof text), sizeof text);
        struct refusal_note note = {.wall_us = i,
                                    .path = all,
                                    .listener = all,
                                    .route = all,
                                    .detail = all,
                                    .message = all};

        refusal_ring_note(w->ring, &note);
    }
    return NULL;
}

static bool text_is_whole(struct str text, int64_t number)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != 'a' + (char)(number % 26))
            return false;
    }
    return text.len == TEXT_BYTES;
}

TEST(a_reader_sees_whole_records_or_none)
{
    struct writer w = {.ring = refusal_ring_new()};
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, writer_run, &w) == 0);
    for (unsigned n_read = 0; n_read < WHOLE_NOTES;) {
        uint64_t n = refusal_ring_count(w.ring);
        struct refusal_note out;

        /* The oldest one: the next to be written over. */
        if (n < LIMIT_REFUSALS_KEPT ||
            !refusal_ring_read(w.ring, n - LIMIT_REFUSALS_KEPT + (n_read & 1), &out))
            continue;
        CHECK(text_is_whole(out.path, out.wall_us) && text_is_whole(out.listener, out.wall_us));
        CHECK(text_is_whole(out.route, out.wall_us) && text_is_whole(out.message, out.wall_us));
        n_read++;
    }
    atomic_store(&w.is_over, true);
    CHECK(pthread_join(thread, NULL) == 0);
    refusal_ring_free(w.ring);
}
