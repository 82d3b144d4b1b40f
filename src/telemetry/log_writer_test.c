/* The ring and the writer against real files and pipes. Nothing sleeps: stopping the writer writes
 * out what was pushed. */
#include "telemetry/log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "telemetry/log_ring.h"
#include "test/harness/test.h"

static char folder[] = "/tmp/log_writer_test_XXXXXX";

static struct str path_in_folder(const char *name)
{
    static char paths[4][256];
    static unsigned n;
    char *path = paths[n++ % 4];

    if (strchr(folder, 'X') && strstr(folder, "XXXXXX"))
        CHECK(mkdtemp(folder));
    snprintf(path, 256, "%s/%s", folder, name);
    return str_of(path);
}

static struct str read_file(struct str path, struct buf *out)
{
    FILE *file = fopen(path.ptr, "re");
    char piece[4096];
    size_t n;

    buf_clear(out);
    CHECK_MSG(file, "%s", path.ptr);
    while ((n = fread(piece, 1, sizeof piece, file)) > 0)
        buf_append(out, piece, n);
    fclose(file);
    return buf_str(out);
}

static void remove_files(struct str one, struct str two)
{
    unlink(one.ptr);
    if (two.ptr)
        unlink(two.ptr);
    rmdir(folder);
}

TEST(lines_arrive_whole_and_in_order)
{
    struct log_writer w;
    struct buf out = {0};
    struct str path = path_in_folder("order");
    uint32_t sink, again;
    char line[64];
    struct stat st;

    CHECK(log_writer_start(&w) == 0);
    CHECK(log_writer_sink(&w, path, &sink) == 0);
    CHECK(log_writer_sink(&w, path, &again) == 0 && sink == again);
    struct log_ring *r = log_writer_ring(&w);

    for (int i = 0; i < 5000; i++)
        log_ring_push(r, sink, str_make(line, (size_t)snprintf(line, sizeof line, "line %d\n", i)));
    log_writer_stop(&w);
    log_writer_stop(&w);
    CHECK_INT(log_writer_n_dropped(&w), 0);
    struct str text = read_file(path, &out);
    struct str part;

    for (int i = 0; i < 5000; i++) {
        CHECK(str_split(&text, '\n', &part));
        snprintf(line, sizeof line, "line %d", i);
        CHECK_STR(part, line);
    }
    CHECK(text.len == 0);
    CHECK(stat(path.ptr, &st) == 0 && (st.st_mode & 07) == 0);
    remove_files(path, STR_NULL);
    buf_deinit(&out);
}

TEST(rings_of_several_threads_share_files)
{
    struct log_writer w;
    struct buf out = {0};
    struct str one = path_in_folder("one"), two = path_in_folder("two");
    uint32_t first, second;

    CHECK(log_writer_start(&w) == 0);
    CHECK(log_writer_sink(&w, one, &first) == 0 && log_writer_sink(&w, two, &second) == 0);
    CHECK(first != second);
    struct log_ring *a = log_writer_ring(&w);
    struct log_ring *b = log_writer_ring(&w);

    log_ring_push(a, first, STR("a1\n"));
    log_ring_push(b, second, STR("b2\n"));
    log_ring_push(a, second, STR("a2\n"));
    log_ring_push(b, first, STR("b1\n"));
    log_writer_stop(&w);
    CHECK_INT(read_file(one, &out).len, 6);
    CHECK(str_find(buf_str(&out), STR("a1\n")) >= 0 && str_find(buf_str(&out), STR("b1\n")) >= 0);
    CHECK_INT(read_file(two, &out).len, 6);
    remove_files(one, two);
    buf_deinit(&out);
}

static double now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* Milliseconds until the writer, which pauses, has taken `n` lines. */
static double ms_to_be_emptied(struct log_ring *r, uint32_t sink, struct str line, size_t n)
{
    double begin = now_ms();

    for (size_t i = 0; i < n; i++)
        log_ring_push(r, sink, line);
    while (!log_ring_is_empty(r))
        sched_yield();
    return now_ms() - begin;
}

