/* Fuzz target of the HTTP/2 codec. The first byte says what to play: bit 7 the peer is a server
 * (and one request waits for its answer), bit 6 a malformed message ends the connection, bit 5
 * WebSocket is taken, bit 4 content stays unused, the rest where to cut. The peer's preface is put
 * before its bytes. Beyond not crashing:
 *   - what is told is the same however the bytes are cut;
 *   - streams, heads, trailers and content that waits stay within their bounds;
 *   - a request or answer that is told, written as one of HTTP/1, reads the same: nothing is
 *     injected on the way down. */
#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "http/h1_play.h"
#include "http/h2.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { N_STREAMS = 8, WINDOW_BYTES = 65535, FLAG_SERVER = 0x80, FLAG_ENDS = 0x40 };
enum { FLAG_WEBSOCKET = 0x20, FLAG_KEEPS = 0x10, MASK_CUT = 0x0f };

struct fuzz_stream {
    struct h2_stream h2;
    struct arena arena, tail;
    struct http_request request;
    struct http_response response;
    struct buf text; /* what was told of it */
    struct buf data; /* of a message that is cut off, how much of it is told depends on the cut */
    bool is_used;
};

struct fuzz {
    struct h2 h2;
    struct h2_options options;
    bool keeps;
    struct fuzz_stream streams[N_STREAMS];
    uint64_t n_kept;
    struct buf text; /* of the streams that have ended, in their order */
};

static struct fuzz_stream *stream_of(struct h2_stream *s)
{
    return CONTAINER_OF(s, struct fuzz_stream, h2);
}

static struct fuzz *fuzz_of(struct h2_stream *s)
{
    return CONTAINER_OF(s->h2, struct fuzz, h2);
}

static struct fuzz_stream *fuzz_stream_new(struct fuzz *f)
{
    for (int i = 0; i < N_STREAMS; i++) {
        struct fuzz_stream *t = &f->streams[i];

        if (t->is_used)
            continue;
        *t = (struct fuzz_stream){.is_used = true};
        arena_init(&t->arena, 4096);
        arena_init(&t->tail, 1024);
        t->h2.arena = &t->arena;
        t->h2.tail = &t->tail;
        t->h2.request = &t->request;
        t->h2.response = &t->response;
        return t;
    }
    return NULL;
}

static void check_headers(const struct http_headers *headers)
{
    ASSERT(headers->n <= LIMIT_HEADER_COUNT + 1); /* a joined cookie comes on top */
    for (unsigned i = 0; i < headers->n; i++) {
        struct str name = headers->items[i].name, value = headers->items[i].value;

        ASSERT(name.len > 0 && name.ptr[0] != ':');
        for (size_t k = 0; k < name.len; k++)
            ASSERT(name.ptr[k] > ' ' && name.ptr[k] != ':' && name.ptr[k] != 0x7f &&
                   !(name.ptr[k] >= 'A' && name.ptr[k] <= 'Z'));
        for (size_t k = 0; k < value.len; k++)
            ASSERT(value.ptr[k] != '\r' && value.ptr[k] != '\n' && value.ptr[k] != '\0');
    }
}

/* Written as HTTP/1 and read again. */
static void check_downgrade(struct fuzz_stream *t, bool is_response)
{
    struct h1_play first = {.options = {.is_client = is_response,
                                        .allows_underscore = true,
                                        .scheme = STR("http"),
                                        .head_bytes_limit = 4 * LIMIT_HEAD_BYTES}};
    struct h1_play second = {.options = first.options};
    struct http_request q = t->request;
    struct http_response r = t->response;
    struct h1_event event;
    struct buf bytes = {0};
    struct arena arena;
    struct h1 c;

    if (q.headers.n > LIMIT_HEADER_COUNT - 8 || r.headers.n > LIMIT_HEADER_COUNT - 8)
        return; /* those that HTTP/1 needs besides have no place */
    q.is_keep_alive = r.is_keep_alive = true;
    q.expects_continue = false;
    if (q.upgrade.len > 0)
        q.has_te_trailers = false; /* an upgrade takes its place */
    r.reason = STR("x");
    arena_init(&arena, 16384);
    h1_init(&c, &first.options);
    h1_expect_response_to(&c, HTTP_METHOD_GET);
    if (is_response) {
        h1_play_response(&first, &r);
        h1_format_response(&bytes, &r, true);
    } else {
        h1_play_request(&first, &q);
        h1_format_request(&bytes, &q);
    }
    struct str input = buf_str(&bytes);

    ASSERT(h1_next(&c, &input, &arena, &q, &r, &event) == H1_EVENT);
    ASSERT(event.type == H1_EVENT_HEAD && input.len == 0);
    q.is_keep_alive = r.is_keep_alive = true;
    if (is_response)
        h1_play_response(&second, &r);
    else
        h1_play_request(&second, &q);
    ASSERT(str_eq(buf_str(&first.text), buf_str(&second.text)));
    buf_deinit(&first.text);
    buf_deinit(&second.text);
    buf_deinit(&bytes);
    arena_deinit(&arena);
}

