/* Routing tables: the cases of the Gateway API's conformance suite that concern matching, and a
 * property test: on random tables (fixed seeds) the index yields exactly the candidates, in exactly
 * the order, of a matcher that sorts all matches and tries each. */
#include <stdlib.h>

#include "base/random.h"
#include "policy/host_pattern.h"
#include "policy/route_cursor.h"
#include "test/harness/test.h"

struct world {
    struct arena arena;
    struct name_set late;
    struct route_table_builder *builder;
    const struct route_table *table;
    struct http_request request;
    uint32_t n_calls; /* added: later ones rank behind earlier ones */
};

static void world_init(struct world *w)
{
    *w = (struct world){0};
    arena_init(&w->arena, 65536);
    name_set_add(&w->late, &w->arena, STR("x-tenant"));
    w->builder = route_table_builder_new(&w->arena, &w->late);
}

static void world_deinit(struct world *w)
{
    route_table_builder_free(w->builder);
    arena_deinit(&w->arena);
}

/* `rule` is a text that names the rule. */
static void add_spec(struct world *w, struct route_spec spec, const char *rule)
{
    spec.rule = (void *)rule;
    if (!spec.route_name.ptr)
        spec.route_name = STR("default/route");
    CHECK_INT(route_table_builder_add(w->builder, &spec, NULL), 0);
}

static void add_path(struct world *w, enum route_path_kind kind, const char *path)
{
    add_spec(w, (struct route_spec){.path_kind = kind, .path = str_of(path)}, path);
}

static void add_host_path(struct world *w, const char *host, const char *path, const char *rule)
{
    struct str hosts[] = {str_of(host)};

    add_spec(w, (struct route_spec){.hosts = hosts, .n_hosts = 1, .path = str_of(path)}, rule);
}

static void build(struct world *w)
{
    w->table = route_table_build(w->builder);
    w->builder = NULL;
}

static void ask(struct world *w, const char *method, const char *host, const char *path)
{
    w->request = (struct http_request){
        .method_text = str_of(method),
        .method = http_method_parse(str_of(method)),
        .host = str_of(host),
        .authority = str_of(host),
        .path = str_of(path),
    };
    http_headers_init(&w->request.headers, &w->arena);
}

static void header(struct world *w, const char *name, const char *value)
{
    http_headers_add(&w->request.headers, str_of(name), str_of(value));
}

static const char *first(struct world *w)
{
    struct route_cursor cursor;
    const struct route_match *m;

    route_cursor_init(&cursor, w->table, &w->request, false);
    switch (route_cursor_next(&cursor, &m)) {
    case ROUTE_CANDIDATE:
        return m->rule;
    case ROUTE_REFUSE:
        return "refuse";
    default:
        return "none";
    }
}

static void expect_path(struct world *w, const char *path, const char *rule)
{
    ask(w, "GET", "example.com", path);
    CHECK_MSG(strcmp(first(w), rule) == 0, "%s went to %s, expected %s", path, first(w), rule);
}

TEST(path_prefix_matches_whole_elements)
{
    struct world w;

    world_init(&w);
    add_path(&w, ROUTE_PATH_PREFIX, "/foo");
    add_path(&w, ROUTE_PATH_PREFIX, "/bar/");
    add_path(&w, ROUTE_PATH_PREFIX, "/foo/deep");
    build(&w);
    expect_path(&w, "/foo", "/foo");
    expect_path(&w, "/foo/", "/foo");
    expect_path(&w, "/foo/x", "/foo");
    expect_path(&w, "/foobar", "none");
    expect_path(&w, "/foo:predict", "none");
    expect_path(&w, "/bar", "/bar/");
    expect_path(&w, "/bar/", "/bar/");
    expect_path(&w, "/bar/x", "/bar/");
    expect_path(&w, "/barx", "none");
    expect_path(&w, "/foo/deep/er", "/foo/deep");
    expect_path(&w, "/foo/deeper", "/foo");
    expect_path(&w, "/", "none");
    expect_path(&w, "*", "none");
    world_deinit(&w);
}

