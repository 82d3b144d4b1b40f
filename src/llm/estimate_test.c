/* The estimate: exact where counts are told, and near the truth where a mock's stream is cut or
 * silent. */
#include "llm/estimate.h"

#include <stdlib.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/random.h"
#include "llm/answer_scan.h"
#include "llm/decoder.h"
#include "test/harness/test.h"

TEST(tokens_are_bytes_by_four_rounded_up)
{
    CHECK_INT(estimate_tokens(0), 0);
    CHECK_INT(estimate_tokens(1), 1);
    CHECK_INT(estimate_tokens(4), 1);
    CHECK_INT(estimate_tokens(5), 2);
    CHECK_INT(estimate_tokens(UINT64_MAX), LIMIT_USAGE_TOKENS);
}

TEST(what_is_told_stays_and_what_lacks_is_filled_in)
{
    static const struct {
        struct usage in;
        uint64_t prompt_bytes, text_bytes;
        int64_t input, output, total;
        bool is_estimated;
    } cases[] = {
        {{.input = 5,
          .has_input = true,
          .output = 6,
          .has_output = true,
          .total = 12,
          .has_total = true},
         100,
         0,
         5,
         6,
         12,
         false},
        {{.input = 5, .has_input = true, .output = 6, .has_output = true}, 100, 0, 5, 6, 11, false},
        {{.input = 5,
          .has_input = true,
          .output = 1,
          .has_output = true,
          .total = 6,
          .has_total = true},
         100,
         41,
         5,
         12,
         17,
         true},
        {{.input = 5, .has_input = true}, 100, 8, 5, 2, 7, true},
        {{.has_input = true, .output = 6, .has_output = true}, 100, 0, 25, 6, 31, true},
        {{.has_input = true, .output = 6, .has_output = true}, 0, 0, 0, 6, 6, false},
        {{.is_estimated = false}, 101, 0, 26, 0, 26, true},
        {{.output = 3, .has_output = true}, 4, 0, 1, 3, 4, true},
        {{.output = INT64_MAX, .has_output = true}, 4, 4, 1, INT64_MAX, INT64_MAX, true},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct usage u = cases[i].in;

        estimate_tokens_fill(&u, cases[i].prompt_bytes, cases[i].text_bytes);
        CHECK_MSG(u.input == cases[i].input && u.output == cases[i].output &&
                      u.total == cases[i].total && u.is_estimated == cases[i].is_estimated,
                  "case %zu: %lld %lld %lld", i, (long long)u.input, (long long)u.output,
                  (long long)u.total);
        CHECK(u.has_input && u.has_output && u.has_total);
    }
}

TEST(rows_that_were_not_read_are_as_many_as_came_in)
{
    struct usage u = {.output = 3, .has_output = true};

    estimate_rows_fill(&u, 4);
    CHECK(u.input == 4 && u.output == 3 && u.total == 7 && !u.is_estimated);
    u = (struct usage){.has_input = false};
    estimate_rows_fill(&u, 4);
    CHECK(u.input == 4 && u.output == 4 && u.total == 8 && u.is_estimated);
}

/* A model that draws 1 to 4 tokens a frame and 2 to 6 bytes a token, and counts what it sends. It
 * tells usage at the end, in every frame, or never; plain or with gzip, flushed behind each frame.
 */
enum mock_usage {
    MOCK_LAST,
    MOCK_EVERY,
    MOCK_NEVER,
    MOCK_USAGES_,
};

struct mock {
    struct random random;
    enum mock_usage usage;
    bool has_gzip;
    int64_t n_tokens;
    z_stream zlib;
    struct buf bytes; /* what it has written to its client */
    struct answer_scan scan;
};

#define CHUNK "data: {\"model\":\"m\",\"choices\":["

static void write_bytes(struct mock *m, struct str text)
{
    if (!m->has_gzip) {
        buf_append_str(&m->bytes, text);
        return;
    }
    m->zlib.next_in = (Bytef *)(uintptr_t)text.ptr;
    m->zlib.avail_in = (uInt)text.len;
    do {
        m->zlib.next_out = (Bytef *)buf_reserve(&m->bytes, 4096);
        m->zlib.avail_out = 4096;
        CHECK(deflate(&m->zlib, text.len > 0 ? Z_SYNC_FLUSH : Z_FINISH) >= 0);
        m->bytes.len += 4096 - m->zlib.avail_out;
    } while (m->zlib.avail_out == 0);
}

static void write_usage(struct mock *m, struct buf *frame)
{
    buf_printf(frame, ",\"usage\":{\"prompt_tokens\":25,\"completion_tokens\":%lld}}\n\n",
               (long long)m->n_tokens);
}

