/* Exporters: registry, rings and queues; an export itself stands in exporter_send.c. A batch is a
 * whole request but for its end, so that sending copies nothing. */
#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "telemetry/trace_id.h"
#include "upstream/otlp/exporter_internal.h"

enum { EXPORTER_TICK_US = 1000000 };

/* Around the items: of the resource, of the gateway as instrumentation. */
static const struct {
    const char *before_resource;
    const char *before_items;
} exporter_frames[EXPORTER_SIGNALS_] = {
    [EXPORTER_TRACES] = {"{\"resourceSpans\":[{\"resource\":{\"attributes\":",
                         "},\"scopeSpans\":[{\"scope\":{\"name\":\"tollgate\",\"version\":"
                         "\"" TOLLGATE_VERSION "\"},\"spans\":["},
    [EXPORTER_METRICS] = {"{\"resourceMetrics\":[{\"resource\":{\"attributes\":",
                          "},\"scopeMetrics\":[{\"scope\":{\"name\":\"tollgate\",\"version\":"
                          "\"" TOLLGATE_VERSION "\"},\"metrics\":["},
};

/* ---- queues ---- */

struct exporter_counts *exporter_counts(struct exporter *e)
{
    return &e->registry->counts[e->config.signal];
}

void exporter_drop_batch(struct exporter *e)
{
    struct exporter_batch *b = CONTAINER_OF(e->batches.first, struct exporter_batch, node);

    list_remove(&b->node);
    e->queued_bytes -= b->text.len;
    buf_deinit(&b->text);
    mem_free(b);
}

/* The last one, unless it is full or on its way; NULL: none. */
static struct exporter_batch *exporter_open_batch(const struct exporter *e, size_t len, uint32_t n)
{
    struct exporter_batch *b =
        e->batches.last ? CONTAINER_OF(e->batches.last, struct exporter_batch, node) : NULL;

    if (!b || (e->state != EXPORTER_IDLE && e->batches.n_nodes == 1) ||
        b->n_items + n > LIMIT_EXPORT_BATCH_ITEMS ||
        b->text.len + len + 1 > LIMIT_EXPORT_BATCH_BYTES)
        return NULL;
    return b;
}

static struct exporter_batch *exporter_new_batch(struct exporter *e)
{
    struct exporter_batch *b = MEM_NEW(struct exporter_batch);

    buf_append_str(&b->text, str_of(exporter_frames[e->config.signal].before_resource));
    buf_append_str(&b->text, e->config.resource);
    buf_append_str(&b->text, str_of(exporter_frames[e->config.signal].before_items));
    list_append(&e->batches, &b->node);
    e->queued_bytes += b->text.len;
    return b;
}

void exporter_add(struct exporter *e, struct str item, uint32_t n)
{
    struct exporter_batch *b = exporter_open_batch(e, item.len, n);
    size_t before;

    if (e->queued_bytes + item.len > LIMIT_EXPORT_QUEUE_BYTES) {
        exporter_counts(e)->n_overflowed += n;
        return;
    }
    if (!b)
        b = exporter_new_batch(e);
    before = b->text.len;
    if (b->n_items > 0)
        buf_append_char(&b->text, ',');
    buf_append_str(&b->text, item);
    b->n_items += n;
    e->queued_bytes += b->text.len - before;
}

/* Half of it, so that others who add to it have some too. */
bool exporter_has_room(const struct exporter *e)
{
    return e->queued_bytes + LIMIT_EXPORT_ITEM_BYTES <= LIMIT_EXPORT_QUEUE_BYTES / 2;
}

void exporter_watch(struct exporter *e, exporter_room_fn *fn, void *ctx)
{
    e->on_room = fn;
    e->room_ctx = ctx;
}

static void registry_empty_rings(struct exporter_registry *r)
{
    for (uint32_t i = 0; i < r->n_rings; i++) {
        void *target;
        struct str item;

        while (export_ring_peek(r->rings[i], &target, &item)) {
            exporter_add(target, item, 1);
            export_ring_advance(r->rings[i]);
        }
    }
}

