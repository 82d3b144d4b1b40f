/* See giver.h. One takeover at a time; who comes meanwhile is told so. Nothing waits for the other
 * process but a worker that asks it (ask.h): what it is told lies in a queue, and is sent as it
 * reads. */
#include "app/takeover/giver.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/takeover/ask_place.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "gateway/server.h"

enum { GIVER_LAST_WORDS_MS = 2000, GIVER_MESSAGE_MAX = 4096, US_PER_S = 1000000 };

/* ---- the door ---- */

static int door_bind(const char *path, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t before;
    int fd, r = 0;

    if (strlen(path) >= sizeof address.sun_path)
        return error_origin(-ENAMETOOLONG);
    memcpy(address.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_origin(-errno);
    before = umask(S_IXUSR | S_IRWXG | S_IRWXO);
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        r = error_origin(-errno);
    umask(before);
    if (r == 0 && listen(fd, 1) < 0) {
        r = error_origin(-errno);
        unlink(path);
    }
    if (r < 0)
        close(fd);
    else
        *ret_fd = fd;
    return r;
}

/* It listens before it has its name: who finds the name finds somebody. */
int giver_make_door(const char *path, int *ret_fd)
{
    char made[sizeof((struct sockaddr_un *)0)->sun_path];
    struct stat st;
    int r;

    *ret_fd = -1;
    if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
        return GIVER_NO_SOCKET;
    if (snprintf(made, sizeof made, "%s.%d", path, (int)getpid()) >= (int)sizeof made)
        return error_origin(-ENAMETOOLONG);
    unlink(made);
    r = door_bind(made, ret_fd);
    if (r == 0 && rename(made, path) < 0) {
        r = error_origin(-errno);
        unlink(made);
        close(*ret_fd);
        *ret_fd = -1;
    }
    return r;
}

static bool door_is_ours(int fd, int *ret_pid)
{
    struct ucred who;
    socklen_t len = sizeof who;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
        return false;
    *ret_pid = who.pid;
    return who.uid == geteuid();
}

/* ---- ends ---- */

static void giver_hang_up(struct giver *g)
{
    timer_cancel(g->loop, &g->timer);
    loop_fd_remove(&g->peer);
    socket_close(g->peer_fd);
    g->peer_fd = -1;
}

static void giver_judge_by_itself(struct giver *g)
{
    limit_memory_defer(&g->server->limits, NULL, &g->ask);
    places_defer(&g->server->clusters, NULL, &g->ask);
}

/* Whoever took over, or wanted to, is gone. */
static void giver_fail(struct giver *g, const char *why)
{
    bool has_shared = g->state >= GIVER_HANDING;
    bool is_taken = g->state >= GIVER_DRAINING;

    giver_hang_up(g);
    takeover_queue_open(&g->queue, 0);
    if (has_shared)
        state_unshare(g->server);
    if (is_taken)
        giver_judge_by_itself(g);
    takeover_ask_close(&g->ask);
    if (is_taken) {
        log_error("process %d, which took over, %s: it is told no more", g->peer_pid, why);
        g->state = GIVER_ENDED;
        return;
    }
    log_warn("process %d wanted to take over, but %s: this one goes on", g->peer_pid, why);
    g->state = GIVER_IDLE;
    if (has_shared)
        g->on_abandon(g);
}

static void giver_on_timeout(struct timer *t)
{
    giver_fail(CONTAINER_OF(t, struct giver, timer), "let its time pass");
}

static void giver_wait(struct giver *g, uint32_t seconds)
{
    timer_set(g->loop, &g->timer, g->loop->now.mono_us + (uint64_t)seconds * US_PER_S);
}

/* ---- what is said ---- */

static void giver_flush(struct giver *g)
{
    int r = g->peer_fd < 0 ? 0 : takeover_queue_send(&g->queue, g->peer_fd);

    if (r >= 0 && g->peer_fd >= 0)
        r = loop_fd_want(&g->peer, r == QUEUE_FULL ? LOOP_READ | LOOP_WRITE : LOOP_READ);
    if (r < 0)
        giver_fail(g, "cannot be reached");
}

static void giver_on_told(struct wake *w)
{
    giver_flush(CONTAINER_OF(w, struct giver, told));
}

static void giver_push_sockets(struct giver *g)
{
    LIST_FOREACH (&g->server->ports, node) {
        const struct port *p = CONTAINER_OF(node, struct port, node);

        for (uint32_t i = 0; p->is_wanted && i < p->n_fds; i++) {
            if (p->fds[i] >= 0)
                takeover_queue_push(&g->queue, WIRE_SOCKET, STR(""), p->fds[i]);
        }
    }
    LIST_FOREACH (&g->admin->ports, admin_node) {
        takeover_queue_push(&g->queue, WIRE_SOCKET, STR(""),
                            CONTAINER_OF(admin_node, struct admin_port, node)->fd);
    }
    takeover_queue_push(&g->queue, WIRE_SOCKET, STR(""), g->door_fd);
}

static void giver_hand(struct giver *g)
{
    uint32_t session = ++g->n_sessions;

    g->state = GIVER_HANDING;
    g->on_hand(g);
    takeover_queue_open(&g->queue, session);
    giver_push_sockets(g);
    state_share(g->server, session, &g->queue.sink);
    takeover_queue_push(&g->queue, WIRE_STATE_END, STR(""), -1);
    if (g->queue.n_left_out > 0)
        log_warn("%llu counts have names too long to be handed over",
                 (unsigned long long)g->queue.n_left_out);
    giver_wait(g, LIMIT_TAKEOVER_ANSWER_S);
    giver_flush(g);
}

static void giver_commit(struct giver *g)
{
    timer_cancel(g->loop, &g->timer);
    log_info("process %d takes over: this one finishes what it has", g->peer_pid);
    g->state = GIVER_DRAINING;
    broker_leave(g->server->options.broker);
    listener_close(&g->door, false);
    socket_close(g->door_fd);
    g->door_fd = -1;
    admin_unlisten(g->admin);
    /* Before the workers drain: when they have, whatever they judged by themselves has been told.
     */
    limit_memory_defer(&g->server->limits, takeover_ask_reserve, &g->ask);
    places_defer(&g->server->clusters, takeover_ask_place, &g->ask);
    g->on_taken(g);
}

void giver_go(struct giver *g)
{
    if (g->state != GIVER_DRAINING)
        return;
    g->state = GIVER_GONE;
    takeover_queue_push(&g->queue, WIRE_GO, STR(""), -1);
    giver_flush(g);
}

static void giver_refuse(int fd, struct str why)
{
    struct buf message = {0};

    wire_put_head(&message, WIRE_REFUSED);
    buf_append_str(&message, why);
    if (takeover_send(fd, buf_str(&message), -1) != 0)
        errno = 0; /* it will see that we hang up */
    buf_deinit(&message);
}

/* ---- what is heard ---- */

static void giver_on_other_version(struct giver *g)
{
    struct buf why = {0};

    buf_printf(&why, "the running gateway hands over by version %d, of another release",
               WIRE_VERSION);
    giver_refuse(g->peer_fd, buf_str(&why));
    buf_deinit(&why);
    giver_fail(g, "is of a release that takes over otherwise");
}

static void giver_welcome(struct giver *g)
{
    struct buf pid = {0};

    wire_put_u32(&pid, (uint32_t)getpid());
    g->state = GIVER_LOADING;
    takeover_queue_push(&g->queue, WIRE_WELCOME, buf_str(&pid), -1);
    buf_deinit(&pid);
    giver_wait(g, LIMIT_TAKEOVER_LOAD_S);
    giver_flush(g);
}

static void giver_on_grant(struct giver *g, struct str content)
{
    struct place_grant grant;

    if (takeover_get_grant(content, &grant))
        places_grant(&g->server->clusters, &grant);
    else
        giver_fail(g, "grants what nobody understands");
}

/* `fd` came along; -1: none. */
static void giver_on_message(struct giver *g, const struct wire_message *m, int fd)
{
    if (g->state == GIVER_GREETED && m->kind == WIRE_HELLO && fd >= 0) {
        takeover_ask_open(&g->ask, fd);
        giver_welcome(g);
        return;
    }
    socket_close(fd);
    if (fd >= 0) {
        giver_fail(g, "sends what has no place there");
    } else if (g->state == GIVER_LOADING && m->kind == WIRE_READY) {
        giver_hand(g);
    } else if (g->state == GIVER_HANDING && m->kind == WIRE_COMMIT) {
        giver_commit(g);
    } else if (g->state >= GIVER_DRAINING && m->kind == WIRE_GRANT) {
        giver_on_grant(g, m->content);
    } else {
        giver_fail(g, "says what has no place there");
    }
}

/* False: nothing more now. */
static bool giver_read(struct giver *g)
{
    char bytes[GIVER_MESSAGE_MAX];
    struct wire_message m;
    int fd;
    ssize_t n = takeover_receive(g->peer_fd, bytes, sizeof bytes, &fd);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0) {
        giver_fail(g, "has ended");
        return false;
    }
    switch (n > (ssize_t)sizeof bytes ? WIRE_BAD : wire_parse(str_make(bytes, (size_t)n), &m)) {
    case 0:
        giver_on_message(g, &m, fd);
        break;
    case WIRE_OTHER_VERSION:
        socket_close(fd);
        giver_on_other_version(g);
        break;
    default:
        socket_close(fd);
        giver_fail(g, "says what nobody understands");
        break;
    }
    return g->peer_fd >= 0;
}

