/* Rate-limit rules: which requests one counts, and under which value. */
#include "policy/limit_rule.h"
#include "policy/limit_rule_miss.h"

#include "test/harness/test.h"

struct play {
    struct arena arena;
    struct http_request request;
    struct ip_address client;
};

static void play_init(struct play *p, const char *method, const char *path, const char *client)
{
    *p = (struct play){0};
    arena_init(&p->arena, 4096);
    http_headers_init(&p->request.headers, &p->arena);
    p->request.method_text = str_of(method);
    p->request.method = http_method_parse(p->request.method_text);
    p->request.path = str_of(path);
    p->request.authority = STR("Api.test:80");
    CHECK(!client || ip_address_parse(str_of(client), &p->client));
}

static void ask(struct play *p, const char *name, struct str value)
{
    struct str text = str_of(name);

    http_headers_add(&p->request.headers, text, value);
    p->request.headers.items[p->request.headers.n - 1].id = header_id_find(text);
}

static enum regex_verdict match(struct play *p, const struct limit_selector_spec *selectors,
                                size_t n, struct limit_key *key)
{
    struct limit_input input = {&p->request, &p->client};
    struct limit_rule rule;
    size_t bad;

    CHECK_INT(limit_rule_init(&rule, &p->arena, selectors, n, &bad), 0);
    return limit_rule_match(&rule, &input, key);
}

static bool holds(struct play *p, struct limit_selector_spec selector)
{
    struct limit_key key;

    return match(p, &selector, 1, &key) == REGEX_HIT;
}

static bool header_holds(struct play *p, struct limit_item_spec item)
{
    return holds(p, (struct limit_selector_spec){.headers = &item, .n_headers = 1});
}

TEST(a_rule_without_selectors_counts_every_request)
{
    struct limit_key key;
    struct play p;

    play_init(&p, "GET", "/", NULL);
    CHECK_INT(match(&p, NULL, 0, &key), REGEX_HIT);
    CHECK_INT(key.n, 0);
    arena_deinit(&p.arena);
}

TEST(headers_are_compared_exactly_by_pattern_and_inverted)
{
    static const struct {
        struct limit_item_spec item;
        bool holds;
    } cases[] = {
        {{STR("X-Tenant"), STR("tenant-a"), LIMIT_ITEM_EXACT, false}, true},
        {{STR("x-tenant"), STR("tenant-b"), LIMIT_ITEM_EXACT, false}, false},
        {{STR("x-tenant"), STR("tenant"), LIMIT_ITEM_EXACT, false}, false},
        {{STR("x-tenant"), STR("tenant-a"), LIMIT_ITEM_EXACT, true}, false},
        {{STR("x-tenant"), STR("tenant-b"), LIMIT_ITEM_EXACT, true}, true},
        {{STR("x-absent"), STR("a"), LIMIT_ITEM_EXACT, false}, false},
        {{STR("x-absent"), STR(""), LIMIT_ITEM_EXACT, false}, false},
        {{STR("x-absent"), STR("a"), LIMIT_ITEM_EXACT, true}, true},
        {{STR("authorization"), STR("Bearer .*"), LIMIT_ITEM_REGEX, false}, true},
        {{STR("authorization"), STR("Bearer"), LIMIT_ITEM_REGEX, false}, false},
        {{STR("authorization"), STR("earer .*"), LIMIT_ITEM_REGEX, false}, false},
        {{STR("authorization"), STR("Basic .*"), LIMIT_ITEM_REGEX, true}, true},
        {{STR("x-absent"), STR(".*"), LIMIT_ITEM_REGEX, false}, false},
        {{STR("x-absent"), STR(".*"), LIMIT_ITEM_REGEX, true}, true},
        {{STR("x-empty"), STR(""), LIMIT_ITEM_EXACT, false}, true},
        {{STR("x-two"), STR("a,b"), LIMIT_ITEM_EXACT, false}, true},
        {{STR("x-two"), STR("a"), LIMIT_ITEM_EXACT, false}, false},
        {{STR("x-two"), STR("a,."), LIMIT_ITEM_REGEX, false}, true},
        {{STR("x-two"), STR("a,b"), LIMIT_ITEM_EXACT, true}, false},
        {{STR("Host"), STR("Api.test:80"), LIMIT_ITEM_EXACT, false}, true},
    };
    struct play p;

    play_init(&p, "GET", "/", NULL);
    ask(&p, "x-tenant", STR("tenant-a"));
    ask(&p, "authorization", STR("Bearer x.y.z"));
    ask(&p, "x-empty", STR(""));
    ask(&p, "x-two", STR("a"));
    ask(&p, "x-two", STR("b"));
    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK_MSG(header_holds(&p, cases[i].item) == cases[i].holds, "row %zu", i);
    arena_deinit(&p.arena);
}

