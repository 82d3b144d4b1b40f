/* One attempt with a timer of its own; ext_auth_finish is the one place where a call ends. A pooled
 * connection that turns out to be closed is no word of the authorizer: the call, which changes
 * nothing there, is repeated once on a new one. */
#include "upstream/ext_auth.h"

#include "base/limits.h"

static const struct attempt_events ext_auth_events;

static struct ext_auth_call *ext_auth_of(struct attempt *a)
{
    return CONTAINER_OF(a, struct ext_auth_call, attempt);
}

static bool ext_auth_is_denied(const struct ext_auth_call *e)
{
    return e->attempt.has_head && e->attempt.response.status / 100 != 2;
}

static void ext_auth_settle(struct ext_auth_call *e, const char *why)
{
    timer_cancel(e->attempt.upstreams->loop, &e->timer);
    e->why = why;
    if (ext_auth_is_denied(e))
        e->verdict = why ? EXT_AUTH_DENIED_CUT : EXT_AUTH_DENIED;
    else
        e->verdict = why ? EXT_AUTH_FAILED : EXT_AUTH_ALLOWED;
    if (e->verdict == EXT_AUTH_DENIED)
        e->body = arena_str(e->attempt.arena, buf_str(&e->held));
    buf_deinit(&e->held);
}

/* `why` NULL: the answer has come whole. */
static void ext_auth_finish(struct ext_auth_call *e, const char *why)
{
    ext_auth_settle(e, why);
    e->on_done(e);
}

static void ext_auth_on_timeout(struct timer *t)
{
    struct ext_auth_call *e = CONTAINER_OF(t, struct ext_auth_call, timer);

    attempt_cancel(&e->attempt);
    ext_auth_finish(e, "timeout");
}

static void ext_auth_format(struct ext_auth_call *e, const struct http_request *about)
{
    const struct ext_auth_config *config = e->config;
    struct arena *a = e->attempt.arena;
    struct http_request *r = &e->request;

    *r = (struct http_request){.method = about->method,
                               .method_text = about->method_text,
                               .authority = about->authority,
                               .path = config->path_override,
                               .minor_version = 1,
                               .is_keep_alive = true};
    if (about->body != HTTP_BODY_NONE)
        r->body = HTTP_BODY_LENGTH; /* of nothing */
    if (config->path_override.len == 0) {
        r->path = arena_join(a, config->path_prefix, about->path);
        r->query = about->query;
    }
    http_headers_init(&r->headers, a);
    for (uint16_t i = 0; i < about->headers.n; i++) {
        const struct http_header *h = &about->headers.items[i];
        bool is_wanted = h->id == HEADER_AUTHORIZATION;

        for (uint32_t k = 0; k < config->n_headers && !is_wanted; k++)
            is_wanted = str_eq(h->name, config->headers[k]);
        if (is_wanted)
            http_headers_add(&r->headers, h->name, h->value);
    }
}

/* 0 or an enum attempt_failure. */
static int ext_auth_try(struct ext_auth_call *e)
{
    int r = attempt_start(&e->attempt, e->config->cluster, &e->request, e->config->timeout_us);

    if (r == 0 && e->attempt.state == ATTEMPT_STREAMING)
        attempt_send_end(&e->attempt, NULL);
    return r;
}

void ext_auth_start(struct ext_auth_call *e, const struct ext_auth_config *config,
                    const struct http_request *about, struct upstreams *u, struct arena *arena)
{
    ext_auth_done_fn *on_done = e->on_done;
    int r;

    *e = (struct ext_auth_call){.config = config, .on_done = on_done};
    attempt_init(&e->attempt, u, &ext_auth_events, arena);
    ext_auth_format(e, about);
    r = ext_auth_try(e);
    if (r != 0) {
        ext_auth_settle(e, attempt_failure_rows[r].text);
        return;
    }
    e->timer.fn = ext_auth_on_timeout;
    timer_set(u->loop, &e->timer, u->loop->now.mono_us + config->timeout_us);
}

void ext_auth_cancel(struct ext_auth_call *e)
{
    if (!e->config)
        return;
    attempt_cancel(&e->attempt);
    timer_cancel(e->attempt.upstreams->loop, &e->timer);
    buf_deinit(&e->held);
}

/* ---- what the attempt tells ---- */

static void ext_auth_on_ready(struct attempt *a)
{
    attempt_send_end(a, NULL);
}

static void ext_auth_on_nothing(struct attempt *a UNUSED)
{
}

static void ext_auth_on_data(struct attempt *a, struct str span)
{
    struct ext_auth_call *e = ext_auth_of(a);

    e->n_content_bytes += span.len;
    if (e->n_content_bytes > LIMIT_EXT_AUTH_ANSWER_BYTES) {
        attempt_cancel(a);
        ext_auth_finish(e, "the answer is too large");
    } else if (ext_auth_is_denied(e)) {
        buf_append(&e->held, span.ptr, span.len);
    }
}

static void ext_auth_on_end(struct attempt *a)
{
    ext_auth_finish(ext_auth_of(a), NULL);
}

static void ext_auth_on_fail(struct attempt *a, enum attempt_failure why)
{
    struct ext_auth_call *e = ext_auth_of(a);
    int r = (int)why;

    bool may_repeat = why == ATTEMPT_REFUSED || (why == ATTEMPT_RESET && a->was_reused);

    if (may_repeat && !e->was_repeated) {
        e->was_repeated = true;
        a->is_fresh_wanted = true;
        r = ext_auth_try(e);
    }
    if (r != 0)
        ext_auth_finish(e, attempt_failure_rows[r].text);
}

static const struct attempt_events ext_auth_events = {
    .on_ready = ext_auth_on_ready,
    .on_writable = ext_auth_on_nothing,
    .on_head = ext_auth_on_nothing,
    .on_data = ext_auth_on_data,
    .on_end = ext_auth_on_end,
    .on_batch_end = ext_auth_on_nothing,
    .on_fail = ext_auth_on_fail,
};
