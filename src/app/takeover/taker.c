/* See taker.h. Messages are read with the descriptors that come along; what is not of the form ends
 * the takeover before COMMIT, and the listening after it. */
#include "app/takeover/taker.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/takeover/ask_place.h"
#include "app/takeover/queue.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

/* Of taker_receive. */
enum {
    TAKER_EMPTY = 100, /* nothing to read now */
    TAKER_CLOSED,      /* the other has ended */
    TAKER_BAD,         /* not of the form */
};

/* ---- messages ---- */

/* 0 with a message in `bytes` and the descriptor that came with it, or -1; a condition or negative.
 * Never waits. */
static int taker_receive(struct taker *t, struct buf *bytes, struct wire_message *ret, int *ret_fd)
{
    ssize_t n;

    buf_clear(bytes);
    buf_reserve(bytes, LIMIT_TAKEOVER_MESSAGE_BYTES);
    n = takeover_receive(t->fd, bytes->ptr, LIMIT_TAKEOVER_MESSAGE_BYTES, ret_fd);
    if (n < 0 && errno == ECONNRESET) /* told once, also in front of what was said before */
        n = takeover_receive(t->fd, bytes->ptr, LIMIT_TAKEOVER_MESSAGE_BYTES, ret_fd);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return TAKER_EMPTY;
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return TAKER_CLOSED;
    if (n < 0)
        return error_origin(-errno);
    bytes->len = MIN((size_t)n, (size_t)LIMIT_TAKEOVER_MESSAGE_BYTES);
    if ((size_t)n > bytes->len || wire_parse(buf_str(bytes), ret) != 0 ||
        (*ret_fd >= 0) != (ret->kind == WIRE_SOCKET)) {
        socket_close(*ret_fd);
        *ret_fd = -1;
        return TAKER_BAD;
    }
    return 0;
}

/* ---- questions ---- */

static void taker_end_asking(struct taker *t)
{
    loop_fd_remove(&t->ask_io);
    socket_close(t->ask_fd);
    t->ask_fd = -1;
}

/* False: what came is no question. */
static bool taker_put_answer(struct taker *t, const struct wire_message *m, struct buf *answer)
{
    if (m->kind == WIRE_ASK)
        return takeover_ask_judge(t->server, m->content, answer);
    return m->kind == WIRE_ASK_PLACE && takeover_ask_judge_place(t->server, m->content, answer);
}

/* Who asked has waited long enough, and goes by what it knows. */
static void taker_take_back(struct taker *t, const struct wire_message *m, const struct buf *answer)
{
    struct str content = str_slice(buf_str(answer), WIRE_HEAD_BYTES, answer->len);

    if (m->kind == WIRE_ASK)
        takeover_ask_take_back(t->server, m->content, content);
    else
        takeover_ask_take_back_place(t->server, m->content, content);
}

/* False: there is no answer, or it cannot be said. */
static bool taker_judge(struct taker *t, struct str question)
{
    struct buf answer = {0};
    struct wire_message m;
    bool is_judged = t->server && wire_parse(question, &m) == 0 && taker_put_answer(t, &m, &answer);
    bool is_said = is_judged && takeover_send(t->ask_fd, buf_str(&answer), -1) == 0;

    if (is_judged && !is_said)
        taker_take_back(t, &m, &answer);
    buf_deinit(&answer);
    return is_said;
}

/* One question, if there is one. The worker that asks waits for it. */
static void taker_answer(struct taker *t)
{
    struct buf question = {0};
    ssize_t n;
    int fd;

    buf_reserve(&question, LIMIT_TAKEOVER_MESSAGE_BYTES);
    n = takeover_receive(t->ask_fd, question.ptr, LIMIT_TAKEOVER_MESSAGE_BYTES, &fd);
    socket_close(fd);
    if ((n >= 0 || errno != EAGAIN) && (n <= 0 || n > LIMIT_TAKEOVER_MESSAGE_BYTES ||
                                        !taker_judge(t, str_make(question.ptr, (size_t)n))))
        taker_end_asking(t);
    buf_deinit(&question);
}

static void taker_on_ask(struct loop_fd *io, unsigned events UNUSED)
{
    taker_answer(CONTAINER_OF(io, struct taker, ask_io));
}

/* A guest_grant_fn: the other has somebody who waits. */
static bool taker_grant(void *ctx, const struct place_grant *grant)
{
    struct taker *t = ctx;
    struct buf message = {0};
    int r;

    if (t->fd < 0)
        return false;
    takeover_put_grant(&message, grant);
    r = takeover_send(t->fd, buf_str(&message), -1);
    if (r == QUEUE_FULL && loop_fd_want(&t->io, LOOP_READ | LOOP_WRITE) < 0)
        log_error("process %d, which was taken over, is granted no more places at %.*s",
                  t->peer_pid, STR_ARG(grant->backend));
    buf_deinit(&message);
    return r == 0;
}