TEST(exact_beats_regex_beats_prefix)
{
    struct world w;

    world_init(&w);
    add_path(&w, ROUTE_PATH_PREFIX, "/a/b");
    add_path(&w, ROUTE_PATH_REGEX, "/a/.*");
    add_path(&w, ROUTE_PATH_REGEX, "/a/[bc]+/d");
    add_path(&w, ROUTE_PATH_EXACT, "/a/b");
    add_path(&w, ROUTE_PATH_PREFIX, "/");
    build(&w);
    expect_path(&w, "/a/b", "/a/b");
    expect_path(&w, "/a/b/d", "/a/[bc]+/d");
    expect_path(&w, "/a/b/", "/a/.*");
    expect_path(&w, "/a/b/x", "/a/.*");
    expect_path(&w, "/a", "/");
    expect_path(&w, "/zzz", "/");
    expect_path(&w, "*", "none");
    world_deinit(&w);
}

TEST(host_that_selects_a_more_specific_one_never_falls_through)
{
    struct world w;
    static const struct {
        const char *host, *path, *rule;
    } cases[] = {
        {"very.specific.com", "/s1", "exact"},
        {"very.specific.com", "/s2", "none"}, /* not the wildcard's /s2 */
        {"other.specific.com", "/s2", "wild"},
        {"a.b.specific.com", "/s2", "wild"},
        {"x.very.specific.com", "/s4", "deep"},
        {"x.very.specific.com", "/s2", "none"},
        {"specific.com", "/s2", "none"},
        {"specific.com", "/s3", "any"},
        {"unknown.org", "/s3", "any"},
        {"", "/s3", "any"},
    };

    world_init(&w);
    add_host_path(&w, "very.specific.com", "/s1", "exact");
    add_host_path(&w, "*.specific.com", "/s2", "wild");
    add_host_path(&w, "*.very.specific.com", "/s4", "deep");
    add_path(&w, ROUTE_PATH_PREFIX, "/s3");
    build(&w);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        ask(&w, "GET", cases[i].host, cases[i].path);
        const char *want = strcmp(cases[i].rule, "any") == 0 ? "/s3" : cases[i].rule;
        CHECK_MSG(strcmp(first(&w), want) == 0, "%s%s: %s", cases[i].host, cases[i].path,
                  first(&w));
    }
    world_deinit(&w);
}

TEST(more_specific_conditions_and_older_routes_come_first)
{
    struct world w;
    struct route_field_spec one[] = {{STR("Version"), STR("one"), false}};
    struct route_field_spec two[] = {{STR("version"), STR("one"), false},
                                     {STR("color"), STR("blue"), false}};
    struct route_field_spec query[] = {{STR("animal"), STR("whale"), false}};

    world_init(&w);
    add_spec(&w, (struct route_spec){.created_unix_s = 50, .route_name = STR("b/b")}, "old");
    add_spec(&w, (struct route_spec){.created_unix_s = 90, .route_name = STR("a/a")}, "young");
    add_spec(&w, (struct route_spec){.route_name = STR("a/0")}, "ageless");
    add_spec(&w, (struct route_spec){.headers = one, .n_headers = 1}, "one");
    add_spec(&w, (struct route_spec){.headers = two, .n_headers = 2}, "two");
    add_spec(&w, (struct route_spec){.queries = query, .n_queries = 1}, "query");
    add_spec(&w, (struct route_spec){.method = STR("PATCH")}, "patch");
    build(&w);
    ask(&w, "GET", "", "/");
    CHECK(strcmp(first(&w), "old") == 0);
    header(&w, "version", "one");
    CHECK(strcmp(first(&w), "one") == 0);
    header(&w, "color", "blue");
    w.request.query = STR("animal=whale");
    CHECK(strcmp(first(&w), "two") == 0);
    ask(&w, "GET", "", "/x");
    w.request.query = STR("x=1&ani%6Dal=wh%61le&animal=dolphin");
    CHECK(strcmp(first(&w), "query") == 0);
    w.request.query = STR("animal=dolphin&animal=whale");
    CHECK(strcmp(first(&w), "old") == 0);
    ask(&w, "PATCH", "", "/");
    header(&w, "version", "one");
    header(&w, "color", "blue");
    CHECK(strcmp(first(&w), "patch") == 0);
    world_deinit(&w);
}

