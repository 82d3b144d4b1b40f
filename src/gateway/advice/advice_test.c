/* Each piece of advice, on a small world where it is due and on its correct twin, where nothing is
 * to be said. What Gateways' addresses do to it is shown end to end (test/e2e/test_advice.py). */
#include "base/clock.h"
#include "gateway/advice/advice.h"
#include "manifest/gateway.h"
#include "net/certificate_testing.h"
#include "test/harness/test.h"

enum { NOW_S = 1800000000 };

#define GATEWAY_API "apiVersion: gateway.networking.k8s.io/v1\n"
#define ENVOY_API   "apiVersion: gateway.envoyproxy.io/v1alpha1\n"
#define AI_API      "apiVersion: aigateway.envoyproxy.io/v1alpha1\n"
#define WORLD                                                                                      \
    GATEWAY_API                                                                                    \
    "kind: GatewayClass\nmetadata: {name: c}\n"                                                    \
    "spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}\n---\n" GATEWAY_API     \
    "kind: Gateway\nmetadata: {name: g}\n"                                                         \
    "spec: {gatewayClassName: c, listeners: [{name: l, port: 80, protocol: HTTP}]}\n"              \
    "---\n" ENVOY_API "kind: Backend\nmetadata: {name: b}\n"                                       \
    "spec: {endpoints: [{ip: {address: 127.0.0.1, port: 81}}]}\n---\n" AI_API                      \
    "kind: AIServiceBackend\nmetadata: {name: s}\n"                                                \
    "spec: {schema: {name: OpenAI}, backendRef: {name: b, kind: Backend, "                         \
    "group: gateway.envoyproxy.io}}\n---\n"
#define BACKENDS "backendRefs: [{name: b, kind: Backend, group: gateway.envoyproxy.io}]"
#define ROUTE(name_, rules_)                                                                       \
    GATEWAY_API "kind: HTTPRoute\nmetadata: {name: " name_ "}\n"                                   \
                "spec: {parentRefs: [{name: g}], rules: [" rules_ "]}\n---\n"
#define RULE(matches_)      "{" BACKENDS ", matches: [" matches_ "]}"
#define PATH(type_, value_) "{path: {type: " type_ ", value: '" value_ "'}}"
#define AI_ROUTE(rules_)                                                                           \
    AI_API "kind: AIGatewayRoute\nmetadata: {name: r}\nspec: {parentRefs: [{name: g, "             \
           "kind: Gateway, group: gateway.networking.k8s.io}], rules: [" rules_ "]}\n---\n"
#define POLICY(kind_, name_, target_kind_, target_, spec_)                                         \
    ENVOY_API "kind: " kind_ "\nmetadata: {name: " name_ "}\nspec:\n  targetRefs: [{group: "       \
              "gateway.networking.k8s.io, kind: " target_kind_ ", name: " target_ "}]\n" spec_     \
              "---\n"
#define TRAFFIC(spec_)  POLICY("BackendTrafficPolicy", "p", "Gateway", "g", spec_)
#define SECURITY(spec_) POLICY("SecurityPolicy", "sp", "Gateway", "g", spec_)
#define LIMIT(selectors_, more_)                                                                   \
    "  rateLimit: {type: Global, global: {rules: [{" selectors_                                    \
    "limit: {requests: 10, unit: Hour}" more_ "}]}}\n"
#define DISTINCT(name_) "clientSelectors: [{headers: [{name: " name_ ", type: Distinct}]}], "
#define PARAM           "clientSelectors: [{queryParams: [{name: user, type: Distinct}]}], "
#define JWT(claims_, more_)                                                                        \
    "  jwt: {" more_ "providers: [{name: j, issuer: i, localJWKS: {inline: '{\"keys\":[]}'}, "     \
    "claimToHeaders: [" claims_ "]}]}\n"
#define HEALTH(http_) TRAFFIC("  healthCheck: {active: {type: HTTP, http: " http_ "}}\n")
#define MODEL_ROUTE   ROUTE("h", RULE(PATH("Exact", "/v1/models/iris:predict")))
#define RETRY(on_)    TRAFFIC("  retry: {retryOn: " on_ "}\n")
#define AUTHORIZATION(rules_)                                                                      \
    SECURITY("  authorization: {defaultAction: Allow, rules: [" rules_ "]}\n")
