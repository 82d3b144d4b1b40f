/* The gateway of the exchange fuzzer: one worker that nobody but the fuzzer turns, a clock that
 * only the fuzzer moves, and all backends behind one socket of the fuzzer's own. The linker puts
 * __wrap_* functions in front of some of the gateway's (test/fuzz/meson.build): that is how the
 * world owns the time and sees every exchange begin, be recorded, and every connection close. */
#pragma once

#include "gateway/worker.h"

enum {
    WORLD_SNAPSHOTS = 2,
    WORLD_WATCHED = 3,   /* endpoints whose health a policy watches */
    WORLD_SEEN_MAX = 64, /* exchanges of one connection that are looked at */
    WORLD_ID_BYTES = 16,
    WORLD_SOCKET_BYTES = 16384, /* small, so that who sends soon finds no room */
};

extern const struct str world_manifests[WORLD_SNAPSHOTS];

/* One exchange, as it was told when it began and when it was recorded. */
struct seen {
    const struct exchange *exchange; /* while it is under way */
    enum http_method method;
    uint32_t stream;         /* of HTTP/2 */
    bool is_tunnel;          /* asked for by extended CONNECT, where 200 stands for 101 */
    bool is_grpc;            /* a call, where a status may stand in the trailers */
    char id[WORLD_ID_BYTES]; /* its x-id, as far as it fits */
    bool is_recorded;
    bool is_due;       /* so it was while the client was still there, and had read all there was */
    bool is_broken;    /* its answer cannot be completed */
    bool is_head_sent; /* some answer was begun */
    unsigned status;   /* as recorded */
};

/* The gateway's side of one client connection of the program under way. */
struct world_client {
    struct client *client; /* NULL: closed */
    bool is_aborted;       /* closed by a reset */
    struct seen seen[WORLD_SEEN_MAX];
    unsigned n_seen;
};

/* health.c, the world's own: control has taken the configuration; a program begins; time has
 * passed. */
void health_adopt(struct server *g, const struct snapshot *s);
void health_forget(struct server *g);
void health_sweep(struct server *g, uint64_t now_us);
void health_turn(struct server *g, unsigned n);
/* The first call builds it all. */
struct worker *world_get(void);
/* A new program begins: a fresh day, names that are not resolved, the first configuration. */
void world_begin(void);
/* A connection of a client whose other end is `fd`'s; `wc` is zeroed for it. */
void world_accept(struct world_client *wc, int fd);
/* The next connection that the gateway has opened to a backend, or -1. */
int world_next_upstream(void);
void world_turn(void);
void world_advance(uint64_t us);
/* The other configuration. */
void world_reload(void);
void world_drain(void);
/* The time of the drain is over. */
void world_stop(void);
/* It was, in the program under way. */
bool world_is_stopped(void);
void world_resolve_names(void);
/* What probes say of the n-th endpoint that a policy watches turns. */
void world_turn_verdict(unsigned n);
/* Nothing of an exchange or connection is left. */
bool world_is_idle(void);
/* After the last program's end: everything was given back. */
void world_check(void);
