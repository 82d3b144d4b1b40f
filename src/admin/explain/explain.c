/* See explain.h. The exchange waits as any does; here nothing comes by itself: content is handed
 * over when it is asked for, a pause is over at once, keys that are being fetched do not come. When
 * it stands before its backend its client leaves. What each step left is told right behind it, as
 * the request then is; the decision, which is known at the end, stands first. */
#include "admin/explain/explain.h"

#include <stdio.h>

#include "admin/config.h"
#include "admin/explain/parts.h"
#include "auth/jwt.h"
#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "gateway/answer.h"
#include "gateway/layer/layer.h"
#include "gateway/traffic/affinity.h"
#include "http/grammar.h"
#include "http/grpc/grpc_request.h"
#include "telemetry/log_redact.h"

enum {
    EXPLAIN_ARENA_BYTES = 16384,
    EXPLAIN_KEY_BYTES = 32, /* a member's name in a manifest, of those asked for here */
    EXPLAIN_TURN_MS = 50,   /* of waiting for a slow hash at a time */
    EXPLAIN_TURNS = 200,    /* so often at most */
    EXPLAIN_ROUNDS = 4096,  /* of waiting for anything: content comes in pieces */
};

/* ---- the client's side ---- */

static struct explain *explain_of_down(struct downstream *d)
{
    return CONTAINER_OF(d, struct explain, down);
}

static void down_nothing(struct downstream *d UNUSED)
{
}

static void down_head(struct downstream *d, const struct http_response *response)
{
    struct explain *e = explain_of_down(d);

    e->status = response->status;
    for (uint16_t i = 0; i < response->headers.n; i++) {
        const struct http_header *h = &response->headers.items[i];

        buf_printf(&e->answer_head, "%s%.*s: %.*s", i > 0 ? "\n" : "", STR_ARG(h->name),
                   STR_ARG(h->value));
    }
}

static void down_data(struct downstream *d, struct str span)
{
    struct explain *e = explain_of_down(d);
    size_t room =
        LIMIT_EXPLAIN_ANSWER_BYTES - MIN(e->answer_body.len, (size_t)LIMIT_EXPLAIN_ANSWER_BYTES);

    buf_append_str(&e->answer_body, str_slice(span, 0, room));
}

static void down_end(struct downstream *d UNUSED, const struct http_headers *trailers UNUSED)
{
}

static bool down_is_full(struct downstream *d UNUSED)
{
    return false;
}

static void down_want(struct downstream *d UNUSED, bool is_wanted UNUSED)
{
}

static const struct downstream_ops explain_downstream_ops = {
    .send_continue = down_nothing,
    .send_head = down_head,
    .send_data = down_data,
    .send_end = down_end,
    .flush = down_nothing,
    .abort = down_nothing,
    .is_full = down_is_full,
    .want_body = down_want,
    .set_raw = down_nothing,
    .release = down_nothing,
};

/* ---- words ---- */

bool explain_may_show(const void *exchange, struct str name)
{
    const struct exchange *x = exchange;
    const struct listener_plan *l = x->listener;

    return !log_redact_is_secret_parameter(name) &&
           !(l && name_set_has(&l->credential_names, name));
}

struct str explain_shown(const struct exchange *x, struct str name, struct str value)
{
    return explain_may_show(x, name) && !log_redact_has_token(value) ? value : STR("(redacted)");
}

const struct object *explain_object(const struct explain *e, struct str label)
{
    return config_find_object(e->snapshot->manifest, label);
}

const struct mark *explain_place(const struct explain *e, struct str label)
{
    const struct object *o = explain_object(e, label);

    return o ? &o->mark : NULL;
}

const struct mark *explain_item_place(const struct explain *e, struct str label, const char *list,
                                      uint32_t index)
{
    const struct object *o = explain_object(e, label);
    const struct node *n = o ? o->source : NULL;
    struct str rest = str_of(list);
    struct str key;
    char name[EXPLAIN_KEY_BYTES];

    while (n && str_split(&rest, '.', &key)) {
        snprintf(name, sizeof name, "%.*s", STR_ARG(key));
        n = node_find(n, name);
    }
    if (n && n->type == NODE_LIST && index < n->n)
        return &n->items[index]->mark;
    return o ? &o->mark : NULL;
}

