/* See ask.h.
 *
 *     connect -> send -> receive until the message ends, the bound is reached, or time is up */
#include "app/objects/ask.h"

#include <errno.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "http/h1.h"

enum {
    ASK_US = 30 * 1000000,         /* for all of it */
    ASK_READ_BYTES = 65536,        /* at a time */
    ASK_OTHER_BYTES = 1024 * 1024, /* answers that are no list: the log, a refusal */
    ASK_ADDRESS_BYTES = 64,
    ASK_WHY_MAX = 400, /* bytes of a refusal that are told */
};

struct ask {
    int fd;
    uint64_t deadline_us;
    struct h1 codec;
    struct arena arena; /* of heads */
    struct buf in;
    struct ask_answer *answer;
    bool has_head; /* of the answer itself, after interim ones */
    bool is_done;
    const char *trouble; /* NULL: none */
};

/* What is left of the time, for the next call that may block. False: nothing. */
static bool ask_set_time(const struct ask *q)
{
    uint64_t now_us = clock_read().mono_us;
    uint64_t left_us = q->deadline_us > now_us ? q->deadline_us - now_us : 0;
    struct timeval left = {.tv_sec = (time_t)(left_us / 1000000),
                           .tv_usec = (suseconds_t)(left_us % 1000000)};

    return left_us > 0 && setsockopt(q->fd, SOL_SOCKET, SO_RCVTIMEO, &left, sizeof left) == 0 &&
           setsockopt(q->fd, SOL_SOCKET, SO_SNDTIMEO, &left, sizeof left) == 0;
}

static bool ask_fail(struct ask *q, const char *trouble)
{
    q->trouble = trouble;
    return false;
}

static const char *ask_error(int code)
{
    return code == EAGAIN || code == EINPROGRESS ? "it does not answer in time" : strerror(code);
}

static bool ask_connect(struct ask *q, const struct socket_address *to)
{
    q->fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (q->fd < 0 || !ask_set_time(q) ||
        connect(q->fd, (const struct sockaddr *)&to->address, to->len) < 0)
        return ask_fail(q, ask_error(errno));
    return true;
}

static bool ask_send(struct ask *q, struct str authority, const struct ask_question *question)
{
    struct http_request request = {.method = HTTP_METHOD_GET,
                                   .method_text = STR("GET"),
                                   .authority = authority,
                                   .path = question->path,
                                   .query = question->query.len > 0 ? question->query : STR_NULL,
                                   .minor_version = 1};
    struct buf out = {0};
    size_t n_sent = 0;

    http_headers_init(&request.headers, &q->arena);
    if (question->headers)
        request.headers = *question->headers;
    h1_format_request(&out, &request);
    while (n_sent < out.len && !q->trouble) {
        ssize_t n = send(q->fd, out.ptr + n_sent, out.len - n_sent, MSG_NOSIGNAL);

        if (n < 0)
            (void)ask_fail(q, ask_error(errno));
        else
            n_sent += (size_t)n;
    }
    mem_wipe(out.ptr, out.len); /* headers may be credentials */
    buf_deinit(&out);
    return !q->trouble;
}

static void ask_on_event(struct ask *q, const struct h1_event *event,
                         const struct http_response *response)
{
    if (event->type == H1_EVENT_HEAD) {
        q->answer->status = response->status;
        q->has_head = response->status >= 200;
    } else if (event->type == H1_EVENT_DATA) {
        if (q->answer->body.len + event->data.len > LIMIT_OBJECTS_BYTES + ASK_OTHER_BYTES)
            (void)ask_fail(q, "its answer is too large");
        else
            buf_append_str(&q->answer->body, event->data);
    } else if (event->type == H1_EVENT_END && q->has_head) {
        q->is_done = true;
    }
}

/* Everything that is whole of what has come. */
static void ask_parse(struct ask *q)
{
    struct str input = buf_str(&q->in);

    while (!q->is_done && !q->trouble) {
        struct http_response response = {0};
        struct h1_event event;

        arena_reset(&q->arena); /* interim heads may come without end */
        int r = h1_next(&q->codec, &input, &q->arena, NULL, &response, &event);

        if (r == H1_MORE)
            break;
        if (r != H1_EVENT)
            (void)ask_fail(q, "what answers there is no gateway's admin port");
        else
            ask_on_event(q, &event, &response);
    }
    buf_consume(&q->in, q->in.len - input.len);
}

static void ask_end_of_stream(struct ask *q)
{
    struct h1_event event;

    if (h1_eof(&q->codec, &event) == H1_EVENT && q->has_head)
        q->is_done = true;
    else
        (void)ask_fail(q, "it closed the connection before its answer was whole");
}

static bool ask_receive(struct ask *q)
{
    while (!q->is_done && !q->trouble) {
        ssize_t n;

        if (!ask_set_time(q))
            return ask_fail(q, ask_error(EAGAIN));
        n = recv(q->fd, buf_reserve(&q->in, ASK_READ_BYTES), ASK_READ_BYTES, 0);
        if (n < 0)
            return ask_fail(q, ask_error(errno));
        q->in.len += (size_t)n;
        if (n > 0)
            ask_parse(q);
        else
            ask_end_of_stream(q);
    }
    return !q->trouble;
}

int ask_admin(const struct socket_address *to, const struct ask_question *question,
              struct ask_answer *ret, struct buf *ret_why)
{
    static const struct h1_options options = {.is_client = true, .scheme = {"http", 4}};
    struct ask q = {.fd = -1, .deadline_us = clock_read().mono_us + ASK_US, .answer = ret};
    char authority[ASK_ADDRESS_BYTES];

    *ret = (struct ask_answer){0};
    socket_format_address((const struct sockaddr *)&to->address, authority, sizeof authority);
    arena_init(&q.arena, 4096);
    h1_init(&q.codec, &options);
    h1_expect_response_to(&q.codec, HTTP_METHOD_GET);
    if (!ask_connect(&q, to) || !ask_send(&q, str_of(authority), question) || !ask_receive(&q))
        buf_printf(ret_why, "no gateway answers at %s: %s", authority, q.trouble);
    if (q.fd >= 0)
        close(q.fd);
    buf_deinit(&q.in);
    arena_deinit(&q.arena);
    return q.trouble ? ASK_FAILED : 0;
}

/* A refusal is text; an older gateway may have no such endpoint. */
void ask_say_refusal(const struct ask_answer *answer, struct buf *out)
{
    struct str text = str_trim(str_slice(buf_str(&answer->body), 0, ASK_WHY_MAX));

    while (text.len > 0 && text.ptr[text.len - 1] == '\n')
        text.len--;
    buf_printf(out, "the gateway's admin port refused (%u): %.*s", answer->status, STR_ARG(text));
}