TEST(a_ring_that_fills_cuts_the_pause_short)
{
    enum { ROOM = 1024, LINE = ROOM - sizeof(struct log_ring_head), TIMES = 40, SHORT_MS = 10 };
    const size_t n_unhurried = LOG_RING_HURRY_BYTES / ROOM;
    static char text[LINE];
    struct str line = {text, LINE};
    struct log_writer w;
    double best_ms = 1e9, longest_ms = 0;
    uint32_t sink;

    memset(text, 'x', LINE - 1);
    text[LINE - 1] = '\n';
    CHECK(log_writer_start(&w) == 0);
    CHECK(log_writer_sink(&w, STR("/dev/null"), &sink) == 0);
    struct log_ring *r = log_writer_ring(&w);

    ms_to_be_emptied(r, sink, line, 1); /* it slept; now it pauses after each round */
    for (int i = 0; i < TIMES; i++) {
        double ms = ms_to_be_emptied(r, sink, line, n_unhurried + 1);

        best_ms = MIN(best_ms, ms);
        ms = ms_to_be_emptied(r, sink, line, n_unhurried);
        longest_ms = MAX(longest_ms, ms);
    }
    CHECK_MSG(best_ms < SHORT_MS, "at best it took %.1f ms", best_ms);
    CHECK_MSG(longest_ms > SHORT_MS, "a little less took %.1f ms at most", longest_ms);
    log_writer_stop(&w);
    CHECK_INT(log_writer_n_dropped(&w), 0);
}

enum { PUSHERS = 3, PUSHES = 5000 };

struct pusher {
    pthread_t thread;
    struct log_writer *writer;
    uint32_t sink;
};

/* What a worker does, and what control does beside it. */
static void *push_in_a_thread(void *arg)
{
    struct pusher *p = arg;
    struct log_ring *r = log_writer_ring(p->writer);
    uint32_t other;

    for (int i = 0; i < PUSHES; i++) {
        log_ring_push(r, p->sink, STR("0123456789\n"));
        if (i % 1000 == 0) {
            log_writer_reopen(p->writer);
            CHECK(log_writer_sink(p->writer, STR("/dev/null"), &other) == 0);
            CHECK(log_writer_n_dropped(p->writer) == 0);
        }
    }
    return NULL;
}

TEST(workers_push_while_sinks_are_added_and_reopened)
{
    struct log_writer w;
    struct pusher pushers[PUSHERS];
    struct buf out = {0};
    struct str path = path_in_folder("busy");

    CHECK(log_writer_start(&w) == 0);
    for (int i = 0; i < PUSHERS; i++) {
        pushers[i].writer = &w;
        CHECK(log_writer_sink(&w, path, &pushers[i].sink) == 0);
        CHECK(pthread_create(&pushers[i].thread, NULL, push_in_a_thread, &pushers[i]) == 0);
    }
    for (int i = 0; i < PUSHERS; i++)
        pthread_join(pushers[i].thread, NULL);
    log_writer_stop(&w);
    CHECK_INT(log_writer_n_dropped(&w), 0);
    CHECK_INT(read_file(path, &out).len, PUSHERS * PUSHES * 11);
    remove_files(path, STR_NULL);
    buf_deinit(&out);
}

TEST(a_sleeping_writer_is_woken_by_a_line)
{
    struct log_writer w;
    struct str path = path_in_folder("woken");
    struct stat st = {0};
    uint32_t sink;

    CHECK(log_writer_start(&w) == 0);
    CHECK(log_writer_sink(&w, path, &sink) == 0);
    struct log_ring *r = log_writer_ring(&w);

    for (int i = 1; i <= 2; i++) {
        while (!atomic_load(&w.is_asleep))
            sched_yield();
        log_ring_push(r, sink, STR("awake\n"));
        while (st.st_size < i * 6)
            CHECK(stat(path.ptr, &st) == 0);
    }
    log_writer_stop(&w);
    remove_files(path, STR_NULL);
}

/* Line `i` of those that go through a ring: runs of three for one sink. */
static size_t ring_line_bytes(uint64_t i)
{
    return 100 + (i * 977) % 2500;
}

/* Takes out what is next and is for one sink: lines from `i` on. How many. */
static unsigned take_lines(struct log_ring *r, uint64_t i, unsigned max)
{
    struct iovec lines[4];
    uint32_t sink = 99;
    unsigned n = log_ring_peek(r, max, &sink, lines);

    for (unsigned k = 0; k < n; k++, i++) {
        struct str got = str_make(lines[k].iov_base, lines[k].iov_len);

        CHECK_INT(sink, i / 3 % 7);
        CHECK_INT(got.len, ring_line_bytes(i));
        CHECK(got.ptr[0] == (char)('a' + i % 26) && got.ptr[got.len - 1] == got.ptr[0]);
    }
    log_ring_advance(r);
    return n;
}

