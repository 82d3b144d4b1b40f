/* One export: a POST of the first batch, with its answer read as far as it says something, and
 * tried again where OTLP says so. exporter_end_try is the one place where a try ends. */
#include <stdio.h>

#include "base/assert.h"
#include "base/limits.h"
#include "policy/retry/back_off.h"
#include "upstream/otlp/export_answer.h"
#include "upstream/otlp/exporter_internal.h"

static const struct back_off exporter_back_off = {1000000, LIMIT_EXPORT_PAUSE_S * 1000000ULL};
static const struct str exporter_paths[EXPORTER_SIGNALS_] = {
    [EXPORTER_TRACES] = {"/v1/traces", 10},
    [EXPORTER_METRICS] = {"/v1/metrics", 11},
};
/* Of the array of items, and of what stands around it. */
static const struct str exporter_tail = {"]}]}]}", 6};

static const struct attempt_events exporter_events;
static void exporter_try(struct exporter *e);

static struct exporter_batch *exporter_first(const struct exporter *e)
{
    return CONTAINER_OF(e->batches.first, struct exporter_batch, node);
}

static struct loop *exporter_loop(const struct exporter *e)
{
    return e->registry->upstreams->loop;
}

static void exporter_tell(struct exporter *e, const char *error)
{
    bool was_failing = e->is_failing;

    e->is_failing = error != NULL;
    if (e->is_failing != was_failing)
        e->registry->on_news(e->registry->ctx, e, error);
}

static void exporter_on_pause_end(struct timer *t)
{
    exporter_try(CONTAINER_OF(t, struct exporter, timer));
}

static void exporter_pause(struct exporter *e, uint64_t pause_us)
{
    struct loop *l = exporter_loop(e);
    uint64_t bound_us = back_off_bound(&exporter_back_off, e->n_tries - 1);

    if (pause_us == 0)
        pause_us = back_off_draw(bound_us / 2, bound_us, random_u64(&e->registry->random));
    e->state = EXPORTER_PAUSING;
    e->timer.fn = exporter_on_pause_end;
    timer_set(l, &e->timer, l->now.mono_us + pause_us);
}

static void exporter_on_next(struct timer *t)
{
    struct exporter *e = CONTAINER_OF(t, struct exporter, timer);

    if (e->on_room)
        e->on_room(e->room_ctx);
    exporter_go_on(e);
    exporter_registry_note_end(e->registry);
}

/* The batch is done with, one way or the other. What is next begins with a turn of its own: its
 * attempt is the one whose callback this is. */
static void exporter_settle(struct exporter *e)
{
    struct loop *l = exporter_loop(e);

    e->state = EXPORTER_IDLE;
    e->n_tries = 0;
    exporter_drop_batch(e);
    e->timer.fn = exporter_on_next;
    timer_set(l, &e->timer, l->now.mono_us);
}

/* A flush has no time for pauses, and each collector one more try. So has one that no configuration
 * names any more: else its queue would stay, and with each reload another's. */
static bool exporter_may_try_again(const struct exporter *e)
{
    return !e->registry->is_flushing && e->n_tries < LIMIT_EXPORT_TRIES &&
           atomic_load_explicit(&e->n_refs, memory_order_acquire) > 0;
}

static void exporter_end_try(struct exporter *e, enum export_outcome outcome, const char *error,
                             uint64_t pause_us)
{
    uint32_t n = exporter_first(e)->n_items;
    struct exporter_counts *counts = exporter_counts(e);

    timer_cancel(exporter_loop(e), &e->timer);
    exporter_tell(e, error);
    if (outcome == EXPORT_AGAIN && exporter_may_try_again(e)) {
        exporter_pause(e, pause_us);
        return;
    }
    if (outcome == EXPORT_TAKEN) {
        uint64_t n_rejected = MIN(export_n_rejected(buf_str(&e->answer)), (uint64_t)n);

        counts->n_rejected += n_rejected;
        counts->n_taken += n - n_rejected;
    } else {
        counts->n_failed += n;
    }
    exporter_settle(e);
}

/* ---- a try ---- */

static struct exporter *exporter_of(struct attempt *a)
{
    return CONTAINER_OF(a, struct exporter, attempt);
}

static void exporter_format(struct exporter *e)
{
    const struct exporter_config *config = &e->config;
    struct http_request *q = &e->request;

    arena_reset(&e->arena);
    *q = (struct http_request){.method = HTTP_METHOD_POST,
                               .method_text = STR("POST"),
                               .scheme = config->cluster->tls ? STR("https") : STR("http"),
                               .authority = config->authority,
                               .path = exporter_paths[config->signal],
                               .body = HTTP_BODY_LENGTH,
                               .content_length = exporter_first(e)->text.len,
                               .minor_version = 1,
                               .is_keep_alive = true};
    http_headers_init(&q->headers, &e->arena);
    http_headers_add_id(&q->headers, HEADER_CONTENT_TYPE, STR("application/json"));
    http_headers_add_id(&q->headers, HEADER_USER_AGENT, STR("tollgate"));
    for (uint32_t i = 0; i < config->n_headers; i++)
        http_headers_set(&q->headers, config->headers[i].name, config->headers[i].value);
}