static struct h2_stream *on_open(struct h2 *h)
{
    struct fuzz_stream *t = fuzz_stream_new(CONTAINER_OF(h, struct fuzz, h2));

    return t ? &t->h2 : NULL;
}

static void on_head(struct h2_stream *s)
{
    struct fuzz_stream *t = stream_of(s);
    struct h1_play play = {0};
    bool is_client = s->h2->options.is_client;

    ASSERT(s->h2->n_streams <= N_STREAMS);
    if (s->error != H1_ERROR_NONE) {
        buf_printf(&t->text, "BAD %s|", h1_error_text(s->error));
        return;
    }
    check_headers(is_client ? &t->response.headers : &t->request.headers);
    if (is_client)
        h1_play_response(&play, &t->response);
    else
        h1_play_request(&play, &t->request);
    buf_append_str(&t->text, buf_str(&play.text));
    buf_append_char(&t->text, '|');
    buf_deinit(&play.text);
    /* Interim heads, and bodies of which HTTP/1 tells the length another way, are not passed on. */
    if (!is_client || (t->response.status >= 200 && t->response.status != 204 &&
                       t->response.status != 304 && t->response.body != HTTP_BODY_NONE))
        check_downgrade(t, is_client);
}

static void on_data(struct h2_stream *s, struct str span)
{
    struct fuzz_stream *t = stream_of(s);
    struct fuzz *f = fuzz_of(s);

    buf_append_str(&t->data, span);
    f->n_kept += span.len;
    ASSERT(s->n_unconsumed <= WINDOW_BYTES && f->n_kept <= (uint64_t)WINDOW_BYTES * N_STREAMS);
    if (f->keeps)
        return;
    f->n_kept -= s->n_unconsumed;
    h2_consume(s, s->n_unconsumed);
}

static void on_end(struct h2_stream *s, const struct http_headers *trailers)
{
    struct fuzz_stream *t = stream_of(s);

    buf_append_str(&t->text, buf_str(&t->data));
    if (trailers) {
        check_headers(trailers);
        for (unsigned i = 0; i < trailers->n; i++)
            buf_printf(&t->text, "|[%.*s: %.*s]", STR_ARG(trailers->items[i].name),
                       STR_ARG(trailers->items[i].value));
    }
    buf_printf(&t->text, "|END");
}

static void on_room(struct h2_stream *s UNUSED)
{
}

static void fuzz_stream_end(struct fuzz *f, struct fuzz_stream *t)
{
    buf_printf(&f->text, "%d ", t->h2.id);
    buf_append_str(&f->text, buf_str(&t->text));
    buf_append_char(&f->text, '\n');
    buf_deinit(&t->text);
    buf_deinit(&t->data);
    buf_deinit(&t->h2.pending);
    arena_deinit(&t->arena);
    arena_deinit(&t->tail);
    t->is_used = false;
}

static struct fuzz *current; /* s->h2 is NULL by then */

static void on_close(struct h2_stream *s, uint32_t code UNUSED)
{
    current->n_kept -= MIN(current->n_kept, s->n_unconsumed);
    fuzz_stream_end(current, stream_of(s));
}

static const struct h2_events events = {.on_open = on_open,
                                        .on_head = on_head,
                                        .on_data = on_data,
                                        .on_end = on_end,
                                        .on_room = on_room,
                                        .on_close = on_close};

