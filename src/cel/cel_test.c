/* Expressions over attributes that may have no value: maps, presence, durations, patterns. What the
 * language computes from plain variables is tested with the costs (llm/cost_expr_test.c). */
#include "cel/cel.h"

#include "test/harness/test.h"

enum { CODE, PATH, NAME, HEADERS, META, TOOK };
static const struct cel_variable variables[] = {
    {"code", CEL_INT, 0, CODE},
    {"request.path", CEL_STRING, 0, PATH},
    {"request.name", CEL_STRING, 0, NAME}, /* never has a value */
    {"request.headers", CEL_STRING, 1, HEADERS},
    {"metadata.filter_metadata", CEL_STRING, 2, META},
    {"request.took", CEL_DURATION, 0, TOOK},
};

static bool take_key(struct arena *arena, unsigned id, struct str *io_key, enum cel_type *io_type)
{
    *io_key = arena_lower(arena, *io_key);
    if (id == META && str_eq(*io_key, STR("a:count")))
        *io_type = CEL_UINT;
    return !str_eq(*io_key, STR("never"));
}

/* A pattern is a text that must be the whole. "slow" takes too long. */
static bool take_pattern(struct arena *arena, struct str pattern, const void **ret_pattern,
                         struct str *ret_why)
{
    struct str *copy = ARENA_NEW(arena, struct str);

    *copy = arena_str(arena, pattern);
    *ret_pattern = copy;
    *ret_why = STR("this is no pattern");
    return pattern.len > 0;
}

static enum cel_verdict match(const void *pattern, struct str text)
{
    const struct str *p = pattern;

    if (str_eq(*p, STR("slow")))
        return CEL_LIMIT;
    return str_eq(*p, text) ? CEL_HIT : CEL_MISS;
}

static bool read_value(const void *context, unsigned id, struct str key, struct cel_value *ret)
{
    (void)context;
    switch (id) {
    case CODE:
        ret->i = 404;
        return true;
    case PATH:
        ret->s = STR("/v1");
        return true;
    case HEADERS:
        ret->s = STR("yes");
        return str_eq(key, STR("x-a"));
    case META:
        if (ret->type == CEL_UINT)
            ret->u = 7;
        else
            ret->s = key;
        return !str_eq(key, STR("a:gone"));
    case TOOK:
        ret->i = 1500000000;
        return true;
    default:
        return false;
    }
}

static const struct cel_scope scope = {
    .variables = variables,
    .n_variables = N_ELEMENTS(variables),
    .hint = "code and request",
    .take_key = take_key,
    .take_pattern = take_pattern,
};
static const struct cel_reader reader = {.read = read_value, .match = match};

static int compute(const char *text, struct cel_value *ret, struct cel_error *ret_error)
{
    static struct arena arena;
    const struct cel_expr *expr;
    int code;

    arena_deinit(&arena);
    arena_init(&arena, 65536);
    code = cel_parse(&arena, &scope, str_of(text), &expr, ret_error);
    return code != 0 ? code : cel_eval(expr, &reader, ret);
}

