/* See body_gate.h.
 *
 *   OPEN --an AI request with content--> HOLDING --its end, valid--> WHOLE
 *                                         |   ^ \--model known, bound reached--> STREAMING --end-->
 * OPEN |   +------hold_on (an edit needs all of it)----+
 *                                         +------invalid, too long--------------> FAILED
 *
 * What is held counts towards one bound of the worker, so that many long bodies at once are refused
 * (503) before memory is. */
#include "gateway/ai/body_gate.h"

#include "base/limits.h"
#include "gateway/exchange.h"
#include "gateway/worker.h"
#include "http/grpc/grpc_request.h"
#include "llm/kserve_grpc.h"
#include "llm/multipart.h"
#include "llm/multipart_head.h"
#include "llm/request_scan.h"

enum { GATE_US = 300 * 1000000 };

/* ---- verdicts ---- */

static const enum refusal gate_scan_refusals[] = {
    [REQUEST_NOT_JSON] = REFUSAL_INVALID_JSON,
    [REQUEST_NOT_OBJECT] = REFUSAL_INVALID_TYPE,
    [REQUEST_TOO_DEEP] = REFUSAL_INVALID_JSON,
    [REQUEST_BAD_UTF8] = REFUSAL_INVALID_JSON,
    [REQUEST_DUPLICATE_FIELD] = REFUSAL_DUPLICATE_PARAMETER,
    [REQUEST_ESCAPED_FIELD] = REFUSAL_INVALID_PARAMETER_NAME,
    [REQUEST_MISSING_FIELD] = REFUSAL_MISSING_PARAMETER,
    [REQUEST_WRONG_TYPE] = REFUSAL_INVALID_TYPE,
    [REQUEST_OUT_OF_RANGE] = REFUSAL_INVALID_VALUE,
    [REQUEST_BAD_MODEL] = REFUSAL_INVALID_VALUE,
};

static void gate_fail(struct exchange *x, enum refusal why)
{
    x->gate.state = GATE_FAILED;
    x->gate.refusal = why;
}

/* What the scan says of the JSON so far. */
static void gate_judge_scan(struct exchange *x, int error)
{
    const struct request_scan *s = x->gate.scan;
    struct buf text = {0};

    if (error == 0)
        return;
    gate_fail(x, gate_scan_refusals[error]);
    request_scan_explain(s, &text);
    x->refusal_message = arena_str(exchange_arena(x), buf_str(&text));
    x->refusal_param = arena_str(exchange_arena(x), request_scan_param(s));
    buf_deinit(&text);
}

static void gate_judge_form(struct exchange *x, int condition)
{
    if (condition == 0)
        return;
    gate_fail(x, REFUSAL_INVALID_FORM);
    x->refusal_message = str_of(multipart_condition_sentence(condition));
    x->refusal_param = str_of(multipart_condition_field(condition));
}

static void gate_judge_message(struct exchange *x, int condition)
{
    if (condition == 0)
        return;
    gate_fail(x, condition == KSERVE_GRPC_COMPRESSED  ? REFUSAL_ENCODED_BODY
                 : condition == KSERVE_GRPC_TOO_LARGE ? REFUSAL_BODY_TOO_LARGE
                                                      : REFUSAL_BAD_GRPC_MESSAGE);
    x->refusal_message = str_of(kserve_grpc_sentence(condition));
}

static struct str gate_model(const struct exchange *x)
{
    if (x->gate.message)
        return kserve_grpc_model(x->gate.message);
    if (x->kserve.call != KSERVE_NONE)
        return x->kserve.model;
    return x->gate.form ? multipart_model(x->gate.form) : request_scan_model(x->gate.scan);
}

static bool gate_knows_model(const struct exchange *x)
{
    if (x->gate.message)
        return x->gate.message->has_model;
    if (x->kserve.call != KSERVE_NONE)
        return true;
    return x->gate.form ? multipart_has_model(x->gate.form) : request_scan_has_model(x->gate.scan);
}

/* The body is complete. */
static void gate_end(struct exchange *x)
{
    struct body_gate *g = &x->gate;
    /* Released, and complete before any of it was sent: it is whole after all. */
    bool is_held = !g->message && (g->state == GATE_HOLDING || x->pipe.len == g->n_bytes);

    if (g->message)
        gate_judge_message(x, kserve_grpc_end(g->message));
    else if (g->form)
        gate_judge_form(x, multipart_finish(g->form));
    else
        gate_judge_scan(x, request_scan_end(g->scan));
    /* The backend would take what is not there for JSON, or refuse; nobody knows. */
    if (g->state != GATE_FAILED && g->n_json_bytes != UINT64_MAX && g->n_bytes < g->n_json_bytes)
        gate_fail(x, REFUSAL_BAD_HEADER);
    if (g->state != GATE_FAILED)
        g->state = is_held ? GATE_WHOLE : GATE_OPEN;
    /* Of a long body all rows are known only now. */
    if (x->estimate.n_rows > 0 && g->scan)
        x->estimate.n_rows = (uint64_t)request_scan_n_rows(g->scan);
}

