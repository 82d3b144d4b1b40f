/* Why a match is no candidate, and by what one is before another. That a look-up and the reasons
 * agree on every match is the property test of route_table_test.c. */
#include "policy/route_cursor.h"
#include "test/harness/test.h"

struct world {
    struct arena arena;
    struct name_set late;
    struct route_table_builder *builder;
    const struct route_table *table;
    struct http_request request;
};

static void world_init(struct world *w)
{
    *w = (struct world){0};
    arena_init(&w->arena, 65536);
    w->builder = route_table_builder_new(&w->arena, &w->late);
}

static void world_deinit(struct world *w)
{
    route_table_builder_free(w->builder);
    arena_deinit(&w->arena);
}

static void build(struct world *w)
{
    w->table = route_table_build(w->builder);
    w->builder = NULL;
}

static void add_spec(struct world *w, struct route_spec spec, const char *rule)
{
    spec.rule = (void *)rule;
    if (!spec.route_name.ptr)
        spec.route_name = STR("default/route");
    CHECK_INT(route_table_builder_add(w->builder, &spec, NULL), 0);
}

static void add_host_path(struct world *w, const char *host, const char *path, const char *rule)
{
    struct str hosts[] = {str_of(host)};

    add_spec(w, (struct route_spec){.hosts = hosts, .n_hosts = 1, .path = str_of(path)}, rule);
}

static void ask(struct world *w, const char *host, const char *path)
{
    w->request = (struct http_request){.method_text = STR("GET"),
                                       .method = HTTP_METHOD_GET,
                                       .host = str_of(host),
                                       .authority = str_of(host),
                                       .path = str_of(path)};
    http_headers_init(&w->request.headers, &w->arena);
}

static struct route_reason reason_for(struct world *w, const char *rule)
{
    struct route_cursor cursor;

    route_cursor_init(&cursor, w->table, &w->request, false);
    for (size_t i = 0; i < route_table_n_matches(w->table); i++) {
        const struct route_match *m = route_table_at(w->table, i);

        if (strcmp(m->rule, rule) == 0)
            return route_cursor_reason(&cursor, m, NULL);
    }
    test_fail(__FILE__, __LINE__, "no rule %s", rule);
}

TEST(why_a_match_is_no_candidate_is_told_by_its_first_criterion_that_fails)
{
    struct route_field_spec header_field[] = {{STR("x-a"), STR("1"), false}};
    struct route_field_spec query_field[] = {{STR("q"), STR("1"), false}};
    struct arena *a;
    struct world w;

    world_init(&w);
    a = &w.arena;
    add_host_path(&w, "other.com", "/", "host");
    add_host_path(&w, "example.com", "/b", "path");
    add_host_path(&w, "example.com", "/", "met");
    struct str hosts[] = {STR("example.com")};
    struct route_spec spec = {.hosts = hosts, .n_hosts = 1, .path = STR("/a")};

    spec.method = STR("PUT");
    add_spec(&w, spec, "method");
    spec.method = STR("");
    spec.headers = header_field;
    spec.n_headers = 1;
    add_spec(&w, spec, "header");
    spec.n_headers = 0;
    spec.queries = query_field;
    spec.n_queries = 1;
    add_spec(&w, spec, "query");
    spec.n_queries = 0;
    spec.is_ai = true;
    add_spec(&w, spec, "endpoint");
    spec.is_ai = false;
    spec.is_grpc = true;
    add_spec(&w, spec, "call");
    add_host_path(&w, "", "/a", "any");
    add_host_path(&w, "*.wild.com", "/a", "wild");
    build(&w);
    ask(&w, "example.com", "/a");
    CHECK_INT(reason_for(&w, "host").by, ROUTE_MISSES_HOST);
    CHECK_INT(reason_for(&w, "any").by, ROUTE_MISSES_HOST);
    CHECK_INT(reason_for(&w, "path").by, ROUTE_MISSES_PATH);
    CHECK_INT(reason_for(&w, "method").by, ROUTE_MISSES_METHOD);
    CHECK_INT(reason_for(&w, "header").by, ROUTE_MISSES_HEADER);
    CHECK_STR(reason_for(&w, "header").condition->name.text, "x-a");
    CHECK_INT(reason_for(&w, "query").by, ROUTE_MISSES_QUERY);
    CHECK_STR(reason_for(&w, "query").condition->name.text, "q");
    CHECK_INT(reason_for(&w, "endpoint").by, ROUTE_MISSES_ENDPOINT);
    CHECK_INT(reason_for(&w, "call").by, ROUTE_MISSES_CALL);
    CHECK_INT(reason_for(&w, "met").by, ROUTE_MEETS_ALL);
    struct route_cursor cursor;

    route_cursor_init(&cursor, w.table, &w.request, false);
    CHECK_STR(route_cursor_host(&cursor, a), "example.com");
    ask(&w, "nowhere.com", "/a");
    route_cursor_init(&cursor, w.table, &w.request, false);
    CHECK_STR(route_cursor_host(&cursor, a), "");
    ask(&w, "x.wild.com", "/a");
    route_cursor_init(&cursor, w.table, &w.request, false);
    CHECK_STR(route_cursor_host(&cursor, a), "*.wild.com");
    CHECK_INT(reason_for(&w, "wild").by, ROUTE_MEETS_ALL);
    world_deinit(&w);
}

TEST(each_match_knows_by_what_the_one_before_it_is_before_it)
{
    static const struct {
        const char *rule;
        struct route_spec spec;
        enum route_precedence behind_by;
    } rows[] = {
        {"exact", {.path_kind = ROUTE_PATH_EXACT, .path = {"/a", 2}}, 0},
        {"long", {.path = {"/a/b", 4}}, ROUTE_PRECEDENCE_PATH_KIND},
        {"method", {.path = {"/a", 2}, .method = {"GET", 3}}, ROUTE_PRECEDENCE_PATH_LENGTH},
        {"old", {.path = {"/a", 2}, .created_unix_s = 1}, ROUTE_PRECEDENCE_METHOD},
        {"ai", {.path = {"/a", 2}, .is_ai = true}, ROUTE_PRECEDENCE_AGE},
        {"first", {.path = {"/a", 2}, .route_name = {"a", 1}}, ROUTE_PRECEDENCE_AI},
        {"name", {.path = {"/a", 2}, .route_name = {"b", 1}}, ROUTE_PRECEDENCE_NAME},
        {"rule",
         {.path = {"/a", 2}, .route_name = {"b", 1}, .rule_index = 1},
         ROUTE_PRECEDENCE_RULE},
        {"match",
         {.path = {"/a", 2}, .route_name = {"b", 1}, .rule_index = 1, .match_index = 1},
         ROUTE_PRECEDENCE_MATCH},
        {"again",
         {.path = {"/a", 2}, .route_name = {"b", 1}, .rule_index = 1, .match_index = 1},
         ROUTE_PRECEDENCE_ADDING},
    };
    struct world w;

    world_init(&w);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        add_spec(&w, rows[i].spec, rows[i].rule);
    build(&w);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        const struct route_match *m = route_table_at(w.table, i);

        CHECK_MSG(strcmp(m->rule, rows[i].rule) == 0, "%zu is %s", i, (const char *)m->rule);
        if (i > 0)
            CHECK_INT(m->behind_by, rows[i].behind_by);
    }
    world_deinit(&w);
}
