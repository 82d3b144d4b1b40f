/* Sinks belong to the writer's thread as soon as they are counted.
 *
 * Nothing blocks but regular files: pipes, sockets and terminals are written only when poll says
 * so, in pieces that a pipe takes whole (PIPE_BUF), without making a descriptor that others share
 * non-blocking. A piece ends at the end of a line where it can, so that lines of others in the same
 * pipe (the program's own messages) stand between ours, not inside.
 *
 * What a sink does not take stays in its buffer up to LIMIT_LOG_SINK_BYTES; then its lines are
 * dropped and counted, so that one stuck sink does not hold up the others. */
#include "telemetry/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/mem.h"

enum { LOG_SINK_RETRY_MS = 5000 };

static void log_sink_note(struct log_sink *s, int error)
{
    if (atomic_load_explicit(&s->error, memory_order_relaxed) != error)
        atomic_store_explicit(&s->error, error, memory_order_relaxed);
}

/* ---- opening ---- */

static int log_sink_open(struct log_sink *s)
{
    struct stat st;
    /* Not blocking: opening a FIFO without a reader would wait for one. */
    int fd = open(s->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

    s->must_open = fd < 0;
    log_sink_note(s, fd < 0 ? errno : 0);
    if (fd < 0)
        return error_origin(-errno);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = fd;
    s->is_direct = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    s->is_broken = s->is_midline = false;
    return 0;
}

static void log_sink_use_stream(struct log_sink *s, int fd)
{
    struct stat st;

    s->fd = fd;
    s->is_stream = true;
    s->is_direct =
        fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || (S_ISCHR(st.st_mode) && !isatty(fd)));
}

int log_sink_init(struct log_sink *s, struct str path)
{
    int r = 0;

    mem_free(s->path);
    *s = (struct log_sink){.fd = -1, .path = mem_dup_text(path.ptr, path.len)};
    if (str_eq(path, STR("/dev/stdout")))
        log_sink_use_stream(s, STDOUT_FILENO);
    else if (str_eq(path, STR("/dev/stderr")))
        log_sink_use_stream(s, STDERR_FILENO);
    else
        r = log_sink_open(s);
    return r;
}

void log_sink_close(struct log_sink *s)
{
    if (!s->is_stream && s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    buf_deinit(&s->pending);
}

void log_sink_deinit(struct log_sink *s)
{
    log_sink_close(s);
    mem_free(s->path);
    s->path = NULL;
}

uint64_t log_sink_reopen(struct log_sink *s)
{
    size_t rest = 0;
    ssize_t end;

    if (s->is_stream)
        return 0;
    /* The rest of a line whose beginning is in the old file means nothing in the new one. */
    if (s->is_midline) {
        end = str_find_char(buf_str(&s->pending), '\n', 0);
        rest = end < 0 ? s->pending.len : (size_t)end + 1;
    }
    if (log_sink_open(s) < 0)
        return 0;
    if (rest > 0)
        buf_consume(&s->pending, rest);
    return rest > 0;
}

uint64_t log_sink_retry(struct log_sink *s, uint64_t now_ms)
{
    if (LIKELY(!s->must_open) || now_ms < s->next_try_ms)
        return 0;
    s->next_try_ms = now_ms + LOG_SINK_RETRY_MS;
    return log_sink_reopen(s);
}

/* ---- writing ---- */

static bool log_sink_may_write(const struct log_sink *s)
{
    struct pollfd p = {.fd = s->fd, .events = POLLOUT};

    return s->is_direct || poll(&p, 1, 0) > 0;
}

/* How much to write at once: whole lines, unless one alone is longer than a pipe takes. */
static size_t log_sink_piece(const struct log_sink *s, struct str rest)
{
    const char *end;

    if (s->is_direct || rest.len <= PIPE_BUF)
        return rest.len;
    end = memrchr(rest.ptr, '\n', PIPE_BUF);
    return end ? (size_t)(end - rest.ptr) + 1 : (size_t)PIPE_BUF;
}

/* A line that broke off inside must not swallow the next one. False: not now. */
static bool log_sink_mend(struct log_sink *s)
{
    if (!s->is_broken)
        return true;
    if (!log_sink_may_write(s))
        return false;
    s->is_broken = write(s->fd, "\n", 1) != 1;
    return true; /* a sink that refuses this refuses the next piece too */
}

/* Writes one piece. 1: go on; 0: not now; negative: the sink refuses. */
static int log_sink_write(struct log_sink *s, size_t *done)
{
    struct str rest = str_slice(buf_str(&s->pending), *done, s->pending.len);
    ssize_t n;

    if (!log_sink_may_write(s))
        return 0;
    n = write(s->fd, rest.ptr, log_sink_piece(s, rest));
    if (n < 0 && errno == EINTR)
        return 1;
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        return n < 0 ? -errno : -EIO;
    *done += (size_t)n;
    s->is_midline = rest.ptr[n - 1] != '\n';
    return 1;
}

uint64_t log_sink_flush(struct log_sink *s)
{
    size_t done = 0;
    int r = 1;

    if (s->pending.len == 0 || !log_sink_mend(s))
        return 0;
    while (r > 0 && done < s->pending.len)
        r = log_sink_write(s, &done);
    if (done > 0)
        buf_consume(&s->pending, done);
    if (!s->must_open && (r < 0 || done > 0))
        log_sink_note(s, r < 0 ? -r : 0);
    return r < 0 ? log_sink_drop(s) : 0;
}

uint64_t log_sink_drop(struct log_sink *s)
{
    uint64_t n = 0;

    for (size_t i = 0; i < s->pending.len; i++)
        n += s->pending.ptr[i] == '\n';
    buf_clear(&s->pending);
    s->is_broken |= s->is_midline;
    s->is_midline = false;
    return n;
}

uint64_t log_sink_put(struct log_sink *s, struct str line)
{
    if (UNLIKELY(s->fd < 0))
        return 1;
    if (s->pending.len + line.len > LIMIT_LOG_SINK_BYTES)
        return 1;
    buf_append_str(&s->pending, line);
    return s->pending.len >= LOG_SINK_FLUSH_BYTES ? log_sink_flush(s) : 0;
}

/* How many bytes were written without a copy. A failure is left to the flush that follows: it meets
 * the same, and knows what to do about it. */
static size_t log_sink_write_lines(struct log_sink *s, const struct iovec *lines, unsigned n)
{
    ssize_t done;

    if (!s->is_direct || s->fd < 0 || s->pending.len > 0 || s->is_broken)
        return 0;
    done = writev(s->fd, lines, (int)n);
    if (done <= 0)
        return 0;
    if (!s->must_open)
        log_sink_note(s, 0);
    return (size_t)done;
}

uint64_t log_sink_put_lines(struct log_sink *s, const struct iovec *lines, unsigned n)
{
    size_t done = log_sink_write_lines(s, lines, n);
    uint64_t n_lost = 0;

    for (unsigned i = 0; i < n; i++) {
        struct str line = str_make(lines[i].iov_base, lines[i].iov_len);
        size_t n_written = MIN(done, line.len);

        done -= n_written;
        if (n_written == line.len)
            continue;
        s->is_midline |= n_written > 0;
        n_lost += log_sink_put(s, str_slice(line, n_written, line.len));
    }
    return n_lost;
}
