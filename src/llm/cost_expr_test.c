/* Cost expressions: what they compute, which are refused and where, and what a cost that cannot be
 * told is called. */
#include "llm/cost_expr.h"

#include "base/limits.h"
#include "test/harness/test.h"

static const struct cost_input usage = {
    .input_tokens = 1000,
    .cached_input_tokens = 400,
    .cache_creation_input_tokens = 50,
    .output_tokens = 200,
    .total_tokens = 1200,
    .reasoning_tokens = 30,
    .model = STR("gpt-4o"),
    .backend = STR("openai.ai"),
    .route_name = STR("ai/chat"),
};

/* The condition of parse or evaluation. */
static int compute(struct str text, const struct cost_input *input, uint64_t *ret_cost,
                   struct cel_error *ret_error)
{
    static struct arena arena;
    const struct cel_expr *expr;
    int code;

    arena_deinit(&arena);
    arena_init(&arena, 65536);
    code = cost_expr_parse(&arena, text, &expr, ret_error);
    return code != 0 ? code : cost_expr_eval(expr, input, ret_cost);
}

TEST(expressions_compute_what_cel_computes)
{
    static const struct {
        const char *text;
        uint64_t cost;
    } rows[] = {
        {"input_tokens", 1000},
        {"cached_input_tokens + cache_creation_input_tokens", 450},
        {"output_tokens + total_tokens + reasoning_tokens", 1430},
        {"input_tokens + output_tokens * 3u", 1600},
        {"(input_tokens + output_tokens) * 3u", 3600},
        {"input_tokens - cached_input_tokens + cached_input_tokens / 4u", 700},
        {"input_tokens % 7u", 6},
        {"7", 7},
        {"0x10", 16},
        {"0xffFFffFFffFFffFFu", UINT64_MAX},
        {"18446744073709551615u", UINT64_MAX},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808 + 9223372036854775807 + 1", 0},
        {"- 5 + 6", 1},
        {"--5", 5},
        {"10 - 4 - 3", 3},
        {"100 / 10 / 2", 5},
        {"-7 / 2 + 4", 1},
        {"-7 % 4 + 4", 1},
        {"int(2.9) + int(-2.9) + 1", 1},
        {"uint(double(input_tokens) * 0.15)", 150},
        {"int(1e3 + .5 + 2.5E-1)", 1000},
        {"int(input_tokens) + -1", 999},
        {"uint(int(uint(3)))", 3},
        {"int(double(5))", 5},
        {"model == 'gpt-4o' ? 1 : 2", 1},
        {"model != \"gpt-4o\" ? 1 : backend == 'openai.ai' ? 3 : 4", 3},
        {"route_name == 'ai/' + 'chat' ? 1 : 0", 1},
        {"model.startsWith('gpt-') && backend.endsWith('.ai') ? 1 : 0", 1},
        {"model.contains('4') && !('abc'.contains('d')) ? 1 : 0", 1},
        {"(model + '@' + backend) == 'gpt-4o@openai.ai' ? 1 : 0", 1},
        {"model in ['a', 'gpt-4o', 'b'] ? 1 : 0", 1},
        {"model in [] ? 1 : 0", 0},
        {"input_tokens in [1, 1000.0,] ? 1 : 0", 1},
        {"-1 in [-1, 2u] ? 1 : 0", 1},
        {"input_tokens > 999 ? 1 : 0", 1},
        {"input_tokens > 999.5 && input_tokens < 1000.5 ? 1 : 0", 1},
        {"-1 < 0u && 0u > -1 && -1 != 18446744073709551615u ? 1 : 0", 1},
        {"9007199254740993 == 9007199254740992.0 ? 1 : 0", 0},
        {"9007199254740993u > 9007199254740992.0 ? 1 : 0", 1},
        {"-2.5 < -2 && -2 > -2.5 && -3 < -2.5 ? 1 : 0", 1},
        {"9223372036854775807 < 9223372036854775808.0 ? 1 : 0", 1},
        {"18446744073709551615u < 1e300 && -1e300 < -9223372036854775808 ? 1 : 0", 1},
        {"0.0 == -0.0 && 0 == -0.0 ? 1 : 0", 1},
        {"0.0/0.0 == 0.0/0.0 || 0.0/0.0 < 1 || 0.0/0.0 >= 1 || 1 <= 0.0/0.0 ? 1 : 0", 0},
        {"0.0/0.0 != 1 ? 1 : 0", 1},
        {"1.0/0.0 > 18446744073709551615u ? 1 : 0", 1},
        {"'a' < 'b' && 'a' < 'aa' && 'B' < 'a' && false < true ? 1 : 0", 1},
        {"1 < 2 == true ? 1 : 0", 1},
        {"false && true || true ? 1 : 0", 1},
        {"true || false && false ? 1 : 0", 1},
        {"!true == false ? 1 : 0", 1},
        {"'\\x41\\u00e9\\U0001F600\\101\\n\\'\\\"' == \"A\xc3\xa9\xf0\x9f\x98\x80"
         "A\\n'\\\"\" ? 1 : 0",
         1},
        {"r'\\d' == '\\\\d' && R\"a\" == 'a' ? 1 : 0", 1},
        {"'''a'\nb''' == \"a'\\nb\" && \"\"\"\"q\"\"\" == '\"q' ? 1 : 0", 1},
        {" // a comment\n\t 4 // and another", 4},
        {"true?1:2", 1},
    };
    struct cel_error error = {0};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        uint64_t cost = 99;
        int code = compute(str_of(rows[i].text), &usage, &cost, &error);

        CHECK_MSG(code == 0, "%s: %d at %zu %.*s", rows[i].text, code, error.offset,
                  STR_ARG(error.text));
        CHECK_MSG(cost == rows[i].cost, "%s: %llu", rows[i].text, (unsigned long long)cost);
    }
}

