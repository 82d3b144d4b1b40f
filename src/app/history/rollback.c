/* tollgate rollback: the files as they were at a revision, written back where they stood; a gateway
 * that watches them loads them. Nothing is written unless the revision would serve now, and unless
 * what stands there is what served last: an edit that nobody has seen yet is never lost. Each file
 * is replaced whole, and those that came since are removed. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/history/opened.h"
#include "app/history/record.h"
#include "app/objects/say.h"
#include "app/reload.h"
#include "app/report.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/mem.h"

struct rollback {
    struct opened opened;
    struct opened_revision target;
    const struct history_revision *latest;
    bool is_dry;
    size_t n_written;
    size_t n_removed;
};

/* ---- judging ---- */

static bool rollback_may_serve(struct rollback *r)
{
    const struct manifest *m = r->target.manifest;
    struct buf why = {0};
    bool may_serve = r->target.compiled.snapshot && reload_may_serve(m);

    if (!may_serve) {
        report_first_error(&m->diags, &why);
        say_error("revision %u would not serve now: %.*s", r->target.revision->number,
                  STR_ARG(buf_str(&why)));
    }
    buf_deinit(&why);
    return may_serve;
}

/* The content of the file as it stands; STR_NULL with errno: it cannot be read. */
static struct str rollback_read(struct arena *a, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    char *bytes;
    ssize_t n;

    if (fd < 0)
        return STR_NULL;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > LIMIT_MANIFEST_FILE_BYTES) {
        close(fd);
        errno = EFBIG;
        return STR_NULL;
    }
    bytes = arena_bytes(a, (size_t)st.st_size + 1);
    n = read(fd, bytes, (size_t)st.st_size);
    close(fd);
    return n < 0 ? STR_NULL : str_make(bytes, (size_t)n);
}

/* Does each file hold what served last? */
static bool rollback_is_unchanged(struct rollback *r)
{
    struct arena *a = &r->opened.arena;
    bool is_unchanged = true;

    VEC_FOREACH (&r->latest->files, file) {
        const char *path = arena_text(a, file->path);
        struct str bytes = rollback_read(a, path);

        if (bytes.ptr && str_eq(record_hash(bytes, a), file->hash))
            continue;
        say_error("%s: %s", path,
                  bytes.ptr ? "it is not what served last (revision latest): an edit would be lost"
                            : strerror(errno));
        is_unchanged = false;
    }
    if (!is_unchanged)
        say_note("--force writes over them");
    return is_unchanged;
}

static const struct history_file *rollback_find(const struct history_revision *revision,
                                                struct str path)
{
    VEC_FOREACH (&revision->files, file) {
        if (str_eq(file->path, path))
            return file;
    }
    return NULL;
}

/* ---- writing ---- */

static bool rollback_fail(const char *path)
{
    say_error("%s: %s", path, strerror(errno));
    return false;
}

static bool rollback_put_all(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);

        if (n < 0 && errno != EINTR)
            return false;
        bytes = str_slice(bytes, n > 0 ? (size_t)n : 0, bytes.len);
    }
    return fsync(fd) == 0;
}

/* Beside its place, with the owner and rights of what stands there, then renamed into it. A link
 * stays one: what it leads to is replaced. */
static bool rollback_write(const char *path, struct str bytes)
{
    char real[PATH_MAX], temporary[PATH_MAX + 16];
    struct stat st;
    bool has_old = realpath(path, real) && stat(real, &st) == 0;
    bool is_put;
    int fd;

    if (!has_old)
        snprintf(real, sizeof real, "%s", path);
    snprintf(temporary, sizeof temporary, "%s.rollback", real);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return rollback_fail(temporary);
    is_put = rollback_put_all(fd, bytes) &&
             (!has_old || (fchmod(fd, st.st_mode & 07777) == 0 &&
                           (geteuid() != 0 || fchown(fd, st.st_uid, st.st_gid) == 0)));
    close(fd);
    if (is_put && rename(temporary, real) == 0)
        return true;
    rollback_fail(real);
    unlink(temporary);
    return false;
}

static bool rollback_write_files(struct rollback *r)
{
    const struct history_revision *to = r->target.revision;

    for (size_t i = 0; i < to->files.n; i++) {
        const char *path = arena_text(&r->opened.arena, to->files.items[i].path);
        struct str now = rollback_read(&r->opened.arena, path);

        if (now.ptr && str_eq(now, r->target.contents[i]))
            continue;
        printf("%s %s\n", now.ptr ? "write" : "create", path);
        if (!r->is_dry && !rollback_write(path, r->target.contents[i]))
            return false;
        r->n_written++;
    }
    return true;
}

static bool rollback_remove_files(struct rollback *r)
{
    VEC_FOREACH (&r->latest->files, file) {
        const char *path = arena_text(&r->opened.arena, file->path);

        if (rollback_find(r->target.revision, file->path) || access(path, F_OK) < 0)
            continue;
        printf("remove %s\n", path);
        if (!r->is_dry && unlink(path) < 0)
            return rollback_fail(path);
        r->n_removed++;
    }
    return true;
}

static bool rollback_run(struct rollback *r, const struct options *options)
{
    const struct history_revision *to;

    if (!opened_open(&r->opened, options))
        return false;
    to = opened_find(&r->opened, options->operands[0]);
    r->latest = to ? opened_find(&r->opened, "latest") : NULL;
    if (!r->latest || !opened_load(&r->opened, to, &r->target) || !rollback_may_serve(r) ||
        (!options->is_forced && !rollback_is_unchanged(r)))
        return false;
    if (history_lock(&r->opened.store) < 0) {
        say_error("--state-folder %s: %s", options->state_folder, error_trace());
        return false;
    }
    return rollback_write_files(r) && rollback_remove_files(r); /* closing unlocks */
}

int command_rollback(const struct options *options)
{
    struct rollback r = {.is_dry = options->is_dry};
    bool is_done = rollback_run(&r, options);

    if (is_done)
        say_note("%s revision %u: %zu file%s written, %zu removed%s", r.is_dry ? "to" : "back to",
                 r.target.revision->number, r.n_written, r.n_written == 1 ? "" : "s", r.n_removed,
                 r.is_dry ? " (nothing was done: --dry-run)"
                          : "; a gateway that watches them loads them");
    if (r.target.revision)
        opened_unload(&r.target);
    opened_close(&r.opened);
    return is_done ? 0 : 1;
}