/* ---- waiting ---- */

/* As above, and waits for it, LIMIT_TAKEOVER_ANSWER_S at most. */
static int taker_await(struct taker *t, struct buf *bytes, struct wire_message *ret, int *ret_fd)
{
    struct pollfd peers[] = {{.fd = t->fd, .events = POLLIN}, {.fd = t->ask_fd, .events = POLLIN}};
    uint64_t end_us = clock_read().mono_us + UINT64_C(1000000) * LIMIT_TAKEOVER_ANSWER_S;
    int r = taker_receive(t, bytes, ret, ret_fd);

    while (r == TAKER_EMPTY) {
        uint64_t now_us = clock_read().mono_us;

        if (now_us >= end_us)
            return TAKER_EMPTY;
        peers[1].fd = t->ask_fd;
        if (poll(peers, N_ELEMENTS(peers), (int)((end_us - now_us) / 1000) + 1) < 0 &&
            errno != EINTR)
            return error_origin(-errno);
        if (t->ask_fd >= 0 && peers[1].revents)
            taker_answer(t);
        r = taker_receive(t, bytes, ret, ret_fd);
    }
    return r;
}

static int taker_say(struct taker *t, enum wire_kind kind, int fd)
{
    struct buf message = {0};
    int r;

    wire_put_head(&message, kind);
    r = takeover_send(t->fd, buf_str(&message), fd);
    buf_deinit(&message);
    return r == QUEUE_FULL ? error_origin(-EAGAIN) : r;
}

static int taker_refused(struct taker *t, const char *why, struct buf *ret_why)
{
    buf_printf(ret_why, "process %d, which serves now, %s", t->peer_pid, why);
    return TAKER_REFUSED;
}

/* What taker_await ended with, in words. */
static int taker_failed(struct taker *t, int condition, struct buf *ret_why)
{
    switch (condition) {
    case TAKER_EMPTY:
        return taker_refused(t, "does not answer", ret_why);
    case TAKER_CLOSED:
        return taker_refused(t, "has hung up", ret_why);
    default:
        return condition < 0 ? condition : taker_refused(t, "speaks another form", ret_why);
    }
}

/* ---- before the sandbox ---- */

