/* The scanner: what is JSON and what is not, which values are told, and that neither depends on
 * where the text is split. */
#include "llm/json/json_scan.h"

#include <math.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "llm/json/json_skip.h"
#include "test/harness/test.h"

enum { TOP, MODEL, STREAM, USAGE_IN, USAGE, DELTA, SHAPE, LIST, N, NAMED, ANY };

JSON_PATHS(paths, [TOP] = {"", false}, [MODEL] = {"model", true}, [STREAM] = {"stream", false},
           [USAGE_IN] = {"usage.in", false}, [USAGE] = {"usage", false},
           [DELTA] = {"choices.*.delta.content", true}, [SHAPE] = {"inputs.*.shape.*", false},
           [LIST] = {"list", false}, [N] = {"n", false}, [NAMED] = {"any.x", false},
           [ANY] = {"any.{*}", false})

/* Everything that was told, as text to compare. */
struct log {
    struct buf text;
};

static void note(void *context, const struct json_hit *hit)
{
    static const char types[] = "{[s#tf0";
    struct buf *b = &((struct log *)context)->text;

    buf_printf(b, "%s%c %llu-%llu", paths_rows[hit->path].path, types[hit->type],
               (unsigned long long)hit->begin, (unsigned long long)hit->end);
    if (hit->type == JSON_OBJECT || hit->type == JSON_ARRAY)
        buf_printf(b, " n=%llu", (unsigned long long)hit->n_items);
    if (hit->type == JSON_STRING)
        buf_printf(b, " %llu'%.*s'%s%s", (unsigned long long)hit->n_bytes, STR_ARG(hit->text),
                   hit->is_cut ? " cut" : "", hit->has_half_pair ? " half" : "");
    if (hit->type == JSON_NUMBER) {
        buf_printf(b, " '%.*s' %g", STR_ARG(hit->text), hit->number);
        if (hit->is_integer)
            buf_printf(b, " =%lld", (long long)hit->integer);
    }
    buf_append_char(b, '\n');
}

/* Fed in spans of `step` bytes, each in memory of its own so that a sanitizer sees reads beyond. */
static int scan(struct str text, size_t step, struct log *log)
{
    struct json_scan s;
    int r = 0;

    buf_clear(&log->text);
    json_scan_init(&s, &paths, note, log);
    for (size_t at = 0; at < text.len; at += step) {
        struct str part = str_slice(text, at, at + step);
        char *copy = mem_alloc(part.len);

        memcpy(copy, part.ptr, part.len);
        r = json_scan_feed(&s, str_make(copy, part.len));
        mem_free(copy);
    }
    CHECK_INT(json_scan_feed(&s, STR_NULL), r);
    r = json_scan_end(&s);
    buf_append_str(&log->text, json_scan_error_path(&s));
    CHECK(json_scan_is_complete(&s) == (r == 0));
    return r;
}

static int scan_every_way(struct str text, struct log *ret_log)
{
    static const size_t steps[] = {1, 2, 3, 5, 7, 31, 64, 65};
    struct log other = {0};
    int r = scan(text, text.len > 0 ? text.len : 1, ret_log);

    for (unsigned i = 0; json_skip_usable[i]; i++) {
        json_skip = json_skip_usable[i];
        CHECK_INT(scan(text, text.len > 0 ? text.len : 1, &other), r);
        CHECK(str_eq(buf_str(&other.text), buf_str(&ret_log->text)));
    }
    json_skip = json_skip_usable[0];
    for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
        CHECK_INT(scan(text, steps[i], &other), r);
        CHECK(str_eq(buf_str(&other.text), buf_str(&ret_log->text)));
    }
    for (size_t cut = 1; cut < text.len && text.len < 300; cut++) {
        struct json_scan s;

        buf_clear(&other.text);
        json_scan_init(&s, &paths, note, &other);
        int first = json_scan_feed(&s, str_slice(text, 0, cut));
        int second = json_scan_feed(&s, str_slice(text, cut, text.len));

        CHECK(first == 0 || second == first);
        CHECK_MSG(json_scan_end(&s) == r, "'%.*s' cut at %zu", STR_ARG(text), cut);
        buf_append_str(&other.text, json_scan_error_path(&s));
        CHECK(str_eq(buf_str(&other.text), buf_str(&ret_log->text)));
    }
    buf_deinit(&other.text);
    return r;
}

