/* See restore.h. The name beside a place is always the same, so that who ended midway leaves one
 * file at most, and the next one takes it away; it begins with a dot, which no reader of manifests
 * takes up. */
#include "app/history/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/objects/say.h"

enum { RESTORE_MODE_MAX = 0666, RESTORE_READ_BY_OTHERS = 044 };

void restore_init(struct restore *r, struct arena *a, const char *const *within, size_t n_within)
{
    *r = (struct restore){.arena = a, .within = within, .n_within = n_within};
}

void restore_deinit(struct restore *r)
{
    for (size_t i = r->n_done; i < r->files.n; i++) {
        if (r->files.items[i].beside)
            unlink(r->files.items[i].beside);
    }
    map_deinit(&r->places);
    *r = (struct restore){0};
}

static bool restore_fail(const char *path, const char *next)
{
    say_error("%s: %s%s", path, strerror(errno), next);
    return false;
}

/* ---- places ---- */

/* The folder of a path, and the name in it. */
static const char *restore_folder(struct restore *r, const char *path, const char **ret_name)
{
    const char *slash = strrchr(path, '/');

    *ret_name = slash + 1; /* records have absolute paths alone */
    return slash == path ? "/" : arena_text(r->arena, str_make(path, (size_t)(slash - path)));
}

/* Where a path leads, links followed; what is not there has a folder that is. NULL with errno. */
static const char *restore_place(struct restore *r, const char *path)
{
    char real[PATH_MAX];
    const char *name;

    if (realpath(path, real))
        return arena_text(r->arena, str_of(real));
    if (errno != ENOENT || !realpath(restore_folder(r, path, &name), real))
        return NULL;
    return arena_text(r->arena,
                      arena_printf(r->arena, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name));
}

static bool restore_is_within(const char *place, const char *root)
{
    char real[PATH_MAX];
    size_t n;

    if (!realpath(root, real))
        return false;
    n = strlen(real);
    return strncmp(place, real, n) == 0 && (place[n] == '\0' || place[n] == '/' || n == 1);
}

bool restore_may_touch(struct restore *r, const char *path)
{
    const char *place = restore_place(r, path);

    if (!place)
        return restore_fail(path, " (its folder has to be there); nothing is changed");
    for (size_t i = 0; i < r->n_within; i++) {
        if (restore_is_within(place, r->within[i]))
            return true;
    }
    if (r->n_within > 0)
        say_error("%s: it stands beyond what -f names: nothing is written there", place);
    return r->n_within == 0;
}

static void restore_add(struct restore *r, const char *path, const char *place, const char *beside)
{
    VEC_PUSH(r->arena, &r->files, ((struct restore_file){path, place, beside}));
}

/* ---- staging ---- */

static bool restore_put_all(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);

        if (n < 0 && errno != EINTR)
            return false;
        bytes = str_slice(bytes, n > 0 ? (size_t)n : 0, bytes.len);
    }
    return fsync(fd) == 0;
}

/* Owner and group first: for a moment another group could read it otherwise. Who may not give it
 * away keeps it, where the gateway can read it all the same. */
static bool restore_set_rights(int fd, const struct history_rights *rights)
{
    bool may_give = geteuid() == 0;
    bool is_readable = rights->uid == geteuid() || (rights->mode & RESTORE_READ_BY_OTHERS);

    if (!rights->is_known)
        return true;
    if (fchown(fd, may_give ? rights->uid : (uid_t)-1, rights->gid) < 0)
        return false;
    if (!may_give && !is_readable) {
        errno = EPERM;
        return false;
    }
    return fchmod(fd, rights->mode & RESTORE_MODE_MAX) == 0;
}

/* All of it, and nobody else's yet. */
static bool restore_fill(int fd, const char *place, struct str bytes,
                         const struct history_rights *rights)
{
    if (!restore_put_all(fd, bytes))
        return restore_fail(place, "; nothing is changed");
    return restore_set_rights(fd, rights) ||
           restore_fail(place, " (its owner and group cannot be kept); nothing is changed, try as "
                               "root");
}

static bool restore_is_file(const char *place, const struct stat *st)
{
    if (!S_ISDIR(st->st_mode))
        return true;
    errno = EISDIR;
    return restore_fail(place, "; nothing is changed, move it away first");
}

bool restore_stage(struct restore *r, const char *path, struct str bytes,
                   const struct history_rights *rights)
{
    const char *place = restore_place(r, path), *name, *folder, *beside;
    struct history_rights kept = *rights;
    struct stat st;
    bool is_put;
    int fd;

    if (!place)
        return restore_fail(path, " (its folder has to be there); nothing is changed");
    if (map_find(&r->places, str_of(place)))
        return true; /* by another name */
    map_put(&r->places, str_of(place), r);
    if (stat(place, &st) == 0) {
        if (!restore_is_file(place, &st))
            return false;
        kept = (struct history_rights){true, st.st_mode, st.st_uid, st.st_gid};
    }
    folder = restore_folder(r, place, &name);
    beside = arena_text(r->arena, arena_printf(r->arena, "%s/.%s.rollback",
                                               strcmp(folder, "/") == 0 ? "" : folder, name));
    unlink(beside); /* of who ended midway */
    fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return restore_fail(beside, "; nothing is changed");
    restore_add(r, path, place, beside);
    is_put = restore_fill(fd, place, bytes, &kept);
    close(fd);
    return is_put;
}

bool restore_stage_removal(struct restore *r, const char *path)
{
    const char *name;
    struct stat st;

    if (lstat(path, &st) == 0 && !restore_is_file(path, &st))
        return false;
    if (access(restore_folder(r, path, &name), W_OK | X_OK) < 0)
        return restore_fail(path, "; nothing is changed, try as who may remove it");
    restore_add(r, path, path, NULL); /* of a link itself */
    return true;
}

/* ---- committing ---- */

bool restore_commit(struct restore *r)
{
    sigset_t all, before;
    bool is_done = true;

    /* Not cut in two by who is impatient. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    while (is_done && r->n_done < r->files.n) {
        const struct restore_file *file = &r->files.items[r->n_done];

        is_done = file->beside ? rename(file->beside, file->place) == 0 : unlink(file->place) == 0;
        if (is_done)
            r->n_done++;
        else
            (void)restore_fail(file->place, "");
    }
    if (!is_done)
        say_error("%zu of %zu changes are made: repair that, then repeat with --force", r->n_done,
                  r->files.n);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return is_done;
}
