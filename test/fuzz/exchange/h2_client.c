/* What a client of HTTP/2 got, held against what the gateway says that it served. */
#include "base/assert.h"
#include "test/fuzz/exchange/peer.h"

static const struct seen *seen_of(const struct fake_client *c, uint32_t stream)
{
    for (unsigned i = 0; i < c->gateway.n_seen; i++) {
        if (c->gateway.seen[i].stream == stream)
            return &c->gateway.seen[i];
    }
    return NULL;
}

static bool is_status(const struct seen *s, unsigned status)
{
    return s->status == status || (s->is_tunnel && s->status == 101 && status == 200) ||
           (s->is_grpc && status == 200);
}

/* An answer is that of its own stream's exchange, and complete if it looks so. */
static void check_message(const struct seen *s, const struct frames_message *m)
{
    bool has_content = s->method != HTTP_METHOD_HEAD && m->status != 304 && m->status != 204;

    ASSERT(s->is_recorded && s->is_head_sent && is_status(s, m->status));
    ASSERT(!m->id[0] || peer_is_same_id(str_of(m->id), s->id));
    /* That a call of gRPC is cut its trailers can say. */
    if (m->is_ended && !m->is_reset)
        ASSERT(!s->is_broken || (s->is_grpc && m->grpc_status != 0));
    if (m->is_ended && has_content && m->content_length >= 0)
        ASSERT(m->n_bytes == (uint64_t)m->content_length);
}

/* The client was there to the end and did nothing that ends its connection: then it knows what
 * became of each request. */
static void check_due(const struct fake_client *c, struct frames *f)
{
    for (uint32_t i = 1; i < c->next_stream && i < PEER_STREAMS; i += 2) {
        const struct frames_message *m = frames_find(f, i);
        const struct seen *s = seen_of(c, i);

        if (c->has_reset[i])
            continue;
        ASSERT(s || (m && m->is_reset));
        if (s && s->is_due)
            ASSERT(m && (m->is_ended || m->is_reset));
        if (s && s->is_due && s->is_head_sent && !s->is_broken)
            ASSERT(m->has_head);
    }
}

void h2_client_check(const struct fake_client *c)
{
    struct str input = buf_str(&c->peer.in);
    bool has_all = c->gateway.n_seen < WORLD_SEEN_MAX;
    struct frames f;

    frames_init(&f, false);
    frames_read(&f, &input);
    if (c->peer.is_over && !c->peer.has_left && !c->gateway.is_aborted && !world_is_stopped())
        ASSERT(input.len == 0);
    for (unsigned i = 0; i < f.n_messages; i++) {
        const struct frames_message *m = &f.messages[i];
        const struct seen *s = seen_of(c, m->stream);

        if (m->has_head && (s || has_all)) {
            ASSERT(s);
            check_message(s, m);
        }
    }
    if (c->was_all_said && !c->is_garbled && !f.has_goaway && has_all &&
        f.n_messages < FRAMES_STREAMS)
        check_due(c, &f);
    frames_deinit(&f);
}
