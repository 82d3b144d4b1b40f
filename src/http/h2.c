/* See h2.h. nghttp2 keeps the state of frames, windows and compression, and refuses what RFC 9113
 * calls an error of protocol; this file turns its callbacks into events and bounds what it leaves
 * open. Windows are opened by the owner alone (h2_consume), so that whoever does not read is not
 * sent to. Content goes from `pending` into the output without another copy. */
#include "http/h2.h"

#include <errno.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/limits.h"
#include "http/h2_internal.h"

enum {
    H2_FORGIVEN = 100,      /* glitches a second */
    H2_FORGIVEN_SERVED = 2, /* for a stream that came to its end */
    H2_PACES_OF_FRAME = 4,  /* PINGs and WINDOW_UPDATEs that go with a frame of content */
    H2_FRAME_HEAD_BYTES = 9,
    H2_FIELD_BYTES = 32,        /* that a field counts beside its own (RFC 9113 6.5.2) */
    H2_WINDOW_SMALL = 64,       /* bytes; who opens windows by less makes a frame of each word */
    H2_FRAME_BYTES = 16384,     /* what a peer may put in one */
    H2_CONTINUATIONS = 4,       /* of one head, beyond those that it fills */
    H2_HEADS_OUT = 4,           /* LIMIT_HEAD_BYTES of an answer's head, however it is written */
    H2_CONNECTION_WINDOWS = 16, /* streams that can send at full speed at once */
    H2_ACKS_WAITING = 64,       /* answers to SETTINGS and PING that the peer does not take */
    H2_RESETS_OF_LIBRARY = 1 << 20, /* not reached */
    H2_SETTINGS_OURS = 4,
    H2_SETTINGS_MAX = 32, /* entries of one SETTINGS frame */
    H2_HEADS_READ = 4,    /* times the head's bound: what is read, to be told 431 */
};

/* ---- floods ---- */

/* The reason goes out with the next output. Without memory for it none does. */
static void h2_terminate(struct h2 *h, enum h2_code code)
{
    if (h->is_failed)
        return;
    nghttp2_session_terminate_session(h->session, code);
    h->is_failed = true;
    h->is_flooded = code == H2_ENHANCE_YOUR_CALM;
}

bool h2_note(struct h2 *h, enum h2_glitch glitch)
{
    static const uint32_t weights[] = {
        [H2_GLITCH_RESET] = 4,  [H2_GLITCH_CANCEL] = 1, [H2_GLITCH_INVALID] = 4,
        [H2_GLITCH_LARGE] = 32, [H2_GLITCH_EMPTY] = 1,  [H2_GLITCH_CONTROL] = 1,
        [H2_GLITCH_PACE] = 1,
    };

    if (glitch == H2_GLITCH_PACE && h->n_moved > 0) {
        h->n_moved--;
        return true;
    }
    h->n_glitches += weights[glitch];
    if (h->n_glitches <= LIMIT_H2_GLITCHES)
        return true;
    h2_terminate(h, H2_ENHANCE_YOUR_CALM);
    return false;
}

/* A byte can name an entry of the compression's table that is thousands of bytes long, again and
 * again (an HPACK bomb): what is not kept still takes time. False: the connection ends. */
static bool h2_note_field(struct h2 *h, size_t n_bytes)
{
    h->n_section_bytes += n_bytes + H2_FIELD_BYTES;
    if (!h->is_failed && h->n_section_bytes <= (size_t)h->options.head_bytes_limit * H2_HEADS_READ)
        return true;
    h2_terminate(h, H2_ENHANCE_YOUR_CALM);
    return false;
}

static void h2_forgive_some(struct h2 *h, uint32_t n)
{
    h->n_glitches -= MIN(h->n_glitches, n);
}

void h2_forgive(struct h2 *h)
{
    h2_forgive_some(h, H2_FORGIVEN);
}

/* A frame with a head or content, in either direction. Readers of small messages acknowledge each,
 * and gRPC measures the line with a PING for each. */
static void h2_note_moved(struct h2 *h)
{
    h->n_moved = MIN(h->n_moved + H2_PACES_OF_FRAME, (uint32_t)LIMIT_H2_GLITCHES);
}

/* ---- callbacks ---- */