/* ---- what is said first ---- */

/* As it was asked, without what may be a credential. */
static void explain_request(struct explain *e, struct exchange *x)
{
    const struct question *q = e->question;
    char room[LIMIT_TARGET_BYTES];
    char address[46];
    struct str target = log_redact_target(q->target, room, sizeof room);

    if (x->listener)
        target = layer_redact_target(x, target);
    report_str(e->head, "request",
               arena_printf(&e->arena, "%.*s %s%.*s%.*s", STR_ARG(q->method),
                            q->is_tls ? "https://" : "http://", STR_ARG(q->authority),
                            STR_ARG(target)));
    report_str(e->head, "client", ip_address_format(&e->down.peer_ip, address));
}

static void explain_refusal(struct explain *e, const struct exchange *x)
{
    report_text(e->head, "code", refusal_row(x->refusal)->code);
    report_str(e->head, "sentence", answer_refusal_text(x));
    if (x->refusal_detail.len > 0)
        report_str(e->head, "detail", x->refusal_detail);
    if (x->refusal_param.len > 0)
        report_str(e->head, "param", x->refusal_param);
    if (answer_retry_after_s(x) > 0)
        report_seconds(e->head, "retry_after_s", answer_retry_after_s(x));
}

static void explain_assume(struct explain *e, const char *what)
{
    report_row(e->head, str_of(what), NULL, NULL, STR(""));
    report_row_end(e->head);
}

/* Is there another outcome by chance alone? */
static bool explain_was_drawn(const struct explain *e, const struct exchange *x)
{
    const struct priority_plan *p;
    uint32_t n = 0;

    if (e->step != JOURNEY_upstream || !x->rule || !x->backend ||
        x->priority >= x->rule->n_priorities)
        return false;
    p = &x->rule->priorities[x->priority];
    for (uint32_t i = p->first; i < p->first + p->weights.n; i++)
        n += x->rule->backends[i].weight > 0;
    return n > 1 && !affinity_is_known(x->affinity);
}

static bool explain_is_part(uint32_t share)
{
    return share > 0 && share < FAULT_ALL;
}

static void explain_assume_chances(struct explain *e, const struct exchange *x)
{
    const struct fault_plan *fault = x->rule ? x->rule->fault : NULL;

    if (fault && (explain_is_part(fault->delay_share) || explain_is_part(fault->abort_share)))
        explain_assume(e, "a fault that falls on a part of the requests does not fall on this one");
    if (explain_was_drawn(e, x))
        explain_assume(e,
                       "the draw by weight falls on that backend: another request like it may go "
                       "to another, or be refused with its share");
}

static void explain_assumptions(struct explain *e, const struct exchange *x)
{
    const struct layer_plan *layers = x->rule ? x->rule->layers : NULL;

    report_list(e->head, "assuming");
    if (e->rehearsal.has_believed)
        explain_assume(e, "the token's signature is good: its key set is not at hand, the issuer "
                          "would be asked for it");
    if (e->rehearsal.has_skipped_hash)
        explain_assume(e, "the password is right: its hash is slow, and was not computed");
    if (layers && layers->ext_auths.n > 0 && x->layers.n_ext_auths > 0)
        explain_assume(e, "the external authorizers agree: they would be asked");
    if (e->question->is_tls && x->listener && x->listener->client_rule != 0)
        explain_assume(e, "the client has shown a certificate that the listener accepts");
    if (e->rehearsal.sent && explain_breaker_is_full(x))
        explain_assume(e, "the backend's circuit breaker has a place for it by then: it is full "
                          "now, and would refuse it");
    explain_assume_chances(e, x);
    report_list_close(e->head);
}

