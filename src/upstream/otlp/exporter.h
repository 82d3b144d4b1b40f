/* Exporters: each sends one signal (spans, or metrics) to one collector, by OTLP over HTTP with its
 * JSON encoding, in batches, one at a time. Workers hand their items over by rings; everything
 * else belongs to control. Queues are bounded: a collector that is down, slow or talks nonsense
 * costs items, which are counted, and nothing else.
 *
 *     IDLE --a batch is due--> SENDING --taken, or refused--> IDLE
 *                                 +--failed--> PAUSING --pause over--> SENDING
 *                                 +--failed for the last time--> IDLE
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "telemetry/otlp/export_ring.h"
#include "upstream/attempt.h"
#include "upstream/otlp/exporter_config.h"

enum exporter_state { EXPORTER_IDLE, EXPORTER_SENDING, EXPORTER_PAUSING };

struct exporter_registry;
/* A batch is done with: there is more room. */
typedef void exporter_room_fn(void *ctx);

struct exporter {
    _Atomic uint32_t n_refs;
    struct exporter_registry *registry;
    struct str key; /* identity: one whose configuration is unchanged outlives a reload */
    struct exporter_config config; /* texts in `own` */
    struct arena own;
    struct list_node node;
    /* control only */
    enum exporter_state state;
    struct list batches; /* the first one is on its way, unless IDLE */
    size_t queued_bytes;
    struct arena arena; /* of one try */
    struct http_request request;
    struct attempt attempt;
    struct buf answer;
    struct timer timer; /* the try's end; a pause's */
    uint32_t n_tries;
    bool was_repeated;         /* a pooled connection turned out to be closed: once more at once */
    bool is_failing;           /* said in the log */
    bool is_doomed;            /* nobody had it when this sweep began */
    exporter_room_fn *on_room; /* NULL: nobody waits for it */
    void *room_ctx;
};

/* Counted over all exporters that there were. Control. */
struct exporter_counts {
    uint64_t n_taken;
    uint64_t n_rejected;   /* by a collector that took the others of their export */
    uint64_t n_failed;     /* given up */
    uint64_t n_overflowed; /* no room: in the queue, or a worker's ring */
};

/* `error` NULL: it goes well again. */
typedef void exporter_news_fn(void *ctx, const struct exporter *e, const char *error);
typedef void exporter_flushed_fn(void *ctx);

enum { EXPORTER_RINGS_MAX = 64 };

struct exporter_registry {
    pthread_mutex_t lock; /* of the list */
    struct list exporters;
    struct upstreams *upstreams; /* control's */
    struct export_ring *rings[EXPORTER_RINGS_MAX];
    uint32_t n_rings;
    struct exporter_counts counts[EXPORTER_SIGNALS_];
    struct timer tick;
    struct timer flush_timer;
    struct wake filling; /* posted by a worker whose ring fills */
    struct random random;
    char instance[37]; /* of this process: service.instance.id */
    bool is_flushing;
    bool has_flushed;
    exporter_news_fn *on_news;
    exporter_flushed_fn *on_flushed;
    void *ctx;
};

/* Control. */
void exporter_registry_init(struct exporter_registry *r, struct upstreams *u,
                            exporter_news_fn *on_news, void *ctx);
void exporter_registry_deinit(struct exporter_registry *r);
/* A ring for one more thread, which pushes to it; owned by the registry. Before its thread starts.
 */
struct export_ring *exporter_registry_ring(struct exporter_registry *r);
/* Takes what is in the rings, sends what can be sent, frees exporters that nobody has any more.
 * Again and again by itself while there are exporters. */
void exporter_registry_sweep(struct exporter_registry *r);
/* The gateway ends: what waits is sent without pauses, within LIMIT_EXPORT_FLUSH_S. True: nothing
 * is left; else `on_flushed` is called when that is so. */
bool exporter_registry_flush(struct exporter_registry *r, exporter_flushed_fn *on_flushed);
/* Those of the signal; with what the rings have dropped, which are spans. */
struct exporter_counts exporter_registry_counts(const struct exporter_registry *r,
                                                enum exporter_signal signal);

/* The exporter of that identity with one more reference; compile thread. `config` is copied when
 * new. */
struct exporter *exporter_get(struct exporter_registry *r, struct str key,
                              const struct exporter_config *config);
struct exporter *exporter_ref(struct exporter *e);
/* Any thread; the memory goes at control's next sweep but one, what waits is sent before that. */
void exporter_unref(struct exporter *e);
/* Queues one item, which is `n` spans or points. Control. */
void exporter_add(struct exporter *e, struct str item, uint32_t n);
/* Who has more than the queue may take adds while there is room, and is called when a batch is done
 * with, in a turn of its own. `fn` NULL: nobody is. Control. */
bool exporter_has_room(const struct exporter *e);
void exporter_watch(struct exporter *e, exporter_room_fn *fn, void *ctx);
/* Does anything wait, or is it on its way? Control. */
static inline bool exporter_is_busy(const struct exporter *e)
{
    return e->batches.n_nodes > 0;
}
