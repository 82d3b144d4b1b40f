/* See keeper.h. */
#include "app/history/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

static const char *keeper_trouble(int code)
{
    switch (code) {
    case HISTORY_NONE:
        return "there is no such folder: make it, for the user that the gateway runs as alone "
               "(install -d -m 700 -o USER PATH)";
    case HISTORY_EXPOSED:
        return "others may write there, or its folder \"history\" is not this user's alone: give "
               "both to the user that the gateway runs as, with mode 700";
    case HISTORY_TOO_MUCH:
        return "the configuration is larger than what may be kept";
    case HISTORY_BUSY:
        return "somebody else holds its file \"lock\": is a tollgate rollback stopped?";
    case -EACCES:
    case -EPERM:
        return "the user that the gateway runs as may not write there: give it to that user "
               "(chown), or see --user";
    case -ELOOP:
    case -ENOTDIR:
        return "it is no folder, or a link, which is not followed: name the folder itself";
    case -ENOSPC:
    case -EDQUOT:
        return "there is no room for it on the disk";
    default:
        return error_trace();
    }
}

bool keeper_open(struct keeper *k, const char *state_folder)
{
    int r;

    *k = (struct keeper){.lock = PTHREAD_MUTEX_INITIALIZER, .reading = -1};
    if (!state_folder)
        return true;
    r = history_open(&k->store, state_folder, true);
    if (r == 0) /* not a duplicate of the other: each descriptor has a lock of its own */
        k->reading = openat(k->store.folder, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    k->root = getcwd(NULL, 0);
    k->is_open = r == 0 && k->root;
    if (!k->is_open)
        log_error("--state-folder %s: %s", state_folder, r ? keeper_trouble(r) : strerror(errno));
    return k->is_open;
}

void keeper_begin_reading(struct keeper *k)
{
    static const struct timespec pause = {.tv_nsec = 20000000};

    for (int i = 0; k->reading >= 0 && i < LIMIT_HISTORY_WAIT_S * 50; i++) {
        if (flock(k->reading, LOCK_SH | LOCK_NB) == 0)
            return;
        nanosleep(&pause, NULL);
    }
}

void keeper_end_reading(struct keeper *k)
{
    if (k->reading >= 0)
        flock(k->reading, LOCK_UN);
}

/* ---- one load ---- */

struct kept *kept_new(const struct keeper *k)
{
    struct kept *kept;

    if (!k->is_open)
        return NULL;
    kept = MEM_NEW(struct kept);
    arena_init(&kept->arena, 65536);
    VEC_PUSH(&kept->arena, &kept->files,
             ((struct history_content){.path = k->root, .bytes = STR("")})); /* the root */
    return kept;
}

void kept_free(struct kept *k)
{
    if (!k)
        return;
    /* Secrets may stand in it. */
    VEC_FOREACH (&k->files, file)
        mem_wipe((void *)(uintptr_t)file->bytes.ptr, file->bytes.len);
    arena_deinit(&k->arena);
    mem_free(k);
}

void kept_note(void *kept, const char *path, struct str bytes)
{
    struct kept *k = kept;
    struct history_content file = {.bytes = arena_str(&k->arena, bytes)};
    struct stat st;
    int64_t changed_us = 0;

    if (stat(path, &st) == 0) {
        file.rights = (struct history_rights){true, st.st_mode & 0777, st.st_uid, st.st_gid};
        changed_us = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
    }
    if (changed_us > k->newest_us) {
        k->newest_us = changed_us;
        k->newest_owner = st.st_uid;
    }
    file.path =
        path[0] == '/'
            ? arena_text(&k->arena, str_of(path))
            : arena_text(&k->arena, arena_printf(&k->arena, "%s/%s", k->files.items[0].path, path));
    VEC_PUSH(&k->arena, &k->files, file);
}

/* ---- the thread ---- */

static void keeper_put(struct keeper *k, struct kept *kept)
{
    uint32_t number;
    int r =
        history_record(&k->store, kept->files.items + 1, kept->files.n - 1, &kept->facts, &number);

    if (r == 0)
        log_info("kept as revision %u", number);
    else if (r != HISTORY_UNCHANGED)
        log_warn("this configuration is not kept: %s", keeper_trouble(r));
}

static void *keeper_main(void *arg)
{
    struct keeper *k = arg;
    struct kept *kept;

    pthread_setname_np(pthread_self(), "history");
    for (;;) {
        pthread_mutex_lock(&k->lock);
        kept = k->waiting.first ? CONTAINER_OF(k->waiting.first, struct kept, node) : NULL;
        if (kept)
            list_remove(&kept->node);
        k->is_running = kept != NULL;
        pthread_mutex_unlock(&k->lock);
        if (!kept)
            return NULL;
        keeper_put(k, kept);
        kept_free(kept);
    }
}

/* One is not running, and something waits. */
static void keeper_start(struct keeper *k)
{
    sigset_t all, before;
    int r;

    if (k->has_thread)
        pthread_join(k->thread, NULL); /* it has ended, or is about to */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&k->thread, NULL, keeper_main, k);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    k->has_thread = r == 0;
    if (r == 0)
        return;
    k->is_running = false;
    log_warn("this configuration is not kept: no thread: error %d", r);
}

void keeper_take(struct keeper *k, struct kept *kept, const struct history_facts *facts)
{
    struct kept *late = NULL;
    bool has_to_start;

    if (!kept)
        return;
    kept->facts = *facts;
    kept->facts.cause = arena_str(&kept->arena, facts->cause);
    kept->facts.reason = arena_str(&kept->arena, facts->reason);
    kept->facts.who = facts->who.len > 0
                          ? arena_str(&kept->arena, facts->who)
                          : arena_printf(&kept->arena, "uid %u", (unsigned)kept->newest_owner);
    pthread_mutex_lock(&k->lock);
    if (k->waiting.n_nodes >= LIMIT_HISTORY_WAITING) {
        late = CONTAINER_OF(k->waiting.first, struct kept, node);
        list_remove(&late->node);
    }
    list_append(&k->waiting, &kept->node);
    has_to_start = !k->is_running;
    k->is_running = true;
    pthread_mutex_unlock(&k->lock);
    if (late)
        log_warn("a configuration is not kept: the disk of the state folder is too slow");
    kept_free(late);
    if (has_to_start)
        keeper_start(k);
}

void keeper_close(struct keeper *k)
{
    if (k->has_thread)
        pthread_join(k->thread, NULL);
    k->has_thread = false;
    while (k->waiting.first) {
        struct kept *kept = CONTAINER_OF(k->waiting.first, struct kept, node);

        list_remove(&kept->node);
        kept_free(kept);
    }
    if (k->is_open)
        history_close(&k->store);
    if (k->reading >= 0)
        close(k->reading);
    k->reading = -1;
    k->is_open = false;
    free((void *)(uintptr_t)k->root);
    k->root = NULL;
}