static struct h2_stream *h2_stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* Of ours (client) or of the peer's (server), its head to come. */
static void h2_open(struct h2 *h, struct h2_stream *s, int32_t id)
{
    s->h2 = h;
    s->id = id;
    h->n_streams++;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct h2 *h = context;
    struct h2_stream *s = h2_stream_of(session, frame->hd.stream_id);

    h->n_section_bytes = 0;
    /* What follows in the same read is not looked at, whatever it would have done in the next. */
    if (h->is_failed || h->has_left)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (!s && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        s = h->events->on_open(h);
        if (!s) {
            nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                      H2_REFUSED_STREAM);
            return 0;
        }
        h2_open(h, s, frame->hd.stream_id);
        nghttp2_session_set_stream_user_data(session, s->id, s);
    }
    if (!s || s->is_reset)
        return 0;
    if (!s->has_head) {
        h2_head_begin(s);
    } else {
        s->has_trailers = true;
        s->n_head_bytes = 0;
        http_headers_init(&s->trailers, s->tail);
    }
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags UNUSED,
                     void *context)
{
    struct h2_stream *s = h2_stream_of(session, frame->hd.stream_id);
    struct str n = str_make((const char *)name, name_len);
    struct str v = str_make((const char *)value, value_len);

    if (!h2_note_field(context, name_len + value_len))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (!s || s->is_reset)
        return 0;
    if (s->has_head)
        h2_trailer_field(s, n, v);
    else
        h2_head_field(s, n, v);
    return 0;
}

/* nghttp2 would pass over what is no header by RFC 9113 8.2.1: here the message is malformed. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_len, const uint8_t *value UNUSED,
                             size_t value_len, uint8_t flags UNUSED, void *context)
{
    struct h2_stream *s = h2_stream_of(session, frame->hd.stream_id);

    (void)name;
    if (s && s->error == H1_ERROR_NONE)
        s->error = s->has_head ? H1_ERROR_BAD_TRAILER : H1_ERROR_BAD_HEADER;
    if (!h2_note_field(context, name_len + value_len) || !h2_note(context, H2_GLITCH_INVALID))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return 0;
}

static void h2_peer_done(struct h2_stream *s)
{
    s->is_peer_done = true;
    s->h2->events->on_end(s, s->has_trailers ? &s->trailers : NULL);
}

static void h2_take_head(struct h2_stream *s, bool is_last)
{
    h2_head_end(s, is_last);
    if (s->error == H1_ERROR_HEAD_TOO_LARGE && !h2_note(s->h2, H2_GLITCH_LARGE))
        return;
    if (s->h2->options.is_client) {
        if (s->error != H1_ERROR_NONE) {
            h2_reset(s, H2_PROTOCOL_ERROR);
            return;
        }
        s->has_head = s->response->status >= 200;
    } else {
        s->has_head = true;
    }
    s->h2->events->on_head(s);
}

static void h2_on_headers(struct h2_stream *s, const nghttp2_frame *frame)
{
    struct h2 *h = s->h2;
    bool is_last = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

    if (!s->has_head) {
        h2_take_head(s, is_last);
    } else if (s->error == H1_ERROR_BAD_TRAILER) {
        h2_reset(s, H2_PROTOCOL_ERROR);
        return;
    }
    /* The events may have ended the stream. */
    if (is_last && s->h2 == h && s->has_head)
        h2_peer_done(s);
}

/* What one head's frames can hold, and some. */
static uint32_t h2_continuations_max(const struct h2 *h)
{
    return h->options.head_bytes_limit / H2_FRAME_BYTES + H2_CONTINUATIONS;
}

/* Streams are opened in the order of their numbers (RFC 9113 5.1.1). A lower one may be a stream
 * that has ended: only of one that was passed over is it certain that it never was. */
static void h2_judge_id(struct h2 *h, int32_t id)
{
    if (id > h->last_id) {
        if (id > h->last_id + 2) {
            h->gap_first = h->last_id + 1;
            h->gap_last = id - 1;
        }
        h->last_id = id;
    } else if (h->gap_first <= id && id <= h->gap_last) {
        h2_terminate(h, H2_PROTOCOL_ERROR);
    }
}

static int on_begin_frame(nghttp2_session *session UNUSED, const nghttp2_frame_hd *hd,
                          void *context)
{
    struct h2 *h = context;

    if (hd->type == NGHTTP2_HEADERS) {
        h->n_continuations = 0;
        if (!h->options.is_client)
            h2_judge_id(h, hd->stream_id);
    } else if (hd->type == NGHTTP2_CONTINUATION && ++h->n_continuations > h2_continuations_max(h)) {
        h2_terminate(h, H2_ENHANCE_YOUR_CALM);
    }
    return 0;
}