/* A client has asked for something; its head is out before the peer says anything. */
static void fuzz_ask(struct fuzz *f)
{
    struct fuzz_stream *t = fuzz_stream_new(f);
    struct http_request q = {.method_text = STR("POST"),
                             .scheme = STR("http"),
                             .authority = STR("a"),
                             .path = STR("/"),
                             .body = HTTP_BODY_CHUNKED};
    struct buf out = {0};
    bool is_on;

    http_headers_init(&q.headers, &t->arena);
    is_on = h2_request(&f->h2, &t->h2, &q) == 0;
    ASSERT(is_on);
    h2_send(&t->h2, STR("content"));
    is_on = h2_output(&f->h2, &out, SIZE_MAX);
    ASSERT(is_on);
    buf_deinit(&out);
}

/* Whoever still waits is answered. */
static void fuzz_answer(struct fuzz *f)
{
    struct http_response r = {.status = 200, .body = HTTP_BODY_CHUNKED};
    struct buf out = {0};
    bool is_on;

    for (int i = 0; i < N_STREAMS && !f->h2.options.is_client; i++) {
        struct fuzz_stream *t = &f->streams[i];

        if (!t->is_used || !t->h2.has_head)
            continue;
        http_headers_init(&r.headers, &t->arena);
        h2_respond(&t->h2, &r);
        h2_send(&t->h2, STR("answer"));
        h2_send_end(&t->h2, NULL);
        h2_finish(&t->h2);
    }
    is_on = h2_output(&f->h2, &out, SIZE_MAX);
    ASSERT(out.len > 0 || !is_on || f->h2.options.is_client);
    buf_deinit(&out);
}

/* What was told, with the bytes cut at `cut`; 0: into single ones. */
static struct buf fuzz_run(uint8_t flags, struct str bytes, size_t cut)
{
    struct fuzz *f = MEM_NEW(struct fuzz);
    struct h2_options options = {.is_client = flags & FLAG_SERVER,
                                 .allows_underscore = true,
                                 .takes_websockets = flags & FLAG_WEBSOCKET,
                                 .ends_on_invalid = flags & FLAG_ENDS,
                                 .n_streams_max = N_STREAMS,
                                 .stream_window = WINDOW_BYTES,
                                 .scheme = STR("http")};
    struct buf text;
    bool is_on;

    current = f;
    f->keeps = flags & FLAG_KEEPS;
    is_on = h2_init(&f->h2, &options, &events) == 0;
    ASSERT(is_on);
    if (options.is_client)
        fuzz_ask(f);
    for (size_t start = 0, end; is_on && start < bytes.len; start = end) {
        struct buf piece = {0}; /* of its own, so that a sanitizer sees a read past it */

        end = cut == 0 ? start + 1 : start < cut && cut < bytes.len ? cut : bytes.len;
        buf_append_str(&piece, str_slice(bytes, start, end));
        is_on = h2_input(&f->h2, buf_str(&piece));
        buf_deinit(&piece);
    }
    for (int i = 0; i < N_STREAMS; i++) {
        if (f->streams[i].is_used)
            buf_printf(&f->text, "%d %.*s\n", f->streams[i].h2.id,
                       STR_ARG(buf_str(&f->streams[i].text)));
    }
    text = f->text;
    f->text = (struct buf){0};
    fuzz_answer(f);
    for (int i = 0; i < N_STREAMS; i++) {
        if (f->streams[i].is_used)
            fuzz_stream_end(f, &f->streams[i]);
    }
    h2_deinit(&f->h2);
    buf_deinit(&f->text);
    mem_free(f);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    struct buf input = {0};
    struct buf whole, cut;

    if (size == 0)
        return 0;
    if (!(bytes[0] & FLAG_SERVER))
        buf_append_str(&input, STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    buf_append(&input, settings, sizeof settings);
    buf_append(&input, bytes + 1, size - 1);
    whole = fuzz_run(bytes[0], buf_str(&input), input.len);
    cut = fuzz_run(bytes[0], buf_str(&input), input.len * (bytes[0] & MASK_CUT) / (MASK_CUT + 1));
    ASSERT(str_eq(buf_str(&whole), buf_str(&cut)));
    buf_deinit(&whole);
    buf_deinit(&cut);
    buf_deinit(&input);
    return 0;
}