static void giver_on_ready(struct loop_fd *io, unsigned events)
{
    struct giver *g = CONTAINER_OF(io, struct giver, peer);

    if (events & (LOOP_READ | LOOP_HANGUP)) {
        while (giver_read(g))
            ;
    }
    if (g->peer_fd >= 0 && events & LOOP_WRITE)
        giver_flush(g);
}

static void giver_on_accept(struct listener *l, int fd, const struct sockaddr *peer UNUSED,
                            socklen_t peer_len UNUSED)
{
    struct giver *g = CONTAINER_OF(l, struct giver, door);
    int pid = 0;

    if (!door_is_ours(fd, &pid)) {
        log_warn("process %d wants to take over as another user: refused", pid);
        close(fd);
        return;
    }
    if (g->state != GIVER_IDLE) {
        giver_refuse(fd, STR("another process is about to take over"));
        close(fd);
        return;
    }
    if (loop_fd_add(g->loop, &g->peer, fd, LOOP_READ, giver_on_ready) < 0) {
        log_error("a takeover cannot be watched: %s", error_trace());
        close(fd);
        return;
    }
    g->peer_fd = fd;
    g->peer_pid = pid;
    g->state = GIVER_GREETED;
    takeover_queue_open(&g->queue, 0);
    giver_wait(g, LIMIT_TAKEOVER_ANSWER_S);
}

