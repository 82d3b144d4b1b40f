/* What `get` and `describe` print, and how they read what a gateway answers: words for kinds, YAML
 * and JSON that are read as the same again, tables, ages, and lists that were written to harm. */
#include <stdlib.h>

#include "app/objects/columns.h"
#include "app/objects/grid.h"
#include "app/objects/kind_word.h"
#include "app/objects/label.h"
#include "app/objects/node_text.h"
#include "app/objects/text.h"
#include "base/limits.h"
#include "test/harness/test.h"
#include "tree/reader.h"

static const struct node *parse(struct arena *a, struct str text)
{
    struct diag_list diags;
    struct reader reader;

    diag_list_init(&diags, a);
    reader_init(&reader, a, &diags);
    CHECK_MSG(reader_read_bytes(&reader, "t", text) == 0, "%.*s", STR_ARG(text));
    CHECK_MSG(reader.documents.n == 1, "%.*s", STR_ARG(text));
    return reader.documents.items[0].root;
}

TEST(kinds_are_called_as_in_kubectl)
{
    static const struct {
        const char *word;
        const char *names; /* NULL: unknown */
    } rows[] = {
        {"gateway", "Gateway"},
        {"Gateways", "Gateway"},
        {"GATEWAY", "Gateway"},
        {"gtw", "Gateway"},
        {"gc", "GatewayClass"},
        {"svc", "Service"},
        {"cm", "ConfigMap"},
        {"securitypolicy", "SecurityPolicy"},
        {"securitypolicies", "SecurityPolicy"},
        {"btp", "BackendTrafficPolicy"},
        {"gateways.gateway.networking.k8s.io", "Gateway"},
        {"gateways.v1.gateway.networking.k8s.io", "Gateway"},
        {"services.v1", "Service"},
        {"gateways.v9.gateway.networking.k8s.io", NULL},
        {"gateways.gateway.envoyproxy.io", NULL},
        {"backendsecuritypolicies", "BackendSecurityPolicy BackendSecurityPolicy"},
        {"backendsecuritypolicies.aigateway.envoyproxy.io", "BackendSecurityPolicy"},
        {"ai-gateway", "AIGatewayRoute AIServiceBackend BackendSecurityPolicy"},
        {"pods", NULL},
        {"", NULL},
        {".", NULL},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct kind_list list = {0};
        struct buf names = {0};
        int r = kind_word_find(str_of(rows[i].word), &list);

        for (size_t k = 0; k < list.n; k++)
            buf_printf(&names, "%s%.*s", k > 0 ? " " : "", STR_ARG(list.items[k]->name));
        CHECK_MSG((r == 0) == (rows[i].names != NULL), "%s", rows[i].word);
        if (rows[i].names)
            CHECK_STR(buf_str(&names), rows[i].names);
        buf_deinit(&names);
    }
}

TEST(a_category_of_all_has_every_kind_once)
{
    struct kind_list list = {0};

    CHECK(kind_word_find(STR("all"), &list) == 0 && kind_word_find(STR("svc"), &list) == 0);
    CHECK_INT(list.n, KIND_COUNT);
}

TEST(the_nearest_kind_is_named)
{
    static const char *const rows[][2] = {{"gatewya", "gateways"},
                                          {"HTTPRoutse", "httproutes"},
                                          {"backnds", "backends"},
                                          {"securitypolcy", "securitypolicies"},
                                          {"zzz", NULL}};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        const char *nearest = kind_word_nearest(str_of(rows[i][0]));

        CHECK_MSG(rows[i][1] ? nearest && strcmp(nearest, rows[i][1]) == 0 : !nearest, "%s: %s",
                  rows[i][0], nearest ? nearest : "-");
    }
}

