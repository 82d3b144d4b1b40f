/* What collectors may say. */
#include "upstream/otlp/export_answer.h"

#include "base/limits.h"
#include "test/harness/test.h"

TEST(only_what_otlp_names_is_tried_again)
{
    static const unsigned again[] = {429, 502, 503, 504};
    static const unsigned never[] = {100, 301, 400, 401, 404, 408, 413, 500, 501, 505};

    for (size_t i = 0; i < N_ELEMENTS(again); i++)
        CHECK_INT(export_outcome_of_status(again[i]), EXPORT_AGAIN);
    for (size_t i = 0; i < N_ELEMENTS(never); i++)
        CHECK_INT(export_outcome_of_status(never[i]), EXPORT_REFUSED);
    CHECK_INT(export_outcome_of_status(200), EXPORT_TAKEN);
    CHECK_INT(export_outcome_of_status(202), EXPORT_TAKEN);
}

TEST(what_a_collector_rejected_is_counted)
{
    static const struct {
        const char *body;
        uint64_t n;
    } cases[] = {
        {"", 0},
        {"{}", 0},
        {"garbage", 0},
        {"[1]", 0},
        {"{\"partialSuccess\": 3}", 0},
        {"{\"partialSuccess\": {}}", 0},
        {"{\"partialSuccess\": {\"rejectedSpans\": \"7\", \"errorMessage\": \"no\"}}", 7},
        {"{\"partialSuccess\": {\"rejectedSpans\": 8}}", 8},
        {"{\"partialSuccess\": {\"rejectedSpans\": -8}}", 0},
        {"{\"partialSuccess\": {\"rejectedSpans\": \"many\"}}", 0},
        {"{\"partialSuccess\": {\"rejectedDataPoints\": \"9\"}}", 9},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK_MSG(export_n_rejected(str_of(cases[i].body)) == cases[i].n, "%s", cases[i].body);
}

TEST(a_pause_is_what_the_collector_says_within_a_bound)
{
    CHECK_INT(export_pause_us(STR("2")), 2000000);
    CHECK_INT(export_pause_us(STR("86400")), LIMIT_EXPORT_PAUSE_S * 1000000);
    CHECK_INT(export_pause_us(STR("0")), 0);
    CHECK_INT(export_pause_us(STR_NULL), 0);
    CHECK_INT(export_pause_us(STR("soon")), 0);
    CHECK_INT(export_pause_us(STR("Fri, 31 Dec 1999 23:59:59 GMT")), 0);
}
