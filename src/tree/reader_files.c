/* Finding and loading the files of a load: named files, folders recursively, in sorted order, each
 * bounded before it is read. Only regular files are opened, without blocking: a pipe or device in a
 * folder must not hang a reload. Symlinks are followed, because a Kubernetes volume is made of
 * them; a folder that contains itself is refused.
 *
 * Owner: names live in the arena of the load; bytes only while they are parsed. Thread: the compile
 * thread. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "tree/reader_internal.h"

/* The chain of folders above, for noticing a folder inside itself. */
struct folder {
    const struct folder *above;
    dev_t device;
    ino_t inode;
    unsigned depth;
};

static void files_refuse(struct reader *r, enum diag_code code, const char *file, const char *text)
{
    diag_add(r->diags, DIAG_ERROR, code, (struct mark){.file = file}, STR_NULL, "%s", text);
    r->is_refused = true;
}

static void files_refuse_errno(struct reader *r, const char *file, int error)
{
    struct str text = arena_printf(r->arena, "cannot be read: %s", strerror(error));

    /* Who started it may well read it: a gateway becomes another user. */
    if (error == EACCES)
        text = arena_printf(r->arena,
                            "%.*s to user %u: give that user or its group the right to read it, "
                            "and to enter the folders above",
                            STR_ARG(text), (unsigned)geteuid());
    files_refuse(r, DIAG_UNREADABLE_FILE, file, arena_text(r->arena, text));
}

static bool files_may_read(struct reader *r, const char *file, const struct stat *st)
{
    if (!S_ISREG(st->st_mode)) {
        files_refuse(r, DIAG_UNREADABLE_FILE, file, "cannot be read: not a regular file");
        return false;
    }
    if (st->st_size > LIMIT_MANIFEST_FILE_BYTES) {
        files_refuse(r, DIAG_SIZE_LIMIT, file,
                     arena_text(r->arena, arena_printf(r->arena, "has %lld bytes, the limit is %d",
                                                       (long long)st->st_size,
                                                       (int)LIMIT_MANIFEST_FILE_BYTES)));
        return false;
    }
    if (r->total_bytes + (size_t)st->st_size > LIMIT_MANIFEST_TOTAL_BYTES) {
        files_refuse(r, DIAG_SIZE_LIMIT, file, "all files together are larger than the limit");
        return false;
    }
    return true;
}

/* Reads at most `size` bytes: a file that grows meanwhile is cut, one that shrinks ends early. */
static ssize_t files_read_all(int fd, char *bytes, size_t size)
{
    size_t n = 0;

    while (n < size) {
        ssize_t got = read(fd, bytes + n, size - n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        n += (size_t)got;
    }
    return (ssize_t)n;
}

static void files_read_open(struct reader *r, const char *file, int fd)
{
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) < 0) {
        files_refuse_errno(r, file, errno);
        return;
    }
    if (!files_may_read(r, file, &st))
        return;
    char *bytes AUTO(mem_free_ptr) = mem_alloc((size_t)st.st_size + 1);

    n = files_read_all(fd, bytes, (size_t)st.st_size);
    if (n < 0) {
        files_refuse_errno(r, file, (int)-n);
        return;
    }
    r->total_bytes += (size_t)n;
    if (r->keep)
        r->keep(r->keep_ctx, file, str_make(bytes, (size_t)n));
    if (reader_parse(r, file, str_make(bytes, (size_t)n)) != 0)
        r->is_refused = true;
    mem_wipe(bytes, (size_t)n); /* Secrets may stand in it */
}

static void files_read_file(struct reader *r, const char *file)
{
    int fd;

    if (r->files.n > LIMIT_MANIFEST_FILES)
        return; /* said once */
    VEC_PUSH(r->arena, &r->files, file);
    if (r->files.n > LIMIT_MANIFEST_FILES) {
        files_refuse(r, DIAG_SIZE_LIMIT, file, "too many files in one load");
        return;
    }
    fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        files_refuse_errno(r, file, errno);
        return;
    }
    files_read_open(r, file, fd);
    close(fd);
}

bool reader_is_manifest_name(const char *name)
{
    struct str s = str_of(name);

    return name[0] != '.' && (str_ends_with(s, STR(".yaml")) || str_ends_with(s, STR(".yml")) ||
                              str_ends_with(s, STR(".json")));
}

static int files_keep_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int files_by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool files_enter(struct reader *r, const char *path, struct folder *here)
{
    struct stat st;

    if (stat(path, &st) < 0) {
        files_refuse_errno(r, path, errno);
        return false;
    }
    here->device = st.st_dev;
    here->inode = st.st_ino;
    here->depth = here->above ? here->above->depth + 1 : 1;
    if (here->depth > LIMIT_MANIFEST_FOLDER_DEPTH) {
        files_refuse(r, DIAG_SIZE_LIMIT, path, "folders are nested too deeply");
        return false;
    }
    for (const struct folder *f = here->above; f; f = f->above) {
        if (f->device == here->device && f->inode == here->inode) {
            files_refuse(r, DIAG_UNREADABLE_FILE, path, "this folder contains itself");
            return false;
        }
    }
    return true;
}

static size_t files_read_folder(struct reader *r, const char *path, const struct folder *above);

/* One entry of a folder; the number of manifest files behind it. */
static size_t files_read_entry(struct reader *r, const char *path, const char *name,
                               const struct folder *here)
{
    const char *slash = str_ends_with(str_of(path), STR("/")) ? "" : "/";
    const char *file = arena_text(r->arena, arena_printf(r->arena, "%s%s%s", path, slash, name));
    struct stat st;

    if (stat(file, &st) < 0) {
        if (!reader_is_manifest_name(name))
            return 0;
        files_refuse_errno(r, file, errno);
        return 1;
    }
    if (S_ISDIR(st.st_mode))
        return files_read_folder(r, file, here);
    if (!reader_is_manifest_name(name))
        return 0;
    files_read_file(r, file);
    return 1;
}

static size_t files_read_folder(struct reader *r, const char *path, const struct folder *above)
{
    struct folder here = {.above = above};
    struct dirent **entries;
    size_t n_files = 0;
    int n;

    if (!files_enter(r, path, &here))
        return 1;
    VEC_PUSH(r->arena, &r->folders, path);
    n = scandir(path, &entries, files_keep_visible, files_by_name);
    if (n < 0) {
        files_refuse_errno(r, path, errno);
        return 1;
    }
    for (int i = 0; i < n; i++) {
        n_files += files_read_entry(r, path, entries[i]->d_name, &here);
        free(entries[i]);
    }
    free(entries);
    return n_files;
}

int reader_read(struct reader *r, const char *const *paths, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *path = arena_text(r->arena, str_of(paths[i]));
        struct stat st;

        if (stat(path, &st) < 0) {
            files_refuse_errno(r, path, errno);
        } else if (!S_ISDIR(st.st_mode)) {
            files_read_file(r, path);
        } else if (files_read_folder(r, path, NULL) == 0) {
            diag_add(r->diags, DIAG_WARNING, DIAG_EMPTY, (struct mark){.file = path}, STR_NULL,
                     "this folder holds no *.yaml, *.yml or *.json file");
        }
    }
    return r->is_refused ? READER_REFUSED : 0;
}
