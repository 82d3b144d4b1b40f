/* tollgate rollback: the files as they were at a revision, written back where they stood; a gateway
 * that watches them loads them. Nothing is written unless the revision would serve now, and unless
 * what stands there is what served last: an edit that nobody has seen yet is never lost. That is
 * looked at under the history's lock, so that of two at once the second sees what the first did.
 *
 * Who keeps the history chooses which files it names. Where that is another user than who calls
 * this (root, of a service's), nothing is touched beyond what -f names: else who holds the
 * gateway's process would write any file through root's hands. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/history/opened.h"
#include "app/history/record.h"
#include "app/history/restore.h"
#include "app/objects/say.h"
#include "app/reload.h"
#include "app/report.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "tree/reader.h"

enum { ROLLBACK_MODE_OF_ANOTHER = 0644 };

struct rollback {
    struct opened opened;
    struct opened_revision target;
    const struct history_revision *latest;
    struct history_revision left; /* by another rollback, which has not served since */
    struct restore restore;
    struct buf said; /* what is done with each file; printed when it is */
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

/* The content of the file as it stands; STR_NULL with errno: it cannot be read. What is no file is
 * not even opened. */
static struct str rollback_read(struct arena *a, const char *path)
{
    struct stat st;
    char *bytes;
    ssize_t n;
    int fd;

    if (stat(path, &st) < 0)
        return STR_NULL;
    errno = EINVAL;
    fd = S_ISREG(st.st_mode) ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
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

/* They are sorted by path. */
static const struct history_file *rollback_find(const struct history_revision *revision,
                                                struct str path)
{
    size_t first = 0, end = revision->files.n;

