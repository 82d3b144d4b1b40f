/* Bytes on their way out of one stream: what is queued in a loop turn goes out in one send. Short
 * pieces (heads, chunk framing) are copied; content is borrowed from the reader's scratch until the
 * flush, which must come before that scratch is used again. What the socket does not take is kept
 * in `held`, bounded by its reader's back-pressure (outbox_is_full). Worker-local; embedded in its
 * connection. */
#pragma once

#include "base/buf.h"
#include "net/stream.h"

enum {
    OUTBOX_PIECES = 48,
    OUTBOX_SPARE_BUFS = 64,
    OUTBOX_SPARE_BYTES = 16384, /* larger buffers go back to the system */
    OUTBOX_SMALL_BYTES = 1024,
    OUTBOX_WAIT_BYTES = 8192, /* more is not copied only to be sent later */
};

/* Shared by all outboxes of one worker: since an outbox is flushed before the next one borrows, the
 * list of borrowed pieces exists once. Also keeps spare memory for held bytes, so that an idle
 * connection owns none. */
struct outbox_pool {
    struct iovec pieces[OUTBOX_PIECES]; /* [0] is for `held` */
    int n_pieces;
    struct outbox *borrower;
    size_t n_small;
    char small[OUTBOX_SMALL_BYTES]; /* copied framing that stands between borrowed pieces */
    struct buf spare[OUTBOX_SPARE_BUFS];
    unsigned n_spare;
};

struct outbox {
    struct outbox_pool *pool;
    struct stream *stream;
    struct buf held;
    size_t n_borrowed; /* bytes borrowed and not yet flushed */
    uint32_t high;     /* beyond this its reader should pause; LIMIT_PIPE_HIGH_BYTES at first */
    bool is_broken;    /* the stream answered STREAM_RESET */
    uint64_t n_sent;   /* bytes, ever */
};

void outbox_pool_deinit(struct outbox_pool *p);
void outbox_init(struct outbox *o, struct outbox_pool *pool, struct stream *stream);
void outbox_deinit(struct outbox *o);

/* Where to append copied bytes when nothing is borrowed yet (heads); else use outbox_copy. */
struct buf *outbox_held(struct outbox *o);
void outbox_copy(struct outbox *o, const void *bytes, size_t n);
/* `bytes` stay valid until outbox_flush. */
void outbox_borrow(struct outbox *o, const void *bytes, size_t n);
/* Sends what it can, keeps (copies) the rest. 0: all gone or kept, or STREAM_RESET. The caller
 * watches LOOP_WRITE while outbox_is_empty is false. */
MUST_USE int outbox_flush(struct outbox *o);
/* In place of a flush: keeps what is borrowed, to be flushed at the end of the turn. A peer that
 * sleeps is woken by each send, and sleeps again before the next one comes; sends that follow each
 * other closely find it awake. False: there is too much, or it has failed; flush now. */
MUST_USE bool outbox_wait(struct outbox *o);
/* Before its stream is closed: what outbox_wait has put off goes out now. `flush` is what would
 * have done so at the end of the turn. */
void outbox_flush_last(struct outbox *o, const struct deferred *flush);
static inline bool outbox_is_empty(const struct outbox *o)
{
    return o->held.len == 0 && o->n_borrowed == 0;
}
/* The reader should pause until the outbox has drained below half of its high mark. */
bool outbox_is_full(const struct outbox *o);
bool outbox_has_room(const struct outbox *o);
