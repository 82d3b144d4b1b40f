/* Decoding of the Envoy Gateway and AI Gateway kinds: samples as they are shipped and as the APIs
 * document them, and what is refused. */
#include "manifest/ai_gateway_route.h"
#include "manifest/backend.h"
#include "manifest/backend_security_policy.h"
#include "manifest/backend_traffic_policy.h"
#include "manifest/client_traffic_policy.h"
#include "manifest/envoy_proxy.h"
#include "manifest/http_route_filter.h"
#include "manifest/kind.h"
#include "manifest/security_policy.h"
#include "test/harness/test.h"
#include "tree/reader.h"

static struct arena arena;
static struct diag_list diags;

/* Decodes one spec; what is wrong with it stands in `diags`. */
static void *decode_spec(const struct table *table, const char *yaml)
{
    struct reader reader;
    struct decoder decoder;
    void *object;

    arena_init(&arena, 65536);
    diags = (struct diag_list){0};
    diag_list_init(&diags, &arena);
    reader_init(&reader, &arena, &diags);
    CHECK_INT(reader_read_bytes(&reader, "sample.yaml", str_of(yaml)), 0);
    CHECK_INT(reader.documents.n, 1);
    object = arena_alloc(&arena, table->size);
    decoder_init(&decoder, &diags, &arena, STR("Sample/x"));
    decode_struct(&decoder, table, reader.documents.items[0].root, object);
    decoder_deinit(&decoder);
    return object;
}

static void done(void)
{
    arena_deinit(&arena);
}

static const struct diag *find_diag(enum diag_severity severity, const char *path, const char *text)
{
    VEC_FOREACH (&diags.items, d) {
        if (d->severity == severity && str_find(d->path, str_of(path)) >= 0 &&
            str_find(d->text, str_of(text)) >= 0)
            return d;
    }
    return NULL;
}

static void check_clean(const char *what)
{
    VEC_FOREACH (&diags.items, d)
        CHECK_MSG(d->severity != DIAG_ERROR, "%s: %u: %.*s: %.*s", what, d->mark.line,
                  STR_ARG(d->path), STR_ARG(d->text));
}

/* One wrong spec and a part of the complaint. */
struct refusal_case {
    const struct table *table;
    const char *yaml;
    const char *path;
    const char *text;
};

static void check_refused(const struct refusal_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        decode_spec(cases[i].table, cases[i].yaml);
        if (!find_diag(DIAG_ERROR, cases[i].path, cases[i].text)) {
            const struct diag *first = diags.items.n > 0 ? &diags.items.items[0] : NULL;

            CHECK_MSG(false, "case %zu (%s): no error at \"%s\" with \"%s\"; first: %.*s: %.*s", i,
                      cases[i].table->name, cases[i].path, cases[i].text,
                      first ? (int)first->path.len : 0, first ? first->path.ptr : "",
                      first ? (int)first->text.len : 0, first ? first->text.ptr : "");
        }
        done();
    }
}

#define TARGET         "targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}]\n"
#define GATEWAY_TARGET "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}]\n"

static const char jwt_policy[] =
    "targetRefs:\n"
    "  - {group: gateway.networking.k8s.io, kind: HTTPRoute, name: ai-inference-routes}\n"
    "  - {group: gateway.networking.k8s.io, kind: HTTPRoute, name: ai-inference-gateway}\n"
    "jwt:\n"
    "  providers:\n"
    "    - name: inference-in-a-box\n"
    "      issuer: inference-in-a-box\n"
    "      remoteJWKS:\n"
    "        uri: http://jwt-server.default.svc.cluster.local:8080/.well-known/jwks.json\n"
    "        backendRefs:\n"
    "          - {group: gateway.envoyproxy.io, kind: Backend, name: remote-jwks, port: 8080}\n"
    "        backendSettings:\n"
    "          retry:\n"
    "            numRetries: 3\n"
    "            perRetry: {backOff: {baseInterval: 1s, maxInterval: 5s}}\n"
    "            retryOn: {triggers: [5xx, gateway-error, reset]}\n"
    "      claimToHeaders:\n"
    "        - {claim: sub, header: x-jwt-sub}\n"
    "        - {claim: tenant, header: x-tenant}\n"
    "authorization:\n"
    "  defaultAction: Deny\n"
    "  rules:\n"
    "    - name: isolate\n"
    "      action: Deny\n"
    "      principal:\n"
    "        headers: [{name: x-ai-eg-model, values: [sklearn-iris]}]\n"
    "        jwt:\n"
    "          provider: inference-in-a-box\n"
    "          claims: [{name: tenant, values: [tenant-b, tenant-c]}]\n";

