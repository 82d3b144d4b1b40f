/* Decompression: what the compressors of the same libraries make, at every split, and what is no
 * such thing. */
#include "llm/decoder.h"

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "test/harness/test.h"

#define TEXT_BYTES 3000

static char text[TEXT_BYTES];

static void make_text(void)
{
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + (i * i / 7 + i) % 23);
}

static void deflate_to(struct buf *out, struct str input, int window_bits)
{
    z_stream z = {0};

    CHECK(deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    uLong bound = deflateBound(&z, (uLong)input.len);

    z.next_in = (Bytef *)(uintptr_t)input.ptr;
    z.avail_in = (uInt)input.len;
    z.next_out = (Bytef *)buf_reserve(out, bound);
    z.avail_out = (uInt)bound;
    CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
    out->len += bound - z.avail_out;
    deflateEnd(&z);
}

static void compress_to(struct buf *out, enum decoder_coding coding, struct str input)
{
    size_t n = input.len + 4096;
    char *to = buf_reserve(out, n);

    switch (coding) {
    case DECODER_GZIP:
        deflate_to(out, input, 15 + 16);
        break;
    case DECODER_DEFLATE:
        deflate_to(out, input, 15);
        break;
    case DECODER_BR:
        CHECK(BrotliEncoderCompress(5, 22, BROTLI_MODE_TEXT, input.len, (const uint8_t *)input.ptr,
                                    &n, (uint8_t *)to));
        out->len += n;
        break;
    case DECODER_ZSTD:
        n = ZSTD_compress(to, n, input.ptr, input.len, 3);
        CHECK(!ZSTD_isError(n));
        out->len += n;
        break;
    default:
        buf_append_str(out, input);
    }
}

static void append(void *context, struct str span)
{
    CHECK(span.len > 0 && span.len <= 16384);
    buf_append_str(context, span);
}

static void count(void *context, struct str span)
{
    *(uint64_t *)context += span.len;
}

static const enum decoder_coding codings[] = {DECODER_IDENTITY, DECODER_GZIP, DECODER_DEFLATE,
                                              DECODER_BR, DECODER_ZSTD};

TEST(every_coding_is_read_at_every_split)
{
    make_text();
    for (size_t i = 0; i < N_ELEMENTS(codings); i++) {
        struct buf in = {0};

        compress_to(&in, codings[i], str_make(text, sizeof text));
        for (size_t cut = 0; cut <= in.len; cut += cut < 40 || in.len - cut < 40 ? 1 : 37) {
            struct decoder *d = decoder_new(codings[i]);
            struct buf out = {0};

            CHECK_INT(decoder_feed(d, str_slice(buf_str(&in), 0, cut), append, &out), 0);
            CHECK_INT(decoder_feed(d, str_slice(buf_str(&in), cut, in.len), append, &out), 0);
            CHECK_MSG(str_eq(buf_str(&out), str_make(text, sizeof text)), "coding %zu, cut %zu", i,
                      cut);
            CHECK(decoder_is_ended(d));
            buf_deinit(&out);
            decoder_free(d);
        }
        buf_deinit(&in);
    }
}

TEST(a_stream_is_read_byte_by_byte_and_told_when_cut)
{
    make_text();
    for (size_t i = 1; i < N_ELEMENTS(codings); i++) {
        struct decoder *d = decoder_new(codings[i]);
        struct buf in = {0}, out = {0};

        compress_to(&in, codings[i], str_make(text, sizeof text));
        for (size_t k = 0; k < in.len; k++) {
            CHECK(!decoder_is_ended(d));
            CHECK_INT(decoder_feed(d, str_slice(buf_str(&in), k, k + 1), append, &out), 0);
        }
        CHECK(decoder_is_ended(d));
        CHECK(str_eq(buf_str(&out), str_make(text, sizeof text)));
        buf_deinit(&in);
        buf_deinit(&out);
        decoder_free(d);
    }
}

TEST(raw_deflate_and_further_members_are_read)
{
    struct decoder *d = decoder_new(DECODER_DEFLATE);
    struct buf in = {0}, out = {0};

    make_text();
    deflate_to(&in, str_make(text, sizeof text), -15);
    CHECK_INT(decoder_feed(d, buf_str(&in), append, &out), 0);
    CHECK(str_eq(buf_str(&out), str_make(text, sizeof text)));
    decoder_free(d);
    buf_clear(&out);
    buf_clear(&in);
    d = decoder_new(DECODER_GZIP);
    compress_to(&in, DECODER_GZIP, STR("one "));
    compress_to(&in, DECODER_GZIP, STR("two"));
    buf_append_str(&in, STR("garbage"));
    CHECK_INT(decoder_feed(d, buf_str(&in), append, &out), 0);
    CHECK_STR(buf_str(&out), "one two");
    decoder_free(d);
    buf_deinit(&in);
    buf_deinit(&out);
}

TEST(what_is_broken_ends_the_reading)
{
    make_text();
    for (size_t i = 1; i < N_ELEMENTS(codings); i++) {
        struct decoder *d = decoder_new(codings[i]);
        struct buf out = {0};

        CHECK_MSG(decoder_feed(d, str_make(text, sizeof text), append, &out) == DECODER_BROKEN,
                  "coding %zu", i);
        CHECK_INT(decoder_feed(d, STR("x"), append, &out), DECODER_BROKEN);
        buf_deinit(&out);
        decoder_free(d);
    }
}

/* 256 MiB of zeros in a few hundred KiB at most. */
static void make_bomb(struct buf *out, enum decoder_coding coding)
{
    static char zeros[1 << 20];

    if (coding == DECODER_GZIP || coding == DECODER_DEFLATE) {
        z_stream z = {0};

        CHECK(deflateInit2(&z, 9, Z_DEFLATED, coding == DECODER_GZIP ? 31 : 15, 8,
                           Z_DEFAULT_STRATEGY) == Z_OK);
        for (int i = 0; i < 64; i++) {
            z.next_in = (Bytef *)zeros;
            z.avail_in = sizeof zeros;
            z.next_out = (Bytef *)buf_reserve(out, 65536);
            z.avail_out = 65536;
            CHECK(deflate(&z, i == 63 ? Z_FINISH : Z_SYNC_FLUSH) >= 0);
            out->len += 65536 - z.avail_out;
        }
        deflateEnd(&z);
        return;
    }
    for (int i = 0; i < 16; i++)
        compress_to(out, coding, str_make(zeros, sizeof zeros));
}

TEST(a_bomb_ends_the_reading)
{
    for (size_t i = 1; i < N_ELEMENTS(codings); i++) {
        struct decoder *d = decoder_new(codings[i]);
        struct buf in = {0};
        uint64_t n_out = 0;
        int r = decoder_feed(d, STR(""), count, &n_out);

        CHECK_INT(r, 0);
        if (codings[i] == DECODER_BR) { /* one stream of its own: no members follow */
            static char zeros[1 << 24];

            compress_to(&in, DECODER_BR, str_make(zeros, sizeof zeros));
        } else {
            make_bomb(&in, codings[i]);
        }
        CHECK(in.len < 131072);
        r = decoder_feed(d, buf_str(&in), count, &n_out);
        CHECK_MSG(r == DECODER_TOO_LARGE, "coding %zu: %d", i, r);
        CHECK(n_out <= LIMIT_DECODED_SLACK_BYTES + in.len * LIMIT_DECODED_RATIO);
        buf_deinit(&in);
        decoder_free(d);
    }
}

/* A window of 64 MiB, asked for by a few bytes. */
TEST(a_window_beyond_the_bound_is_refused)
{
    static const char zstd_head[] = "\x28\xb5\x2f\xfd\x00\x80\x01\x00\x00";
    struct decoder *d = decoder_new(DECODER_ZSTD);
    uint64_t n_out = 0;

    CHECK_INT(decoder_feed(d, str_make(zstd_head, 9), count, &n_out), DECODER_BROKEN);
    CHECK_INT(n_out, 0);
    decoder_free(d);
}

TEST(codings_are_parsed)
{
    static const struct {
        const char *value;
        enum decoder_coding coding;
    } cases[] = {
        {"gzip", DECODER_GZIP},       {" GZip ", DECODER_GZIP},        {"x-gzip", DECODER_GZIP},
        {"deflate", DECODER_DEFLATE}, {"br", DECODER_BR},              {"zstd", DECODER_ZSTD},
        {"", DECODER_IDENTITY},       {"identity", DECODER_IDENTITY},  {"compress", DECODER_UNKNOWN},
        {"gzip, br", DECODER_UNKNOWN}, {"gzip,gzip", DECODER_UNKNOWN},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK_MSG(decoder_coding_parse(str_of(cases[i].value)) == cases[i].coding, "%s",
                  cases[i].value);
}
