/* Compression: what the decompressors of the same libraries read, at every split; what is flushed
 * can be read; what is not ended is not whole; memory. */
#include "http/encode/encoder.h"

#include <brotli/decode.h>
#include <malloc.h>
#include <zlib.h>
#include <zstd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "test/harness/test.h"

enum { TEXT_BYTES = 2000, LONG_BYTES = 1 << 20 };

/* ---- readers ---- */

struct reader {
    enum encoder_coding coding;
    z_stream zlib;
    BrotliDecoderState *brotli;
    ZSTD_DCtx *zstd;
    bool is_ended;
    struct buf text;
};

static void reader_init(struct reader *r, enum encoder_coding coding)
{
    *r = (struct reader){.coding = coding};
    if (coding == ENCODER_GZIP)
        CHECK(inflateInit2(&r->zlib, 15 + 16) == Z_OK);
    r->brotli = BrotliDecoderCreateInstance(NULL, NULL, NULL);
    r->zstd = ZSTD_createDCtx();
}

static void reader_deinit(struct reader *r)
{
    if (r->coding == ENCODER_GZIP)
        inflateEnd(&r->zlib);
    BrotliDecoderDestroyInstance(r->brotli);
    ZSTD_freeDCtx(r->zstd);
    buf_deinit(&r->text);
}

static void read_gzip(struct reader *r, struct str s)
{
    int result = Z_OK;

    r->zlib.next_in = (Bytef *)(uintptr_t)s.ptr;
    r->zlib.avail_in = (uInt)s.len;
    do {
        r->zlib.next_out = (Bytef *)buf_reserve(&r->text, 65536);
        r->zlib.avail_out = 65536;
        result = inflate(&r->zlib, Z_NO_FLUSH);
        r->text.len += 65536 - r->zlib.avail_out;
    } while (r->zlib.avail_out == 0);
    CHECK(result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR);
    CHECK_INT(r->zlib.avail_in, 0);
    r->is_ended = result == Z_STREAM_END;
}

static void read_br(struct reader *r, struct str s)
{
    const uint8_t *in = (const uint8_t *)s.ptr;
    BrotliDecoderResult result;

    do {
        uint8_t *to = (uint8_t *)buf_reserve(&r->text, 65536);
        size_t n_out = 65536;

        result = BrotliDecoderDecompressStream(r->brotli, &s.len, &in, &n_out, &to, NULL);
        r->text.len += 65536 - n_out;
    } while (result == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT ||
             BrotliDecoderHasMoreOutput(r->brotli));
    CHECK(result != BROTLI_DECODER_RESULT_ERROR && s.len == 0);
    r->is_ended = result == BROTLI_DECODER_RESULT_SUCCESS;
}

static void read_zstd(struct reader *r, struct str s)
{
    ZSTD_inBuffer in = {s.ptr, s.len, 0};
    ZSTD_outBuffer to;
    size_t result;

    do {
        to = (ZSTD_outBuffer){buf_reserve(&r->text, 65536), 65536, 0};
        result = ZSTD_decompressStream(r->zstd, &to, &in);
        CHECK(!ZSTD_isError(result));
        r->text.len += to.pos;
    } while (in.pos < in.size || (to.pos == to.size && result > 0));
    r->is_ended = result == 0;
}

/* Reads what is in `wire`, and empties it. */
static void read_all(struct reader *r, struct buf *wire)
{
    static void (*const read[])(struct reader *, struct str) = {read_gzip, read_br, read_zstd};

    if (wire->len > 0)
        read[r->coding](r, buf_str(wire));
    buf_clear(wire);
}

/* ---- texts ---- */

static char text[TEXT_BYTES];

static struct str make_text(void)
{
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + (i * i / 7 + i) % 23);
    return str_make(text, sizeof text);
}

/* Half of it cannot be made smaller. */
static struct str make_long_text(void)
{
    static char bytes[LONG_BYTES];
    uint32_t seed = 1;

    for (size_t i = 0; i < sizeof bytes; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes[i] = (i >> 16) % 2 ? (char)(seed >> 24) : text[(seed >> 24) + i % 64];
    }
    return str_make(bytes, sizeof bytes);
}

static struct encoder *new_default(enum encoder_coding coding)
{
    struct encoder_settings s = encoder_defaults(coding);

    return encoder_new(&s);
}

#define EACH_CODING(name) (enum encoder_coding name = ENCODER_GZIP; name < ENCODER_CODINGS; name++)

/* ---- */