#define ABOUT(action_, path_)                                                                      \
    "{action: " action_ ", operation: {path: {" path_ "}}, principal: {clientCIDRs: ['::/0']}}"

static struct manifest m;

static void load(const char *yaml)
{
    manifest_deinit(&m);
    CHECK_INT(manifest_load_bytes(&m, "t.yaml", str_of(yaml), NULL), 0);
    CHECK_MSG(m.diags.n_errors == 0, "%.*s", STR_ARG(m.diags.items.items[0].text));
}

static const struct diag *find(enum diag_code code)
{
    const struct diag *found = NULL;

    VEC_FOREACH (&m.diags.items, d) {
        if (d->code == code)
            found = d;
    }
    return found;
}

struct pair {
    enum diag_code code;
    enum diag_severity severity;
    const char *words; /* of the text or the hint */
    const char *due;
    const char *twin; /* nothing is to be said of it */
};

static bool says(const struct diag *d, const char *words)
{
    return str_find(d->text, str_of(words)) >= 0 || str_find(d->hint, str_of(words)) >= 0;
}

static void check_pair(const struct pair *p)
{
    const struct diag *d;

    load(p->due);
    CHECK_MSG(!find(p->code), "%s: said before it is asked", p->words);
    advice_give(&m, NOW_S);
    d = find(p->code);
    CHECK_MSG(d != NULL, "%s: not said", p->words);
    CHECK_MSG(d->severity == p->severity, "%s: severity %d", p->words, d->severity);
    CHECK_MSG(says(d, p->words), "%s: %.*s", p->words, STR_ARG(d->text));
    CHECK_MSG(d->mark.line > 1 && d->object.len > 0 && d->hint.len > 0, "%s", p->words);
    load(p->twin);
    advice_give(&m, NOW_S);
    d = find(p->code);
    CHECK_MSG(!d, "%s: said of the twin: %.*s", p->words, STR_ARG(d ? d->text : STR("")));
}

static void check_pairs(const struct pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_pair(&pairs[i]);
    manifest_deinit(&m);
}

TEST(a_prefix_does_not_reach_predictions)
{
    static const struct pair pairs[] = {
        {DIAG_PREFIX_WITHOUT_PREDICT, DIAG_NOTE, "/v1/models/iris:predict is not below",
         WORLD ROUTE("h", RULE(PATH("PathPrefix", "/v1/models/iris"))),
         WORLD ROUTE("h", RULE(PATH("PathPrefix", "/v1/models/iris") ", " PATH(
                              "Exact", "/v1/models/iris:predict")))},
        {DIAG_PREFIX_WITHOUT_PREDICT, DIAG_NOTE, "/v1/models/iris:predict is not below",
         WORLD ROUTE("h", RULE(PATH("PathPrefix", "/v1/models/iris/")) ", " RULE(
                              PATH("RegularExpression", "/v2/.*"))),
         WORLD ROUTE("h", RULE(PATH("PathPrefix", "/v1/models/iris/")) ", " RULE(
                              PATH("RegularExpression", "/v1/models/[a-z]+:.*")))},
        {DIAG_PREFIX_WITHOUT_PREDICT, DIAG_NOTE, "Exact",
         WORLD ROUTE("h", RULE(PATH("PathPrefix", "/v1/models/iris")))
             ROUTE("i", RULE(PATH("Exact", "/v1/models/other:predict"))),
         WORLD ROUTE("h", RULE(PATH("PathPrefix", "/v1/models") ", " PATH(
                              "PathPrefix",
                              "/v1/models/iris:predict") ", " PATH("PathPrefix",
                                                                   "/v1/models/iris/versions")))},
        {DIAG_PREFIX_WITHOUT_PREDICT, DIAG_NOTE, "Exact",
         WORLD ROUTE("h", RULE("{method: POST, path: {value: /v1/models/iris}}")),
         WORLD ROUTE("h", RULE("{method: GET, path: {value: /v1/models/iris}}"))},
        {DIAG_PREFIX_WITHOUT_PREDICT, DIAG_WARNING, "does not hold for predictions",
         WORLD AUTHORIZATION(ABOUT("Deny", "type: PathPrefix, value: /v1/models/iris")),
         WORLD AUTHORIZATION(ABOUT("Deny", "type: PathPrefix, value: /v1/models/iris") ", " ABOUT(
             "Deny", "type: Exact, value: '/v1/models/iris:predict'"))},
        {DIAG_PREFIX_WITHOUT_PREDICT, DIAG_WARNING, "does not hold for predictions",
         WORLD AUTHORIZATION(ABOUT("Allow", "value: /v1/models/iris, invert: true")),
         WORLD AUTHORIZATION(ABOUT("Allow", "value: /v1/models, invert: true"))},
        {DIAG_PREFIX_WITHOUT_PREDICT, DIAG_NOTE, "does not hold for predictions",
         WORLD AUTHORIZATION(ABOUT("Allow", "type: PathPrefix, value: /v1/models/iris")),
         WORLD AUTHORIZATION(ABOUT("Allow", "type: PathPrefix, value: /v2/models/iris"))},
        {DIAG_PREFIX_WITHOUT_PREDICT, DIAG_NOTE, "does not hold for predictions",
         WORLD TRAFFIC(LIMIT("clientSelectors: [{path: {value: /v1/models/iris}}], ", "")),
         WORLD TRAFFIC(LIMIT("clientSelectors: [{path: {type: RegularExpression, "
                             "value: '/v1/models/iris(:.*)?'}}], ",
                             ""))},
    };

    check_pairs(pairs, N_ELEMENTS(pairs));
}

