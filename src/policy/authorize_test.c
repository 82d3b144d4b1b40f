/* Authorization: the shipped policy's isolation by model, order of rules, every kind of part.
 * Tokens are lists of claims: this file brings its own struct jwt_claims and its accessors, so that
 * no token needs to be signed here. */
#include "policy/authorize.h"

#include "test/harness/test.h"

struct claim {
    const char *path;
    bool is_array;
    const char *values[4];
};

struct jwt_claims {
    const char *provider; /* NULL: no token */
    struct claim claims[4];
    const char *scopes[4];
};

static const struct claim *find_claim(const struct jwt_claims *c, struct str path)
{
    for (size_t i = 0; i < N_ELEMENTS(c->claims) && c->claims[i].path; i++) {
        if (str_eq(path, str_of(c->claims[i].path)))
            return &c->claims[i];
    }
    return NULL;
}

static bool has_text(const char *const *texts, struct str text)
{
    for (size_t i = 0; i < 4 && texts[i]; i++) {
        if (str_eq(str_of(texts[i]), text))
            return true;
    }
    return false;
}

enum claim_type jwt_claim_type(const struct jwt_claims *c, struct str path)
{
    const struct claim *claim = find_claim(c, path);

    if (!claim)
        return CLAIM_ABSENT;
    return claim->is_array ? CLAIM_IS_LIST : CLAIM_IS_STRING;
}

bool jwt_claim_list_has(const struct jwt_claims *c, struct str path, struct str value)
{
    const struct claim *claim = find_claim(c, path);

    return claim && has_text(claim->values, value);
}

bool jwt_claims_have_scope(const struct jwt_claims *c, struct str scope)
{
    return has_text(c->scopes, scope);
}

struct play {
    struct arena arena;
    struct authorization authorization;
    struct http_request request;
    struct ip_address client;
};

static void play_init(struct play *p, const struct authorize_rule_spec *rules, size_t n)
{
    size_t bad;

    *p = (struct play){0};
    arena_init(&p->arena, 4096);
    CHECK_INT(authorization_init(&p->authorization, &p->arena, rules, n, false, &bad), 0);
    http_headers_init(&p->request.headers, &p->arena);
    p->request.method_text = STR("POST");
    p->request.path = STR("/v1/models/m:predict");
    CHECK(ip_address_parse(STR("10.1.2.3"), &p->client));
}

static struct authorize_result decide(struct play *p, const struct jwt_claims *token)
{
    struct authorize_input input = {
        .request = &p->request,
        .client = &p->client,
        .provider = str_of(token->provider),
        .claims = token->provider ? token : NULL,
    };

    return authorization_decide(&p->authorization, &input);
}

static struct jwt_claims tenant(const char *name)
{
    return (struct jwt_claims){"box", {{"tenant", false, {name}}}, {NULL}};
}

TEST(models_are_isolated_by_tenant)
{
    static const struct str not_iris[] = {STR("tenant-b"), STR("tenant-c")};
    static const struct str not_resnet[] = {STR("tenant-a"), STR("tenant-b")};
    static const struct str all[] = {STR("tenant-a"), STR("tenant-b"), STR("tenant-c")};
    static const struct str iris[] = {STR("sklearn-iris")};
    static const struct str resnet[] = {STR("pytorch-resnet")};
    static const struct authorize_values claims[] = {{STR("tenant"), not_iris, 2, false},
                                                     {STR("tenant"), not_resnet, 2, false},
                                                     {STR("tenant"), all, 3, false}};
    static const struct authorize_values headers[] = {{STR("X-AI-EG-Model"), iris, 1, false},
                                                      {STR("x-ai-eg-model"), resnet, 1, false}};
    struct authorize_rule_spec rules[] = {
        {.name = STR("iris"),
         .has_jwt = true,
         .provider = STR("box"),
         .claims = &claims[0],
         .n_claims = 1,
         .headers = &headers[0],
         .n_headers = 1},
        {.name = STR("resnet"),
         .has_jwt = true,
         .provider = STR("box"),
         .claims = &claims[1],
         .n_claims = 1,
         .headers = &headers[1],
         .n_headers = 1},
        {.name = STR("tenants"),
         .is_allow = true,
         .has_jwt = true,
         .provider = STR("box"),
         .claims = &claims[2],
         .n_claims = 1},
    };
    static const struct {
        const char *tenant, *model;
        enum authorize_verdict verdict;
        const char *rule;
    } cases[] = {
        {"tenant-a", "sklearn-iris", AUTHORIZE_ALLOW, "tenants"},
        {"tenant-b", "sklearn-iris", AUTHORIZE_DENY, "iris"},
        {"tenant-c", "sklearn-iris", AUTHORIZE_DENY, "iris"},
        {"tenant-a", "pytorch-resnet", AUTHORIZE_DENY, "resnet"},
        {"tenant-c", "pytorch-resnet", AUTHORIZE_ALLOW, "tenants"},
        {"tenant-b", "other", AUTHORIZE_ALLOW, "tenants"},
        {"tenant-b", NULL, AUTHORIZE_ALLOW, "tenants"},
        {"tenant-d", NULL, AUTHORIZE_DENY, NULL},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct play p;
        struct jwt_claims token = tenant(cases[i].tenant);

        play_init(&p, rules, N_ELEMENTS(rules));
        if (cases[i].model)
            http_headers_add(&p.request.headers, STR("x-ai-eg-model"), str_of(cases[i].model));
        struct authorize_result result = decide(&p, &token);

        CHECK_MSG(result.verdict == cases[i].verdict, "case %zu", i);
        if (cases[i].rule)
            CHECK_STR(result.rule->name, cases[i].rule);
        else
            CHECK(result.rule == NULL);
        arena_deinit(&p.arena);
    }
}

