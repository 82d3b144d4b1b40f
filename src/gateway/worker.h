/* A worker: a thread, a loop, all of its connections. Only what the struct marks so is shared. */
#pragma once

#include <pthread.h>

#include "auth/failure_limit.h"
#include "auth/password_memory.h"
#include "auth/token_memory.h"
#include "base/random.h"
#include "gateway/account/series.h"
#include "gateway/ai/held_share.h"
#include "gateway/client.h"
#include "gateway/exchange.h"
#include "gateway/snapshot.h"
#include "net/listener.h"
#include "net/outbox.h"
#include "telemetry/log_writer.h"
#include "telemetry/metrics.h"
#include "upstream/pool.h"

struct access_record;
struct server;
enum { WORKER_SCRATCH_BYTES = 131072 };

/* On its way to a worker, who takes each in turn: a port of only one opens and closes like any. */
struct offer {
    struct snapshot *snapshot;
    struct offer *before;
};

/* A listening socket of this worker. */
struct worker_listener {
    struct listener listener;
    struct worker *worker;
    struct port *port;
    uint32_t fd_index; /* of the port's */
    struct list_node node;
};

struct worker {
    struct loop loop;
    struct server *server;
    pthread_t thread;
    clockid_t cpu_clock; /* of the thread; 0: there is none */
    uint32_t index;
    uint64_t n_accepted; /* connections, ever */
    bool is_draining;
    _Atomic bool has_drained; /* shared: the backlog is taken, listening has ended */
    struct upstreams upstreams;
    struct outbox_pool outboxes;
    struct arena spare_arena; /* for what belongs to no exchange */
    struct random random;
    struct held_share held_bodies;  /* LIMIT_HELD_BYTES */
    struct held_share held_answers; /* LIMIT_HELD_ANSWER_BYTES */
    struct held_share encoders;     /* LIMIT_ENCODERS_BYTES */
    struct list clients;
    struct list arrivals; /* connections whose PROXY header has not come yet (arrival.h) */
    struct list refused;  /* those beyond a limit */
    struct list exchanges;
    uint32_t n_mirrors;  /* those that wait for their content included */
    struct list mirrors; /* copies under way */
    struct list free_exchanges;
    struct list listeners;
    struct list holds;
    struct snapshot_hold *current;
    struct token_memory tokens;
    struct failure_limit failures;
    struct password_memory password_memory;
    struct hash_desk passwords;
    struct metrics_shard *metrics;
    struct refusal_ring *refusals;                /* the last ones; read by control */
    struct ai_series ai_series[WORKER_AI_SERIES]; /* by tenant and model */
    struct log_ring *log;
    struct buf log_line;
    struct export_ring *exports; /* spans on their way to collectors */
    struct buf span;             /* that is being written */
    char date_text[30];
    int64_t date_s;               /* of that text */
    struct wake news;             /* posted by control: new snapshot, ports, drain */
    struct offer *_Atomic offers; /* shared: control pushes, worker takes; newest first */
    _Atomic uint32_t orders;      /* shared: enum worker_order flags */
    struct wake keys_changed;     /* posted when a key feed has news */
    _Atomic uint32_t n_open_connections, n_open_exchanges; /* shared, the worker's gauges */
    char scratch[WORKER_SCRATCH_BYTES];
};

/* Finish what runs and accept nothing new; end now; the others: gateway/overload/overload.h. */
enum worker_order { ORDER_DRAIN = 1, ORDER_STOP = 2, ORDER_SHED = 4, ORDER_ROOM = 8 };

/* All but the thread, for who turns the loop himself; then start: the thread, on `first`. 0 or
 * negative. At deinit neither clients nor exchanges may be left. */
MUST_USE int worker_init(struct worker *w, struct server *g, uint32_t n, struct snapshot *first);
/* One that no thread turns and control does not know: it logs nothing, and counts in `metrics`. */
MUST_USE int worker_init_apart(struct worker *w, struct server *g, struct metrics *metrics,
                               struct snapshot *s);
MUST_USE int worker_start(struct worker *w, struct server *g, uint32_t n, struct snapshot *first);
void worker_deinit(struct worker *w);
/* Control: tells the worker; returns at once. */
void worker_order(struct worker *w, uint32_t orders);
void worker_offer_snapshot(struct worker *w, struct snapshot *s);
/* Waits for the thread to end and frees what it held. */
void worker_join(struct worker *w);

/* On the worker's thread. */
const struct port_plan *worker_port_plan(struct worker *w, const struct port *port);
/* An attempt that has ended, and is not the exchange's last: metrics. */
void worker_count_attempt(struct exchange *x);
/* At the end of an exchange: metrics, of its last attempt too. */
void worker_count_exchange(struct exchange *x, const struct access_record *r);
void worker_note_connections(struct worker *w); /* its lists of them have changed */
/* An exchange takes and lets go of the current snapshot. */
struct snapshot_hold *worker_hold(struct worker *w);
void worker_unhold(struct worker *w, struct snapshot_hold *h);
/* "Sun, 06 Nov 1994 08:49:37 GMT" of this second. */
struct str worker_date(struct worker *w);
