/* Answers of backends that are compressed on their way to the client: those that its rule names, it
 * accepts, and that are fit for it (decision 21). Whoever reads an answer here reads it as the
 * backend sent it; what is sent through here is the client's. After each flush the client can read
 * all that came before. In the exchange's arena, but for what the encoder takes
 * (LIMIT_ENCODERS_BYTES of a worker); worker-local. */
#pragma once

#include "gateway/exchange.h"

struct compress {
    struct encoder *encoder;
    struct buf out;     /* made since the last flush */
    uint64_t n_counted; /* of the worker's share of memory */
};

/* Before anything else changes the request's headers: what the client accepts is noted, and is not
 * asked of backends. */
void compress_note_request(struct exchange *x);
/* The head of a backend's answer, x->response, is final: it is changed to what the client gets.
 * Before the arena is sealed. */
void compress_open(struct exchange *x);
/* Repeatable. */
void compress_close(struct exchange *x);

/* Only where x->compress is: use the ones below. */
void compress_feed(struct exchange *x, struct str span);
void compress_flush_made(struct exchange *x);
void compress_end_made(struct exchange *x);

/* Content for the client, flushing, and the end of the content, of an answer under way. The span is
 * borrowed until the flush. */
static inline void compress_send(struct exchange *x, struct str span)
{
    if (LIKELY(!x->compress))
        x->downstream->ops->send_data(x->downstream, span);
    else
        compress_feed(x, span);
}

static inline void compress_flush(struct exchange *x)
{
    if (LIKELY(!x->compress))
        x->downstream->ops->flush(x->downstream);
    else
        compress_flush_made(x);
}

static inline void compress_end(struct exchange *x)
{
    if (UNLIKELY(x->compress != NULL))
        compress_end_made(x);
}