TEST(health_checks_go_where_model_servers_answer)
{
    static const struct pair pairs[] = {
        {DIAG_HEALTH_PATH, DIAG_NOTE, "/health", WORLD MODEL_ROUTE HEALTH("{path: /health}"),
         WORLD MODEL_ROUTE HEALTH("{path: /v2/health/ready}")},
        {DIAG_HEALTH_PATH, DIAG_NOTE, "/healthz", WORLD MODEL_ROUTE HEALTH("{path: /healthz}"),
         WORLD MODEL_ROUTE HEALTH("{path: '/v1/models/iris?a=b'}")},
        {DIAG_HEALTH_PATH, DIAG_NOTE, "KServe",
         WORLD ROUTE("h", RULE(PATH("PathPrefix", "/v2/models/iris"))) HEALTH("{path: /health}"),
         WORLD ROUTE("h", RULE(PATH("PathPrefix", "/v1/chat"))) HEALTH("{path: /health}")},
        {DIAG_HEALTH_PATH, DIAG_NOTE, "KServe",
         WORLD MODEL_ROUTE HEALTH("{path: /health, expectedStatuses: [200]}"),
         WORLD MODEL_ROUTE HEALTH("{path: /health, expectedStatuses: [200, 404]}")},
        /* The nearest policy holds as a whole. */
        {DIAG_HEALTH_PATH, DIAG_NOTE, "KServe", WORLD MODEL_ROUTE HEALTH("{path: /health}"),
         WORLD MODEL_ROUTE HEALTH("{path: /health}")
             POLICY("BackendTrafficPolicy", "q", "HTTPRoute", "h",
                    "  healthCheck: {active: {type: HTTP, http: {path: /}}}\n")},
    };

    check_pairs(pairs, N_ELEMENTS(pairs));
}