TEST(security_policy_decodes_as_shipped)
{
    const struct security_policy_spec *s = decode_spec(&security_policy_spec_table, jwt_policy);
    const struct jwt_provider_spec *p = &s->jwt->providers.items[0];
    const struct authorization_rule *rule = &s->authorization->rules.items[0];
    const struct cluster_retry *retry = p->remote_jwks->backend_settings->retry;

    check_clean("shipped");
    CHECK_INT(s->targets.refs.n, 2);
    CHECK_STR(p->issuer, "inference-in-a-box");
    CHECK_STR(p->remote_jwks->backend_refs.items[0].kind, "Backend");
    CHECK_INT(retry->num_retries.value, 3);
    CHECK_INT(retry->per_retry->back_off->max_interval.us, 5000000);
    CHECK_INT(retry->retry_on->triggers,
              1 << RETRY_ON_5XX | 1 << RETRY_ON_GATEWAY_ERROR | 1 << RETRY_ON_RESET);
    CHECK_STR(p->claim_to_headers.items[1].header, "x-tenant");
    CHECK_INT(s->authorization->default_action, RULE_DENY);
    CHECK_INT(rule->action, RULE_DENY);
    CHECK_STR(rule->principal->headers.items[0].name, "x-ai-eg-model");
    CHECK_INT(rule->principal->jwt->claims.items[0].value_type, CLAIM_STRING);
    CHECK_INT(s->merge_type, -1);
    CHECK(security_policy_find_unenforced(s) == NULL);
    CHECK_INT(diags.n_warnings, 0);
    done();
}

TEST(security_policy_refuses_what_the_api_refuses)
{
    static const struct refusal_case cases[] = {
        {&security_policy_spec_table, "jwt: {providers: []}\n" TARGET, "jwt.providers", "empty"},
        {&security_policy_spec_table, TARGET "jwt: {providers: [{name: a}]}\n", "jwt.providers[0]",
         "exactly one of remoteJWKS and localJWKS"},
        {&security_policy_spec_table,
         TARGET "jwt: {providers: [{name: a, localJWKS: {type: ValueRef, inline: '{}'}}]}\n",
         "localJWKS.valueRef", "required with type ValueRef"},
        {&security_policy_spec_table,
         TARGET "jwt: {providers: [{name: a, remoteJWKS: {uri: 'ftp://x/y'}}]}\n", "remoteJWKS.uri",
         "expected an http"},
        {&security_policy_spec_table,
         TARGET "jwt: {providers: [{name: a, localJWKS: {inline: '{}'}},"
                " {name: a, localJWKS: {inline: '{}'}}]}\n",
         "jwt.providers", "two providers"},
        {&security_policy_spec_table,
         TARGET "authorization: {rules: [{action: Deny, principal: {jwt: {provider: gone,"
                " scopes: [a]}}}]}\n",
         "authorization.rules", "no provider \"gone\""},
        {&security_policy_spec_table, TARGET "authorization: {rules: [{action: Allow}]}\n",
         "authorization.rules[0]", "at least one of principal and cel"},
        {&security_policy_spec_table,
         TARGET "authorization: {rules: [{action: Allow, principal: {clientCIDRs: [10.0.0.1]}}]}\n",
         "clientCIDRs[0]", "address range"},
        {&security_policy_spec_table,
         TARGET "authorization: {rules: [{action: Refuse, principal: {clientCIDRs: ['::/0']}}]}\n",
         "rules[0].action", "expected one of Allow, Deny"},
        {&security_policy_spec_table, TARGET "cors: {allowOrigins: [example.com]}\n",
         "cors.allowOrigins", "expected an origin"},
        {&security_policy_spec_table,
         TARGET "apiKeyAuth: {credentialRefs: [{name: s}], extractFrom: [{headers: [a], params: "
                "[b]}]}\n",
         "apiKeyAuth.extractFrom[0]", "exactly one"},
        {&security_policy_spec_table, TARGET "extAuth: {failOpen: true}\n", "extAuth",
         "exactly one of http and grpc"},
        {&security_policy_spec_table, GATEWAY_TARGET "mergeType: StrategicMerge\n", "mergeType",
         "every target is a route"},
        {&security_policy_spec_table, TARGET "mergeType: Replace\n", "mergeType", "no value here"},
        {&security_policy_spec_table, "cors: {}\n", "", "at least one of targetRef"},
        {&security_policy_spec_table, "targetRefs: [{group: '', kind: Service, name: s}]\n",
         "targetRefs", "Service of group \"\" is no target"},
    };

    check_refused(cases, N_ELEMENTS(cases));
}

TEST(security_features_that_are_not_enforced_are_named)
{
    static const struct {
        const char *yaml;
        const char *key;
    } rows[] = {
        {TARGET "extAuth: {grpc: {backendRefs: [{name: s, port: 80}]},\n"
                "  contextExtensions: [{name: a, type: ValueRef, valueRef: {name: b}}]}\n",
         "extAuth.contextExtensions[].valueRef"},
        {TARGET "extAuth: {http: {backendRefs: [{name: s, port: 80}]}, bodyToExtAuth: {}}\n",
         "extAuth.bodyToExtAuth"},
        {TARGET "oidc: {clientID: x}\n", "oidc"},
        {TARGET "csrf: {}\n", "csrf"},
        {TARGET "authorization: {rules: [{action: Allow, cel: 'true'}]}\n",
         "authorization.rules.cel"},
        {TARGET "authorization: {rules: [{action: Allow, principal: {clientIPGeoLocations: "
                "[{country: DE}]}}]}\n",
         "authorization.rules.principal.clientIPGeoLocations"},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        const struct security_policy_spec *s =
            decode_spec(&security_policy_spec_table, rows[i].yaml);
        const char *key = security_policy_find_unenforced(s);

        check_clean(rows[i].yaml);
        CHECK_MSG(key && strcmp(key, rows[i].key) == 0, "%s: %s", rows[i].key, key ? key : "-");
        CHECK(diags.n_warnings >= 1);
        done();
    }
}