TEST(claims_hold_by_type_provider_and_scope)
{
    static const struct str admin[] = {STR("admin"), STR("root")};
    static const struct str scopes[] = {STR("read"), STR("write")};
    static const struct authorize_values array[] = {{STR("org.roles"), admin, 2, true}};
    struct authorize_rule_spec rules[] = {{.is_allow = true,
                                           .has_jwt = true,
                                           .provider = STR("box"),
                                           .claims = array,
                                           .n_claims = 1,
                                           .scopes = scopes,
                                           .n_scopes = 2}};
    static const struct {
        const char *name;
        struct jwt_claims token;
        bool is_allowed;
    } cases[] = {
        {"both", {"box", {{"org.roles", true, {"x", "root"}}}, {"write", "read"}}, true},
        {"one scope", {"box", {{"org.roles", true, {"admin"}}}, {"write"}}, false},
        {"string, not list", {"box", {{"org.roles", false, {"admin"}}}, {"write", "read"}}, false},
        {"other value", {"box", {{"org.roles", true, {"user"}}}, {"write", "read"}}, false},
        {"no claim", {"box", {{"roles", true, {"admin"}}}, {"write", "read"}}, false},
        {"other provider", {"fox", {{"org.roles", true, {"admin"}}}, {"write", "read"}}, false},
        {"no token", {NULL, {{"org.roles", true, {"admin"}}}, {"write", "read"}}, false},
    };
    struct play p;

    play_init(&p, rules, 1);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        CHECK_MSG((decide(&p, &cases[i].token).verdict == AUTHORIZE_ALLOW) == cases[i].is_allowed,
                  "%s", cases[i].name);
    }
    arena_deinit(&p.arena);
}

TEST(cidrs_methods_and_paths_hold_together)
{
    static const struct str cidrs[] = {STR("10.0.0.0/8"), STR("2001:db8::/32")};
    static const struct str methods[] = {STR("POST"), STR("PUT")};
    struct authorize_rule_spec rules[] = {{.is_allow = true,
                                           .cidrs = cidrs,
                                           .n_cidrs = 2,
                                           .methods = methods,
                                           .n_methods = 2,
                                           .has_path = true,
                                           .path = STR("/v1/")}};
    static const struct {
        const char *client, *method, *path;
        bool is_allowed;
    } cases[] = {
        {"10.9.9.9", "POST", "/v1/x", true},  {"2001:db8::7", "PUT", "/v1", true},
        {"11.0.0.1", "POST", "/v1/x", false}, {"10.9.9.9", "GET", "/v1/x", false},
        {"10.9.9.9", "post", "/v1/x", false}, {"10.9.9.9", "POST", "/v10", false},
    };
    struct jwt_claims none = {0};
    struct play p;

    play_init(&p, rules, 1);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        CHECK(ip_address_parse(str_of(cases[i].client), &p.client));
        p.request.method_text = str_of(cases[i].method);
        p.request.path = str_of(cases[i].path);
        CHECK_MSG((decide(&p, &none).verdict == AUTHORIZE_ALLOW) == cases[i].is_allowed, "%zu", i);
    }
    arena_deinit(&p.arena);
}

