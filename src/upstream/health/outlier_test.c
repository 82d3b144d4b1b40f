/* Answers that eject: counts, how long, how many at once, and the way back. */
#include "upstream/health/outlier.h"

#include "base/macro.h"
#include "test/harness/test.h"
#include "upstream/cluster.h"

/* 'g' good, '5' another 5xx, 'b' a gateway error, 'l' no answer. */
static enum outlier_result result_of(char c)
{
    return c == 'g'   ? OUTLIER_GOOD
           : c == '5' ? OUTLIER_5XX
           : c == 'b' ? OUTLIER_GATEWAY_ERROR
                      : OUTLIER_LOCAL_FAILURE;
}

TEST(results_in_a_row_reach_thresholds)
{
    static const struct {
        uint32_t n_5xx, n_gateway, n_local;
        bool is_split;
        const char *results;
        const char *ejects; /* '^' where a threshold is reached */
    } cases[] = {
        {3, 0, 0, false, "555", "..^"},
        {3, 0, 0, false, "55g55g", "......"},
        {3, 0, 0, false, "555555", "..^..^"}, /* the count begins anew */
        {3, 0, 0, false, "5bl", "..^"},       /* every kind is a 5xx */
        {0, 2, 0, false, "5b5b", "...."},     /* a 500 ends a row of gateway errors */
        {0, 2, 0, false, "bb", ".^"},
        {0, 2, 0, false, "bl", ".^"}, /* no answer is one, too */
        {5, 2, 0, false, "bb", ".^"},
        {0, 0, 0, false, "5blb5l", "......"}, /* nothing was asked for */
        {3, 0, 2, true, "l5l5l", "....."},    /* an answer ends a row of failures */
        {3, 2, 2, true, "ll", ".^"},
        {3, 2, 0, true, "llllll", "......"},
        {2, 0, 2, true, "5l5", "..^"}, /* apart: a failure ends no row of answers */
        {3, 2, 2, true, "lgl", "..."},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct endpoint_health e = {0};
        struct outlier_rule r = {.n_5xx = cases[i].n_5xx,
                                 .n_gateway_errors = cases[i].n_gateway,
                                 .n_local_failures = cases[i].n_local,
                                 .splits_local = cases[i].is_split};

        for (size_t k = 0; cases[i].results[k]; k++)
            CHECK_MSG(outlier_count(&e, &r, result_of(cases[i].results[k])) ==
                          (cases[i].ejects[k] == '^'),
                      "case %zu (%s) at %zu", i, cases[i].results, k);
    }
}

