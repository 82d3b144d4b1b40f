/* See ai_answer.h. The arena is sealed once the head is out: what grows afterwards stands in
 * buffers of a bounded size, which ai_answer_deinit frees. */
#include "gateway/ai/ai_answer.h"

#include "base/limits.h"
#include "gateway/ai/ai_request.h"
#include "gateway/traffic/compress.h"
#include "gateway/traffic/keep_alive.h"
#include "gateway/worker.h"

enum { HOLD_BYTES = 16384, HOLD_US = 2 * 1000000 };

/* ---- beginning ---- */

/* The endpoint whose shape the upstream's answer has. */
static enum ai_endpoint ai_answer_shape(const struct exchange *x, const struct backend_plan *b)
{
    if (!b->ai || translate_verdict(x->endpoint, b->ai->target.schema) != TRANSLATE_BODIES)
        return x->endpoint;
    return b->ai->target.schema == LLM_SCHEMA_ANTHROPIC ? AI_ENDPOINT_MESSAGES
                                                        : AI_ENDPOINT_CHAT_COMPLETIONS;
}

void ai_answer_begin(struct exchange *x, const struct backend_plan *b)
{
    const struct translator *translator = NULL;
    struct ai_answer *a = x->answer;

    if (ai_endpoint_row(x->endpoint)->body == AI_BODY_NONE)
        return;
    if (!a)
        a = arena_room(&x->arena, sizeof *a);
    else
        ai_answer_deinit(x);
    memset(a, 0, offsetof(struct ai_answer, translate));
    x->answer = a;
    if (b->ai)
        translator = translate_find(x->endpoint, b->ai->target.schema);
    if (translator) {
        a->is_translated = true;
        translate_init(&a->translate, translator, (uint64_t)clock_wall_s(x->worker->loop.now));
    }
    a->is_changed = a->is_translated || ai_request_asks_for_usage(x);
}

static void ai_answer_give_back(struct exchange *x)
{
    buf_deinit(&x->answer->held);
    held_share_give_back(&x->worker->held_answers, &x->answer->n_counted);
}

void ai_answer_deinit(struct exchange *x)
{
    struct ai_answer *a = x->answer;

    if (!a)
        return;
    timer_cancel(&x->worker->loop, &a->timer);
    decoder_free(a->decoder);
    a->decoder = NULL;
    if (a->is_translated)
        translate_deinit(&a->translate);
    if (a->is_filtering)
        usage_filter_deinit(&a->filter);
    a->is_translated = a->is_filtering = false;
    ai_answer_give_back(x);
    buf_deinit(&a->out);
}

void ai_answer_drop(struct exchange *x)
{
    if (!x->answer)
        return;
    ai_answer_deinit(x);
    x->answer->state = AI_ANSWER_IDLE;
    x->answer->has_scan = false;
}

/* ---- reading ---- */

static void ai_answer_on_decoded(void *context, struct str span)
{
    struct ai_answer *a = context;

    answer_scan_feed(&a->scan, span);
}

/* The meter sees every byte once, as it came. */
static void ai_answer_meter(struct exchange *x, struct str span)
{
    struct ai_answer *a = x->answer;

    a->n_body_bytes += span.len;
    if (!a->has_scan || a->has_failed_decoding || a->is_filtering)
        return; /* a filter feeds the scan itself */
    if (!a->decoder)
        answer_scan_feed(&a->scan, span);
    else
        a->has_failed_decoding = decoder_feed(a->decoder, span, ai_answer_on_decoded, a) != 0;
}

static void ai_answer_note_content(struct exchange *x)
{
    struct ai_answer *a = x->answer;

    if (a->first_content_us == 0 && a->has_scan && a->scan.facts.has_content)
        a->first_content_us = x->worker->loop.now.mono_us;
}

static struct str ai_answer_header(const struct exchange *x, struct str name)
{
    return http_headers_value(&x->attempt.response.headers, name);
}

/* Is it of this kind, and does its head promise something? */
static bool ai_answer_is_good(const struct exchange *x, enum answer_kind kind)
{
    const struct http_response *r = &x->attempt.response;

    return x->answer->scan.kind == kind && r->status / 100 == 2 && r->body != HTTP_BODY_NONE;
}

static bool ai_answer_is_good_stream(const struct exchange *x)
{
    return ai_answer_is_good(x, ANSWER_EVENTS);
}