TEST(what_is_wrong_is_named_with_its_offset)
{
    static const struct {
        const char *text;
        size_t offset;
        const char *words;
    } rows[] = {
        {"", 0, "the expression ends here"},
        {"  ", 2, "the expression ends here"},
        {"1 +", 3, "the expression ends here"},
        {"1 2", 2, "expected an operator or the end, found 2"},
        {"1 'x'", 2, "found a string"},
        {"(1", 2, "expected \")\""},
        {"1)", 1, "found )"},
        {"input_token", 0, "there is no variable input_token;"},
        {"1 + tokens", 4, "there is no variable tokens"},
        {"null", 0, "there is no variable null"},
        {"size(model)", 0, "there is no function size"},
        {"int(model)", 0, "int() takes a number, found a string"},
        {"int(1, 2)", 5, "expected \")\", found ,"},
        {"model.size()", 6, "only startsWith"},
        {"model.startsWith", 16, "expected \"(\""},
        {"model.startsWith(1) ? 1 : 2", 6, "compares strings, found string and int"},
        {"input_tokens.contains('a') ? 1 : 2", 13, "compares strings, found uint and string"},
        {"input_tokens * 2", 13, "* cannot take uint and int: number types do not mix"},
        {"1 + 1.5", 2, "+ cannot take int and double"},
        {"'a' - 'b' == 'c' ? 1 : 0", 4, "- cannot take string and string"},
        {"1.5 % 2.0 > 1.0 ? 1 : 0", 4, "% cannot take double and double"},
        {"true + false ? 1 : 0", 5, "+ cannot take bool and bool"},
        {"model == 1 ? 1 : 0", 6, "== cannot take string and int"},
        {"1 && true ? 1 : 0", 2, "&& cannot take int and bool"},
        {"true || 'x' ? 1 : 0", 5, "|| cannot take bool and string"},
        {"!1", 0, "! takes a bool"},
        {"-input_tokens", 0, "- takes an int or double, found a uint"},
        {"-1u", 0, "a uint has no sign"},
        {"1 ? 2 : 3", 2, "? needs a bool in front of it, found a int"},
        {"true ? 1 : 2u", 9, "must have one type, found int and uint"},
        {"true ? 1", 8, "expected \":\""},
        {"true ? true ? 1 : 2 : 3", 12, "expected \":\", found ?"},
        {"1.5", 0, "a cost is an int or uint, but this is a double"},
        {"model", 0, "but this is a string"},
        {"input_tokens > 3u", 0, "but this is a bool"},
        {"input_tokens / 0u", 13, "always divides by zero"},
        {"1 % 0", 2, "always divides by zero"},
        {"[1]", 0, "a list can only stand behind"},
        {"model in 'a' ? 1 : 0", 9, "expected a list"},
        {"model in [1] ? 1 : 0", 10, "in cannot compare string and int"},
        {"model in [model] ? 1 : 0", 10, "expected a string, a number"},
        {"model in ['a' 'b'] ? 1 : 0", 14, "expected \",\" or \"]\", found a string"},
        {"in", 0, "expected a value, found in"},
        {"9223372036854775808", 0, "too large for an int"},
        {"-9223372036854775809", 1, "too large for an int"},
        {"18446744073709551616u", 0, "more than 64 bits"},
        {"0x1ffffffffffffffff", 0, "more than 64 bits"},
        {"0x", 0, "needs hexadecimal digits"},
        {"0X1", 1, "does not belong to a number"},
        {"1.", 1, "does not belong to a number"},
        {"12x", 2, "does not belong to a number"},
        {"1e999 > 1.0 ? 1 : 0", 0, "too large for a double"},
        {"1.00000000000000000000000000000000000000000000000000000000000000000", 0,
         "too many digits"},
        {"'abc", 0, "this string has no end"},
        {"'a\nb'", 0, "this string has no end"},
        {"'''a'", 0, "this string has no end"},
        {"1 + '\\q'", 5, "no escape of CEL begins like this"},
        {"'\\x4'", 1, "needs 2 digits"},
        {"'\\ud800'", 1, "is no character"},
        {"'\\U00110000'", 1, "is no character"},
        {"'\\400'", 1, "no escape of CEL"},
        {"b'abc'", 0, "bytes are not supported"},
        {"1 & 2", 2, "\"&\" has no meaning"},
        {"1 = 2", 2, "\"=\" has no meaning"},
        {"\xc3\xa9", 0, "this character has no meaning"},
        {"{}", 0, "\"{\" has no meaning"},
        {".model", 0, "expected a value, found ."},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct cel_error error = {0};
        uint64_t cost;
        int code = compute(str_of(rows[i].text), &usage, &cost, &error);

        CHECK_MSG(code == COST_EXPR_INVALID, "%s: %d", rows[i].text, code);
        CHECK_MSG(error.offset == rows[i].offset, "%s: at %zu", rows[i].text, error.offset);
        CHECK_MSG(str_find(error.text, str_of(rows[i].words)) >= 0, "%s: %.*s", rows[i].text,
                  STR_ARG(error.text));
    }
}