TEST(clients_do_not_choose_what_a_limit_counts)
{
    static const struct pair pairs[] = {
        {DIAG_CLIENT_CHOSEN_COUNT, DIAG_NOTE, "the header X-User has a count",
         WORLD TRAFFIC(LIMIT(DISTINCT("X-User"), "")),
         WORLD TRAFFIC(LIMIT(DISTINCT("X-User"), ""))
             SECURITY(JWT("{claim: sub, header: x-user}", ""))},
        {DIAG_CLIENT_CHOSEN_COUNT, DIAG_NOTE, "x-user",
         WORLD TRAFFIC(LIMIT(DISTINCT("x-user"), ""))
             SECURITY(JWT("{claim: sub, header: x-other}", "")),
         WORLD TRAFFIC(LIMIT(DISTINCT("x-ai-eg-model"), ""))},
        {DIAG_CLIENT_CHOSEN_COUNT, DIAG_NOTE, "x-user",
         WORLD TRAFFIC(LIMIT(DISTINCT("x-user"), ""))
             ROUTE("h", "{" BACKENDS ", filters: [{type: RequestHeaderModifier, "
                        "requestHeaderModifier: {add: [{name: x-user, value: a}]}}]}"),
         WORLD TRAFFIC(LIMIT(DISTINCT("x-user"), ""))
             ROUTE("h", "{" BACKENDS ", filters: [{type: RequestHeaderModifier, "
                        "requestHeaderModifier: {set: [{name: x-user, value: a}]}}]}")},
        {DIAG_CLIENT_CHOSEN_COUNT, DIAG_NOTE, "authorization",
         WORLD TRAFFIC(LIMIT(DISTINCT("authorization"), "")) SECURITY(JWT("", "optional: true, ")),
         WORLD TRAFFIC(LIMIT(DISTINCT("authorization"), "")) SECURITY(JWT("", ""))},
        {DIAG_CLIENT_CHOSEN_COUNT, DIAG_NOTE, "x-user",
         WORLD TRAFFIC(LIMIT(DISTINCT("x-user"), "")),
         WORLD TRAFFIC(LIMIT("clientSelectors: [{sourceCIDR: {type: Distinct, value: 0.0.0.0/0}}]"
                             ", ",
                             ""))},
    };

    static const struct pair params[] = {
        {DIAG_CLIENT_CHOSEN_COUNT, DIAG_NOTE, "the parameter user", WORLD TRAFFIC(LIMIT(PARAM, "")),
         WORLD TRAFFIC(LIMIT(PARAM, "")) SECURITY(
             "  apiKeyAuth: {credentialRefs: [{name: k}], extractFrom: [{params: [user]}]}\n")},
        {DIAG_CLIENT_CHOSEN_COUNT, DIAG_NOTE, "x-user",
         WORLD TRAFFIC("  rateLimit: {type: Local, local: {rules: [{" DISTINCT(
             "x-user") "limit: {requests: 10, unit: Hour}}]}}\n"),
         WORLD TRAFFIC(LIMIT(DISTINCT("x-user"), "")) SECURITY(
             "  apiKeyAuth: {credentialRefs: [{name: k}], extractFrom: [{headers: [X-User]}]}\n")},
    };

    check_pairs(pairs, N_ELEMENTS(pairs));
    check_pairs(params, N_ELEMENTS(params));
}

TEST(a_limit_on_a_gateway_is_one_count)
{
#define TWO_RULES ROUTE("h", RULE(PATH("Exact", "/a")) ", " RULE(PATH("Exact", "/b")))
    static const struct pair pairs[] = {
        {DIAG_UNSHARED_LIMIT, DIAG_NOTE, "each of the 2 route rules",
         WORLD TWO_RULES TRAFFIC(LIMIT("", "")),
         WORLD TWO_RULES TRAFFIC(LIMIT("", ", shared: true"))},
        {DIAG_UNSHARED_LIMIT, DIAG_NOTE, "they allow 20",
         WORLD TWO_RULES TRAFFIC(LIMIT("", ", shared: false")),
         WORLD ROUTE("h", RULE(PATH("Exact", "/a"))) TRAFFIC(LIMIT("", ""))},
        {DIAG_UNSHARED_LIMIT, DIAG_NOTE, "2 route rules",
         WORLD TWO_RULES ENVOY_API
         "kind: BackendTrafficPolicy\nmetadata: {name: p}\nspec:\n  targetSelectors: [{group: "
         "gateway.networking.k8s.io, kind: Gateway}]\n" LIMIT("", ""),
         WORLD TWO_RULES ENVOY_API
         "kind: BackendTrafficPolicy\nmetadata: {name: p}\nspec:\n  targetSelectors: [{group: "
         "gateway.networking.k8s.io, kind: Gateway, matchLabels: {a: b}}]\n" LIMIT("", "")},
        /* A nearer policy takes its rules away. */
        {DIAG_UNSHARED_LIMIT, DIAG_NOTE, "2 route rules",
         WORLD TWO_RULES ROUTE("i", RULE(PATH("Exact", "/c"))) TRAFFIC(LIMIT("", ""))
             POLICY("BackendTrafficPolicy", "q", "HTTPRoute", "i", "  useClientProtocol: true\n"),
         WORLD TWO_RULES TRAFFIC(LIMIT("", ""))
             POLICY("BackendTrafficPolicy", "q", "HTTPRoute", "h", "  useClientProtocol: true\n")},
        {DIAG_UNSHARED_LIMIT, DIAG_NOTE, "3 route rules",
         WORLD TWO_RULES AI_ROUTE("{backendRefs: [{name: s}]}") TRAFFIC(LIMIT("", "")),
         WORLD TWO_RULES POLICY("BackendTrafficPolicy", "p", "HTTPRoute", "h", LIMIT("", ""))},
    };

    check_pairs(pairs, N_ELEMENTS(pairs));
}

