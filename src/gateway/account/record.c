/* The record of an exchange that has ended: what happened, in words that outlive its machinery. */
#include "gateway/account/record.h"

#include <errno.h>

#include "gateway/ai/ai_answer.h"
#include "gateway/exchange.h"
#include "gateway/traffic/retry.h"
#include "gateway/worker.h"
#include "llm/gen_ai.h"
#include "net/tls.h"

static struct str record_request_header(const void *ctx, struct str name)
{
    const struct exchange *x = ctx;

    /* Names by which some policy finds credentials, however they are called. */
    if (x->listener && name_set_has(&x->listener->credential_names, name))
        return STR("redacted");
    return http_headers_joined(&x->request.headers, name);
}

static struct str record_response_header(const void *ctx, struct str name)
{
    const struct exchange *x = ctx;

    return http_headers_joined(&x->response.headers, name);
}

static const char *record_flag(const struct exchange *x)
{
    if (x->cancel == CANCEL_CLIENT_LEFT)
        return "DC";
    if (x->refusal != REFUSAL_NONE)
        return refusal_row(x->refusal)->flag;
    return "-";
}

/* Of an answer (or failure) that would have been tried again: why it was not (Envoy,
 * UpstreamRetryLimitExceeded and UpstreamOverflow). */
static const char *record_retry_flag(const struct exchange *x)
{
    static const char *const flags[] = {
        [RETRY_DENIED_NONE] = NULL,
        [RETRY_DENIED_EXHAUSTED] = "URX",
        [RETRY_DENIED_UNREPLAYABLE] = NULL,
        [RETRY_DENIED_OVERFLOW] = "UO",
    };

    if (!x->retry || x->cancel == CANCEL_CLIENT_LEFT)
        return NULL;
    return x->rule->retry->n_retries > 0 ? flags[x->retry->denial] : NULL;
}

static struct str record_flags(struct exchange *x)
{
    const char *flags[] = {record_flag(x), record_retry_flag(x),
                           x->fault == FAULT_NONE ? NULL : "DI"};
    struct str joined = str_of(flags[0]);

    for (size_t i = 1; i < N_ELEMENTS(flags); i++) {
        if (!flags[i])
            continue;
        joined = joined.ptr[0] == '-'
                     ? str_of(flags[i])
                     : arena_printf(&x->tail, "%.*s,%s", STR_ARG(joined), flags[i]);
    }
    return joined;
}

static const char *record_details(const struct exchange *x)
{
    if (x->cancel == CANCEL_CLIENT_LEFT)
        return "downstream_remote_disconnect";
    if (x->refusal != REFUSAL_NONE)
        return refusal_row(x->refusal)->code;
    return x->is_local ? "direct_response" : "via_upstream";
}

static struct str record_response_trailer(const void *ctx, struct str name)
{
    const struct exchange *x = ctx;

    return http_headers_joined(&x->response_trailers, name);
}

/* Why the last connection to an endpoint failed; empty when it did not, or when what came over it
 * was to blame. */
static struct str record_transport_failure(const struct exchange *x)
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

/* An AIServiceBackend says who is behind it; else the API that the caller speaks does. */
static struct str record_provider(const struct exchange *x)
{
    if (x->backend && x->backend->ai)
        return gen_ai_provider(x->backend->ai->target.schema);
    return gen_ai_provider_of_dialect(ai_endpoint_row(x->endpoint)->dialect);
}

static int64_t record_tokens(bool is_known, int64_t n)
{
    return is_known ? n : LOG_TOKENS_UNKNOWN;
}

/* The record of what was used: of every AI request that reached a backend. */
static void record_fill_usage(struct exchange *x, struct access_record *r)
{
    const struct usage *u = &x->usage;
    const struct ai_answer *a = x->answer;
    bool is_known = x->has_usage;
    struct access_cost *costs;

    /* What is known of the input may be its cached part alone. */
    r->tokens_in = record_tokens(is_known && (u->has_input || u->input > 0), u->input);
    r->tokens_cached = record_tokens(is_known && u->has_cached_input, u->cached_input);
    r->tokens_out = record_tokens(is_known && u->has_output, u->output);
    r->tokens_reasoning = record_tokens(is_known && u->has_reasoning, u->reasoning);
    r->tokens_total = record_tokens(is_known && u->has_total, u->total);
    r->first_token_us = LOG_TOKENS_UNKNOWN;
    r->first_token_us = LOG_TOKENS_UNKNOWN;
    if (is_known)
        r->tokens_source = u->is_estimated ? STR("estimated") : STR("provider");
    if (a && a->first_content_us)
        r->first_token_us = (int64_t)(a->first_content_us - x->started_us);
    if (a && a->has_scan) {
        r->model_served = str_make(a->scan.facts.model, a->scan.facts.model_len);
        r->is_stream = a->scan.kind == ANSWER_EVENTS;
    }
    if (x->is_ai) {
        r->operation = gen_ai_operation(x->endpoint);
        r->provider = record_provider(x);
    }
    if (x->backend && x->backend->ai) {
        r->ai_service = x->backend->ai->name;
        r->model_override = x->backend->ai->model;
    }
    if (x->costs.n == 0)
        return;
    costs = ARENA_ARRAY(&x->tail, struct access_cost, x->costs.n);
    for (size_t i = 0; i < x->costs.n; i++)
        costs[i] = (struct access_cost){x->costs.items[i].key, x->costs.items[i].value};
    r->costs = costs;
    r->n_costs = x->costs.n;
}