/* ---- beginning ---- */

/* KServe's binary form: that many bytes are JSON, tensors follow (Open Inference Protocol, binary
 * tensor data extension). */
static bool gate_json_bytes(const struct exchange *x, uint64_t *ret_n)
{
    struct str value =
        http_headers_joined(&x->request.headers, STR("inference-header-content-length"));

    *ret_n = UINT64_MAX;
    if (x->endpoint != AI_ENDPOINT_KSERVE_V2_INFER || !value.ptr)
        return true; /* elsewhere the field means nothing, and all of the body is read */
    return str_to_u64(value, ret_n);
}

/* False: there are several, of which the backend might read by another one. */
static bool gate_content_type(const struct exchange *x, struct str *ret_type)
{
    const struct http_headers *h = &x->request.headers;
    unsigned n = 0;

    *ret_type = STR("");
    for (uint16_t i = 0; i < h->n; i++) {
        if (h->items[i].id == HEADER_CONTENT_TYPE) {
            *ret_type = h->items[i].value;
            n++;
        }
    }
    return n <= 1;
}

static bool gate_is_encoded(const struct exchange *x)
{
    struct str encoding = http_headers_joined(&x->request.headers, STR("content-encoding"));

    return encoding.len > 0 && !str_eq_nocase(encoding, STR("identity"));
}

/* `curl -d` calls JSON a form: a server that believed it might read another model in it. */
static void gate_call_json(struct exchange *x, struct str type)
{
    if (str_starts_with_nocase(type, STR("application/x-www-form-urlencoded")))
        http_headers_set(&x->request.headers, header_name(HEADER_CONTENT_TYPE),
                         STR("application/json"));
}

/* REFUSAL_NONE: the reader of such a body is there. */
static enum refusal gate_begin_reader(struct exchange *x, struct str type)
{
    struct body_gate *g = &x->gate;

    if (x->rpc != KSERVE_RPC_NONE) {
        /* A server could read in JSON another model than stands in the same bytes here. */
        if (!grpc_content_type_is_proto(type))
            return REFUSAL_MODEL_NOT_READ;
        g->message = arena_room(&x->arena, sizeof *g->message);
        kserve_grpc_init(g->message);
    } else if (ai_endpoint_row(x->endpoint)->body == AI_BODY_MULTIPART) {
        g->form = ARENA_NEW(&x->arena, struct multipart);
        gate_judge_form(x, multipart_init(g->form, type));
    } else {
        gate_call_json(x, type);
        g->scan = arena_room(&x->arena, sizeof *g->scan);
        request_scan_init(g->scan, x->endpoint);
        if (!gate_json_bytes(x, &g->n_json_bytes))
            return REFUSAL_BAD_HEADER;
    }
    return REFUSAL_NONE;
}

static enum step_result gate_begin(struct exchange *x)
{
    struct body_gate *g = &x->gate;
    enum ai_body body = ai_endpoint_row(x->endpoint)->body;
    enum refusal why;
    struct str type;

    if (x->request.body == HTTP_BODY_LENGTH && x->request.content_length > LIMIT_AI_BODY_BYTES)
        return exchange_refuse(x, REFUSAL_BODY_TOO_LARGE);
    /* What cannot be read cannot be metered or authorized by model. */
    if (gate_is_encoded(x))
        return exchange_refuse(x, REFUSAL_ENCODED_BODY);
    if (!gate_content_type(x, &type))
        return exchange_refuse(x, REFUSAL_BAD_HEADER);
    /* Servers decode JSON by it, and some know UTF-7, in which ASCII stands for quotes. */
    if (body != AI_BODY_MULTIPART && !multipart_head_is_utf8(type))
        return exchange_refuse(x, REFUSAL_ENCODED_BODY);
    why = gate_begin_reader(x, type);
    if (why != REFUSAL_NONE)
        return exchange_refuse(x, why);
    if (g->state == GATE_FAILED)
        return STEP_WAIT;
    g->state = GATE_HOLDING;
    if (x->is_body_complete)
        gate_end(x); /* its end came while another step waited: it has no content */
    return STEP_WAIT;
}

/* Bytes of a form are those of a recording, of which 16 KB (a second at 128 kbit/s) make about ten
 * tokens: 400 times as many as of text. */
enum { FORM_BYTES_PER_TEXT_BYTE = 400 };