TEST(yaml_is_that_of_kubectl)
{
    static const char in[] =
        "{a: b, list: [x, {k: v, l: [1]}, [p, q], []], m: {}, n: ~, t: true, s: 'true', port: 80, "
        "text: '80', star: '*', lines: \"one\\ntwo\\n\", bare: \"one\\ntwo\", kept: \"one\\n\\n\", "
        "dur: 10s, colon: 'a: b', path: /v1/x, odd: \"\\e[2J\", 'k: y': 1, empty: '', blank: \" "
        "x\"}";
    static const char out[] = "a: b\n"
                              "list:\n"
                              "- x\n"
                              "- k: v\n"
                              "  l:\n"
                              "  - 1\n"
                              "- - p\n"
                              "  - q\n"
                              "- []\n"
                              "m: {}\n"
                              "\"n\": null\n"
                              "t: true\n"
                              "s: \"true\"\n"
                              "port: 80\n"
                              "text: \"80\"\n"
                              "star: \"*\"\n"
                              "lines: |\n"
                              "  one\n"
                              "  two\n"
                              "bare: |-\n"
                              "  one\n"
                              "  two\n"
                              "kept: |+\n"
                              "  one\n"
                              "\n"
                              "dur: 10s\n"
                              "colon: \"a: b\"\n"
                              "path: /v1/x\n"
                              "odd: \"\\u001b[2J\"\n"
                              "\"k: y\": 1\n"
                              "empty: \"\"\n"
                              "blank: \" x\"\n";
    struct arena a;
    struct buf text = {0};

    arena_init(&a, 4096);
    node_append_yaml(&text, parse(&a, str_of(in)), 0);
    CHECK_STR(buf_str(&text), out);
    buf_deinit(&text);
    arena_deinit(&a);
}

static bool same(const struct node *a, const struct node *b)
{
    bool is_scalar = a->type == NODE_SCALAR;

    if (node_is_null(a) || node_is_null(b))
        return node_is_null(a) && node_is_null(b);
    if (a->type != b->type || a->n != b->n || (is_scalar && !str_eq(a->text, b->text)))
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (a->type == NODE_LIST ? !same(a->items[i], b->items[i])
                                 : !str_eq(a->entries[i].key, b->entries[i].key) ||
                                       !same(a->entries[i].value, b->entries[i].value))
            return false;
    }
    return true;
}

/* Whether it would be taken for something else than a text. */
static bool is_typed(const struct node *n)
{
    int64_t whole;
    double number;
    bool value;

    return node_is_null(n) || node_to_bool(n, &value) || node_to_int(n, &whole) ||
           node_to_double(n, &number);
}

TEST(every_text_is_read_as_itself_again)
{
    static const char *const texts[] = {
        "",         "a",        "yes",     "No",           "on",      "y",
        "null",     "~",        "80",      "0x1F",         "1e3",     "1_000",
        "12:30",    "0o17",     "007",     "-1",           "+1",      ".5",
        "10s",      "1h30m",    "5Mi",     "a: b",         "a #b",    "a#b",
        "# a",      "- a",      "a:",      ":a",           " a",      "a ",
        "'a'",      "\"a\"",    "{a}",     "[a]",          "a, b",    "%a",
        "@a",       "`a",       "!a",      "&a",           "*a",      "|",
        ">",        "?",        "a\tb",    "a\nb",         "a\n",     "\na",
        "a\n\n",    "a\n b\n",  " a\nb\n", "a \nb\n",      "\n",      "a\r\nb",
        "\x1b[",    "\xc2\x9b", "é",       "\xef\xbb\xbf", "---",     "...",
        "a\n---\n", "true",     "=",       "<<",           "a\n#b\n", "2001-01-01",
        "0.0.0.0",  "\\",       "a\\nb",   "1.2.3",        "e",       "NaN",
    };
    struct arena a;

    arena_init(&a, 4096);
    for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
        struct node key_value = {.type = NODE_SCALAR, .is_quoted = true, .text = str_of(texts[i])};
        struct node_entry entry = {.key = STR("k"), .value = &key_value};
        struct node map = {.type = NODE_MAP, .entries = &entry, .n = 1};
        struct node *items[] = {&map, &key_value};
        struct node list = {.type = NODE_LIST, .items = items, .n = 2};
        struct buf out = {0};

        node_append_yaml(&out, &list, 0);
        for (int form = 0; form < 2; form++) {
            const struct node *again = parse(&a, buf_str(&out));

            CHECK_MSG(same(&list, again), "%zu (%d): %.*s", i, form, STR_ARG(buf_str(&out)));
            CHECK_MSG(!is_typed(again->items[1]), "%zu (%d): %.*s", i, form,
                      STR_ARG(buf_str(&out)));
            buf_clear(&out);
            node_append_json(&out, &list, 0);
        }
        for (size_t k = 0; k < out.len; k++)
            CHECK((unsigned char)out.ptr[k] >= 0x20 || out.ptr[k] == '\n');
        CHECK(str_find(buf_str(&out), STR("\xc2\x9b")) < 0);
        buf_deinit(&out);
    }
    arena_deinit(&a);
}

