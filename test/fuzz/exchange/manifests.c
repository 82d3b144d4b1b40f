/* What the gateway of the fuzzer serves: a route for each thing that an exchange can run into. Two
 * configurations, so that one can follow the other under a request. */
#include "test/fuzz/exchange/world.h"

#define COMMON                                                                                     \
    "{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: c}, spec: "   \
    "{controllerName: gateway.envoyproxy.io/gatewayclass-controller, parametersRef: {group: "      \
    "gateway.envoyproxy.io, kind: EnvoyProxy, name: p, namespace: play}}}\n---\n"                  \
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: EnvoyProxy, metadata: {name: p, "          \
    "namespace: play}, spec: {telemetry: {accessLog: {settings: [{format: {type: Text, text: "     \
    "\"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %RESPONSE_CODE% %REQ(X-ID)%\\n\"}, "      \
    "sinks: [{type: File, file: {path: /dev/null}}]}]}, tracing: {provider: {host: 127.0.0.1}, "   \
    "tags: {all: \"%REQ(X-ID)% %REQ(AUTHORIZATION)%\"}, customTags: {id: {type: RequestHeader, "   \
    "requestHeader: {name: x-id}}}}}}}\n---\n"                                                     \
    "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: front, "           \
    "namespace: play}, spec: {gatewayClassName: c, listeners: [{name: http, port: 80, protocol: "  \
    "HTTP, allowedRoutes: {namespaces: {from: All}}}, {name: calls, port: 80, protocol: HTTP, "    \
    "hostname: calls.play, allowedRoutes: {kinds: [{kind: GRPCRoute}]}}]}}\n---\n"                 \
    "{apiVersion: v1, kind: Secret, metadata: {name: keys, namespace: play}, stringData: {alice: " \
    "key-of-alice}}\n---\n"

#define BACKEND(name, port)                                                                        \
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: Backend, metadata: {name: " name           \
    ", namespace: play}, spec: {endpoints: [{ip: {address: 127.0.0.1, port: " port "}}]}}\n---\n"
#define STREAMS(name, port)                                                                        \
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: Backend, metadata: {name: " name           \
    ", namespace: play}, spec: {appProtocols: [gateway.envoyproxy.io/h2c], endpoints: [{ip: "      \
    "{address: 127.0.0.1, port: " port "}}]}}\n---\n"
#define NAMED(name, host)                                                                          \
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: Backend, metadata: {name: " name           \
    ", namespace: play}, spec: {endpoints: [{fqdn: {hostname: " host ", port: 80}}]}}\n---\n"
#define TO(name) "{group: gateway.envoyproxy.io, kind: Backend, name: " name "}"
#define ROUTE(name, path, more)                                                                    \
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: " name           \
    ", namespace: play}, spec: {parentRefs: [{name: front}], rules: [{matches: [{path: {type: "    \
    "PathPrefix, value: " path "}}], " more "}]}}\n---\n"
#define CALLS(name, service, more)                                                                 \
    "{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: " name           \
    ", namespace: play}, spec: {parentRefs: [{name: front, sectionName: calls}], rules: "          \
    "[{matches: [{method: {service: " service "}}], " more "}]}}\n---\n"
/* Calls to one model, and what asks who may call any. */
#define MODELS(name, model, more)                                                                  \
    "{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: " name           \
    ", namespace: play}, spec: {parentRefs: [{name: front, sectionName: calls}], rules: "          \
    "[{matches: [{headers: [{name: x-ai-eg-model, value: " model "}]}], " more "}]}}\n---\n"
#define SECURITY(name, more)                                                                       \
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: SecurityPolicy, metadata: {name: " name    \
    ", namespace: play}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, " \
    "name: " name "}], " more "}}\n---\n"
#define MIRROR "filters: [{type: RequestMirror, requestMirror: {backendRef: " TO("copy") "}}], "

#define MIRROR_STREAMS                                                                             \
    "filters: [{type: RequestMirror, requestMirror: {percent: 50, backendRef: " TO(                \
        "streams") "}}], "