TEST(statuses_are_tried_again_elsewhere_too)
{
    static const struct pair pairs[] = {
        {DIAG_DIFFERENCE, DIAG_NOTE, "retriable-status-codes",
         WORLD RETRY("{httpStatusCodes: [503], triggers: [connect-failure]}"),
         WORLD RETRY("{httpStatusCodes: [503], triggers: [connect-failure, "
                     "retriable-status-codes]}")},
        {DIAG_DIFFERENCE, DIAG_NOTE, "retriable-status-codes",
         WORLD RETRY("{httpStatusCodes: [503, 500], triggers: [gateway-error]}"),
         WORLD RETRY("{httpStatusCodes: [503, 500], triggers: [5xx]}")},
        {DIAG_DIFFERENCE, DIAG_NOTE, "retriable-status-codes",
         WORLD RETRY("{httpStatusCodes: [429], triggers: [5xx]}"),
         WORLD RETRY("{triggers: [5xx]}")},
    };

    check_pairs(pairs, N_ELEMENTS(pairs));
}

TEST(ai_routes_ask_who_calls)
{
#define OPEN AI_ROUTE("{backendRefs: [{name: s}]}")
#define CERTIFICATES(is_optional_)                                                                 \
    POLICY("ClientTrafficPolicy", "cert", "Gateway", "g",                                          \
           "  tls: {clientValidation: {optional: " is_optional_ ", caCertificateRefs: [{name: "    \
           "ca}]}}\n")
#define CORS "  cors: {allowOrigins: ['https://a.test']}\n"
    static const struct pair pairs[] = {
        {DIAG_OPEN_AI_ROUTE, DIAG_NOTE, "listener l of Gateway", WORLD OPEN,
         WORLD OPEN SECURITY(JWT("", ""))},
        {DIAG_OPEN_AI_ROUTE, DIAG_NOTE, "nothing asks who calls",
         WORLD OPEN SECURITY(JWT("", "optional: true, ")),
         WORLD OPEN SECURITY("  authorization: {defaultAction: Deny}\n")},
        /* The nearest policy holds as a whole, and one that merges does not. */
        {DIAG_OPEN_AI_ROUTE, DIAG_NOTE, "the nearest SecurityPolicy holds as a whole",
         WORLD OPEN SECURITY(JWT("", "")) POLICY("SecurityPolicy", "near", "HTTPRoute", "r", CORS),
         WORLD OPEN SECURITY(JWT("", "")) POLICY("SecurityPolicy", "near", "HTTPRoute", "r",
                                                 CORS "  mergeType: StrategicMerge\n")},
        {DIAG_OPEN_AI_ROUTE, DIAG_NOTE, "nothing asks who calls", WORLD OPEN,
         WORLD ROUTE("h", RULE(PATH("PathPrefix", "/v1/chat/completions")))},
        {DIAG_OPEN_AI_ROUTE, DIAG_NOTE, "nothing asks who calls", WORLD OPEN CERTIFICATES("true"),
         WORLD OPEN CERTIFICATES("false")},
        {DIAG_OPEN_AI_ROUTE, DIAG_NOTE, "nothing asks who calls", WORLD OPEN,
         WORLD OPEN ENVOY_API
         "kind: BackendSecurityPolicy\nmetadata: {name: f}\nspec: {targetRefs: [{group: "
         "gateway.envoyproxy.io, kind: Backend, name: b}], basicAuth: {users: {name: u}}}\n---\n"},
    };

    check_pairs(pairs, N_ELEMENTS(pairs));
}

