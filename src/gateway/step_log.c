/* log: one access record and one set of metrics, whatever the end. Lets go of everything that
 * outlives the exchange's arena: the snapshot or, of a pinned exchange, its listener and route. */
#include <errno.h>

#include "gateway/ai/ai_answer.h"
#include "gateway/exchange.h"
#include "gateway/snapshot.h"
#include "gateway/worker.h"
#include "telemetry/access_log.h"
#include "telemetry/log_format.h"

static struct str log_request_header(const void *ctx, struct str name)
{
    const struct exchange *x = ctx;

    /* Names by which some policy finds credentials, however they are called. */
    if (x->listener && name_set_has(&x->listener->credential_names, name))
        return STR("redacted");
    return http_headers_joined(&x->request.headers, name);
}

static struct str log_response_header(const void *ctx, struct str name)
{
    const struct exchange *x = ctx;

    return http_headers_joined(&x->response.headers, name);
}

static const char *log_flags(const struct exchange *x)
{
    if (x->cancel == CANCEL_CLIENT_LEFT)
        return "DC";
    if (x->refusal != REFUSAL_NONE)
        return refusal_row(x->refusal)->flag;
    return "-";
}

static const char *log_details(const struct exchange *x)
{
    if (x->cancel == CANCEL_CLIENT_LEFT)
        return "downstream_remote_disconnect";
    if (x->refusal != REFUSAL_NONE)
        return refusal_row(x->refusal)->code;
    return x->is_local ? "direct_response" : "via_upstream";
}

static struct str log_response_trailer(const void *ctx, struct str name)
{
    const struct exchange *x = ctx;

    return http_headers_joined(&x->response_trailers, name);
}

/* Why the last connection to an endpoint failed; empty when it did not, or when what came over it
 * was to blame. */
static struct str log_upstream_failure(const struct exchange *x)
{
    int error = x->attempt.transport_error;
    const char *reason = error > 0 ? strerrordesc_np(error) : NULL;

    if (x->failure == ATTEMPT_OK || x->failure == ATTEMPT_BAD_ANSWER)
        return STR("");
    if (error == EKEYREJECTED)
        reason = "certificate not accepted";
    else if (error == EPROTO)
        reason = "TLS handshake failed";
    return str_of(reason ? reason : attempt_failure_rows[x->failure].text);
}

static int64_t log_tokens(bool is_known, int64_t n)
{
    return is_known ? n : LOG_TOKENS_UNKNOWN;
}

/* The record of what was used: of every AI request that reached a backend. */
static void log_fill_usage(struct exchange *x, struct access_record *r)
{
    const struct usage *u = &x->usage;
    const struct ai_answer *a = x->answer;
    bool is_known = x->has_usage;
    struct access_cost *costs;

    r->tokens_in = log_tokens(is_known && u->has_input, u->input);
    r->tokens_cached = log_tokens(is_known && u->has_cached_input, u->cached_input);
    r->tokens_out = log_tokens(is_known && u->has_output, u->output);
    r->tokens_reasoning = log_tokens(is_known && u->has_reasoning, u->reasoning);
    r->tokens_total = log_tokens(is_known && u->has_total, u->total);
    r->first_token_ms = LOG_TOKENS_UNKNOWN;
    if (is_known)
        r->tokens_source = u->is_estimated ? STR("estimated") : STR("provider");
    if (a && a->first_content_us)
        r->first_token_ms = (int64_t)((a->first_content_us - x->started_us) / 1000);
    if (a && a->has_scan)
        r->model_served = str_make(a->scan.facts.model, a->scan.facts.model_len);
    if (x->backend && x->backend->ai)
        r->ai_service = x->backend->ai->name;
    if (x->costs.n == 0)
        return;
    costs = ARENA_ARRAY(&x->tail, struct access_cost, x->costs.n);
    for (size_t i = 0; i < x->costs.n; i++)
        costs[i] = (struct access_cost){x->costs.items[i].key, x->costs.items[i].value};
    r->costs = costs;
    r->n_costs = x->costs.n;
}

static void log_fill(struct exchange *x, struct access_record *r)
{
    uint64_t now_us = x->worker->loop.now.mono_us;
    const struct http_header *header;

    r->start_wall_us = x->started_wall_us;
    r->method = x->request.method_text;
    r->path = x->request.path;
    r->query = x->listener ? layer_redact_query(x, x->request.query) : x->request.query;
    r->original_path = x->listener ? layer_redact_target(x, x->original_path) : x->original_path;
    r->protocol = x->request.minor_version == 0 ? STR("HTTP/1.0") : STR("HTTP/1.1");
    r->status = x->is_head_sent ? x->response.status : 0;
    r->details = str_of(log_details(x));
    r->flags = str_of(log_flags(x));
    r->bytes_received = x->bytes_received;
    r->bytes_sent = x->bytes_sent;
    r->duration_us = now_us - x->started_us;
    r->has_upstream = x->first_byte_us > 0;
    r->upstream_us = x->first_byte_us > 0 ? x->first_byte_us - x->upstream_us : 0;
    r->upstream_host = str_of(x->attempt.endpoint_text);
    r->upstream_local = str_of(x->attempt.local_text);
    r->upstream_failure = log_upstream_failure(x);
    r->n_attempts = x->n_attempts;
    r->upstream_cluster = x->backend ? x->backend->name : STR_NULL;
    r->route_name = x->rule ? x->rule->log_name : STR_NULL;
    r->remote = x->peer;
    r->remote_ip = x->client_ip;
    r->local = x->local;
    r->server_name = x->server_name;
    r->authority = x->request.authority;
    header = http_headers_find_id(&x->request.headers, HEADER_USER_AGENT);
    r->user_agent = header ? header->value : STR_NULL;
    header = http_headers_find_id(&x->request.headers, HEADER_X_FORWARDED_FOR);
    r->forwarded_for = header ? header->value : STR_NULL;
    header = http_headers_find_id(&x->request.headers, HEADER_X_REQUEST_ID);
    r->request_id = header ? header->value : STR_NULL;
    r->tenant = x->tenant;
    r->model = x->model;
    r->subject = x->subject;
    log_fill_usage(x, r);
    r->context = x;
    r->request_header = log_request_header;
    r->response_header = log_response_header;
    r->response_trailer = log_response_trailer;
}

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

static void log_write_record(struct exchange *x)
{
    const struct listener_plan *l = log_listener(x);
    struct access_record record = {0};
    struct worker *w = x->worker;

    if (!l || l->n_logs == 0)
        return;
    log_fill(x, &record);
    for (uint32_t i = 0; i < l->n_logs; i++) {
        buf_clear(&w->log_line);
        log_format_line(l->logs[i].format, &record, &w->log_line);
        log_ring_push(w->log, l->logs[i].sink, buf_str(&w->log_line));
    }
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
    arena_unseal(&x->arena);
    worker_count_exchange(x);
    log_write_record(x);
    log_release(x);
    return STEP_NEXT;
}