static const char traffic_policy[] = GATEWAY_TARGET
    "rateLimit:\n"
    "  type: Global\n"
    "  global:\n"
    "    rules:\n"
    "      - clientSelectors:\n"
    "          - headers:\n"
    "              - {name: x-tenant, value: tenant-a}\n"
    "              - {name: x-ai-eg-model, value: sklearn-iris}\n"
    "        limit: {requests: 10000, unit: Hour}\n"
    "        cost:\n"
    "          request: {from: Number, number: 0}\n"
    "          response:\n"
    "            from: Metadata\n"
    "            metadata: {namespace: io.envoy.ai_gateway, key: llm_total_token}\n"
    "        shared: true\n"
    "      - clientSelectors: [{headers: [{name: x-tenant, type: Distinct}]}]\n"
    "        limit: {requests: 100, unit: Minute}\n"
    "circuitBreaker: {maxConnections: 100, maxPendingRequests: 50, maxParallelRequests: 200,\n"
    "                 maxParallelRetries: 10}\n"
    "retry:\n"
    "  numRetries: 3\n"
    "  retryOn:\n"
    "    httpStatusCodes: [500, 502, 503, 504]\n"
    "    triggers: [connect-failure, refused-stream]\n"
    "timeout:\n"
    "  tcp: {connectTimeout: 10s}\n"
    "  http: {requestTimeout: 60s, connectionIdleTimeout: 300s}\n"
    "healthCheck:\n"
    "  active:\n"
    "    type: HTTP\n"
    "    http: {path: /health, expectedStatuses: [200, 201]}\n"
    "    timeout: 1s\n"
    "    interval: 3s\n"
    "    unhealthyThreshold: 3\n"
    "    healthyThreshold: 2\n";

TEST(backend_traffic_policy_decodes_as_shipped)
{
    const struct backend_traffic_policy_spec *s =
        decode_spec(&backend_traffic_policy_spec_table, traffic_policy);
    const struct rate_limit_rule *rule = &s->rate_limit->global->rules.items[0];
    const struct active_health_check *active = s->cluster.health_check->active;

    check_clean("shipped");
    CHECK_INT(rule->client_selectors.items[0].headers.n, 2);
    CHECK_INT(rule->client_selectors.items[0].headers.items[0].type, LIMIT_EXACT);
    CHECK_INT(rule->limit->unit, LIMIT_HOUR);
    CHECK_INT(rule->cost->request->number.value, 0);
    CHECK(rule->cost->request->number.is_set);
    CHECK_STR(rule->cost->response->metadata->key, "llm_total_token");
    CHECK(rule->shared.value);
    CHECK_INT(s->rate_limit->global->rules.items[1].client_selectors.items[0].headers.items[0].type,
              LIMIT_DISTINCT);
    CHECK_INT(s->cluster.circuit_breaker->max_pending_requests.value, 50);
    CHECK_INT(s->cluster.retry->retry_on->http_status_codes.n, 4);
    CHECK_INT(s->cluster.timeout->tcp->connect_timeout.us, 10000000);
    CHECK_INT(s->cluster.timeout->http->request_timeout.us, 60000000);
    CHECK_INT(active->http->expected_statuses.items[1], 201);
    CHECK_INT(active->healthy_threshold.value, 2);
    CHECK(find_diag(DIAG_WARNING, "rateLimit", "") == NULL);
    CHECK(find_diag(DIAG_WARNING, "circuitBreaker.maxParallelRetries", "") == NULL);
    CHECK(find_diag(DIAG_WARNING, "circuitBreaker.maxConnections", "") == NULL);
    CHECK(find_diag(DIAG_WARNING, "timeout", "") == NULL);
    done();
}

#define RULE(text)                                                                                 \
    GATEWAY_TARGET "rateLimit: {global: {rules: [{limit: {requests: 1, unit: "                     \
                   "Second}, " text "}]}}\n"

