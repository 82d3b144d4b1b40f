/* How near the process is to its bounds, and what gives way in which order, so that it sheds before
 * it breaks: refused and idle connections first, then new requests (503 with Retry-After) and
 * whoever holds the most without taking it, then new connections. What runs goes on.
 *
 *     CALM --memory--> TIGHT --> SHEDDING --> CLOSED      and back, each some way below
 *
 * Shared: control measures and writes the level, workers read it; connections are counted by all.
 * The level is about memory alone. Of descriptors connections of clients get a part that is known
 * at start, and those to backends as many; one more waits for an idle one to be closed. */
#pragma once

#include <stdatomic.h>

#include "base/macro.h"
#include "net/loop.h"
#include "upstream/conn_limit.h"

struct server;
struct worker;

enum overload_level {
    OVERLOAD_CALM,
    OVERLOAD_TIGHT,    /* idle connections are closed */
    OVERLOAD_SHEDDING, /* new requests are refused, the connection that holds the most is reset */
    OVERLOAD_CLOSED,   /* no connections are accepted */
};

struct overload {
    _Atomic uint32_t level;     /* enum overload_level */
    _Atomic uint32_t n_clients; /* those that arrive or were refused included */
    uint32_t n_clients_max;
    uint64_t memory_limit; /* bytes; 0: none */
    struct conn_limit upstreams;
    /* Control only: */
    struct server *server;
    struct timer timer;
    struct wake room_wanted; /* posted by workers who have nobody to close for who comes */
    int statm_fd;
    uint64_t used;       /* bytes, as last measured */
    uint64_t trimmed_us; /* when freed memory was last given back */
    bool is_told;        /* the log knows that it is not calm */
};

/* `memory_limit` in bytes, 0: none. Opens /proc/self/statm, which a sandbox would refuse later; and
 * begins to measure. */
void overload_init(struct overload *o, struct server *g, uint64_t memory_limit);
void overload_deinit(struct overload *o);
/* Of `n_files` descriptors, how many connections of clients may there be: the rest is for those to
 * backends, as many, and for files. */
uint32_t overload_clients_max(uint64_t n_files);
uint32_t overload_upstreams_max(uint64_t n_files);
/* What follows from `used` of `limit` bytes after `now`: up at once, down when it is well below. */
enum overload_level overload_judge(enum overload_level now, uint64_t used, uint64_t limit);
static inline enum overload_level overload_level(const struct overload *o)
{
    return (enum overload_level)atomic_load_explicit(&o->level, memory_order_relaxed);
}

static inline void overload_count_client(struct overload *o, int change)
{
    atomic_fetch_add_explicit(&o->n_clients, (uint32_t)change, memory_order_relaxed);
}

/* For one more client. */
static inline bool overload_has_room(const struct overload *o)
{
    return atomic_load_explicit(&o->n_clients, memory_order_relaxed) < o->n_clients_max;
}

/* No connection is to be kept that nobody would miss. */
static inline bool overload_is_tight(const struct overload *o)
{
    return overload_level(o) > OVERLOAD_CALM || !overload_has_room(o);
}

/* shed.c, on the worker's thread. ORDER_ROOM: another worker has nobody to close. */
void overload_make_room(struct worker *w);
/* At the turn of a tick or of the level: gives way as it says. */
void overload_shed(struct worker *w);
/* At its start: what it may shed is shown before there is any. */
void overload_show(struct worker *w);
/* Is there room for one more connection? Closes idle ones for one that waits at `listen_fd`; where
 * the worker has none others are asked, and it is for the caller to try again. */
bool overload_may_accept(struct worker *w, int listen_fd);
