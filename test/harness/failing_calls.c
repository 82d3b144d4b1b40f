/* Put before libc by LD_PRELOAD, this makes every Nth call of a kind fail with an errno, do one
 * byte only, or take long, moves the wall clock, and puts a name server of the experiment in place
 * of the system's. What fails and when stands in a file that TOLLGATE_FAULTS names; it is mapped,
 * so that an experiment arms and disarms it while the process runs, and reads how often it struck.
 * test/faults/lab/failing_calls.py writes the other side of struct control.
 *
 * It acts on what libraries call too (c-ares, OpenSSL), and not on what libc calls in itself. Calls
 * that cannot fail on a real kernel pass: changes of what an epoll set watches, and removals, reads
 * and writes of event descriptors. Threads: any; the file outlives them all. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))
/* `next` is libc's function of that name, or a sanitizer's. */
#define NEXT(name_)                                                                                \
    static __typeof__(name_) *next;                                                                \
    if (!next)                                                                                     \
    next = (__typeof__(name_) *)(uintptr_t)dlsym(RTLD_NEXT, #name_)

enum kind {
    KIND_CONNECT,  /* of streams */
    KIND_DATAGRAM, /* socket, connect, send and recv of datagrams: the resolver's */
    KIND_SOCKET,
    KIND_ACCEPT,
    KIND_SEND,
    KIND_RECV,
    KIND_EPOLL,
    KIND_OPEN,
    KIND_READ,  /* files and pipes */
    KIND_WRITE, /* the same */
    N_KINDS,
};

enum verdict { VERDICT_PASS, VERDICT_FAIL, VERDICT_SHORT };

enum {
    MS_PER_S = 1000,
    US_PER_S = 1000000,
    NS_PER_US = 1000,
    NS_PER_MS = 1000000,
    NAME_SERVER_PORT = 53
};

struct row {
    _Atomic uint32_t every; /* 0: none fails */
    _Atomic int32_t error;  /* 0: one byte is done, where bytes are; below: it takes so many ms */
    _Atomic uint64_t n_calls;
    _Atomic uint64_t n_struck;
};

struct control {
    _Atomic int64_t wall_step_us;      /* added to the wall clock */
    _Atomic uint64_t name_server_port; /* on 127.0.0.1, for datagrams to port 53; 0: as they are */
    struct row rows[N_KINDS];
};

static struct control *control;

__attribute__((constructor)) static void control_map(void)
{
    const char *path = getenv("TOLLGATE_FAULTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *mapped = fd >= 0 ? mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                           : MAP_FAILED;

    if (fd >= 0)
        close(fd);
    if (mapped != MAP_FAILED)
        control = mapped;
}

static enum verdict judge(enum kind kind)
{
    struct row *row;
    uint32_t every;
    int32_t error;
    uint64_t n;

    if (!control)
        return VERDICT_PASS;
    row = &control->rows[kind];
    n = atomic_fetch_add(&row->n_calls, 1) + 1;
    every = atomic_load(&row->every);
    if (every == 0 || n % every != 0)
        return VERDICT_PASS;
    atomic_fetch_add(&row->n_struck, 1);
    error = atomic_load(&row->error);
    if (error < 0) {
        struct timespec pause = {-error / MS_PER_S, -error % MS_PER_S * (long)NS_PER_MS};

        nanosleep(&pause, NULL);
        return VERDICT_PASS;
    }
    errno = error;
    return error ? VERDICT_FAIL : VERDICT_SHORT;
}

static bool is_datagram(int fd)
{
    int type = 0;
    socklen_t len = sizeof type;

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_DGRAM;
}

/* Bytes of a socket, a file or a pipe; nothing else is meddled with, nor the process's own
 * messages.
 */
static enum verdict judge_bytes(int fd, bool is_out, size_t *len)
{
    int saved = errno;
    enum verdict v = VERDICT_PASS;
    struct stat st;

    if (!control || fd == STDERR_FILENO || fstat(fd, &st) != 0)
        v = VERDICT_PASS;
    else if (S_ISSOCK(st.st_mode))
        v = judge(is_datagram(fd) ? KIND_DATAGRAM : is_out ? KIND_SEND : KIND_RECV);
    else if (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
        v = judge(is_out ? KIND_WRITE : KIND_READ);
    if (v == VERDICT_SHORT && len && *len > 1)
        *len = 1;
    if (v != VERDICT_FAIL)
        errno = saved;
    return v;
}

/* ---- sockets ---- */

SHOWN int socket(int domain, int type, int protocol)
{
    NEXT(socket);
    bool is_stream = (type & 0xf) == SOCK_STREAM;

    if (judge(is_stream ? KIND_SOCKET : KIND_DATAGRAM) == VERDICT_FAIL)
        return -1;
    return next(domain, type, protocol);
}

/* To the experiment's name server instead of one at 127.0.0.1, as `names_path` says. c-ares takes
 * answers from the address that it asked, whatever their port. */
static void redirect(struct sockaddr_storage *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    uint64_t port = atomic_load(&control->name_server_port);

    if (port != 0 && address->ss_family == AF_INET && v4->sin_port == htons(NAME_SERVER_PORT))
        v4->sin_port = htons((uint16_t)port);
}

SHOWN int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    NEXT(connect);
    struct sockaddr_storage there = {0};

    if (!control || len > sizeof there || !is_datagram(fd))
        return control && judge(KIND_CONNECT) == VERDICT_FAIL ? -1 : next(fd, address, len);
    if (judge(KIND_DATAGRAM) == VERDICT_FAIL)
        return -1;
    memcpy(&there, address, len);
    redirect(&there);
    return next(fd, (const struct sockaddr *)&there, len);
}

SHOWN int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    NEXT(accept4);

    if (judge(KIND_ACCEPT) == VERDICT_FAIL)
        return -1;
    return next(fd, address, len, flags);
}

SHOWN ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    NEXT(send);

    return judge_bytes(fd, true, &len) == VERDICT_FAIL ? -1 : next(fd, bytes, len, flags);
}