TEST(query_parameters_are_compared_decoded)
{
    static const struct {
        struct limit_item_spec item;
        bool holds;
    } cases[] = {
        {{STR("user"), STR("a b"), LIMIT_ITEM_EXACT, false}, true},
        {{STR("User"), STR("a b"), LIMIT_ITEM_EXACT, false}, false},
        {{STR("user"), STR("a."), LIMIT_ITEM_REGEX, false}, false},
        {{STR("user"), STR("a.b"), LIMIT_ITEM_REGEX, false}, true},
        {{STR("user"), STR("a b"), LIMIT_ITEM_EXACT, true}, false},
        {{STR("other"), STR(""), LIMIT_ITEM_DISTINCT, false}, false},
        {{STR("user"), STR(""), LIMIT_ITEM_DISTINCT, false}, true},
    };
    struct play p;

    play_init(&p, "GET", "/", NULL);
    p.request.query = STR("x=1&user=a%20b&user=c");
    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK_MSG(holds(&p, (struct limit_selector_spec){.queries = &cases[i].item,
                                                         .n_queries = 1}) == cases[i].holds,
                  "row %zu", i);
    p.request.query = STR_NULL;
    CHECK(!holds(&p, (struct limit_selector_spec){.queries = &cases[0].item, .n_queries = 1}));
    CHECK(holds(&p, (struct limit_selector_spec){.queries = &cases[4].item, .n_queries = 1}));
    arena_deinit(&p.arena);
}

TEST(methods_are_alternatives)
{
    static const struct limit_method_spec get_or_put[] = {{STR("GET"), false}, {STR("PUT"), false}};
    static const struct limit_method_spec not_post[] = {{STR("POST"), true}};
    struct limit_selector_spec alternatives = {.methods = get_or_put, .n_methods = 2};
    struct limit_selector_spec inverted = {.methods = not_post, .n_methods = 1};
    struct play p;

    play_init(&p, "PUT", "/", NULL);
    CHECK(holds(&p, alternatives));
    CHECK(holds(&p, inverted));
    p.request.method_text = STR("POST");
    CHECK(!holds(&p, alternatives));
    CHECK(!holds(&p, inverted));
    arena_deinit(&p.arena);
}

TEST(paths_are_compared_by_elements)
{
    static const struct {
        enum route_path_kind kind;
        const char *path;
        bool is_inverted;
        bool holds;
    } cases[] = {
        {ROUTE_PATH_EXACT, "/v1/models", false, true},
        {ROUTE_PATH_EXACT, "/v1/m%6fdels", false, true},
        {ROUTE_PATH_EXACT, "/v1", false, false},
        {ROUTE_PATH_EXACT, "/v1", true, true},
        {ROUTE_PATH_PREFIX, "/v1", false, true},
        {ROUTE_PATH_PREFIX, "/v1/", false, true},
        {ROUTE_PATH_PREFIX, "/v", false, false},
        {ROUTE_PATH_PREFIX, "/", false, true},
        {ROUTE_PATH_PREFIX, "/v1", true, false},
        {ROUTE_PATH_REGEX, "/v[0-9]/.*", false, true},
        {ROUTE_PATH_REGEX, "/v[0-9]", false, false},
        {ROUTE_PATH_REGEX, "/v[0-9]", true, true},
    };
    struct play p;

    play_init(&p, "GET", "/v1/models", NULL);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK_MSG(
            holds(&p, (struct limit_selector_spec){.has_path = true,
                                                   .path_kind = cases[i].kind,
                                                   .path = str_of(cases[i].path),
                                                   .is_path_inverted = cases[i].is_inverted}) ==
                cases[i].holds,
            "row %zu", i);
    arena_deinit(&p.arena);
}