TEST(equal_matches_keep_the_order_of_adding)
{
    static const char names[64][3];
    struct world w;
    const struct route_match *match;
    struct route_cursor cursor;
    size_t n = 0;

    world_init(&w);
    for (size_t i = 0; i < N_ELEMENTS(names); i++)
        add_spec(&w, (struct route_spec){.path = STR("/")}, names[i]);
    build(&w);
    ask(&w, "GET", "", "/");
    route_cursor_init(&cursor, w.table, &w.request, false);
    while (route_cursor_next(&cursor, &match) == ROUTE_CANDIDATE)
        CHECK(match->rule == (const void *)names[n++]);
    CHECK_INT(n, N_ELEMENTS(names));
    world_deinit(&w);
}

TEST(several_header_lines_count_as_one_joined_value)
{
    struct world w;
    struct route_field_spec joined[] = {{STR("x-a"), STR("1,2"), false}};
    struct route_field_spec pattern[] = {{STR("x-b"), STR("[ab](,[ab])*"), true}};

    world_init(&w);
    add_spec(&w, (struct route_spec){.headers = joined, .n_headers = 1}, "joined");
    add_spec(&w, (struct route_spec){.headers = pattern, .n_headers = 1}, "pattern");
    build(&w);
    ask(&w, "GET", "", "/");
    header(&w, "x-a", "1");
    CHECK(strcmp(first(&w), "none") == 0);
    header(&w, "x-a", "2");
    CHECK(strcmp(first(&w), "joined") == 0);
    header(&w, "x-a", "2");
    CHECK(strcmp(first(&w), "none") == 0);
    header(&w, "x-b", "a");
    header(&w, "x-b", "b");
    CHECK(strcmp(first(&w), "pattern") == 0);
    header(&w, "x-b", "c");
    CHECK(strcmp(first(&w), "none") == 0);
    world_deinit(&w);
}

TEST(first_of_two_conditions_on_one_header_counts)
{
    struct world w;
    struct route_field_spec twice[] = {{STR("x-a"), STR("1"), false},
                                       {STR("X-A"), STR("2"), false}};

    world_init(&w);
    add_spec(&w, (struct route_spec){.headers = twice, .n_headers = 2}, "twice");
    build(&w);
    ask(&w, "GET", "", "/");
    header(&w, "x-a", "2");
    CHECK(strcmp(first(&w), "none") == 0);
    ask(&w, "GET", "", "/");
    header(&w, "x-a", "1");
    CHECK(strcmp(first(&w), "twice") == 0);
    world_deinit(&w);
}

TEST(pattern_at_its_limit_refuses_the_request)
{
    struct world w;

    world_init(&w);
    add_path(&w, ROUTE_PATH_REGEX, "/(a+)+[bd]");
    add_path(&w, ROUTE_PATH_PREFIX, "/");
    build(&w);
    expect_path(&w, "/aab", "/(a+)+[bd]");
    expect_path(&w, "/b", "/");
    expect_path(&w, "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", "refuse");
    world_deinit(&w);
}

TEST(bad_pattern_is_named_with_its_place)
{
    struct world w;
    struct regex_error error;
    struct route_spec spec = {.path_kind = ROUTE_PATH_REGEX, .path = STR("/a(b")};

    world_init(&w);
    CHECK_INT(route_table_builder_add(w.builder, &spec, &error), ROUTE_BAD_REGEX);
    CHECK_INT(error.offset, 4);
    CHECK(error.text[0] != '\0');
    build(&w);
    CHECK_INT(route_table_n_matches(w.table), 0);
    expect_path(&w, "/ab", "none");
    world_deinit(&w);
}