static uint64_t gate_text_bytes(const struct body_gate *g, uint64_t n_bytes)
{
    return g->form ? n_bytes / FORM_BYTES_PER_TEXT_BYTE : n_bytes;
}

uint64_t body_gate_text_bytes(const struct body_gate *g)
{
    return gate_text_bytes(g, g->n_bytes);
}

/* Of a list of rows that says its length and still comes: the rest has as many to its bytes as what
 * came, unless all are known. Cannot overflow: both factors are at most LIMIT_AI_BODY_BYTES. */
static uint64_t gate_rows_ahead(const struct exchange *x)
{
    const struct body_gate *g = &x->gate;

    if (g->state != GATE_STREAMING || request_scan_has_all_rows(g->scan) ||
        x->request.body != HTTP_BODY_LENGTH || g->n_bytes == 0)
        return 0;
    return x->estimate.n_rows * (x->request.content_length - g->n_bytes) / g->n_bytes;
}

/* What is to be expected, for reservations. */
static void gate_estimate(struct exchange *x)
{
    const struct body_gate *g = &x->gate;
    int64_t max_output = g->scan ? request_scan_max_tokens(g->scan) : -1;
    bool is_rows = x->kserve.call == KSERVE_V1_PREDICT || x->kserve.call == KSERVE_V1_EXPLAIN ||
                   x->kserve.call == KSERVE_V2_INFER;

    x->estimate.is_set = true;
    x->estimate.prompt_bytes = gate_text_bytes(
        g, x->request.body == HTTP_BODY_LENGTH ? x->request.content_length : g->n_bytes);
    /* Each of `n` answers may be as long. */
    if (max_output > 0)
        x->estimate.max_output = (uint64_t)max_output * (uint64_t)request_scan_n_answers(g->scan);
    if (!is_rows || !g->scan)
        return;
    x->estimate.n_rows = (uint64_t)request_scan_n_rows(g->scan);
    x->estimate.n_rows_ahead = gate_rows_ahead(x);
}

/* No rule is known yet whose timeout could hold: a body that comes byte by byte ends here. */
static void gate_on_time(struct timer *t)
{
    exchange_cancel(CONTAINER_OF(t, struct exchange, try_timer), CANCEL_BODY_TIMEOUT);
}

static void gate_arm(struct exchange *x)
{
    struct loop *l = &x->worker->loop;
    uint64_t due_us = l->now.mono_us + GATE_US;

    if (x->has_grpc_timeout)
        due_us = MIN(due_us, x->started_us + x->grpc_timeout_us);
    x->try_timer.fn = gate_on_time;
    timer_set(l, &x->try_timer, due_us);
}

enum step_result body_gate_run(struct exchange *x)
{
    struct body_gate *g = &x->gate;

    if (g->state == GATE_OPEN && x->rpc == KSERVE_RPC_NONE &&
        ai_endpoint_row(x->endpoint)->body == AI_BODY_NONE) {
        x->model = x->kserve.model;
        return STEP_NEXT;
    }
    if (g->state == GATE_OPEN && !g->message) {
        enum step_result begun = gate_begin(x);

        if (begun == STEP_LAST)
            return begun;
    }
    if (g->state == GATE_FAILED) {
        /* For the record. No rule will see it. */
        x->model = arena_str(&x->arena, gate_model(x));
        return exchange_refuse(x, (enum refusal)g->refusal);
    }
    if (g->state == GATE_HOLDING) {
        if (x->request.expects_continue && x->downstream) {
            x->downstream->ops->send_continue(x->downstream);
            x->request.expects_continue = false;
        }
        x->wait = WAIT_BODY;
        gate_arm(x);
        exchange_allow_body(x);
        return STEP_WAIT;
    }
    timer_cancel(&x->worker->loop, &x->try_timer);
    x->model = arena_str(&x->arena, gate_model(x));
    if (!g->message)
        gate_estimate(x);
    return STEP_NEXT;
}

enum step_result body_gate_hold_on(struct exchange *x)
{
    struct body_gate *g = &x->gate;

    if (g->state == GATE_FAILED)
        return exchange_refuse(x, (enum refusal)g->refusal);
    if (x->request.body == HTTP_BODY_LENGTH && x->request.content_length > LIMIT_EDITED_BODY_BYTES)
        return exchange_refuse(x, REFUSAL_BODY_TOO_LARGE);
    g->wants_whole = true;
    g->state = GATE_HOLDING;
    x->wait = WAIT_BODY;
    gate_arm(x); /* the attempt's time takes its place */
    exchange_allow_body(x);
    return STEP_WAIT;
}

/* ---- content ---- */