static void explain_decision(struct explain *e, struct exchange *x)
{
    bool is_sent = e->rehearsal.sent != NULL;

    explain_request(e, x);
    report_open(e->head, "decision");
    report_text(e->head, "outcome",
                is_sent                           ? "sent to a backend"
                : x->refusal != REFUSAL_NONE      ? "refused"
                : x->cancel == CANCEL_CLIENT_LEFT ? "not decided"
                                                  : "answered by the gateway");
    report_text(e->head, "step", journey_rows[e->step].name);
    if (!is_sent)
        report_u64(e->head, "status", x->untold_status ? x->untold_status : e->status);
    if (!is_sent && x->refusal != REFUSAL_NONE)
        explain_refusal(e, x);
    if (x->rule)
        report_str(e->head, "rule", x->rule->log_name);
    if (x->backend)
        report_str(e->head, "backend", x->backend->name);
    if (x->model.len > 0)
        report_str(e->head, "model", x->model);
    if (x->tenant.len > 0)
        report_str(e->head, "tenant", x->tenant);
    explain_assumptions(e, x);
    report_close(e->head);
}

static void explain_answer(struct explain *e)
{
    struct str rest = buf_str(&e->answer_head);
    struct str body = buf_str(&e->answer_body);
    struct str line;

    if (e->rehearsal.sent || e->status == 0)
        return;
    report_open(e->body, "answer");
    report_u64(e->body, "status", e->status);
    report_list(e->body, "headers");
    while (str_split(&rest, '\n', &line)) {
        ssize_t colon = str_find_char(line, ':', 0);
        size_t n = colon < 0 ? line.len : (size_t)colon;

        report_pair(e->body, str_slice(line, 0, n), str_slice(line, n + 2, line.len));
        report_row_end(e->body);
    }
    report_list_close(e->body);
    report_str(e->body, "body",
               str_ends_with(body, STR("\n")) ? str_slice(body, 0, body.len - 1) : body);
    report_close(e->body);
}

/* ---- the journey ---- */

/* The answer is known and has been given: all that the exchange came to is still there. */
static void explain_end(struct explain *e, struct exchange *x)
{
    explain_decision(e, x);
    if (!e->has_listener)
        explain_listener(e, x);
    if (x->listener && !e->has_rules)
        explain_rules(e, x, false);
    if (!e->has_authentication)
        explain_authentication(e, x);
    if (x->rule) {
        explain_policies(e, x);
        if (!e->has_layers)
            explain_layers(e, x);
        explain_timeouts(e, x);
        explain_retries(e, x);
    }
    explain_answer(e);
}

static void explain_on_step(struct rehearsal *r, struct exchange *x, enum step_result result)
{
    struct explain *e = CONTAINER_OF(r, struct explain, rehearsal);

    if (!journey_rows[x->step].always_runs)
        e->step = x->step;
    if (result == STEP_WAIT && x->step != JOURNEY_upstream)
        return;
    switch (x->step) {
    case JOURNEY_admit:
        explain_listener(e, x);
        break;
    case JOURNEY_route:
        explain_rules(e, x, true);
        explain_authentication(e, x);
        break;
    case JOURNEY_authorize:
        explain_layers(e, x);
        break;
    case JOURNEY_limit:
        explain_limits(e, x);
        break;
    case JOURNEY_upstream:
        if (result == STEP_LAST || e->rehearsal.sent)
            explain_backends(e, x);
        break;
    case JOURNEY_account:
        explain_end(e, x);
        e->exchange = NULL;
        break;
    default:
        break;
    }
}

static void explain_on_rules(struct rehearsal *r, const struct authorization *a,
                             const struct authorize_input *input,
                             const struct authorize_result *result)
{
    explain_authorization(CONTAINER_OF(r, struct explain, rehearsal), a, input, result);
}

static const struct rehearsal_ops explain_rehearsal_ops = {
    .on_step = explain_on_step,
    .on_rules = explain_on_rules,
};

/* ---- waiting ---- */

/* The next piece of the request's content. False: there is no more. */
static bool explain_feed(struct explain *e, struct h1 *codec, struct str *input)
{
    struct exchange *x = e->exchange;
    struct h1_event event;

    if (x->is_body_complete || h1_next(codec, input, &x->arena, NULL, NULL, &event) != H1_EVENT)
        return false;
    if (event.type == H1_EVENT_DATA)
        exchange_on_body(x, event.data);
    else if (event.type == H1_EVENT_END)
        exchange_on_body_end(x, NULL);
    if (e->exchange)
        exchange_on_body_flush(x);
    return true;
}

