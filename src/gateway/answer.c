/* The gateway's own answers. Refusal bodies are JSON with a stable code; they say nothing that the
 * table of refusals does not say, so that no answer can leak what a caller may not know. */
#include "gateway/answer.h"

#include "base/limits.h"
#include "gateway/worker.h"
#include "llm/translate/error_shape.h"

static void answer_begin(struct exchange *x, uint16_t status)
{
    x->response =
        (struct http_response){.status = status, .minor_version = 1, .is_keep_alive = true};
    http_headers_init(&x->response.headers, &x->arena);
}

static void answer_set_body(struct exchange *x, struct str type, struct str body)
{
    /* Whatever a policy writes: it would be read as the next answer (RFC 9110 15.3.5, 15.4.5). */
    if (x->response.status == 204 || x->response.status == 304)
        return;
    x->local_body = body;
    x->response.body = HTTP_BODY_LENGTH;
    x->response.content_length = body.len;
    x->response.has_content_length = true;
    if (body.len > 0)
        http_headers_add_id(&x->response.headers, HEADER_CONTENT_TYPE, type);
}

/* In the shape of the API that was called, so that its clients raise the right errors. The path
 * decides, not the endpoint: also a call of a wrong method, or one that is refused before or
 * without AI routes, comes from a client of that API. */
static struct str answer_error_body(struct exchange *x, const struct refusal_row *row,
                                    uint16_t status)
{
    struct error_shape e = {
        .status = status,
        .message = answer_refusal_text(x),
        .param = x->refusal_param,
        .code = str_of(row->code),
    };
    enum ai_dialect dialect =
        x->request.path.len > 0 ? ai_dialect_of_path(x->request.path) : x->head_dialect;
    struct buf text = {0};
    struct str body;

    error_shape_write(&e, dialect, &text);
    buf_append_char(&text, '\n');
    body = arena_str(&x->arena, buf_str(&text));
    buf_deinit(&text);
    return body;
}

/* Which credential is asked for (RFC 9110 11.6.1). Of tokens RFC 6750 section 3: without one no
 * error attribute. API keys have no registered scheme. */
static struct str answer_challenge(enum refusal why)
{
    switch (why) {
    case REFUSAL_BASIC_MISSING:
    case REFUSAL_BASIC_INVALID:
        return STR("Basic realm=\"tollgate\", charset=\"UTF-8\"");
    case REFUSAL_API_KEY_MISSING:
    case REFUSAL_API_KEY_INVALID:
        return STR("ApiKey realm=\"tollgate\"");
    case REFUSAL_TOKEN_MISSING:
    case REFUSAL_EXT_AUTH_FAILED:
        return STR("Bearer realm=\"tollgate\"");
    default:
        return STR("Bearer realm=\"tollgate\", error=\"invalid_token\"");
    }
}

struct str answer_refusal_text(const struct exchange *x)
{
    return x->refusal_message.len ? x->refusal_message : str_of(refusal_row(x->refusal)->text);
}

static uint16_t answer_refusal_status(const struct exchange *x)
{
    return x->refusal_status ? x->refusal_status : refusal_row(x->refusal)->status;
}

uint32_t answer_retry_after_s(const struct exchange *x)
{
    uint16_t status = answer_refusal_status(x);

    return status == 503 || status == 429 ? MAX(x->retry_after_s, 1U) : 0;
}

