/* See store.h. A file is written beside its place and renamed into it, contents before the record
 * that names them, so that a process or machine that ends midway leaves nothing that is half; a
 * blob that no record names is swept with the next revision, or with the one that had no room. */
#include "app/history/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/history/record.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"

enum { STORE_NAME_MAX = 80, STORE_ID_LEAST = 4, STORE_TRIES_S = 50 };

#define STORE_TEMPORARY ".new-"
#define STORE_STANDING  "standing"

/* ---- files ---- */

static int store_write_all(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes = str_slice(bytes, (size_t)n, bytes.len);
    }
    return fsync(fd) < 0 ? -errno : 0;
}

static int store_put(int folder, const char *name, struct str bytes)
{
    char temporary[STORE_NAME_MAX];
    int fd, r;

    snprintf(temporary, sizeof temporary, STORE_TEMPORARY "%s", name);
    unlinkat(folder, temporary, 0); /* of who ended midway */
    fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_origin(-errno);
    r = store_write_all(fd, bytes);
    close(fd);
    if (r == 0 && renameat(folder, temporary, folder, name) < 0)
        r = -errno;
    if (r < 0)
        unlinkat(folder, temporary, 0);
    return r < 0 ? error_origin(r) : 0;
}

/* The names in it are on the disk, too. */
static int store_sync(int folder)
{
    return fsync(folder) < 0 ? error_origin(-errno) : 0;
}

/* Copies into the arena; HISTORY_NONE: it is not there, HISTORY_DAMAGED: it is larger than may be.
 */
static int store_get(int folder, const char *name, size_t n_max, struct arena *a, struct str *ret)
{
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    char *bytes;
    size_t n = 0;
    ssize_t got = 1;

    if (fd < 0)
        return errno == ENOENT ? HISTORY_NONE : error_origin(-errno);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > n_max) {
        close(fd);
        return HISTORY_DAMAGED;
    }
    bytes = arena_bytes(a, (size_t)st.st_size + 1);
    while (n < (size_t)st.st_size && got > 0) {
        got = read(fd, bytes + n, (size_t)st.st_size - n);
        n += got > 0 ? (size_t)got : 0;
        if (got < 0 && errno == EINTR)
            got = 1;
    }
    close(fd);
    *ret = str_make(bytes, n);
    return got < 0 ? error_origin(-errno) : 0;
}

/* ---- folders ---- */

/* A folder of ours alone. 0, negative, HISTORY_NONE or HISTORY_EXPOSED. */
static int store_enter(int above, const char *name, bool may_create, int *ret_fd)
{
    struct stat st;

    if (may_create && mkdirat(above, name, 0700) < 0 && errno != EEXIST)
        return error_origin(-errno);
    *ret_fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (*ret_fd < 0)
        return errno == ENOENT ? HISTORY_NONE : error_origin(-errno);
    if (fstat(*ret_fd, &st) < 0)
        return error_origin(-errno);
    return (st.st_mode & 077) || (st.st_uid != geteuid() && geteuid() != 0) ? HISTORY_EXPOSED : 0;
}

static int store_open_folders(struct history *h, const char *state_folder, bool may_create)
{
    int r = store_enter(AT_FDCWD, state_folder, false, &h->lock);

    /* Where it stands need not be ours alone; what others may write in must not be trusted. */
    if (r == HISTORY_EXPOSED) {
        struct stat st;

        r = fstat(h->lock, &st) == 0 && !(st.st_mode & 022) &&
                    (st.st_uid == 0 || st.st_uid == geteuid() || geteuid() == 0)
                ? 0
                : HISTORY_EXPOSED;
    }
    if (r == 0)
        r = store_enter(h->lock, "history", may_create, &h->folder);
    if (h->lock >= 0)
        close(h->lock);
    h->lock = -1;
    if (r == 0)
        r = store_enter(h->folder, "blobs", may_create, &h->blobs);
    if (r == 0)
        r = store_enter(h->folder, "records", may_create, &h->records);
    return r;
}

int history_open(struct history *h, const char *state_folder, bool may_create)
{
    struct stat st = {0};
    int r;

    *h = (struct history){.folder = -1, .blobs = -1, .records = -1, .lock = -1};
    r = store_open_folders(h, state_folder, may_create);
    if (r == 0) {
        h->lock = openat(h->folder, "lock",
                         O_RDWR | O_CLOEXEC | O_NOFOLLOW | (may_create ? O_CREAT : 0), 0600);
        r = h->lock < 0 || fstat(h->folder, &st) < 0 ? error_origin(-errno) : 0;
    }
    if (r == 0)
        h->owner = st.st_uid;
    else
        history_close(h);
    return r;
}