#define SPARE(name, port)                                                                          \
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: Backend, metadata: {name: " name           \
    ", namespace: play}, spec: {fallback: true, endpoints: [{ip: {address: 127.0.0.1, port: " port \
    "}}]}}\n---\n"

#define PLAIN                                                                                      \
    BACKEND("ill", "8")                                                                            \
    SPARE("spare", "9")                                                                            \
    ROUTE("ill", "/ill", "backendRefs: [" TO("ill") ", " TO("spare") "]")                          \
    BACKEND("plain", "1")                                                                          \
    BACKEND("copy", "2")                                                                           \
    BACKEND("judge", "3")                                                                          \
    BACKEND("dead", "4")                                                                           \
    STREAMS("streams", "6")                                                                        \
    STREAMS("asker", "7")                                                                          \
    NAMED("named", "named.play")                                                                   \
    ROUTE("streams", "/streams", MIRROR_STREAMS "backendRefs: [" TO("streams") "]")                \
    CALLS("calls", "play.Talk", "backendRefs: [" TO("streams") "]")                                \
    MODELS("models", "iris", MIRROR_STREAMS "backendRefs: [" TO("streams") "]")                    \
    ROUTE("asked", "/asked", "backendRefs: [" TO("plain") "]")                                     \
    ROUTE("plain", "/plain", "backendRefs: [" TO("plain") "]")                                     \
    ROUTE("two", "/two", "backendRefs: [" TO("plain") ", " TO("copy") "]")                         \
    ROUTE("timed", "/timed",                                                                       \
          "timeouts: {request: 4s, backendRequest: 2s}, backendRefs: [" TO("plain") "]")           \
    ROUTE("mirror", "/mirror", MIRROR "backendRefs: [" TO("plain") "]")                            \
    ROUTE("key", "/key", "backendRefs: [" TO("plain") "]")                                         \
    ROUTE("judged", "/judged", MIRROR "backendRefs: [" TO("plain") "]")                            \
    ROUTE("dead", "/dead", "backendRefs: [" TO("dead") "]")                                        \
    ROUTE("named", "/named", "backendRefs: [" TO("named") "]")                                     \
    ROUTE("again", "/again", "backendRefs: [" TO("plain") ", " TO("streams") "]")                  \
    ROUTE("whole", "/whole", "backendRefs: [" TO("plain") "]")                                     \
    ROUTE("faulty", "/faulty", "backendRefs: [" TO("plain") "]")                                   \
    ROUTE("limited", "/limited", "backendRefs: [" TO("plain") "]")                                 \
    ROUTE("elsewhere", "/elsewhere",                                                               \
          "filters: [{type: RequestRedirect, requestRedirect: {statusCode: 301, hostname: x.y}}]") \
    ROUTE("changed", "/changed",                                                                   \
          "filters: [{type: URLRewrite, urlRewrite: {hostname: a.b, path: {type: "                 \
          "ReplacePrefixMatch, replacePrefixMatch: /z}}}, {type: ResponseHeaderModifier, "         \
          "responseHeaderModifier: {set: [{name: x-set, value: v}], remove: [x-gone]}}], "         \
          "backendRefs: [" TO("plain") "]")                                                        \
    SECURITY("key", "apiKeyAuth: {credentialRefs: [{name: keys}], extractFrom: [{headers: "        \
                    "[x-api-key]}, {params: [key]}, {cookies: [key]}]}")                           \
    SECURITY("judged", "extAuth: {headersToExtAuth: [x-id], http: {backendRefs: [" TO(             \
                           "judge") "], headersToBackend: [x-said]}}")                             \
    SECURITY("asked", "extAuth: {grpc: {backendRefs: [" TO("asker") "]}}")

#define AI_BACKEND(name, schema)                                                                   \
    BACKEND(name, "5")                                                                             \
    "{apiVersion: aigateway.envoyproxy.io/v1alpha1, kind: AIServiceBackend, metadata: "            \
    "{name: " name ", namespace: play}, spec: {schema: {name: " schema                             \
    "}, backendRef: " TO(name) "}}\n---\n"