/* The hash is computed by a thread of the pool. */
static void explain_await_hash(struct explain *e)
{
    for (unsigned i = 0; i < EXPLAIN_TURNS && e->exchange && (e->exchange->wait & WAIT_PASSWORD);
         i++) {
        if (loop_turn(&e->worker->loop, EXPLAIN_TURN_MS) < 0)
            return;
    }
}

/* Until nothing more is to be waited for. */
static void explain_run(struct explain *e, struct h1 *codec, struct str *input)
{
    for (unsigned i = 0; i < EXPLAIN_ROUNDS && e->exchange; i++) {
        struct exchange *x = e->exchange;

        if ((x->wait & (WAIT_BODY | WAIT_BUFFER)) && explain_feed(e, codec, input))
            continue;
        if (x->wait & WAIT_KEYS) { /* they would be waited for, and are not here */
            x->has_waited_for_keys = true;
            exchange_resume(x);
        } else if (x->wait & WAIT_FAULT) {
            x->fault = FAULT_DELAYED;
            exchange_resume(x);
        } else if (x->wait & WAIT_PASSWORD) {
            explain_await_hash(e);
        } else {
            break;
        }
    }
    if (e->exchange)
        exchange_cancel(e->exchange, CANCEL_CLIENT_LEFT);
}

/* The head as the port's codec reads it; then on its way. */
static void explain_start(struct explain *e, struct str head)
{
    const struct client_plan *client = &e->port->client;
    struct h1_options options = {.scheme = e->port->is_tls ? STR("https") : STR("http"),
                                 .allows_underscore = client->allows_underscore,
                                 .path_reading = client->path_reading,
                                 .keeps_case = client->keeps_case,
                                 .head_bytes_limit = client->head_bytes_limit};
    struct exchange *x = exchange_new(e->worker, &e->down);
    struct h1_event event;
    struct h1 codec;

    x->rehearsal = &e->rehearsal;
    e->exchange = x;
    h1_init(&codec, &options);
    if (h1_next(&codec, &head, &x->arena, &x->request, NULL, &event) != H1_EVENT) {
        struct str target = x->request.path.len > 0 ? x->request.path : x->request.target;

        x->head_error = codec.error != H1_ERROR_NONE ? codec.error : H1_ERROR_TRUNCATED;
        x->head_dialect = ai_dialect_of_path(target);
        x->request = (struct http_request){.scheme = options.scheme};
        http_headers_init(&x->request.headers, &x->arena);
    }
    x->request.is_http2 = grpc_request_is(&x->request); /* which calls come by */
    exchange_start(x);
    explain_run(e, &codec, &head);
}

/* ---- the place ---- */

static bool explain_is_port(const struct server *g, const struct port_plan *p,
                            const struct question *q)
{
    return p->is_tls == q->is_tls &&
           (p->number == q->port ||
            (q->has_port && port_bound_number(&g->options, p->number) == q->port));
}

/* Of several with that number (Gateways with addresses of their own) the first that serves the
 * host. */
static const struct port_plan *explain_find_port(const struct server *g, const struct question *q)
{
    const struct snapshot *s = g->current;
    const struct port_plan *found = NULL;

    for (uint32_t i = 0; i < s->n_ports; i++) {
        const struct port_plan *p = &s->ports[i];
        struct str host;
        uint16_t port;

        if (!explain_is_port(g, p, q))
            continue;
        if (grammar_host_parse(q->authority, &host, &port) && port_plan_find_listener(p, host))
            return p;
        found = found ? found : p;
    }
    return found;
}

static int explain_no_port(const struct server *g, const struct question *q, struct buf *ret_why)
{
    const struct snapshot *s = g->current;

    buf_printf(ret_why, "nothing listens for %s on port %u", q->is_tls ? "HTTPS" : "HTTP", q->port);
    for (uint32_t i = 0; i < s->n_ports; i++) {
        const struct port_plan *p = &s->ports[i];

        buf_printf(ret_why, "%s %s on %u", i == 0 ? "; there is" : ",",
                   p->is_tls ? "HTTPS" : "HTTP", p->number);
        if (port_bound_number(&g->options, p->number) != p->number)
            buf_printf(ret_why, " (bound to %u)", port_bound_number(&g->options, p->number));
    }
    return EXPLAIN_NO_PORT;
}