TEST(ai_rules_take_part_only_on_ai_endpoints)
{
    struct world w;
    struct route_cursor cursor;
    const struct route_match *m;

    world_init(&w);
    add_spec(&w, (struct route_spec){.route_name = STR("a/http")}, "http");
    add_spec(&w, (struct route_spec){.route_name = STR("b/ai"), .is_ai = true}, "ai");
    build(&w);
    ask(&w, "POST", "", "/v1/chat/completions");
    CHECK(strcmp(first(&w), "http") == 0);
    route_cursor_init(&cursor, w.table, &w.request, true);
    CHECK_INT(route_cursor_next(&cursor, &m), ROUTE_CANDIDATE);
    CHECK(strcmp(m->rule, "ai") == 0);
    CHECK_INT(route_cursor_next(&cursor, &m), ROUTE_CANDIDATE);
    CHECK(strcmp(m->rule, "http") == 0);
    CHECK_INT(route_cursor_next(&cursor, &m), ROUTE_END);
    CHECK_INT(route_cursor_next(&cursor, &m), ROUTE_END);
    world_deinit(&w);
}

/* A call of gRPC, and who would take it. */
static void expect_call(struct world *w, const char *path, const char *rule)
{
    ask(w, "POST", "example.com", path);
    http_headers_add_id(&w->request.headers, HEADER_CONTENT_TYPE, STR("application/grpc+proto"));
    CHECK_MSG(strcmp(first(w), rule) == 0, "%s went to %s, expected %s", path, first(w), rule);
}

/* As compile has it of a GRPCRoute's match; empty names match any. */
static void add_call(struct world *w, const char *service, const char *method, const char *rule)
{
    struct arena *a = &w->arena;
    struct route_spec spec = {
        .is_grpc = true,
        .path = str_of("/"),
        .n_service = strlen(service),
        .n_method = strlen(method),
        .rule_index = w->n_calls++,
    };

    if (*service && *method) {
        spec.path_kind = ROUTE_PATH_EXACT;
        spec.path = arena_printf(a, "/%s/%s", service, method);
    } else if (*service) {
        spec.path = arena_printf(a, "/%s", service);
    } else if (*method) {
        spec.path_suffix = arena_printf(a, "/%s", method);
    }
    add_spec(w, spec, rule);
}

TEST(rules_of_grpc_routes_take_calls_and_nothing_else)
{
    struct world w;

    world_init(&w);
    add_call(&w, "", "", "any call");
    build(&w);
    expect_call(&w, "/a.B/C", "any call");
    expect_path(&w, "/a.B/C", "none");
    ask(&w, "POST", "", "/a.B/C");
    header(&w, "content-type", "application/json");
    CHECK(strcmp(first(&w), "none") == 0);
    /* Not one of gRPC-Web either, nor a GET that calls itself one. */
    ask(&w, "POST", "", "/a.B/C");
    http_headers_add_id(&w.request.headers, HEADER_CONTENT_TYPE, STR("application/grpc-web"));
    CHECK(strcmp(first(&w), "none") == 0);
    ask(&w, "GET", "", "/a.B/C");
    http_headers_add_id(&w.request.headers, HEADER_CONTENT_TYPE, STR("application/grpc"));
    CHECK(strcmp(first(&w), "none") == 0);
    world_deinit(&w);
}

TEST(a_longer_service_comes_before_a_longer_method_and_both_before_headers)
{
    struct route_field_spec headers[] = {{STR("x-a"), STR("1"), false}};
    struct world w;

    world_init(&w);
    add_call(&w, "", "", "any");
    add_call(&w, "", "Get", "Get of any service");
    add_call(&w, "a.B", "", "a.B");
    add_call(&w, "a.B", "Get", "Get of a.B");
    add_spec(
        &w,
        (struct route_spec){.is_grpc = true, .headers = headers, .n_headers = 1, .rule_index = 90},
        "x-a");
    build(&w);
    expect_call(&w, "/a.B/Get", "Get of a.B");
    expect_call(&w, "/a.B/Put", "a.B");
    expect_call(&w, "/a.Bc/Put", "any"); /* the service's whole name */
    expect_call(&w, "/a.C/Get", "Get of any service");
    expect_call(&w, "/a.C/Put", "any");
    expect_call(&w, "/a.C/Forget", "any"); /* the method's whole name */
    ask(&w, "POST", "", "/a.C/Get");
    http_headers_add_id(&w.request.headers, HEADER_CONTENT_TYPE, STR("application/grpc"));
    header(&w, "x-a", "1");
    CHECK(strcmp(first(&w), "Get of any service") == 0);
    w.request.path = STR("/a.C/Put");
    CHECK(strcmp(first(&w), "x-a") == 0);
    world_deinit(&w);
}