/* Frames that move nothing. */
static void h2_judge_frame(struct h2 *h, const nghttp2_frame *frame)
{
    switch (frame->hd.type) {
    case NGHTTP2_DATA:
        /* With nothing in it but padding, perhaps. */
        if (frame->hd.length > frame->data.padlen)
            h2_note_moved(h);
        else if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
            h2_note(h, H2_GLITCH_EMPTY);
        break;
    case NGHTTP2_HEADERS:
        h2_note_moved(h);
        break;
    case NGHTTP2_WINDOW_UPDATE:
        if (frame->window_update.window_size_increment < H2_WINDOW_SMALL)
            h2_note(h, H2_GLITCH_PACE);
        break;
    case NGHTTP2_SETTINGS:
        if (!(frame->hd.flags & NGHTTP2_FLAG_ACK)) {
            h->is_settled = true;
            h2_note(h, H2_GLITCH_CONTROL);
        }
        break;
    case NGHTTP2_PING:
        if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
            h2_note(h, H2_GLITCH_PACE);
        else if (h->n_pings > 0)
            h->n_pings--;
        else
            h2_note(h, H2_GLITCH_CONTROL);
        break;
    case NGHTTP2_PRIORITY:
        h2_note(h, H2_GLITCH_CONTROL);
        break;
    case NGHTTP2_RST_STREAM:
        if (!h2_stream_of(h->session, frame->hd.stream_id))
            h2_note(h, H2_GLITCH_CANCEL);
        break;
    case NGHTTP2_GOAWAY:
        h->is_going_away = true;
        h->has_left |= !h->options.is_client && !nghttp2_session_want_read(h->session);
        h2_note(h, H2_GLITCH_CONTROL);
        break;
    default:
        break;
    }
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct h2 *h = context;
    struct h2_stream *s = h2_stream_of(session, frame->hd.stream_id);

    h2_judge_frame(h, frame);
    if (!s || h->is_failed || s->is_reset)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        h2_on_headers(s, frame);
    else if (frame->hd.type == NGHTTP2_DATA && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        h2_peer_done(s);
    return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error UNUSED,
                            void *context)
{
    struct h2_stream *s = h2_stream_of(session, frame->hd.stream_id);

    if (s && s->error == H1_ERROR_NONE)
        s->error = H1_ERROR_BAD_HEADER;
    h2_note(context, H2_GLITCH_INVALID);
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags UNUSED, int32_t id,
                         const uint8_t *data, size_t len, void *context)
{
    struct h2 *h = context;
    struct h2_stream *s = h2_stream_of(session, id);

    bool is_wanted = s && !h->is_failed && !s->is_reset;

    /* From a server everything is taken off the connection's window at once: a stream that nobody
     * reads holds its own window, and not that of the others. */
    if (!is_wanted || h->options.is_client)
        nghttp2_session_consume_connection(session, len);
    if (!is_wanted)
        return 0;
    s->n_unconsumed += len;
    h->events->on_data(s, str_make((const char *)data, len));
    return 0;
}

/* Either side's reset: what counts is that work was begun and thrown away, under whatever code. */
static void h2_judge_end(struct h2 *h, const struct h2_stream *s, uint32_t code)
{
    if (h->options.is_client || s->is_excused)
        return;
    if (code == H2_NO_ERROR && s->is_end_sent)
        h2_forgive_some(h, H2_FORGIVEN_SERVED);
    else
        h2_note(h, s->is_answered ? H2_GLITCH_CANCEL : H2_GLITCH_RESET);
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *context)
{
    struct h2 *h = context;
    struct h2_stream *s = h2_stream_of(session, id);

    if (!s)
        return 0;
    h2_judge_end(h, s, code);
    if (s->n_unconsumed > 0 && !h->options.is_client)
        nghttp2_session_consume_connection(session, s->n_unconsumed);
    h->n_streams--;
    s->h2 = NULL;
    buf_deinit(&s->pending);
    s->n_gone = 0;
    h->events->on_close(s, code);
    return 0;
}

/* ---- content on its way out ---- */

static void h2_end_if_finished(struct h2_stream *s)
{
    if (s->is_finished && s->is_end_sent && !s->is_peer_done)
        h2_reset(s, H2_NO_ERROR);
}

/* What is malformed, whatever part of a message it is in, makes a stream end so (RFC 9113 8.1.1).
 */
static void h2_judge_reset(struct h2 *h, const nghttp2_frame *frame)
{
    if (h->options.ends_on_invalid && frame->rst_stream.error_code == H2_PROTOCOL_ERROR)
        h2_terminate(h, H2_PROTOCOL_ERROR);
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    struct h2_stream *s = h2_stream_of(session, frame->hd.stream_id);
    bool may_end = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;

    if (frame->hd.type == NGHTTP2_RST_STREAM)
        h2_judge_reset(context, frame);
    if (frame->hd.type == NGHTTP2_HEADERS ||
        (frame->hd.type == NGHTTP2_DATA && frame->hd.length > 0))
        h2_note_moved(context);
    if (!s || !may_end || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    s->is_end_sent = true;
    h2_end_if_finished(s);
    return 0;
}

static ssize_t on_source_read(nghttp2_session *session, int32_t id, uint8_t *room UNUSED,
                              size_t cap, uint32_t *flags, nghttp2_data_source *source,
                              void *context UNUSED)
{
    struct h2_stream *s = source->ptr;
    size_t n_left = h2_n_pending(s);
    size_t n = MIN(cap, n_left);

    if (n == 0 && !s->is_done)
        return NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (s->is_done && n == n_left) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->last_headers && s->last_headers->n > 0) {
            nghttp2_nv *fields;
            size_t n_fields = h2_fields_of_trailers(s->last_headers, &s->h2->scratch, &fields);

            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            if (nghttp2_submit_trailer(session, id, fields, n_fields) != 0)
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
            arena_reset(&s->h2->scratch);
        }
    }
    return (ssize_t)n;
}