TEST(backend_traffic_policy_refuses_what_the_api_refuses)
{
    static const struct refusal_case cases[] = {
        {&backend_traffic_policy_spec_table, RULE("clientSelectors: [{}]"), "clientSelectors[0]",
         "at least one of headers"},
        {&backend_traffic_policy_spec_table,
         RULE("clientSelectors: [{headers: [{name: a, type: Distinct, value: b}]}]"),
         "headers[0].value", "not allowed with type Distinct"},
        {&backend_traffic_policy_spec_table, RULE("clientSelectors: [{headers: [{name: a}]}]"),
         "headers[0].value", "required with type Exact"},
        {&backend_traffic_policy_spec_table,
         RULE("clientSelectors: [{headers: [{name: a, type: RegularExpression, value: '('}]}]"),
         "headers[0].value", "not a valid pattern"},
        {&backend_traffic_policy_spec_table,
         RULE("clientSelectors: [{sourceCIDR: {value: 10.0.0.0/33}}]"), "sourceCIDR.value",
         "address range"},
        {&backend_traffic_policy_spec_table, RULE("cost: {response: {from: Metadata}}"),
         "cost.response.metadata", "required with type Metadata"},
        {&backend_traffic_policy_spec_table, GATEWAY_TARGET "rateLimit: {type: Local}\n",
         "rateLimit.local", "required with type Local"},
        {&backend_traffic_policy_spec_table, GATEWAY_TARGET "rateLimit: {global: {}}\n",
         "rateLimit.global.rules", "required"},
        {&backend_traffic_policy_spec_table,
         GATEWAY_TARGET "circuitBreaker: {maxConnections: lots}\n", "circuitBreaker.maxConnections",
         "expected a whole number, found \"lots\""},
        {&backend_traffic_policy_spec_table,
         GATEWAY_TARGET "circuitBreaker: {maxConnections: 4294967296}\n",
         "circuitBreaker.maxConnections", "must lie in"},
        {&backend_traffic_policy_spec_table, GATEWAY_TARGET "timeout: {http: {requestTimeout: 60}}",
         "timeout.http.requestTimeout", "duration"},
        {&backend_traffic_policy_spec_table, GATEWAY_TARGET "retry: {retryOn: {triggers: [6xx]}}\n",
         "retry.retryOn.triggers[0]", "expected one of"},
        {&backend_traffic_policy_spec_table,
         GATEWAY_TARGET "loadBalancer: {type: ConsistentHash}\n", "loadBalancer.consistentHash",
         "required"},
        {&backend_traffic_policy_spec_table,
         GATEWAY_TARGET "loadBalancer: {type: ConsistentHash, consistentHash: {type: SourceIP, "
                        "tableSize: 4}}\n",
         "tableSize", "prime"},
        {&backend_traffic_policy_spec_table,
         GATEWAY_TARGET "loadBalancer: {type: ConsistentHash, consistentHash: {type: Cookie, "
                        "cookie: {name: a=b}}}\n",
         "cookie.name", "is no name of a cookie"},
        {&backend_traffic_policy_spec_table,
         GATEWAY_TARGET "loadBalancer: {type: ConsistentHash, consistentHash: {type: Cookie, "
                        "cookie: {name: a, attributes: {Path: \"/; Domain=x\"}}}}\n",
         "cookie.attributes", "\"Path\" is no attribute"},
        {&backend_traffic_policy_spec_table,
         GATEWAY_TARGET "loadBalancer: {type: ConsistentHash, consistentHash: {type: Cookie, "
                        "cookie: {name: a, attributes: {Path: \"/\\r\\nx: y\"}}}}\n",
         "cookie.attributes", "\"Path\" is no attribute"},
        {&backend_traffic_policy_spec_table,
         GATEWAY_TARGET "loadBalancer: {type: Random, slowStart: {window: 1s}}\n", "slowStart",
         "RoundRobin and LeastRequest"},
        {&backend_traffic_policy_spec_table, GATEWAY_TARGET "faultInjection: {abort: {}}\n",
         "faultInjection.abort", "exactly one"},
        {&backend_traffic_policy_spec_table, GATEWAY_TARGET "healthCheck: {active: {type: HTTP}}\n",
         "healthCheck.active.http", "required with type HTTP"},
        {&backend_traffic_policy_spec_table,
         GATEWAY_TARGET "responseOverride: [{match: {statusCodes: [{type: Range, range: {start: "
                        "500, end: 500}}]}, response: {}}]\n",
         "range.end", "greater than start"},
        {&backend_traffic_policy_spec_table,
         GATEWAY_TARGET "requestBuffer: {limit: 1Mi}\nhttpUpgrade: [{type: websocket}]\n", "",
         "at most one of requestBuffer and httpUpgrade"},
        {&backend_traffic_policy_spec_table,
         GATEWAY_TARGET "compressor: [{type: Gzip, gzip: {}, zstd: {}}]\n", "compressor[0].zstd",
         "not allowed with type Gzip"},
        {&backend_traffic_policy_spec_table,
         GATEWAY_TARGET "compressor: [{type: Brotli, brotli: {quality: 12}}]\n",
         "compressor[0].brotli.quality", "must lie in"},
        {&backend_traffic_policy_spec_table,
         GATEWAY_TARGET "compressor: [{type: Gzip}]\ncompression: [{type: Gzip}]\n", "",
         "at most one of compression and compressor"},
        {&backend_traffic_policy_spec_table,
         "targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: "
         "a}\n" GATEWAY_TARGET,
         "", "at most one of targetRef and targetRefs"},
    };

    check_refused(cases, N_ELEMENTS(cases));
}