void history_close(struct history *h)
{
    int *fds[] = {&h->folder, &h->blobs, &h->records, &h->lock};

    for (size_t i = 0; i < N_ELEMENTS(fds); i++) {
        if (*fds[i] >= 0)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

/* ---- revisions ---- */

static int store_compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

typedef void store_name_fn(void *ctx, const char *name);

/* Each visible name of a folder, in any order. */
static int store_each(int folder, store_name_fn *fn, void *ctx)
{
    int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = again >= 0 ? fdopendir(again) : NULL;
    struct dirent *entry;

    if (!dir) {
        if (again >= 0)
            close(again);
        return error_origin(-errno);
    }
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            fn(ctx, entry->d_name);
    }
    closedir(dir);
    return 0;
}

struct store_numbers {
    struct arena *arena;
    VEC(uint32_t) numbers;
};

static void store_note_number(void *ctx, const char *name)
{
    struct store_numbers *s = ctx;
    uint64_t n;

    if (str_to_u64(str_of(name), &n) && n > 0 && n < UINT32_MAX)
        VEC_PUSH(s->arena, &s->numbers, (uint32_t)n);
}

int history_list(struct history *h, struct arena *a, struct history_revisions *ret,
                 size_t *ret_n_damaged)
{
    struct store_numbers s = {.arena = a};
    int r = store_each(h->records, store_note_number, &s);

    *ret = (struct history_revisions){0};
    *ret_n_damaged = 0;
    if (r < 0)
        return r;
    if (s.numbers.n > 0)
        qsort(s.numbers.items, s.numbers.n, sizeof s.numbers.items[0], store_compare_numbers);
    VEC_FOREACH (&s.numbers, number) {
        char name[STORE_NAME_MAX];
        struct history_revision revision;
        struct str text = STR_NULL;

        snprintf(name, sizeof name, "%u", *number);
        r = store_get(h->records, name, LIMIT_HISTORY_RECORD_BYTES, a, &text);
        if (r < 0)
            return r;
        if (r == 0 && record_parse(text, *number, a, &revision))
            VEC_PUSH(a, ret, revision);
        else if (r != HISTORY_NONE) /* then it has been let go meanwhile */
            ++*ret_n_damaged;
    }
    return 0;
}

const struct history_revision *history_find(const struct history_revisions *all, struct str name)
{
    const struct history_revision *found = NULL;
    uint64_t number;
    bool is_number = str_to_u64(name, &number);

    if (str_eq(name, STR("latest")))
        return all->n > 0 ? &all->items[all->n - 1] : NULL;
    if (str_eq(name, STR("previous")))
        return all->n > 1 ? &all->items[all->n - 2] : NULL;
    VEC_FOREACH (all, r) {
        if (is_number && r->number == number)
            return r;
    }
    VEC_FOREACH (all, r) {
        if (name.len < STORE_ID_LEAST || !str_starts_with(r->id, name))
            continue;
        if (found && !str_eq(found->id, r->id))
            return NULL;
        found = r; /* of equal ones the latest */
    }
    return found;
}

int history_read(struct history *h, const struct history_file *file, struct arena *a,
                 struct str *ret_bytes)
{
    char name[STORE_NAME_MAX];
    int r;

    snprintf(name, sizeof name, "%.*s", STR_ARG(file->hash));
    r = store_get(h->blobs, name, LIMIT_HISTORY_BYTES, a, ret_bytes);
    if (r == 0 && !str_eq(record_hash(*ret_bytes, a), file->hash))
        r = HISTORY_DAMAGED;
    return r;
}

/* ---- what goes ---- */

struct store_sweep {
    struct history *h;
    struct map used;
};

static void store_sweep_blob(void *ctx, const char *name)
{
    struct store_sweep *s = ctx;

    if (!map_find(&s->used, str_of(name)))
        unlinkat(s->h->blobs, name, 0);
}

/* Contents that no revision from `first` on has. */
static int store_sweep(struct history *h, const struct history_revisions *all, size_t first)
{
    struct store_sweep s = {.h = h};
    int r;

    for (size_t i = first; i < all->n; i++) {
        VEC_FOREACH (&all->items[i].files, file)
            map_put(&s.used, file->hash, file);
    }
    r = store_each(h->blobs, store_sweep_blob, &s);
    map_deinit(&s.used);
    return r;
}

/* The first revision that may stay: so many, and so many bytes, what several share counted once. */
static size_t store_first_kept(const struct history_revisions *all)
{
    struct map known = {0};
    uint64_t n_bytes = 0;
    size_t i = all->n;

    while (i > 0 && all->n - i < LIMIT_HISTORY_REVISIONS) {
        VEC_FOREACH (&all->items[i - 1].files, file)
            n_bytes += map_put(&known, file->hash, file) ? 0 : file->n_bytes;
        if (n_bytes > LIMIT_HISTORY_BYTES)
            break;
        i--;
    }
    map_deinit(&known);
    return i;
}

struct store_outdated {
    struct history *h;
    uint32_t least; /* the oldest number that stays */
    int code;
};

/* Damaged ones go with their time too, and what was never whole. */
static void store_sweep_record(void *ctx, const char *name)
{
    struct store_outdated *s = ctx;
    uint64_t number;
    bool is_outdated = (str_to_u64(str_of(name), &number) && number < s->least) ||
                       str_starts_with(str_of(name), STR(STORE_TEMPORARY));

    if (is_outdated && unlinkat(s->h->records, name, 0) < 0 && s->code == 0)
        s->code = error_origin(-errno);
}

static int store_let_go(struct history *h, struct arena *a)
{
    struct history_revisions all;
    struct store_outdated outdated = {.h = h};
    size_t n_damaged, first;
    int r = history_list(h, a, &all, &n_damaged);

    if (r < 0)
        return r;
    first = store_first_kept(&all);
    outdated.least = first < all.n ? all.items[first].number : 0;
    r = store_each(h->records, store_sweep_record, &outdated);
    if (r == 0)
        r = outdated.code;
    return r == 0 ? store_sweep(h, &all, first) : r;
}

/* ---- what comes ---- */

static int store_compare_paths(const void *a, const void *b)
{
    const struct history_content *const *x = a, *const *y = b;

    return strcmp((*x)->path, (*y)->path);
}

static struct str store_time(int64_t wall_us, struct arena *a)
{
    time_t s = (time_t)(wall_us / 1000000);
    struct tm tm;
    char text[32];

    gmtime_r(&s, &tm);
    return arena_str(a, str_make(text, strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm)));
}

