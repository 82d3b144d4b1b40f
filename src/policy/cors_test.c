/* CORS: which origins are let in, what preflights and actual answers say, never "*" with
 * credentials. */
#include "policy/cors.h"

#include "test/harness/test.h"

static const struct str origins[] = {STR("https://foo.com"), STR("https://*.bar.com"),
                                     STR("http://*.baz.com:8080"), STR("https://quux.com:443")};

struct play {
    struct arena arena;
    struct cors cors;
    struct http_request request;
    struct http_headers response;
};

static void play_init(struct play *p, struct cors_policy policy)
{
    size_t bad;

    *p = (struct play){0};
    arena_init(&p->arena, 4096);
    CHECK_INT(cors_init(&p->cors, &p->arena, &policy, &bad), 0);
    http_headers_init(&p->request.headers, &p->arena);
    http_headers_init(&p->response, &p->arena);
    p->request.method = HTTP_METHOD_OPTIONS;
}

static void ask(struct play *p, const char *name, const char *value)
{
    http_headers_add(&p->request.headers, str_of(name), str_of(value));
}

static struct str said(struct play *p, const char *name)
{
    return http_headers_joined(&p->response, str_of(name));
}

TEST(origins_are_let_in_as_configured)
{
    static const struct {
        const char *origin;
        bool is_in;
    } cases[] = {
        {"https://foo.com", true},
        {"https://foo.com:443", true},
        {"HTTPS://FOO.COM", true},
        {"http://foo.com", false},
        {"https://foo.com:8443", false},
        {"https://foo.com.evil.com", false},
        {"https://a.bar.com", true},
        {"https://a.b.bar.com", true},
        {"https://bar.com", false},
        {"https://evilbar.com", false},
        {"https://evil.com/.bar.com", false},
        {"https://evil.com#.bar.com", false},
        {"https://a@evil.bar.com", false},
        {"http://a.baz.com:8080", true},
        {"http://a.baz.com", false},
        {"https://quux.com", true},
        {"null", false},
        {"", false},
    };
    struct play p;

    play_init(&p, (struct cors_policy){.origins = origins, .n_origins = N_ELEMENTS(origins)});
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        CHECK_MSG(cors_allows_origin(&p.cors, str_of(cases[i].origin)) == cases[i].is_in, "%s",
                  cases[i].origin);
    }
    arena_deinit(&p.arena);
}

TEST(preflight_is_answered_from_the_policy)
{
    struct play p;
    struct str methods[] = {STR("GET"), STR("PUT")};
    struct str headers[] = {STR("x-a"), STR("x-b")};

    play_init(&p, (struct cors_policy){.origins = origins,
                                       .n_origins = N_ELEMENTS(origins),
                                       .methods = methods,
                                       .n_methods = 2,
                                       .headers = headers,
                                       .n_headers = 2,
                                       .max_age_s = 600});
    CHECK(!cors_is_preflight(&p.request));
    ask(&p, "origin", "https://foo.com");
    CHECK(!cors_is_preflight(&p.request));
    ask(&p, "access-control-request-method", "PUT");
    CHECK(cors_is_preflight(&p.request));
    CHECK(cors_write_preflight(&p.cors, &p.request, &p.response));
    CHECK_STR(said(&p, "access-control-allow-origin"), "https://foo.com");
    CHECK_STR(said(&p, "access-control-allow-methods"), "GET, PUT");
    CHECK_STR(said(&p, "access-control-allow-headers"), "x-a, x-b");
    CHECK_STR(said(&p, "access-control-max-age"), "600");
    CHECK(said(&p, "access-control-allow-credentials").ptr == NULL);
    CHECK_STR(said(&p, "vary"),
              "access-control-request-method, access-control-request-headers, origin");
    p.request.method = HTTP_METHOD_GET;
    CHECK(!cors_is_preflight(&p.request));
    arena_deinit(&p.arena);
}

TEST(origin_that_is_not_allowed_learns_nothing)
{
    struct play p;

    play_init(&p, (struct cors_policy){.origins = origins, .n_origins = 1, .max_age_s = -1});
    ask(&p, "origin", "https://evil.com");
    ask(&p, "access-control-request-method", "PUT");
    CHECK(!cors_write_preflight(&p.cors, &p.request, &p.response));
    cors_write_actual(&p.cors, &p.request, &p.response);
    CHECK(said(&p, "access-control-allow-origin").ptr == NULL);
    CHECK_INT(p.response.n, 3); /* Vary only */
    arena_deinit(&p.arena);
}