TEST(patterns_of_calls_rank_by_the_service_that_they_name)
{
    static const struct {
        const char *pattern;
        size_t n_service;
        size_t n_method;
    } rows[] = {
        {"/[^/]+/(?:Get|Put|Post|Delete)", 0, 19},
        {"/(?:a\\..*)/[^/]+", 5, 0},
        {"/(?:a\\..*)/(?:G.*)", 5, 3},
    };
    struct world w;

    world_init(&w);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        add_spec(&w,
                 (struct route_spec){.is_grpc = true,
                                     .path_kind = ROUTE_PATH_REGEX,
                                     .path = str_of(rows[i].pattern),
                                     .n_service = rows[i].n_service,
                                     .n_method = rows[i].n_method,
                                     .rule_index = (uint32_t)i},
                 rows[i].pattern);
    build(&w);
    expect_call(&w, "/a.B/Get", rows[2].pattern);
    expect_call(&w, "/a.B/Put", rows[1].pattern);
    expect_call(&w, "/b.B/Put", rows[0].pattern);
    expect_call(&w, "/b.B/Patch", "none");
    world_deinit(&w);
}

static struct str late_of_group(void *context, uint32_t auth_group, struct str name)
{
    const char *const *values = context;

    CHECK_STR(name, "x-tenant");
    return str_of(values[auth_group]);
}

TEST(late_headers_are_left_to_the_caller)
{
    struct world w;
    struct route_cursor cursor;
    const struct route_match *m;
    char names[40][16];
    const char *values[2] = {"t7", NULL};
    unsigned n = 0;

    world_init(&w);
    for (unsigned i = 0; i < 40; i++) {
        struct route_field_spec tenant[] = {{STR("X-Tenant"), STR_NULL, false}};

        snprintf(names[i], sizeof names[i], "t%u", i / 2);
        tenant[0].value = str_of(names[i]);
        add_spec(&w,
                 (struct route_spec){
                     .headers = tenant, .n_headers = 1, .rule_index = i, .auth_group = i % 2},
                 names[i]);
    }
    build(&w);
    ask(&w, "GET", "", "/");
    header(&w, "x-tenant", "t7");
    route_cursor_init(&cursor, w.table, &w.request, false);
    for (; route_cursor_next(&cursor, &m) == ROUTE_CANDIDATE; n++) {
        CHECK_INT(m->n_late, 1);
        CHECK((route_match_late(m, &w.request.headers) == REGEX_HIT) ==
              (strcmp(m->rule, "t7") == 0));
    }
    CHECK_INT(n, 40);
    route_cursor_init(&cursor, w.table, &w.request, false);
    route_cursor_set_shortlist(&cursor);
    for (n = 0; route_cursor_next(&cursor, &m) == ROUTE_CANDIDATE; n++)
        ;
    CHECK_INT(n, 2);
    route_cursor_init(&cursor, w.table, &w.request, false);
    route_cursor_set_late(&cursor, late_of_group, values);
    CHECK_INT(route_cursor_next(&cursor, &m), ROUTE_CANDIDATE);
    CHECK_INT(m->auth_group, 0);
    CHECK(strcmp(m->rule, "t7") == 0);
    CHECK_INT(route_cursor_next(&cursor, &m), ROUTE_END);
    world_deinit(&w);
}

/* ---- property test ---- */

