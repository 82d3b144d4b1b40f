/* See keep_alive.h. The timer is not moved with every frame: when it is due it looks how long the
 * stream has been silent. */
#include "gateway/traffic/keep_alive.h"

#include "gateway/traffic/compress.h"
#include "gateway/worker.h"

static const struct str keep_alive_comment = {": keep-alive\n\n", 14};

/* Would a comment stand between two events? Before the first one, and after an empty line. */
static bool keep_alive_is_between(const struct keep_alive *k)
{
    struct str end = str_make(k->end, k->n_end);

    return k->n_end == 0 || str_ends_with(end, STR("\n\n")) || str_ends_with(end, STR("\n\r\n"));
}

static void keep_alive_arm(struct keep_alive *k)
{
    timer_set(&k->exchange->worker->loop, &k->timer, k->sent_us + k->exchange->rule->keep_alive_us);
}

static void keep_alive_on_time(struct timer *t)
{
    struct keep_alive *k = CONTAINER_OF(t, struct keep_alive, timer);
    struct exchange *x = k->exchange;
    struct downstream *d = x->downstream;
    uint64_t now_us = x->worker->loop.now.mono_us;

    if (!d || x->is_answer_complete)
        return;
    if (now_us >= k->sent_us + x->rule->keep_alive_us) {
        /* In the midst of an event, or on its way already: after the same time again. */
        k->sent_us = now_us;
        if (keep_alive_is_between(k) && !d->ops->is_full(d)) {
            compress_send(x, keep_alive_comment);
            compress_flush(x);
        }
    }
    keep_alive_arm(k);
}

static bool keep_alive_may(const struct exchange *x)
{
    const struct http_response *r = &x->response;
    const struct http_header *type = http_headers_find_id(&r->headers, HEADER_CONTENT_TYPE);

    return x->rule->keep_alive_us > 0 && r->status / 100 == 2 && type &&
           str_starts_with_nocase(type->value, STR("text/event-stream")) &&
           (r->body == HTTP_BODY_CHUNKED || r->body == HTTP_BODY_UNTIL_CLOSE) &&
           x->request.method != HTTP_METHOD_HEAD &&
           (x->compress || http_headers_value(&r->headers, STR("content-encoding")).len == 0);
}

void keep_alive_open(struct exchange *x)
{
    struct keep_alive *k;

    if (!keep_alive_may(x))
        return;
    k = ARENA_NEW(&x->arena, struct keep_alive);
    k->exchange = x;
    k->timer.fn = keep_alive_on_time;
    k->sent_us = x->worker->loop.now.mono_us;
    x->keep_alive = k;
    keep_alive_arm(k);
}

void keep_alive_on_sent(struct exchange *x, struct str span)
{
    struct keep_alive *k = x->keep_alive;

    if (!k || span.len == 0)
        return;
    k->sent_us = x->worker->loop.now.mono_us;
    for (size_t i = span.len > sizeof k->end ? span.len - sizeof k->end : 0; i < span.len; i++) {
        if (k->n_end == sizeof k->end)
            memmove(k->end, k->end + 1, sizeof k->end - 1);
        else
            k->n_end++;
        k->end[k->n_end - 1] = span.ptr[i];
    }
}

void keep_alive_close(struct exchange *x)
{
    if (x->keep_alive)
        timer_cancel(&x->worker->loop, &x->keep_alive->timer);
}
