/* Sinks alone, on this thread: pieces, broken lines, refusals, reopening. */
#include "telemetry/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "test/harness/test.h"

static char folder[] = "/tmp/log_sink_test_XXXXXX";
static char path[256];

/* A fresh folder and a path in it. */
static struct str path_in_folder(const char *name)
{
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return str_of(path);
}

/* Of the smallest size: what a pipe takes at once is then one piece. */
static int open_fifo_reader(void)
{
    int fd;

    CHECK(mkfifo(path, 0600) == 0);
    fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    CHECK(fd >= 0 && fcntl(fd, F_SETPIPE_SZ, 4096) == 4096);
    return fd;
}

static struct str line_of(char fill, size_t len)
{
    static char line[16384];

    memset(line, fill, len - 1);
    line[len - 1] = '\n';
    return str_make(line, len);
}

static struct str read_some(int fd)
{
    static char bytes[65536];
    ssize_t n = read(fd, bytes, sizeof bytes);

    return str_make(bytes, n > 0 ? (size_t)n : 0);
}

static void clean_up(void)
{
    unlink(path);
    rmdir(folder);
}

TEST(a_piece_for_a_pipe_ends_at_the_end_of_a_line)
{
    struct log_sink s = {0};
    struct str got;

    CHECK(path_in_folder("fifo").len > 0);
    int reader = open_fifo_reader();

    CHECK(log_sink_init(&s, str_of(path)) == 0);
    for (int c = 'a'; c < 'f'; c++)
        CHECK_INT(log_sink_put(&s, line_of((char)c, 1500)), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(log_sink_flush(&s), 0);
        got = read_some(reader);
        CHECK_INT(got.len, 3000);
        CHECK(got.ptr[0] == (char)('a' + 2 * i) && got.ptr[2999] == '\n');
    }
    CHECK_INT(log_sink_flush(&s), 0);
    CHECK_INT(read_some(reader).len, 1500);
    CHECK(!s.is_midline && s.pending.len == 0);
    log_sink_deinit(&s);
    close(reader);
    clean_up();
}

TEST(a_long_line_goes_in_parts_and_a_lost_rest_is_mended)
{
    struct log_sink s = {0};
    struct str got;

    signal(SIGPIPE, SIG_IGN); /* the writer's thread blocks it */
    CHECK(path_in_folder("fifo").len > 0);
    int reader = open_fifo_reader();

    CHECK(log_sink_init(&s, str_of(path)) == 0);
    CHECK_INT(log_sink_put(&s, line_of('a', 6000)), 0);
    CHECK_INT(log_sink_put(&s, line_of('b', 100)), 0);
    CHECK_INT(log_sink_flush(&s), 0);
    CHECK(s.is_midline && s.pending.len == 6100 - 4096);
    close(reader);
    CHECK_INT(log_sink_flush(&s), 2);
    CHECK(s.is_broken && s.pending.len == 0);

    reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    CHECK_INT(log_sink_put(&s, line_of('c', 10)), 0);
    CHECK_INT(log_sink_flush(&s), 0); /* no room yet, not even for the line feed */
    CHECK_INT(read_some(reader).len, 4096);
    CHECK_INT(log_sink_flush(&s), 0);
    got = read_some(reader); /* alone: it fills the pipe's only page */
    CHECK(str_eq(got, STR("\n")));
    CHECK_INT(log_sink_flush(&s), 0);
    got = read_some(reader);
    CHECK(str_eq(got, STR("ccccccccc\n")));
    log_sink_deinit(&s);
    close(reader);
    clean_up();
}

TEST(a_full_sink_keeps_what_it_has_and_counts_the_rest)
{
    struct log_sink s = {0};
    uint64_t n_lost = 0;

    CHECK(path_in_folder("fifo").len > 0);
    int reader = open_fifo_reader();

    CHECK(log_sink_init(&s, str_of(path)) == 0);
    for (int i = 0; i < 2000; i++)
        n_lost += log_sink_put(&s, line_of('x', 1024));
    CHECK(s.pending.len <= LIMIT_LOG_SINK_BYTES && s.pending.len > LIMIT_LOG_SINK_BYTES - 1024);
    CHECK_INT(n_lost, 2000 - 4 - s.pending.len / 1024); /* four are in the pipe */
    CHECK_INT(log_sink_drop(&s), LIMIT_LOG_SINK_BYTES / 1024);
    log_sink_deinit(&s);
    close(reader);
    clean_up();
}

TEST(a_file_that_cannot_be_opened_again_goes_on_under_its_old_name)
{
    struct log_sink s = {0};
    char moved[256];
    int fd;

    CHECK(path_in_folder("log").len > 0);
    CHECK(log_sink_init(&s, str_of(path)) == 0);
    snprintf(moved, sizeof moved, "%s.moved", folder);
    CHECK(rename(folder, moved) == 0);
    CHECK_INT(log_sink_reopen(&s), 0);
    CHECK_INT(atomic_load(&s.error), ENOENT);
    CHECK_INT(log_sink_put(&s, STR("kept\n")), 0);
    CHECK_INT(log_sink_flush(&s), 0);
    CHECK_INT(atomic_load(&s.error), ENOENT); /* it is written, and yet not where it should be */
    CHECK(rename(moved, folder) == 0);
    CHECK_INT(log_sink_retry(&s, 1), 0);
    CHECK_INT(atomic_load(&s.error), 0);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK_STR(read_some(fd), "kept\n");
    close(fd);
    log_sink_deinit(&s);
    clean_up();
}