static void ai_answer_begin_scan(struct exchange *x)
{
    struct ai_answer *a = x->answer;
    struct str encoding =
        http_headers_joined(&x->attempt.response.headers, STR("content-encoding"));
    enum decoder_coding coding = decoder_coding_parse(encoding);
    enum answer_kind kind = answer_kind_of(ai_answer_header(x, header_name(HEADER_CONTENT_TYPE)));

    answer_scan_init(&a->scan, ai_answer_shape(x, x->backend), kind);
    a->has_scan = true;
    if (coding == DECODER_UNKNOWN)
        a->has_failed_decoding = true;
    else if (coding != DECODER_IDENTITY)
        a->decoder = decoder_new(coding);
    if (!a->is_translated && a->is_changed && coding == DECODER_IDENTITY &&
        ai_answer_is_good_stream(x)) {
        usage_filter_init(&a->filter, &a->scan);
        a->is_filtering = true;
    }
}

/* ---- holding ---- */

static void ai_answer_on_timeout(struct timer *t)
{
    struct ai_answer *a = CONTAINER_OF(t, struct ai_answer, timer);

    a->state = AI_ANSWER_PASSING;
    a->is_overdue = true;
    exchange_resume(a->exchange);
}

/* What is to be translated as a document must be there as a whole: complete answers, errors. */
static bool ai_answer_needs_whole(const struct exchange *x)
{
    return x->answer->is_translated && !ai_answer_is_good_stream(x) &&
           x->attempt.response.body != HTTP_BODY_NONE;
}

static void ai_answer_choose_state(struct exchange *x, bool has_next)
{
    struct ai_answer *a = x->answer;
    struct loop *l = &x->worker->loop;

    a->exchange = x;
    ai_answer_begin_scan(x);
    a->state = AI_ANSWER_PASSING;
    if (ai_answer_needs_whole(x)) {
        a->state = AI_ANSWER_HOLDING_WHOLE;
    } else if (has_next && (ai_answer_is_good_stream(x) || ai_answer_is_good(x, ANSWER_JSON))) {
        a->state = AI_ANSWER_HOLDING_CONTENT;
        a->timer.fn = ai_answer_on_timeout;
        timer_set(l, &a->timer, l->now.mono_us + HOLD_US);
    }
}

bool ai_answer_hold(struct exchange *x, bool has_next)
{
    struct ai_answer *a = x->answer;

    if (!a)
        return false;
    if (a->state == AI_ANSWER_IDLE)
        ai_answer_choose_state(x, has_next);
    if (a->state == AI_ANSWER_PASSING || x->is_answer_complete) {
        timer_cancel(&x->worker->loop, &a->timer);
        a->state = AI_ANSWER_PASSING;
        return false;
    }
    x->wait = WAIT_CONTENT;
    return true;
}

bool ai_answer_has_failed(const struct exchange *x)
{
    const struct ai_answer *a = x->answer;
    uint16_t status = x->attempt.response.status;

    if (status == 429 || status >= 500)
        return true;
    if (!a || !a->has_scan)
        return false;
    if (ai_answer_is_good(x, ANSWER_JSON))
        return a->scan.facts.is_error_first;
    if (a->scan.kind != ANSWER_EVENTS)
        return false;
    /* An event stream that ends without having said anything is no answer either. */
    return a->scan.facts.is_error_first ||
           (x->is_answer_complete && !a->scan.facts.has_content && !a->scan.facts.is_finished);
}

/* Is it known by now what this answer is? */
static void ai_answer_judge_held(struct exchange *x)
{
    struct ai_answer *a = x->answer;
    bool is_over;

    if (a->state == AI_ANSWER_HOLDING_CONTENT)
        is_over = a->scan.facts.has_content || a->scan.facts.is_error ||
                  a->n_body_bytes > HOLD_BYTES || a->is_crowded;
    else
        is_over = a->n_body_bytes > LIMIT_TRANSLATE_BYTES; /* translating it fails, and says why */
    if (is_over) {
        a->state = AI_ANSWER_PASSING;
        exchange_resume(x);
    }
}

/* ---- passing on ---- */

static void ai_answer_send(struct exchange *x, struct str span)
{
    struct downstream *d = x->downstream;

    if (!d || span.len == 0)
        return;
    compress_send(x, span);
    keep_alive_on_sent(x, span);
    if (d->ops->is_full(d))
        attempt_pause(&x->attempt);
}

/* Bytes made for the client wait in `out` until all of one read are there: it may still move. */
static void ai_answer_make(struct exchange *x, struct str span)
{
    struct ai_answer *a = x->answer;

    if (a->is_filtering)
        usage_filter_feed(&a->filter, span, &a->out);
    else if (!a->is_translation_over)
        a->is_translation_over = translate_feed(&a->translate, span, &a->out) != 0;
}

/* The upstream said in its stream that it failed, or what it says cannot be translated: the client
 * has been told so by a frame of its own, and the answer ends. */
static void ai_answer_end_early(struct exchange *x)
{
    attempt_cancel(&x->attempt);
    x->is_answer_complete = true;
    exchange_resume(x);
}

