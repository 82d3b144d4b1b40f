/* See takeover.h. */
#include "app/takeover/takeover.h"

#include <errno.h>

#include "base/error.h"
#include "base/log.h"

void takeover_init(struct takeover *t)
{
    *t = (struct takeover){.door_fd = -1, .taker = {.fd = -1, .door_fd = -1, .ask_fd = -1}};
}

static const char *takeover_trouble(int code)
{
    switch (code) {
    case GIVER_NO_SOCKET:
        return "what stands there is no socket: give another path";
    case -ENOENT:
        return "there is no such folder: make it, for the user that the gateway runs as alone "
               "(install -d -m 700 -o USER FOLDER)";
    case -EACCES:
    case -EPERM:
    case -EROFS:
        return "the user that the gateway runs as may not make a socket there: give another "
               "folder, one of that user";
    default:
        return error_trace();
    }
}

/* Nobody is there: the next one shall find us. */
static bool takeover_make_door(struct takeover *t, const char *path)
{
    int r = giver_make_door(path, &t->door_fd);

    if (r == 0) {
        log_info("nobody to take over from at %s: starting anew", path);
        return true;
    }
    log_error("cannot start: --takeover %s: %s", path, takeover_trouble(r));
    return false;
}

bool takeover_find(struct takeover *t, const char *path)
{
    struct buf why = {0};
    int r;

    if (!path)
        return true;
    t->is_asked = true;
    r = taker_open(&t->taker, path, &why);
    if (r == TAKER_NOBODY) {
        buf_deinit(&why);
        return takeover_make_door(t, path);
    }
    if (r != 0)
        log_error("cannot start: --takeover %s: %.*s", path,
                  STR_ARG(r > 0 ? buf_str(&why) : str_of(error_trace())));
    buf_deinit(&why);
    return r == 0;
}

static bool takeover_failed(const struct takeover *t, int code, const struct buf *why)
{
    log_error("cannot take over from process %d, which goes on: %.*s", t->taker.peer_pid,
              STR_ARG(code > 0 ? buf_str(why) : str_of(error_trace())));
    return false;
}

bool takeover_take(struct takeover *t, struct server *server)
{
    struct buf why = {0};
    bool is_ok;
    int r;

    if (t->taker.fd < 0)
        return true;
    broker_share(server->options.broker, true);
    r = taker_take(&t->taker, server, &why);
    is_ok = r == 0 || takeover_failed(t, r, &why);
    buf_deinit(&why);
    if (is_ok)
        log_info("taking over %zu listening sockets from process %d", t->taker.sockets.n,
                 t->taker.peer_pid);
    t->door_fd = t->taker.door_fd;
    t->taker.door_fd = -1;
    return is_ok;
}

bool takeover_commit(struct takeover *t)
{
    struct buf nothing = {0};
    int r;

    /* What the configuration has no port for any more. */
    inheritance_deinit(&t->taker.sockets);
    if (t->taker.fd < 0)
        return true;
    r = taker_commit(&t->taker);
    if (r != 0)
        return takeover_failed(t, r, &nothing);
    broker_share(t->taker.server->options.broker, false);
    log_info("process %d accepts nothing any more: this one serves", t->taker.peer_pid);
    return true;
}

void takeover_offer(struct takeover *t, struct server *server, struct admin *admin)
{
    if (!t->is_asked)
        return;
    if (taker_follow(&t->taker) < 0)
        log_error("process %d, which was taken over, cannot be heard: %s", t->taker.peer_pid,
                  error_trace());
    if (giver_open(&t->giver, server, admin, t->door_fd) < 0)
        log_error("nobody can take over from this process: %s", error_trace());
    t->door_fd = -1;
}

bool takeover_is_between(const struct takeover *t)
{
    return t->taker.fd >= 0 && t->giver.loop && giver_has_successor(&t->giver);
}

void takeover_close(struct takeover *t)
{
    giver_close(&t->giver);
    taker_close(&t->taker);
    socket_close(t->door_fd);
    t->door_fd = -1;
}