#define MODEL(name, refs)                                                                          \
    "{matches: [{headers: [{type: Exact, name: x-ai-eg-model, value: " name                        \
    "}]}], backendRefs: [" refs "]}"
#define AI(more)                                                                                   \
    AI_BACKEND("open", "OpenAI")                                                                   \
    AI_BACKEND("anth", "Anthropic")                                                                \
    "{apiVersion: aigateway.envoyproxy.io/v1alpha1, kind: AIGatewayRoute, metadata: {name: ai, "   \
    "namespace: play}, spec: {parentRefs: [{name: front, kind: Gateway, group: "                   \
    "gateway.networking.k8s.io}], llmRequestCosts: [{metadataKey: all, type: TotalToken}], "       \
    "rules: [" MODEL("m-open", "{name: open}") ", " MODEL("m-anth", "{name: anth}") ", " MODEL(    \
        "m-both",                                                                                  \
        "{name: anth}, {name: open, priority: 1}") ", " MODEL("m-served",                          \
                                                              "{name: open, modelNameOverride: "   \
                                                              "other}") more "]}}\n---\n"

#define LIMIT(requests, response)                                                                  \
    "{limit: {requests: " requests ", unit: Hour}, shared: true, cost: {request: {from: Number, "  \
    "number: 1}, response: " response "}}"
#define TRAFFIC(name, group, kind, more, rules)                                                    \
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: BackendTrafficPolicy, metadata: "          \
    "{name: " name ", namespace: play}, spec: {targetRefs: [{group: " group ", kind: " kind        \
    ", name: " name "}], " more "rateLimit: {type: Global, global: {rules: [" rules "]}}}}\n---\n"

/* Further tries of what fails so; a pause of up to 2 s. */
#define RETRY                                                                                      \
    "retry: {perRetry: {timeout: 3s, backOff: {baseInterval: 1s, maxInterval: 2s}}, "              \
    "numAttemptsPerPriority: 2, retryOn: {triggers: [5xx, reset, retriable-4xx], "                 \
    "httpStatusCodes: [429]}}, circuitBreaker: {maxParallelRetries: 2}"
/* Delays and refusals on purpose, and answers in the place of others. */
#define FAULTS                                                                                     \
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: BackendTrafficPolicy, metadata: "          \
    "{name: faulty, namespace: play}, spec: {targetRefs: [{group: gateway.networking.k8s.io, "     \
    "kind: HTTPRoute, name: faulty}], faultInjection: {delay: {fixedDelay: 1s, percentage: 60}, "  \
    "abort: {httpStatus: 503, percentage: 20}}, responseOverride: [{match: {statusCodes: [{type: " \
    "Range, range: {start: 500, end: 599}}]}, response: {statusCode: 200, body: {inline: sorry}}}" \
    "]}}\n---\n"
/* Requests stick to one of two backends, or are shared out; the tables are small, to be quick. */
#define BY_COOKIE                                                                                  \
    "loadBalancer: {type: ConsistentHash, consistentHash: {type: Cookie, cookie: {name: c, ttl: "  \
    "1h}, tableSize: 101}}, "
#define BALANCER(name, how)                                                                        \
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: BackendTrafficPolicy, metadata: "          \
    "{name: balancer-" name ", namespace: play}, spec: {targetRefs: [{group: "                     \
    "gateway.networking.k8s.io, kind: HTTPRoute, name: " name "}], loadBalancer: {" how "}}}"      \
    "\n---\n"
#define BALANCERS_FIRST                                                                            \
    BALANCER("two", "type: RoundRobin, slowStart: {window: 5s}")                                   \
    BALANCER("named", "type: ConsistentHash, consistentHash: {type: SourceIP, tableSize: 101}")
#define BALANCERS_SECOND                                                                           \
    BALANCER("two", "type: ConsistentHash, consistentHash: {type: QueryParams, queryParams: "      \
                    "[{name: key}], tableSize: 103}")                                              \
    BALANCER("named", "type: LeastRequest, slowStart: {window: 5s}")
