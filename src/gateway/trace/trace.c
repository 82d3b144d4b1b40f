/* Spans are written as the collector gets them, by the worker, and handed to control, which sends
 * them; what does not fit into the worker's ring is dropped and counted there. */
#include "gateway/trace/trace.h"

#include <stdio.h>

#include "gateway/account/record.h"
#include "gateway/ai/ai_answer.h"
#include "gateway/exchange.h"
#include "gateway/server.h"
#include "gateway/worker.h"
#include "llm/gen_ai.h"
#include "telemetry/log_format.h"
#include "telemetry/log_redact.h"
#include "telemetry/otlp/otlp_attribute.h"
#include "telemetry/otlp/otlp_span.h"
#include "telemetry/trace/trace_state.h"

enum { PATH_ROOM_BYTES = 2048, CODE_ROOM_BYTES = 8 };

static const struct str tracestate_name = {"tracestate", 10};

/* ---- the beginning ---- */

/* Two lines of it are none. */
static bool trace_read_parent(struct exchange *x, struct trace_parent *ret)
{
    const struct http_headers *h = &x->request.headers;

    return http_headers_find_id(h, HEADER_TRACEPARENT) &&
           trace_parent_parse(http_headers_joined(h, header_name(HEADER_TRACEPARENT)), ret);
}

/* A caller that records its trace, or asks for it, does not decide here: it has its share. One that
 * says that it does not record is believed (samplingRate is of those "without a prior decision").
 */
static uint64_t trace_threshold(const struct exchange *x, const struct trace_plan *plan,
                                const struct trace_parent *parent)
{
    if (plan->hears_client_id && http_headers_find(&x->request.headers, STR("x-client-trace-id")))
        return plan->asked_threshold;
    if (!parent)
        return plan->usual_threshold;
    return parent->is_sampled ? plan->asked_threshold : 0;
}

static bool trace_is_drawn(struct exchange *x, uint64_t threshold)
{
    return threshold == TRACE_ALWAYS ||
           (threshold > 0 && random_u64(&x->worker->random) < threshold);
}

static struct str trace_text(struct arena *a, const struct trace_parent *p)
{
    char *text = arena_bytes(a, TRACE_PARENT_BYTES);

    trace_parent_format(p, text);
    return str_make(text, TRACE_PARENT_BYTES);
}

/* What was said in another trace is not said in a new one (3.3.1.5, 4.3). */
static void trace_pass_state(struct exchange *x, struct trace *t, bool has_parent)
{
    struct http_headers *h = &x->request.headers;
    struct str given = http_headers_joined(h, tracestate_name);

    if (!given.ptr)
        return;
    if (has_parent)
        t->state = trace_state_sound(given, &x->arena);
    if (t->state.len > 0)
        http_headers_set(h, tracestate_name, t->state);
    else
        http_headers_remove(h, tracestate_name);
}

void trace_begin(struct exchange *x)
{
    const struct trace_plan *plan = x->listener->trace;
    struct trace_parent parent;
    bool has_parent = trace_read_parent(x, &parent);
    struct trace *t;

    if (!trace_is_drawn(x, trace_threshold(x, plan, has_parent ? &parent : NULL)))
        return;
    t = ARENA_NEW(&x->arena, struct trace);
    t->plan = plan;
    trace_parent_begin(&x->worker->random, &t->self);
    if (has_parent) {
        memcpy(t->self.trace_id, parent.trace_id, sizeof parent.trace_id);
        t->parent_id = parent.span_id;
    }
    trace_pass_state(x, t, has_parent);
    http_headers_set(&x->request.headers, header_name(HEADER_TRACEPARENT),
                     trace_text(&x->arena, &t->self));
    x->trace = t;
}

void trace_begin_attempt(struct exchange *x, struct http_request *request)
{
    struct trace *t = x->trace;
    struct trace_parent span = t->self;

    t->attempt_id = span.span_id = trace_parent_new_id(&x->worker->random);
    t->n_attempts++;
    request->headers = http_headers_copy(&request->headers, &x->arena);
    http_headers_set(&request->headers, header_name(HEADER_TRACEPARENT),
                     trace_text(&x->arena, &span));
}