TEST(star_is_never_sent_with_credentials)
{
    static const struct str star[] = {STR("*")};
    struct cors_policy policy = {star, 1, star, 1, star, 1, star, 1, -1, false};
    struct play p;

    play_init(&p, policy);
    ask(&p, "origin", "https://x.com");
    ask(&p, "access-control-request-method", "PUT");
    ask(&p, "access-control-request-headers", "x-q");
    CHECK(cors_write_preflight(&p.cors, &p.request, &p.response));
    cors_write_actual(&p.cors, &p.request, &p.response);
    CHECK_STR(said(&p, "access-control-allow-origin"), "*");
    CHECK_STR(said(&p, "access-control-allow-methods"), "*");
    CHECK_STR(said(&p, "access-control-expose-headers"), "*");
    arena_deinit(&p.arena);

    policy.may_credentials = true;
    play_init(&p, policy);
    ask(&p, "origin", "https://x.com");
    ask(&p, "access-control-request-method", "PUT");
    ask(&p, "access-control-request-headers", "x-q");
    CHECK(cors_write_preflight(&p.cors, &p.request, &p.response));
    cors_write_actual(&p.cors, &p.request, &p.response);
    CHECK_STR(said(&p, "access-control-allow-origin"), "https://x.com");
    CHECK_STR(said(&p, "access-control-allow-methods"), "PUT");
    CHECK_STR(said(&p, "access-control-allow-headers"), "x-q");
    CHECK_STR(said(&p, "access-control-allow-credentials"), "true");
    CHECK(said(&p, "access-control-expose-headers").ptr == NULL);
    CHECK(!cors_allows_origin(&p.cors, STR("null")));
    arena_deinit(&p.arena);
}

TEST(actual_answer_replaces_what_the_upstream_said)
{
    struct play p;
    struct str expose[] = {STR("x-e")};

    play_init(
        &p,
        (struct cors_policy){
            .origins = origins, .n_origins = 1, .expose = expose, .n_expose = 1, .max_age_s = 5});
    ask(&p, "origin", "https://foo.com");
    http_headers_add(&p.response, STR("access-control-allow-origin"), STR("*"));
    http_headers_add(&p.response, STR("access-control-allow-credentials"), STR("true"));
    http_headers_add(&p.response, STR("vary"), STR("accept, Origin"));
    cors_write_actual(&p.cors, &p.request, &p.response);
    CHECK_STR(said(&p, "access-control-allow-origin"), "https://foo.com");
    CHECK(said(&p, "access-control-allow-credentials").ptr == NULL);
    CHECK_STR(said(&p, "access-control-expose-headers"), "x-e");
    CHECK_STR(said(&p, "vary"), "accept, Origin");
    CHECK(said(&p, "access-control-max-age").ptr == NULL);
    arena_deinit(&p.arena);
}

TEST(bad_origins_are_refused_at_compile_time)
{
    static const char *const texts[] = {"foo.com", "://x", "https://", "https://a.*.com",
                                        "https://*a*.com"};
    struct cors c;
    struct arena a;

    arena_init(&a, 1024);
    for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
        struct str origin = str_of(texts[i]);
        size_t bad = 9;

        CHECK_MSG(cors_init(&c, &a, &(struct cors_policy){.origins = &origin, .n_origins = 1},
                            &bad) == CORS_BAD_ORIGIN,
                  "%s", texts[i]);
        CHECK_INT(bad, 0);
    }
    arena_deinit(&a);
}

TEST(a_preflight_tells_which_headers_may_come)
{
    static const struct {
        const char *name;
        bool may_bring;
    } cases[] = {
        {"x-key", true},
        {"X-Other", true},
        {"x-partner", false},
        {"authorization", false},
        {"Content-Type", true},
        {"cookie", true},
        {"sec-fetch-mode", true},
        {"x-forwarded-for", true}, /* the preflight has it too */
        {"x-", false},
        {"", false},
    };
    struct arena arena;
    struct http_request request = {.method = HTTP_METHOD_OPTIONS};

    arena_init(&arena, 4096);
    http_headers_init(&request.headers, &arena);
    http_headers_add(&request.headers, STR("access-control-request-headers"), STR("a , X-Key"));
    http_headers_add(&request.headers, STR("access-control-request-headers"), STR("x-other"));
    http_headers_add(&request.headers, STR("x-forwarded-for"), STR("192.0.2.1"));
    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK(cors_may_bring(&request, str_of(cases[i].name)) == cases[i].may_bring);
    arena_deinit(&arena);
}
