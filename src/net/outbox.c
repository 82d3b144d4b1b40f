/* See outbox.h. The order of bytes is: held, then the pool's pieces. A piece may be borrowed
 * content or a run of the pool's small copies; both are valid only until the flush of the same
 * turn. */
#include "net/outbox.h"

#include "base/assert.h"
#include "base/limits.h"

void outbox_pool_deinit(struct outbox_pool *p)
{
    while (p->n_spare > 0)
        buf_deinit(&p->spare[--p->n_spare]);
}

void outbox_init(struct outbox *o, struct outbox_pool *pool, struct stream *stream)
{
    *o = (struct outbox){.pool = pool, .stream = stream, .high = LIMIT_PIPE_HIGH_BYTES};
}

static void outbox_give_back(struct outbox *o)
{
    struct outbox_pool *p = o->pool;

    if (!o->held.ptr)
        return;
    if (o->held.cap <= OUTBOX_SPARE_BYTES && p->n_spare < OUTBOX_SPARE_BUFS) {
        buf_clear(&o->held);
        p->spare[p->n_spare++] = o->held;
        o->held = (struct buf){0};
    } else {
        buf_deinit(&o->held);
    }
}

static void outbox_forget_pieces(struct outbox *o)
{
    if (o->pool->borrower == o)
        o->pool->borrower = NULL;
    o->pool->n_pieces = 0;
    o->pool->n_small = 0;
    o->n_borrowed = 0;
}

void outbox_deinit(struct outbox *o)
{
    if (!o->pool)
        return;
    if (o->pool->borrower == o)
        outbox_forget_pieces(o);
    outbox_give_back(o);
    o->pool = NULL;
}

struct buf *outbox_held(struct outbox *o)
{
    PRE(o->n_borrowed == 0);
    if (!o->held.ptr && o->pool->n_spare > 0)
        o->held = o->pool->spare[--o->pool->n_spare];
    return &o->held;
}

/* Turns the borrowed pieces into held bytes: when they do not fit the list, or were not sent. */
static void outbox_keep(struct outbox *o)
{
    struct outbox_pool *p = o->pool;
    size_t n_borrowed = o->n_borrowed;

    o->n_borrowed = 0;
    struct buf *held = outbox_held(o);

    buf_reserve(held, n_borrowed);
    for (int i = 1; i <= p->n_pieces; i++)
        buf_append(held, p->pieces[i].iov_base, p->pieces[i].iov_len);
    outbox_forget_pieces(o);
}

static void outbox_add_piece(struct outbox *o, const void *bytes, size_t n)
{
    struct outbox_pool *p = o->pool;

    /* Another outbox's pieces are still here (a mirror is sent while the request is): it keeps
     * them. */
    if (UNLIKELY(p->borrower && p->borrower != o))
        outbox_keep(p->borrower);
    if (p->n_pieces + 1 >= OUTBOX_PIECES)
        outbox_keep(o);
    p->borrower = o;
    p->n_pieces++;
    p->pieces[p->n_pieces] = (struct iovec){(void *)(uintptr_t)bytes, n};
    o->n_borrowed += n;
}

void outbox_copy(struct outbox *o, const void *bytes, size_t n)
{
    struct outbox_pool *p = o->pool;

    if (n == 0)
        return;
    /* Not when the piece would make the list spill: the spill empties `small` for reuse. */
    if (o->n_borrowed > 0 && p->n_small + n <= sizeof p->small && p->n_pieces + 1 < OUTBOX_PIECES) {
        char *copy = p->small + p->n_small;

        memcpy(copy, bytes, n);
        p->n_small += n;
        outbox_add_piece(o, copy, n);
        return;
    }
    if (o->n_borrowed > 0)
        outbox_keep(o);
    buf_append(outbox_held(o), bytes, n);
}

void outbox_borrow(struct outbox *o, const void *bytes, size_t n)
{
    if (n > 0)
        outbox_add_piece(o, bytes, n);
}

/* Drops the first n of the queued bytes; the rest becomes held. */
static void outbox_sent(struct outbox *o, size_t n)
{
    struct outbox_pool *p = o->pool;
    size_t from_held = MIN(n, o->held.len);
    size_t left = n - from_held;

    if (from_held == o->held.len)
        outbox_give_back(o);
    else
        buf_consume(&o->held, from_held);
    if (o->n_borrowed == 0)
        return;
    for (int i = 1; i <= p->n_pieces && left > 0; i++) {
        size_t part = MIN(left, p->pieces[i].iov_len);

        p->pieces[i].iov_base = (char *)p->pieces[i].iov_base + part;
        p->pieces[i].iov_len -= part;
        o->n_borrowed -= part;
        left -= part;
    }
    if (o->n_borrowed > 0)
        outbox_keep(o);
    else
        outbox_forget_pieces(o);
}

int outbox_flush(struct outbox *o)
{
    struct outbox_pool *p = o->pool;
    size_t n_sent = 0;
    int r = STREAM_AGAIN;

    if (outbox_is_empty(o))
        return 0;
    if (!o->is_broken && o->stream->is_ready) {
        bool has_held = o->held.len > 0;
        int n = (o->n_borrowed > 0 ? p->n_pieces : 0) + has_held;

        p->pieces[0] = (struct iovec){o->held.ptr, o->held.len};
        r = stream_send(o->stream, has_held ? p->pieces : p->pieces + 1, n, &n_sent);
        if (r != 0)
            n_sent = 0;
        o->n_sent += n_sent;
    }
    if (r == STREAM_RESET || r < 0) {
        o->is_broken = true;
        n_sent = o->held.len + o->n_borrowed;
    }
    outbox_sent(o, n_sent);
    return o->is_broken ? STREAM_RESET : 0;
}

bool outbox_wait(struct outbox *o)
{
    if (o->is_broken || o->held.len + o->n_borrowed > OUTBOX_WAIT_BYTES)
        return false;
    if (o->n_borrowed > 0)
        outbox_keep(o);
    return true;
}

void outbox_flush_last(struct outbox *o, const struct deferred *flush)
{
    if (flush->node.owner && outbox_flush(o) != 0)
        return; /* there is nobody any more to tell */
}

bool outbox_is_full(const struct outbox *o)
{
    return o->held.len + o->n_borrowed > o->high;
}

bool outbox_has_room(const struct outbox *o)
{
    return o->held.len + o->n_borrowed <= o->high / 2;
}