TEST(older_target_ref_becomes_a_target)
{
    const struct backend_traffic_policy_spec *s = decode_spec(
        &backend_traffic_policy_spec_table,
        "targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: a, sectionName: http}\n"
        "compression: [{type: Gzip}]\n");

    check_clean("older");
    CHECK_INT(s->targets.refs.n, 1);
    CHECK_STR(s->targets.refs.items[0].section_name, "http");
    CHECK_INT(s->compression.n, 1);
    CHECK(find_diag(DIAG_NOTE, "targetRef", "older form") != NULL);
    done();
}

TEST(label_selector_matches_as_kubernetes_does)
{
    static const struct {
        const char *yaml;
        bool expected;
    } rows[] = {
        {"{}", true},
        {"matchLabels: {app: a}", true},
        {"matchLabels: {app: b}", false},
        {"matchLabels: {none: a}", false},
        {"matchExpressions: [{key: app, operator: In, values: [b, a]}]", true},
        {"matchExpressions: [{key: app, operator: NotIn, values: [a]}]", false},
        {"matchExpressions: [{key: none, operator: NotIn, values: [a]}]", true},
        {"matchExpressions: [{key: none, operator: In, values: [a]}]", false},
        {"matchExpressions: [{key: app, operator: Exists}]", true},
        {"matchExpressions: [{key: app, operator: DoesNotExist}]", false},
    };
    struct text_pair label = {.key = STR("app"), .value = STR("a")};
    const struct text_pair_vec labels = {&label, 1, 1};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        const struct label_selector *s = decode_spec(&label_selector_table, rows[i].yaml);

        check_clean(rows[i].yaml);
        CHECK_MSG(label_selector_matches(s, &labels) == rows[i].expected, "%s", rows[i].yaml);
        done();
    }
}

TEST(backend_decodes_and_refuses)
{
    static const struct refusal_case cases[] = {
        {&backend_spec_table, "{}", "endpoints", "at least one endpoint"},
        {&backend_spec_table,
         "endpoints: [{fqdn: {hostname: a, port: 1}, ip: {address: '::1', port: "
         "1}}]",
         "endpoints[0]", "exactly one of fqdn, ip and unix"},
        {&backend_spec_table, "endpoints: [{fqdn: {hostname: A.b, port: 80}}]",
         "endpoints[0].fqdn.hostname", "host name"},
        {&backend_spec_table, "endpoints: [{fqdn: {hostname: a, port: 70000}}]",
         "endpoints[0].fqdn.port", "must lie in"},
        {&backend_spec_table, "endpoints: [{ip: {address: 10.0.0, port: 80}}]",
         "endpoints[0].ip.address", "IPv4 or IPv6"},
        {&backend_spec_table,
         "endpoints: [{fqdn: {hostname: a, port: 1}}, {ip: {address: 127.0.0.1, port: 1}}]",
         "endpoints", "cannot stand in one Backend"},
        {&backend_spec_table, "type: DynamicResolver", "type", "not supported"},
        {&backend_spec_table,
         "endpoints: [{ip: {address: '::1', port: 1}}]\ntls: {insecureSkipVerify: true, "
         "wellKnownCACertificates: System}",
         "insecureSkipVerify", "contradicts"},
        {&backend_spec_table,
         "endpoints: [{ip: {address: '::1', port: 1}}]\ntls: {minVersion: '1.3', maxVersion: "
         "'1.2'}",
         "minVersion", "must not be above"},
    };
    const struct backend_spec *s = decode_spec(
        &backend_spec_table,
        "endpoints: [{fqdn: {hostname: m.tenant-a.svc.cluster.local, port: 80}}]\n"
        "appProtocols: [gateway.envoyproxy.io/h2c]\n"
        "tls: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}], sni: m.local,\n"
        "  minVersion: '1.2', ciphers: [ECDHE-RSA-AES128-GCM-SHA256], ecdhCurves: [X25519]}\n");

    check_clean("backend");
    CHECK(find_diag(DIAG_WARNING, "tls.minVersion", "") == NULL);
    CHECK(find_diag(DIAG_WARNING, "tls.ciphers", "") == NULL);
    CHECK(find_diag(DIAG_WARNING, "tls.ecdhCurves", "not enforced") == NULL);
    CHECK_STR(s->endpoints.items[0].fqdn->host, "m.tenant-a.svc.cluster.local");
    CHECK_INT(s->app_protocols, 1 << APP_PROTOCOL_H2C);
    CHECK_STR(s->tls->ca_certificate_refs.items[0].kind, "ConfigMap");
    done();
    check_refused(cases, N_ELEMENTS(cases));
}

