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
#include "base/limits.h"
#include "base/mem.h"

static const uint32_t watch_mask = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                                   IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF |
                                   IN_ONLYDIR;

static bool watch_is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* False: the folder itself cannot be watched. */
static bool watch_add_folder(struct watch *w, const char *path, unsigned depth)
{
    DIR *dir;
    const struct dirent *entry;
    int wd;

    if (depth > LIMIT_MANIFEST_FOLDER_DEPTH)
        return false; /* the reader says so */
    wd = w->n_watches < WATCH_FOLDERS_MAX ? inotify_add_watch(w->io.fd, path, watch_mask) : -1;
    if (wd < 0) {
        w->n_unwatched++;
        return false;
    }
    w->n_watches++;
    for (size_t i = 0; i < w->n_paths; i++) {
        if (w->parents[i].wd == wd)
            w->parents[i].takes_all = true;
    }
    dir = opendir(path);
    while (dir && (entry = readdir(dir))) {
        char child[PATH_MAX];

        /* "..data" and its targets are not entered: the links beside it lead there. */
        if (entry->d_name[0] == '.' ||
            snprintf(child, sizeof child, "%s/%s", path, entry->d_name) >= (int)sizeof child)
            continue;
        if (watch_is_folder(child))
            watch_add_folder(w, child, depth + 1);
    }
    if (dir)
        closedir(dir);
    return true;
}

/* The folder that holds a path: for files, links, and what is not there yet. Only what happens to
 * that path there counts: a file in a busy folder must not reload with every stranger's write. */
static void watch_add_parent(struct watch *w, struct watch_parent *p, const char *path)
{
    char folder[PATH_MAX];
    size_t len = strlen(path);
    size_t start;

    while (len > 1 && path[len - 1] == '/')
        len--;
    for (start = len; start > 0 && path[start - 1] != '/';)
        start--;
    if (start >= sizeof folder)
        return;
    memcpy(folder, start > 0 ? path : ".", MAX(start, (size_t)1));
    folder[MAX(start, (size_t)1)] = '\0';
    p->name = str_make(path + start, len - start);
    p->wd = inotify_add_watch(w->io.fd, folder, watch_mask);
}

void watch_rescan(struct watch *w)
{
    w->n_watches = 0;
    w->n_lost = 0;
    w->n_unwatched = 0;
    for (size_t i = 0; i < w->n_paths; i++) {
        struct stat st;
        bool is_link = lstat(w->paths[i], &st) == 0 && S_ISLNK(st.st_mode);

        w->parents[i] = (struct watch_parent){.wd = -1};
        if (is_link || !watch_is_folder(w->paths[i]))
            watch_add_parent(w, &w->parents[i], w->paths[i]);
    }
    /* Afterwards: a folder that is watched as a whole is so for everybody. */
    for (size_t i = 0; i < w->n_paths; i++) {
        bool is_watched = watch_is_folder(w->paths[i]) ? watch_add_folder(w, w->paths[i], 0)
                                                       : w->parents[i].wd >= 0;

        w->n_lost += !is_watched;
    }
    if (w->n_lost > 0)
        timer_set(w->loop, &w->retry, w->loop->now.mono_us + WATCH_RETRY_US);
    else
        timer_cancel(w->loop, &w->retry);
}

/* Nobody tells when a folder above all that is watched comes back. */
static void watch_on_retry(struct timer *t)
{
    struct watch *w = CONTAINER_OF(t, struct watch, retry);
    size_t n_lost = w->n_lost;

    watch_rescan(w);
    if (w->n_lost < n_lost)
        w->on_change(w);
}

static void watch_on_timer(struct timer *t)
{
    struct watch *w = CONTAINER_OF(t, struct watch, timer);

    w->first_us = 0;
    watch_rescan(w);
    w->on_change(w);
}

static bool watch_counts(const struct watch *w, const struct inotify_event *event)
{
    struct str name = event->len > 0 ? str_of(event->name) : STR("");
    bool is_parent = false;

    if (event->mask & IN_IGNORED)
        return false; /* follows the deletion that was told already */
    for (size_t i = 0; i < w->n_paths; i++) {
        if (w->parents[i].wd != event->wd)
            continue;
        /* "..data" and its like: a mounted ConfigMap or Secret was swapped. */
        if (w->parents[i].takes_all || name.len == 0 || str_eq(name, w->parents[i].name) ||
            str_starts_with(name, STR("..")))
            return true;
        is_parent = true;
    }
    /* Hidden files are not loaded: an editor's swap file is no news. */
    return !is_parent && (name.len == 0 || name.ptr[0] != '.' || str_starts_with(name, STR("..")));
}

/* Which file of a folder it was does not matter: a load always reads everything. */
static void watch_on_ready(struct loop_fd *io, unsigned events UNUSED)
{
    struct watch *w = CONTAINER_OF(io, struct watch, io);
    char room[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
    uint64_t now_us = w->loop->now.mono_us;
    bool has_news = false;
    ssize_t n;

    while ((n = read(io->fd, room, sizeof room)) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *event = (const void *)(room + at);

            has_news = has_news || watch_counts(w, event);
            at += (ssize_t)(sizeof *event + event->len);
        }
    }
    if (!has_news)
        return;
    if (w->first_us == 0)
        w->first_us = now_us;
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
    w->parents = mem_alloc_zero((n_paths + 1) * sizeof w->parents[0]);
    w->timer.fn = watch_on_timer;
    w->retry.fn = watch_on_retry;
    watch_rescan(w);
    return 0;
}

void watch_close(struct watch *w)
{
    int fd = w->io.fd;

    if (!w->io.loop)
        return;
    timer_cancel(w->loop, &w->timer);
    timer_cancel(w->loop, &w->retry);
    loop_fd_remove(&w->io);
    mem_free(w->parents);
    w->parents = NULL;
    close(fd);
}