TEST(times_do_not_cut_streams)
{
#define CHAT(times_)                                                                               \
    ROUTE("h",                                                                                     \
          "{" BACKENDS ", matches: [" PATH("PathPrefix", "/v1/chat") "], timeouts: {" times_ "}}")
    static const struct pair pairs[] = {
        {DIAG_CUT_STREAMS, DIAG_NOTE, "60.000 s is cut",
         WORLD AI_ROUTE("{backendRefs: [{name: s}], timeouts: {request: 60s}}"),
         WORLD AI_ROUTE("{backendRefs: [{name: s}], timeouts: {request: 10m}}")},
        {DIAG_CUT_STREAMS, DIAG_NOTE, "1.500 s is cut",
         WORLD AI_ROUTE("{backendRefs: [{name: s}], timeouts: {backendRequest: 1500ms}}"),
         WORLD AI_ROUTE("{backendRefs: [{name: s}], timeouts: {request: 0s}}")},
        {DIAG_CUT_STREAMS, DIAG_NOTE, "requestTimeout of a BackendTrafficPolicy",
         WORLD CHAT("request: 60s"),
         WORLD TRAFFIC("  timeout: {http: {requestTimeout: 60s}}\n") CHAT("request: 1h")},
        {DIAG_CUT_STREAMS, DIAG_NOTE, "30.000 s", WORLD CHAT("request: 30s"),
         WORLD ROUTE("h", "{" BACKENDS ", matches: [" PATH("PathPrefix", "/") ", " PATH(
                              "PathPrefix", "/v1/embeddings") "], timeouts: {request: 60s}}")},
    };

    check_pairs(pairs, N_ELEMENTS(pairs));
}

TEST(an_envoy_proxy_is_attached)
{
#define PROXY ENVOY_API "kind: EnvoyProxy\nmetadata: {name: e}\nspec: {}\n---\n"
    static const struct pair pairs[] = {
        {DIAG_INEFFECTIVE, DIAG_WARNING, "attached to nothing", WORLD PROXY,
         PROXY GATEWAY_API "kind: GatewayClass\nmetadata: {name: c}\nspec: {controllerName: "
                           "gateway.envoyproxy.io/gatewayclass-controller, parametersRef: {group: "
                           "gateway.envoyproxy.io, kind: EnvoyProxy, name: e, namespace: "
                           "default}}\n"},
        {DIAG_INEFFECTIVE, DIAG_WARNING, "infrastructure.parametersRef", WORLD PROXY,
         WORLD PROXY GATEWAY_API
         "kind: Gateway\nmetadata: {name: h}\nspec: {gatewayClassName: c, listeners: [{name: l, "
         "port: 81, protocol: HTTP}], infrastructure: {parametersRef: {group: "
         "gateway.envoyproxy.io, kind: EnvoyProxy, name: e}}}\n"},
    };

    check_pairs(pairs, N_ELEMENTS(pairs));
}

#define HEADER_MATCH(a_, b_)                                                                       \
    "{path: {value: /a}, headers: [{name: " a_ ", value: v}, {name: " b_ ", value: v}]}"

#define TENANT_ROUTE(name_) ROUTE(name_, RULE("{headers: [{name: x-tenant, value: a}]}"))
#define TENANT_CLAIM        JWT("{claim: tenant, header: x-tenant}", "")