/* The files, sorted; one that two roots lead to stands once. */
static int store_describe(const struct history_content *files, size_t n, struct arena *a,
                          struct history_revision *ret)
{
    const struct history_content **sorted = ARENA_ARRAY(a, const struct history_content *, n + 1);
    uint64_t n_bytes = 0;

    for (size_t i = 0; i < n; i++)
        sorted[i] = &files[i];
    qsort(sorted, n, sizeof sorted[0], store_compare_paths);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && strcmp(sorted[i]->path, sorted[i - 1]->path) == 0)
            continue;
        n_bytes += sorted[i]->bytes.len;
        VEC_PUSH(a, &ret->files,
                 ((struct history_file){arena_str(a, str_of(sorted[i]->path)),
                                        record_hash(sorted[i]->bytes, a), sorted[i]->bytes.len,
                                        sorted[i]->rights}));
    }
    record_identify(ret, a);
    return n_bytes > LIMIT_HISTORY_BYTES ? HISTORY_TOO_MUCH : 0;
}

static int store_put_blobs(struct history *h, const struct history_content *files, size_t n,
                           struct arena *a)
{
    for (size_t i = 0; i < n; i++) {
        char name[STORE_NAME_MAX];
        int r = 0;

        snprintf(name, sizeof name, "%.*s", STR_ARG(record_hash(files[i].bytes, a)));
        if (faccessat(h->blobs, name, F_OK, 0) < 0)
            r = store_put(h->blobs, name, files[i].bytes);
        if (r < 0)
            return r;
    }
    return store_sync(h->blobs);
}

static int store_put_text(int folder, const char *name, const struct history_revision *r)
{
    struct buf text = {0};
    int code;

    record_format(r, &text);
    code = text.len > LIMIT_HISTORY_RECORD_BYTES ? HISTORY_TOO_MUCH
                                                 : store_put(folder, name, buf_str(&text));
    buf_deinit(&text);
    return code == 0 ? store_sync(folder) : code;
}

