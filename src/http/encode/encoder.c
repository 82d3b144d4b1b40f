/* Incremental compression with zlib, libbrotlienc and libzstd.
 *
 * Each library runs in a function of its own, with one of three operations (go on, flush, end), and
 * makes room in the caller's buffer as it needs. It gets its input in slices, since what brotli
 * sets aside at its lowest levels goes by the size of what it is given. None of them can fail but
 * for want of memory, and memory is asked for only where the settings' bound has been granted: the
 * bounds are those of the libraries' versions, and the test measures them. */
#include "http/encode/encoder.h"

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

enum {
    SLICE_BYTES = 65536,
    OUTPUT_BYTES = 4096, /* room for each step; more than any library's mark of a flush */
    KIB = 1024,
    MIB = 1024 * KIB,
    GZIP_WRAPPER = 16, /* added to the window's bits: gzip's header and trailer */
    GZIP_STATE_BYTES = 8 * KIB,
    BR_WINDOW_MAX = 20,
    BR_BLOCK_BITS = 16, /* the ring of small windows */
    ZSTD_WINDOW = 18,   /* 256 KiB; a reader must take 8 MiB (RFC 9659) */
    ZSTD_STRATEGY_BYTES = MIB,
};

/* Tables of each level, beside br's ring. Those with 0 take more than may be had, or a second for a
 * few megabytes. */
static const uint8_t br_mib[] = {1, 1, 1, 1, 3, 4, 5, 11, 0, 0, 0, 0};
static const uint8_t zstd_mib[] = {0, 2, 2, 2, 4, 5, 5, 8, 8, 14, 0, 0,
                                   0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  0};

enum encoder_operation { GO_ON, FLUSH, END };

struct encoder {
    enum encoder_coding coding;
    bool is_pending; /* something was fed since the last flush */
    bool is_ended;
    z_stream zlib;
    BrotliEncoderState *brotli;
    ZSTD_CCtx *zstd;
};

struct str encoder_name(enum encoder_coding coding)
{
    static const struct str names[] = {
        [ENCODER_GZIP] = {"gzip", 4}, [ENCODER_BR] = {"br", 2}, [ENCODER_ZSTD] = {"zstd", 4}};

    return names[coding];
}

/* ---- settings ---- */

struct encoder_settings encoder_defaults(enum encoder_coding coding)
{
    static const struct encoder_settings defaults[] = {
        [ENCODER_GZIP] = {.coding = ENCODER_GZIP, .level = 6, .window_bits = 12, .memory_level = 5},
        [ENCODER_BR] = {.coding = ENCODER_BR, .level = 3, .window_bits = 18},
        [ENCODER_ZSTD] = {.coding = ENCODER_ZSTD, .level = 3},
    };

    return defaults[coding];
}

size_t encoder_bytes(const struct encoder_settings *s)
{
    size_t bytes = 0;

    switch (s->coding) {
    case ENCODER_GZIP: /* zlib's zconf.h, "memory requirements for deflate" */
        return ((size_t)1 << (s->window_bits + 2)) + ((size_t)1 << (s->memory_level + 9)) +
               GZIP_STATE_BYTES;
    case ENCODER_BR:
        bytes = (size_t)br_mib[s->level] * MIB;
        return bytes ? bytes + ((size_t)2 << MAX(s->window_bits, BR_BLOCK_BITS)) : SIZE_MAX;
    case ENCODER_ZSTD:
        bytes = (size_t)zstd_mib[s->level] * MIB;
        return bytes ? bytes + (s->strategy ? ZSTD_STRATEGY_BYTES : 0) : SIZE_MAX;
    case ENCODER_CODINGS:
        break;
    }
    UNREACHABLE();
}

bool encoder_settings_fit(struct encoder_settings *s)
{
    struct encoder_settings asked = *s;

    if (s->coding == ENCODER_BR)
        s->window_bits = MIN(s->window_bits, BR_WINDOW_MAX);
    while (encoder_bytes(s) > LIMIT_ENCODER_BYTES)
        s->level--;
    return s->level != asked.level || s->window_bits != asked.window_bits;
}

/* ---- zlib ---- */

static void zlib_begin(struct encoder *e, const struct encoder_settings *s)
{
    int r = deflateInit2(&e->zlib, s->level, Z_DEFLATED, s->window_bits + GZIP_WRAPPER,
                         s->memory_level, s->strategy);

    ASSERT(r == Z_OK);
}

static void zlib_run(struct encoder *e, struct str slice, enum encoder_operation op,
                     struct buf *out)
{
    static const int flushes[] = {[GO_ON] = Z_NO_FLUSH, [FLUSH] = Z_SYNC_FLUSH, [END] = Z_FINISH};
    int r = Z_OK;

    e->zlib.next_in = (Bytef *)(uintptr_t)slice.ptr; /* zlib does not write there */
    e->zlib.avail_in = (uInt)slice.len;
    do {
        e->zlib.next_out = (Bytef *)buf_reserve(out, OUTPUT_BYTES);
        e->zlib.avail_out = OUTPUT_BYTES;
        r = deflate(&e->zlib, flushes[op]);
        ASSERT(r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR);
        out->len += OUTPUT_BYTES - e->zlib.avail_out;
    } while (e->zlib.avail_out == 0 && r != Z_STREAM_END);
    ASSERT(e->zlib.avail_in == 0 && (op != END || r == Z_STREAM_END));
}

/* ---- brotli ---- */