TEST(inverted_path_means_every_other)
{
    static const struct str cidrs[] = {STR("10.0.0.0/8")};
    static const struct {
        enum route_path_kind kind;
        const char *configured, *path;
        bool is_denied;
    } cases[] = {
        {ROUTE_PATH_PREFIX, "/public", "/public/x", false},
        {ROUTE_PATH_PREFIX, "/public", "/publicity", true},
        {ROUTE_PATH_PREFIX, "/public", "/secret", true},
        {ROUTE_PATH_PREFIX, "/", "/secret", false},
        {ROUTE_PATH_EXACT, "/public", "/public", false},
        {ROUTE_PATH_EXACT, "/public", "/public/x", true},
        {ROUTE_PATH_REGEX, "/p[a-z]+", "/public", false},
        {ROUTE_PATH_REGEX, "/p[a-z]+", "/public/x", true},
    };
    struct jwt_claims none = {0};

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct authorize_rule_spec rules[] = {{.has_path = true,
                                               .is_path_inverted = true,
                                               .path_kind = cases[i].kind,
                                               .path = str_of(cases[i].configured)},
                                              {.is_allow = true, .cidrs = cidrs, .n_cidrs = 1}};
        struct play p;

        play_init(&p, rules, 2);
        p.request.path = str_of(cases[i].path);
        CHECK_MSG((decide(&p, &none).verdict == AUTHORIZE_DENY) == cases[i].is_denied, "%zu", i);
        arena_deinit(&p.arena);
    }
}

TEST(second_header_line_does_not_slip_past_a_deny)
{
    static const struct str bad[] = {STR("guest")};
    static const struct authorize_values header[] = {{STR("x-role"), bad, 1, false}};
    static const struct str any[] = {STR("0.0.0.0/0")};
    struct authorize_rule_spec rules[] = {{.headers = header, .n_headers = 1},
                                          {.is_allow = true, .cidrs = any, .n_cidrs = 1}};
    struct jwt_claims none = {0};
    struct play p;

    play_init(&p, rules, 2);
    CHECK_INT(decide(&p, &none).verdict, AUTHORIZE_ALLOW);
    http_headers_add(&p.request.headers, STR("x-role"), STR("guest"));
    http_headers_add(&p.request.headers, STR("x-role"), STR("other"));
    CHECK_INT(decide(&p, &none).verdict, AUTHORIZE_DENY);
    arena_deinit(&p.arena);

    rules[0].is_allow = true;
    play_init(&p, rules, 1);
    http_headers_add(&p.request.headers, STR("x-role"), STR("guest"));
    CHECK_INT(decide(&p, &none).verdict, AUTHORIZE_ALLOW);
    http_headers_add(&p.request.headers, STR("x-role"), STR("other"));
    CHECK_INT(decide(&p, &none).verdict, AUTHORIZE_DENY);
    arena_deinit(&p.arena);
}

