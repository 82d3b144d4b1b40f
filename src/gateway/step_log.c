/* log: one access record whatever the end, and from it metrics and log lines; refusals are noted
 * for who watches. Lets go of everything that outlives the exchange's arena: the snapshot or, of a
 * pinned exchange, its listener and route. */
#include "gateway/account/log_match.h"
#include "gateway/account/record.h"
#include "gateway/account/refusal_ring.h"
#include "gateway/answer.h"
#include "gateway/exchange.h"
#include "gateway/snapshot.h"
#include "gateway/trace/trace.h"
#include "gateway/worker.h"
#include "telemetry/log_format.h"
#include "telemetry/log_redact.h"

/* Whose log it is. A request that was refused before its host told the listener goes where those of
 * the port's first listener go: a flood of broken heads must not pass unseen. */
static const struct listener_plan *log_listener(const struct exchange *x)
{
    const struct port_plan *port;

    if (x->listener)
        return x->listener;
    port = x->port ? worker_port_plan(x->worker, x->port) : NULL;
    return port ? port->listeners[0] : NULL;
}

static void log_write_lines(struct exchange *x, struct access_record *record)
{
    const struct listener_plan *l = log_listener(x);
    struct worker *w = x->worker;

    if (!l || l->n_logs == 0)
        return;
    record_add_request(x, record);
    for (uint32_t i = 0; i < l->n_logs; i++) {
        const struct access_log_plan *log = &l->logs[i];

        if (log->n_matches > 0 && !log_match_any(log->matches, log->n_matches, record, &x->tail))
            continue;
        buf_clear(&w->log_line);
        log_format_line(log->format, record, &w->log_line);
        log_ring_push(w->log, log->sink, buf_str(&w->log_line));
    }
}

/* What clients write and whoever watches sees. */
static struct str log_shown(struct str text)
{
    return log_redact_has_token(text) ? STR("redacted") : text;
}

static void log_note_refusal(struct exchange *x, const struct access_record *record)
{
    struct refusal_note note;

    if (LIKELY(x->refusal == REFUSAL_NONE))
        return;
    note.port = x->downstream ? x->downstream->port : 0;
    note.is_tls = x->tls_version != NULL;
    note.host = x->request.host;
    note.client = x->peer_ip;
    note.wall_us = record->start_wall_us;
    note.refusal = x->refusal;
    note.status = record->status;
    note.method = x->request.method_text;
    note.path = log_shown(x->request.path);
    note.listener = record->listener_name;
    note.route = record->route_name;
    note.tenant = record->tenant;
    note.model = log_shown(record->model);
    note.detail = x->refusal_detail;
    note.message = answer_refusal_text(x);
    refusal_ring_note(x->worker->refusals, &note);
}

static void log_release(struct exchange *x)
{
    if (x->hold)
        worker_unhold(x->worker, x->hold);
    x->hold = NULL;
    if (x->is_pinned) {
        route_plan_unref(x->rule->route);
        listener_plan_unref(x->listener);
    }
    x->is_pinned = false;
    x->rule = NULL;
    x->listener = NULL;
}

enum step_result step_log(struct exchange *x)
{
    struct access_record record;

    arena_unseal(&x->arena);
    if (LIKELY(!x->rehearsal)) {
        record_fill(x, &record);
        worker_count_exchange(x, &record);
        log_write_lines(x, &record);
        log_note_refusal(x, &record);
        if (UNLIKELY(x->trace))
            trace_end(x, &record);
    }
    log_release(x);
    return STEP_NEXT;
}