SHOWN ssize_t sendto(int fd, const void *bytes, size_t len, int flags,
                     const struct sockaddr *address, socklen_t address_len)
{
    NEXT(sendto);

    if (judge_bytes(fd, true, &len) == VERDICT_FAIL)
        return -1;
    return next(fd, bytes, len, flags, address, address_len);
}

SHOWN ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    NEXT(sendmsg);
    enum verdict v = judge_bytes(fd, true, NULL);
    struct msghdr first = *message;
    struct iovec one;

    if (v == VERDICT_FAIL)
        return -1;
    if (v == VERDICT_SHORT && first.msg_iovlen > 0 && first.msg_iov[0].iov_len > 0) {
        one = (struct iovec){first.msg_iov[0].iov_base, 1};
        first.msg_iov = &one;
        first.msg_iovlen = 1;
    }
    return next(fd, &first, flags);
}

SHOWN ssize_t recv(int fd, void *bytes, size_t len, int flags)
{
    NEXT(recv);

    return judge_bytes(fd, false, &len) == VERDICT_FAIL ? -1 : next(fd, bytes, len, flags);
}

SHOWN ssize_t recvfrom(int fd, void *bytes, size_t len, int flags, struct sockaddr *address,
                       socklen_t *address_len)
{
    NEXT(recvfrom);

    if (judge_bytes(fd, false, &len) == VERDICT_FAIL)
        return -1;
    return next(fd, bytes, len, flags, address, address_len);
}

SHOWN int epoll_ctl(int epoll_fd, int what, int fd, struct epoll_event *event)
{
    NEXT(epoll_ctl);

    if (what == EPOLL_CTL_ADD && judge(KIND_EPOLL) == VERDICT_FAIL)
        return -1;
    return next(epoll_fd, what, fd, event);
}

/* ---- files ---- */

static mode_t open_mode(int flags, va_list args)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