TEST(a_text_with_a_nul_is_quoted)
{
    struct node node = {.type = NODE_SCALAR, .is_quoted = true, .text = STR("a\0b")};
    struct buf out = {0};

    node_append_yaml(&out, &node, 0);
    CHECK_STR(buf_str(&out), "\"a\\u0000b\"\n");
    buf_deinit(&out);
}

TEST(json_is_that_of_kubectl)
{
    struct arena a;
    struct buf text = {0};

    arena_init(&a, 4096);
    node_append_json(&text, parse(&a, STR("{a: 1, b: [x, {}], c: ~, d: 0x10, e: 1.50, f: TRUE}")),
                     0);
    CHECK_STR(buf_str(&text), "{\n    \"a\": 1,\n    \"b\": [\n        \"x\",\n        {}\n    ],\n"
                              "    \"c\": null,\n    \"d\": \"0x10\",\n    \"e\": 1.50,\n"
                              "    \"f\": true\n}");
    buf_deinit(&text);
    arena_deinit(&a);
}

TEST(ages_are_said_as_kubectl_says_them)
{
    static const struct {
        int64_t s;
        const char *text;
    } rows[] = {
        {-5, "0s"},         {0, "0s"},         {119, "119s"},      {120, "2m"},
        {150, "2m30s"},     {660, "11m"},      {10799, "179m"},    {10800, "3h"},
        {12000, "3h20m"},   {28800, "8h"},     {172799, "47h"},    {172800, "2d"},
        {176400, "2d1h"},   {691200, "8d"},    {63071999, "729d"}, {63072000, "2y"},
        {63158400, "2y1d"}, {252288000, "8y"},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct buf out = {0};

        column_append_age(&out, rows[i].s);
        CHECK_STR(buf_str(&out), rows[i].text);
        buf_deinit(&out);
    }
}

TEST(a_table_is_clean_and_as_wide_as_its_cells)
{
    struct str rows[][2] = {
        {STR("NAME"), STR("B")}, {STR("é"), STR("\x1b[2J")}, {STR("longer"), STR("")}};
    struct arena a;
    struct grid g;
    struct buf out = {0};

    arena_init(&a, 4096);
    grid_init(&g, &a, 2);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        grid_add(&g, rows[i]);
    grid_format(&g, &out, 1);
    CHECK_STR(buf_str(&out), " NAME     B\n é        ?[2J\n longer\n");
    buf_deinit(&out);
    arena_deinit(&a);
}

#define NAMED(name) "\"metadata\":{\"name\":\"" name "\"}"
#define BACKEND(name)                                                                              \
    "{\"object\":{\"apiVersion\":\"gateway.envoyproxy.io/v1alpha1\",\"kind\":\"Backend\"," NAMED(  \
        name)
#define GOOD BACKEND("b") "}}\n"

TEST(lists_are_read_or_refused)
{
    static const struct {
        const char *list;
        size_t n; /* 0 and not empty: refused */
    } rows[] = {
        {"", 0},
        {"\n\n", 0},
        {GOOD, 1},
        {GOOD "\n" BACKEND("a") ",\"spec\":{\"a\":\"\xc2\x9b\xef\xbb\xbf\"}},\"findings\":7}", 2},
        {"garbage", 0},
        {"{}", 0},
        {"[]", 0},
        {"{\"object\":7}", 0},
        {"{\"object\":{}}", 0},
        {"{\"object\":{\"apiVersion\":\"v1\",\"kind\":\"Pod\"," NAMED("p") "}}", 0},
        {"{\"object\":{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":[]}}", 0},
        {"{\"object\":{\"apiVersion\":[],\"kind\":{}," NAMED("p") "}}", 0},
        {GOOD "{\"object\":", 0},
        {"--- {}\n", 0},
        {"\xff\xfe", 0},
        {"{\"object\": &a [*a]}", 0},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        bool is_empty = rows[i].list[strspn(rows[i].list, "\n")] == '\0';
        struct shown_vec objects = {0};
        struct buf why = {0};
        struct arena a;
        int r;

        arena_init(&a, 4096);
        r = shown_read(&a, str_of(rows[i].list), &objects, &why);
        CHECK_MSG((r == 0) == (rows[i].n > 0 || is_empty), "row %zu: %.*s", i,
                  STR_ARG(buf_str(&why)));
        CHECK_MSG(r != 0 || objects.n == rows[i].n, "row %zu: %zu", i, objects.n);
        CHECK_MSG(r == 0 || why.len > 0, "row %zu", i);
        if (objects.n == 2)
            CHECK_STR(objects.items[0].name, "a");
        buf_deinit(&why);
        arena_deinit(&a);
    }
}