static const char *const hosts_pool[] = {"a.com", "b.a.com", "*.a.com", "*.b.a.com", ""};
static const char *const ask_hosts[] = {"a.com", "b.a.com", "c.a.com", "x.b.a.com", "z.org"};
static const char *const paths_pool[] = {"/",    "/a",     "/a/",  "/a/b", "/a/b/c", "/ab",
                                         "/a:b", "/b/c/d", "/b/c", "/b",   "/a/b/"};
static const char *const regex_pool[] = {"/a.*", "/[ab]/b", "/a/b(/c)?", "/.*/c", "/b"};
static const char *const names_pool[] = {"x-a", "x-b", "x-tenant", "X-A"};
static const char *const values_pool[] = {"1", "2", "3", "4", "1,2"};

#define PICK(r, pool) ((pool)[random_below((r), N_ELEMENTS(pool))])
#define MAX_SPECS     400

struct random_spec {
    struct route_spec spec;
    struct str hosts[2];
    struct route_field_spec headers[3];
    struct route_field_spec queries[1];
};

static void random_fields(struct random *r, struct random_spec *s)
{
    s->spec.n_headers = random_below(r, 4);
    s->spec.n_queries = random_below(r, 4) == 0;
    for (size_t i = 0; i < s->spec.n_headers; i++) {
        s->headers[i] = (struct route_field_spec){str_of(PICK(r, names_pool)),
                                                  str_of(PICK(r, values_pool)), false};
        if (random_below(r, 8) == 0) {
            s->headers[i].value = STR("[12]");
            s->headers[i].is_regex = true;
        }
    }
    s->queries[0] = (struct route_field_spec){STR("q"), str_of(PICK(r, values_pool)), false};
    s->spec.headers = s->headers;
    s->spec.queries = s->queries;
}

static void random_spec(struct random *r, struct random_spec *s, uint32_t index)
{
    *s = (struct random_spec){0};
    s->spec.path_kind = (enum route_path_kind)random_below(r, 3);
    s->spec.path =
        str_of(s->spec.path_kind == ROUTE_PATH_REGEX ? PICK(r, regex_pool) : PICK(r, paths_pool));
    for (unsigned i = 0; i < 2; i++) {
        s->hosts[s->spec.n_hosts] = str_of(PICK(r, hosts_pool));
        if (s->hosts[s->spec.n_hosts].len > 0)
            s->spec.n_hosts++;
    }
    s->spec.hosts = s->hosts;
    if (random_below(r, 3) == 0)
        s->spec.method = random_below(r, 2) ? STR("GET") : STR("PURGE");
    random_fields(r, s);
    s->spec.created_unix_s = random_below(r, 3);
    s->spec.is_ai = random_below(r, 5) == 0;
    s->spec.route_name = random_below(r, 2) ? STR("ns/a") : STR("ns/b");
    s->spec.rule_index = random_below(r, 4);
    s->spec.match_index = index;
    s->spec.auth_group = random_below(r, 2);
    s->spec.rule = s;
}

/* The reference: everything from the spec, nothing from the table. */

static struct str trimmed(const struct route_spec *s)
{
    struct str path = s->path;

    while (s->path_kind == ROUTE_PATH_PREFIX && str_ends_with(path, STR("/")))
        path.len--;
    return path;
}

static bool is_repeated(const struct route_field_spec *fields, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (str_eq_nocase(fields[k].name, fields[i].name))
            return true;
    }
    return false;
}

static unsigned naive_n_headers(const struct route_spec *s)
{
    unsigned n = 0;

    for (size_t i = 0; i < s->n_headers; i++)
        n += !is_repeated(s->headers, i);
    return n;
}

static int64_t naive_age(const struct route_spec *s)
{
    return s->created_unix_s ? s->created_unix_s : INT64_MAX;
}

