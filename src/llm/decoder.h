/* Reading of a compressed answer (RFC 9110 8.4.1: gzip and deflate; RFC 7932: br; RFC 8878: zstd)
 * as it passes. Only the meter reads what comes out, the client gets the original bytes; so what
 * cannot be read ends the reading and nothing else. Pure but for its memory, which
 * LIMIT_DECODER_BYTES bounds; worker-local. */
#pragma once

#include "base/str.h"

enum decoder_coding {
    DECODER_IDENTITY,
    DECODER_GZIP,
    DECODER_DEFLATE,
    DECODER_BR,
    DECODER_ZSTD,
    DECODER_UNKNOWN, /* no coding that is read here, or several */
};

/* Conditions of decoder_feed. */
enum decoder_condition {
    DECODER_BROKEN = 1, /* not of this coding; or it wants more memory than the bound */
    DECODER_TOO_LARGE,  /* it grows more than LIMIT_DECODED_RATIO times */
};

struct decoder;

/* A span of what comes out, of at most 16 KiB; valid until the function returns. */
typedef void decoder_fn(void *context, struct str span);

/* The value of a Content-Encoding field; empty is identity. "x-gzip" is gzip (RFC 9110 8.4.1.3). */
enum decoder_coding decoder_coding_parse(struct str value);
/* Any coding but DECODER_UNKNOWN; DECODER_IDENTITY hands its input on. The caller frees. */
struct decoder *decoder_new(enum decoder_coding coding);
void decoder_free(struct decoder *d);
/* 0 or a condition, which stays: what came out before it is good, and nothing more comes. Bytes
 * behind the end of the compressed stream are ignored, but for a further gzip member or zstd frame.
 */
MUST_USE int decoder_feed(struct decoder *d, struct str input, decoder_fn *fn, void *context);
/* The compressed stream has come to its end (of identity: always). */
bool decoder_is_ended(const struct decoder *d);