/* What is left is moved when that is less than what has gone: a body that was held as a whole is
 * many frames, and none of them moves all the others. */
static void h2_drop(struct h2_stream *s, size_t n)
{
    s->n_gone += n;
    if (s->n_gone < s->pending.len && s->n_gone < LIMIT_PIPE_HIGH_BYTES)
        return;
    if (h2_n_pending(s) > s->n_gone)
        return;
    buf_consume(&s->pending, s->n_gone);
    s->n_gone = 0;
    if (s->pending.len == 0 && s->pending.cap > 2 * LIMIT_PIPE_HIGH_BYTES)
        buf_deinit(&s->pending);
}

static int on_send_data(nghttp2_session *session UNUSED, nghttp2_frame *frame UNUSED,
                        const uint8_t *head, size_t n, nghttp2_data_source *source, void *context)
{
    struct h2 *h = context;
    struct h2_stream *s = source->ptr;

    if (h->out->len >= h->out_limit)
        return NGHTTP2_ERR_WOULDBLOCK;
    ASSERT(n <= h2_n_pending(s));
    buf_append(h->out, head, H2_FRAME_HEAD_BYTES);
    if (n > 0) /* perhaps of no memory at all */
        buf_append(h->out, s->pending.ptr + s->n_gone, n);
    h2_drop(s, n);
    if (s->is_finished || (s->was_full && h2_n_pending(s) <= LIMIT_PIPE_HIGH_BYTES / 2)) {
        s->was_full = false;
        h->events->on_room(s);
    }
    return 0;
}

/* ---- the session ---- */

static int h2_session_new(struct h2 *h, nghttp2_session_callbacks *calls, nghttp2_option *option)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(calls, on_begin_headers);
    nghttp2_session_callbacks_set_on_begin_frame_callback(calls, on_begin_frame);
    nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(calls, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(calls, on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(calls, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(calls, on_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(calls, on_frame_send);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_max_outbound_ack(option, H2_ACKS_WAITING);
    nghttp2_option_set_max_settings(option, H2_SETTINGS_MAX);
    /* Those that it would count are counted here, with what they cost. */
    nghttp2_option_set_stream_reset_rate_limit(option, H2_RESETS_OF_LIBRARY, H2_RESETS_OF_LIBRARY);
    /* It counts once for each piece in which a frame's head comes: only when nothing else does. */
    nghttp2_option_set_max_continuations(option,
                                         H2_FRAME_HEAD_BYTES * (h2_continuations_max(h) + 1));
    nghttp2_option_set_max_send_header_block_length(option, H2_HEADS_OUT * LIMIT_HEAD_BYTES);
    nghttp2_option_set_server_fallback_rfc7540_priorities(option, 0);
    if (h->options.is_client)
        return nghttp2_session_client_new2(&h->session, calls, h, option);
    return nghttp2_session_server_new2(&h->session, calls, h, option);
}

static int h2_announce(struct h2 *h)
{
    const struct h2_options *o = &h->options;
    nghttp2_settings_entry entries[H2_SETTINGS_OURS] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, o->stream_window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, o->head_bytes_limit},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, o->n_streams_max},
    };
    size_t n = 3;
    int r;

    if (o->is_client) /* a server pushes nothing, and may not say so */
        entries[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
    else if (o->takes_websockets)
        entries[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};
    r = nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, entries, n);
    if (r == 0)
        r = nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                                  (int32_t)o->connection_window);
    return r;
}

