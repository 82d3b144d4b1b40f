/* See peer.h. Scripts become bytes here. Ids cannot be guessed from the program, so that an answer
 * which carries one can have got it only from the request itself. */
#include "test/fuzz/exchange/peer.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "gateway/h2/websocket.h"
#include "http/path.h"

enum { PEER_READ_BYTES = 65536, PEER_EIGHTHS = 8 };

/* ---- bytes ---- */

static void peer_open(struct peer *p, int fd)
{
    *p = (struct peer){.fd = fd};
}

static void peer_deinit(struct peer *p)
{
    peer_close(p);
    buf_deinit(&p->out);
    buf_deinit(&p->later);
    buf_deinit(&p->in);
}

void peer_close(struct peer *p)
{
    if (p->fd < 0)
        return;
    p->has_left |= !p->is_over;
    close(p->fd);
    p->fd = -1;
}

void peer_shutdown(struct peer *p)
{
    if (p->fd < 0)
        return;
    p->has_left |= !p->is_over;
    shutdown(p->fd, SHUT_WR);
}

void peer_say(struct peer *p, struct str bytes)
{
    buf_append_str(&p->out, bytes);
}

void peer_say_parts(struct peer *p, struct str bytes, struct str id, unsigned parts)
{
    size_t n = parts == 0 ? bytes.len : bytes.len * parts / PEER_EIGHTHS;
    ssize_t at = id.len > 0 ? str_find(bytes, id) : -1;

    /* With what comes next it would be another one. */
    if (at >= 0 && n > (size_t)at && n < (size_t)at + id.len)
        n = (size_t)at + id.len;
    buf_append_str(&p->out, str_slice(bytes, 0, n));
    buf_clear(&p->later);
    buf_append_str(&p->later, str_slice(bytes, n, bytes.len));
}

void peer_go_on(struct peer *p)
{
    buf_append_str(&p->out, buf_str(&p->later));
    buf_clear(&p->later);
}

static void peer_send(struct peer *p)
{
    while (p->out.len > 0) {
        ssize_t n = send(p->fd, p->out.ptr, p->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n <= 0)
            break;
        buf_consume(&p->out, (size_t)n);
    }
}

static void peer_receive(struct peer *p)
{
    static char room[PEER_READ_BYTES];
    ssize_t n;

    while ((n = recv(p->fd, room, sizeof room, MSG_DONTWAIT)) > 0) {
        if (p->in.len + (size_t)n > PEER_KEPT_BYTES)
            p->is_truncated = true;
        else
            buf_append(&p->in, room, (size_t)n);
    }
    if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
        p->is_over = true;
}

void peer_move(struct peer *p)
{
    if (p->fd < 0)
        return;
    peer_send(p);
    if (!p->is_slow && !p->is_over)
        peer_receive(p);
}

/* ---- scripts ---- */

/* Bytes of `text` without its marks of chunks. */
static size_t script_length(struct str text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == '@' ? (size_t)SCRIPT_LONG_BYTES : 1;
    return n;
}

static void script_append_long(struct buf *out)
{
    memset(buf_reserve(out, SCRIPT_LONG_BYTES), 'x', SCRIPT_LONG_BYTES);
    out->len += SCRIPT_LONG_BYTES;
}

static void script_write(struct str text, struct str header, struct str agreement, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        struct str rest = str_slice(text, i + 1, text.len);

        switch (text.ptr[i]) {
        case '%':
            buf_append_str(out, header);
            break;
        case '~':
            buf_append_str(out, agreement);
            break;
        case '@':
            script_append_long(out);
            break;
        case '$':
            rest = str_slice(rest, (size_t)str_find(rest, STR("\r\n\r\n")) + 4, rest.len);
            buf_append_u64(out, script_length(rest));
            break;
        case '^':
            rest = str_slice(rest, 0, (size_t)str_find_char(rest, '|', 0));
            h1_format_chunk_size(out, script_length(rest));
            break;
        case '|':
            buf_append_str(out, STR("\r\n"));
            break;
        default:
            buf_append_char(out, text.ptr[i]);
        }
    }
}

static void peer_play(struct peer *p, struct str script, struct str header, struct str agreement,
                      unsigned parts)
{
    struct buf whole = {0};

    script_write(script, header, agreement, &whole);
    peer_say_parts(p, buf_str(&whole), header, parts);
    buf_deinit(&whole);
}

/* ---- clients ---- */