/* ---- what spans say ---- */

static void trace_add_text(struct buf *out, const char *key, struct str value)
{
    otlp_attribute_text(out, str_of(key), value);
}

static void trace_add_number(struct buf *out, const char *key, int64_t value)
{
    otlp_attribute_number(out, str_of(key), value);
}

/* "host:port", "[address]:port" or "host". */
static void trace_add_address(struct buf *out, const char *address_key, const char *port_key,
                              struct str text)
{
    bool is_bracketed = text.len > 0 && text.ptr[0] == '[';
    ssize_t bracket = is_bracketed ? str_find_char(text, ']', 0) : -1;
    ssize_t colon = str_find_char(text, ':', bracket > 0 ? (size_t)bracket : 0);
    size_t end = bracket > 0 ? (size_t)bracket : colon >= 0 ? (size_t)colon : text.len;
    uint64_t port;

    trace_add_text(out, address_key, str_slice(text, is_bracketed, end));
    if (colon >= 0 && str_to_u64(str_slice(text, (size_t)colon + 1, text.len), &port) &&
        port <= UINT16_MAX)
        trace_add_number(out, port_key, (int64_t)port);
}

/* A method that is none of those known is an outsider's word: not a name of spans. */
static struct str trace_method(const struct exchange *x)
{
    return x->request.method == HTTP_METHOD_OTHER ? STR("_OTHER")
                                                  : http_method_text(x->request.method);
}

static struct str trace_code(uint16_t status, char room[CODE_ROOM_BYTES])
{
    int n = snprintf(room, CODE_ROOM_BYTES, "%u", status);

    return str_make(room, (size_t)n);
}

static void trace_add_tokens(struct buf *out, const char *key, int64_t n)
{
    if (n != LOG_TOKENS_UNKNOWN)
        trace_add_number(out, key, n);
}

/* What was asked of whom. */
static void trace_add_ai_request(struct buf *out, const struct access_record *r)
{
    if (r->operation.len == 0)
        return;
    trace_add_text(out, "gen_ai.operation.name", r->operation);
    trace_add_text(out, "gen_ai.provider.name", r->provider);
    trace_add_text(out, "gen_ai.request.model", r->model);
}

/* What became of it, where a model has answered. */
static void trace_add_ai_answer(struct buf *out, const struct access_record *r)
{
    if (r->operation.len == 0)
        return;
    trace_add_text(out, "gen_ai.response.model", r->model_served);
    trace_add_tokens(out, "gen_ai.usage.input_tokens", r->tokens_in);
    trace_add_tokens(out, "gen_ai.usage.output_tokens", r->tokens_out);
    if (r->tokens_source.len > 0)
        otlp_attribute_flag(out, STR("tollgate.usage.is_estimated"),
                            !str_eq(r->tokens_source, STR("provider")));
    if (r->first_token_us != LOG_TOKENS_UNKNOWN)
        trace_add_number(out, "tollgate.first_token_us", r->first_token_us);
}

/* The format's text without its line feed; "-" is what formats say of what is absent. */
static struct str trace_format(struct worker *w, const struct log_format *f,
                               const struct access_record *r)
{
    struct str text;

    buf_clear(&w->log_line);
    log_format_line(f, r, &w->log_line);
    text = buf_str(&w->log_line);
    if (text.len > 0 && text.ptr[text.len - 1] == '\n')
        text.len--;
    return str_eq(text, STR("-")) ? STR("") : text;
}

static struct str trace_tag_value(struct worker *w, const struct trace_tag *tag,
                                  const struct access_record *r)
{
    struct str value;

    if (tag->format)
        return trace_format(w, tag->format, r);
    if (tag->header.len == 0)
        return tag->value;
    if (log_redact_is_secret_name(tag->header))
        return STR("redacted");
    value = r->request_header(r->context, tag->header);
    if (!value.ptr)
        return tag->value;
    return log_redact_has_token(value) ? STR("redacted") : value;
}

