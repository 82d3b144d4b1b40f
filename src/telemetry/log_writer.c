/* The ring holds records of {length, sink, bytes}; positions only grow, so that full and empty
 * differ. The writer polls while lines come and sleeps on a futex when none has come for a while; a
 * worker wakes it only when it sleeps, so the steady state costs no system call per line. Lines for
 * one sink that were taken together are written together. */
#include "telemetry/log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/mem.h"

enum {
    WRITER_POLL_MS = 20,
    WRITER_IDLE_ROUNDS = 50, /* a second without a line */
    WRITER_BATCH_BYTES = 262144,
    WRITER_STOP_US = 1000000,
    WRITE_WAIT_MS = 200, /* for a pipe whose reader is slow */
    LINE_BYTES_MAX = 65536,
};

struct log_record {
    uint32_t len;
    uint32_t sink;
};

/* ---- ring ---- */

static void ring_copy_in(struct log_ring *r, uint64_t at, const void *bytes, size_t n)
{
    size_t offset = at % LIMIT_LOG_RING_BYTES;
    size_t first = MIN(n, LIMIT_LOG_RING_BYTES - offset);

    memcpy(r->bytes + offset, bytes, first);
    memcpy(r->bytes, (const char *)bytes + first, n - first);
}

static void ring_copy_out(const struct log_ring *r, uint64_t at, void *bytes, size_t n)
{
    size_t offset = at % LIMIT_LOG_RING_BYTES;
    size_t first = MIN(n, LIMIT_LOG_RING_BYTES - offset);

    memcpy(bytes, r->bytes + offset, first);
    memcpy((char *)bytes + first, r->bytes, n - first);
}

