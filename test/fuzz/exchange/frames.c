/* See frames.h. */
#include "test/fuzz/exchange/frames.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>

#include "base/assert.h"
#include "http/path.h"

enum { FRAME_PAYLOAD_MAX = 16384, FRAME_FIELD_MAX = 126 };

/* The fields of one head as they come. */
struct block {
    struct frames *frames;
    struct frames_message *message; /* NULL: of a stream that is not looked at */
    unsigned n_pseudo;
    unsigned n_regular;
    unsigned status;
    bool is_trailers;
    bool has_method;
    bool has_path;
};

void frames_init(struct frames *f, bool is_of_requests)
{
    *f = (struct frames){.is_of_requests = is_of_requests};
    if (nghttp2_hd_inflate_new(&f->inflater) != 0)
        UNREACHABLE();
}

void frames_deinit(struct frames *f)
{
    if (f->inflater)
        nghttp2_hd_inflate_del(f->inflater);
    buf_deinit(&f->block);
    f->inflater = NULL;
}

struct frames_message *frames_find(struct frames *f, uint32_t stream)
{
    for (unsigned i = 0; i < f->n_messages; i++) {
        if (f->messages[i].stream == stream)
            return &f->messages[i];
    }
    return NULL;
}

/* NULL: there are too many. */
static struct frames_message *message_of(struct frames *f, uint32_t stream)
{
    struct frames_message *m = frames_find(f, stream);

    ASSERT(stream % 2 == 1); /* nobody pushes */
    if (!m && f->n_messages < FRAMES_STREAMS) {
        m = &f->messages[f->n_messages++];
        *m = (struct frames_message){.stream = stream, .content_length = -1};
    }
    return m;
}

/* ---- heads ---- */

static bool is_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];

        if (c <= ' ' || c >= 0x7f || (c >= 'A' && c <= 'Z') || c == ':')
            return false;
    }
    return name.len > 0;
}

static bool is_value(struct str value)
{
    return str_find_char(value, '\0', 0) < 0 && str_find_char(value, '\r', 0) < 0 &&
           str_find_char(value, '\n', 0) < 0;
}

static uint64_t read_number(struct str text)
{
    uint64_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        ASSERT(text.ptr[i] >= '0' && text.ptr[i] <= '9');
        n = n * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    return n;
}

static void check_path(struct str given)
{
    struct arena arena = {0};
    struct str path;
    ssize_t query = str_find_char(given, '?', 0);
    struct str bare = query < 0 ? given : str_slice(given, 0, (size_t)query);

    arena_init(&arena, 1024);
    ASSERT(str_eq(bare, STR("*")) ||
           (path_normalize(bare, &arena, &path) == 0 && str_eq(path, bare)));
    arena_deinit(&arena);
}

static void read_pseudo(struct block *b, struct str name, struct str value)
{
    ASSERT(b->n_regular == 0 && !b->is_trailers);
    b->n_pseudo++;
    if (!b->frames->is_of_requests) {
        ASSERT(str_eq(name, STR(":status")) && b->n_pseudo == 1 && value.len == 3);
        b->status = (unsigned)read_number(value);
    } else if (str_eq(name, STR(":path"))) {
        ASSERT(!b->has_path);
        b->has_path = true;
        check_path(value);
    } else if (str_eq(name, STR(":method"))) {
        ASSERT(!b->has_method && value.len > 0);
        b->has_method = true;
    } else {
        ASSERT(str_eq(name, STR(":scheme")) || str_eq(name, STR(":authority")) ||
               str_eq(name, STR(":protocol")));
    }
}

static void read_regular(struct block *b, struct str name, struct str value)
{
    static const char *const of_http1[] = {"connection", "transfer-encoding", "keep-alive",
                                           "proxy-connection", "upgrade"};
    struct frames_message *m = b->message;

    b->n_regular++;
    ASSERT(is_name(name) && is_value(value));
    for (unsigned i = 0; i < N_ELEMENTS(of_http1); i++)
        ASSERT(!str_eq(name, str_of(of_http1[i])));
    ASSERT(!str_eq(name, STR("te")) || str_eq(value, STR("trailers")));
    if (b->frames->is_of_requests)
        ASSERT(!str_eq(name, STR("x-api-key"))); /* what only the gateway may know */
    if (m && str_eq(name, STR("grpc-status")) && value.len <= 2)
        m->grpc_status = (unsigned)read_number(value);
    if (!m || b->is_trailers)
        return;
    if (str_eq(name, STR("content-length")))
        m->content_length = (int64_t)read_number(value);
    else if (str_eq(name, b->frames->is_of_requests ? STR("x-id") : STR("x-echo")))
        snprintf(m->id, sizeof m->id, "%.*s", STR_ARG(value));
}

static void read_fields(struct frames *f, struct block *b)
{
    struct str rest = buf_str(&f->block);
    nghttp2_nv nv;
    ssize_t n;
    int flags;

    do {
        flags = 0;
        n = nghttp2_hd_inflate_hd2(f->inflater, &nv, &flags, (const uint8_t *)rest.ptr, rest.len,
                                   1);
        ASSERT(n >= 0);
        rest = str_slice(rest, (size_t)n, rest.len);
        if (flags & NGHTTP2_HD_INFLATE_EMIT) {
            struct str name = str_make(nv.name, nv.namelen);
            struct str value = str_make(nv.value, nv.valuelen);

            if (name.len > 0 && name.ptr[0] == ':')
                read_pseudo(b, name, value);
            else
                read_regular(b, name, value);
        }
    } while (!(flags & NGHTTP2_HD_INFLATE_FINAL));
    ASSERT(rest.len == 0);
    nghttp2_hd_inflate_end_headers(f->inflater);
}