struct grammar_case {
    const char *text;
    int r;
};

static void check_grammar(const struct grammar_case *cases, size_t n)
{
    struct log log = {0};

    for (size_t i = 0; i < n; i++) {
        int r = scan_every_way(str_of(cases[i].text), &log);

        CHECK_MSG(r == cases[i].r, "%s: %d, expected %d", cases[i].text, r, cases[i].r);
    }
    buf_deinit(&log.text);
}

TEST(what_rfc_8259_allows_is_accepted)
{
    static const struct grammar_case cases[] = {
        {"{}", 0},
        {"[]", 0},
        {" \t\r\n[ ] \n", 0},
        {"0", 0},
        {"-0", 0},
        {"1.5e+10", 0},
        {"1E-2", 0},
        {"123", 0},
        {"true", 0},
        {"false", 0},
        {"null", 0},
        {"\"\"", 0},
        {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", 0},
        {"[1,2,[3,{\"a\":[]}]]", 0},
        {"{\"a\":{\"b\":[true,false,null]},\"c\":\"\"}", 0},
        {"{\"a\":1,\"a\":2}", 0}, /* not in the table */
        {"\"\x7f\"", 0},
        {"\"\\ud800\"", 0}, /* within the grammar (RFC 8259, 8.2) */
        {"\"\\u0000\"", 0},
    };

    check_grammar(cases, N_ELEMENTS(cases));
}

TEST(what_ends_early_is_truncated)
{
    static const struct grammar_case cases[] = {
        {"", JSON_TRUNCATED},          {" ", JSON_TRUNCATED},       {"{", JSON_TRUNCATED},
        {"[", JSON_TRUNCATED},         {"[1", JSON_TRUNCATED},      {"[1,", JSON_TRUNCATED},
        {"{\"a\"", JSON_TRUNCATED},    {"{\"a\":", JSON_TRUNCATED}, {"{\"a\":1", JSON_TRUNCATED},
        {"{\"a\":1,", JSON_TRUNCATED}, {"\"", JSON_TRUNCATED},      {"\"\\", JSON_TRUNCATED},
        {"\"\\u00", JSON_TRUNCATED},   {"\"\xc3", JSON_TRUNCATED},  {"tru", JSON_TRUNCATED},
    };

    check_grammar(cases, N_ELEMENTS(cases));
}

TEST(what_rfc_8259_forbids_is_refused)
{
    static const struct grammar_case cases[] = {
        {"-", JSON_NOT_JSON},
        {"1.", JSON_NOT_JSON},
        {"1e", JSON_NOT_JSON},
        {"1e+", JSON_NOT_JSON},
        {"[1.]", JSON_NOT_JSON},
        {"[-]", JSON_NOT_JSON},
        {"[01]", JSON_NOT_JSON},
        {"[-01]", JSON_NOT_JSON},
        {"[+1]", JSON_NOT_JSON},
        {"[.5]", JSON_NOT_JSON},
        {"[1.e5]", JSON_NOT_JSON},
        {"[1e5.5]", JSON_NOT_JSON},
        {"[0x10]", JSON_NOT_JSON},
        {"[NaN]", JSON_NOT_JSON},
        {"[Infinity]", JSON_NOT_JSON},
        {"[1,]", JSON_NOT_JSON},
        {"[,1]", JSON_NOT_JSON},
        {"[1 2]", JSON_NOT_JSON},
        {"[1}", JSON_NOT_JSON},
        {"{\"a\":1]", JSON_NOT_JSON},
        {"{\"a\":1,}", JSON_NOT_JSON},
        {"{,}", JSON_NOT_JSON},
        {"{\"a\"}", JSON_NOT_JSON},
        {"{\"a\",1}", JSON_NOT_JSON},
        {"{\"a\" 1}", JSON_NOT_JSON},
        {"{a:1}", JSON_NOT_JSON},
        {"{1:1}", JSON_NOT_JSON},
        {"{'a':1}", JSON_NOT_JSON},
        {"]", JSON_NOT_JSON},
        {"}", JSON_NOT_JSON},
        {",", JSON_NOT_JSON},
        {"tRue", JSON_NOT_JSON},
        {"truex", JSON_TRAILING},
        {"nul]", JSON_NOT_JSON},
        {"[1]/**/", JSON_TRAILING},
        {"/**/[1]", JSON_NOT_JSON},
        {"\xef\xbb\xbf{}", JSON_NOT_JSON}, /* RFC 8259, 8.1: no byte order mark */
        {"[\xc2\xa0]", JSON_NOT_JSON},
        {"[\f]", JSON_NOT_JSON},
        {"\"\x1f\"", JSON_NOT_JSON},
        {"\"a\nb\"", JSON_NOT_JSON},
        {"\"\\x\"", JSON_NOT_JSON},
        {"\"\\U0041\"", JSON_NOT_JSON},
        {"\"\\u00g0\"", JSON_NOT_JSON},
        {"\"\\u 041\"", JSON_NOT_JSON},
        {"{} {}", JSON_TRAILING},
        {"{}]", JSON_TRAILING},
        {"{},", JSON_TRAILING},
        {"1 2", JSON_TRAILING},
    };
    struct log log = {0};

    check_grammar(cases, N_ELEMENTS(cases));
    CHECK_INT(scan_every_way(STR("[1]\0"), &log), JSON_TRAILING);
    CHECK_INT(scan_every_way(STR("[\0]"), &log), JSON_NOT_JSON);
    CHECK_INT(scan_every_way(STR("\"\0\""), &log), JSON_NOT_JSON);
    CHECK_INT(scan_every_way(STR("\"\\\0\""), &log), JSON_NOT_JSON);
    buf_deinit(&log.text);
}

/* Each in a string that is skipped, in one that is kept, and at every place of a vector. */
TEST(strings_are_utf8)
{
    static const struct {
        const char *bytes;
        bool is_good;
    } cases[] = {
        {"\xc2\x80", true},
        {"\xdf\xbf", true},
        {"\xe0\xa0\x80", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\xef\xbf\xbf", true},
        {"\xf0\x90\x80\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\xe4\xbd\xa0\xe5\xa5\xbd", true},
        {"\x80", false},
        {"\xbf", false},
        {"\xc0\x80", false},
        {"\xc1\xbf", false},
        {"\xc2", false},
        {"\xc2\xc2", false},
        {"\xe0\x9f\xbf", false},
        {"\xe1\x80", false},
        {"\xed\xa0\x80", false},
        {"\xed\xbf\xbf", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xf1\x80\x80", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xff", false},
        {"\xfe", false},
        {"\xc2\x80\x80", false},
        {"\xf0\x90\x80\x80\x80", false},
    };
    struct buf b = {0};
    struct log log = {0};

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        for (size_t n_before = 0; n_before < 130; n_before += n_before < 70 ? 1 : 13) {
            for (int is_kept = 0; is_kept < 2; is_kept++) {
                buf_clear(&b);
                buf_printf(&b, "{\"%s\":\"", is_kept ? "model" : "other");
                for (size_t k = 0; k < n_before; k++)
                    buf_append_char(&b, 'a');
                buf_printf(&b, "%s%s\"}", cases[i].bytes,
                           n_before % 3
                               ? ""
                               : "zzzzzzzzzzzzzzzzzzzz"
                                 "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz");
                int r = scan(buf_str(&b), b.len, &log);

                CHECK_MSG(r == (cases[i].is_good ? 0 : JSON_BAD_UTF8), "case %zu at %zu: %d", i,
                          n_before, r);
                CHECK_INT(scan(buf_str(&b), 1, &log), r);
            }
        }
    }
    buf_deinit(&b);
    buf_deinit(&log.text);
}

TEST(values_of_the_table_are_told)
{
    static const struct {
        const char *text, *log;
    } cases[] = {
        {"{\"model\":\"m\"}", "models 9-12 1'm'\n{ 0-13 n=1\n"},
        {"{\"x\":{\"model\":\"m\"},\"y\":[{\"model\":1}]}", "{ 0-37 n=2\n"},
        {" {\"stream\" : true , \"n\" : null}", "streamt 13-17\nn0 26-30\n{ 1-31 n=2\n"},
        {"{\"usage\":{\"in\":12,\"x\":{\"in\":1},\"out\":[1,2]},\"list\":[1,[2,3],{}]}",
         "usage.in# 15-17 '12' 12 =12\nusage{ 9-43 n=3\nlist[ 51-63 n=3\n{ 0-64 n=2\n"},
        {"{\"usage\":null}", "usage0 9-13\n{ 0-14 n=1\n"},
        {"{\"usage\":[{\"in\":1}]}", "usage[ 9-19 n=1\n{ 0-20 n=1\n"},
        {"{\"choices\":[{\"delta\":{\"content\":\"a\"}},{\"delta\":{\"content\":\"\\n\"}}]}",
         "choices.*.delta.contents 32-35 1'a'\nchoices.*.delta.contents 58-62 1'\n'\n{ 0-66 n=1\n"},
        {"{\"choices\":{\"*\":{\"delta\":{\"content\":\"a\"}}}}", "{ 0-43 n=1\n"},
        {"{\"inputs\":[{\"shape\":[3,2]},{},{\"shape\":[]}]}",
         "inputs.*.shape.*# 21-22 '3' 3 =3\ninputs.*.shape.*# 23-24 '2' 2 =2\n{ 0-44 n=1\n"},
        {"{\"model\":\"\\u0041\\u00e9\\ud83d\\ude00\\/\"}",
         "models 9-37 8'A\xc3\xa9\xf0\x9f\x98\x80/'\n{ 0-38 n=1\n"},
        {"{\"model\":\"\\ud83dx\\ude00\\ud83d\"}",
         "models 9-30 10'\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd' half\n{ 0-31 n=1\n"},
        {"{\"model\":\"\\ud83d\\ud83d\\ude00\"}",
         "models 9-29 7'\xef\xbf\xbd\xf0\x9f\x98\x80' half\n{ 0-30 n=1\n"},
        {"{\"stream\":\"a\\u00e9\"}", "streams 10-19 3''\n{ 0-20 n=1\n"},
        {"[]", "[ 0-2 n=0\n"},
        {"12", "# 0-2 '12' 12 =12\n"},
        {"\"x\"", "s 0-3 1''\n"},
        {"{\"a.b\":1,\"\":2,\"mode\":3,\"models\":4}", "{ 0-34 n=4\n"},
        {"{\"any\":{\"x\":1,\"y\":[1,2],\"\":\"z\"}}",
         "any.x# 12-13 '1' 1 =1\nany.{*}[ 18-23 n=2\nany.{*}s 27-30 1''\n{ 0-32 n=1\n"},
        {"{\"any\":[1,{\"y\":2}],\"{*}\":3}", "{ 0-27 n=2\n"},
        {"{\"model\":{},\"list\":[]}", "model{ 9-11 n=0\nlist[ 19-21 n=0\n{ 0-22 n=2\n"},
    };
    struct log log = {0};

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        CHECK_MSG(scan_every_way(str_of(cases[i].text), &log) == 0, "%s", cases[i].text);
        CHECK_STR(buf_str(&log.text), cases[i].log);
    }
    buf_deinit(&log.text);
}