TEST(statuses_count_as_good_5xx_or_gateway_errors)
{
    static const struct {
        uint16_t status;
        enum outlier_result result;
    } cases[] = {
        {200, OUTLIER_GOOD},          {101, OUTLIER_GOOD},          {404, OUTLIER_GOOD},
        {429, OUTLIER_GOOD},          {499, OUTLIER_GOOD},          {500, OUTLIER_5XX},
        {501, OUTLIER_5XX},           {505, OUTLIER_5XX},           {502, OUTLIER_GATEWAY_ERROR},
        {503, OUTLIER_GATEWAY_ERROR}, {504, OUTLIER_GATEWAY_ERROR},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK_INT(outlier_result_of_status(cases[i].status), cases[i].result);
}

TEST(each_ejection_is_longer_up_to_a_bound)
{
    static const struct {
        uint64_t base_s;
        uint32_t n;
        uint64_t us;
    } cases[] = {
        {30, 1, 30000000},   {30, 2, 60000000},   {30, 9, 270000000},           {30, 10, 300000000},
        {30, 11, 300000000}, {600, 1, 600000000}, {600, UINT32_MAX, 600000000}, {0, 3, 0},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK_MSG(outlier_ejection_us(cases[i].base_s * 1000000, cases[i].n) == cases[i].us,
                  "case %zu", i);
}

TEST(a_share_of_the_endpoints_may_be_ejected)
{
    static const struct {
        uint32_t n_ejected, n, percent;
        bool ejects_one;
        bool may;
    } cases[] = {
        {0, 10, 10, false, true}, {1, 10, 10, false, false}, {0, 9, 10, false, false},
        {0, 9, 10, true, true},   {1, 9, 10, true, false},   {0, 1, 100, false, true},
        {2, 4, 75, false, true},  {3, 4, 75, false, false},  {0, 4, 0, false, false},
        {0, 4, 0, true, true},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK_MSG(outlier_may_eject(cases[i].n_ejected, cases[i].n, cases[i].percent,
                                    cases[i].ejects_one) == cases[i].may,
                  "case %zu", i);
}

TEST(a_share_of_failures_is_bad_where_there_are_enough_answers)
{
    static const struct {
        uint32_t n_answers, n_failures, percent;
        bool is_bad;
    } cases[] = {
        {50, 25, 50, true},   {50, 24, 50, false},
        {49, 49, 50, false},  {1000, 1000, 100, true},
        {50, 49, 100, false}, {100, 1, 1, true},
        {0, 0, 1, false},     {UINT32_MAX, UINT32_MAX, 100, true},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK_MSG(
            outlier_share_is_bad((struct outlier_share){cases[i].n_answers, cases[i].n_failures},
                                 cases[i].percent) == cases[i].is_bad,
            "case %zu", i);
}

TEST(shares_are_counted_where_they_are_asked_for_and_taken_once)
{
    struct outlier_rule r = {.failure_percent = 10};
    struct endpoint_health e = {0};
    struct outlier_share s;

    for (const char *c = "gg5bl"; *c; c++)
        CHECK(!outlier_count(&e, &r, result_of(*c)));
    s = outlier_take_share(&e);
    CHECK_INT(s.n_answers, 5);
    CHECK_INT(s.n_failures, 3);
    s = outlier_take_share(&e);
    CHECK_INT(s.n_answers + s.n_failures, 0);
    r.failure_percent = 0;
    outlier_count(&e, &r, OUTLIER_5XX);
    s = outlier_take_share(&e);
    CHECK_INT(s.n_answers + s.n_failures, 0);
}

TEST(ejecting_heeds_the_share_and_ends_with_the_rule)
{
    struct cluster_registry registry;
    struct cluster_identity identity = {.key = STR("k"),
                                        .name = STR("Backend/ns/b"),
                                        .endpoints = endpoint_set_new(4, ENDPOINTS_KNOWN)};
    struct cluster *c;
    struct endpoint_set *s;
    struct outlier_rule *r;
    char ip[32];

    cluster_registry_init(&registry);
    for (unsigned i = 0; i < identity.endpoints->n; i++) {
        snprintf(ip, sizeof ip, "127.0.0.%u", i + 1);
        CHECK(endpoint_init_ip(&identity.endpoints->items[i], str_of(ip), 80));
    }
    c = cluster_registry_get(&registry, &identity);
    s = c->endpoints;
    r = &c->backend->health.outlier;
    atomic_store(&r->percent, 50);
    atomic_store(&r->base_us, 1000);
    outlier_eject(s->items[0].state, s, 1);
    CHECK_MSG(s->items[0].state->health.bits == 0, "there is no rule yet");
    outlier_switch(c->backend, true);
    for (unsigned i = 0; i < 4; i++)
        outlier_eject(s->items[i].state, s, 1);
    outlier_eject(s->items[0].state, s, 500);
    CHECK_MSG(s->items[0].state->health.ejected_until_us == 1001, "it is out already");
    CHECK_INT(s->items[1].state->health.bits, HEALTH_EJECTED);
    CHECK_INT(s->items[2].state->health.bits | s->items[3].state->health.bits, 0);
    CHECK_INT(c->backend->health.n_ejections, 2);
    outlier_switch(c->backend, false);
    outlier_forget(&c->backend->health, &s->items[0].state->health);
    outlier_eject(s->items[0].state, s, 1);
    CHECK_INT(s->items[0].state->health.bits, 0);
    cluster_unref(c);
    cluster_registry_deinit(&registry);
}

TEST(an_ejected_endpoint_is_back_when_its_time_is_over_and_forgiven_later)
{
    struct backend_health b = {0};
    struct endpoint_health e = {.n_ejections = 2, .ejected_until_us = 100};

    CHECK(health_set_bit(&b, &e, HEALTH_EJECTED, true));
    CHECK_INT(b.version, 1);
    outlier_sweep(&b, &e, 99);
    CHECK_INT(e.bits, HEALTH_EJECTED);
    outlier_sweep(&b, &e, 100);
    CHECK_INT(e.bits, 0);
    CHECK_INT(b.version, 2);
    CHECK_MSG(e.n_ejections == 2, "not forgiven with the same call");
    outlier_sweep(&b, &e, 101);
    CHECK_INT(e.n_ejections, 1);
    outlier_sweep(&b, &e, 102);
    outlier_sweep(&b, &e, 103);
    CHECK_INT(e.n_ejections, 0);
    CHECK_INT(b.version, 2);
}

TEST(what_is_forgotten_is_forgotten_whole)
{
    struct backend_health b = {0};
    struct endpoint_health e = {
        .n_5xx = 1, .n_gateway_errors = 2, .n_local_failures = 3, .n_ejections = 4};

    health_set_bit(&b, &e, HEALTH_EJECTED, true);
    health_set_bit(&b, &e, HEALTH_FAILS_PROBES, true);
    outlier_forget(&b, &e);
    CHECK_INT(e.n_5xx + e.n_gateway_errors + e.n_local_failures + e.n_ejections, 0);
    CHECK_MSG(e.bits == HEALTH_FAILS_PROBES, "the probes' verdict is not this one's");
}