TEST(a_cost_that_cannot_be_told_is_a_condition)
{
    static const struct {
        const char *text;
        int condition;
    } rows[] = {
        {"output_tokens - input_tokens", COST_EXPR_OVERFLOW},
        {"input_tokens * 18446744073709551615u", COST_EXPR_OVERFLOW},
        {"total_tokens + 18446744073709551615u", COST_EXPR_OVERFLOW},
        {"9223372036854775807 + 1", COST_EXPR_OVERFLOW},
        {"-9223372036854775808 - 1", COST_EXPR_OVERFLOW},
        {"9223372036854775807 * 2", COST_EXPR_OVERFLOW},
        {"-9223372036854775808 / -1", COST_EXPR_OVERFLOW},
        {"-9223372036854775808 % -1", COST_EXPR_OVERFLOW},
        {"-(-9223372036854775808)", COST_EXPR_OVERFLOW},
        {"int(18446744073709551615u)", COST_EXPR_OVERFLOW},
        {"uint(-1)", COST_EXPR_OVERFLOW},
        {"int(1e19)", COST_EXPR_OVERFLOW},
        {"uint(2e19)", COST_EXPR_OVERFLOW},
        {"uint(-1.0)", COST_EXPR_OVERFLOW},
        {"int(double(input_tokens) / 0.0)", COST_EXPR_OVERFLOW},
        {"uint(0.0 / 0.0)", COST_EXPR_OVERFLOW},
        {"input_tokens / (output_tokens - 200u)", COST_EXPR_DIVIDE_BY_ZERO},
        {"5 % (int(output_tokens) - 200)", COST_EXPR_DIVIDE_BY_ZERO},
        {"1 - int(input_tokens)", COST_EXPR_NEGATIVE},
        /* One side decides, whichever it is; else an error stays. */
        {"true || 1 / (1 - 1) > 0 ? 1 : 0", 0},
        {"1 / (1 - 1) > 0 || true ? 1 : 0", 0},
        {"1 / (1 - 1) > 0 && false ? 1 : 0", 0},
        {"1 / (1 - 1) > 0 || false ? 1 : 0", COST_EXPR_DIVIDE_BY_ZERO},
        {"true && 1 / (1 - 1) > 0 ? 1 : 0", COST_EXPR_DIVIDE_BY_ZERO},
        /* Only the side that is chosen is computed. */
        {"true ? 1 : 1 / (1 - 1)", 0},
        {"false ? 1 : 1 / (1 - 1)", COST_EXPR_DIVIDE_BY_ZERO},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct cel_error error = {0};
        uint64_t cost;
        int code = compute(str_of(rows[i].text), &usage, &cost, &error);

        CHECK_MSG(code == rows[i].condition, "%s: %d %.*s", rows[i].text, code,
                  STR_ARG(error.text));
    }
    for (int i = COST_EXPR_INVALID; i <= COST_EXPR_TEXT_TOO_LONG; i++)
        CHECK(cost_expr_condition_text((enum cost_expr_condition)i)[0] != '\0');
}

