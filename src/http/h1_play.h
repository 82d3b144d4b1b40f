/* For the codec's tests: plays bytes into a codec, cut into pieces, and writes down what comes out
 * as one line of text. Two plays of the same bytes must read alike however they were cut. */
#pragma once

#include "base/buf.h"
#include "http/h1.h"

struct h1_play {
    struct h1_options options;
    enum http_method answered; /* for clients */
    bool is_eof;               /* close after the last byte */
    struct buf text;
    enum h1_error error;
    bool was_data;
};

static inline void h1_play_headers(struct h1_play *play, const struct http_headers *headers)
{
    for (unsigned i = 0; i < headers->n; i++)
        buf_printf(&play->text, " [%.*s: %.*s]", STR_ARG(headers->items[i].name),
                   STR_ARG(headers->items[i].value));
}

static inline void h1_play_length(struct h1_play *play, enum http_body body, uint64_t length)
{
    static const char *const names[] = {"none", "length", "chunked", "close"};

    buf_printf(&play->text, " body=%s", names[body]);
    if (body == HTTP_BODY_LENGTH)
        buf_printf(&play->text, ":%llu", (unsigned long long)length);
}

static inline void h1_play_response(struct h1_play *play, const struct http_response *r)
{
    buf_printf(&play->text, "%u 1.%u (%.*s)", r->status, r->minor_version, STR_ARG(r->reason));
    h1_play_length(play, r->body, r->content_length);
    buf_printf(&play->text, "%s%s%.*s", r->is_keep_alive ? " keep" : "",
               r->upgrade.len ? " upgrade=" : "", STR_ARG(r->upgrade));
    h1_play_headers(play, &r->headers);
}

static inline void h1_play_request(struct h1_play *play, const struct http_request *q)
{
    buf_printf(&play->text, "%.*s %.*s://%.*s(%.*s)%.*s%s%.*s 1.%u", STR_ARG(q->method_text),
               STR_ARG(q->scheme), STR_ARG(q->authority), STR_ARG(q->host), STR_ARG(q->path),
               q->query.ptr ? "?" : "", STR_ARG(q->query), q->minor_version);
    h1_play_length(play, q->body, q->content_length);
    buf_printf(&play->text, "%s%s%s%s%.*s", q->is_keep_alive ? " keep" : "",
               q->expects_continue ? " expect" : "", q->has_te_trailers ? " te" : "",
               q->upgrade.len ? " upgrade=" : "", STR_ARG(q->upgrade));
    h1_play_headers(play, &q->headers);
}

static inline void h1_play_event(struct h1_play *play, const struct h1_event *event,
                                 const struct http_request *q, const struct http_response *r)
{
    bool is_data = event->type == H1_EVENT_DATA || event->type == H1_EVENT_RAW;

    /* Spans that only the cut made two are written as one. */
    if (is_data && play->was_data) {
        buf_append_str(&play->text, event->data);
        return;
    }
    if (play->text.len > 0)
        buf_append(&play->text, " | ", 3);
    play->was_data = is_data;
    switch (event->type) {
    case H1_EVENT_HEAD:
        if (r)
            h1_play_response(play, r);
        else if (q)
            h1_play_request(play, q);
        break;
    case H1_EVENT_DATA:
        buf_append(&play->text, "DATA ", 5);
        buf_append_str(&play->text, event->data);
        break;
    case H1_EVENT_RAW:
        buf_append(&play->text, "RAW ", 4);
        buf_append_str(&play->text, event->data);
        break;
    case H1_EVENT_TRAILERS:
        buf_printf(&play->text, "TRAILERS");
        h1_play_headers(play, &event->trailers);
        break;
    case H1_EVENT_END:
        buf_printf(&play->text, "END");
        break;
    }
}

/* Everything that `input` yields now; what stays unread stays in *input. */
static inline int h1_play_drain(struct h1_play *play, struct h1 *c, struct str *input,
                                struct arena *arena)
{
    struct http_request request;
    struct http_response response;
    struct h1_event event;
    int r;

    while ((r = h1_next(c, input, arena, &request, &response, &event)) == H1_EVENT)
        h1_play_event(play, &event, play->options.is_client ? NULL : &request,
                      play->options.is_client ? &response : NULL);
    return r;
}

/* Plays bytes [0, cut) and then the rest; with cut 0 in pieces of one byte. */
static inline void h1_play_run(struct h1_play *play, struct str bytes, size_t cut)
{
    struct arena arena;
    struct h1 c;
    struct h1_event event;
    size_t start = 0;
    size_t end = 0;
    int r = H1_MORE;

    arena_init(&arena, 16384);
    h1_init(&c, &play->options);
    h1_expect_response_to(&c, play->answered);
    buf_clear(&play->text);
    play->was_data = false;
    while (r == H1_MORE && end < bytes.len) {
        end = cut == 0 ? end + 1 : end < cut ? cut : bytes.len;
        /* A copy of its own, so that a sanitizer sees every read past what has come. */
        struct buf piece = {0};

        buf_append(&piece, bytes.ptr + start, end - start);
        struct str input = buf_str(&piece);

        r = h1_play_drain(play, &c, &input, &arena);
        start = end - input.len;
        buf_deinit(&piece);
    }
    if (r == H1_MORE && play->is_eof) {
        r = h1_eof(&c, &event);
        if (r == H1_EVENT)
            h1_play_event(play, &event, NULL, NULL);
    }
    play->error = c.error;
    if (r == H1_ERROR)
        buf_printf(&play->text, "%sERROR %s", play->text.len ? " | " : "", h1_error_text(c.error));
    else if (!play->is_eof && !h1_is_idle(&c) && c.state != H1_STATE_RAW)
        buf_printf(&play->text, "%sMORE", play->text.len ? " | " : "");
    arena_deinit(&arena);
}