TEST(a_match_that_gets_no_request_is_named)
{
    static const struct pair pairs[] = {
        {DIAG_OVERLAP, DIAG_WARNING, "rule 0 of HTTPRoute/default/h",
         WORLD ROUTE("h", RULE(PATH("Exact", "/a")) ", " RULE(PATH("Exact", "/a"))),
         WORLD ROUTE("h", RULE(PATH("Exact", "/a")) ", " RULE(PATH("PathPrefix", "/a")))},
        {DIAG_OVERLAP, DIAG_WARNING, "HTTPRoute/default/h",
         WORLD ROUTE("h", RULE(PATH("PathPrefix", "/a")))
             ROUTE("i", RULE(PATH("PathPrefix", "/a/"))),
         WORLD ROUTE("h", RULE(PATH("Exact", "/a"))) ROUTE("i", RULE(PATH("Exact", "/a/")))},
        {DIAG_OVERLAP, DIAG_WARNING, "on listener l",
         WORLD ROUTE("h", RULE(HEADER_MATCH("x-a", "x-b")))
             ROUTE("i", RULE(HEADER_MATCH("X-B", "X-A"))),
         WORLD ROUTE("h", RULE(HEADER_MATCH("x-a", "x-b")))
             ROUTE("i", RULE(HEADER_MATCH("x-a", "x-c")))},
        {DIAG_OVERLAP, DIAG_WARNING, "for a.test",
         WORLD ROUTE("h", RULE(PATH("Exact", "/a")) "], hostnames: ['a.test', 'b.test'")
             ROUTE("i", RULE(PATH("Exact", "/a")) "], hostnames: ['a.test', 'c.test'"),
         WORLD ROUTE("h", RULE(PATH("Exact", "/a")) "], hostnames: ['a.test'")
             ROUTE("i", RULE(PATH("Exact", "/a")) "], hostnames: ['b.test'")},
        /* Two policies may write one header, each for its own callers. */
        {DIAG_OVERLAP, DIAG_WARNING, "asked first", WORLD TENANT_ROUTE("h") TENANT_ROUTE("i"),
         WORLD TENANT_ROUTE("h") TENANT_ROUTE("i")
             POLICY("SecurityPolicy", "j", "HTTPRoute", "h", TENANT_CLAIM)
                 POLICY("SecurityPolicy", "k", "HTTPRoute", "i", TENANT_CLAIM)},
        {DIAG_OVERLAP, DIAG_WARNING, "asked first",
         WORLD TENANT_ROUTE("h") TENANT_ROUTE("i") SECURITY(TENANT_CLAIM),
         WORLD ROUTE("h", "{" BACKENDS "}") AI_ROUTE("{backendRefs: [{name: s}]}")},
        /* No match at all is a prefix of everything. */
        {DIAG_OVERLAP, DIAG_WARNING, "asked first",
         WORLD ROUTE("h", "{" BACKENDS "}") ROUTE("i", RULE(PATH("PathPrefix", "/"))),
         WORLD ROUTE("h", "{" BACKENDS "}") AI_ROUTE("{backendRefs: [{name: s}]}")},
        {DIAG_OVERLAP, DIAG_WARNING, "asked first",
         WORLD AI_ROUTE(
             "{backendRefs: [{name: s}], matches: [{headers: [{name: x-ai-eg-model, value: a}]}]}, "
             "{backendRefs: [{name: s}], matches: [{headers: [{name: X-AI-EG-Model, value: a}]}]}"),
         WORLD AI_ROUTE(
             "{backendRefs: [{name: s}], matches: [{headers: [{name: x-ai-eg-model, value: a}]}]}, "
             "{backendRefs: [{name: s}], matches: [{headers: [{name: x-ai-eg-model, value: "
             "b}]}]}")},
        /* Twice in one rule leads to one place. */
        {DIAG_OVERLAP, DIAG_WARNING, "asked first",
         WORLD GATEWAY_API "kind: GRPCRoute\nmetadata: {name: q}\nspec: {parentRefs: [{name: g}], "
                           "rules: [{" BACKENDS ", matches: [{method: {service: a.B}}]}, "
                           "{" BACKENDS ", matches: [{method: {service: a.B}}]}]}\n",
         WORLD ROUTE("h", RULE(PATH("Exact", "/a") ", " PATH("Exact", "/a")))},
    };

    check_pairs(pairs, N_ELEMENTS(pairs));
}

TEST(the_older_route_is_the_one_that_is_asked)
{
    const struct diag *d;

    load(WORLD ROUTE("h, creationTimestamp: '2026-02-01T00:00:00Z'", RULE(PATH("Exact", "/a")))
             ROUTE("i, creationTimestamp: '2026-01-01T00:00:00Z'", RULE(PATH("Exact", "/a"))));
    advice_give(&m, NOW_S);
    d = find(DIAG_OVERLAP);
    CHECK(d && str_eq(d->object, STR("HTTPRoute/default/h")));
    manifest_deinit(&m);
}

TEST(gateways_of_others_are_not_judged)
{
    load(GATEWAY_API
         "kind: GatewayClass\nmetadata: {name: c}\nspec: {controllerName: a.test/b}\n"
         "---\n" GATEWAY_API
         "kind: Gateway\nmetadata: {name: g}\nspec: {gatewayClassName: c, listeners: "
         "[{name: l, port: 80, protocol: HTTP}]}\n---\n" AI_API
         "kind: AIServiceBackend\nmetadata: {name: s}\nspec: {schema: {name: OpenAI}, "
         "backendRef: {name: b, kind: Backend, group: gateway.envoyproxy.io}}\n---\n" ENVOY_API
         "kind: Backend\nmetadata: {name: b}\nspec: {endpoints: [{ip: "
         "{address: 127.0.0.1, port: 81}}]}\n---\n" OPEN);
    advice_give(&m, NOW_S);
    CHECK(!find(DIAG_OPEN_AI_ROUTE));
    manifest_deinit(&m);
}