void record_fill_attempt(const struct exchange *x, struct access_record *r)
{
    r->has_upstream = x->first_byte_us > 0;
    r->upstream_us = x->first_byte_us > 0 ? x->first_byte_us - x->upstream_us : 0;
    r->n_attempts = x->n_attempts;
    if (!x->backend)
        return;
    r->upstream_cluster = x->backend->name;
    r->upstream_status = r->has_upstream ? x->attempt.response.status : 0;
    if (x->failure != ATTEMPT_OK)
        r->upstream_error = str_of(attempt_failure_rows[x->failure].word);
}

/* Trailers say it, or a head that is trailers too; where neither does, callers read the status of
 * HTTP. */
static int record_grpc_status(const struct exchange *x)
{
    static const struct str name = {"grpc-status", 11};
    const struct http_header *told = http_headers_find(&x->response_trailers, name);

    if (!told)
        told = http_headers_find(&x->response.headers, name);
    if (!told)
        return grpc_status_of_http(x->response.status);
    return grpc_status_parse(told->value);
}

static void record_fill_grpc(const struct exchange *x, struct access_record *r)
{
    int status;

    if (!x->is_grpc || !x->is_head_sent || x->cancel == CANCEL_CLIENT_LEFT)
        return;
    status = record_grpc_status(x);
    if (status < 0)
        status = GRPC_STATUS_UNKNOWN; /* as callers take a status that is no number */
    r->has_grpc_status = true;
    r->grpc_status = (uint32_t)status;
    r->grpc_camel = grpc_status_camel(status);
    r->grpc_snake = grpc_status_snake(status);
}

/* What the answer is worth, in HTTP: a refusal told to gRPC travels as 200. */
static uint16_t record_status(const struct exchange *x)
{
    if (!x->is_head_sent)
        return 0;
    return x->untold_status ? x->untold_status : x->response.status;
}

void record_fill(struct exchange *x, struct access_record *r)
{
    *r = (struct access_record){
        .start_wall_us = x->started_wall_us,
        .duration_us = x->worker->loop.now.mono_us - x->started_us,
        .status = record_status(x),
        .details = str_of(record_details(x)),
        .bytes_received = x->bytes_received,
        .bytes_sent = x->bytes_sent,
        .listener_name = x->listener ? x->listener->name : STR_NULL,
        .route_name = x->rule ? x->rule->log_name : STR_NULL,
        .tenant = x->tenant,
        .model = x->model,
        .is_model_named = x->is_model_named,
        .subject = x->subject,
    };
    if (x->refusal != REFUSAL_NONE)
        r->refusal = str_of(refusal_row(x->refusal)->code);
    record_fill_grpc(x, r);
    record_fill_attempt(x, r);
    record_fill_usage(x, r);
}

static struct str record_header(const struct exchange *x, enum header_id id)
{
    const struct http_header *header = http_headers_find_id(&x->request.headers, id);

    return header ? header->value : STR_NULL;
}

/* As Envoy counts: names and values, those of the request line too. */
static uint64_t record_headers_bytes(const void *ctx, enum access_headers which)
{
    const struct exchange *x = ctx;
    const struct http_headers *h = which == ACCESS_REQUEST_HEADERS    ? &x->request.headers
                                   : which == ACCESS_RESPONSE_HEADERS ? &x->response.headers
                                                                      : &x->response_trailers;
    uint64_t n = 0;

    for (uint16_t i = 0; i < h->n; i++)
        n += h->items[i].name.len + h->items[i].value.len;
    if (which == ACCESS_RESPONSE_HEADERS)
        n += x->is_head_sent ? strlen(":status200") : 0;
    if (which == ACCESS_REQUEST_HEADERS && x->request.method_text.len > 0)
        n += strlen(":method:path:authority:scheme") + x->request.method_text.len +
             x->original_path.len + x->request.authority.len +
             strlen(x->tls_version ? "https" : "http");
    return n;
}