TEST(client_traffic_policy_decodes_and_refuses)
{
    static const struct refusal_case cases[] = {
        {&client_traffic_policy_spec_table, GATEWAY_TARGET "clientIPDetection: {}",
         "clientIPDetection", "exactly one"},
        {&client_traffic_policy_spec_table,
         GATEWAY_TARGET "clientIPDetection: {xForwardedFor: {numTrustedHops: 1, trustedCIDRs: "
                        "[10.0.0.0/8]}}",
         "xForwardedFor", "at most one"},
        {&client_traffic_policy_spec_table, TARGET, "targetRefs", "HTTPRoute"},
        {&client_traffic_policy_spec_table,
         GATEWAY_TARGET "headers: {preserveXRequestID: true, requestID: Generate}", "headers",
         "at most one"},
        {&client_traffic_policy_spec_table,
         GATEWAY_TARGET "connection: {connectionLimit: {closeDelay: 1s}}", "connectionLimit.value",
         "required with closeDelay"},
        {&client_traffic_policy_spec_table,
         GATEWAY_TARGET "headers: {earlyRequestHeaders: {set: [{name: a, value: \"b\\r\\nc\"}]}}",
         "set[0].value", "no line break"},
        {&client_traffic_policy_spec_table,
         GATEWAY_TARGET "http2: {connectionKeepalive: {interval: "
                        "1s, timeout: 2s}}",
         "connectionKeepalive.timeout", "less than interval"},
    };
    const struct client_traffic_policy_spec *s =
        decode_spec(&client_traffic_policy_spec_table, GATEWAY_TARGET
                    "clientIPDetection: {xForwardedFor: {trustedCIDRs: [10.0.0.0/8, '::1/128']}}\n"
                    "headers: {withUnderscoresAction: Allow, requestID: PreserveOrGenerate}\n"
                    "connection: {bufferLimit: 2Mi}\n"
                    "tls: {clientValidation: {caCertificateRefs: [{name: ca}]}}\n");

    check_clean("client");
    CHECK_INT(s->client_ip_detection->x_forwarded_for->trusted_cidrs.n, 2);
    CHECK_INT(s->headers->with_underscores_action, UNDERSCORES_ALLOW);
    CHECK_INT(s->connection->buffer_limit_bytes.value, 2097152);
    CHECK_STR(s->tls->client_validation->ca_certificate_refs.items[0].kind, "Secret");
    CHECK(!client_validation_is_optional(s->tls->client_validation));
    done();
    check_refused(cases, N_ELEMENTS(cases));
}

TEST(the_mode_says_which_clients_are_let_in)
{
    static const struct {
        const char *text;
        bool is_optional;
        bool accepts_unverified;
    } cases[] = {
        {"mode: VerifyIfGiven", true, false},
        {"mode: RequireAndVerify, optional: true", false, false},
        {"optional: true", true, false},
        {"crl: {refs: [{name: crl}]}", false, false},
        {"mode: Request", true, true},
        {"mode: RequireAny", false, true},
        {"mode: RequireAny, optional: true", false, true},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct buf text = {0};
        const struct client_traffic_policy_spec *s;
        const struct client_validation *v;

        buf_printf(&text, GATEWAY_TARGET "tls: {clientValidation: {%s}}", cases[i].text);
        buf_append_char(&text, '\0');
        s = decode_spec(&client_traffic_policy_spec_table, text.ptr);
        v = s->tls->client_validation;
        CHECK_MSG(client_validation_is_optional(v) == cases[i].is_optional, "%s", cases[i].text);
        CHECK_MSG(client_validation_accepts_unverified(v) == cases[i].accepts_unverified, "%s",
                  cases[i].text);
        done();
        buf_deinit(&text);
    }
}

TEST(envoy_proxy_keeps_the_place_of_a_log_format)
{
    static const struct refusal_case cases[] = {
        {&envoy_proxy_spec_table,
         "telemetry: {accessLog: {settings: [{format: {type: Text, json: {a: b}}, sinks: [{type: "
         "File, file: {path: /a}}]}]}}",
         "format.text", "required with type Text"},
        {&envoy_proxy_spec_table, "telemetry: {accessLog: {settings: [{sinks: [{type: File}]}]}}",
         "sinks[0].file", "required with type File"},
        {&envoy_proxy_spec_table,
         "telemetry: {metrics: {sinks: [{type: OpenTelemetry, openTelemetry: {}}]}}",
         "openTelemetry", "at least one of host"},
    };
    const struct envoy_proxy_spec *s = decode_spec(
        &envoy_proxy_spec_table, "provider: {type: Kubernetes}\n"
                                 "telemetry:\n"
                                 "  metrics: {prometheus: {}}\n"
                                 "  accessLog:\n"
                                 "    settings:\n"
                                 "      - format:\n"
                                 "          type: Text\n"
                                 "          text: \"[%START_TIME%]\\n\"\n"
                                 "        sinks:\n"
                                 "          - {type: File, file: {path: /dev/stdout}}\n"
                                 "  tracing:\n"
                                 "    samplingRate: 10\n"
                                 "    customTags: {env: {type: Literal, literal: {value: "
                                 "demo}}}\n"
                                 "    provider: {backendRefs: [{name: otel, port: 4317}]}\n");
    const struct access_log_setting *setting = &s->telemetry->access_log->settings.items[0];

    check_clean("proxy");
    CHECK_STR(setting->format->text.text, "[%START_TIME%]\n");
    CHECK_INT(setting->format->text.mark.line, 8);
    CHECK_INT(setting->sinks.items[0].type, LOG_SINK_FILE);
    CHECK_STR(s->telemetry->tracing->custom_tags.items[0].key, "env");
    CHECK_STR(s->telemetry->tracing->custom_tags.items[0].literal->value, "demo");
    CHECK(find_diag(DIAG_WARNING, "provider", "not supported") != NULL);
    done();
    check_refused(cases, N_ELEMENTS(cases));
}