TEST(a_line_cut_by_reopening_is_lost_as_a_whole)
{
    struct log_sink s = {0};

    CHECK(path_in_folder("fifo").len > 0);
    int reader = open_fifo_reader();

    CHECK(log_sink_init(&s, str_of(path)) == 0);
    CHECK_INT(log_sink_put(&s, line_of('a', 6000)), 0);
    CHECK_INT(log_sink_put(&s, STR("next\n")), 0);
    CHECK_INT(log_sink_flush(&s), 0);
    CHECK(unlink(path) == 0);
    CHECK_INT(log_sink_reopen(&s), 1); /* a plain file now */
    CHECK_INT(log_sink_flush(&s), 0);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    CHECK_STR(read_some(fd), "next\n");
    close(fd);
    close(reader);
    log_sink_deinit(&s);
    clean_up();
}

TEST(standard_streams_are_neither_opened_nor_closed)
{
    struct log_sink s = {0};

    CHECK(log_sink_init(&s, STR("/dev/stderr")) == 0);
    CHECK_INT(s.fd, STDERR_FILENO);
    CHECK_INT(log_sink_reopen(&s), 0);
    log_sink_deinit(&s);
    CHECK(fcntl(STDERR_FILENO, F_GETFD) >= 0);
}

TEST(what_cannot_be_opened_loses_lines_until_it_can)
{
    struct log_sink s = {0};
    char moved[256];
    int fd;

    CHECK(path_in_folder("log").len > 0);
    snprintf(moved, sizeof moved, "%s.moved", folder);
    CHECK(rename(folder, moved) == 0);
    CHECK(log_sink_init(&s, str_of(path)) == -ENOENT);
    CHECK_INT(atomic_load(&s.error), ENOENT);
    CHECK_INT(log_sink_put(&s, STR("lost\n")), 1);
    CHECK_INT(log_sink_flush(&s), 0);
    CHECK_INT(log_sink_retry(&s, 1000), 0);
    CHECK(s.fd < 0);
    CHECK(rename(moved, folder) == 0);
    CHECK_INT(log_sink_retry(&s, 1001), 0); /* not all the time */
    CHECK(s.fd < 0);
    CHECK_INT(log_sink_retry(&s, 10000), 0);
    CHECK_INT(atomic_load(&s.error), 0);
    CHECK_INT(log_sink_put(&s, STR("kept\n")), 0);
    CHECK_INT(log_sink_flush(&s), 0);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK_STR(read_some(fd), "kept\n");
    close(fd);
    log_sink_deinit(&s);
    clean_up();
}

TEST(a_sink_knows_why_it_is_not_written)
{
    struct log_sink s = {0};

    CHECK(log_sink_init(&s, STR("/dev/full")) == 0);
    CHECK_INT(log_sink_put(&s, STR("lost\n")), 0);
    CHECK_INT(log_sink_flush(&s), 1);
    CHECK_INT(atomic_load(&s.error), ENOSPC);
    log_sink_deinit(&s);
}

static struct iovec *three_lines(void)
{
    static char one[] = "one\n", two[] = "two\n", three[] = "three\n";
    static struct iovec lines[] = {{one, 4}, {two, 4}, {three, 6}};

    return lines;
}

/* What the file holds; read anew. */
static struct str content(void)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct str got = read_some(fd);

    close(fd);
    return got;
}

TEST(a_file_takes_lines_from_where_they_are)
{
    struct log_sink s = {0};

    CHECK(log_sink_init(&s, path_in_folder("log")) == 0);
    CHECK_INT(log_sink_put_lines(&s, three_lines(), 3), 0);
    CHECK(s.pending.len == 0 && s.pending.cap == 0);
    CHECK_STR(content(), "one\ntwo\nthree\n");
    CHECK_INT(log_sink_put(&s, STR("kept\n")), 0); /* those behind it wait their turn */
    CHECK_INT(log_sink_put_lines(&s, three_lines(), 1), 0);
    CHECK_INT(s.pending.len, 9);
    CHECK_INT(log_sink_flush(&s), 0);
    CHECK_STR(content(), "one\ntwo\nthree\nkept\none\n");
    log_sink_deinit(&s);
    clean_up();
}

TEST(what_a_file_does_not_take_of_lines_is_kept_or_counted)
{
    struct rlimit before, small;
    struct log_sink s = {0};

    signal(SIGXFSZ, SIG_IGN);
    CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK(log_sink_init(&s, path_in_folder("log")) == 0);
    small = (struct rlimit){6, before.rlim_max}; /* "one", and half of "two" */
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK_INT(log_sink_put_lines(&s, three_lines(), 3), 0);
    CHECK(s.is_midline && s.pending.len == 8);
    CHECK_INT(log_sink_flush(&s), 2);
    CHECK_INT(atomic_load(&s.error), EFBIG);
    CHECK(s.is_broken && s.pending.len == 0);
    CHECK_INT(log_sink_put_lines(&s, three_lines(), 2), 0); /* not into what broke off */
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK_INT(log_sink_flush(&s), 0);
    CHECK_STR(content(), "one\ntw\none\ntwo\n");
    CHECK_INT(log_sink_put_lines(&s, three_lines(), 3), 0);
    CHECK(s.pending.len == 0 && atomic_load(&s.error) == 0);
    log_sink_deinit(&s);
    clean_up();
}

TEST(lines_for_a_pipe_are_kept_for_its_pieces)
{
    struct log_sink s = {0};

    CHECK(path_in_folder("fifo").len > 0);
    int reader = open_fifo_reader();

    CHECK(log_sink_init(&s, str_of(path)) == 0);
    CHECK_INT(log_sink_put_lines(&s, three_lines(), 3), 0);
    CHECK_INT(s.pending.len, 14);
    CHECK_INT(log_sink_flush(&s), 0);
    CHECK_STR(read_some(reader), "one\ntwo\nthree\n");
    close(reader);
    log_sink_deinit(&s);
    clean_up();
}