static void h2_fill_options(struct h2_options *o)
{
    if (o->head_bytes_limit == 0)
        o->head_bytes_limit = LIMIT_HEAD_BYTES;
    if (o->n_streams_max == 0)
        o->n_streams_max = LIMIT_H2_STREAMS;
    if (o->stream_window == 0)
        o->stream_window = LIMIT_PIPE_HIGH_BYTES;
    if (o->connection_window == 0)
        o->connection_window = o->stream_window * H2_CONNECTION_WINDOWS;
}

int h2_init(struct h2 *h, const struct h2_options *options, const struct h2_events *events)
{
    nghttp2_session_callbacks *calls = NULL;
    nghttp2_option *option = NULL;
    int r = NGHTTP2_ERR_NOMEM;

    *h = (struct h2){.options = *options, .events = events};
    arena_init(&h->scratch, 4096);
    h2_fill_options(&h->options);
    if (nghttp2_session_callbacks_new(&calls) == 0 && nghttp2_option_new(&option) == 0)
        r = h2_session_new(h, calls, option);
    nghttp2_session_callbacks_del(calls);
    nghttp2_option_del(option);
    if (r == 0)
        r = h2_announce(h);
    if (r == 0)
        return 0;
    h2_deinit(h);
    return error_origin(-ENOMEM);
}

void h2_deinit(struct h2 *h)
{
    if (h->session)
        nghttp2_session_del(h->session);
    h->session = NULL;
    arena_deinit(&h->scratch);
}

bool h2_input(struct h2 *h, struct str input)
{
    ssize_t n;

    if (h->is_failed)
        return false;
    n = nghttp2_session_mem_recv(h->session, (const uint8_t *)input.ptr, input.len);
    if (n == NGHTTP2_ERR_FLOODED || n == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
        h2_terminate(h, H2_ENHANCE_YOUR_CALM);
    h->is_failed |= n < 0 || (size_t)n != input.len;
    return !h->is_failed && !h2_is_over(h);
}

bool h2_output(struct h2 *h, struct buf *out, size_t limit)
{
    const uint8_t *frame;
    ssize_t n = 1;

    h->out = out;
    h->out_limit = limit;
    while (n > 0 && out->len < limit) {
        n = nghttp2_session_mem_send(h->session, &frame);
        if (n > 0)
            buf_append(out, frame, (size_t)n);
    }
    h->out = NULL;
    h->is_failed |= n < 0;
    return !h->is_failed && !h2_is_over(h);
}

bool h2_is_over(const struct h2 *h)
{
    return !nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session);
}

void h2_go_away(struct h2 *h, bool is_final)
{
    /* Only memory can be short here, and then the connection ends by its own. */
    if (is_final)
        h->is_failed |= nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                                              nghttp2_session_get_last_proc_stream_id(h->session),
                                              H2_NO_ERROR, NULL, 0) != 0;
    else
        h->is_failed |= nghttp2_submit_shutdown_notice(h->session) != 0;
}

bool h2_may_open(const struct h2 *h)
{
    return !h->is_failed && !h->is_going_away && nghttp2_session_check_request_allowed(h->session);
}

uint32_t h2_n_free(const struct h2 *h)
{
    uint32_t n =
        nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

    n = MIN(n, h->options.n_streams_max);
    return h2_may_open(h) ? n - MIN(n, h->n_streams) : 0;
}