static void trace_add_tags(struct exchange *x, const struct access_record *r, struct buf *out)
{
    const struct trace_plan *plan = x->trace->plan;

    for (uint32_t i = 0; i < plan->n_tags; i++)
        otlp_attribute_text(out, plan->tags[i].key, trace_tag_value(x->worker, &plan->tags[i], r));
}

static void trace_push(struct exchange *x, struct buf *span)
{
    struct worker *w = x->worker;

    export_ring_push(w->exports, x->trace->plan->exporter, buf_str(span));
    if (UNLIKELY(export_ring_is_filling(w->exports)))
        wake_post(&w->server->exporters.filling);
}

/* ---- an attempt ---- */

/* error.type; empty: it went well. */
static struct str trace_attempt_error(const struct exchange *x, const struct access_record *r,
                                      char room[CODE_ROOM_BYTES])
{
    bool is_answered = x->failure == ATTEMPT_ERROR_ANSWER && r->upstream_status >= 400;

    if (r->upstream_error.len > 0 && !is_answered)
        return r->upstream_error;
    if (x->cancel == CANCEL_REQUEST_TIMEOUT || x->cancel == CANCEL_IDLE_TIMEOUT)
        return STR("timeout");
    if (x->cancel != CANCEL_NONE)
        return STR("cancelled");
    if (r->upstream_status >= 400)
        return trace_code(r->upstream_status, room);
    return x->is_answer_broken ? STR("aborted") : STR("");
}

/* The conventions': of a call to a model what it does and with which one, unless a client may have
 * invented that; else the method. */
static struct str trace_attempt_name(struct exchange *x, const struct access_record *r)
{
    if (x->trace->plan->client_name)
        return trace_format(x->worker, x->trace->plan->client_name, r);
    if (r->operation.len == 0)
        return trace_method(x);
    if (r->model.len == 0 || (!r->is_model_named && r->upstream_status / 100 != 2))
        return r->operation;
    return arena_printf(&x->tail, "%.*s %.*s", STR_ARG(r->operation), STR_ARG(r->model));
}

static void trace_write_attempt(struct exchange *x, const struct access_record *r, bool is_last)
{
    struct trace *t = x->trace;
    struct trace_parent id = t->self;
    struct buf *out = &x->worker->span;
    char room[CODE_ROOM_BYTES];
    struct str error = trace_attempt_error(x, r, room);
    struct otlp_span span = {
        .id = &id,
        .parent_id = t->self.span_id,
        .state = t->state,
        .name = trace_attempt_name(x, r),
        .kind = OTLP_SPAN_CLIENT,
        .start_unix_us = x->started_wall_us + (int64_t)(x->upstream_us - x->started_us),
        .duration_us = x->worker->loop.now.mono_us - x->upstream_us,
    };

    id.span_id = t->attempt_id;
    buf_clear(out);
    otlp_span_open(out, &span);
    trace_add_text(out, "http.request.method", trace_method(x));
    if (t->n_attempts > 1)
        trace_add_number(out, "http.request.resend_count", t->n_attempts - 1);
    trace_add_address(out, "server.address", "server.port", r->upstream_host);
    trace_add_text(out, "tollgate.backend", r->upstream_cluster);
    if (r->upstream_status)
        trace_add_number(out, "http.response.status_code", r->upstream_status);
    trace_add_text(out, "error.type", error);
    trace_add_ai_request(out, r);
    if (is_last)
        trace_add_ai_answer(out, r);
    trace_add_tags(x, r, out);
    otlp_span_close(out, error.len > 0);
    trace_push(x, out);
    t->attempt_id = 0;
}