void fake_client_open(struct fake_client *c, unsigned number)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        UNREACHABLE();
    *c = (struct fake_client){.number = number, .next_stream = 1};
    peer_open(&c->peer, fds[0]);
    world_accept(&c->gateway, fds[1]);
}

void fake_client_leave(struct fake_client *c)
{
    for (unsigned i = 0; i < c->gateway.n_seen; i++)
        c->gateway.seen[i].is_due = c->gateway.seen[i].is_recorded && !c->peer.has_left;
    c->was_all_said = c->peer.out.len == 0 && c->peer.later.len == 0 && !c->peer.has_left &&
                      !c->peer.is_over && c->peer.fd >= 0;
    peer_close(&c->peer);
}

void fake_client_deinit(struct fake_client *c)
{
    peer_deinit(&c->peer);
}

/* Each differs from every other of the program, and no input can hold one by chance. */
static void client_make_id(const struct fake_client *c, char ret_id[WORLD_ID_BYTES])
{
    struct random r;

    random_init_seed(&r, UINT64_C(0x746f6c6c67617465) + c->number * 1000 + c->n_scripts);
    snprintf(ret_id, WORLD_ID_BYTES, "%015llx",
             (unsigned long long)random_u64(&r) & UINT64_C(0xfffffffffffffff));
}

void fake_client_play(struct fake_client *c, unsigned script, unsigned parts)
{
    char id[WORLD_ID_BYTES];
    char header[32];

    c->n_scripts++;
    c->has_spoken = true;
    c->is_garbled = true; /* if it speaks HTTP/2 */
    client_make_id(c, id);
    snprintf(header, sizeof header, "x-id: %s\r\n", id);
    peer_play(&c->peer, str_of(client_scripts[script % n_client_scripts]), str_of(header), STR(""),
              parts);
}

void fake_client_say(struct fake_client *c, struct str bytes)
{
    c->has_spoken = true;
    c->is_garbled = true;
    peer_say(&c->peer, bytes);
}