bool h2_takes_tunnels(const struct h2 *h)
{
    return nghttp2_session_get_remote_settings(h->session,
                                               NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

bool h2_has_output(const struct h2 *h)
{
    return nghttp2_session_want_write(h->session);
}

void h2_ping(struct h2 *h)
{
    h->n_pings++;
    h->is_failed |= nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL) != 0;
}

/* ---- messages ---- */

static nghttp2_data_provider h2_source(struct h2_stream *s)
{
    return (nghttp2_data_provider){.source = {.ptr = s}, .read_callback = on_source_read};
}

int h2_request(struct h2 *h, struct h2_stream *s, const struct http_request *request)
{
    nghttp2_data_provider source = h2_source(s);
    nghttp2_nv *fields;
    size_t n = h2_fields_of_request(request, &h->scratch, &fields);
    bool is_last = request->body == HTTP_BODY_NONE && request->upgrade.len == 0;
    int32_t id =
        h->is_failed || h->is_going_away
            ? NGHTTP2_ERR_START_STREAM_NOT_ALLOWED
            : nghttp2_submit_request(h->session, NULL, fields, n, is_last ? NULL : &source, s);

    arena_reset(&h->scratch);
    if (id < 0)
        return error_origin(-EAGAIN);
    h2_open(h, s, id);
    s->is_done = is_last;
    return 0;
}

size_t h2_respond(struct h2_stream *s, const struct http_response *response)
{
    struct h2 *h = s->h2;
    nghttp2_data_provider source = h2_source(s);
    nghttp2_nv *fields;
    size_t n = h2_fields_of_response(response, &h->scratch, &fields);
    bool is_bodiless = response->body == HTTP_BODY_NONE ||
                       (response->body == HTTP_BODY_LENGTH && response->content_length == 0);
    int r;

    if (response->status < 200)
        r = nghttp2_submit_headers(h->session, NGHTTP2_FLAG_NONE, s->id, NULL, fields, n, NULL);
    else
        r = nghttp2_submit_response(h->session, s->id, fields, n, is_bodiless ? NULL : &source);
    s->is_answered |= response->status >= 200;
    if (response->status >= 200 && is_bodiless)
        s->is_done = true;
    size_t n_bytes = 0;

    for (size_t i = 0; i < n; i++)
        n_bytes += fields[i].namelen + fields[i].valuelen;
    arena_reset(&h->scratch);
    h->is_failed |= nghttp2_is_fatal(r) != 0;
    return n_bytes;
}

static void h2_resume(struct h2_stream *s)
{
    int r = nghttp2_session_resume_data(s->h2->session, s->id);

    s->h2->is_failed |= nghttp2_is_fatal(r) != 0; /* else: it was not waiting */
}

void h2_send(struct h2_stream *s, struct str span)
{
    if (s->is_done || span.len == 0)
        return;
    buf_append(&s->pending, span.ptr, span.len);
    h2_resume(s);
}

void h2_send_end(struct h2_stream *s, const struct http_headers *trailers)
{
    if (s->is_done)
        return;
    s->is_done = true;
    s->last_headers = trailers;
    h2_resume(s);
}

bool h2_is_full(struct h2_stream *s)
{
    bool is_full = h2_n_pending(s) > LIMIT_PIPE_HIGH_BYTES;

    s->was_full |=
        is_full; /* whoever was told so waits, also if it asks again before there is room */
    return is_full;
}

void h2_consume(struct h2_stream *s, uint64_t n_bytes)
{
    struct h2 *h = s->h2;

    PRE(n_bytes <= s->n_unconsumed);
    s->n_unconsumed -= n_bytes;
    int r = h->options.is_client ? nghttp2_session_consume_stream(h->session, s->id, n_bytes)
                                 : nghttp2_session_consume(h->session, s->id, n_bytes);

    h->is_failed |= r != 0;
}

void h2_reset(struct h2_stream *s, enum h2_code code)
{
    if (s->is_reset)
        return;
    s->is_reset = true;
    s->is_done = true; /* `pending` stays until on_close: a frame of it may be half way out */
    s->h2->is_failed |=
        nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id, code) != 0;
}

void h2_abort(struct h2_stream *s, enum h2_code code)
{
    s->is_excused = true;
    h2_reset(s, code);
}

void h2_give_up_head(struct h2_stream *s)
{
    PRE(!s->has_head);
    s->has_head = true;
    s->error = H1_ERROR_TRUNCATED;
}

void h2_finish(struct h2_stream *s)
{
    s->is_finished = true;
    h2_end_if_finished(s);
}