static void ai_answer_keep(struct exchange *x, struct str span)
{
    struct ai_answer *a = x->answer;

    if (!a->is_crowded)
        a->is_crowded = !held_share_take(&x->worker->held_answers, LIMIT_HELD_ANSWER_BYTES,
                                         span.len, &a->n_counted);
    if (a->is_crowded && a->state == AI_ANSWER_HOLDING_WHOLE)
        ai_answer_give_back(x);
    else /* a look-ahead ends here, and goes out in this turn */
        buf_append(&a->held, span.ptr, span.len);
    if (a->state != AI_ANSWER_PASSING)
        ai_answer_judge_held(x);
}

void ai_answer_on_data(struct exchange *x, struct str span)
{
    struct ai_answer *a = x->answer;
    bool is_made = (a->is_filtering || a->is_translated) && a->state != AI_ANSWER_HOLDING_WHOLE;
    bool was_over = a->is_translation_over;

    ai_answer_meter(x, span);
    if (is_made)
        ai_answer_make(x, span);
    ai_answer_note_content(x);
    if (!x->is_head_sent) {
        /* Keeping it may send the head and all that is kept: then nothing may be left here. */
        struct buf made = a->out;

        a->out = (struct buf){0};
        ai_answer_keep(x, is_made ? buf_str(&made) : span);
        buf_deinit(&made);
        return;
    }
    exchange_note_progress(x);
    if (!is_made)
        ai_answer_send(x, span);
    else if (a->is_translation_over && !was_over)
        ai_answer_end_early(x);
}

void ai_answer_send_made(struct exchange *x)
{
    if (x->is_head_sent)
        ai_answer_send(x, buf_str(&x->answer->out));
}

void ai_answer_on_flush(struct exchange *x)
{
    buf_clear(&x->answer->out);
}

void ai_answer_release(struct exchange *x)
{
    struct ai_answer *a = x->answer;

    if (a->held.len == 0 && !a->is_overdue)
        return; /* the head goes out with what has come now */
    ai_answer_send(x, buf_str(&a->held));
    compress_flush(x);
    ai_answer_give_back(x);
}

/* ---- head and end ---- */

static enum refusal ai_answer_translate_document(struct exchange *x)
{
    struct ai_answer *a = x->answer;
    struct http_response *r = &x->response;
    struct buf made = {0};

    /* A longer one would be refused with room as well, and by every try. */
    if (a->is_crowded && a->n_body_bytes <= LIMIT_TRANSLATE_BYTES)
        return REFUSAL_OVERLOADED;
    if (r->status / 100 != 2)
        translate_error(&a->translate, r->status, buf_str(&a->held), &made);
    else if (translate_answer(&a->translate, buf_str(&a->held), &made) != 0)
        return REFUSAL_UPSTREAM_BAD_ANSWER;
    http_headers_set(&r->headers, header_name(HEADER_CONTENT_TYPE), STR("application/json"));
    r->body = HTTP_BODY_LENGTH;
    r->content_length = made.len;
    r->has_content_length = true;
    ai_answer_give_back(x);
    a->held = made; /* not counted: it moves on to the client's outbox in this turn */
    a->is_translation_over = true;
    return REFUSAL_NONE;
}

enum refusal ai_answer_finish_head(struct exchange *x)
{
    struct ai_answer *a = x->answer;
    struct http_response *r = &x->response;

    if (!a || (!a->is_translated && !a->is_filtering) || r->body == HTTP_BODY_NONE)
        return REFUSAL_NONE;
    if (a->decoder || a->has_failed_decoding)
        return REFUSAL_UPSTREAM_BAD_ANSWER; /* compressed, though nobody asked for it */
    /* Of the bytes as they came. */
    http_headers_remove(&r->headers, STR("etag"));
    http_headers_remove(&r->headers, STR("digest"));
    http_headers_remove(&r->headers, STR("content-digest"));
    http_headers_remove(&r->headers, STR("content-md5"));
    if (ai_answer_needs_whole(x))
        return ai_answer_translate_document(x);
    r->body = HTTP_BODY_CHUNKED;
    r->has_content_length = false;
    return REFUSAL_NONE;
}

bool ai_answer_is_over(const struct exchange *x)
{
    return x->answer && x->answer->is_translation_over;
}

bool ai_answer_on_end(struct exchange *x)
{
    struct ai_answer *a = x->answer;
    bool is_good = true;

    if (a->is_filtering)
        usage_filter_end(&a->filter, &a->out);
    else if (a->is_translated && !a->is_translation_over &&
             x->attempt.response.body != HTTP_BODY_NONE) /* 204 or 304: complete as it is */
        is_good = translate_end(&a->translate, &a->out) == 0;
    ai_answer_send_made(x);
    return is_good;
}

void ai_answer_close(struct exchange *x)
{
    if (x->answer && x->answer->has_scan)
        answer_scan_end(&x->answer->scan);
}