static void exporter_send(struct exporter *e)
{
    attempt_send(&e->attempt, buf_str(&exporter_first(e)->text));
    attempt_send_end(&e->attempt, NULL);
    attempt_flush(&e->attempt);
}

static void exporter_on_timeout(struct timer *t)
{
    struct exporter *e = CONTAINER_OF(t, struct exporter, timer);

    attempt_cancel(&e->attempt);
    exporter_end_try(e, EXPORT_AGAIN, "no answer in time", 0);
}

static void exporter_start(struct exporter *e)
{
    int r = attempt_start(&e->attempt, e->config.cluster, &e->request, e->config.connect_us);

    if (r != 0)
        exporter_end_try(e, EXPORT_AGAIN, attempt_failure_rows[r].text, 0);
    else if (e->attempt.state == ATTEMPT_STREAMING)
        exporter_send(e);
}

static void exporter_try(struct exporter *e)
{
    struct loop *l = exporter_loop(e);

    e->state = EXPORTER_SENDING;
    e->n_tries++;
    e->was_repeated = false;
    e->timer.fn = exporter_on_timeout;
    timer_set(l, &e->timer, l->now.mono_us + e->config.timeout_us);
    exporter_format(e);
    buf_clear(&e->answer);
    attempt_init(&e->attempt, e->registry->upstreams, &exporter_events, &e->arena);
    e->attempt.limits = e->config.has_limits ? &e->config.limits : NULL;
    e->attempt.idle_us = e->config.idle_us;
    exporter_start(e);
}

void exporter_go_on(struct exporter *e)
{
    struct exporter_batch *b = e->batches.first ? exporter_first(e) : NULL;

    if (!b || e->state != EXPORTER_IDLE)
        return;
    buf_append_str(&b->text, exporter_tail);
    e->queued_bytes += exporter_tail.len;
    exporter_try(e);
}

void exporter_hurry(struct exporter *e)
{
    if (e->state != EXPORTER_PAUSING)
        return;
    timer_cancel(exporter_loop(e), &e->timer);
    exporter_try(e);
}

void exporter_stop(struct exporter *e)
{
    timer_cancel(exporter_loop(e), &e->timer);
    if (e->state == EXPORTER_SENDING)
        attempt_cancel(&e->attempt);
    e->state = EXPORTER_IDLE;
}

/* ---- what the attempt tells ---- */

static void exporter_on_ready(struct attempt *a)
{
    exporter_send(exporter_of(a));
}

static void exporter_on_nothing(struct attempt *a UNUSED)
{
}

static void exporter_on_answer(struct exporter *e)
{
    const struct attempt *a = &e->attempt;
    struct str after = http_headers_value(&a->response.headers, STR("retry-after"));
    enum export_outcome outcome = export_outcome_of_status(a->response.status);
    char error[32];

    snprintf(error, sizeof error, "status %u", a->response.status);
    exporter_end_try(e, outcome, outcome == EXPORT_TAKEN ? NULL : error,
                     outcome == EXPORT_AGAIN ? export_pause_us(after) : 0);
}

/* What a collector that says no writes is nobody's to read. */
static void exporter_on_head(struct attempt *a)
{
    if (a->response.status / 100 == 2)
        return;
    attempt_cancel(a);
    exporter_on_answer(exporter_of(a));
}

static void exporter_on_data(struct attempt *a, struct str span)
{
    struct exporter *e = exporter_of(a);

    if (e->answer.len + span.len > LIMIT_EXPORT_ANSWER_BYTES) {
        attempt_cancel(a);
        buf_clear(&e->answer);
        exporter_on_answer(e);
        return;
    }
    buf_append(&e->answer, span.ptr, span.len);
}

static void exporter_on_end(struct attempt *a)
{
    exporter_on_answer(exporter_of(a));
}

/* A head that says yes has been believed, whatever becomes of the rest. */
static void exporter_on_fail(struct attempt *a, enum attempt_failure why)
{
    struct exporter *e = exporter_of(a);

    if (a->has_head && a->response.status / 100 == 2) {
        buf_clear(&e->answer);
        exporter_on_answer(e);
    } else if ((why == ATTEMPT_REFUSED || (why == ATTEMPT_RESET && a->was_reused)) &&
               !e->was_repeated) {
        e->was_repeated = true;
        a->is_fresh_wanted = true;
        exporter_start(e);
    } else {
        exporter_end_try(e, EXPORT_AGAIN, attempt_failure_rows[why].text, 0);
    }
}

static const struct attempt_events exporter_events = {
    .on_ready = exporter_on_ready,
    .on_writable = exporter_on_nothing,
    .on_head = exporter_on_head,
    .on_data = exporter_on_data,
    .on_end = exporter_on_end,
    .on_batch_end = exporter_on_nothing,
    .on_fail = exporter_on_fail,
};