/* Where the request comes from, and in by. */
static void explain_connect(struct explain *e, struct port *port)
{
    const struct question *q = e->question;
    struct ip_address loopback;
    struct str host = STR("");
    char *room = arena_bytes(&e->arena, 46);
    uint16_t number;

    if (!ip_address_parse(STR("127.0.0.1"), &loopback))
        UNREACHABLE();
    e->down = (struct downstream){
        .ops = &explain_downstream_ops,
        .peer_ip = q->from.is_valid ? q->from : loopback,
        .listen_port = port,
        .port = e->port->number,
        .is_tls = e->port->is_tls,
        .reads_underscore = e->port->client.allows_underscore,
    };
    e->down.peer_ip_text = ip_address_format(&e->down.peer_ip, room);
    e->down.peer_text =
        arena_text(&e->arena, arena_printf(&e->arena, "%.*s:0", STR_ARG(e->down.peer_ip_text)));
    e->down.local_text =
        arena_text(&e->arena, arena_printf(&e->arena, "0.0.0.0:%u", e->port->number));
    if (e->port->is_tls && grammar_host_parse(q->authority, &host, &number)) {
        const struct listener_plan *l;

        e->down.server_name = arena_lower(&e->arena, host);
        l = port_plan_find_listener(e->port, e->down.server_name);
        e->down.client_rule = l ? l->client_rule : 0;
    }
}

/* A worker of its own, gone with the explanation. 0 or negative. */
static int explain_with_worker(struct explain *e, struct buf *head)
{
    struct metrics metrics;
    int r;

    e->worker = MEM_NEW(struct worker);
    metrics_init(&metrics);
    r = worker_init_apart(e->worker, e->server, &metrics, e->server->current);
    if (r == 0) {
        explain_start(e, buf_str(head));
        r = loop_turn(&e->worker->loop, 0); /* the exchange goes back to the worker's store */
        worker_deinit(e->worker);
    }
    metrics_deinit(&metrics);
    mem_free(e->worker);
    return r;
}

static int explain_all(struct explain *e, struct buf *out)
{
    const struct question *q = e->question;
    struct buf first = {0}, then = {0}, head = {0};
    int r;

    e->head = &e->reports[0];
    e->body = &e->reports[q->is_json ? 0 : 1];
    report_init(e->head, &first, q->is_json);
    if (e->body != e->head)
        report_init(e->body, &then, false);
    question_format(q, &head);
    buf_append_str(&head, q->body);
    r = explain_with_worker(e, &head);
    report_finish(e->head);
    if (r == 0) {
        buf_append_str(out, buf_str(&first));
        buf_append_str(out, buf_str(&then));
    }
    mem_wipe(head.ptr, head.len);
    buf_deinit(&head);
    buf_deinit(&first);
    buf_deinit(&then);
    buf_deinit(&e->answer_head);
    buf_deinit(&e->answer_body);
    return r;
}

int explain(struct server *g, const struct explain_options *options, const struct question *q,
            struct buf *out, struct buf *ret_why)
{
    struct explain e = {
        .rehearsal = {.ops = &explain_rehearsal_ops,
                      .read_token = options->is_live ? NULL : jwt_read_unverified,
                      .may_hash = !options->is_live},
        .server = g,
        .snapshot = g->current,
        .port = explain_find_port(g, q),
        .options = options,
        .question = q,
    };
    struct port stand_in; /* of a snapshot that only was loaded: no port of it is open */
    struct port_plan *plan;
    int r;

    if (!e.port)
        return explain_no_port(g, q, ret_why);
    plan = &g->current->ports[e.port - g->current->ports];
    arena_init(&e.arena, EXPLAIN_ARENA_BYTES);
    stand_in = (struct port){.number = plan->number, .is_tls = plan->is_tls};
    if (!plan->port)
        plan->port = &stand_in;
    explain_connect(&e, plan->port);
    r = explain_all(&e, out);
    if (plan->port == &stand_in)
        plan->port = NULL;
    arena_deinit(&e.arena);
    return r;
}