static int naive_compare(const void *left, const void *right)
{
    const struct route_spec *a = &(*(struct random_spec *const *)left)->spec;
    const struct route_spec *b = &(*(struct random_spec *const *)right)->spec;
    long long keys[][2] = {
        {b->path_kind, a->path_kind},
        {(long long)trimmed(b).len, (long long)trimmed(a).len},
        {b->method.len > 0, a->method.len > 0},
        {naive_n_headers(b), naive_n_headers(a)},
        {(long long)b->n_queries, (long long)a->n_queries},
        {naive_age(a), naive_age(b)},
        {b->is_ai, a->is_ai},
        {str_compare(a->route_name, b->route_name), 0},
        {a->rule_index, b->rule_index},
        {a->match_index, b->match_index},
    };

    for (size_t i = 0; i < N_ELEMENTS(keys); i++) {
        if (keys[i][0] != keys[i][1])
            return keys[i][0] < keys[i][1] ? -1 : 1;
    }
    return 0;
}

static bool naive_value(struct str value, const struct route_field_spec *field)
{
    if (!field->is_regex)
        return str_eq(value, field->value);
    return value.len == 1 && (value.ptr[0] == '1' || value.ptr[0] == '2');
}

static bool naive_path(struct world *w, const struct route_spec *s, struct arena *a)
{
    const struct regex *regex;

    if (s->path_kind == ROUTE_PATH_EXACT)
        return str_eq(s->path, w->request.path);
    if (s->path_kind == ROUTE_PATH_PREFIX)
        return route_path_has_prefix(w->request.path, trimmed(s));
    CHECK_INT(regex_compile(a, s->path, &regex, NULL), 0);
    return regex_match(regex, w->request.path) == REGEX_HIT;
}

static bool naive_holds(struct world *w, const struct route_spec *s, struct arena *a)
{
    if (!naive_path(w, s, a))
        return false;
    if (s->method.len > 0 && !str_eq(s->method, w->request.method_text))
        return false;
    if (s->n_queries > 0 &&
        !str_eq(str_slice(w->request.query, 2, w->request.query.len), s->queries[0].value))
        return false;
    for (size_t i = 0; i < s->n_headers; i++) {
        struct str name = str_eq(s->headers[i].name, STR("X-A")) ? STR("x-a") : s->headers[i].name;

        if (is_repeated(s->headers, i) || str_eq(name, STR("x-tenant")))
            continue;
        struct str value = http_headers_value(&w->request.headers, name);

        if (!value.ptr || !naive_value(value, &s->headers[i]))
            return false;
    }
    return true;
}

static bool naive_host(const struct route_spec *s, struct str best)
{
    for (size_t i = 0; i < s->n_hosts; i++) {
        if (str_eq(s->hosts[i], best))
            return true;
    }
    return s->n_hosts == 0 && best.len == 0;
}

static struct str naive_best_host(struct random_spec *specs, size_t n, struct str host)
{
    struct str best = STR("");

    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < specs[i].spec.n_hosts; k++) {
            if (host_pattern_matches(specs[i].hosts[k], host) &&
                host_pattern_rank(specs[i].hosts[k]) > host_pattern_rank(best))
                best = specs[i].hosts[k];
        }
    }
    return best;
}

static bool naive_late(const struct route_spec *s, const char *const *late)
{
    for (size_t i = 0; i < s->n_headers; i++) {
        if (is_repeated(s->headers, i) || !str_eq(s->headers[i].name, STR("x-tenant")))
            continue;
        struct str value = str_of(late[s->auth_group]);

        if (!value.ptr || !naive_value(value, &s->headers[i]))
            return false;
    }
    return true;
}

static bool late_holds(const struct route_match *m, const char *const *late, struct arena *a)
{
    struct http_headers headers;

    http_headers_init(&headers, a);
    if (late[m->auth_group])
        http_headers_add(&headers, STR("x-tenant"), str_of(late[m->auth_group]));
    return route_match_late(m, &headers) == REGEX_HIT;
}

struct play {
    struct world world;
    struct random_spec specs[MAX_SPECS];
    struct random_spec *sorted[MAX_SPECS];
    size_t n;
};

/* What is said of each match by itself is what the lookup makes of it: a candidate meets all, and
 * nothing else does. */