TEST(attributes_are_read_where_they_have_a_value)
{
    static const struct {
        const char *text;
        int condition; /* -1: true; 0: false */
    } rows[] = {
        {"code >= 400", -1},
        {"code >= 500", 0},
        {"request.path == '/v1'", -1},
        {"request . path.startsWith('/v')", -1},
        {"request.headers['x-a'] == 'yes'", -1},
        {"request.headers['X-A'] == 'yes'", -1},
        {"request.headers['x-a'].startsWith('y')", -1},
        {"request.headers['x-b'] == 'yes'", CEL_NO_VALUE},
        {"request.headers['x-b'] != 'yes'", CEL_NO_VALUE},
        {"request.name == ''", CEL_NO_VALUE},
        {"request.name == '' || true", -1},
        {"request.name == '' && false", 0},
        {"'x-a' in request.headers", -1},
        {"'x-b' in request.headers", 0},
        {"!('x-b' in request.headers)", -1},
        {"'x-b' in request.headers && request.headers['x-b'] == 'yes'", 0},
        {"has(request.path) && !has(request.name) && has(request.headers.b) == false", -1},
        {"metadata.filter_metadata['a']['b'] == 'a:b'", -1},
        {"metadata.filter_metadata['a'].b == 'a:b' && metadata.filter_metadata.a.b == 'a:b'", -1},
        {"metadata.filter_metadata['a']['count'] > 6.5", -1},
        {"metadata.filter_metadata['a']['gone'] == ''", CEL_NO_VALUE},
        {"'b' in metadata.filter_metadata['a'] && !('gone' in metadata.filter_metadata.a)", -1},
        {"request.took > duration('1.4s') && request.took == duration('1s500ms')", -1},
        {"request.took < duration('1m') && request.took > duration('-1h')", -1},
        {"duration('1h1m1s1ms1us1ns') > duration('3661s')", -1},
        {"request.path.matches('/v1')", -1},
        {"request.path.matches('/v')", 0},
        {"request.path.matches('slow')", CEL_PATTERN_LIMIT},
        {"request.path.matches('slow') || code == 404", -1},
        {"(request.path + '!').matches('/v1!')", -1},
        {"request.path in ['/a', '/v1']", -1},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct cel_error error = {0};
        struct cel_value v = {0};
        int code = compute(rows[i].text, &v, &error);

        CHECK_MSG(code == MAX(rows[i].condition, 0), "%s: %d at %zu %.*s", rows[i].text, code,
                  error.offset, STR_ARG(error.text));
        CHECK_MSG(code != 0 || (v.type == CEL_BOOL && v.b == (rows[i].condition == -1)), "%s",
                  rows[i].text);
    }
}

TEST(a_wrong_name_is_told_at_its_place)
{
    static const struct {
        const char *text;
        size_t offset;
        const char *words;
    } rows[] = {
        {"true && request.pfad == ''", 8, "there is no variable request.pfad; there are code and"},
        {"request == ''", 0, "there is no variable request;"},
        {"req.path == ''", 0, "there is no variable req;"},
        {"request.'path'", 8, "expected a name, found a string"},
        {"request.headers == ''", 16, "expected a key of the map"},
        {"request.headers[code] == ''", 16, "expected a string as the key, found code"},
        {"request.headers['a' == ''", 20, "expected \"]\""},
        {"request.headers['never'] == ''", 0, "request.headers never has a never"},
        {"metadata.filter_metadata['a'] == ''", 30, "expected a key of the map"},
        {"code in request.headers", 5, "can only be a string as it is"},
        {"'a' in request.path", 7, "in looks into maps and lists, request.path is a string"},
        {"'a' in request.pfad", 7, "there is no variable request.pfad"},
        {"has(1)", 4, "expected a variable, found 1"},
        {"has(code + 1)", 9, "expected \")\", found +"},
        {"has(has(code))", 4, "there is no variable has"},
        {"has()", 4, "expected a variable"},
        {"duration(1)", 9, "expected a duration"},
        {"duration('1')", 9, "this is no duration"},
        {"duration('')", 9, "this is no duration"},
        {"duration('-')", 9, "this is no duration"},
        {"duration('1.2.3s')", 9, "this is no duration"},
        {"duration('99999999999h')", 9, "this is no duration"},
        {"request.took > 1", 13, "> cannot take duration and int"},
        {"request.took + request.took == request.took", 13, "+ cannot take duration and duration"},
        {"request.path.matches('')", 21, "this is no pattern"},
        {"request.path.matches(request.path)", 21, "expected a string as it is for the pattern"},
        {"code.matches('a')", 5, "matches looks into a string, found a int"},
        {"request.path.size()", 13, "only startsWith, endsWith, contains and matches"},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct cel_error error = {0};
        struct cel_value v;
        int code = compute(rows[i].text, &v, &error);

        CHECK_MSG(code == CEL_INVALID, "%s: %d", rows[i].text, code);
        CHECK_MSG(error.offset == rows[i].offset, "%s: at %zu", rows[i].text, error.offset);
        CHECK_MSG(str_find(error.text, str_of(rows[i].words)) >= 0, "%s: %.*s", rows[i].text,
                  STR_ARG(error.text));
    }
}