/* The ring alone, with this thread on both ends. */
TEST(the_ring_wraps_and_drops_when_full)
{
    enum { ROUNDS = 20 * (LIMIT_LOG_RING_BYTES >> 20), LINES = 99, LINE = 1000 };
    const uint64_t n_too_many = 2 * (LIMIT_LOG_RING_BYTES / LINE);
    static struct log_writer w; /* never started: nobody sleeps */
    struct log_ring *r = log_ring_new(&w);
    static char line[3000];
    struct iovec got[1];
    uint32_t sink;
    uint64_t n_in = 0, n_out = 0;

    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < LINES; i++, n_in++) {
            size_t n = ring_line_bytes(n_in);

            memset(line, (char)('a' + n_in % 26), n);
            log_ring_push(r, (uint32_t)(n_in / 3 % 7), str_make(line, n));
        }
        for (int i = 0; i < LINES / 3; i++, n_out += 3) {
            CHECK_INT(take_lines(r, n_out, 2), 2);
            CHECK_INT(take_lines(r, n_out + 2, 4), 1);
        }
        CHECK(log_ring_is_empty(r) && log_ring_peek(r, 1, &sink, got) == 0);
    }
    CHECK_INT(atomic_load(&r->n_dropped), 0);
    for (uint64_t i = 0; i < n_too_many; i++)
        log_ring_push(r, 0, str_make(line, LINE));
    CHECK(atomic_load(&r->n_dropped) > n_too_many / 4);
    uint64_t n_dropped = atomic_load(&r->n_dropped);

    for (uint64_t i = 0; i < n_too_many - n_dropped; i++) {
        CHECK(log_ring_peek(r, 1, &sink, got) == 1 && got->iov_len == LINE);
        log_ring_advance(r);
    }
    CHECK(log_ring_is_empty(r));
    log_ring_push(r, 0, str_make(r->bytes, LIMIT_LOG_LINE_BYTES + 1));
    CHECK_INT(atomic_load(&r->n_dropped), n_dropped + 1);
    log_ring_free(r);
}