/* A kilobyte that says how deep it is, and one that repeats itself. */
TEST(a_list_cannot_be_deep_or_multiply)
{
    struct shown_vec objects = {0};
    struct buf list = {0};
    struct buf why = {0};
    struct arena a;

    arena_init(&a, 4096);
    buf_printf(&list, "{\"object\":");
    for (int i = 0; i < 2 * LIMIT_YAML_DEPTH; i++)
        buf_append_char(&list, '[');
    CHECK_INT(shown_read(&a, buf_str(&list), &objects, &why), SHOWN_REFUSED);
    buf_clear(&list);
    buf_printf(&list, "{\"a0\": &a0 [x,x,x,x,x,x,x,x,x,x]");
    for (int i = 1; i < 9; i++) {
        buf_printf(&list, ", \"a%d\": &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            buf_printf(&list, "%s*a%d", k > 0 ? "," : "", i - 1);
        buf_append_char(&list, ']');
    }
    buf_append_char(&list, '}');
    CHECK_INT(shown_read(&a, buf_str(&list), &objects, &why), SHOWN_REFUSED);
    buf_deinit(&list);
    buf_deinit(&why);
    arena_deinit(&a);
}

TEST(the_status_is_the_worst_of_its_conditions)
{
    static const struct {
        const char *status;
        const char *text;
    } rows[] = {
        {"{}", "<none>"},
        {"{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\",\"reason\":\"Accepted\"}]}",
         "Accepted"},
        {"{\"ancestors\":[{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\",\"reason\":"
         "\"Accepted\"}]},{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"False\",\"reason\":"
         "\"Conflicted\"}]}]}",
         "Conflicted"},
        {"{\"parents\":[{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\",\"reason\":"
         "\"Accepted\"},{\"type\":\"ResolvedRefs\",\"status\":\"False\",\"reason\":"
         "\"RefNotPermitted\"}]"
         "}]}",
         "RefNotPermitted"},
        {"{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\",\"reason\":\"Accepted\"}],"
         "\"listeners\":[{\"name\":\"h\",\"conditions\":[{\"type\":\"Programmed\",\"status\":"
         "\"False\","
         "\"reason\":\"Invalid\"}]}]}",
         "Accepted"},
        {"{\"conditions\":[7,{\"type\":[]}],\"parents\":7,\"ancestors\":[7,[]]}", "<none>"},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct shown_vec objects = {0};
        struct buf list = {0};
        struct buf text = {0};
        struct arena a;

        arena_init(&a, 4096);
        buf_printf(&list, BACKEND("b") ",\"status\":%s}}", rows[i].status);
        CHECK_MSG(shown_read(&a, buf_str(&list), &objects, &text) == 0, "%.*s",
                  STR_ARG(buf_str(&text)));
        column_append_status(&text, &objects.items[0]);
        CHECK_STR(buf_str(&text), rows[i].text);
        buf_deinit(&list);
        buf_deinit(&text);
        arena_deinit(&a);
    }
}

TEST(labels_are_selected_as_kubectl_selects_them)
{
    static const struct label labels[] = {
        {{"app", 3}, {"eg", 2}}, {{"app", 3}, {"tollgate", 8}}, {{"a.b/tier", 8}, {"", 0}}};
    static const struct {
        const char *selector;
        int is; /* -1: malformed */
    } rows[] = {
        {"app=eg", 1},       {"app==eg", 1},   {"app = eg", 1}, {"app=tollgate", 1},
        {"app=x", 0},        {"app!=x", 1},    {"app!=eg", 0},  {"app", 1},
        {"!app", 0},         {"!x", 1},        {"x", 0},        {"app=eg,a.b/tier=", 1},
        {"app=eg,x=y", 0},   {"app=eg,", -1},  {"", -1},        {",", -1},
        {"=", -1},           {"=a", -1},       {"!", -1},       {"!app=eg", -1},
        {"app in (eg)", -1}, {"app=(eg)", -1}, {"app>1", -1},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        bool is = false;
        int r = label_select(str_of(rows[i].selector), labels, N_ELEMENTS(labels), &is);

        CHECK_MSG((r == 0) == (rows[i].is >= 0), "%s", rows[i].selector);
        CHECK_MSG(r != 0 || is == (rows[i].is == 1), "%s", rows[i].selector);
    }
}