static void writer_wake(struct log_writer *w)
{
    if (atomic_exchange(&w->is_asleep, 0) == 1)
        syscall(SYS_futex, &w->is_asleep, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void log_ring_push(struct log_ring *r, uint32_t sink, struct str line)
{
    struct log_record record = {(uint32_t)MIN(line.len, (size_t)LINE_BYTES_MAX), sink};
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    uint64_t used = head - atomic_load_explicit(&r->tail, memory_order_acquire);

    if (!r->bytes) {
        void *map = mmap(NULL, LIMIT_LOG_RING_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        ASSERT(map != MAP_FAILED);
        r->bytes = map;
    }
    if (used + sizeof record + record.len > LIMIT_LOG_RING_BYTES) {
        atomic_fetch_add_explicit(&r->n_dropped, 1, memory_order_relaxed);
        return;
    }
    ring_copy_in(r, head, &record, sizeof record);
    ring_copy_in(r, head + sizeof record, line.ptr, record.len);
    /* Sequentially consistent with the writer's "asleep, and is there anything?". */
    atomic_store(&r->head, head + sizeof record + record.len);
    if (UNLIKELY(atomic_load(&r->writer->is_asleep) == 1))
        writer_wake(r->writer);
}

/* ---- sinks ---- */

static int sink_open(const char *path)
{
    if (strcmp(path, "/dev/stdout") == 0)
        return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (strcmp(path, "/dev/stderr") == 0)
        return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

int log_writer_sink(struct log_writer *w, struct str path, uint32_t *ret_sink)
{
    int r = 0;

    pthread_mutex_lock(&w->lock);
    uint32_t n = atomic_load(&w->n_sinks);
    uint32_t i = 0;

    while (i < n && !str_eq(path, str_of(w->sinks[i].path)))
        i++;
    if (i == LOG_SINKS_MAX) {
        r = LOG_WRITER_TOO_MANY;
    } else if (i == n) {
        char *text = mem_dup_text(path.ptr, path.len);
        int fd = sink_open(text);

        if (fd < 0) {
            mem_free(text);
            r = LOG_WRITER_CANNOT_OPEN;
        } else {
            w->sinks[i] = (struct log_sink){text, fd};
            atomic_store(&w->n_sinks, n + 1);
        }
    }
    pthread_mutex_unlock(&w->lock);
    *ret_sink = i;
    return r;
}

static void writer_reopen_now(struct log_writer *w)
{
    pthread_mutex_lock(&w->lock);
    for (uint32_t i = 0; i < atomic_load(&w->n_sinks); i++) {
        int fd = sink_open(w->sinks[i].path);

        if (fd < 0)
            continue; /* the old file goes on */
        close(w->sinks[i].fd);
        w->sinks[i].fd = fd;
    }
    pthread_mutex_unlock(&w->lock);
}

void log_writer_reopen(struct log_writer *w)
{
    atomic_store(&w->must_reopen, true);
    writer_wake(w);
}

/* ---- the thread ---- */

static uint64_t count_lines(const char *bytes, size_t n)
{
    uint64_t lines = 0;

    for (size_t i = 0; i < n; i++)
        lines += bytes[i] == '\n';
    return lines;
}

/* Everything, or what the sink takes in WRITE_WAIT_MS; the rest is lost and counted. */
static void writer_write(struct log_writer *w, uint32_t sink, const char *bytes, size_t n)
{
    struct pollfd poll_fd = {.fd = w->sinks[sink].fd, .events = POLLOUT};

    while (n > 0) {
        ssize_t written = write(poll_fd.fd, bytes, n);

        if (written > 0) {
            bytes += written;
            n -= (size_t)written;
        } else if (written < 0 && errno == EINTR) {
            continue;
        } else if (written < 0 && errno == EAGAIN && poll(&poll_fd, 1, WRITE_WAIT_MS) > 0 &&
                   (poll_fd.revents & POLLOUT)) {
            continue;
        } else {
            atomic_fetch_add(&w->n_failed, count_lines(bytes, n));
            return;
        }
    }
}

/* Takes what is in one ring, at most a batch; lines of one sink in a row go out in one write. */
static bool writer_take(struct log_writer *w, struct log_ring *r, struct buf *batch)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    struct log_record record;
    uint32_t sink = 0;

    if (tail == head)
        return false;
    buf_clear(batch);
    while (tail < head && batch->len < WRITER_BATCH_BYTES) {
        ring_copy_out(r, tail, &record, sizeof record);
        if (batch->len > 0 && record.sink != sink)
            break;
        sink = record.sink;
        ring_copy_out(r, tail + sizeof record, buf_reserve(batch, record.len), record.len);
        batch->len += record.len;
        tail += sizeof record + record.len;
    }
    atomic_store_explicit(&r->tail, tail, memory_order_release);
    writer_write(w, sink, batch->ptr, batch->len);
    return true;
}

static bool writer_round(struct log_writer *w, struct buf *batch)
{
    uint32_t n = atomic_load_explicit(&w->n_rings, memory_order_acquire);
    bool has_taken = false;

    for (uint32_t i = 0; i < n; i++)
        has_taken |= writer_take(w, w->rings[i], batch);
    return has_taken;
}

static bool writer_has_lines(struct log_writer *w)
{
    for (uint32_t i = 0; i < atomic_load(&w->n_rings); i++) {
        if (atomic_load(&w->rings[i]->head) != atomic_load(&w->rings[i]->tail))
            return true;
    }
    return false;
}

static void writer_sleep(struct log_writer *w)
{
    atomic_store(&w->is_asleep, 1);
    if (writer_has_lines(w) || atomic_load(&w->must_stop) || atomic_load(&w->must_reopen)) {
        atomic_store(&w->is_asleep, 0);
        return;
    }
    syscall(SYS_futex, &w->is_asleep, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
    atomic_store(&w->is_asleep, 0);
}

static void *writer_main(void *arg)
{
    struct log_writer *w = arg;
    struct timespec pause = {0, WRITER_POLL_MS * 1000000L};
    struct buf batch = {0};
    unsigned n_idle = 0;

    pthread_setname_np(pthread_self(), "log-writer");
    while (!atomic_load(&w->must_stop)) {
        if (atomic_exchange(&w->must_reopen, false))
            writer_reopen_now(w);
        if (writer_round(w, &batch)) {
            n_idle = 0;
            nanosleep(&pause, NULL);
        } else if (++n_idle < WRITER_IDLE_ROUNDS) {
            nanosleep(&pause, NULL);
        } else {
            buf_deinit(&batch);
            writer_sleep(w);
            n_idle = 0;
        }
    }
    uint64_t until_us = clock_read().mono_us + WRITER_STOP_US;

    while (clock_read().mono_us < until_us && writer_round(w, &batch))
        ;
    buf_deinit(&batch);
    return NULL;
}

/* ---- life ---- */

int log_writer_start(struct log_writer *w)
{
    sigset_t all, before;
    int r;

    *w = (struct log_writer){0};
    pthread_mutex_init(&w->lock, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&w->thread, NULL, writer_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0)
        return error_origin(-r);
    w->is_started = true;
    return 0;
}

void log_writer_stop(struct log_writer *w)
{
    if (!w->is_started)
        return;
    w->is_started = false;
    atomic_store(&w->must_stop, true);
    writer_wake(w);
    pthread_join(w->thread, NULL);
    for (uint32_t i = 0; i < atomic_load(&w->n_rings); i++) {
        if (w->rings[i]->bytes)
            munmap(w->rings[i]->bytes, LIMIT_LOG_RING_BYTES);
        mem_free(w->rings[i]);
    }
    for (uint32_t i = 0; i < atomic_load(&w->n_sinks); i++) {
        close(w->sinks[i].fd);
        mem_free(w->sinks[i].path);
    }
    pthread_mutex_destroy(&w->lock);
}

struct log_ring *log_writer_ring(struct log_writer *w)
{
    struct log_ring *r = MEM_NEW(struct log_ring);

    r->writer = w;
    pthread_mutex_lock(&w->lock);
    uint32_t n = atomic_load(&w->n_rings);

    ASSERT(n < LOG_RINGS_MAX);
    w->rings[n] = r;
    atomic_store_explicit(&w->n_rings, n + 1, memory_order_release);
    pthread_mutex_unlock(&w->lock);
    return r;
}

uint64_t log_writer_dropped(struct log_writer *w)
{
    uint64_t n = atomic_load(&w->n_failed);

    for (uint32_t i = 0; i < atomic_load(&w->n_rings); i++)
        n += atomic_load(&w->rings[i]->n_dropped);
    return n;
}