TEST(joined_texts_are_bounded)
{
    static char name[LIMIT_CEL_TEXT_BYTES / 2];
    struct cost_input input = {.model = {name, sizeof name}};
    struct cel_error error;
    uint64_t cost;

    memset(name, 'm', sizeof name);
    CHECK_INT(compute(STR("model + model == '' ? 1 : 2"), &input, &cost, &error), 0);
    CHECK_INT(cost, 2);
    CHECK_INT(compute(STR("model + model + 'x' == '' ? 1 : 2"), &input, &cost, &error),
              COST_EXPR_TEXT_TOO_LONG);
    input.model = STR_NULL;
    CHECK_INT(compute(STR("model + backend == '' ? 1 : 2"), &input, &cost, &error), 0);
    CHECK_INT(cost, 1);
}

/* `n` times `piece` between `head` and `tail`. */
static struct str repeated(const char *head, const char *piece, size_t n, const char *tail)
{
    static char text[4 * LIMIT_CEL_BYTES];
    size_t at = strlen(head);

    memcpy(text, head, at);
    for (size_t i = 0; i < n; i++, at += strlen(piece))
        memcpy(text + at, piece, strlen(piece));
    memcpy(text + at, tail, strlen(tail));
    return str_make(text, at + strlen(tail));
}

TEST(depth_and_size_are_bounded)
{
    static const struct {
        const char *head;
        const char *piece;
    } rows[] = {
        {"1", " + 1"}, {"1", "+(1"}, {"", "("},       {"", "!"},
        {"", "-"},     {"", "int("}, {"", "true?1:"}, {"1", "*1"},
    };
    struct cel_error error;
    uint64_t cost;

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct str text = repeated(rows[i].head, rows[i].piece, 2000, "1");

        CHECK_MSG(compute(text, &usage, &cost, &error) == COST_EXPR_INVALID, "%s", rows[i].piece);
    }
    CHECK_INT(compute(repeated("1", " + 1", 200, ""), &usage, &cost, &error), 0);
    CHECK_INT(cost, 201);
    CHECK_INT(compute(repeated("", "(", 20000, ""), &usage, &cost, &error), COST_EXPR_INVALID);
    CHECK(str_find(error.text, STR("longer than")) >= 0);
    CHECK_INT(
        compute(repeated("model in [", "'',", 5000, "'gpt-4o'] ? 1 : 0"), &usage, &cost, &error),
        0);
    CHECK_INT(cost, 1);
}

TEST(a_tree_outlives_its_text)
{
    char text[] = "model == 'gpt-4o' ? 5 : 6";
    const struct cel_expr *expr;
    struct cel_error error;
    struct arena arena;
    uint64_t cost;

    arena_init(&arena, 1024);
    CHECK_INT(cost_expr_parse(&arena, str_of(text), &expr, &error), 0);
    memset(text, 'x', sizeof text);
    CHECK_INT(cost_expr_eval(expr, &usage, &cost), 0);
    CHECK_INT(cost, 5);
    arena_deinit(&arena);
}