TEST(addresses_are_counted_by_range_or_one_by_one)
{
    static const struct {
        const char *client;
        const char *cidr;
        bool is_inverted;
        bool holds;
    } cases[] = {
        {"10.1.2.3", "10.0.0.0/8", false, true},    {"11.1.2.3", "10.0.0.0/8", false, false},
        {"11.1.2.3", "10.0.0.0/8", true, true},     {"10.1.2.3", "10.0.0.0/8", true, false},
        {"2001:db8::1", "0.0.0.0/0", false, false}, {"2001:db8::1", "2001:db8::/32", false, true},
        {NULL, "0.0.0.0/0", false, false},
    };
    struct limit_key first, second;
    struct play p, q;

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        play_init(&p, "GET", "/", cases[i].client);
        CHECK_MSG(
            holds(&p, (struct limit_selector_spec){.has_cidr = true,
                                                   .cidr = str_of(cases[i].cidr),
                                                   .is_cidr_inverted = cases[i].is_inverted}) ==
                cases[i].holds,
            "row %zu", i);
        arena_deinit(&p.arena);
    }
    play_init(&p, "GET", "/", "10.0.0.1");
    play_init(&q, "GET", "/", "10.0.0.2");
    struct limit_selector_spec each = {
        .has_cidr = true, .is_cidr_distinct = true, .cidr = STR("10.0.0.0/8")};

    CHECK_INT(match(&p, &each, 1, &first), REGEX_HIT);
    CHECK_INT(match(&q, &each, 1, &second), REGEX_HIT);
    CHECK(!str_eq(str_make(first.bytes, first.n), str_make(second.bytes, second.n)));
    arena_deinit(&p.arena);
    arena_deinit(&q.arena);
}

TEST(all_parts_of_all_selectors_must_hold)
{
    static const struct limit_item_spec tenant[] = {
        {STR("x-tenant"), STR("tenant-a"), LIMIT_ITEM_EXACT, false},
        {STR("x-model"), STR("iris"), LIMIT_ITEM_EXACT, false},
    };
    static const struct limit_item_spec user[] = {
        {STR("x-user"), STR("u"), LIMIT_ITEM_EXACT, false}};
    const struct limit_selector_spec selectors[] = {{.headers = tenant, .n_headers = 2},
                                                    {.headers = user, .n_headers = 1}};
    struct limit_key key;
    struct play p;

    play_init(&p, "GET", "/", NULL);
    ask(&p, "x-tenant", STR("tenant-a"));
    CHECK_INT(match(&p, selectors, 1, &key), REGEX_MISS);
    ask(&p, "x-model", STR("iris"));
    CHECK_INT(match(&p, selectors, 1, &key), REGEX_HIT);
    CHECK_INT(match(&p, selectors, 2, &key), REGEX_MISS);
    ask(&p, "x-user", STR("u"));
    CHECK_INT(match(&p, selectors, 2, &key), REGEX_HIT);
    arena_deinit(&p.arena);
}

/* The key of a request whose headers a and b have these values. */
static struct str key_of(struct limit_key *key, struct str a, struct str b)
{
    static const struct limit_item_spec items[] = {{STR("a"), STR(""), LIMIT_ITEM_DISTINCT, false},
                                                   {STR("b"), STR(""), LIMIT_ITEM_DISTINCT, false}};
    const struct limit_selector_spec selector = {.headers = items, .n_headers = 2};
    struct play p;

