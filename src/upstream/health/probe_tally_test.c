/* Probes into verdicts: tables of results, and what is thought of the endpoint after each. */
#include "upstream/health/probe_tally.h"

#include "base/macro.h"
#include "test/harness/test.h"

enum { UNHEALTHY_AFTER = 3, HEALTHY_AFTER = 2 };

/* '.' good, 'x' failed, 'r' retriable status, '!' a status that is neither expected nor that, '-'
 * not made. */
static enum probe_result result_of(char c)
{
    return c == '.'   ? PROBE_OK
           : c == 'x' ? PROBE_FAILED
           : c == 'r' ? PROBE_RETRIABLE_STATUS
           : c == '-' ? PROBE_NOT_MADE
                      : PROBE_STATUS;
}

TEST(thresholds_turn_results_into_verdicts)
{
    /* Below each result the verdict after it: 'H' healthy, 'U' unhealthy. */
    static const struct {
        const char *results;
        const char *verdicts;
    } cases[] = {
        {"....", "HHHH"},
        {".xxx", "HHHU"},       /* three in a row */
        {".xx.xx.", "HHHHHHH"}, /* never in a row */
        {".xxxx..", "HHHUUUH"}, /* two good ones bring it back */
        {".xxx.x.x..", "HHHUUUUUUH"},
        {".r.rrr", "HHHHHU"}, /* retriable ones count like failures */
        {".!", "HU"},         /* others decide at once */
        {".!..", "HUUH"},
        {"x", "U"}, /* and so does the first probe */
        {"x..", "UUH"},
        {"r.", "UU"},
        {".xrx", "HHHU"},
        {".xx-x", "HHHHU"}, /* it is as if there had been none */
        {"----x", "HHHHU"},
        {".xxx-.-.", "HHHUUUUH"},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct probe_tally t = {0};
        bool was_unhealthy = false;

        for (size_t k = 0; cases[i].results[k]; k++) {
            bool is_changed = probe_tally_note(&t, UNHEALTHY_AFTER, HEALTHY_AFTER,
                                               result_of(cases[i].results[k]));

            CHECK_MSG((cases[i].verdicts[k] == 'U') == t.is_unhealthy, "%s at %zu",
                      cases[i].results, k);
            CHECK_MSG(is_changed == (was_unhealthy != t.is_unhealthy), "%s at %zu: told wrongly",
                      cases[i].results, k);
            was_unhealthy = t.is_unhealthy;
        }
    }
}

TEST(thresholds_of_one_turn_with_every_probe)
{
    struct probe_tally t = {0};

    CHECK(!probe_tally_note(&t, 1, 1, PROBE_OK));
    CHECK(probe_tally_note(&t, 1, 1, PROBE_TIMEOUT));
    CHECK(probe_tally_note(&t, 1, 1, PROBE_OK));
    CHECK(probe_tally_note(&t, 1, 1, PROBE_CONTENT));
    CHECK(t.is_unhealthy);
}
