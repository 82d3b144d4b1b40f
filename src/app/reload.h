/* Reloading: a thread of its own loads, links and compiles, so that a large configuration never
 * delays control; the result comes back by a wake and is swapped in. One at a time: changes that
 * come meanwhile lead to one more. Files with any error keep the whole old configuration, but for
 * what is only not given yet (a reference whose object is to come). So do files that are empty or
 * gone, all that is left to serve with them. */
#pragma once

#include "app/history/keeper.h"
#include "app/notify.h"
#include "gateway/server.h"

struct reload {
    struct server *server;
    const struct notify *notify; /* who is told that it loads, and when it has */
    const char *const *paths;
    size_t n_paths;
    struct keeper *keeper;
    struct kept *kept;     /* of the load under way; the thread's until `done` */
    struct str cause;      /* of it */
    struct str next_cause; /* of the one that is wanted */
    struct wake done;
    pthread_t thread;
    bool is_running;
    bool is_wanted; /* a change came while one was running, or held */
    bool is_held;
    bool is_ended;
    /* of the thread, read after `done` */
    struct manifest *manifest; /* NULL once the snapshot owns it */
    struct snapshot *snapshot;
    char fault[256];       /* of its environment, empty when nothing failed there */
    char last_result[512]; /* a sentence for status */
};

void reload_init(struct reload *r, struct server *server, struct keeper *keeper,
                 const char *const *paths, size_t n_paths);
/* No further swap: a running one is thrown away when it is done. */
void reload_end(struct reload *r);
/* No swap for now: one that is running is thrown away, and one more comes after reload_release. */
void reload_hold(struct reload *r);
void reload_release(struct reload *r);
/* Waits for a running one. */
void reload_deinit(struct reload *r);
/* Control. `cause`: for the history; static. */
void reload_start(struct reload *r, struct str cause);
/* May these findings serve (at a reload)? */
bool reload_may_serve(const struct manifest *m);