TEST(numbers_have_their_value)
{
    static const struct {
        const char *text;
        double number;
        bool is_integer;
        int64_t integer;
    } cases[] = {
        {"0", 0, true, 0},
        {"-0", 0, true, 0},
        {"-17", -17, true, -17},
        {"9223372036854775807", 9223372036854775807.0, true, INT64_MAX},
        {"-9223372036854775808", -9223372036854775808.0, true, INT64_MIN},
        {"9223372036854775808", 9223372036854775808.0, false, 0},
        {"100000000000000000000000", 1e23, false, 0},
        {"1e400", INFINITY, false, 0},
        {"-1e400", -INFINITY, false, 0},
        {"1e-400", 0, true, 0},
        {"1.5", 1.5, false, 0},
        {"1e3", 1000, true, 1000},
        {"2.0", 2, true, 2},
        {"-2.50e1", -25, true, -25},
        {"1e15", 1e15, true, 1000000000000000},
        {"1e17", 1e17, false, 0},
    };
    static char text[64];

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct log log = {0};
        char want[128];
        int n = snprintf(text, sizeof text, "{\"n\":%s}", cases[i].text);
        int n_want =
            snprintf(want, sizeof want, "n# 5-%d '%s' %g", n - 1, cases[i].text,
                     cases[i].text[0] == '-' && cases[i].number == 0 ? 0.0 : cases[i].number);
        if (cases[i].is_integer)
            n_want += snprintf(want + n_want, sizeof want - (size_t)n_want, " =%lld",
                               (long long)cases[i].integer);
        snprintf(want + n_want, sizeof want - (size_t)n_want, "\n{ 0-%d n=1\n", n);
        CHECK_INT(scan_every_way(str_of(text), &log), 0);
        CHECK_STR(buf_str(&log.text), want);
        buf_deinit(&log.text);
    }
}