/* ---- life ---- */

void giver_stop(struct giver *g)
{
    if (!g->loop)
        return;
    if (g->peer_fd >= 0 && g->state < GIVER_DRAINING)
        giver_fail(g, "this one is about to end");
    listener_close(&g->door, false);
    socket_close(g->door_fd);
    g->door_fd = -1;
}

int giver_open(struct giver *g, struct server *server, struct admin *admin, int door_fd)
{
    g->server = server;
    g->loop = server->loop;
    g->admin = admin;
    g->state = GIVER_IDLE;
    g->door_fd = door_fd;
    g->peer_fd = -1;
    g->timer.fn = giver_on_timeout;
    wake_init(&g->told, g->loop, giver_on_told);
    takeover_queue_init(&g->queue, &g->told);
    takeover_ask_init(&g->ask);
    return door_fd < 0 ? 0 : listener_open(&g->door, g->loop, door_fd, giver_on_accept);
}

bool giver_has_successor(const struct giver *g)
{
    return g->state == GIVER_DRAINING || g->state == GIVER_GONE;
}

/* What the last exchanges had to say, while nothing else is to be done. */
static void giver_say_last_words(struct giver *g)
{
    struct pollfd peer = {.fd = g->peer_fd, .events = POLLOUT};
    uint64_t end_us = clock_read().mono_us + UINT64_C(1000) * GIVER_LAST_WORDS_MS;
    int r = takeover_queue_send(&g->queue, g->peer_fd);

    while (r == QUEUE_FULL && clock_read().mono_us < end_us &&
           poll(&peer, 1, GIVER_LAST_WORDS_MS) > 0)
        r = takeover_queue_send(&g->queue, g->peer_fd);
    if (r != 0)
        log_warn("process %d, which took over, does not know of all that this one spent",
                 g->peer_pid);
}

void giver_close(struct giver *g)
{
    if (!g->loop)
        return;
    if (g->peer_fd >= 0 && g->state == GIVER_GONE)
        giver_say_last_words(g);
    if (g->peer_fd >= 0)
        giver_hang_up(g);
    giver_stop(g);
    takeover_queue_deinit(&g->queue);
    takeover_ask_close(&g->ask);
    g->loop = NULL;
}
