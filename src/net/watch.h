/* Watching files and folders for change (inotify): editors that replace files and Kubernetes' swap
 * of the `..data` link included, since it is the folders that are watched. One callback per burst
 * of events. */
#pragma once

#include "base/str.h"
#include "net/loop.h"

struct watch;
typedef void watch_fn(struct watch *w);

/* The watch on the folder that holds a path. */
struct watch_parent {
    int wd; /* -1: the path is a folder and watched itself */
    struct str name;
    bool takes_all; /* that folder is one of the paths, too */
};

struct watch {
    struct loop *loop;
    struct loop_fd io;
    struct timer timer;
    struct timer retry; /* while a path cannot be watched */
    watch_fn *on_change;
    uint64_t first_us; /* of the burst; 0: quiet */
    const char *const *paths;
    size_t n_paths;
    struct watch_parent *parents; /* one per path */
    size_t n_watches;
    size_t n_lost; /* paths that cannot be watched now, for neither they nor their folder are there:
                      looked for every WATCH_RETRY_US */
    size_t n_unwatched; /* folders that are there but are not watched: the watches are used up, or
                           they may not be read */
};

enum {
    WATCH_QUIET_US = 50000,  /* silence that ends a burst */
    WATCH_BURST_US = 500000, /* a burst is told at the latest after this */
    WATCH_RETRY_US = 2000000,
    WATCH_FOLDERS_MAX = 20000,
};

/* Files are watched through their folder, folders with everything below. `paths` stay the caller's.
 * 0 or negative. */
MUST_USE int watch_open(struct watch *w, struct loop *l, const char *const *paths, size_t n_paths,
                        watch_fn *on_change);
/* Looks at the tree again: new folders, and roots that had vanished. */
void watch_rescan(struct watch *w);
void watch_close(struct watch *w);