/* ---- certificates: made now, good from an hour ago for a day ---- */

static void append_indented(struct buf *out, const char *key, struct str pem)
{
    struct str line;

    buf_printf(out, "  %s: |\n", key);
    while (str_split(&pem, '\n', &line))
        buf_printf(out, "    %.*s\n", STR_ARG(line));
}

static void load_certificate(const struct test_certificate *c)
{
    struct buf yaml = {0};

    buf_printf(&yaml, "%s",
               WORLD GATEWAY_API
               "kind: Gateway\nmetadata: {name: t}\nspec: {gatewayClassName: c, listeners: [{name: "
               "l, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}]}\n---\n"
               "apiVersion: v1\nkind: Secret\nmetadata: {name: cert}\ntype: kubernetes.io/tls\n"
               "stringData:\n");
    append_indented(&yaml, "tls.crt", c->certificate_pem);
    append_indented(&yaml, "tls.key", c->key_pem);
    buf_append_char(&yaml, '\0');
    load(yaml.ptr);
    buf_deinit(&yaml);
}

TEST(certificates_are_named_before_they_end)
{
    static const struct {
        int64_t after_s;
        int severity; /* -1: nothing is said */
        const char *words;
    } rows[] = {
        {0, -1, ""},
        {19 * 3600, -1, ""},
        {21 * 3600, DIAG_NOTE, "CN=a.test expires on"},
        {25 * 3600, DIAG_WARNING, "CN=a.test expired on"},
        {-2 * 3600, DIAG_WARNING, "CN=a.test is not good before"},
    };
    struct test_certificate c = test_certificate_new("a.test", "DNS:a.test", NULL);
    int64_t now_s = clock_wall_s(clock_read());

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        const struct diag *d;

        load_certificate(&c);
        advice_give(&m, now_s + rows[i].after_s);
        d = find(DIAG_CERTIFICATE_EXPIRY);
        CHECK_MSG((d ? (int)d->severity : -1) == rows[i].severity, "row %zu", i);
        CHECK_MSG(!d || (says(d, rows[i].words) && str_eq(d->object, STR("Secret/default/cert")) &&
                         d->other.line > 1),
                  "row %zu", i);
    }
    load_certificate(&c);
    advice_give(&m, 0);
    CHECK(!find(DIAG_CERTIFICATE_EXPIRY));
    manifest_deinit(&m);
    test_certificate_free(&c);
}

static void load_authority(const struct test_certificate *c, const char *kind)
{
    struct buf yaml = {0};

    buf_printf(&yaml, "%s",
               WORLD ENVOY_API "kind: Backend\nmetadata: {name: t}\nspec: {endpoints: [{ip: "
                               "{address: 127.0.0.1, port: 82}}], tls: {sni: a.test, "
                               "caCertificateRefs: [{group: '', kind: ");
    buf_printf(&yaml,
               "%s, name: ca}]}}\n---\napiVersion: v1\nkind: %s\nmetadata: {name: ca}\n%s:\n", kind,
               kind, strcmp(kind, "Secret") == 0 ? "stringData" : "data");
    append_indented(&yaml, "ca.crt", c->certificate_pem);
    buf_append_char(&yaml, '\0');
    load(yaml.ptr);
    buf_deinit(&yaml);
}

TEST(authorities_are_judged_too)
{
    static const char *const keepers[] = {"ConfigMap", "Secret"};
    struct test_certificate c = test_certificate_new("An Authority", NULL, NULL);
    int64_t now_s = clock_wall_s(clock_read());

    for (size_t i = 0; i < N_ELEMENTS(keepers); i++) {
        const struct diag *d;

        load_authority(&c, keepers[i]);
        advice_give(&m, now_s + 2 * 86400);
        d = find(DIAG_CERTIFICATE_EXPIRY);
        CHECK_MSG(d && says(d, "not trusted") && says(d, "ca.crt"), "%s", keepers[i]);
        load_authority(&c, keepers[i]);
        advice_give(&m, now_s);
        CHECK(!find(DIAG_CERTIFICATE_EXPIRY));
    }
    manifest_deinit(&m);
    test_certificate_free(&c);
}
