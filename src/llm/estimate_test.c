/* The estimate: exact where counts are told, and near the truth where a mock stream is cut. */
#include "llm/estimate.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/random.h"
#include "llm/answer_scan.h"
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
        {{.input = 5, .has_input = true, .output = 6, .has_output = true, .total = 12,
          .has_total = true}, 100, 0, 5, 6, 12, false},
        {{.input = 5, .has_input = true, .output = 6, .has_output = true}, 100, 0, 5, 6, 11, false},
        {{.input = 5, .has_input = true, .output = 1, .has_output = true, .total = 6,
          .has_total = true}, 100, 41, 5, 12, 17, true},
        {{.input = 5, .has_input = true}, 100, 8, 5, 2, 7, true},
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

/* A model that draws 1 to 4 tokens a frame and 2 to 6 bytes a token, and counts what it sends. */
struct mock {
    struct random random;
    struct answer_scan scan;
    int64_t n_sent; /* tokens in frames that were passed on */
};

static void send_frame(struct mock *m)
{
    char text[64];
    size_t n = 0;
    char frame[256];
    uint32_t n_tokens = 1 + random_below(&m->random, 4);

    for (uint32_t i = 0; i < n_tokens; i++) {
        for (uint32_t k = 2 + random_below(&m->random, 5); k > 0; k--)
            text[n++] = (char)('a' + random_below(&m->random, 26));
    }
    int len = snprintf(frame, sizeof frame,
                       "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
                       "\"%.*s\"},\"finish_reason\":null}],\"usage\":null}\n\n",
                       (int)n, text);
    struct str rest = str_make(frame, (size_t)len);

    while (rest.len > 0) { /* as the network cuts it */
        size_t part = MIN(rest.len, (size_t)1 + random_below(&m->random, 300));

        answer_scan_feed(&m->scan, str_slice(rest, 0, part));
        rest = str_slice(rest, part, rest.len);
    }
    m->n_sent += n_tokens;
}

/* Streams of 40 to 400 frames that end without usage. */
TEST(estimates_of_cut_streams_are_near_the_truth)
{
    static struct mock m;
    int64_t sum_sent = 0;
    int64_t sum_estimated = 0;

    random_init_seed(&m.random, 20261126);
    for (unsigned i = 0; i < 2000; i++) {
        struct usage u;
        uint32_t n_frames = 40 + random_below(&m.random, 361);

        answer_scan_init(&m.scan, AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_EVENTS);
        m.n_sent = 0;
        for (uint32_t k = 0; k < n_frames; k++)
            send_frame(&m);
        answer_scan_end(&m.scan);
        answer_scan_usage(&m.scan, &u);
        CHECK(!u.has_output);
        estimate_tokens_fill(&u, 100, answer_scan_open_text_bytes(&m.scan));
        CHECK(u.is_estimated);
        CHECK_MSG(llabs(u.output - m.n_sent) * 4 <= m.n_sent, "stream %u: %lld tokens, estimate %lld",
                  i, (long long)m.n_sent, (long long)u.output);
        sum_sent += m.n_sent;
        sum_estimated += u.output;
    }
    CHECK_MSG(llabs(sum_estimated - sum_sent) * 100 <= sum_sent, "%lld tokens, estimates %lld",
              (long long)sum_sent, (long long)sum_estimated);
}