TEST(http_route_filter_decodes_and_refuses)
{
    static const struct refusal_case cases[] = {
        {&http_route_filter_spec_table, "urlRewrite: {hostname: {type: Header}}",
         "urlRewrite.hostname.header", "required with type Header"},
        {&http_route_filter_spec_table, "urlRewrite: {hostname: {type: Backend, header: x-host}}",
         "urlRewrite.hostname.header", "not allowed with type Backend"},
        {&http_route_filter_spec_table,
         "urlRewrite: {path: {type: ReplaceRegexMatch, replaceRegexMatch: {pattern: '[', "
         "substitution: b}}}",
         "pattern", "not a valid pattern"},
        {&http_route_filter_spec_table, "directResponse: {body: {type: ValueRef}}",
         "directResponse.body.valueRef", "required with type ValueRef"},
        {&http_route_filter_spec_table, "directResponse: {statusCode: 99}",
         "directResponse.statusCode", "must lie in"},
    };
    const struct http_route_filter_spec *s = decode_spec(
        &http_route_filter_spec_table,
        "urlRewrite: {path: {type: ReplaceRegexMatch, replaceRegexMatch: {pattern: '^/a/(.*)', "
        "substitution: '/b/\\1'}}}\n"
        "directResponse: {statusCode: 403, contentType: text/plain, body: {inline: denied}}\n"
        "matches: [{cookies: [{name: c, value: v}]}]\n");

    check_clean("filter");
    CHECK_STR(s->url_rewrite->path->replace_regex_match->substitution, "/b/\\1");
    CHECK_INT(s->direct_response->body->type, BODY_INLINE);
    CHECK_STR(s->direct_response->body->inline_text, "denied");
    CHECK(strcmp(http_route_filter_find_unenforced(s), "matches") == 0);
    done();
    check_refused(cases, N_ELEMENTS(cases));
}

#define BACKEND_TARGET "targetRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: b}]\n"

TEST(founding_backend_security_policy_takes_the_short_form)
{
    static const struct refusal_case cases[] = {
        {&backend_security_policy_spec_table, BACKEND_TARGET, "", "at least one of basicAuth"},
        {&backend_security_policy_spec_table, TARGET "basicAuth: {users: {name: s}}\n",
         "targetRefs", "HTTPRoute"},
        {&backend_security_policy_spec_table,
         BACKEND_TARGET "extAuth: {service: {name: s, port: 1}, http: {backendRefs: [{name: s, "
                        "port: 1}]}}\n",
         "extAuth", "exactly one of http, grpc and service"},
        {&backend_security_policy_spec_table, BACKEND_TARGET "extAuth: {service: {name: s}}\n",
         "extAuth.service.port", "required"},
    };
    const struct backend_security_policy_spec *s =
        decode_spec(&backend_security_policy_spec_table, BACKEND_TARGET
                    "basicAuth: {users: {name: model-auth-secret}, matchTenant: true}\n"
                    "extAuth:\n"
                    "  service: {name: ext-auth-service, port: 8080}\n"
                    "  headersToExtAuth: [authorization, x-tenant, x-model]\n"
                    "  headersToBackend: [x-tenant, x-model, authorization]\n");

    check_clean("founding");
    CHECK(s->basic_auth->match_tenant.value);
    CHECK_STR(s->basic_auth->credential_header, "x-backend-authorization");
    CHECK_STR(s->ext_auth->http->backend_refs.items[0].name, "ext-auth-service");
    CHECK_STR(s->ext_auth->http->backend_refs.items[0].kind, "Service");
    CHECK_INT(s->ext_auth->http->headers_to_backend.n, 3);
    CHECK(backend_security_policy_find_unenforced(s) == NULL);
    CHECK_INT(diags.n_warnings, 0);
    done();
    check_refused(cases, N_ELEMENTS(cases));
}

#define AI_TARGET                                                                                  \
    "targetRefs: [{group: aigateway.envoyproxy.io, kind: AIServiceBackend, name: b}]\n"

TEST(ai_backend_security_policy_has_the_credential_of_its_type)
{
    static const struct refusal_case cases[] = {
        {&ai_backend_security_policy_spec_table, AI_TARGET "type: APIKey\n", "apiKey",
         "required with type APIKey"},
        {&ai_backend_security_policy_spec_table,
         AI_TARGET "type: APIKey\napiKey: {secretRef: {name: s}}\nazureAPIKey: {secretRef: {name: "
                   "s}}\n",
         "azureAPIKey", "not allowed with type APIKey"},
        {&ai_backend_security_policy_spec_table,
         TARGET "type: APIKey\napiKey: {secretRef: {name: s}}\n", "targetRefs", "AIServiceBackend"},
    };
    const struct ai_backend_security_policy_spec *s =
        decode_spec(&ai_backend_security_policy_spec_table,
                    AI_TARGET "type: AnthropicAPIKey\nanthropicAPIKey: {secretRef: {name: s}}\n");

    check_clean("ai");
    CHECK_INT(s->type, CREDENTIAL_ANTHROPIC_API_KEY);
    CHECK_STR(s->anthropic_api_key->secret_ref->name, "s");
    done();
    check_refused(cases, N_ELEMENTS(cases));
}

