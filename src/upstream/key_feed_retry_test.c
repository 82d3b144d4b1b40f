/* Rounds of tries, as the shipped policy asks for them: three retries, 1 s to 5 s. */
#include "upstream/key_feed_retry.h"

#include "base/macro.h"
#include "test/harness/test.h"

static const struct key_feed_retry shipped = {
    .n_retries = 3,
    .on = KEY_FEED_ON_5XX | KEY_FEED_ON_GATEWAY_ERROR | KEY_FEED_ON_RESET,
    .back_off = {1000000, 5000000},
    .failed_us = 60000000,
};

TEST(a_round_has_its_retries_and_then_a_longer_pause)
{
    static const uint64_t most[] = {1000000, 2000000, 4000000, 60000000, 1000000};
    uint32_t n_failed = 0;

    for (size_t i = 0; i < N_ELEMENTS(most); i++) {
        uint32_t before = n_failed;
        uint64_t us = key_feed_retry_pause(&shipped, &n_failed, KEY_FEED_ON_RESET, UINT64_MAX - i);

        CHECK_MSG(us <= most[i] && us >= most[i] / 4, "pause %zu: %llu", i, (unsigned long long)us);
        CHECK_INT(n_failed, i == 3 ? 0 : before + 1);
    }
}

TEST(pauses_stay_within_their_bounds)
{
    struct key_feed_retry long_round = shipped;
    uint32_t n_failed = 0;

    long_round.n_retries = 100;
    for (uint64_t i = 0; i < 100; i++) {
        uint64_t us = key_feed_retry_pause(&long_round, &n_failed, KEY_FEED_ON_5XX,
                                           i * 0x9e3779b97f4a7c15ULL);

        CHECK(us <= 5000000);
        CHECK(i < 3 || us >= 1250000);
    }
    long_round.back_off = (struct back_off){UINT64_MAX / 2, UINT64_MAX / 2};
    n_failed = 40;
    CHECK(key_feed_retry_pause(&long_round, &n_failed, KEY_FEED_ON_5XX, 0) <= UINT64_MAX / 2);
}

TEST(a_failure_that_is_not_named_ends_the_round)
{
    static const struct {
        uint32_t triggers;
        bool is_retried;
    } cases[] = {
        {KEY_FEED_ON_RESET, true},
        {KEY_FEED_ON_CONNECT_FAILURE, false},
        {KEY_FEED_ON_CONNECT_FAILURE | KEY_FEED_ON_RESET, true},
        {0, false},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        uint32_t n_failed = 1;
        uint64_t us = key_feed_retry_pause(&shipped, &n_failed, cases[i].triggers, 0);

        CHECK_MSG((us != shipped.failed_us) == cases[i].is_retried, "%zu", i);
        CHECK_INT(n_failed, cases[i].is_retried ? 2 : 0);
    }
}

TEST(statuses_count_as_what_retry_on_names)
{
    static const struct {
        unsigned status;
        uint32_t triggers;
    } cases[] = {
        {500, KEY_FEED_ON_5XX},
        {502, KEY_FEED_ON_5XX | KEY_FEED_ON_GATEWAY_ERROR},
        {504, KEY_FEED_ON_5XX | KEY_FEED_ON_GATEWAY_ERROR},
        {505, KEY_FEED_ON_5XX},
        {409, KEY_FEED_ON_CONFLICT},
        {404, 0},
        {302, 0},
        {204, 0},
        {600, 0},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK_INT(key_feed_triggers_of_status(cases[i].status), cases[i].triggers);
}
