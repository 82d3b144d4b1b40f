/* Takes out of a stream what the gateway has asked for and the client has not: with
 * stream_options.include_usage an OpenAI-shaped stream gains a frame of its own for usage (an empty
 * array of choices) and "usage":null in all others. All other bytes pass as they are. For streams
 * that are not compressed; worker-local. */
#pragma once

#include "base/buf.h"
#include "llm/answer_scan.h"

struct usage_filter {
    struct answer_scan *scan;
    struct buf held;     /* of the frame under way; at most LIMIT_EVENT_HELD_BYTES */
    uint64_t held_begin; /* offset in the stream of its first byte */
    uint64_t done;       /* offset up to which all is passed on or taken out */
    uint64_t span_begin; /* of `span`, which is set during a feed */
    struct str span;
    struct buf *out;
};

/* `scan` is an initialised one that has been fed nothing; the filter feeds it from now on. */
void usage_filter_init(struct usage_filter *f, struct answer_scan *scan);
void usage_filter_deinit(struct usage_filter *f);
/* Appends to `out` what the client gets: all of `span` but a frame that is not yet whole, which is
 * held back (a client acts on whole frames only), and what is taken out. A frame longer than
 * LIMIT_EVENT_HELD_BYTES passes as it is. */
void usage_filter_feed(struct usage_filter *f, struct str span, struct buf *out);
/* The stream ends here: ends the scan, appends what is left. */
void usage_filter_end(struct usage_filter *f, struct buf *out);