    play_init(&p, "GET", "/", NULL);
    ask(&p, "a", a);
    ask(&p, "b", b);
    CHECK_INT(match(&p, &selector, 1, key), REGEX_HIT);
    arena_deinit(&p.arena);
    return str_make(key->bytes, key->n);
}

TEST(distinct_values_cannot_be_confused_and_keys_are_bounded)
{
    static char long_text[5000];
    struct limit_key x, y;

    memset(long_text, 'x', sizeof long_text);
    CHECK(str_eq(key_of(&x, STR("1"), STR("2")), key_of(&y, STR("1"), STR("2"))));
    CHECK(!str_eq(key_of(&x, STR("1"), STR("2")), key_of(&y, STR("12"), STR(""))));
    CHECK(!str_eq(key_of(&x, STR("1"), STR("2")), key_of(&y, STR("2"), STR("1"))));
    CHECK(!str_eq(key_of(&x, STR(""), STR("1")), key_of(&y, STR("1"), STR(""))));
    struct str whole = str_make(long_text, sizeof long_text);
    struct str shorter = str_make(long_text, sizeof long_text - 1);
    struct str half = str_make(long_text, LIMIT_KEY_BYTES / 2);

    CHECK(str_eq(key_of(&x, whole, half), key_of(&y, whole, half)));
    CHECK(!str_eq(key_of(&x, whole, half), key_of(&y, shorter, half)));
    CHECK(!str_eq(key_of(&x, half, half), key_of(&y, half, STR("x"))));
    CHECK(key_of(&x, half, half).len <= LIMIT_KEY_BYTES);
}

static bool may_show(const void *hidden, struct str name)
{
    return !str_eq(name, str_of(hidden));
}

TEST(a_key_reads_back_as_its_names_and_values)
{
    struct limit_item_spec tenant = {.name = STR("X-Tenant"), .kind = LIMIT_ITEM_DISTINCT};
    struct limit_item_spec mixed[] = {
        {.name = STR("x-fixed"), .value = STR("1")},
        {.name = STR("x-key"), .kind = LIMIT_ITEM_DISTINCT},
    };
    struct limit_item_spec query = {.name = STR("q"), .kind = LIMIT_ITEM_DISTINCT};
    struct limit_selector_spec selectors[] = {
        {.headers = &tenant,
         .n_headers = 1,
         .has_cidr = true,
         .is_cidr_distinct = true,
         .cidr = STR("10.0.0.0/8")},
        {.headers = mixed, .n_headers = 2, .queries = &query, .n_queries = 1},
    };
    static char longer[300];
    struct limit_key key;
    struct limit_rule rule;
    struct buf out = {0};
    struct play p;
    size_t bad;

    play_init(&p, "GET", "/", "10.1.2.3");
    memset(longer, 'x', sizeof longer);
    ask(&p, "x-tenant", STR("acme,inc"));
    ask(&p, "x-fixed", STR("1"));
    ask(&p, "x-key", STR("secret"));
    p.request.query = STR("q=%41");
    CHECK_INT(match(&p, selectors, 2, &key), REGEX_HIT);
    CHECK_INT(limit_rule_init(&rule, &p.arena, selectors, 2, &bad), 0);
    limit_rule_format_key(&rule, str_make(key.bytes, key.n), may_show, "x-key", &out);
    CHECK_STR(buf_str(&out), "client=10.1.2.3,x-tenant=acme,inc,x-key=(hidden),q=A");

    /* A value too long for a key stands there as a hash. */
    p.request.headers.items[2].value = str_make(longer, sizeof longer);
    CHECK_INT(match(&p, selectors, 2, &key), REGEX_HIT);
    buf_clear(&out);
    limit_rule_format_key(&rule, str_make(key.bytes, key.n), may_show, "none", &out);
    CHECK_STR(buf_str(&out), "client=10.1.2.3,x-tenant=acme,inc,x-key=(long),q=A");

    /* And what was folded nobody can tell apart. */
    for (int i = 0; i < 3; i++)
        p.request.headers.items[i == 1 ? 0 : i].value = str_make(longer, 120);
    CHECK_INT(match(&p, selectors, 2, &key), REGEX_HIT);
    buf_clear(&out);
    limit_rule_format_key(&rule, str_make(key.bytes, key.n), may_show, "none", &out);
    CHECK_STR(buf_str(&out), "(long)");

    /* Bytes that are no key of the rule are no reason to read beyond them. */
    for (uint16_t n = 0; n <= key.n; n++) {
        buf_clear(&out);
        limit_rule_format_key(&rule, str_make(key.bytes, n), may_show, "none", &out);
    }
    buf_deinit(&out);
    arena_deinit(&p.arena);
}