    while (first < end) {
        size_t middle = first + (end - first) / 2;
        int order = str_compare(revision->files.items[middle].path, path);

        if (order == 0)
            return &revision->files.items[middle];
        if (order < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return NULL;
}

static bool rollback_holds(struct rollback *r, const struct history_file *file)
{
    struct arena *a = &r->opened.arena;
    struct str bytes = rollback_read(a, arena_text(a, file->path));

    return bytes.ptr && str_eq(record_hash(bytes, a), file->hash);
}

/* Do the files stand as another rollback wrote them, loaded since or not? */
static bool rollback_is_as_left(struct rollback *r)
{
    VEC_FOREACH (&r->left.files, file) {
        if (!rollback_holds(r, file))
            return false;
    }
    /* What it took away may have been written anew. */
    VEC_FOREACH (&r->latest->files, file) {
        const char *path = arena_text(&r->opened.arena, file->path);

        if (!rollback_find(&r->left, file->path) && access(path, F_OK) == 0 &&
            !rollback_holds(r, file))
            return false;
    }
    return r->left.files.n > 0;
}

/* Does each file hold what served last, or all of them what was written back last? */
static bool rollback_is_unchanged(struct rollback *r)
{
    struct arena *a = &r->opened.arena;
    bool is_unchanged = true;

    if (rollback_is_as_left(r))
        return true;
    VEC_FOREACH (&r->latest->files, file) {
        const char *path = arena_text(a, file->path);

        if (rollback_holds(r, file))
            continue;
        say_error("%s: %s", path,
                  access(path, R_OK) == 0
                      ? "it is not what served last (revision latest): an edit would be lost"
                      : strerror(errno));
        is_unchanged = false;
    }
    if (!is_unchanged)
        say_note("--force writes over them");
    return is_unchanged;
}

/* ---- what stands there besides ---- */

/* Is it there by the last rollback alone, as that wrote it? It can be had again. */
static bool rollback_brought(struct rollback *r, struct str path)
{
    const struct history_file *file = rollback_find(&r->left, path);

    return file && history_has(&r->opened.store, file) && rollback_holds(r, file);
}

static int rollback_is_manifest(const struct dirent *entry)
{
    return reader_is_manifest_name(entry->d_name);
}

/* A file that no revision has is loaded with those that come back, and may be what is wrong. */
static void rollback_look_into(struct rollback *r, struct str folder)
{
    struct arena *a = &r->opened.arena;
    struct dirent **names;
    int n = scandir(arena_text(a, folder), &names, rollback_is_manifest, alphasort);

    for (int i = 0; i < n; i++) {
        struct str path = arena_printf(a, "%.*s/%s", STR_ARG(folder), names[i]->d_name);

        if (!rollback_find(r->target.revision, path) && !rollback_find(r->latest, path) &&
            !rollback_brought(r, path))
            say_note("%.*s is not of either revision, and stays: a gateway that reads its folder "
                     "loads it too",
                     STR_ARG(path));
        free(names[i]);
    }
    if (n >= 0)
        free((void *)names);
}

static void rollback_look_around(struct rollback *r)
{
    struct map seen = {0};

    VEC_FOREACH (&r->target.revision->files, file) {
        size_t n = file->path.len;

        while (n > 1 && file->path.ptr[n - 1] != '/')
            n--;
        struct str folder = str_slice(file->path, 0, n > 1 ? n - 1 : n);

        if (!map_put(&seen, folder, file))
            rollback_look_into(r, folder);
    }
    map_deinit(&seen);
}

/* ---- writing ---- */

/* Of a file that is gone. Another user's word makes nobody the owner of what root writes, nor lets
 * anybody write there: the group that could read it can. */
static struct history_rights rollback_rights(const struct rollback *r,
                                             const struct history_file *file)
{
    struct history_rights rights = file->rights;

    if (r->opened.store.owner == geteuid() || !rights.is_known)
        return rights;
    rights.uid = geteuid();
    rights.mode = (rights.mode & ROLLBACK_MODE_OF_ANOTHER) | S_IRUSR | S_IWUSR | S_IRGRP;
    return rights;
}

static bool rollback_stage_files(struct rollback *r)
{
    const struct history_revision *to = r->target.revision;

    for (size_t i = 0; i < to->files.n; i++) {
        const struct history_file *file = &to->files.items[i];
        const char *path = arena_text(&r->opened.arena, file->path);
        struct history_rights rights = rollback_rights(r, file);
        struct str now = rollback_read(&r->opened.arena, path);

        if (now.ptr && str_eq(now, r->target.contents[i]))
            continue;
        if (!restore_may_touch(&r->restore, path) ||
            (!r->is_dry && !restore_stage(&r->restore, path, r->target.contents[i], &rights)))
            return false;
        buf_printf(&r->said, "%s %s\n", now.ptr ? "write" : "create", path);
        r->n_written++;
    }
    return true;
}

static bool rollback_stage_removal(struct rollback *r, const struct history_file *file)
{
    const char *path = arena_text(&r->opened.arena, file->path);

    if (rollback_find(r->target.revision, file->path) || access(path, F_OK) < 0)
        return true;
    if (!restore_may_touch(&r->restore, path) ||
        (!r->is_dry && !restore_stage_removal(&r->restore, path)))
        return false;
    buf_printf(&r->said, "remove %s\n", path);
    r->n_removed++;
    return true;
}

/* What the latest one has, and what another rollback brought that has not served, or not yet been
 * kept. */
static bool rollback_stage_removals(struct rollback *r)
{
    VEC_FOREACH (&r->latest->files, file) {
        if (!rollback_stage_removal(r, file))
            return false;
    }
    VEC_FOREACH (&r->left.files, file) {
        if (!rollback_find(r->latest, file->path) && rollback_brought(r, file->path) &&
            !rollback_stage_removal(r, file))
            return false;
    }
    return true;
}

/* What stands there is said before it does: who ends midway leaves files that are of neither. */
static bool rollback_commit(struct rollback *r)
{
    int code;

    if (r->is_dry)
        return true;
    code = history_put_standing(&r->opened.store, r->target.revision);
    if (code == 0)
        return restore_commit(&r->restore);
    say_error("--state-folder %s: %s; nothing is changed", r->opened.options->state_folder,
              code < 0 ? error_trace() : "the list of files is too long");
    return false;
}

/* False: said. */
static bool rollback_find_standing(struct rollback *r)
{
    int code = history_get_standing(&r->opened.store, &r->opened.arena, &r->left);

    if (code != 0)
        r->left = (struct history_revision){0};
    if (code < 0)
        say_error("--state-folder %s: %s", r->opened.options->state_folder, error_trace());
    r->latest = code >= 0 ? opened_find(&r->opened, "latest") : NULL;
    return r->latest != NULL;
}

/* Under the lock: what is said of the files is so until they are written. */
static bool rollback_write(struct rollback *r)
{
    const struct options *o = r->opened.options;

    if (!opened_list(&r->opened))
        return false;
    if (!rollback_find_standing(r) || (!o->is_forced && !rollback_is_unchanged(r)))
        return false;
    rollback_look_around(r);
    return rollback_stage_files(r) && rollback_stage_removals(r) && rollback_commit(r);
}

/* ---- the command ---- */

static bool rollback_may_write(const struct rollback *r, const struct options *o)
{
    uid_t owner = r->opened.store.owner;

    if (owner == geteuid() || o->n_paths > 0 || o->is_dry)
        return true;
    say_error("this history is kept by another user (%u), who would choose which files you write: "
              "say where you let it, with -f PATH; --dry-run says what it would be",
              (unsigned)owner);
    return false;
}

static bool rollback_lock(struct rollback *r)
{
    int code = history_lock(&r->opened.store, 0);

    if (code == HISTORY_BUSY) {
        say_note("waiting for who writes there now, %d s at most", LIMIT_HISTORY_WAIT_S);
        code = history_lock(&r->opened.store, LIMIT_HISTORY_WAIT_S);
    }
    if (code != 0)
        say_error("--state-folder %s: %s", r->opened.options->state_folder,
                  code == HISTORY_BUSY
                      ? "a gateway or another rollback goes on writing there: nothing is changed, "
                        "try again"
                      : error_trace());
    return code == 0;
}

static bool rollback_run(struct rollback *r, const struct options *options)
{
    const struct history_revision *to;

    if (!opened_open(&r->opened, options) || !rollback_may_write(r, options))
        return false;
    to = opened_find(&r->opened, options->operands[0]);
    return to && opened_load(&r->opened, to, &r->target) && rollback_may_serve(r) &&
           rollback_lock(r) && rollback_write(r); /* closing unlocks */
}

int command_rollback(const struct options *options)
{
    struct rollback r = {.is_dry = options->is_dry};
    bool is_done;

    restore_init(&r.restore, &r.opened.arena, options->paths, options->n_paths);
    is_done = rollback_run(&r, options);
    restore_deinit(&r.restore);
    if (is_done && r.said.len > 0)
        fwrite(r.said.ptr, 1, r.said.len, stdout);
    fflush(stdout);
    if (is_done)
        say_note("%s revision %u: %zu file%s written, %zu removed%s", r.is_dry ? "to" : "back to",
                 r.target.revision->number, r.n_written, r.n_written == 1 ? "" : "s", r.n_removed,
                 r.is_dry ? " (nothing was done: --dry-run)"
                          : "; a gateway that watches them loads them");
    if (r.target.revision)
        opened_unload(&r.target);
    buf_deinit(&r.said);
    opened_close(&r.opened);
    return is_done ? 0 : 1;
}