TEST(keys_of_the_table_stand_once_and_plainly)
{
    static const struct {
        const char *text;
        int r;
        const char *key;
    } cases[] = {
        {"{\"model\":1,\"model\":2}", JSON_DUPLICATE_KEY, "model"},
        {"{\"model\":1,\"x\":{},\"stream\":0,\"model\":2}", JSON_DUPLICATE_KEY, "model"},
        {"{\"mod\\u0065l\":1}", JSON_ESCAPED_KEY, "model"},
        {"{\"\\u006dodel\":1,\"model\":2}", JSON_ESCAPED_KEY, "model"},
        {"{\"usage\":{\"in\":1,\"in\":1}}", JSON_DUPLICATE_KEY, "usage.in"},
        {"{\"usage\":{\"\\u0069n\":1}}", JSON_ESCAPED_KEY, "usage.in"},
        {"{\"choices\":[],\"choices\":1}", JSON_DUPLICATE_KEY, "choices"},
        {"{\"choices\":[{\"delta\":{}},{\"delta\":{}}]}", 0, ""},
        {"{\"choices\":[{\"delta\":{},\"delta\":{}}]}", JSON_DUPLICATE_KEY, "choices.*.delta"},
        {"{\"x\":{\"model\":1,\"model\":2}}", 0, ""},
        {"{\"other\":1,\"other\":2}", 0, ""},
        {"{\"oth\\u0065r\":1}", 0, ""},
        {"{\"any\":{\"x\":1,\"x\":2}}", JSON_DUPLICATE_KEY, "any.x"},
        {"{\"any\":{\"y\":1,\"y\":2,\"\\u0079\":3}}", 0, ""},
        {"{\"Model\":1,\"model\":2}", 0, ""},
        {"{\"model\\u0000\":1,\"model\":2}", 0, ""},
    };
    struct log log = {0};

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        int r = scan_every_way(str_of(cases[i].text), &log);

        CHECK_MSG(r == cases[i].r, "%s: %d", cases[i].text, r);
        if (r != 0)
            CHECK(str_ends_with(buf_str(&log.text), str_of(cases[i].key)));
    }
    buf_deinit(&log.text);
}