/* False: it speaks HTTP/1. */
static bool client_speaks_h2(struct fake_client *c)
{
    if (!c->has_spoken) {
        c->has_spoken = c->is_h2 = true;
        peer_say(&c->peer, STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        frames_append(&c->peer.out, FRAME_SETTINGS, 0, 0, STR(""));
    }
    return c->is_h2;
}

void fake_client_ask(struct fake_client *c, unsigned script, unsigned parts)
{
    struct buf whole = {0};
    char id[WORLD_ID_BYTES];

    if (!client_speaks_h2(c))
        return;
    c->is_garbled |= c->peer.later.len > 0;
    c->n_scripts++;
    client_make_id(c, id);
    script_request(&whole, script, c->next_stream, str_of(id));
    c->next_stream += 2;
    peer_say_parts(&c->peer, buf_str(&whole), str_of(id), parts);
    buf_deinit(&whole);
}

void fake_client_frame(struct fake_client *c, unsigned which, unsigned char stream)
{
    struct buf frame = {0};

    if (!client_speaks_h2(c))
        return;
    c->is_garbled |= c->peer.later.len > 0;
    script_frame(&frame, which, stream, STR(""));
    if (frame.ptr[3] == FRAME_RST_STREAM)
        c->has_reset[stream] = true;
    peer_say(&c->peer, buf_str(&frame));
    buf_deinit(&frame);
}

void fake_client_wake(struct fake_client *c)
{
    static const struct str increment = {"\x20\0\0\0", 4};

    c->peer.is_slow = false;
    if (!c->is_h2 || c->is_garbled || c->peer.later.len > 0)
        return;
    frames_append(&c->peer.out, FRAME_WINDOW_UPDATE, 0, 0, increment);
    for (uint32_t i = 1; i < c->next_stream; i += 2)
        frames_append(&c->peer.out, FRAME_WINDOW_UPDATE, 0, i, increment);
}

/* How much of an answer has come. */
enum coming {
    COMING_NOT,   /* no whole head of a final answer */
    COMING_PART,  /* less than it says */
    COMING_WHOLE, /* all of it */
    COMING_OPEN,  /* only the end of the connection ends it */
};

struct answers {
    struct h1 codec;
    struct arena arena;
    struct str input;
};

bool peer_is_same_id(struct str value, const char *id)
{
    size_t n = strlen(id);
    unsigned char differs = value.len != n;

    for (size_t i = 0; !differs && i < n; i++)
        differs |= (unsigned char)(value.ptr[i] ^ id[i]);
    return !differs;
}

static void check_head(const struct http_response *r, const struct seen *s)
{
    struct str echo = http_headers_value(&r->headers, STR("x-echo"));

    /* Whose answer it is. */
    ASSERT(!echo.ptr || peer_is_same_id(echo, s->id));
    ASSERT(s->is_recorded && s->is_head_sent && s->status == r->status);
}

/* Reads on to the end of the answer to `s`. Whatever comes to a client is valid HTTP. */
static enum coming read_answer(struct answers *a, const struct seen *s)
{
    struct http_response response = {.status = 100};
    enum coming coming = COMING_NOT;
    struct h1_event event;
    int r;

    h1_expect_response_to(&a->codec, s->method);
    while ((r = h1_next(&a->codec, &a->input, &a->arena, NULL, &response, &event)) == H1_EVENT) {
        bool is_final = response.status >= 200 || response.status == 101;

        if (event.type == H1_EVENT_HEAD && is_final) {
            check_head(&response, s);
            coming = response.status == 101 || response.body == HTTP_BODY_UNTIL_CLOSE ? COMING_OPEN
                                                                                      : COMING_PART;
        } else if (event.type == H1_EVENT_END && is_final) {
            return COMING_WHOLE;
        }
    }
    ASSERT(r == H1_MORE);
    return coming;
}

/* A first line of no protocol, a broken preface of HTTP/2 (505 where its own line is whole): it is
 * recorded, and not answered. */
static bool is_closed_unanswered(const struct fake_client *c, const struct seen *s)
{
    return s == &c->gateway.seen[0] && (s->status == 400 || s->status == 505) && c->is_garbled &&
           c->peer.in.len == 0;
}

static void check_answer(const struct fake_client *c, const struct seen *s, enum coming coming)
{
    /* Did the client stay for all of it, and the gateway end in good order? */
    bool is_orderly = !c->peer.has_left && !c->gateway.is_aborted;

    ASSERT(s->is_recorded);
    if (coming == COMING_WHOLE || (coming == COMING_OPEN && is_orderly && c->peer.is_over))
        ASSERT(!s->is_broken);
    if ((coming == COMING_NOT || coming == COMING_PART) && !world_is_stopped() &&
        !is_closed_unanswered(c, s))
        ASSERT(s->is_broken || !s->is_head_sent || !s->is_due || c->gateway.is_aborted);
}

void fake_client_check(const struct fake_client *c)
{
    static const struct h1_options options = {.is_client = true, .allows_underscore = true};
    struct answers a = {.input = buf_str(&c->peer.in)};
    enum coming coming = COMING_WHOLE;

    /* A frame of HTTP/2, whose length is small, and no status line: the program began so. */
    bool is_frames = a.input.len > 0 && a.input.ptr[0] == '\0';

    if (c->peer.is_truncated)
        return;
    if (c->is_h2 || is_frames) {
        h2_client_check(c);
        return;
    }
    arena_init(&a.arena, 16384);
    h1_init(&a.codec, &options);
    for (unsigned i = 0; i < c->gateway.n_seen; i++) {
        /* One by one: behind an answer that is not whole there is none. */
        if (coming == COMING_WHOLE)
            coming = read_answer(&a, &c->gateway.seen[i]);
        else
            coming = COMING_NOT;
        check_answer(c, &c->gateway.seen[i], coming);
        if (coming == COMING_OPEN)
            break;
    }
    if (coming == COMING_WHOLE && c->gateway.n_seen < WORLD_SEEN_MAX)
        ASSERT(a.input.len == 0);
    arena_deinit(&a.arena);
}

/* ---- backends ---- */

void fake_backend_open(struct fake_backend *b, int fd)
{
    static const struct h1_options options = {.allows_underscore = true, .scheme = {"http", 4}};
    int n_bytes = WORLD_SOCKET_BYTES;

    *b = (struct fake_backend){0};
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &n_bytes, sizeof n_bytes);
    peer_open(&b->peer, fd);
    h1_init(&b->codec, &options);
    arena_init(&b->arena, 16384);
}

void fake_backend_deinit(struct fake_backend *b)
{
    peer_deinit(&b->peer);
    frames_deinit(&b->frames);
    arena_deinit(&b->arena);
}

