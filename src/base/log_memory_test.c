/* The kept lines: whole ones, in their order, from where a reader left off, while others write. */
#include "base/log_memory.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "test/harness/test.h"

static void add(const char *line)
{
    log_memory_add(line, strlen(line));
}

TEST(nothing_is_kept_before_it_is_opened)
{
    struct buf out = {0};
    uint64_t missed;

    add("a\n");
    CHECK_INT(log_memory_read(0, &out, &missed), 0);
    CHECK_INT(out.len, 0);
    log_memory_open();
    CHECK_INT(log_memory_read(0, &out, &missed), 0);
    CHECK_INT(out.len, 0);
    buf_deinit(&out);
}

TEST(a_reader_goes_on_where_it_left_off)
{
    struct buf out = {0};
    uint64_t missed, at;

    log_memory_open();
    add("one\n");
    at = log_memory_read(0, &out, &missed);
    CHECK_INT(at, 4);
    add("two\n");
    buf_clear(&out);
    at = log_memory_read(at, &out, &missed);
    CHECK_STR(buf_str(&out), "two\n");
    buf_clear(&out);
    CHECK_INT(log_memory_read(at, &out, &missed), at);
    CHECK_INT(out.len, 0);
    /* It counts as another process would have, which has ended. */
    CHECK_INT(log_memory_read(at + 1, &out, &missed), at);
    CHECK_STR(buf_str(&out), "one\ntwo\n");
    CHECK_INT(missed, 0);
    buf_deinit(&out);
}

TEST(the_oldest_lines_go_whole)
{
    struct buf out = {0};
    uint64_t missed, end;
    unsigned n = 0;
    size_t total = 0;

    log_memory_open();
    while (total < 3 * LIMIT_LOG_MEMORY_BYTES + 1000) {
        char line[32];

        snprintf(line, sizeof line, "line %u\n", n++);
        add(line);
        total += strlen(line);
    }
    end = log_memory_read(0, &out, &missed);
    CHECK_INT(end, total);
    CHECK_INT(missed, 0);
    CHECK(out.len <= LIMIT_LOG_MEMORY_BYTES && out.len > LIMIT_LOG_MEMORY_BYTES - 32);
    CHECK(str_starts_with(buf_str(&out), STR("line ")));
    CHECK(str_ends_with(buf_str(&out), STR("\n")));
    buf_clear(&out);
    CHECK_INT(log_memory_read(5, &out, &missed), total);
    CHECK_INT(missed, total - 5 - out.len);
    buf_deinit(&out);
}

TEST(what_is_logged_is_kept_as_it_was_written)
{
    struct buf out = {0};
    uint64_t missed;

    log_memory_open();
    close(STDERR_FILENO); /* a gateway whose standard error nobody has */
    log_info("a=%d\nb", 1);
    log_debug("below the level");
    log_memory_read(0, &out, &missed);
    CHECK(str_ends_with(buf_str(&out), STR(" info a=1 b\n")));
    CHECK_INT(str_find_char(buf_str(&out), '\n', 0), out.len - 1);
    buf_deinit(&out);
    dup2(STDOUT_FILENO, STDERR_FILENO);
}

enum { N_WRITERS = 4, N_LINES = 2000 };

static void *write_lines(void *name)
{
    char line[64];

    memset(line, *(const char *)name, sizeof line);
    line[sizeof line - 1] = '\n';
    for (int i = 0; i < N_LINES; i++)
        log_memory_add(line, sizeof line);
    return NULL;
}

TEST(lines_of_threads_stay_whole_while_they_are_read)
{
    static const char names[N_WRITERS] = {'a', 'b', 'c', 'd'};
    pthread_t writers[N_WRITERS];
    struct buf out = {0};
    uint64_t at = 0, missed;

    log_memory_open();
    for (int i = 0; i < N_WRITERS; i++)
        CHECK(pthread_create(&writers[i], NULL, write_lines, (void *)(uintptr_t)&names[i]) == 0);
    while (at < (uint64_t)N_WRITERS * N_LINES * 64) {
        buf_clear(&out);
        at = log_memory_read(at, &out, &missed);
        CHECK_INT(out.len % 64, 0);
        for (size_t i = 0; i < out.len; i++)
            CHECK(i % 64 == 63 ? out.ptr[i] == '\n' : out.ptr[i] == out.ptr[i - i % 64]);
    }
    for (int i = 0; i < N_WRITERS; i++)
        pthread_join(writers[i], NULL);
    buf_deinit(&out);
}
