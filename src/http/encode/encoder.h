/* Writing of a compressed answer as it passes (RFC 9110 8.4.1: gzip; RFC 7932: br; RFC 8878: zstd).
 * What was fed can be read by its reader once it is flushed; what is not ended is no whole stream
 * of its coding, so that an answer that breaks off can be told from one that does not. Pure but for
 * its memory; worker-local. */
#pragma once

#include "base/buf.h"

enum encoder_coding { ENCODER_GZIP, ENCODER_BR, ENCODER_ZSTD, ENCODER_CODINGS };

struct encoder_settings {
    enum encoder_coding coding;
    int level;         /* gzip 1 to 9, br 0 to 11 (its quality), zstd 1 to 22 */
    int window_bits;   /* gzip 9 to 15, br 10 to 24; of zstd fixed */
    int memory_level;  /* gzip 1 to 9 */
    int strategy;      /* gzip's and zstd's, br's mode, as their libraries count them; 0: default */
    bool has_checksum; /* zstd */
    bool has_no_context_of_literals; /* br: read faster, less small */
};

struct encoder;

/* As Content-Encoding says it. */
struct str encoder_name(enum encoder_coding coding);
/* What Envoy has where nothing is said. */
struct encoder_settings encoder_defaults(enum encoder_coding coding);
/* Lowers windows, then levels, until LIMIT_ENCODER_BYTES is enough. True: they were too much. */
bool encoder_settings_fit(struct encoder_settings *s);
/* The most memory that one with these settings takes. */
size_t encoder_bytes(const struct encoder_settings *s);

/* Of settings that fit; the caller frees. */
struct encoder *encoder_new(const struct encoder_settings *s);
void encoder_free(struct encoder *e);
/* Each appends to `out` what is ready of it. Nothing follows the end. */
void encoder_feed(struct encoder *e, struct str input, struct buf *out);
/* All that was fed is ready now. */
void encoder_flush(struct encoder *e, struct buf *out);
void encoder_end(struct encoder *e, struct buf *out);
