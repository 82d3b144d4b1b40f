/* One attempt with a timer of its own; ext_auth_finish is the one place where a call ends. A pooled
 * connection that turns out to be closed is no word of the authorizer: the call, which changes
 * nothing there, is repeated once on a new one. */
#include "upstream/ext_auth.h"

#include "base/limits.h"
#include "http/grpc/grpc_status.h"

/* Eight digits (http/grpc/grpc_request.h). */
enum { EXT_AUTH_TIMEOUT_MS_MAX = 99999999 };

static const struct attempt_events ext_auth_events;

bool ext_auth_names_model(const struct ext_auth_config *c)
{
    for (uint32_t i = 0; i < c->n_headers; i++) {
        if (header_is_model(c->headers[i]))
            return true;
    }
    return false;
}

static struct ext_auth_call *ext_auth_of(struct attempt *a)
{
    return CONTAINER_OF(a, struct ext_auth_call, attempt);
}

static bool ext_auth_is_denied(const struct ext_auth_call *e)
{
    return e->attempt.has_head && e->attempt.response.status / 100 != 2;
}

static void ext_auth_settle_http(struct ext_auth_call *e, const char *why)
{
    e->why = why;
    if (ext_auth_is_denied(e))
        e->verdict = why ? EXT_AUTH_DENIED_CUT : EXT_AUTH_DENIED;
    else
        e->verdict = why ? EXT_AUTH_FAILED : EXT_AUTH_ALLOWED;
    if (e->verdict == EXT_AUTH_DENIED)
        e->body = arena_str(e->attempt.arena, buf_str(&e->held));
}

/* Why what has come is no answer of gRPC's that went well; NULL: it is one. */
static const char *ext_auth_grpc_fault(const struct ext_auth_call *e)
{
    if (!e->attempt.has_head || e->attempt.response.status != 200)
        return "the answer is not one of gRPC";
    return e->grpc_status == GRPC_STATUS_OK ? NULL : "the call of gRPC failed";
}

static void ext_auth_settle_grpc(struct ext_auth_call *e, const char *why)
{
    const char *terms = NULL;
    int r = check_parse(buf_str(&e->held), e->attempt.arena, &e->answer, &terms);

    e->why = why ? why : ext_auth_grpc_fault(e);
    if (r == 0 && !e->answer.is_allowed) {
        e->verdict = EXT_AUTH_DENIED; /* a no is a no, however its call ends */
    } else if (e->why || r == CHECK_MALFORMED) {
        e->why = e->why ? e->why : terms;
        e->verdict = EXT_AUTH_FAILED;
    } else if (r == CHECK_UNSUPPORTED) {
        e->why = terms;
        e->verdict = EXT_AUTH_DENIED_CUT;
    } else {
        e->verdict = EXT_AUTH_ALLOWED;
    }
}

