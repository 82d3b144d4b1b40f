/* See ai_request.h. What is made here lives until the next attempt or the end of the exchange:
 * heads in its arena, an edited body in x->edited. Where bytes are not held (a body longer than the
 * gate holds), only the model's name can still be replaced, and only where it has been seen. */
#include "gateway/ai/ai_request.h"

#include "gateway/ai/ai_answer.h"
#include "gateway/cost.h"
#include "gateway/worker.h"
#include "llm/multipart.h"
#include "llm/request_scan.h"

/* Credentials of any provider. Where the gateway presents its own none of a client's may stand
 * beside it. Those that are meant for the gateway itself have left already (gateway/layer). */
static const struct str ai_credential_headers[] = {
    {"authorization", 13}, {"x-api-key", 9}, {"api-key", 7}, {"x-goog-api-key", 14}};

static bool ai_request_is_translated(const struct exchange *x, const struct backend_plan *b)
{
    return b->ai && translate_verdict(x->endpoint, b->ai->target.schema) == TRANSLATE_BODIES;
}

/* Is it a stream that tells usage only when asked (OpenAI API reference, stream_options), and was
 * not? */
static bool ai_request_is_silent_stream(const struct exchange *x)
{
    const struct request_scan *s = x->gate.scan;

    return s &&
           (x->endpoint == AI_ENDPOINT_CHAT_COMPLETIONS ||
            x->endpoint == AI_ENDPOINT_COMPLETIONS) &&
           request_scan_is_stream(s) && !request_scan_has_include_usage(s) &&
           exchange_costs(x)->n > 0;
}

bool ai_request_asks_for_usage(const struct exchange *x)
{
    return x->gate.state == GATE_WHOLE && ai_request_is_silent_stream(x);
}

/* Asking is worth waiting for a body of a known and moderate length; of others usage is estimated.
 */
static bool ai_request_waits_to_ask(const struct exchange *x)
{
    return x->request.body == HTTP_BODY_LENGTH &&
           x->request.content_length <= LIMIT_EDITED_BODY_BYTES && ai_request_is_silent_stream(x);
}

static bool ai_request_is_named(const struct exchange *x, const struct backend_plan *b)
{
    return b->ai && b->ai->model.len > 0 && x->kserve.call == KSERVE_NONE;
}

/* Does what this backend gets need the whole body at once? The model's name alone can be replaced
 * in a beginning of JSON. */
static bool ai_request_wants_whole(const struct exchange *x, const struct backend_plan *b)
{
    return ai_request_is_translated(x, b) || (ai_request_is_named(x, b) && x->gate.form) ||
           (b->ai && b->ai->n_set + b->ai->n_remove > 0);
}

bool ai_request_needs_hold(const struct exchange *x)
{
    /* Of every backend: whichever answers, perhaps after others failed, gets what is its own. */
    for (uint32_t i = 0; x->gate.state == GATE_STREAMING && i < x->rule->n_backends; i++) {
        if (ai_request_wants_whole(x, &x->rule->backends[i]))
            return true;
    }
    return x->gate.state == GATE_STREAMING && ai_request_waits_to_ask(x);
}

/* ---- the body ---- */

static enum refusal ai_request_translate(struct exchange *x, const struct backend_plan *b)
{
    struct translate_fault fault = {0};
    int r = translate_request(&x->answer->translate, buf_str(&x->pipe), b->ai->model, &x->arena,
                              &x->edited, &fault);

    if (r == 0)
        return REFUSAL_NONE;
    x->refusal_message = fault.sentence;
    x->refusal_param = fault.param;
    return REFUSAL_UNTRANSLATABLE;
}

static enum refusal ai_request_edit_form(struct exchange *x, const struct ai_backend_plan *ai)
{
    struct str edited;

    if (ai->model.len == 0)
        return REFUSAL_NONE;
    if (multipart_replace_model(x->gate.form, buf_str(&x->pipe), ai->model, &x->arena, &edited) !=
        0)
        return REFUSAL_ROUTE_BROKEN;
    buf_append_str(&x->edited, edited);
    return REFUSAL_NONE;
}

/* Edits of JSON; the body stays as it is where there is none. */
static void ai_request_edit(struct exchange *x, const struct ai_backend_plan *ai)
{
    struct body_edit edit = {.asks_usage = ai_request_asks_for_usage(x)};
    bool is_named = ai && ai->model.len > 0 && x->kserve.call == KSERVE_NONE;

    if (is_named)
        edit.model = ai->model;
    if (ai) {
        edit.set = ai->set;
        edit.n_set = ai->n_set;
        edit.remove = ai->remove;
        edit.n_remove = ai->n_remove;
    }
    if (is_named || edit.asks_usage || edit.n_set + edit.n_remove > 0)
        body_edit_apply(&edit, x->gate.scan, buf_str(&x->pipe), &x->edited);
}

/* A body that goes on while it still comes: its length may change with the model's name. */
static enum refusal ai_request_prepare_stream(struct exchange *x, const struct backend_plan *b,
                                              struct http_request *r)
{
    r->body = HTTP_BODY_CHUNKED;
    if (ai_request_is_named(x, b) &&
        body_edit_model_prefix(x->gate.scan, buf_str(&x->pipe), b->ai->model, &x->edited) != 0)
        return REFUSAL_INTERNAL;
    return REFUSAL_NONE;
}