/* ---- registry ---- */

static void exporter_free(struct exporter *e)
{
    exporter_stop(e);
    while (e->batches.first)
        exporter_drop_batch(e);
    cluster_unref(e->config.cluster);
    mem_free((void *)(uintptr_t)e->key.ptr);
    arena_deinit(&e->arena);
    arena_deinit(&e->own);
    buf_deinit(&e->answer);
    mem_free(e);
}

static void registry_on_tick(struct timer *t)
{
    exporter_registry_sweep(CONTAINER_OF(t, struct exporter_registry, tick));
}

static void registry_on_filling(struct wake *w)
{
    struct exporter_registry *r = CONTAINER_OF(w, struct exporter_registry, filling);

    if (r->upstreams) /* else it was posted before the end, and comes after it */
        exporter_registry_sweep(r);
}

void exporter_registry_init(struct exporter_registry *r, struct upstreams *u,
                            exporter_news_fn *on_news, void *ctx)
{
    *r = (struct exporter_registry){.upstreams = u, .on_news = on_news, .ctx = ctx};
    pthread_mutex_init(&r->lock, NULL);
    random_init(&r->random);
    trace_id_uuid(&r->random, r->instance);
    r->tick.fn = registry_on_tick;
    wake_init(&r->filling, u->loop, registry_on_filling);
}

void exporter_registry_deinit(struct exporter_registry *r)
{
    if (!r->upstreams)
        return;
    timer_cancel(r->upstreams->loop, &r->tick);
    timer_cancel(r->upstreams->loop, &r->flush_timer);
    LIST_FOREACH (&r->exporters, node) {
        list_remove(node);
        exporter_free(CONTAINER_OF(node, struct exporter, node));
    }
    for (uint32_t i = 0; i < r->n_rings; i++)
        export_ring_free(r->rings[i]);
    r->n_rings = 0;
    pthread_mutex_destroy(&r->lock);
    r->upstreams = NULL;
}

struct export_ring *exporter_registry_ring(struct exporter_registry *r)
{
    PRE(r->n_rings < EXPORTER_RINGS_MAX);
    r->rings[r->n_rings] = export_ring_new();
    return r->rings[r->n_rings++];
}

/* Whoever had it may have pushed until then: what it pushed is in a ring that is looked at after
 * this. */
static void registry_find_doomed(struct exporter_registry *r)
{
    LIST_FOREACH (&r->exporters, node) {
        struct exporter *e = CONTAINER_OF(node, struct exporter, node);

        e->is_doomed = atomic_load_explicit(&e->n_refs, memory_order_acquire) == 0;
    }
}

static bool registry_free_doomed(struct exporter *e)
{
    if (!e->is_doomed || exporter_is_busy(e) ||
        atomic_load_explicit(&e->n_refs, memory_order_acquire) > 0)
        return false;
    list_remove(&e->node);
    exporter_free(e);
    return true;
}

void exporter_registry_sweep(struct exporter_registry *r)
{
    struct loop *l = r->upstreams->loop;

    pthread_mutex_lock(&r->lock);
    registry_find_doomed(r);
    registry_empty_rings(r);
    LIST_FOREACH (&r->exporters, node) {
        struct exporter *e = CONTAINER_OF(node, struct exporter, node);

        if (!registry_free_doomed(e))
            exporter_go_on(e);
    }
    if (r->exporters.first)
        timer_set(l, &r->tick, l->now.mono_us + EXPORTER_TICK_US);
    pthread_mutex_unlock(&r->lock);
}

struct exporter_counts exporter_registry_counts(const struct exporter_registry *r,
                                                enum exporter_signal signal)
{
    struct exporter_counts counts = r->counts[signal];

    for (uint32_t i = 0; signal == EXPORTER_TRACES && i < r->n_rings; i++)
        counts.n_overflowed += export_ring_n_dropped(r->rings[i]);
    return counts;
}