TEST(a_stuck_pipe_costs_lines_not_time)
{
    struct log_writer w;
    struct str fifo = path_in_folder("fifo");
    static char line[1024];
    uint32_t sink;

    memset(line, 'z', sizeof line - 1);
    line[sizeof line - 1] = '\n';
    CHECK(mkfifo(fifo.ptr, 0600) == 0);
    int reader = open(fifo.ptr, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    CHECK(reader >= 0);
    CHECK(log_writer_start(&w) == 0);
    CHECK(log_writer_sink(&w, fifo, &sink) == 0);
    struct log_ring *r = log_writer_ring(&w);

    for (int i = 0; i < 5000; i++)
        log_ring_push(r, sink, str_make(line, sizeof line));
    log_writer_stop(&w); /* bounded */
    CHECK(log_writer_n_dropped(&w) > 2000);
    close(reader);
    remove_files(fifo, STR_NULL);
}

TEST(a_sink_that_refuses_is_counted)
{
    struct log_writer w;
    uint32_t sink;

    CHECK(log_writer_start(&w) == 0);
    CHECK(log_writer_sink(&w, STR("/dev/full"), &sink) == 0);
    struct log_ring *r = log_writer_ring(&w);

    for (int i = 0; i < 10; i++)
        log_ring_push(r, sink, STR("lost\n"));
    log_writer_stop(&w);
    CHECK_INT(log_writer_n_dropped(&w), 10);
}

struct news {
    int errors[8];
    _Atomic unsigned n;
};

static void on_news(void *ctx, const char *path, int error)
{
    struct news *news = ctx;
    unsigned n = atomic_load(&news->n);

    CHECK(str_ends_with(str_of(path), STR("/late")));
    CHECK(n < N_ELEMENTS(news->errors));
    news->errors[n] = error;
    atomic_store(&news->n, n + 1);
}

TEST(a_sink_that_cannot_be_opened_counts_until_it_can)
{
    struct log_writer w;
    struct news news = {.n = 0};
    struct buf out = {0};
    struct str path = path_in_folder("late");
    char moved[64];
    uint32_t sink, again;

    CHECK(log_writer_start(&w) == 0);
    w.on_news = on_news;
    w.ctx = &news;
    snprintf(moved, sizeof moved, "%s.moved", folder);
    CHECK(rename(folder, moved) == 0);
    CHECK(log_writer_sink(&w, path, &sink) == -ENOENT);
    CHECK(log_writer_sink(&w, path, &again) == -ENOENT && again == sink);
    struct log_ring *r = log_writer_ring(&w);

    log_ring_push(r, sink, STR("lost\n"));
    while (log_writer_n_dropped(&w) == 0)
        sched_yield();
    CHECK(rename(moved, folder) == 0);
    log_writer_reopen(&w);
    while (atomic_load(&news.n) == 0)
        sched_yield();
    CHECK_INT(news.errors[0], 0); /* that it could not, the caller was told */
    CHECK(log_writer_sink(&w, path, &again) == 0 && again == sink);
    log_ring_push(r, sink, STR("kept\n"));
    log_writer_stop(&w);
    CHECK_INT(log_writer_n_dropped(&w), 1);
    CHECK_STR(read_file(path, &out), "kept\n");
    remove_files(path, STR_NULL);
    buf_deinit(&out);
}

/* Names of one file. */
static struct str other_name(unsigned i)
{
    static char name[2 * LIMIT_LOG_SINKS];

    snprintf(name, sizeof name, "/dev/%*snull", (int)i, "");
    for (unsigned k = 0; k < i; k++)
        name[5 + k] = '/';
    return str_of(name);
}

static void wait_until_free(struct log_writer *w, uint32_t sink)
{
    while (atomic_load(&w->n_users[sink]) != LOG_SINK_FREE)
        sched_yield();
}

TEST(there_are_so_many_sinks_and_those_that_nobody_uses_make_room)
{
    struct log_writer w;
    uint32_t sink, again;

    CHECK(log_writer_start(&w) == 0);
    for (uint32_t i = 0; i < LIMIT_LOG_SINKS; i++)
        CHECK(log_writer_sink(&w, other_name(i), &sink) == 0 && sink == i);
    CHECK(log_writer_sink(&w, STR("/dev/zero"), &sink) == LOG_WRITER_FULL);
    CHECK(log_writer_sink(&w, other_name(7), &sink) == 0 && sink == 7);
    log_writer_release(&w, 7);
    CHECK(log_writer_sink(&w, STR("/dev/zero"), &sink) == LOG_WRITER_FULL); /* one user is left */
    log_writer_release(&w, 7);
    wait_until_free(&w, 7);
    CHECK(log_writer_sink(&w, STR("/dev/zero"), &sink) == 0 && sink == 7);
    CHECK(log_writer_sink(&w, STR("/dev/zero"), &again) == 0 && again == 7);
    log_writer_stop(&w);
    log_writer_release(&w, 7); /* by a plan that goes after the writer */
    struct log_writer never = {0};

    log_writer_stop(&never);
}

TEST(a_sink_is_closed_behind_its_last_line_and_not_made_again)
{
    struct log_writer w;
    struct buf out = {0};
    struct str path = path_in_folder("gone"), stays = path_in_folder("stays");
    uint32_t sink, other;
    enum { N = 20000 };

    CHECK(log_writer_start(&w) == 0);
    CHECK(log_writer_sink(&w, path, &sink) == 0 && log_writer_sink(&w, stays, &other) == 0);
    struct log_ring *r = log_writer_ring(&w);

    for (int i = 0; i < N; i++)
        log_ring_push(r, sink, STR("line\n"));
    log_writer_release(&w, sink);
    wait_until_free(&w, sink);
    CHECK_INT(read_file(path, &out).len, 5 * N);
    CHECK(unlink(path.ptr) == 0 && unlink(stays.ptr) == 0);
    log_writer_reopen(&w);
    while (access(stays.ptr, F_OK) != 0)
        sched_yield();
    CHECK(access(path.ptr, F_OK) != 0);
    log_writer_stop(&w);
    CHECK_INT(log_writer_n_dropped(&w), 0);
    remove_files(stays, STR_NULL);
    buf_deinit(&out);
}

TEST(files_are_reopened_by_name)
{
    struct log_writer w;
    struct buf out = {0};
    struct str path = path_in_folder("rotated"), moved = path_in_folder("rotated.1");
    uint32_t sink;

    CHECK(log_writer_start(&w) == 0);
    CHECK(log_writer_sink(&w, path, &sink) == 0);
    struct log_ring *r = log_writer_ring(&w);

    CHECK(rename(path.ptr, moved.ptr) == 0);
    log_writer_reopen(&w);
    while (access(path.ptr, F_OK) != 0)
        sched_yield();
    log_ring_push(r, sink, STR("after\n"));
    log_writer_stop(&w);
    CHECK_STR(read_file(path, &out), "after\n");
    CHECK_INT(read_file(moved, &out).len, 0);
    remove_files(path, moved);
    buf_deinit(&out);
}