static const char ai_route[] =
    "schema: {name: OpenAI}\n"
    "targetRefs:\n"
    "  - {group: gateway.networking.k8s.io, kind: Gateway, name: ai-inference-gateway}\n"
    "llmRequestCosts:\n"
    "  - {metadataKey: llm_input_token, type: InputToken}\n"
    "  - {metadataKey: llm_total_token, type: CEL, cel: 'input_tokens + output_tokens'}\n"
    "rules:\n"
    "  - matches:\n"
    "      - headers:\n"
    "          - {name: x-tenant, value: tenant-a}\n"
    "          - {name: x-ai-eg-model, value: sklearn-iris}\n"
    "    backendRefs: [{name: sklearn-iris-backend, weight: 1}]\n"
    "  - backendRefs: [{name: istio-gateway-backend}]\n";

TEST(ai_gateway_route_takes_the_older_form)
{
    const struct ai_gateway_route_spec *s = decode_spec(&ai_gateway_route_spec_table, ai_route);

    check_clean("older");
    CHECK_INT(s->parent_refs.n, 1);
    CHECK_STR(s->parent_refs.items[0].name, "ai-inference-gateway");
    CHECK_STR(s->rules.items[0].matches.items[0].headers.items[1].value, "sklearn-iris");
    CHECK_STR(s->rules.items[0].backend_refs.items[0].ref.kind, "AIServiceBackend");
    CHECK_INT(backend_ref_weight(&s->rules.items[1].backend_refs.items[0].ref), 1);
    CHECK_INT(s->llm_request_costs.items[1].type, AI_COST_CEL);
    CHECK_INT(s->llm_request_costs.items[1].cel.mark.line, 6);
    CHECK(find_diag(DIAG_NOTE, "targetRefs", "older form") != NULL);
    CHECK(find_diag(DIAG_NOTE, "schema", "older form") != NULL);
    done();
}

TEST(ai_kinds_refuse_what_the_api_refuses)
{
    static const struct refusal_case cases[] = {
        {&ai_gateway_route_spec_table, "parentRefs: [{name: g}]", "rules", "required"},
        {&ai_gateway_route_spec_table,
         "parentRefs: [{name: s, kind: Service, group: ''}]\nrules: []", "parentRefs",
         "only a Gateway"},
        {&ai_gateway_route_spec_table, "parentRefs: [{name: g}]\n" GATEWAY_TARGET "rules: []", "",
         "at most one of targetRefs and parentRefs"},
        {&ai_gateway_route_spec_table, "rules: [{name: a}, {name: a}]", "rules",
         "two rules have the name a"},
        {&ai_gateway_route_spec_table, "rules: [{name: route-not-found}]", "rules[0].name",
         "reserved"},
        {&ai_gateway_route_spec_table, "rules: [{backendRefs: [{name: b, kind: Service}]}]",
         "backendRefs[0]", "given together"},
        {&ai_gateway_route_spec_table, "rules: [{timeouts: {request: 1s, backendRequest: 2s}}]",
         "timeouts.backendRequest", "not be longer"},
        {&ai_gateway_route_spec_table, "rules: []\nllmRequestCosts: [{metadataKey: a, type: CEL}]",
         "llmRequestCosts[0].cel", "required with type CEL"},
        {&ai_gateway_route_spec_table,
         "rules: []\nllmRequestCosts: [{metadataKey: a, type: InputToken}, {metadataKey: a, type: "
         "TotalToken}]",
         "llmRequestCosts", "two costs"},
        {&ai_service_backend_spec_table, "schema: {name: OpenAI}\nbackendRef: {name: s, port: 80}",
         "backendRef", "must name a Backend"},
        {&ai_service_backend_spec_table,
         "schema: {name: AzureOpenAI}\nbackendRef: {group: gateway.envoyproxy.io, kind: Backend, "
         "name: b}",
         "schema.version", "required with AzureOpenAI"},
    };

    check_refused(cases, N_ELEMENTS(cases));
}

/* Tables refer to each other; depth ends a cycle should one come. */
static void check_docs(const struct table *t, unsigned depth)
{
    CHECK_MSG(depth < 24, "%s: too deep", t->name);
    for (size_t i = 0; i < t->n_fields; i++) {
        const struct field *f = &t->fields[i];
        size_t len = f->doc ? strlen(f->doc) : 0;

        CHECK_MSG(len > 3 && f->doc[len - 1] == '.', "%s.%s: no sentence", t->name, f->key);
        if (f->decode == decode_object || f->decode == decode_list || f->decode == decode_inline)
            check_docs(f->arg, depth + 1);
    }
}

TEST(every_field_says_what_it_is)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        check_docs(kinds[i].table, 0);
}
