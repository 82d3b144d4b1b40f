/* See explain_running.h. All of the question but its form and the client's address travels in
 * headers of admin/explain/endpoint.h: it may hold credentials, which no URL should. */
#include "app/explain_running.h"

#include <stdio.h>

#include "app/objects/ask.h"
#include "app/objects/say.h"
#include "app/objects/text.h"
#include "base/limits.h"
#include "base/mem.h"
#include "http/grammar.h"

enum {
    RUNNING_FAILED = 1,
    RUNNING_USAGE = 2,
    RUNNING_LINE_BYTES = 512, /* of the head: its first line and Host */
    RUNNING_HEADER_BYTES = 4, /* ": " and the line end */
};

/* The question on its way. On the stack. */
struct running_question {
    struct arena arena;
    struct http_headers headers;
    struct buf query;
    struct buf body; /* escaped */
    size_t n_bytes;  /* of the head */
    bool has_control;
};

static void running_add(struct running_question *r, struct str name, struct str value)
{
    http_headers_add(&r->headers, name, value);
    r->n_bytes += name.len + value.len + RUNNING_HEADER_BYTES;
    r->has_control = r->has_control || !grammar_is_value(value);
}

/* Any bytes, on one line. */
static void running_add_body(struct running_question *r, struct str body)
{
    for (size_t i = 0; i < body.len; i++) {
        if (grammar_is(body.ptr[i], GRAMMAR_UNRESERVED))
            buf_append_char(&r->body, body.ptr[i]);
        else
            buf_printf(&r->body, "%%%02X", (unsigned)(unsigned char)body.ptr[i]);
    }
    running_add(r, STR("x-explain-body-encoded"), buf_str(&r->body));
}

static void running_write(struct running_question *r, const struct options *o,
                          const struct question *q)
{
    char room[46]; /* of ip_address_format */

    arena_init(&r->arena, 4096);
    http_headers_init(&r->headers, &r->arena);
    r->n_bytes = RUNNING_LINE_BYTES;
    running_add(r, STR("x-explain-request"), str_trim(o->explain.request));
    for (uint32_t i = 0; i < q->n_headers; i++) {
        struct str name = arena_join(&r->arena, q->headers[i].name, STR(": "));

        running_add(r, STR("x-explain-header"),
                    str_trim(arena_join(&r->arena, name, q->headers[i].value)));
    }
    if (q->has_body)
        running_add_body(r, q->body);
    buf_printf(&r->query, "format=%s", q->is_json ? "json" : "text");
    if (q->from.is_valid)
        buf_printf(&r->query, "&from=%.*s", STR_ARG(ip_address_format(&q->from, room)));
}

/* What a request cannot hold can be asked of files. */
static int running_judge(const struct running_question *r)
{
    if (r->has_control) {
        say_error("a control character cannot be sent to a running gateway: -f PATH asks files");
        return RUNNING_USAGE;
    }
    if (r->n_bytes > LIMIT_HEAD_BYTES) {
        say_error("the request, its headers and its body escaped (%zu bytes) are more than a "
                  "running gateway can be asked about (%d): -f PATH asks files",
                  r->n_bytes, LIMIT_HEAD_BYTES);
        return RUNNING_USAGE;
    }
    return 0;
}

static bool running_is_explanation(struct str text, bool is_json)
{
    if (is_json)
        return str_starts_with(text, STR("{")) && str_find(text, STR("\"request\":")) > 0;
    return str_starts_with(text, STR("request: "));
}

/* A stranger's words: no byte of them may move a cursor. */
static int running_print(const struct ask_answer *answer, bool is_json)
{
    struct buf out = {0};

    if (!running_is_explanation(buf_str(&answer->body), is_json)) {
        say_error("the gateway's admin port tells no explanation");
        return RUNNING_FAILED;
    }
    text_append_safe_lines(&out, buf_str(&answer->body));
    fwrite(out.ptr, 1, out.len, stdout);
    buf_deinit(&out);
    return 0;
}

static int running_ask(const struct options *o, const struct running_question *r, bool is_json)
{
    struct ask_question question = {
        .path = STR("/explain"), .query = buf_str(&r->query), .headers = &r->headers};
    struct ask_answer answer;
    struct buf why = {0};
    int code = RUNNING_FAILED;

    if (ask_admin(&o->admin, &question, &answer, &why) != 0) {
        buf_printf(&why, "; --admin ADDR:PORT says where one does, -f PATH reads files");
    } else if (answer.status == 200) {
        code = running_print(&answer, is_json);
    } else {
        code = answer.status == 400 ? RUNNING_USAGE : RUNNING_FAILED;
        ask_say_refusal(&answer, &why);
    }
    if (why.len > 0)
        say_error("%.*s", STR_ARG(buf_str(&why)));
    buf_deinit(&answer.body);
    buf_deinit(&why);
    return code;
}

int explain_of_running(const struct options *o, const struct question *q)
{
    struct running_question r = {0};
    int code;

    if (!o->has_admin) {
        say_error("nobody to ask: give --admin ADDR:PORT of a gateway, or -f PATH");
        return RUNNING_FAILED;
    }
    running_write(&r, o, q);
    code = running_judge(&r);
    if (code == 0)
        code = running_ask(o, &r, q->is_json);
    buf_deinit(&r.query);
    buf_deinit(&r.body);
    arena_deinit(&r.arena);
    return code;
}