void answer_refusal(struct exchange *x)
{
    const struct refusal_row *row = refusal_row(x->refusal);
    uint16_t status = answer_refusal_status(x);
    uint32_t retry_after_s = answer_retry_after_s(x);
    struct http_headers *h;

    answer_begin(x, status);
    h = &x->response.headers;
    answer_set_body(x, STR("application/json"), answer_error_body(x, row, status));
    if (status == 401)
        http_headers_add_id(h, HEADER_WWW_AUTHENTICATE, answer_challenge(x->refusal));
    if (retry_after_s > 0)
        http_headers_add_id(h, HEADER_RETRY_AFTER, arena_u64(&x->arena, retry_after_s));
    if (row->status == 405)
        http_headers_add(h, STR("allow"), STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    x->is_local = true;
}

static struct str answer_grpc_message(struct arena *a, struct str text)
{
    struct buf value = {0};
    struct str message;

    grpc_message_format(&value, str_slice(text, 0, LIMIT_GRPC_MESSAGE_BYTES));
    message = arena_str(a, buf_str(&value));
    buf_deinit(&value);
    return message;
}

static void answer_write_grpc(struct arena *a, struct http_headers *h, enum grpc_status status,
                              struct str text)
{
    http_headers_set(h, STR("grpc-status"), arena_u64(a, (uint64_t)status));
    if (text.len > 0)
        http_headers_set(h, STR("grpc-message"), answer_grpc_message(a, text));
}

static enum grpc_status answer_grpc_status(const struct exchange *x)
{
    if (x->refusal == REFUSAL_NONE)
        return grpc_status_of_http(x->untold_status);
    if (x->refusal == REFUSAL_FAULT && x->rule->fault->abort_grpc_status >= 0)
        return (enum grpc_status)x->rule->fault->abort_grpc_status;
    return refusal_grpc_status(x->refusal, x->untold_status);
}

void answer_as_grpc(struct exchange *x)
{
    struct http_response *r = &x->response;
    bool is_refusal = x->refusal != REFUSAL_NONE;
    /* What is not the gateway's own word (an authorizer's no, a direct response) is told as it is.
     */
    bool is_relayed = !is_refusal || x->refusal == REFUSAL_EXT_AUTH_DENIED;
    struct str text = is_relayed && x->local_body.len ? x->local_body
                      : is_refusal                    ? answer_refusal_text(x)
                                                      : STR("");

    x->untold_status = r->status;
    r->status = 200;
    r->reason = STR("");
    r->body = HTTP_BODY_NONE;
    r->content_length = 0;
    r->has_content_length = !x->request.is_http2; /* where the end of the head says it */
    http_headers_set(&r->headers, header_name(HEADER_CONTENT_TYPE), STR("application/grpc"));
    answer_write_grpc(&x->arena, &r->headers, answer_grpc_status(x), text);
    x->local_body = STR("");
}

void answer_grpc_trailers(struct exchange *x)
{
    const struct refusal_row *row = refusal_row(x->refusal);

    http_headers_init(&x->response_trailers, &x->tail);
    answer_write_grpc(&x->tail, &x->response_trailers, refusal_grpc_status(x->refusal, row->status),
                      answer_refusal_text(x));
}

enum step_result answer_preflight(struct exchange *x, const struct cors *cors)
{
    answer_begin(x, 204);
    if (!cors_write_preflight(cors, &x->request, &x->response.headers)) {
        x->response.status = 403;
        answer_set_body(x, STR(""), STR("")); /* its length, which 204 must not carry */
    }
    return exchange_answer(x);
}

enum step_result answer_redirect(struct exchange *x, const struct redirect *redirect)
{
    uint16_t port = x->downstream ? x->downstream->port : 0;
    struct str location;

    if (redirect_location(redirect, &x->request, x->n_matched, port, &x->arena, &location) != 0)
        return exchange_refuse(x, REFUSAL_REWRITE);
    answer_begin(x, redirect->status);
    http_headers_add_id(&x->response.headers, HEADER_LOCATION, location);
    answer_set_body(x, STR(""), STR(""));
    return exchange_answer(x);
}

enum step_result answer_text(struct exchange *x, uint16_t status, struct str type, struct str body)
{
    answer_begin(x, status);
    answer_set_body(x, type, body);
    return exchange_answer(x);
}

enum step_result answer_direct(struct exchange *x, const struct direct_plan *direct,
                               uint16_t status)
{
    struct str type = direct->type.len ? direct->type : STR("text/plain");
    enum step_result result = answer_text(x, status, type, direct->body);

    if (direct->mods)
        header_mods_apply(direct->mods, &x->response.headers);
    return result;
}