void fake_backend_play(struct fake_backend *b, unsigned script, unsigned parts)
{
    struct str text = str_of(backend_scripts[script % n_backend_scripts]);
    char header[32] = "";

    /* Only where it is certain whose answer this will be: one that came too early counts too. */
    if (str_find_char(text, '%', 0) >= 0) {
        if (b->id[0] && !b->is_unread && b->n_requests == b->n_answers + 1)
            snprintf(header, sizeof header, "x-echo: %s\r\n", b->id);
        b->n_answers++;
    }
    if (str_starts_with(text, STR("HTTP/1.1 101")))
        b->is_unread = true;
    b->is_garbled = true; /* if it speaks HTTP/2 */
    peer_play(&b->peer, text, str_of(header), str_of(b->agreement), parts);
}

/* As a backend that speaks WebSocket does. */
static void backend_agree(struct fake_backend *b, const struct http_request *q)
{
    struct http_response r = {.status = 101};

    http_headers_init(&r.headers, &b->arena);
    b->agreement[0] = '\0';
    if (websocket_agree(q, &r) && r.headers.n == 1)
        snprintf(b->agreement, sizeof b->agreement, "%.*s: %.*s\r\n",
                 STR_ARG(r.headers.items[0].name), STR_ARG(r.headers.items[0].value));
}

static void check_request(struct fake_backend *b, const struct http_request *q)
{
    struct str id = http_headers_value(&q->headers, STR("x-id"));
    struct str path;

    /* What was judged is what came, and nothing of what only the gateway may say. */
    ASSERT(str_eq(q->path, STR("*")) ||
           (path_normalize(q->path, &b->arena, &path) == 0 && str_eq(path, q->path)));
    ASSERT(!http_headers_find(&q->headers, STR("x-api-key")));
    snprintf(b->id, sizeof b->id, "%.*s", STR_ARG(id));
    b->n_requests++;
    backend_agree(b, q);
}

void fake_backend_say(struct fake_backend *b, struct str bytes)
{
    b->is_unread = b->is_garbled = true;
    peer_say(&b->peer, bytes);
}

void fake_backend_frame(struct fake_backend *b, unsigned which, unsigned char stream)
{
    struct frames_message *m = b->is_h2 ? frames_find(&b->frames, stream) : NULL;
    struct buf frame = {0};

    b->is_unread |= b->n_requests > 0 || b->peer.in.len > 0;
    b->has_framed = true;
    b->is_garbled |= b->peer.later.len > 0;
    script_frame(&frame, which, stream, str_of(m && !b->is_garbled ? m->id : ""));
    peer_say(&b->peer, buf_str(&frame));
    buf_deinit(&frame);
}

/* A connection of HTTP/2 begins here; false: it does not, or the rest of its preface is to come. */
static bool backend_begins_h2(struct fake_backend *b)
{
    static const struct str preface = {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24};

    if (b->is_unread || b->n_requests > 0 || !str_starts_with(buf_str(&b->peer.in), preface))
        return false;
    buf_consume(&b->peer.in, preface.len);
    b->is_h2 = true;
    frames_init(&b->frames, true);
    return true;
}

static void backend_read_frames(struct fake_backend *b)
{
    struct str input = buf_str(&b->peer.in);

    frames_read(&b->frames, &input);
    buf_consume(&b->peer.in, b->peer.in.len - input.len);
}

/* Whatever comes to a backend is valid HTTP. */
void fake_backend_move(struct fake_backend *b)
{
    struct http_request request;
    struct h1_event event;
    int r = H1_MORE;

    peer_move(&b->peer);
    if (b->is_h2 || backend_begins_h2(b)) {
        backend_read_frames(b);
        return;
    }
    struct str input = buf_str(&b->peer.in);

    b->is_unread |= b->has_framed && input.len > 0;
    while (!b->is_unread &&
           (r = h1_next(&b->codec, &input, &b->arena, &request, NULL, &event)) == H1_EVENT) {
        if (event.type == H1_EVENT_HEAD)
            check_request(b, &request);
        else if (event.type == H1_EVENT_END)
            arena_reset(&b->arena);
    }
    /* A request of HTTP/1.0 may name no host, and goes on as such (RFC 9112 3.2). */
    ASSERT(b->is_unread || r == H1_MORE || b->codec.error == H1_ERROR_BAD_HOST);
    b->is_unread |= r == H1_ERROR;
    buf_consume(&b->peer.in, b->peer.in.len - input.len);
    if (b->is_unread)
        buf_clear(&b->peer.in);
}