#define RETRIES                                                                                    \
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: BackendTrafficPolicy, metadata: "          \
    "{name: again, namespace: play}, spec: {targetRefs: [{group: gateway.networking.k8s.io, "      \
    "kind: HTTPRoute, name: again}], " BY_COOKIE RETRY "}}\n---\n"                                 \
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: BackendTrafficPolicy, metadata: "          \
    "{name: whole, namespace: play}, spec: {targetRefs: [{group: gateway.networking.k8s.io, "      \
    "kind: HTTPRoute, name: whole}], requestBuffer: {limit: 100Ki}, " RETRY "}}\n---\n"

#define BREAKER(kind, name, bounds)                                                                \
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: BackendTrafficPolicy, metadata: "          \
    "{name: breaker-" name ", namespace: play}, spec: {targetRefs: [{group: "                      \
    "gateway.networking.k8s.io, kind: " kind ", name: " name "}], circuitBreaker: {" bounds "}}}"  \
    "\n---\n"

/* Endpoints that answer with a failure are ejected, all of them if need be. */
#define HEALTH(errors, more)                                                                       \
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: BackendTrafficPolicy, metadata: "          \
    "{name: ill, namespace: play}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: "  \
    "HTTPRoute, name: ill}], " more "healthCheck: {panicThreshold: 0, passive: {"                  \
    "consecutive5XxErrors: " errors ", consecutiveGatewayErrors: 1, "                              \
    "consecutiveLocalOriginFailures: " errors ", splitExternalLocalOriginErrors: true, "           \
    "maxEjectionPercent: 100, baseEjectionTime: 3s, interval: 1s}}}}\n---\n"

#define BREAKERS_FIRST                                                                             \
    BREAKER("HTTPRoute", "timed",                                                                  \
            "maxConnections: 1, maxPendingRequests: 2, maxParallelRequests: 3")                    \
    BREAKER("HTTPRoute", "mirror",                                                                 \
            "maxConnections: 2, maxPendingRequests: 0, maxRequestsPerConnection: 2")               \
    BREAKER("HTTPRoute", "streams", "maxConnections: 1, maxPendingRequests: 3")                    \
    BREAKER("GRPCRoute", "calls", "maxParallelRequests: 1")
#define BREAKERS_SECOND                                                                            \
    BREAKER("HTTPRoute", "timed", "maxConnections: 2, maxParallelRequests: 2")                     \
    BREAKER("HTTPRoute", "mirror", "perEndpoint: {maxConnections: 1}")                             \
    BREAKER("HTTPRoute", "streams", "maxConnections: 1, maxRequestsPerConnection: 3")

static const char first[] = COMMON PLAIN RETRIES FAULTS HEALTH("1", "")
    BALANCERS_FIRST BREAKERS_FIRST AI("") TRAFFIC("limited", "gateway.networking.k8s.io",
                                                  "HTTPRoute", "",
                                                  LIMIT("20", "{from: Number, number: 2}"))
        TRAFFIC("ai", "gateway.networking.k8s.io", "HTTPRoute", "",
                LIMIT("5000",
                      "{from: Metadata, metadata: {namespace: io.envoy.ai_gateway, key: all}}"));

static const char second[] = COMMON PLAIN RETRIES FAULTS HEALTH("2", RETRY ", ")
    BALANCERS_SECOND BREAKERS_SECOND AI(", " MODEL("m-new", "{name: open}")) TRAFFIC(
        "limited", "gateway.networking.k8s.io", "HTTPRoute", "",
        LIMIT("5", "{from: Number, number: 1}"))
        TRAFFIC(
            "ai", "gateway.networking.k8s.io", "HTTPRoute", RETRY ", ",
            LIMIT("300", "{from: Metadata, metadata: {namespace: io.envoy.ai_gateway, key: all}}"));

const struct str world_manifests[WORLD_SNAPSHOTS] = {
    {first, sizeof first - 1},
    {second, sizeof second - 1},
};
