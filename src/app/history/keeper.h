/* Keeping each configuration that serves, in the store (store.h), on a thread of its own: control
 * never waits for a disk. Contents are copied while they are read, wiped when they are kept.
 * Control, but for kept_note, which is the compile thread's. */
#pragma once

#include <pthread.h>

#include "app/history/store.h"
#include "base/list.h"

/* What one load read. */
struct kept {
    struct list_node node;
    struct arena arena;
    VEC(struct history_content) files;
    int64_t newest_us; /* of the files' changes (unix) */
    uid_t newest_owner;
    struct history_facts facts;
};

struct keeper {
    struct history store;
    bool is_open;
    int reading;      /* a descriptor of the lock for who loads; -1: none */
    const char *root; /* where relative paths begin; owned */
    pthread_mutex_t lock;
    struct list waiting; /* of struct kept, under the lock */
    bool is_running;     /* so too: the thread will look again */
    bool has_thread;     /* to be joined */
    pthread_t thread;
};

/* `state_folder` NULL: nothing is kept, and all below does nothing. False, said in the log: it
 * cannot be used. Before the sandbox is entered. */
bool keeper_open(struct keeper *k, const char *state_folder);
/* Waits for what is being kept. */
void keeper_close(struct keeper *k);

/* Around a load, on its thread: while files are written back none is read, so that no mixture of
 * two revisions ever serves. Waits LIMIT_HISTORY_WAIT_S at most. */
void keeper_begin_reading(struct keeper *k);
void keeper_end_reading(struct keeper *k);

/* For a load; NULL where nothing is kept. The caller's, until keeper_take. */
struct kept *kept_new(const struct keeper *k);
void kept_free(struct kept *k); /* NULL is nothing */
/* manifest_keep_fn, of a struct kept that is not NULL. */
void kept_note(void *kept, const char *path, struct str bytes);
/* It serves now. `who` and `reason` may be empty: then who owns the file that changed last did it.
 * NULL is nothing. */
void keeper_take(struct keeper *k, struct kept *kept, const struct history_facts *facts);