static void append_times(struct buf *b, const char *text, size_t n)
{
    while (n-- > 0)
        buf_append_str(b, str_of(text));
}

TEST(depth_is_bounded)
{
    static const struct {
        const char *open, *close;
    } kinds[] = {{"[", "]"}, {"{\"a\":", "}"}};
    struct log log = {0};
    struct buf b = {0};

    for (size_t i = 0; i < N_ELEMENTS(kinds); i++) {
        for (size_t n = LIMIT_JSON_DEPTH; n <= LIMIT_JSON_DEPTH + 1; n++) {
            buf_clear(&b);
            append_times(&b, kinds[i].open, n);
            buf_append_char(&b, '1');
            append_times(&b, kinds[i].close, n);
            CHECK_INT(scan_every_way(buf_str(&b), &log), n > LIMIT_JSON_DEPTH ? JSON_TOO_DEEP : 0);
        }
    }
    buf_clear(&b);
    append_times(&b, "[{\"model\":", 100000);
    CHECK_INT(scan(buf_str(&b), b.len, &log), JSON_TOO_DEEP);
    buf_deinit(&b);
    buf_deinit(&log.text);
}

TEST(long_text_is_cut_at_a_character)
{
    struct log log = {0};
    struct buf b = {0};

    for (size_t n = JSON_TEXT_BYTES - 4; n <= JSON_TEXT_BYTES + 1; n++) {
        for (int kind = 0; kind < 4; kind++) {
            static const char *const tails[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                                                "\\ud83d\\ude00"};
            static const size_t tail_len[] = {2, 3, 4, 4};
            char want[32];

            buf_clear(&b);
            buf_printf(&b, "{\"model\":\"");
            append_times(&b, "a", n);
            buf_printf(&b, "%s\"}", tails[kind]);
            CHECK_INT(scan_every_way(buf_str(&b), &log), 0);
            bool is_cut = n + tail_len[kind] > JSON_TEXT_BYTES;

            snprintf(want, sizeof want, " %zu'", n + tail_len[kind]);
            CHECK(str_find(buf_str(&log.text), str_of(want)) >= 0);
            CHECK((str_find(buf_str(&log.text), STR("a' cut")) >= 0) == is_cut);
        }
    }
    buf_clear(&b);
    buf_printf(&b, "{\"n\":1");
    append_times(&b, "0", JSON_TEXT_BYTES);
    buf_append_char(&b, '}');
    CHECK_INT(scan_every_way(buf_str(&b), &log), 0);
    CHECK(str_find(buf_str(&log.text), STR(" inf\n")) > 0);
    buf_clear(&b);
    buf_append_str(&b, STR("{\"model"));
    append_times(&b, "l", 2000);
    buf_append_str(&b, STR("\":1}"));
    CHECK_INT(scan_every_way(buf_str(&b), &log), 0);
    buf_deinit(&b);
    buf_deinit(&log.text);
}

TEST(the_top_is_told_early)
{
    static const struct {
        const char *text;
        bool may_be;
    } cases[] = {{"", true},   {" ", true},   {" {", true},  {"{}", true},
                 {"[", false}, {"[]", false}, {" 1", false}, {"\"", false}};

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct log log = {0};
        struct json_scan s;

        json_scan_init(&s, &paths, note, &log);
        CHECK_INT(json_scan_feed(&s, str_of(cases[i].text)), 0);
        CHECK_MSG(json_scan_may_be_object(&s) == cases[i].may_be, "%s", cases[i].text);
        buf_deinit(&log.text);
    }
}
