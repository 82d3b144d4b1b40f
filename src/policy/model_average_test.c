/* Averages of models: silent at first, then moving, and bounded. */
#include "policy/model_average.h"

#include "base/limits.h"
#include "test/harness/test.h"

TEST(an_average_is_told_after_twenty_answers)
{
    struct model_averages m;
    uint64_t tokens = 0;

    model_averages_init(&m);
    for (int i = 1; i <= 19; i++)
        model_average_note(&m, STR("iris"), i % 2 ? 100 : 300);
    CHECK(!model_average_find(&m, STR("iris"), &tokens));
    model_average_note(&m, STR("iris"), 300);
    CHECK(model_average_find(&m, STR("iris"), &tokens));
    CHECK(tokens >= 199 && tokens <= 201);
    CHECK(!model_average_find(&m, STR("other"), &tokens));
    model_averages_deinit(&m);
    model_averages_deinit(&m);
}

TEST(an_average_follows_what_changes)
{
    struct model_averages m;
    uint64_t tokens = 0;

    model_averages_init(&m);
    for (int i = 0; i < 100; i++)
        model_average_note(&m, STR("iris"), 1000);
    for (int i = 0; i < 400; i++)
        model_average_note(&m, STR("iris"), 10);
    CHECK(model_average_find(&m, STR("iris"), &tokens));
    CHECK(tokens >= 10 && tokens <= 12);
    model_average_note(&m, STR("iris"), UINT64_MAX);
    CHECK(model_average_find(&m, STR("iris"), &tokens));
    CHECK(tokens <= (1U << 24));
    model_averages_deinit(&m);
}

TEST(the_model_used_longest_ago_leaves)
{
    struct model_averages m;
    uint64_t tokens;
    char room[16];

    model_averages_init(&m);
    for (int k = 0; k < MODEL_AVERAGE_MIN_ANSWERS; k++)
        model_average_note(&m, STR("old"), 5);
    for (int k = 0; k < MODEL_AVERAGE_MIN_ANSWERS; k++)
        model_average_note(&m, STR("kept"), 5);
    for (int i = 0; i < LIMIT_MODEL_AVERAGES - 1; i++) {
        int n = snprintf(room, sizeof room, "%d", i);

        model_average_note(&m, str_make(room, (size_t)n), 5);
        CHECK(model_average_find(&m, STR("kept"), &tokens));
        model_average_note(&m, STR("kept"), 5);
    }
    CHECK_INT(m.recent.n_nodes, LIMIT_MODEL_AVERAGES);
    CHECK(!model_average_find(&m, STR("old"), &tokens));
    model_averages_deinit(&m);
}

TEST(a_name_that_is_too_long_is_not_kept)
{
    static char name[LIMIT_MODEL_NAME_BYTES + 1];
    struct model_averages m;

    model_averages_init(&m);
    memset(name, 'x', sizeof name);
    model_average_note(&m, str_make(name, sizeof name), 5);
    model_average_note(&m, STR(""), 5);
    CHECK_INT(m.recent.n_nodes, 0);
    model_averages_deinit(&m);
}

TEST(what_is_expected_is_bounded_by_the_request_and_by_the_average)
{
    static const struct {
        const char *model;
        uint64_t max_tokens;
        uint64_t expected;
    } cases[] = {
        {"new", 0, 1024},  {"new", 32000, 1024},  {"new", 10, 10},
        {"known", 0, 400}, {"known", 32000, 400}, {"known", 399, 399},
        {"known", 1, 1},   {"", 0, 1024},         {"known", UINT64_MAX, 400},
    };
    struct model_averages m;

    model_averages_init(&m);
    for (int i = 0; i < MODEL_AVERAGE_MIN_ANSWERS; i++)
        model_average_note(&m, STR("known"), 100);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK_MSG(model_average_expect(&m, str_of(cases[i].model), cases[i].max_tokens) ==
                      cases[i].expected,
                  "row %zu", i);
    model_averages_deinit(&m);
}

static void average_hand_over(void *ctx, struct str model, uint64_t scaled, uint32_t n_answers)
{
    CHECK(model_average_import(ctx, model, scaled, n_answers));
}

TEST(averages_that_are_handed_over_go_on_as_they_would_have)
{
    struct model_averages from, to;
    uint64_t expected = 0, found = 0;

    model_averages_init(&from);
    model_averages_init(&to);
    for (uint64_t i = 0; i < 25; i++)
        model_average_note(&from, STR("iris"), 100 + i);
    model_average_note(&from, STR("rare"), 7);
    model_average_note(&to, STR("iris"), 1);
    model_averages_export(&from, average_hand_over, &to);
    CHECK(!model_average_find(&to, STR("rare"), &found));
    model_average_note(&from, STR("iris"), 5000);
    model_average_note(&to, STR("iris"), 5000);
    CHECK(model_average_find(&from, STR("iris"), &expected));
    CHECK(model_average_find(&to, STR("iris"), &found));
    CHECK_INT(found, expected);
    CHECK(!model_average_import(&to, STR(""), 1, 1));
    CHECK(!model_average_import(&to, STR("x"), UINT64_MAX, 1));
    CHECK(!model_average_import(&to, STR("x"), 1, 0));
    CHECK(!model_average_import(&to, STR("x"), 1, 33));
    CHECK_INT(to.recent.n_nodes, 2);
    model_averages_deinit(&from);
    model_averages_deinit(&to);
}