SHOWN int open(const char *path, int flags, ...)
{
    NEXT(open);
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = open_mode(flags, args);
    va_end(args);
    return judge(KIND_OPEN) == VERDICT_FAIL ? -1 : next(path, flags, mode);
}

SHOWN int open64(const char *path, int flags, ...)
{
    NEXT(open64);
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = open_mode(flags, args);
    va_end(args);
    return judge(KIND_OPEN) == VERDICT_FAIL ? -1 : next(path, flags, mode);
}

/* The system's name servers are those of the experiment. */
static const char *names_path(const char *path)
{
    const char *ours =
        strcmp(path, "/etc/resolv.conf") == 0 ? getenv("TOLLGATE_FAULTS_NAMES") : NULL;

    return ours ? ours : path;
}

SHOWN FILE *fopen(const char *path, const char *mode)
{
    NEXT(fopen);

    return judge(KIND_OPEN) == VERDICT_FAIL ? NULL : next(names_path(path), mode);
}

SHOWN FILE *fopen64(const char *path, const char *mode)
{
    NEXT(fopen64);

    return judge(KIND_OPEN) == VERDICT_FAIL ? NULL : next(names_path(path), mode);
}

SHOWN ssize_t read(int fd, void *bytes, size_t len)
{
    NEXT(read);

    return judge_bytes(fd, false, &len) == VERDICT_FAIL ? -1 : next(fd, bytes, len);
}

SHOWN ssize_t write(int fd, const void *bytes, size_t len)
{
    NEXT(write);

    return judge_bytes(fd, true, &len) == VERDICT_FAIL ? -1 : next(fd, bytes, len);
}

SHOWN ssize_t writev(int fd, const struct iovec *pieces, int n)
{
    NEXT(writev);
    enum verdict v = judge_bytes(fd, true, NULL);
    struct iovec one;

    if (v == VERDICT_FAIL)
        return -1;
    if (v != VERDICT_SHORT || n < 1 || pieces[0].iov_len < 1)
        return next(fd, pieces, n);
    one = (struct iovec){pieces[0].iov_base, 1};
    return next(fd, &one, 1);
}

/* What <sys/socket.h> and <unistd.h> call where a size is known: the same, and its check is libc's.
 */
ssize_t __recv_chk(int fd, void *bytes, size_t len, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *bytes, size_t len, size_t room, int flags,
                       struct sockaddr *address, socklen_t *address_len);
ssize_t __read_chk(int fd, void *bytes, size_t len, size_t room);

SHOWN ssize_t __recv_chk(int fd, void *bytes, size_t len, size_t room, int flags)
{
    NEXT(__recv_chk);

    return judge_bytes(fd, false, &len) == VERDICT_FAIL ? -1 : next(fd, bytes, len, room, flags);
}

SHOWN ssize_t __recvfrom_chk(int fd, void *bytes, size_t len, size_t room, int flags,
                             struct sockaddr *address, socklen_t *address_len)
{
    NEXT(__recvfrom_chk);

    if (judge_bytes(fd, false, &len) == VERDICT_FAIL)
        return -1;
    return next(fd, bytes, len, room, flags, address, address_len);
}

SHOWN ssize_t __read_chk(int fd, void *bytes, size_t len, size_t room)
{
    NEXT(__read_chk);

    return judge_bytes(fd, false, &len) == VERDICT_FAIL ? -1 : next(fd, bytes, len, room);
}

/* ---- the wall clock ---- */

SHOWN int clock_gettime(clockid_t id, struct timespec *ret_ts)
{
    NEXT(clock_gettime);
    int r = next(id, ret_ts);
    int64_t us;

    if (r != 0 || id != CLOCK_REALTIME || !control)
        return r;
    us = ret_ts->tv_nsec / NS_PER_US + atomic_load(&control->wall_step_us);
    ret_ts->tv_sec += us / US_PER_S;
    us %= US_PER_S;
    if (us < 0) {
        us += US_PER_S;
        ret_ts->tv_sec--;
    }
    ret_ts->tv_nsec = us * NS_PER_US + ret_ts->tv_nsec % NS_PER_US;
    return r;
}