/* ---- the gateway's end ---- */

static bool registry_is_busy(struct exporter_registry *r)
{
    bool is_busy = false;

    pthread_mutex_lock(&r->lock);
    LIST_FOREACH (&r->exporters, node)
        is_busy |= exporter_is_busy(CONTAINER_OF(node, struct exporter, node));
    pthread_mutex_unlock(&r->lock);
    return is_busy;
}

static void registry_hurry(struct exporter_registry *r)
{
    pthread_mutex_lock(&r->lock);
    LIST_FOREACH (&r->exporters, node)
        exporter_hurry(CONTAINER_OF(node, struct exporter, node));
    pthread_mutex_unlock(&r->lock);
}

static void registry_end_flush(struct exporter_registry *r)
{
    timer_cancel(r->upstreams->loop, &r->flush_timer);
    r->has_flushed = true;
    r->on_flushed(r->ctx);
}

void exporter_registry_note_end(struct exporter_registry *r)
{
    if (r->is_flushing && !r->has_flushed && !registry_is_busy(r))
        registry_end_flush(r);
}

static void registry_on_flush_timeout(struct timer *t)
{
    registry_end_flush(CONTAINER_OF(t, struct exporter_registry, flush_timer));
}

bool exporter_registry_flush(struct exporter_registry *r, exporter_flushed_fn *on_flushed)
{
    struct loop *l = r->upstreams->loop;

    if (r->is_flushing)
        return r->has_flushed;
    r->is_flushing = true;
    r->on_flushed = on_flushed;
    exporter_registry_sweep(r);
    registry_hurry(r);
    r->has_flushed = !registry_is_busy(r);
    r->flush_timer.fn = registry_on_flush_timeout;
    if (!r->has_flushed)
        timer_set(l, &r->flush_timer, l->now.mono_us + LIMIT_EXPORT_FLUSH_S * 1000000ULL);
    return r->has_flushed;
}

/* ---- users ---- */

static struct exporter *exporter_new(struct exporter_registry *r, struct str key,
                                     const struct exporter_config *config)
{
    struct exporter *e = MEM_NEW(struct exporter);
    struct exporter_header *headers;

    e->registry = r;
    e->key = str_make(mem_dup_text(key.ptr, key.len), key.len);
    arena_init(&e->own, 1024);
    arena_init(&e->arena, 4096);
    e->config = *config;
    e->config.name = arena_str(&e->own, config->name);
    e->config.authority = arena_str(&e->own, config->authority);
    e->config.resource = arena_str(&e->own, config->resource);
    e->config.cluster = cluster_ref(config->cluster);
    headers = ARENA_ARRAY(&e->own, struct exporter_header, config->n_headers + 1);
    for (uint32_t i = 0; i < config->n_headers; i++)
        headers[i] = (struct exporter_header){arena_str(&e->own, config->headers[i].name),
                                              arena_str(&e->own, config->headers[i].value)};
    e->config.headers = headers;
    list_append(&r->exporters, &e->node);
    return e;
}

struct exporter *exporter_get(struct exporter_registry *r, struct str key,
                              const struct exporter_config *config)
{
    struct exporter *found = NULL;

    pthread_mutex_lock(&r->lock);
    LIST_FOREACH (&r->exporters, node) {
        struct exporter *e = CONTAINER_OF(node, struct exporter, node);

        if (str_eq(e->key, key))
            found = e;
    }
    if (!found)
        found = exporter_new(r, key, config);
    atomic_fetch_add_explicit(&found->n_refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&r->lock);
    return found;
}

struct exporter *exporter_ref(struct exporter *e)
{
    atomic_fetch_add_explicit(&e->n_refs, 1, memory_order_relaxed);
    return e;
}

void exporter_unref(struct exporter *e)
{
    if (e)
        atomic_fetch_sub_explicit(&e->n_refs, 1, memory_order_acq_rel);
}