void trace_end_attempt(struct exchange *x)
{
    struct access_record r;

    if (x->trace->attempt_id == 0)
        return;
    record_fill(x, &r);
    record_add_request(x, &r);
    trace_write_attempt(x, &r, false);
}

/* ---- the request ---- */

static struct str trace_name(struct exchange *x, const struct access_record *r)
{
    struct str method = trace_method(x);

    if (x->trace->plan->server_name)
        return trace_format(x->worker, x->trace->plan->server_name, r);
    if (str_eq(method, STR("_OTHER")))
        method = STR("HTTP");
    if (r->route_name.len == 0)
        return method;
    return arena_printf(&x->tail, "%.*s %.*s", STR_ARG(method), STR_ARG(r->route_name));
}

/* A client's mistake is none of the server's (conventions for HTTP, "Status"). */
static struct str trace_error(const struct exchange *x, const struct access_record *r,
                              char room[CODE_ROOM_BYTES])
{
    if (x->cancel == CANCEL_CLIENT_LEFT)
        return STR("client_disconnected");
    if (r->status >= 500 || r->status == 0 || x->is_answer_broken)
        return r->refusal.len > 0 ? r->refusal : trace_code(r->status, room);
    return STR("");
}

static void trace_add_http(struct exchange *x, const struct access_record *r, struct buf *out)
{
    char *room = arena_bytes(&x->tail, PATH_ROOM_BYTES);
    struct str protocol = r->protocol;

    trace_add_text(out, "http.request.method", trace_method(x));
    if (x->request.method == HTTP_METHOD_OTHER)
        trace_add_text(out, "http.request.method_original", r->method);
    trace_add_text(out, "http.route", r->route_name);
    trace_add_text(out, "url.scheme", x->request.scheme);
    trace_add_text(out, "url.path", log_redact_target(r->path, room, PATH_ROOM_BYTES));
    trace_add_address(out, "server.address", "server.port", r->authority);
    trace_add_text(out, "client.address", r->remote_ip);
    trace_add_address(out, "network.peer.address", "network.peer.port", r->remote);
    if (str_starts_with(protocol, STR("HTTP/")))
        trace_add_text(out, "network.protocol.version", str_slice(protocol, 5, protocol.len));
    if (!log_redact_has_token(r->user_agent))
        trace_add_text(out, "user_agent.original", r->user_agent);
    if (r->status)
        trace_add_number(out, "http.response.status_code", r->status);
    if (r->has_grpc_status)
        trace_add_number(out, "rpc.grpc.status_code", r->grpc_status);
}

static void trace_write_request(struct exchange *x, const struct access_record *r)
{
    struct trace *t = x->trace;
    struct buf *out = &x->worker->span;
    char room[CODE_ROOM_BYTES];
    struct str error = trace_error(x, r, room);
    struct otlp_span span = {
        .id = &t->self,
        .parent_id = t->parent_id,
        .has_remote_parent = true,
        .state = t->state,
        .name = trace_name(x, r),
        .kind = OTLP_SPAN_SERVER,
        .start_unix_us = r->start_wall_us,
        .duration_us = r->duration_us,
    };

    buf_clear(out);
    otlp_span_open(out, &span);
    trace_add_http(x, r, out);
    trace_add_text(out, "error.type", error);
    trace_add_text(out, "tollgate.listener", r->listener_name);
    trace_add_text(out, "tollgate.backend", r->upstream_cluster);
    trace_add_text(out, "tollgate.refusal", r->refusal);
    trace_add_text(out, "tollgate.tenant", r->tenant);
    trace_add_text(out, "tollgate.request_id", r->request_id);
    trace_add_ai_request(out, r);
    trace_add_ai_answer(out, r);
    trace_add_tags(x, r, out);
    otlp_span_close(out, error.len > 0);
    trace_push(x, out);
}

void trace_end(struct exchange *x, struct access_record *record)
{
    record_add_request(x, record);
    if (x->trace->attempt_id)
        trace_write_attempt(x, record, true);
    trace_write_request(x, record);
}