static void brotli_set(struct encoder *e, BrotliEncoderParameter parameter, int value)
{
    BROTLI_BOOL is_taken = BrotliEncoderSetParameter(e->brotli, parameter, (uint32_t)value);

    ASSERT(is_taken);
}

static void brotli_begin(struct encoder *e, const struct encoder_settings *s)
{
    e->brotli = BrotliEncoderCreateInstance(NULL, NULL, NULL);
    ASSERT(e->brotli);
    brotli_set(e, BROTLI_PARAM_QUALITY, s->level);
    brotli_set(e, BROTLI_PARAM_LGWIN, s->window_bits);
    brotli_set(e, BROTLI_PARAM_MODE, s->strategy);
    brotli_set(e, BROTLI_PARAM_DISABLE_LITERAL_CONTEXT_MODELING, s->has_no_context_of_literals);
}

static void brotli_run(struct encoder *e, struct str slice, enum encoder_operation op,
                       struct buf *out)
{
    static const BrotliEncoderOperation operations[] = {[GO_ON] = BROTLI_OPERATION_PROCESS,
                                                        [FLUSH] = BROTLI_OPERATION_FLUSH,
                                                        [END] = BROTLI_OPERATION_FINISH};
    const uint8_t *in = (const uint8_t *)slice.ptr;
    size_t n_in = slice.len;

    do {
        uint8_t *to = (uint8_t *)buf_reserve(out, OUTPUT_BYTES);
        size_t n_out = OUTPUT_BYTES;
        BROTLI_BOOL is_done =
            BrotliEncoderCompressStream(e->brotli, operations[op], &n_in, &in, &n_out, &to, NULL);

        ASSERT(is_done);
        out->len += OUTPUT_BYTES - n_out;
    } while (n_in > 0 || BrotliEncoderHasMoreOutput(e->brotli));
    ASSERT(op != END || BrotliEncoderIsFinished(e->brotli));
}

/* ---- zstd ---- */

static void zstd_set(struct encoder *e, ZSTD_cParameter parameter, int value)
{
    size_t r = ZSTD_CCtx_setParameter(e->zstd, parameter, value);

    ASSERT(!ZSTD_isError(r));
}

static void zstd_begin(struct encoder *e, const struct encoder_settings *s)
{
    e->zstd = ZSTD_createCCtx();
    ASSERT(e->zstd);
    zstd_set(e, ZSTD_c_compressionLevel, s->level);
    zstd_set(e, ZSTD_c_windowLog, ZSTD_WINDOW);
    zstd_set(e, ZSTD_c_checksumFlag, s->has_checksum);
    if (s->strategy)
        zstd_set(e, ZSTD_c_strategy, s->strategy);
}

static void zstd_run(struct encoder *e, struct str slice, enum encoder_operation op,
                     struct buf *out)
{
    static const ZSTD_EndDirective directives[] = {
        [GO_ON] = ZSTD_e_continue, [FLUSH] = ZSTD_e_flush, [END] = ZSTD_e_end};
    ZSTD_inBuffer in = {slice.ptr, slice.len, 0};
    size_t r;

    do {
        ZSTD_outBuffer to = {buf_reserve(out, OUTPUT_BYTES), OUTPUT_BYTES, 0};

        r = ZSTD_compressStream2(e->zstd, &to, &in, directives[op]);
        ASSERT(!ZSTD_isError(r));
        out->len += to.pos;
    } while (op == GO_ON ? in.pos < in.size : r > 0);
}

/* ---- all of them ---- */

struct encoder *encoder_new(const struct encoder_settings *s)
{
    static void (*const begin[])(struct encoder *, const struct encoder_settings *) = {
        [ENCODER_GZIP] = zlib_begin, [ENCODER_BR] = brotli_begin, [ENCODER_ZSTD] = zstd_begin};
    struct encoder *e = MEM_NEW(struct encoder);

    PRE(encoder_bytes(s) <= LIMIT_ENCODER_BYTES);
    e->coding = s->coding;
    begin[s->coding](e, s);
    return e;
}

void encoder_free(struct encoder *e)
{
    if (!e)
        return;
    if (e->zlib.state)
        deflateEnd(&e->zlib);
    if (e->brotli)
        BrotliEncoderDestroyInstance(e->brotli);
    ZSTD_freeCCtx(e->zstd);
    mem_free(e);
}

static void encoder_run(struct encoder *e, struct str slice, enum encoder_operation op,
                        struct buf *out)
{
    static void (*const run[])(struct encoder *, struct str, enum encoder_operation,
                               struct buf *) = {
        [ENCODER_GZIP] = zlib_run, [ENCODER_BR] = brotli_run, [ENCODER_ZSTD] = zstd_run};

    PRE(!e->is_ended);
    e->is_pending = op == GO_ON;
    e->is_ended = op == END;
    run[e->coding](e, slice, op, out);
}

void encoder_feed(struct encoder *e, struct str input, struct buf *out)
{
    while (input.len > 0) {
        encoder_run(e, str_slice(input, 0, SLICE_BYTES), GO_ON, out);
        input = str_slice(input, SLICE_BYTES, input.len);
    }
}

void encoder_flush(struct encoder *e, struct buf *out)
{
    if (e->is_pending)
        encoder_run(e, STR(""), FLUSH, out);
}

void encoder_end(struct encoder *e, struct buf *out)
{
    encoder_run(e, STR(""), END, out);
}