TEST(the_first_part_that_does_not_hold_is_told)
{
    static const struct str methods[] = {STR("POST")};
    static const struct str cidrs[] = {STR("10.0.0.0/8")};
    static const struct str ones[] = {STR("1")};
    static const struct str scopes[] = {STR("read"), STR("write")};
    static const struct authorize_values headers[] = {{STR("x-a"), ones, 1, false},
                                                      {STR("x-b"), ones, 1, false}};
    static const struct authorize_values claims[] = {{STR("tenant"), ones, 1, false}};
    struct authorize_rule_spec rule = {.is_allow = true,
                                       .has_jwt = true,
                                       .provider = STR("box"),
                                       .claims = claims,
                                       .n_claims = 1,
                                       .scopes = scopes,
                                       .n_scopes = 2,
                                       .cidrs = cidrs,
                                       .n_cidrs = 1,
                                       .headers = headers,
                                       .n_headers = 2,
                                       .methods = methods,
                                       .n_methods = 1,
                                       .has_path = true,
                                       .path_kind = ROUTE_PATH_PREFIX,
                                       .path = STR("/v1")};
    struct jwt_claims good = {"box", {{"tenant", false, {"1"}}}, {"read", "write"}};
    struct jwt_claims other = {"else", {{"tenant", false, {"1"}}}, {"read", "write"}};
    struct jwt_claims poor = {"box", {{"tenant", false, {"1"}}}, {"read"}};
    struct jwt_claims wrong = {"box", {{"tenant", false, {"2"}}}, {"read", "write"}};
    struct play p;
    struct authorize_input in;
    struct authorize_miss miss;

    play_init(&p, &rule, 1);
    in = (struct authorize_input){
        .request = &p.request, .client = &p.client, .provider = STR("box"), .claims = &good};
#define EXPECT(part_, index_)                                                                      \
    do {                                                                                           \
        miss = authorize_rule_miss(&p.authorization.rules[0], &in);                                \
        CHECK_INT(miss.part, part_);                                                               \
        CHECK_INT(miss.index, index_);                                                             \
    } while (0)
    EXPECT(AUTHORIZE_PART_HEADER, 0);
    http_headers_add(&p.request.headers, STR("x-a"), STR("1"));
    EXPECT(AUTHORIZE_PART_HEADER, 1);
    http_headers_add(&p.request.headers, STR("x-b"), STR("1"));
    EXPECT(AUTHORIZE_PART_NONE, 0);
    CHECK_INT(decide(&p, &good).verdict, AUTHORIZE_ALLOW);
    in.claims = &poor;
    EXPECT(AUTHORIZE_PART_SCOPE, 1);
    in.claims = &wrong;
    EXPECT(AUTHORIZE_PART_CLAIM, 0);
    in.claims = &other;
    in.provider = STR("else");
    EXPECT(AUTHORIZE_PART_TOKEN, 0);
    in.claims = &good;
    in.provider = STR("box");
    p.request.path = STR("/v2");
    EXPECT(AUTHORIZE_PART_PATH, 0);
    p.request.method_text = STR("GET");
    EXPECT(AUTHORIZE_PART_METHOD, 0);
    p.request.method_text = STR("POST");
    CHECK(ip_address_parse(STR("192.0.2.1"), &p.client));
    EXPECT(AUTHORIZE_PART_ADDRESS, 0);
#undef EXPECT
    arena_deinit(&p.arena);
}

TEST(pattern_at_its_limit_is_no_decision)
{
    struct authorize_rule_spec rules[] = {{.is_allow = true,
                                           .has_path = true,
                                           .path_kind = ROUTE_PATH_REGEX,
                                           .path = STR("/(a|aa)+[bd]")}};
    struct jwt_claims none = {0};
    struct play p;

    play_init(&p, rules, 1);
    p.request.path = STR("/aab");
    CHECK_INT(decide(&p, &none).verdict, AUTHORIZE_ALLOW);
    p.request.path = STR("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac");
    CHECK_INT(decide(&p, &none).verdict, AUTHORIZE_LIMIT);
    arena_deinit(&p.arena);

    rules[0].is_path_inverted = true;
    play_init(&p, rules, 1);
    p.request.path = STR("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac");
    CHECK_INT(decide(&p, &none).verdict, AUTHORIZE_LIMIT);
    arena_deinit(&p.arena);
}

TEST(bad_rules_are_named)
{
    static const struct str nonsense[] = {STR("10.0.0.0/99")};
    static const struct str good[] = {STR("POST")};
    struct authorize_rule_spec rules[] = {{.methods = good, .n_methods = 1},
                                          {.cidrs = nonsense, .n_cidrs = 1}};
    struct authorization compiled;
    struct arena a;
    size_t bad = 0;

    arena_init(&a, 1024);
    CHECK_INT(authorization_init(&compiled, &a, rules, 2, false, &bad), AUTHORIZE_BAD_CIDR);
    CHECK_INT(bad, 1);
    rules[1] = (struct authorize_rule_spec){.is_allow = true};
    CHECK_INT(authorization_init(&compiled, &a, rules, 2, false, &bad), AUTHORIZE_EMPTY_RULE);
    rules[1] = (struct authorize_rule_spec){
        .has_path = true, .path_kind = ROUTE_PATH_REGEX, .path = STR("(")};
    CHECK_INT(authorization_init(&compiled, &a, rules, 2, false, &bad), AUTHORIZE_BAD_REGEX);
    arena_deinit(&a);
}