static void write_frame(struct mock *m)
{
    static struct buf frame;
    uint32_t n_tokens = 1 + random_below(&m->random, 4);

    buf_clear(&frame);
    buf_printf(&frame, CHUNK "{\"index\":0,\"delta\":{\"content\":\"");
    for (uint32_t i = 0; i < n_tokens; i++) {
        for (uint32_t k = 2 + random_below(&m->random, 5); k > 0; k--)
            buf_append_char(&frame, (char)('a' + random_below(&m->random, 26)));
    }
    buf_printf(&frame, "\"},\"finish_reason\":null}]");
    m->n_tokens += n_tokens;
    if (m->usage == MOCK_EVERY)
        write_usage(m, &frame);
    else
        buf_printf(&frame, "%s}\n\n", m->usage == MOCK_LAST ? ",\"usage\":null" : "");
    write_bytes(m, buf_str(&frame));
}

static void write_end(struct mock *m)
{
    static struct buf frame;

    buf_clear(&frame);
    if (m->usage == MOCK_LAST) {
        buf_printf(&frame, CHUNK "]");
        write_usage(m, &frame);
    }
    buf_printf(&frame, "data: [DONE]\n\n");
    write_bytes(m, buf_str(&frame));
    write_bytes(m, STR(""));
}

static void on_text(void *context, struct str span)
{
    answer_scan_feed(context, span);
}

/* As the network cuts it, up to `end`. */
static void read_bytes(struct mock *m, size_t end)
{
    struct decoder *d = decoder_new(m->has_gzip ? DECODER_GZIP : DECODER_IDENTITY);
    struct str rest = str_slice(buf_str(&m->bytes), 0, end);

    answer_scan_init(&m->scan, AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_EVENTS);
    while (rest.len > 0) {
        size_t part = MIN(rest.len, (size_t)1 + random_below(&m->random, 300));

        CHECK_INT(decoder_feed(d, str_slice(rest, 0, part), on_text, &m->scan), 0);
        rest = str_slice(rest, part, rest.len);
    }
    answer_scan_end(&m->scan);
    decoder_free(d);
}

/* One answer of `n_frames`; with `is_cut` the last byte that passes lies in the last frame. */
static void play(struct mock *m, uint32_t n_frames, bool is_cut, struct usage *ret_usage)
{
    size_t before = 0;

    m->n_tokens = 0;
    buf_clear(&m->bytes);
    m->zlib = (z_stream){0};
    if (m->has_gzip)
        CHECK(deflateInit2(&m->zlib, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    for (uint32_t i = 0; i < n_frames; i++) {
        before = m->bytes.len;
        write_frame(m);
    }
    size_t end = before + random_below(&m->random, (uint32_t)(m->bytes.len - before));

    if (!is_cut) {
        write_end(m);
        end = m->bytes.len;
    }
    read_bytes(m, end);
    if (m->has_gzip)
        deflateEnd(&m->zlib);
    answer_scan_usage(&m->scan, ret_usage);
}

/* Streams of 40 to 400 frames, half of them cut at any byte. */
TEST(counts_are_exact_and_estimates_near_the_truth)
{
    static struct mock m;
    int64_t sum_sent = 0;
    int64_t sum_estimated = 0;

    random_init_seed(&m.random, 20261126);
    for (unsigned i = 0; i < 3000; i++) {
        struct usage u;
        bool is_cut = i % 2;

        m.usage = (enum mock_usage)(i / 2 % MOCK_USAGES_);
        m.has_gzip = i / 6 % 2;
        play(&m, 40 + random_below(&m.random, 361), is_cut, &u);
        CHECK(m.scan.facts.is_ended == !is_cut);
        estimate_tokens_fill(&u, 100, answer_scan_open_text_bytes(&m.scan));
        CHECK(u.input == 25);
        if (!is_cut && m.usage != MOCK_NEVER) {
            CHECK(!u.is_estimated && u.output == m.n_tokens && u.total == 25 + m.n_tokens);
            continue;
        }
        CHECK(u.is_estimated || (m.usage == MOCK_EVERY && is_cut));
        CHECK_MSG(llabs(u.output - m.n_tokens) * 4 <= m.n_tokens,
                  "stream %u: %lld tokens, estimate %lld", i, (long long)m.n_tokens,
                  (long long)u.output);
        sum_sent += m.n_tokens;
        sum_estimated += u.output;
    }
    CHECK_MSG(llabs(sum_estimated - sum_sent) * 100 <= sum_sent, "%lld tokens, estimates %lld",
              (long long)sum_sent, (long long)sum_estimated);
    buf_deinit(&m.bytes);
}
