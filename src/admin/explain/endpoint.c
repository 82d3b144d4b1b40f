/* See endpoint.h. Control's thread. */
#include "admin/explain/endpoint.h"

#include "admin/explain/explain.h"
#include "base/error.h"
#include "base/log.h"
#include "http/query.h"
#include "telemetry/log_redact.h"

/* A question under way. On the stack. */
struct explain_asked {
    struct question question;
    struct arena arena;
    struct buf why; /* of what is wrong with it */
    bool has_request;
};

static int asked_refuse(struct explain_asked *q, const char *why)
{
    buf_printf(&q->why, "%s", why);
    return QUESTION_BAD;
}

static int asked_request(struct explain_asked *q, struct str text)
{
    q->has_request = true;
    return question_read(&q->question, text, &q->why);
}

static int asked_from(struct explain_asked *q, struct str text)
{
    return ip_address_parse(text, &q->question.from) ? 0 : asked_refuse(q, "from: no IP address");
}

static int asked_format(struct explain_asked *q, struct str text)
{
    q->question.is_json = str_eq(text, STR("json"));
    return q->question.is_json || str_eq(text, STR("text"))
               ? 0
               : asked_refuse(q, "format: expected text or json");
}

/* Credentials in a query end in logs that are not ours. */
static bool asked_is_secret(struct explain_asked *q, struct str header)
{
    ssize_t colon = str_find_char(header, ':', 0);
    struct str name = str_slice(header, 0, colon < 0 ? header.len : (size_t)colon);

    return log_redact_is_secret_name(arena_lower(&q->arena, name)) || log_redact_has_token(header);
}

static bool asked_has_secret_target(struct str request)
{
    char room[1];

    return log_redact_target(request, room, sizeof room).ptr != request.ptr;
}

/* ---- the query ---- */

static int asked_param(struct explain_asked *q, struct str name, struct str value)
{
    if (str_eq(name, STR("request")))
        return asked_has_secret_target(value)
                   ? asked_refuse(q, "request: it seems to hold a credential, which a URL may "
                                     "leave in logs: give it as X-Explain-Request")
                   : asked_request(q, value);
    if (str_eq(name, STR("header")))
        return asked_is_secret(q, value)
                   ? asked_refuse(q, "header: a credential in a URL may end in logs: give it as "
                                     "X-Explain-Header or X-Explain-Token")
                   : question_add_header(&q->question, value, &q->why);
    if (str_eq(name, STR("from")))
        return asked_from(q, value);
    if (str_eq(name, STR("format")))
        return asked_format(q, value);
    return asked_refuse(q, "unknown parameter: expected request, header, from or format");
}

static int asked_read_query(struct explain_asked *q, struct str query)
{
    struct str rest = query;
    struct str name, value;
    int r = 0;

    while (r == 0 && query_next(&rest, &name, &value))
        r = asked_param(q, query_decode(name, &q->arena), query_decode(value, &q->arena));
    return r;
}

/* ---- the headers ---- */

static int asked_header(struct explain_asked *q, const struct http_header *h)
{
    struct str value = arena_str(&q->arena, h->value);

    if (str_eq(h->name, STR("x-explain-request")))
        return asked_request(q, value);
    if (str_eq(h->name, STR("x-explain-header")))
        return question_add_header(&q->question, value, &q->why);
    if (str_eq(h->name, STR("x-explain-token")))
        return question_add_token(&q->question, value, &q->arena, &q->why);
    if (str_eq(h->name, STR("x-explain-body"))) {
        q->question.has_body = true;
        q->question.body = value;
    }
    if (str_eq(h->name, STR("x-explain-body-encoded"))) {
        q->question.has_body = true;
        q->question.body = query_decode(value, &q->arena);
    }
    return 0;
}

static int asked_read(struct explain_asked *q, const struct http_request *request)
{
    int r = asked_read_query(q, request->query);

    for (uint16_t i = 0; r == 0 && i < request->headers.n; i++)
        r = asked_header(q, &request->headers.items[i]);
    if (r == 0 && !q->has_request)
        r = asked_refuse(q, "nothing to explain: give ?request=POST%20http://host/path");
    return r;
}

void admin_explain_serve(struct admin *a, const struct http_request *request,
                         struct admin_answer *answer)
{
    struct explain_options options = {.is_live = true};
    struct explain_asked q = {0};
    int r;

    arena_init(&q.arena, 4096);
    if (asked_read(&q, request) != 0) {
        answer->status = 400;
        buf_printf(&answer->body, "%.*s\n", STR_ARG(buf_str(&q.why)));
    } else if (!a->server->current) {
        answer->status = 503;
        buf_printf(&answer->body, "nothing is served yet\n");
    } else {
        r = explain(a->server, &options, &q.question, &answer->body, &q.why);
        if (r > 0) {
            answer->status = 404;
            buf_printf(&answer->body, "%.*s\n", STR_ARG(buf_str(&q.why)));
        } else if (r < 0) {
            log_error("/explain: %s", error_trace());
            answer->status = 500;
        } else if (q.question.is_json) {
            answer->type = "application/json";
        }
    }
    buf_deinit(&q.why);
    arena_deinit(&q.arena);
}
