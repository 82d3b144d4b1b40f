/* Incremental decompression with zlib, libbrotlidec and libzstd.
 *
 * Each library runs in a step of its own (bytes in, at most 16 KiB out), and one loop feeds them
 * all, hands on what came out and keeps the bounds: memory, by an allocator that counts (zstd,
 * whose allocator cannot be set by its stable interface, by the largest window that RFC 9659
 * allows, 8 MiB), and growth, by the ratio of all output to all input. A bomb costs no more than
 * that ratio. The object belongs to its caller, and so does the decision what an unreadable answer
 * means. */
#include "llm/decoder.h"

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

#define OUTPUT_BYTES    16384
#define ZSTD_WINDOW_LOG 23 /* 8 MiB */

enum deflate_state {
    DEFLATE_GZIP,
    DEFLATE_UNKNOWN, /* no byte seen yet, or one */
    DEFLATE_ZLIB,    /* with zlib's header, as RFC 9110 8.4.1.2 says */
    DEFLATE_RAW,     /* without, as some servers send it */
};

struct decoder {
    enum decoder_coding coding;
    int error;
    bool is_ended;
    enum deflate_state deflate;
    bool has_first; /* DEFLATE_UNKNOWN: `first` is a byte of the input */
    unsigned char first;
    uint64_t n_in, n_out;
    size_t n_held; /* bytes allocated by the library */
    z_stream zlib;
    BrotliDecoderState *brotli;
    ZSTD_DCtx *zstd;
};

/* In front of each block that a library allocates: its size, and the alignment of malloc. */
union block {
    size_t size;
    max_align_t align;
};

static void *counted_alloc(void *opaque, size_t size)
{
    struct decoder *d = opaque;
    union block *b;

    if (size > LIMIT_DECODER_BYTES - d->n_held)
        return NULL;
    b = mem_alloc(sizeof *b + size);
    b->size = size;
    d->n_held += size;
    return b + 1;
}

static void counted_free(void *opaque, void *ptr)
{
    struct decoder *d = opaque;

    if (!ptr)
        return;
    union block *b = (union block *)ptr - 1;

    d->n_held -= b->size;
    mem_free(b);
}

static void *zlib_alloc(void *opaque, unsigned n, unsigned size)
{
    return counted_alloc(opaque, (size_t)n * size);
}

enum decoder_coding decoder_coding_parse(struct str value)
{
    static const struct {
        struct str name;
        enum decoder_coding coding;
    } names[] = {
        {STR("gzip"), DECODER_GZIP},       {STR("x-gzip"), DECODER_GZIP},
        {STR("deflate"), DECODER_DEFLATE}, {STR("br"), DECODER_BR},
        {STR("zstd"), DECODER_ZSTD},       {STR("identity"), DECODER_IDENTITY},
        {STR(""), DECODER_IDENTITY},
    };

    value = str_trim(value);
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        if (str_eq_nocase(value, names[i].name))
            return names[i].coding;
    }
    return DECODER_UNKNOWN;
}

/* `window_bits` as inflateInit2 reads them: 16 more means gzip, negative no header at all. */
static void zlib_init(struct decoder *d, int window_bits)
{
    d->zlib.zalloc = zlib_alloc;
    d->zlib.zfree = counted_free;
    d->zlib.opaque = d;
    int r = inflateInit2(&d->zlib, window_bits);

    ASSERT(r == Z_OK);
}

struct decoder *decoder_new(enum decoder_coding coding)
{
    struct decoder *d = MEM_NEW(struct decoder);

    PRE(coding < DECODER_UNKNOWN);
    d->coding = coding;
    if (coding == DECODER_GZIP) {
        zlib_init(d, 15 + 16);
    } else if (coding == DECODER_DEFLATE) {
        d->deflate = DEFLATE_UNKNOWN;
    } else if (coding == DECODER_BR) {
        d->brotli = BrotliDecoderCreateInstance(counted_alloc, counted_free, d);
        ASSERT(d->brotli);
    } else if (coding == DECODER_ZSTD) {
        d->zstd = ZSTD_createDCtx();
        ASSERT(d->zstd);
        size_t r = ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);

        ASSERT(!ZSTD_isError(r));
    }
    return d;
}

void decoder_free(struct decoder *d)
{
    if (!d)
        return;
    if (d->zlib.state)
        inflateEnd(&d->zlib);
    if (d->brotli)
        BrotliDecoderDestroyInstance(d->brotli);
    ZSTD_freeDCtx(d->zstd);
    mem_free(d);
}

/* One step of a library: takes some of *input, puts at most OUTPUT_BYTES at `out`, says how many.
 * 0 or DECODER_BROKEN. */
static int zlib_step(struct decoder *d, struct str *input, char *out, size_t *ret_n)
{
    uInt n = (uInt)MIN(input->len, (size_t)1 << 30);

    d->zlib.next_in = (Bytef *)(uintptr_t)input->ptr; /* zlib does not write there */
    d->zlib.avail_in = n;
    d->zlib.next_out = (Bytef *)out;
    d->zlib.avail_out = OUTPUT_BYTES;
    int r = inflate(&d->zlib, Z_NO_FLUSH);

    *ret_n = OUTPUT_BYTES - d->zlib.avail_out;
    *input = str_slice(*input, n - d->zlib.avail_in, input->len);
    if (r == Z_STREAM_END)
        d->is_ended = true;
    return r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR ? 0 : DECODER_BROKEN;
}