TEST(every_coding_is_read_whole_at_every_split)
{
    struct str all = make_text();

    for
        EACH_CODING(coding)
        {
            for (size_t cut = 0; cut <= all.len; cut++) {
                struct encoder *e = new_default(coding);
                struct buf wire = {0};
                struct reader r;

                reader_init(&r, coding);
                encoder_feed(e, str_slice(all, 0, cut), &wire);
                encoder_feed(e, str_slice(all, cut, all.len), &wire);
                encoder_end(e, &wire);
                CHECK(wire.len < all.len / 2);
                read_all(&r, &wire);
                CHECK_MSG(r.is_ended && str_eq(buf_str(&r.text), all), "coding %u, cut %zu", coding,
                          cut);
                reader_deinit(&r);
                buf_deinit(&wire);
                encoder_free(e);
            }
        }
}

TEST(what_was_fed_can_be_read_after_a_flush_and_is_not_whole_before_the_end)
{
    struct str all = make_text();

    for
        EACH_CODING(coding)
        {
            for (size_t cut = 1; cut < all.len; cut += 13) {
                struct encoder *e = new_default(coding);
                struct buf wire = {0};
                struct reader r;

                reader_init(&r, coding);
                encoder_feed(e, str_slice(all, 0, cut), &wire);
                encoder_flush(e, &wire);
                read_all(&r, &wire);
                CHECK_MSG(str_eq(buf_str(&r.text), str_slice(all, 0, cut)), "coding %u, cut %zu",
                          coding, cut);
                CHECK_MSG(!r.is_ended, "coding %u, cut %zu", coding, cut);
                encoder_flush(e, &wire);
                CHECK_INT(wire.len, 0); /* nothing was fed since */
                encoder_feed(e, str_slice(all, cut, all.len), &wire);
                encoder_end(e, &wire);
                read_all(&r, &wire);
                CHECK_MSG(r.is_ended && str_eq(buf_str(&r.text), all), "coding %u, cut %zu", coding,
                          cut);
                reader_deinit(&r);
                buf_deinit(&wire);
                encoder_free(e);
            }
        }
}

TEST(byte_by_byte_each_can_be_read_at_once)
{
    struct str all = str_slice(make_text(), 0, 300);

    for
        EACH_CODING(coding)
        {
            struct encoder *e = new_default(coding);
            struct buf wire = {0};
            struct reader r;

            reader_init(&r, coding);
            for (size_t i = 0; i < all.len; i++) {
                encoder_feed(e, str_slice(all, i, i + 1), &wire);
                encoder_flush(e, &wire);
                read_all(&r, &wire);
                CHECK_INT(r.text.len, i + 1);
            }
            CHECK(!r.is_ended && str_eq(buf_str(&r.text), all));
            reader_deinit(&r);
            buf_deinit(&wire);
            encoder_free(e);
        }
}

TEST(long_pieces_can_be_read_after_a_flush)
{
    struct str all;

    make_text();
    all = make_long_text();
    for
        EACH_CODING(coding)
        {
            struct encoder *e = new_default(coding);
            struct buf wire = {0};
            struct reader r;

            reader_init(&r, coding);
            for (size_t n = 0; n < all.len; n += 200000) {
                encoder_feed(e, str_slice(all, n, n + 200000), &wire);
                encoder_flush(e, &wire);
                read_all(&r, &wire);
                CHECK(str_eq(buf_str(&r.text), str_slice(all, 0, n + 200000)));
            }
            CHECK(!r.is_ended);
            reader_deinit(&r);
            buf_deinit(&wire);
            encoder_free(e);
        }
}

TEST(an_answer_without_content_is_a_whole_stream)
{
    for
        EACH_CODING(coding)
        {
            struct encoder *e = new_default(coding);
            struct buf wire = {0};
            struct reader r;

            reader_init(&r, coding);
            encoder_flush(e, &wire);
            CHECK_INT(wire.len, 0);
            encoder_end(e, &wire);
            CHECK(wire.len > 0);
            read_all(&r, &wire);
            CHECK(r.is_ended && r.text.len == 0);
            reader_deinit(&r);
            buf_deinit(&wire);
            encoder_free(e);
        }
}

/* ---- settings ---- */

/* One with these settings writes `all`, a flush every 64 KiB or a single one; how much memory did
 * it take at most? */