static void ext_auth_settle(struct ext_auth_call *e, const char *why)
{
    timer_cancel(e->attempt.upstreams->loop, &e->timer);
    if (e->config->is_grpc)
        ext_auth_settle_grpc(e, why);
    else
        ext_auth_settle_http(e, why);
    buf_deinit(&e->held);
    buf_deinit(&e->question);
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

static struct str ext_auth_scheme(const struct ext_auth_config *config)
{
    return config->cluster->tls ? STR("https") : STR("http");
}

static void ext_auth_format_grpc(struct ext_auth_call *e, const struct check_subject *about)
{
    const struct ext_auth_config *config = e->config;
    struct check_scope scope = {config->headers, config->n_headers, config->contexts,
                                config->n_contexts};
    struct http_request *r = &e->request;
    struct arena *a = e->attempt.arena;
    uint64_t timeout_ms = MIN(config->timeout_us / 1000, (uint64_t)EXT_AUTH_TIMEOUT_MS_MAX);

    check_format(about, &scope, &e->question);
    *r = (struct http_request){.method = HTTP_METHOD_POST,
                               .method_text = STR("POST"),
                               .scheme = ext_auth_scheme(config),
                               .authority = config->authority,
                               .path = STR("/envoy.service.auth.v3.Authorization/Check"),
                               .body = HTTP_BODY_CHUNKED,
                               .minor_version = 1,
                               .is_keep_alive = true,
                               .has_te_trailers = true};
    http_headers_init(&r->headers, a);
    http_headers_add_id(&r->headers, HEADER_CONTENT_TYPE, STR("application/grpc"));
    http_headers_add(&r->headers, STR("grpc-timeout"),
                     arena_printf(a, "%llum", (unsigned long long)timeout_ms));
}

static void ext_auth_format(struct ext_auth_call *e, const struct http_request *about)
{
    const struct ext_auth_config *config = e->config;
    struct arena *a = e->attempt.arena;
    struct http_request *r = &e->request;

    *r = (struct http_request){.method = about->method,
                               .scheme = ext_auth_scheme(config),
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

static void ext_auth_send(struct ext_auth_call *e)
{
    if (e->question.len > 0)
        attempt_send(&e->attempt, buf_str(&e->question));
    attempt_send_end(&e->attempt, NULL);
    if (e->question.len > 0)
        attempt_flush(&e->attempt);
}

/* 0 or an enum attempt_failure. */
static int ext_auth_try(struct ext_auth_call *e)
{
    int r;

    e->grpc_status = GRPC_STATUS_UNTOLD;
    r = attempt_start(&e->attempt, e->config->cluster, &e->request, e->config->connect_us);
    if (r == 0 && e->attempt.state == ATTEMPT_STREAMING)
        ext_auth_send(e);
    return r;
}

void ext_auth_start(struct ext_auth_call *e, const struct ext_auth_config *config,
                    const struct check_subject *about, struct upstreams *u, struct arena *arena)
{
    ext_auth_done_fn *on_done = e->on_done;
    int r;

    *e = (struct ext_auth_call){.config = config, .on_done = on_done};
    attempt_init(&e->attempt, u, &ext_auth_events, arena);
    e->attempt.limits = config->limits;
    e->attempt.idle_us = config->idle_us;
    if (config->is_grpc)
        ext_auth_format_grpc(e, about);
    else
        ext_auth_format(e, about->request);
    r = ext_auth_try(e);
    if (r != 0) {
        e->has_no_room = r == ATTEMPT_NO_ROOM;
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
    buf_deinit(&e->question);
}

/* ---- what the attempt tells ---- */

static void ext_auth_on_ready(struct attempt *a)
{
    ext_auth_send(ext_auth_of(a));
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
    } else if (e->config->is_grpc || ext_auth_is_denied(e)) {
        buf_append(&e->held, span.ptr, span.len);
    }
}

static void ext_auth_note_status(struct ext_auth_call *e, const struct http_headers *h)
{
    struct str value = http_headers_value(h, STR("grpc-status"));

    if (value.ptr)
        e->grpc_status = grpc_status_parse(value);
}

/* A head that is trailers too says it all. */
static void ext_auth_on_head(struct attempt *a)
{
    ext_auth_note_status(ext_auth_of(a), &a->response.headers);
}

static void ext_auth_on_trailers(struct attempt *a, const struct http_headers *trailers)
{
    ext_auth_note_status(ext_auth_of(a), trailers);
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
    e->has_no_room = r == ATTEMPT_NO_ROOM;
    if (r != 0)
        ext_auth_finish(e, attempt_failure_rows[r].text);
}

static const struct attempt_events ext_auth_events = {
    .on_ready = ext_auth_on_ready,
    .on_writable = ext_auth_on_nothing,
    .on_head = ext_auth_on_head,
    .on_data = ext_auth_on_data,
    .on_trailers = ext_auth_on_trailers,
    .on_end = ext_auth_on_end,
    .on_batch_end = ext_auth_on_nothing,
    .on_fail = ext_auth_on_fail,
};
