/* What is tried again: every trigger, every way to fail, every reason not to. */
#include "policy/retry/retry_rule.h"

#include "base/macro.h"
#include "test/harness/test.h"

enum { ALL = 0xfff, N_CONDITIONS = 12 };

/* Of every condition alone: which ways to end a try it names. */
TEST(each_trigger_names_its_failures_and_no_others)
{
    static const struct retry_case cases[] = {
        {RETRY_NOT_CONNECTED, 0, -1, false, false}, {RETRY_REFUSED, 0, -1, true, false},
        {RETRY_RESET, 0, -1, true, true},           {RETRY_RESET, 0, -1, false, false},
        {RETRY_TIMED_OUT, 0, -1, true, true},       {RETRY_ANSWERED, 500, -1, true, false},
        {RETRY_ANSWERED, 502, -1, true, false},     {RETRY_ANSWERED, 504, -1, true, false},
        {RETRY_ANSWERED, 505, -1, true, false},     {RETRY_ANSWERED, 599, -1, true, false},
        {RETRY_ANSWERED, 409, -1, true, false},     {RETRY_ANSWERED, 429, -1, true, false},
        {RETRY_ANSWERED, 200, -1, true, false},     {RETRY_ANSWERED, 200, 0, true, false},
        {RETRY_ANSWERED, 200, 1, true, false},      {RETRY_ANSWERED, 200, 4, true, false},
        {RETRY_ANSWERED, 200, 8, true, false},      {RETRY_ANSWERED, 200, 13, true, false},
        {RETRY_ANSWERED, 200, 14, true, false},     {RETRY_ANSWERED, 200, 2, true, false},
        {RETRY_NONE, 0, -1, false, true},
    };
    /* A column for each case above. */
    static const char *const rows[N_CONDITIONS] = {
        "yyyyyyyyyy...........", /* 5xx */
        "yyyyy.yy.............", /* gateway-error */
        "yyyyy................", /* reset */
        "y..y.................", /* reset-before-request */
        "y....................", /* connect-failure */
        "..........y..........", /* retriable-4xx */
        ".y...................", /* refused-stream */
        "..............y......", /* cancelled */
        "...............y.....", /* deadline-exceeded */
        ".................y...", /* internal */
        "................y....", /* resource-exhausted */
        "..................y..", /* unavailable */
    };

    for (size_t i = 0; i < N_CONDITIONS; i++) {
        struct retry_rule rule = {.conditions = 1u << i};

        for (size_t k = 0; k < N_ELEMENTS(cases); k++)
            CHECK_MSG(retry_rule_applies(&rule, &cases[k]) == (rows[i][k] == 'y'), "%zu %zu", i, k);
    }
}

/* With every trigger: method and sent bytes. */
TEST(what_is_not_idempotent_is_not_sent_twice_unless_the_backend_says_so)
{
    static const struct {
        enum retry_failure failure;
        bool was_sent;
        bool is_idempotent;
        bool is_retried;
    } cases[] = {
        {RETRY_NOT_CONNECTED, false, false, true}, {RETRY_NOT_CONNECTED, false, true, true},
        {RETRY_REFUSED, true, false, true},        {RETRY_REFUSED, true, true, true},
        {RETRY_RESET, false, false, true},         {RETRY_RESET, false, true, true},
        {RETRY_RESET, true, false, false},         {RETRY_RESET, true, true, true},
        {RETRY_TIMED_OUT, false, false, true},     {RETRY_TIMED_OUT, false, true, true},
        {RETRY_TIMED_OUT, true, false, false},     {RETRY_TIMED_OUT, true, true, true},
        {RETRY_ANSWERED, true, false, true},       {RETRY_ANSWERED, true, true, true},
        {RETRY_NONE, false, true, false},
    };
    struct retry_rule rule = {.conditions = ALL};

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct retry_case c = {cases[i].failure, 503, -1, cases[i].was_sent,
                               cases[i].is_idempotent};

        CHECK_MSG(retry_rule_applies(&rule, &c) == cases[i].is_retried, "%zu", i);
    }
}

TEST(listed_statuses_count_without_any_trigger)
{
    static const uint16_t codes[] = {503, 418};
    struct retry_rule rule = {.codes = codes, .n_codes = N_ELEMENTS(codes)};
    struct retry_case c = {RETRY_ANSWERED, 418, -1, true, false};

    CHECK(retry_rule_applies(&rule, &c));
    c.status = 503;
    CHECK(retry_rule_applies(&rule, &c));
    c.status = 502;
    CHECK(!retry_rule_applies(&rule, &c));
    /* A status says nothing of a try that has none. */
    c = (struct retry_case){RETRY_TIMED_OUT, 503, -1, false, true};
    CHECK(!retry_rule_applies(&rule, &c));
    /* No rule at all. */
    CHECK(!retry_rule_applies(&(struct retry_rule){0},
                              &(struct retry_case){RETRY_ANSWERED, 503, 14, true, true}));
}