static size_t write_long(const struct encoder_settings *s, struct str all, bool has_flushes)
{
    size_t before, peak = 0;
    struct buf wire = {0};
    struct encoder *e;
    struct reader r;

    reader_init(&r, s->coding);
    buf_reserve(&wire, all.len * 2); /* the caller's, and not to be counted */
    buf_reserve(&r.text, all.len * 2);
    before = mallinfo2().uordblks + mallinfo2().hblkhd;
    e = encoder_new(s);
    for (size_t i = 0; i < all.len; i += 65536) {
        encoder_feed(e, str_slice(all, i, i + 65536), &wire);
        if (has_flushes)
            encoder_flush(e, &wire);
        peak = MAX(peak, mallinfo2().uordblks + mallinfo2().hblkhd - before);
    }
    encoder_end(e, &wire);
    peak = MAX(peak, mallinfo2().uordblks + mallinfo2().hblkhd - before);
    encoder_free(e);
    read_all(&r, &wire);
    CHECK(r.is_ended && str_eq(buf_str(&r.text), all));
    buf_deinit(&wire);
    reader_deinit(&r);
    return peak;
}

static void check_memory(struct encoder_settings s, struct str all)
{
    for (int has_flushes = 0; has_flushes < 2; has_flushes++) {
        size_t peak = write_long(&s, all, has_flushes);

        CHECK_MSG(peak <= encoder_bytes(&s),
                  "coding %u, level %d, window %d, memory %d, strategy %d: %zu of %zu", s.coding,
                  s.level, s.window_bits, s.memory_level, s.strategy, peak, encoder_bytes(&s));
    }
}

TEST(memory_of_gzip_is_bounded)
{
    struct str all;

    make_text();
    all = str_slice(make_long_text(), 0, 1 << 17);
    for (int level = 1; level <= 9; level += 4) {
        for (int window = 9; window <= 15; window += 3) {
            for (int memory = 1; memory <= 9; memory += 2)
                check_memory((struct encoder_settings){.coding = ENCODER_GZIP,
                                                       .level = level,
                                                       .window_bits = window,
                                                       .memory_level = memory,
                                                       .strategy = window % 5},
                             all);
        }
    }
}

TEST(memory_of_br_is_bounded)
{
    struct str all;

    make_text();
    all = make_long_text();
    for (int level = 0; level <= 7; level++) {
        for (int window = 16; window <= 20; window += 2)
            check_memory((struct encoder_settings){.coding = ENCODER_BR,
                                                   .level = level,
                                                   .window_bits = window,
                                                   .strategy = level % 3,
                                                   .has_no_context_of_literals = level % 2},
                         all);
    }
}

TEST(memory_of_zstd_is_bounded)
{
    struct str all;

    make_text();
    all = str_slice(make_long_text(), 0, 1 << 19);
    for (int level = 1; level <= 9; level++) {
        for (int strategy = 0; strategy <= 9; strategy += 3)
            check_memory((struct encoder_settings){.coding = ENCODER_ZSTD,
                                                   .level = level,
                                                   .strategy = strategy,
                                                   .has_checksum = level % 2},
                         all);
    }
}

TEST(settings_that_ask_for_too_much_are_lowered)
{
    static const struct {
        struct encoder_settings asked;
        int level, window_bits;
    } rows[] = {
        {{ENCODER_GZIP, 9, 15, 9, 0, false, false}, 9, 15},
        {{ENCODER_BR, 3, 18, 0, 0, false, false}, 3, 18},
        {{ENCODER_BR, 11, 24, 0, 0, false, false}, 7, 20},
        {{ENCODER_BR, 8, 10, 0, 0, false, false}, 7, 10},
        {{ENCODER_BR, 0, 24, 0, 0, false, false}, 0, 20},
        {{ENCODER_ZSTD, 9, 0, 0, 9, true, false}, 9, 0},
        {{ENCODER_ZSTD, 22, 0, 0, 0, false, false}, 9, 0},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct encoder_settings s = rows[i].asked;
        bool is_lowered = s.level != rows[i].level || s.window_bits != rows[i].window_bits;

        CHECK_INT(encoder_settings_fit(&s), is_lowered);
        CHECK_INT(s.level, rows[i].level);
        CHECK_INT(s.window_bits, rows[i].window_bits);
        CHECK(encoder_bytes(&s) <= LIMIT_ENCODER_BYTES);
    }
    for
        EACH_CODING(coding)
        {
            struct encoder_settings s = encoder_defaults(coding);

            CHECK(!encoder_settings_fit(&s));
            CHECK_INT(s.coding, coding);
        }
}