static const struct str *record_keep_names(const struct str *names, size_t n, struct arena *a)
{
    struct str *kept = ARENA_ARRAY(a, struct str, n + 1);

    for (size_t i = 0; i < n; i++)
        kept[i] = arena_str(a, names[i]);
    return kept;
}

struct access_peer record_peer(const struct tls_peer *peer)
{
    return (struct access_peer){
        .subject = peer->subject,
        .hash = peer->hash,
        .certificate = peer->certificate,
        .uris = peer->uris,
        .dns_names = peer->dns_names,
        .local_uris = peer->local_uris,
        .n_uris = peer->n_uris,
        .n_dns_names = peer->n_dns_names,
        .n_local_uris = peer->n_local_uris,
    };
}

const struct access_peer *record_keep_peer(const struct tls_peer *peer, struct arena *a)
{
    struct access_peer *kept = ARENA_NEW(a, struct access_peer);

    *kept = record_peer(peer);
    kept->subject = arena_str(a, kept->subject);
    kept->hash = arena_str(a, kept->hash);
    kept->certificate = arena_str(a, kept->certificate);
    kept->uris = record_keep_names(kept->uris, kept->n_uris, a);
    kept->dns_names = record_keep_names(kept->dns_names, kept->n_dns_names, a);
    kept->local_uris = record_keep_names(kept->local_uris, kept->n_local_uris, a);
    return kept;
}

/* Of the last attempt, what concerns one. */
static void record_fill_points(const struct exchange *x, struct access_record *r)
{
    const uint64_t points_us[ACCESS_POINT_COUNT_] = {
        [ACCESS_DS_RX_BEG] = x->started_us,
        [ACCESS_DS_RX_END] = x->received_us,
        [ACCESS_US_TX_BEG] = x->attempt.connected_us,
        [ACCESS_US_TX_END] = x->attempt.sent_us,
        [ACCESS_US_RX_BEG] = x->first_byte_us,
        [ACCESS_US_RX_END] = x->answered_us,
        [ACCESS_DS_TX_BEG] = x->head_sent_us,
        [ACCESS_DS_TX_END] = x->started_us + r->duration_us,
    };

    for (size_t i = 0; i < ACCESS_POINT_COUNT_; i++)
        r->points_us[i] = points_us[i] > 0 ? points_us[i] - x->started_us : ACCESS_NEVER;
    r->pool_us =
        x->attempt.connected_us > 0 ? x->attempt.connected_us - x->upstream_us : ACCESS_NEVER;
}

static void record_fill_upstream(const struct exchange *x, struct access_record *r)
{
    r->upstream_host = str_of(x->attempt.endpoint_text);
    r->upstream_local = str_of(x->attempt.local_text);
    r->upstream_failure = record_transport_failure(x);
    r->upstream_tls_version = str_of(x->attempt.tls_version);
    r->upstream_tls_cipher = str_of(x->attempt.tls_cipher);
    if (x->attempt.connected_us > 0)
        r->upstream_protocol = x->attempt.is_h2 ? STR("HTTP/2") : STR("HTTP/1.1");
}

void record_add_request(struct exchange *x, struct access_record *r)
{
    r->method = x->request.method_text;
    r->path = x->request.path;
    r->query = x->listener ? layer_redact_query(x, x->request.query) : x->request.query;
    r->original_path = x->listener ? layer_redact_target(x, x->original_path) : x->original_path;
    r->protocol = x->request.is_http2             ? STR("HTTP/2")
                  : x->request.minor_version == 0 ? STR("HTTP/1.0")
                                                  : STR("HTTP/1.1");
    r->flags = record_flags(x);
    record_fill_upstream(x, r);
    record_fill_points(x, r);
    r->tls_version = str_of(x->tls_version);
    r->tls_cipher = str_of(x->tls_cipher);
    r->peer = x->certificate;
    r->connection_id = x->connection_id;
    r->remote = x->peer;
    r->remote_ip = x->client_ip;
    r->local = x->local;
    r->server_name = x->server_name;
    r->authority = x->request.authority;
    r->user_agent = record_header(x, HEADER_USER_AGENT);
    r->forwarded_for = record_header(x, HEADER_X_FORWARDED_FOR);
    r->request_id = record_header(x, HEADER_X_REQUEST_ID);
    r->context = x;
    r->request_header = record_request_header;
    r->response_header = record_response_header;
    r->response_trailer = record_response_trailer;
    r->headers_bytes = record_headers_bytes;
}