static void gate_feed(struct exchange *x, struct str span)
{
    struct body_gate *g = &x->gate;
    struct str json = span;

    if (g->message) {
        gate_judge_message(x, kserve_grpc_feed(g->message, span));
        return;
    }
    if (g->form) {
        gate_judge_form(x, multipart_feed(g->form, span));
        return;
    }
    if (g->n_bytes >= g->n_json_bytes)
        return; /* tensors */
    if (g->n_json_bytes - g->n_bytes < span.len)
        json.len = (size_t)(g->n_json_bytes - g->n_bytes);
    gate_judge_scan(x, request_scan_feed(g->scan, json));
}

/* Rows that came, which are first those that were expected. */
static void gate_top_up_rows(struct exchange *x)
{
    struct limit_estimate *e = &x->estimate;
    uint64_t n = (uint64_t)request_scan_n_rows(x->gate.scan);
    uint64_t n_new = n > e->n_rows ? n - e->n_rows : 0;
    uint64_t n_expected = MIN(n_new, e->n_rows_ahead);

    e->n_rows += n_new;
    e->n_rows_ahead -= n_expected;
    if (n_new > n_expected && x->limits.is_held && !limit_top_up_rows(x, n_new - n_expected))
        gate_fail(x, REFUSAL_RATE_LIMITED);
}

/* Content beyond what the estimate was made from: of a chunked body, which does not say its length.
 * Whether it is held or passes, it counts as it comes, so that a budget is not overrun by a request
 * that looked small. */
static void gate_top_up(struct exchange *x, size_t n_came)
{
    const struct body_gate *g = &x->gate;
    uint64_t n = gate_text_bytes(g, g->n_bytes) - gate_text_bytes(g, g->n_bytes - n_came);

    if (x->estimate.n_rows > 0) {
        gate_top_up_rows(x);
        return;
    }
    if (!x->estimate.is_set || x->request.body == HTTP_BODY_LENGTH)
        return;
    x->estimate.prompt_bytes += n;
    /* Before `limit` has run it reads the estimate. */
    if (x->limits.is_held && !limit_top_up(x, n))
        gate_fail(x, REFUSAL_RATE_LIMITED);
}

/* Whatever waits for the body learns what became of it. */
static void gate_tell(struct exchange *x)
{
    if (x->wait & WAIT_BODY) {
        exchange_resume(x);
    } else if (x->gate.state == GATE_FAILED) {
        x->refusal = (enum refusal)x->gate.refusal;
        exchange_cancel(x, CANCEL_BAD_BODY);
    }
}

/* The part that is held is enough to decide by, and more would be too much to hold. */
static bool gate_may_release(const struct exchange *x)
{
    return !x->gate.wants_whole && x->pipe.len > x->listener->client.held_bytes &&
           gate_knows_model(x);
}

/* What is held because its model is still unknown, or because an edit needs all of it, is bounded
 * lower than what passes. */
static uint64_t gate_bound(const struct body_gate *g)
{
    if (g->state != GATE_HOLDING)
        return LIMIT_AI_BODY_BYTES;
    return g->wants_whole ? LIMIT_EDITED_BODY_BYTES : LIMIT_HELD_BODY_BYTES;
}

bool body_gate_on_body(struct exchange *x, struct str span)
{
    struct body_gate *g = &x->gate;

    if (g->state != GATE_HOLDING && g->state != GATE_STREAMING)
        return g->state != GATE_FAILED;
    gate_feed(x, span);
    g->n_bytes += span.len;
    if (g->state != GATE_FAILED && g->n_bytes > gate_bound(g))
        gate_fail(x, REFUSAL_BODY_TOO_LARGE);
    if (g->state == GATE_HOLDING &&
        !held_share_take(&x->worker->held_bodies, LIMIT_HELD_BYTES, span.len, &g->n_counted))
        gate_fail(x, REFUSAL_OVERLOADED);
    if (g->state != GATE_FAILED)
        gate_top_up(x, span.len);
    if (g->state == GATE_FAILED) {
        gate_tell(x);
        return false;
    }
    return true;
}

void body_gate_after_body(struct exchange *x)
{
    if (x->gate.state == GATE_HOLDING && gate_may_release(x)) {
        x->gate.state = GATE_STREAMING;
        gate_tell(x);
    }
}

void body_gate_on_end(struct exchange *x)
{
    if (x->gate.state != GATE_HOLDING && x->gate.state != GATE_STREAMING)
        return;
    gate_end(x);
    gate_tell(x);
}

bool body_gate_wants_more(const struct exchange *x)
{
    return x->gate.state == GATE_HOLDING;
}

void body_gate_uncount(struct exchange *x)
{
    held_share_give_back(&x->worker->held_bodies, &x->gate.n_counted);
}

void body_gate_release(struct exchange *x)
{
    body_gate_uncount(x);
    if (x->gate.state == GATE_WHOLE) {
        buf_deinit(&x->pipe);
        buf_deinit(&x->edited);
    }
}