static enum refusal ai_request_prepare_body(struct exchange *x, const struct backend_plan *b,
                                            struct http_request *r)
{
    enum refusal why = REFUSAL_NONE;

    buf_deinit(&x->edited);
    if (x->gate.state != GATE_WHOLE) {
        /* ai_request_needs_hold has seen to it; were it wrong, nothing may pass unchanged. */
        if (x->gate.state != GATE_OPEN && ai_request_wants_whole(x, b))
            return REFUSAL_INTERNAL;
        return x->gate.state == GATE_STREAMING ? ai_request_prepare_stream(x, b, r) : REFUSAL_NONE;
    }
    if (ai_request_is_translated(x, b))
        why = ai_request_translate(x, b);
    else if (x->gate.form && b->ai)
        why = ai_request_edit_form(x, b->ai);
    else if (x->gate.scan && x->gate.n_json_bytes == UINT64_MAX)
        ai_request_edit(x, b->ai);
    else if (b->ai && b->ai->n_set + b->ai->n_remove > 0)
        why = REFUSAL_UNTRANSLATABLE; /* changes of a body that is not JSON alone */
    x->sent_body = x->edited.len > 0 ? buf_str(&x->edited) : buf_str(&x->pipe);
    r->body = HTTP_BODY_LENGTH;
    r->content_length = x->sent_body.len;
    return why;
}

/* ---- the head ---- */

static void ai_request_present(const struct ai_backend_plan *ai, struct http_headers *h)
{
    for (size_t i = 0; ai->credential.header.len > 0 && i < N_ELEMENTS(ai_credential_headers); i++)
        http_headers_remove(h, ai_credential_headers[i]);
    if (ai->service_mods)
        header_mods_apply(ai->service_mods, h);
    if (ai->route_mods)
        header_mods_apply(ai->route_mods, h);
    if (ai->credential.header.len > 0)
        http_headers_set(h, ai->credential.header, ai->credential.value);
}

static void ai_request_speak(const struct exchange *x, const struct ai_backend_plan *ai,
                             struct http_headers *h)
{
    struct translate_headers spoken = {0};

    translate_headers(x->endpoint, &ai->target, &spoken);
    for (size_t i = 0; i < spoken.n_removes; i++)
        http_headers_remove(h, spoken.removes[i]);
    if (spoken.set_name.len > 0)
        http_headers_set(h, spoken.set_name, spoken.set_value);
}

/* A KServe model is named by the path. */
static enum refusal ai_request_kserve_path(struct exchange *x, struct str model, struct str *path)
{
    return kserve_replace_model(x->request.path, &x->kserve, model, &x->arena, path) == 0
               ? REFUSAL_NONE
               : REFUSAL_ROUTE_BROKEN;
}

static enum refusal ai_request_address(struct exchange *x, const struct ai_backend_plan *ai,
                                       struct http_request *r)
{
    struct str model = ai->model.len > 0 ? ai->model : x->model;
    enum translate_verdict verdict = translate_verdict(x->endpoint, ai->target.schema);
    struct str path = STR("");
    ssize_t mark;

    if (verdict == TRANSLATE_NOT_YET || verdict == TRANSLATE_NEVER) {
        x->refusal_message = translate_verdict_sentence(verdict);
        return REFUSAL_UNSUPPORTED_ENDPOINT;
    }
    if (translate_path(x->endpoint, &ai->target, model, &x->arena, &path) != 0)
        return REFUSAL_ROUTE_BROKEN;
    if (path.len == 0) {
        return x->kserve.call != KSERVE_NONE && ai->model.len > 0
                   ? ai_request_kserve_path(x, ai->model, &r->path)
                   : REFUSAL_NONE;
    }
    mark = str_find_char(path, '?', 0);
    if (mark < 0) {
        r->path = path;
    } else {
        r->path = str_slice(path, 0, (size_t)mark);
        r->query = str_slice(path, (size_t)mark + 1, path.len);
    }
    return REFUSAL_NONE;
}

enum refusal ai_request_prepare(struct exchange *x, const struct backend_plan *b,
                                struct http_request *r)
{
    const struct ai_backend_plan *ai = b->ai;
    enum refusal why = REFUSAL_NONE;

    if (ai) {
        why = ai_request_address(x, ai, r);
        if (why != REFUSAL_NONE)
            return why;
        r->headers = http_headers_copy(&r->headers, &x->arena);
        ai_request_present(ai, &r->headers);
        ai_request_speak(x, ai, &r->headers);
        if (b->host.len > 0)
            r->authority = b->host;
    }
    ai_answer_begin(x, b);
    /* What is to be changed on its way back must be readable. */
    if (x->answer && x->answer->is_changed) {
        if (!ai)
            r->headers = http_headers_copy(&r->headers, &x->arena);
        http_headers_remove(&r->headers, STR("accept-encoding"));
    }
    return ai_request_prepare_body(x, b, r);
}