static int taker_connect(struct taker *t, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred who;
    socklen_t len = sizeof who;

    if (strlen(path) >= sizeof address.sun_path)
        return error_origin(-ENAMETOOLONG);
    memcpy(address.sun_path, path, strlen(path));
    t->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (t->fd < 0)
        return error_origin(-errno);
    if (connect(t->fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return errno == ENOENT || errno == ECONNREFUSED ? TAKER_NOBODY : error_origin(-errno);
    /* Of who made the socket, which may be the predecessor of who listens now. */
    if (getsockopt(t->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
        return error_origin(-errno);
    return who.uid == geteuid() ? 0 : TAKER_REFUSED;
}

/* The first answer: welcome, or why not. */
static int taker_on_welcome(struct taker *t, const struct wire_message *m, struct buf *ret_why)
{
    struct wire_reader r = {.rest = m->content};

    if (m->kind == WIRE_REFUSED) {
        buf_printf(ret_why, "the gateway that serves now refuses: %.*s", STR_ARG(m->content));
        return TAKER_REFUSED;
    }
    t->peer_pid = (int)wire_get_u32(&r);
    return m->kind == WIRE_WELCOME && wire_is_done(&r)
               ? 0
               : taker_refused(t, "speaks another form", ret_why);
}

static int taker_greet(struct taker *t, struct buf *ret_why)
{
    struct buf bytes = {0};
    struct wire_message m;
    int channel[2];
    int fd;
    int r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, channel) < 0)
        return error_origin(-errno);
    t->ask_fd = channel[0];
    if (taker_say(t, WIRE_HELLO, channel[1]) < 0)
        errno = 0; /* the other has said no already, or nothing: that is heard now */
    close(channel[1]);
    r = taker_await(t, &bytes, &m, &fd);
    if (r == 0) {
        socket_close(fd);
        r = taker_on_welcome(t, &m, ret_why);
    } else {
        r = taker_failed(t, r, ret_why);
    }
    buf_deinit(&bytes);
    return r;
}

int taker_open(struct taker *t, const char *path, struct buf *ret_why)
{
    int r;

    *t = (struct taker){.fd = -1, .door_fd = -1, .ask_fd = -1};
    r = taker_connect(t, path);
    if (r == TAKER_REFUSED)
        buf_printf(ret_why, "who listens there is another user");
    if (r == 0)
        r = taker_greet(t, ret_why);
    if (r != 0)
        taker_close(t);
    return r;
}

/* ---- sockets and state ---- */

static bool taker_is_door(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;

    return getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
           address.ss_family == AF_UNIX && socket_is_listening(fd);
}

/* The socket of the file system goes from process to process too: its name leads on to it. */
static bool taker_add_socket(struct taker *t, int fd)
{
    if (!taker_is_door(fd))
        return inheritance_add(&t->sockets, fd) == 0;
    socket_close(t->door_fd);
    t->door_fd = fd;
    return true;
}

/* False: it has no place there. */
static bool taker_on_message(struct taker *t, const struct wire_message *m, int fd)
{
    switch (m->kind) {
    case WIRE_SOCKET:
        return taker_add_socket(t, fd);
    case WIRE_RECORDS:
        return state_take(t->server, m->content);
    case WIRE_STATE_END:
        t->has_state = true;
        return t->door_fd >= 0;
    default:
        return false;
    }
}

int taker_take(struct taker *t, struct server *server, struct buf *ret_why)
{
    struct buf bytes = {0};
    struct wire_message m;
    int fd;
    int r = taker_say(t, WIRE_READY, -1);

    t->server = server;
    server->loop->now = clock_read(); /* it does not run yet, and ages are told */
    while (r == 0 && !t->has_state) {
        r = taker_await(t, &bytes, &m, &fd);
        if (r == 0 && !taker_on_message(t, &m, fd))
            r = TAKER_BAD;
    }
    mem_wipe(bytes.ptr, bytes.cap); /* keys came by it */
    buf_deinit(&bytes);
    return r == 0 ? 0 : taker_failed(t, r, ret_why);
}

/* ---- afterwards ---- */

static void taker_end(struct taker *t)
{
    state_disown(t->server);
    taker_end_asking(t);
    loop_fd_remove(&t->io);
    socket_close(t->fd);
    t->fd = -1;
    if (t->on_end)
        t->on_end(t);
}

/* False: it has no place there. */
static bool taker_hears(struct taker *t, const struct wire_message *m)
{
    return m->kind == WIRE_GO || (m->kind == WIRE_RECORDS && state_take(t->server, m->content));
}

int taker_commit(struct taker *t)
{
    struct buf bytes = {0};
    struct wire_message m = {0};
    int fd;
    int r = taker_say(t, WIRE_COMMIT, -1);

    if (r < 0)
        return r;
    while (r == 0 && m.kind != WIRE_GO) {
        r = taker_await(t, &bytes, &m, &fd);
        socket_close(fd);
        if (r == 0 && !taker_hears(t, &m))
            r = TAKER_BAD;
    }
    buf_deinit(&bytes);
    if (r == 0)
        return 0;
    log_warn("process %d, which is taken over, %s", t->peer_pid,
             r == TAKER_EMPTY ? "has not said that it accepts no more" : "has ended early");
    if (r != TAKER_EMPTY)
        taker_end(t);
    return 0;
}

static void taker_on_ready(struct loop_fd *io, unsigned events)
{
    struct taker *t = CONTAINER_OF(io, struct taker, io);
    struct buf bytes = {0};
    struct wire_message m = {0};
    int fd;
    int r = 0;

    if (events & LOOP_WRITE) {
        r = loop_fd_want(&t->io, LOOP_READ);
        guest_retry(&t->server->guest);
    }
    if (r == 0) {
        r = taker_receive(t, &bytes, &m, &fd);
        socket_close(fd);
    }
    if (r == 0 && !taker_hears(t, &m))
        r = TAKER_BAD;
    buf_deinit(&bytes);
    if (r == 0 || r == TAKER_EMPTY)
        return;
    if (r == TAKER_CLOSED)
        log_info("process %d, which was taken over, has ended", t->peer_pid);
    else
        log_error("process %d, which was taken over, says what nobody understands: it is heard "
                  "no more",
                  t->peer_pid);
    taker_end(t);
}

int taker_follow(struct taker *t)
{
    int r = 0;

    if (t->fd >= 0) {
        t->server->guest.on_grant = taker_grant; /* by wakes, which come from now on */
        t->server->guest.ctx = t;
        r = loop_fd_add(t->server->loop, &t->io, t->fd, LOOP_READ, taker_on_ready);
    }
    if (r == 0 && t->ask_fd >= 0)
        r = loop_fd_add(t->server->loop, &t->ask_io, t->ask_fd, LOOP_READ, taker_on_ask);
    return r;
}

void taker_close(struct taker *t)
{
    taker_end_asking(t);
    loop_fd_remove(&t->io);
    socket_close(t->fd);
    t->fd = -1;
    inheritance_deinit(&t->sockets);
}
