/* See watch.h. Adding a watch twice is one watch, so a rescan simply adds everything again; it runs
 * before each callback, because what changed may be the tree itself. */
#include "net/watch.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

enum { WATCH_DEPTH_MAX = 16 };

static const uint32_t watch_mask = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                                   IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

static void watch_add_folder(struct watch *w, const char *path, unsigned depth)
{
    DIR *dir;
    const struct dirent *entry;

    if (depth > WATCH_DEPTH_MAX || w->n_watches >= WATCH_FOLDERS_MAX ||
        inotify_add_watch(w->io.fd, path, watch_mask) < 0)
        return;
    w->n_watches++;
    dir = opendir(path);
    while (dir && (entry = readdir(dir))) {
        char child[PATH_MAX];
        struct stat st;

        /* "..data" and its targets are not entered: the links beside it lead there. */
        if (entry->d_name[0] == '.' ||
            snprintf(child, sizeof child, "%s/%s", path, entry->d_name) >= (int)sizeof child)
            continue;
        if (stat(child, &st) == 0 && S_ISDIR(st.st_mode))
            watch_add_folder(w, child, depth + 1);
    }
    if (dir)
        closedir(dir);
}

static void watch_add_path(struct watch *w, const char *path)
{
    char folder[PATH_MAX];
    struct stat st;
    char *slash;

    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        watch_add_folder(w, path, 0);
    /* The folder that holds it too: for files, and for roots that are replaced. */
    if (snprintf(folder, sizeof folder, "%s", path) >= (int)sizeof folder)
        return;
    slash = strrchr(folder, '/');
    if (slash == folder)
        slash[1] = '\0';
    else if (slash)
        *slash = '\0';
    if (!S_ISDIR(st.st_mode) || access(path, F_OK) != 0)
        inotify_add_watch(w->io.fd, slash ? folder : ".", watch_mask);
}

void watch_rescan(struct watch *w)
{
    w->n_watches = 0;
    for (size_t i = 0; i < w->n_paths; i++)
        watch_add_path(w, w->paths[i]);
}

static void watch_on_timer(struct timer *t)
{
    struct watch *w = CONTAINER_OF(t, struct watch, timer);

    w->first_us = 0;
    watch_rescan(w);
    w->on_change(w);
}

static void watch_on_ready(struct loop_fd *io, unsigned events UNUSED)
{
    struct watch *w = CONTAINER_OF(io, struct watch, io);
    char room[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
    uint64_t now_us = w->loop->now.mono_us;

    /* Which file it was does not matter: a load always reads everything. */
    while (read(io->fd, room, sizeof room) > 0)
        ;
    if (w->first_us == 0)
        w->first_us = now_us;
    timer_cancel(w->loop, &w->timer);
    timer_set(w->loop, &w->timer, MIN(now_us + WATCH_QUIET_US, w->first_us + WATCH_BURST_US));
}

int watch_open(struct watch *w, struct loop *l, const char *const *paths, size_t n_paths,
               watch_fn *on_change)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    int r;

    *w = (struct watch){.loop = l, .paths = paths, .n_paths = n_paths, .on_change = on_change};
    if (fd < 0)
        return error_origin(-errno);
    r = loop_fd_add(l, &w->io, fd, LOOP_READ, watch_on_ready);
    if (r < 0) {
        close(fd);
        return r;
    }
    w->timer.fn = watch_on_timer;
    watch_rescan(w);
    return 0;
}

void watch_close(struct watch *w)
{
    int fd = w->io.fd;

    if (!w->io.loop)
        return;
    timer_cancel(w->loop, &w->timer);
    loop_fd_remove(&w->io);
    close(fd);
}