static int brotli_step(struct decoder *d, struct str *input, char *out, size_t *ret_n)
{
    const uint8_t *in = (const uint8_t *)input->ptr;
    uint8_t *to = (uint8_t *)out;
    size_t n_in = input->len;
    size_t n_out = OUTPUT_BYTES;
    BrotliDecoderResult r = BrotliDecoderDecompressStream(d->brotli, &n_in, &in, &n_out, &to, NULL);

    *ret_n = OUTPUT_BYTES - n_out;
    *input = str_slice(*input, input->len - n_in, input->len);
    if (r == BROTLI_DECODER_RESULT_SUCCESS)
        d->is_ended = true;
    return r == BROTLI_DECODER_RESULT_ERROR ? DECODER_BROKEN : 0;
}

static int zstd_step(struct decoder *d, struct str *input, char *out, size_t *ret_n)
{
    ZSTD_inBuffer in = {input->ptr, input->len, 0};
    ZSTD_outBuffer to = {out, OUTPUT_BYTES, 0};
    size_t r = ZSTD_decompressStream(d->zstd, &to, &in);

    if (ZSTD_isError(r))
        return DECODER_BROKEN;
    *ret_n = to.pos;
    *input = str_slice(*input, in.pos, input->len);
    d->is_ended = r == 0;
    return 0;
}

static int identity_step(struct str *input, char *out, size_t *ret_n)
{
    *ret_n = MIN(input->len, (size_t)OUTPUT_BYTES);
    memcpy(out, input->ptr, *ret_n);
    *input = str_slice(*input, *ret_n, input->len);
    return 0;
}

/* "deflate" means zlib's format, but raw deflate is sent under that name too. The first two bytes
 * tell them apart (RFC 1950 2.2: method 8, and a multiple of 31). */
static int deflate_step(struct decoder *d, struct str *input, char *out, size_t *ret_n)
{
    struct str first = str_make(&d->first, 1);

    if (!d->has_first) {
        d->has_first = true;
        d->first = (unsigned char)input->ptr[0];
        *input = str_slice(*input, 1, input->len);
        return 0;
    }
    unsigned head = (unsigned)d->first << 8 | (unsigned char)input->ptr[0];
    bool is_zlib = (d->first & 0x8f) == 8 && head % 31 == 0;

    d->deflate = is_zlib ? DEFLATE_ZLIB : DEFLATE_RAW;
    zlib_init(d, is_zlib ? 15 : -15);
    int r = zlib_step(d, &first, out, ret_n); /* one byte: nothing comes out yet */

    return r ? r : zlib_step(d, input, out, ret_n);
}

static int decoder_step(struct decoder *d, struct str *input, char *out, size_t *ret_n)
{
    *ret_n = 0;
    if (d->coding == DECODER_BR)
        return brotli_step(d, input, out, ret_n);
    if (d->coding == DECODER_ZSTD)
        return zstd_step(d, input, out, ret_n);
    if (d->coding == DECODER_IDENTITY)
        return identity_step(input, out, ret_n);
    if (d->deflate == DEFLATE_UNKNOWN)
        return deflate_step(d, input, out, ret_n);
    return zlib_step(d, input, out, ret_n);
}

/* Behind the end: another member of gzip begins with its magic byte (RFC 1952 2.2); zstd looks for
 * a further frame itself. False: what follows is no part of the content. */
static bool decoder_restart(struct decoder *d, struct str input)
{
    if (d->coding == DECODER_ZSTD)
        return true;
    if (d->coding != DECODER_GZIP || input.ptr[0] != '\x1f')
        return false;
    d->is_ended = false;
    return inflateReset(&d->zlib) == Z_OK;
}

int decoder_feed(struct decoder *d, struct str input, decoder_fn *fn, void *context)
{
    char out[OUTPUT_BYTES];
    size_t n = 0;

    while (!d->error && (input.len > 0 || (n == OUTPUT_BYTES && !d->is_ended))) {
        size_t before = input.len;

        if (d->is_ended && !decoder_restart(d, input))
            break;
        d->error = decoder_step(d, &input, out, &n);
        d->n_in += before - input.len;
        d->n_out += n;
        if (d->n_out > LIMIT_DECODED_SLACK_BYTES + d->n_in * LIMIT_DECODED_RATIO)
            d->error = DECODER_TOO_LARGE;
        else if (n > 0)
            fn(context, str_make(out, n));
        else if (before > 0 && before == input.len)
            d->error = DECODER_BROKEN; /* it neither takes nor gives: would go on for ever */
    }
    return d->error;
}

bool decoder_is_ended(const struct decoder *d)
{
    return d->coding == DECODER_IDENTITY || d->is_ended;
}
