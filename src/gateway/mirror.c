/* One struct mirror per copy: an arena with the head, the content in a buffer, and an attempt.
 * While the content comes it is on the exchange's list; once sent, on the worker's. It ends by
 * itself: answer, failure or MIRROR_TIMEOUT_US. */
#include "gateway/mirror.h"

#include "base/limits.h"
#include "base/mem.h"
#include "gateway/exchange.h"
#include "gateway/worker.h"
#include "http/h1_spelling.h"

enum { MIRROR_TIMEOUT_US = 15 * 1000000 };

struct mirror {
    struct list_node node;
    struct worker *worker;
    struct arena arena;
    struct cluster *cluster; /* one reference */
    struct breaker_limits limits;
    struct http_request request;
    struct buf body;
    struct attempt attempt;
    struct timer timer;
    struct deferred retire;
    bool is_too_large;
};

static void mirror_on_retire(struct deferred *d)
{
    struct mirror *m = CONTAINER_OF(d, struct mirror, retire);

    arena_deinit(&m->arena);
    buf_deinit(&m->body);
    mem_free(m);
}

static void mirror_end(struct mirror *m)
{
    list_remove(&m->node);
    m->worker->n_mirrors--;
    timer_cancel(&m->worker->loop, &m->timer);
    attempt_cancel(&m->attempt);
    cluster_unref(m->cluster);
    loop_retire(&m->worker->loop, &m->retire, mirror_on_retire);
}

static struct mirror *mirror_of(struct attempt *a)
{
    return CONTAINER_OF(a, struct mirror, attempt);
}

static void mirror_send(struct mirror *m)
{
    if (m->body.len > 0)
        attempt_send(&m->attempt, buf_str(&m->body));
    attempt_send_end(&m->attempt, NULL);
    attempt_flush(&m->attempt);
    buf_deinit(&m->body);
}

static void mirror_on_ready(struct attempt *a)
{
    mirror_send(mirror_of(a));
}

static void mirror_on_nothing(struct attempt *a UNUSED)
{
}

static void mirror_on_data(struct attempt *a UNUSED, struct str span UNUSED)
{
}

static void mirror_on_end(struct attempt *a)
{
    mirror_end(mirror_of(a));
}

static void mirror_on_fail(struct attempt *a, enum attempt_failure why UNUSED)
{
    mirror_end(mirror_of(a));
}

static const struct attempt_events mirror_events = {
    .on_ready = mirror_on_ready,
    .on_writable = mirror_on_nothing,
    .on_head = mirror_on_nothing,
    .on_data = mirror_on_data,
    .on_end = mirror_on_end,
    .on_batch_end = mirror_on_nothing,
    .on_fail = mirror_on_fail,
};

static void mirror_on_timeout(struct timer *t)
{
    mirror_end(CONTAINER_OF(t, struct mirror, timer));
}

/* The head must outlive the exchange: everything is copied. */
static void mirror_copy_head(struct mirror *m, const struct http_request *from)
{
    struct arena *a = &m->arena;

    m->request = *from;
    m->request.method_text = arena_str(a, from->method_text);
    m->request.authority = arena_str(a, from->authority);
    m->request.path = arena_str(a, from->path);
    m->request.query = from->query.ptr ? arena_str(a, from->query) : STR_NULL;
    m->request.upgrade = STR("");
    m->request.minor_version = 1;
    http_headers_init(&m->request.headers, a);
    m->request.headers.spelling = h1_spelling_copy(from->headers.spelling, a);
    for (uint16_t i = 0; i < from->headers.n; i++)
        http_headers_add(&m->request.headers, arena_str(a, from->headers.items[i].name),
                         arena_str(a, from->headers.items[i].value));
}

static void mirror_add(struct exchange *x, const struct mirror_plan *plan,
                       const struct http_request *request)
{
    struct mirror *m = MEM_NEW(struct mirror);

    m->worker = x->worker;
    m->worker->n_mirrors++;
    arena_init(&m->arena, 4096);
    m->cluster = cluster_ref(plan->cluster);
    mirror_copy_head(m, request);
    attempt_init(&m->attempt, &x->worker->upstreams, &mirror_events, &m->arena);
    if (x->rule->breaker) {
        (void)breaker_limits_set(&m->limits,
                                 x->rule->breaker); /* the rule may go before the copy */
        atomic_store_explicit(&m->limits.n_pending, 0,
                              memory_order_relaxed); /* it stands in nobody's way */
        m->attempt.limits = &m->limits;
    }
    m->timer.fn = mirror_on_timeout;
    timer_set(&x->worker->loop, &m->timer, x->worker->loop.now.mono_us + MIRROR_TIMEOUT_US);
    list_append(&x->mirrors, &m->node);
}

void mirror_begin(struct exchange *x, const struct http_request *request)
{
    for (uint32_t i = 0; i < x->rule->n_mirrors; i++) {
        const struct mirror_plan *plan = &x->rule->mirrors[i];

        if (x->worker->n_mirrors >= LIMIT_MIRRORS)
            break;
        if (plan->denominator > 0 &&
            random_below(&x->worker->random, plan->denominator) < plan->numerator)
            mirror_add(x, plan, request);
    }
    /* What came while the exchange waited: for keys, or behind the gate of an AI request. */
    if (x->pipe.len > 0)
        mirror_on_body(x, buf_str(&x->pipe));
    if (x->is_body_complete && x->mirrors.first)
        mirror_on_body_end(x);
}

void mirror_on_body(struct exchange *x, struct str span)
{
    LIST_FOREACH (&x->mirrors, node) {
        struct mirror *m = CONTAINER_OF(node, struct mirror, node);

        m->is_too_large |= m->body.len + span.len > LIMIT_MIRROR_BYTES;
        if (!m->is_too_large)
            buf_append(&m->body, span.ptr, span.len);
    }
}

void mirror_on_body_end(struct exchange *x)
{
    LIST_FOREACH (&x->mirrors, node) {
        struct mirror *m = CONTAINER_OF(node, struct mirror, node);

        list_move(&x->worker->mirrors, node);
        if (m->is_too_large || attempt_start(&m->attempt, m->cluster, &m->request, 0) != 0)
            mirror_end(m);
        else if (m->attempt.state == ATTEMPT_STREAMING)
            mirror_send(m);
    }
}

static void mirror_end_list(struct list *list)
{
    LIST_FOREACH (list, node) {
        mirror_end(CONTAINER_OF(node, struct mirror, node));
    }
}

void mirror_drop(struct exchange *x)
{
    mirror_end_list(&x->mirrors);
}

void mirror_stop_all(struct worker *w)
{
    mirror_end_list(&w->mirrors);
}