TEST(an_absent_distinct_header_leaves_the_rule_out)
{
    struct play p;

    play_init(&p, "GET", "/", NULL);
    CHECK(!header_holds(
        &p, (struct limit_item_spec){.name = STR("x-tenant"), .kind = LIMIT_ITEM_DISTINCT}));
    ask(&p, "x-tenant", STR(""));
    CHECK(header_holds(
        &p, (struct limit_item_spec){.name = STR("x-tenant"), .kind = LIMIT_ITEM_DISTINCT}));
    arena_deinit(&p.arena);
}

TEST(a_pattern_at_its_limit_is_no_verdict)
{
    static const struct limit_item_spec slow = {STR("x-a"), STR("(a|aa)+[bd]"), LIMIT_ITEM_REGEX,
                                                false};
    static const struct limit_item_spec slow_not = {STR("x-a"), STR("(a|aa)+[bd]"),
                                                    LIMIT_ITEM_REGEX, true};
    struct limit_selector_spec selector = {.headers = &slow, .n_headers = 1};
    struct limit_selector_spec inverted = {.headers = &slow_not, .n_headers = 1};
    struct limit_key key;
    struct play p;

    play_init(&p, "GET", "/", NULL);
    ask(&p, "x-a", STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"));
    CHECK_INT(match(&p, &selector, 1, &key), REGEX_LIMIT);
    CHECK_INT(match(&p, &inverted, 1, &key), REGEX_LIMIT);
    arena_deinit(&p.arena);
}

TEST(what_cannot_be_compiled_is_named)
{
    static const struct limit_item_spec bad = {STR("x"), STR("("), LIMIT_ITEM_REGEX, false};
    const struct limit_selector_spec good = {0};
    const struct {
        struct limit_selector_spec spec;
        int expected;
    } cases[] = {
        {{.headers = &bad, .n_headers = 1}, LIMIT_RULE_BAD_REGEX},
        {{.queries = &bad, .n_queries = 1}, LIMIT_RULE_BAD_REGEX},
        {{.has_cidr = true, .cidr = STR("10.0.0.0/99")}, LIMIT_RULE_BAD_CIDR},
        {{.has_path = true, .path_kind = ROUTE_PATH_EXACT, .path = STR("/a%2Fb")},
         LIMIT_RULE_BAD_PATH},
        {{.has_path = true, .path_kind = ROUTE_PATH_REGEX, .path = STR("(")}, LIMIT_RULE_BAD_REGEX},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct limit_selector_spec selectors[] = {good, cases[i].spec};
        struct limit_rule rule;
        struct arena arena;
        size_t at = 0;

        arena_init(&arena, 4096);
        CHECK_MSG(limit_rule_init(&rule, &arena, selectors, 2, &at) == cases[i].expected, "row %zu",
                  i);
        CHECK_INT(at, 1);
        arena_deinit(&arena);
    }
}

TEST(the_first_part_that_does_not_hold_is_told)
{
    static const struct limit_item_spec headers[] = {
        {STR("a"), STR("1"), LIMIT_ITEM_EXACT, false},
        {STR("b"), STR(""), LIMIT_ITEM_DISTINCT, false}};
    static const struct limit_item_spec queries[] = {{STR("q"), STR("1"), LIMIT_ITEM_EXACT, false}};
    static const struct limit_method_spec methods[] = {{STR("GET"), false}};
    struct limit_selector_spec selector = {.headers = headers,
                                           .n_headers = 2,
                                           .queries = queries,
                                           .n_queries = 1,
                                           .methods = methods,
                                           .n_methods = 1,
                                           .has_cidr = true,
                                           .cidr = STR("10.0.0.0/8"),
                                           .has_path = true,
                                           .path_kind = ROUTE_PATH_PREFIX,
                                           .path = STR("/v1")};
    struct limit_rule rule;
    struct limit_miss miss;
    struct play p;
    size_t bad;

    play_init(&p, "PUT", "/v2", "192.0.2.1");
    struct limit_input input = {&p.request, &p.client};

    CHECK_INT(limit_rule_init(&rule, &p.arena, &selector, 1, &bad), 0);
    CHECK_INT(limit_rule_miss(&rule, &input).part, LIMIT_PART_METHOD);
    p.request.method_text = STR("GET");
    CHECK_INT(limit_rule_miss(&rule, &input).part, LIMIT_PART_ADDRESS);
    CHECK(ip_address_parse(STR("10.0.0.1"), &p.client));
    miss = limit_rule_miss(&rule, &input);
    CHECK_INT(miss.part, LIMIT_PART_HEADER);
    CHECK_STR(miss.item->name.text, "a");
    ask(&p, "a", STR("1"));
    miss = limit_rule_miss(&rule, &input);
    CHECK_INT(miss.part, LIMIT_PART_HEADER);
    CHECK_STR(miss.item->name.text, "b");
    ask(&p, "b", STR("x"));
    miss = limit_rule_miss(&rule, &input);
    CHECK_INT(miss.part, LIMIT_PART_QUERY);
    CHECK_STR(miss.item->name.text, "q");
    p.request.query = STR("q=1");
    CHECK_INT(limit_rule_miss(&rule, &input).part, LIMIT_PART_PATH);
    p.request.path = STR("/v1/x");
    CHECK_INT(limit_rule_miss(&rule, &input).part, LIMIT_PART_NONE);
    arena_deinit(&p.arena);
}

TEST(what_a_rule_compares_with_is_told_without_what_may_not_be_seen)
{
    const struct limit_item_spec headers[] = {
        {STR("X-Tenant"), STR("acme"), LIMIT_ITEM_EXACT, false},
        {STR("x-key"), STR("secret"), LIMIT_ITEM_EXACT, true},
        {STR("x-key"), STR("sec.*"), LIMIT_ITEM_REGEX, false},
        {STR("x-model"), STR("a|b"), LIMIT_ITEM_REGEX, false},
        {STR("x-user"), STR(""), LIMIT_ITEM_DISTINCT, false},
    };
    const struct limit_method_spec methods[] = {{STR("GET"), true}};
    const struct limit_selector_spec selectors[] = {
        {.headers = headers, .n_headers = N_ELEMENTS(headers)},
        {.methods = methods,
         .n_methods = 1,
         .has_path = true,
         .path_kind = ROUTE_PATH_PREFIX,
         .path = STR("/v1"),
         .has_cidr = true,
         .cidr = STR("10.0.0.0/8")},
    };
    struct limit_rule rule;
    struct buf out = {0};
    struct arena arena;
    size_t bad;

    arena_init(&arena, 4096);
    CHECK_INT(limit_rule_init(&rule, &arena, selectors, 2, &bad), 0);
    limit_rule_format_scope(&rule, may_show, "x-key", &out);
    CHECK_STR(buf_str(&out), "x-tenant=acme,x-key!=(hidden),x-key=(hidden),x-model=~a|b,"
                             "method!=GET,path=/v1,client=10.0.0.0/8");
    buf_deinit(&out);
    arena_deinit(&arena);
}