static void end_message(struct frames_message *m)
{
    ASSERT(m->has_head);
    m->is_ended = true;
}

static void read_block(struct frames *f)
{
    struct frames_message *m = message_of(f, f->block_stream);
    struct block b = {.frames = f, .message = m, .is_trailers = m && m->has_head};

    f->block_stream = 0;
    read_fields(f, &b);
    if (!m) /* whether it is a head or trailers is not known */
        return;
    ASSERT(!m->is_ended && !m->is_reset);
    ASSERT(!b.is_trailers || f->is_block_last);
    ASSERT(b.is_trailers || (f->is_of_requests ? b.has_method : b.n_pseudo == 1));
    if (!b.is_trailers && (f->is_of_requests || b.status >= 200)) {
        m->has_head = true;
        m->status = b.status;
    }
    if (f->is_block_last)
        end_message(m);
}

/* ---- frames ---- */

static uint32_t read_u32(struct str bytes)
{
    const unsigned char *p = (const unsigned char *)bytes.ptr;

    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void read_head_part(struct frames *f, unsigned flags, uint32_t stream, struct str payload)
{
    f->block_stream = stream;
    buf_append_str(&f->block, payload);
    if (!(flags & FRAME_END_HEADERS))
        return;
    read_block(f);
    buf_clear(&f->block);
}

static void read_data(struct frames *f, unsigned flags, uint32_t stream, struct str payload)
{
    struct frames_message *m = message_of(f, stream);

    if (!m)
        return;
    ASSERT(m->has_head && !m->is_ended && !m->is_reset);
    m->n_bytes += payload.len;
    ASSERT(m->content_length < 0 || m->n_bytes <= (uint64_t)m->content_length);
    if (flags & FRAME_END_STREAM) {
        ASSERT(m->content_length < 0 || m->n_bytes == (uint64_t)m->content_length);
        end_message(m);
    }
}

static void read_goaway(struct frames *f, struct str payload)
{
    uint32_t last = read_u32(payload);

    ASSERT(payload.len >= 8 && (!f->has_goaway || last <= f->goaway_stream));
    f->has_goaway = true;
    f->goaway_stream = last;
    f->goaway_code = read_u32(str_slice(payload, 4, 8));
}

static void read_frame(struct frames *f, unsigned type, unsigned flags, uint32_t stream,
                       struct str payload)
{
    struct frames_message *m;

    ASSERT(f->has_settings || type == FRAME_SETTINGS); /* RFC 9113 3.4 */
    ASSERT(f->block_stream == 0 || (type == FRAME_CONTINUATION && stream == f->block_stream));
    switch (type) {
    case FRAME_DATA:
        read_data(f, flags, stream, payload);
        break;
    case FRAME_HEADERS:
        f->is_block_last = flags & FRAME_END_STREAM;
        ASSERT((flags & ~(unsigned)(FRAME_END_STREAM | FRAME_END_HEADERS)) == 0);
        read_head_part(f, flags, stream, payload);
        break;
    case FRAME_CONTINUATION:
        ASSERT(f->block_stream != 0);
        read_head_part(f, flags, stream, payload);
        break;
    case FRAME_RST_STREAM:
        ASSERT(payload.len == 4);
        m = message_of(f, stream);
        if (m)
            m->is_reset = true;
        break;
    case FRAME_SETTINGS:
        ASSERT(stream == 0 && payload.len % 6 == 0 && !(flags & FRAME_ACK && payload.len > 0));
        f->has_settings = true;
        break;
    case FRAME_PING:
        ASSERT(stream == 0 && payload.len == 8);
        break;
    case FRAME_GOAWAY:
        ASSERT(stream == 0);
        read_goaway(f, payload);
        break;
    default:
        ASSERT(type == FRAME_WINDOW_UPDATE && payload.len == 4 && read_u32(payload) > 0);
    }
}

void frames_read(struct frames *f, struct str *input)
{
    while (input->len >= FRAME_HEAD_BYTES) {
        uint32_t length = read_u32(*input) >> 8;
        unsigned type = (unsigned char)input->ptr[3];
        unsigned flags = (unsigned char)input->ptr[4];
        uint32_t stream = read_u32(str_slice(*input, 5, FRAME_HEAD_BYTES));

        ASSERT(length <= FRAME_PAYLOAD_MAX);
        if (input->len < FRAME_HEAD_BYTES + length)
            break;
        read_frame(f, type, flags, stream,
                   str_slice(*input, FRAME_HEAD_BYTES, FRAME_HEAD_BYTES + length));
        *input = str_slice(*input, FRAME_HEAD_BYTES + length, input->len);
    }
}

/* ---- writing ---- */

void frames_append(struct buf *out, unsigned type, unsigned flags, uint32_t stream,
                   struct str payload)
{
    unsigned n = (unsigned)payload.len;
    char head[FRAME_HEAD_BYTES] = {(char)(n >> 16),      (char)(n >> 8),      (char)n,
                                   (char)type,           (char)flags,         (char)(stream >> 24),
                                   (char)(stream >> 16), (char)(stream >> 8), (char)stream};

    buf_append(out, head, sizeof head);
    buf_append_str(out, payload);
}

void frames_append_field(struct buf *block, struct str name, struct str value)
{
    ASSERT(name.len <= FRAME_FIELD_MAX && value.len <= FRAME_FIELD_MAX);
    buf_append_char(block, '\0');
    buf_append_char(block, (char)name.len);
    buf_append_str(block, name);
    buf_append_char(block, (char)value.len);
    buf_append_str(block, value);
}