static void compare_reasons(struct play *p, bool is_ai, const char *const *late, unsigned seed)
{
    struct world *w = &p->world;
    static bool is_candidate[MAX_SPECS];
    struct route_cursor cursor;
    const struct route_match *m;
    struct http_headers headers;

    memset(is_candidate, 0, sizeof is_candidate);
    route_cursor_init(&cursor, w->table, &w->request, is_ai);
    while (route_cursor_next(&cursor, &m) == ROUTE_CANDIDATE)
        is_candidate[m->rank] = true;
    CHECK_INT(route_table_n_matches(w->table), p->n);
    for (size_t i = 0; i < p->n; i++) {
        struct route_reason reason;

        m = route_table_at(w->table, i);
        CHECK_INT(m->rank, i);
        reason = route_cursor_reason(&cursor, m, NULL);
        CHECK_MSG((reason.by == ROUTE_MEETS_ALL) == is_candidate[i],
                  "seed %u: match %zu, reason %d", seed, i, (int)reason.by);
        http_headers_init(&headers, &w->arena);
        if (late[m->auth_group])
            http_headers_add(&headers, STR("x-tenant"), str_of(late[m->auth_group]));
        reason = route_cursor_reason(&cursor, m, &headers);
        CHECK_MSG((reason.by == ROUTE_MEETS_ALL) ==
                      (is_candidate[i] && route_match_late(m, &headers) == REGEX_HIT),
                  "seed %u: match %zu, late reason %d", seed, i, (int)reason.by);
    }
}

static void compare_request(struct play *p, struct random *r, unsigned seed)
{
    struct world *w = &p->world;
    struct arena scratch;
    struct route_cursor cursor;
    const struct route_match *m;
    bool is_ai = random_below(r, 2);
    bool knows_late = random_below(r, 2);
    const char *late[2] = {PICK(r, values_pool), NULL};

    ask(w, random_below(r, 2) ? "GET" : "PURGE", PICK(r, ask_hosts), PICK(r, paths_pool));
    for (unsigned i = 0; i < 2; i++) {
        if (random_below(r, 3))
            header(w, names_pool[i], PICK(r, values_pool));
    }
    if (random_below(r, 2))
        w->request.query = STR("q=1");
    arena_init(&scratch, 4096);
    struct str best = naive_best_host(p->specs, p->n, w->request.host);

    route_cursor_init(&cursor, w->table, &w->request, is_ai);
    if (knows_late)
        route_cursor_set_late(&cursor, late_of_group, late);
    for (size_t i = 0; i < p->n; i++) {
        const struct route_spec *s = &p->sorted[i]->spec;

        if (!naive_host(s, best) || (s->is_ai && !is_ai) || !naive_holds(w, s, &scratch))
            continue;
        if (knows_late && !naive_late(s, late))
            continue;
        do {
            CHECK_MSG(route_cursor_next(&cursor, &m) == ROUTE_CANDIDATE, "seed %u: too few", seed);
        } while (knows_late && !late_holds(m, late, &scratch));
        CHECK_MSG(m->rule == p->sorted[i], "seed %u: wrong candidate for %s", seed,
                  w->request.path.ptr);
    }
    while (route_cursor_next(&cursor, &m) == ROUTE_CANDIDATE)
        CHECK_MSG(knows_late && !late_holds(m, late, &scratch), "seed %u: too many", seed);
    compare_reasons(p, is_ai, late, seed);
    arena_deinit(&scratch);
}

TEST(index_yields_the_order_of_a_naive_matcher)
{
    static struct play play;

    for (unsigned seed = 1; seed <= 60; seed++) {
        struct random r;

        random_init_seed(&r, seed);
        world_init(&play.world);
        play.n = 1 + random_below(&r, seed % 3 == 0 ? MAX_SPECS : 60);
        for (uint32_t i = 0; i < play.n; i++) {
            random_spec(&r, &play.specs[i], i);
            play.sorted[i] = &play.specs[i];
            CHECK_INT(route_table_builder_add(play.world.builder, &play.specs[i].spec, NULL), 0);
        }
        qsort(play.sorted, play.n, sizeof play.sorted[0], naive_compare);
        build(&play.world);
        for (unsigned i = 0; i < 40; i++)
            compare_request(&play, &r, seed);
        world_deinit(&play.world);
    }
}