static int store_put_record(struct history *h, const struct history_revision *r)
{
    char name[STORE_NAME_MAX];

    snprintf(name, sizeof name, "%u", r->number);
    return store_put_text(h->records, name, r);
}

/* It has no number. What root puts there is the history's owner's all the same, who is to read it.
 */
int history_put_standing(struct history *h, const struct history_revision *revision)
{
    struct history_revision standing = *revision;
    int r;

    standing.number = 0;
    r = store_put_text(h->folder, STORE_STANDING, &standing);
    if (r == 0 && h->owner != geteuid() &&
        fchownat(h->folder, STORE_STANDING, h->owner, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0)
        r = error_origin(-errno);
    return r;
}

int history_get_standing(struct history *h, struct arena *a, struct history_revision *ret)
{
    struct str text;
    int r = store_get(h->folder, STORE_STANDING, LIMIT_HISTORY_RECORD_BYTES, a, &text);

    if (r == 0 && !record_parse(text, 0, a, ret))
        r = HISTORY_NONE;
    return r == HISTORY_DAMAGED ? HISTORY_NONE : r;
}

bool history_has(const struct history *h, const struct history_file *file)
{
    char name[STORE_NAME_MAX];

    snprintf(name, sizeof name, "%.*s", STR_ARG(file->hash));
    return faccessat(h->blobs, name, F_OK, 0) == 0;
}

static bool store_has_rights_of(const struct history_revision *a, const struct history_revision *b)
{
    for (size_t i = 0; i < a->files.n; i++) {
        const struct history_rights *x = &a->files.items[i].rights, *y = &b->files.items[i].rights;

        if (x->is_known != y->is_known || x->mode != y->mode || x->uid != y->uid ||
            x->gid != y->gid)
            return false;
    }
    return true;
}

/* The same files again, and who may read them now: one that was given away shall not come back open
 * to all. */
static int store_refresh(struct history *h, const struct history_revision *latest,
                         const struct history_revision *now)
{
    struct history_revision again = *latest;
    int r = 0;

    again.files = now->files;
    if (!store_has_rights_of(latest, now))
        r = store_put_record(h, &again);
    return r == 0 ? HISTORY_UNCHANGED : r;
}

static int store_record(struct history *h, const struct history_content *files, size_t n,
                        const struct history_facts *facts, struct arena *a, uint32_t *ret_number)
{
    struct history_revision revision = {.time = store_time(facts->wall_us, a),
                                        .cause = facts->cause,
                                        .who = facts->who,
                                        .reason = facts->reason};
    struct history_revisions all;
    const struct history_revision *latest;
    struct store_numbers numbers = {.arena = a};
    size_t n_damaged;
    int r = store_describe(files, n, a, &revision);

    if (r == 0)
        r = history_list(h, a, &all, &n_damaged);
    if (r == 0)
        r = store_each(h->records, store_note_number, &numbers); /* damaged ones keep theirs */
    if (r != 0)
        return r;
    latest = history_find(&all, STR("latest"));
    if (latest && str_eq(latest->id, revision.id)) {
        *ret_number = latest->number;
        return store_refresh(h, latest, &revision);
    }
    VEC_FOREACH (&numbers.numbers, number)
        revision.number = MAX(revision.number, *number);
    *ret_number = ++revision.number;
    r = store_put_blobs(h, files, n, a);
    if (r == 0)
        r = store_put_record(h, &revision);
    if (r == 0)
        return store_let_go(h, a);
    /* What found room is not left on a disk that is full. */
    (void)!store_sweep(h, &all, 0);
    return r;
}

int history_lock(struct history *h, int wait_s)
{
    static const struct timespec pause = {.tv_nsec = 1000000000 / STORE_TRIES_S};

    for (int i = 0; flock(h->lock, LOCK_EX | LOCK_NB) < 0; i++) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_origin(-errno);
        if (i >= wait_s * STORE_TRIES_S)
            return HISTORY_BUSY;
        nanosleep(&pause, NULL);
    }
    return 0;
}

void history_unlock(struct history *h)
{
    flock(h->lock, LOCK_UN);
}

int history_record(struct history *h, const struct history_content *files, size_t n,
                   const struct history_facts *facts, uint32_t *ret_number)
{
    struct arena a;
    int r;

    r = history_lock(h, LIMIT_HISTORY_WAIT_S);
    if (r != 0)
        return r;
    arena_init(&a, 65536);
    r = store_record(h, files, n, facts, &a, ret_number);
    arena_deinit(&a);
    history_unlock(h);
    return r;
}
