/* The compiled configuration that requests run on. All plans are immutable once published and read
 * by all workers. Three of them are refcounted on their own, so that a long stream keeps only what
 * it uses: listener_plan, route_plan (all rules of one route), and through them backends and key
 * feeds. */
#pragma once

#include <stdatomic.h>

#include "auth/jwt.h"
#include "base/vec.h"
#include "gateway/layer/layer_plan.h"
#include "http/path.h"
#include "llm/ai_endpoint.h"
#include "llm/body_edit.h"
#include "llm/cost.h"
#include "llm/translate/path.h"
#include "net/socket.h"
#include "policy/authorize.h"
#include "policy/client_address.h"
#include "policy/cors.h"
#include "policy/header_mods.h"
#include "policy/headers/header_edit.h"
#include "policy/name_set.h"
#include "policy/redirect.h"
#include "policy/rewrite.h"
#include "policy/weights.h"
#include "upstream/cluster.h"
#include "upstream/key_feed.h"

/* What a ClientTrafficPolicy says of clients that speak HTTP/2. */
struct client_h2_plan {
    uint32_t stream_window; /* bytes */
    uint32_t connection_window;
    uint32_t n_streams_max;
    bool keeps_connection;   /* a malformed message ends its stream alone */
    bool pings_idle;         /* also while no request is under way */
    uint64_t ping_us;        /* silence after which the client is sent a PING */
    uint32_t ping_jitter_us; /* up to so much longer, at random */
    uint64_t ping_answer_us;
};

/* What becomes of a request whose path has %2F. */
enum escaped_slash { ESCAPED_SLASH_REFUSED, ESCAPED_SLASH_FORWARDED, ESCAPED_SLASH_REDIRECTED };

/* Whether connections begin with the PROXY protocol. */
enum proxy_mode { PROXY_MODE_NONE, PROXY_MODE_OPTIONAL, PROXY_MODE_REQUIRED };

/* And of all clients of one port. */
struct client_plan {
    struct client_address_policy address;
    bool allows_underscore;    /* header names with '_' are read */
    bool drops_underscore;     /* and removed at admission */
    bool keeps_request_id;     /* a client's own X-Request-Id is kept */
    bool omits_request_id;     /* where there is none, none is made */
    bool omits_forwarded_for;  /* X-Forwarded-For goes on as it came */
    uint32_t head_bytes_limit; /* 0: the default */
    uint64_t idle_us;
    uint64_t head_us;
    uint64_t received_us;    /* of a whole request; 0: none */
    uint64_t silence_us;     /* inside it, and of an answer that is not taken */
    uint64_t stream_idle_us; /* of an exchange whose route says nothing of it; 0: the default */
    enum proxy_mode proxy_mode;
    struct socket_options socket;
    uint32_t n_accepts_max;    /* in one turn of a worker; 0: the default */
    bool tells_backend_scheme; /* backends are told the scheme of their own connection */
    bool omits_trailers;       /* over HTTP/1, both ways */
    bool ignores_websocket;    /* such an upgrade of HTTP/1 is served as a request of its own */
    bool ends_when_old;        /* beyond connection_us no request is waited for */
    bool keeps_case;           /* header names stay as they are spelt, both ways over HTTP/1 */
    bool strips_host_dot;      /* also of the authority that backends are told */
    enum escaped_slash escaped_slash;
    bool keeps_slashes;           /* `//` stays in paths, for matches, rules and backends */
    uint8_t path_reading;         /* http/path.h: of this and of others of its port */
    struct str default_host;      /* of a request of HTTP/1.0 without one; empty: it has none */
    struct str health_path;       /* that the gateway answers itself; empty: none */
    uint64_t inspect_us;          /* for a PROXY header, for the first bytes of TLS */
    uint64_t handshake_us;        /* for all of the handshake */
    uint32_t connection_limit;    /* per port and process */
    uint64_t close_delay_us;      /* before one beyond it is closed */
    uint64_t connection_us;       /* of a connection; 0: none */
    uint32_t n_requests_max;      /* of a connection; 0: any number */
    uint64_t stream_us;           /* of a request with its answer; 0: none */
    uint32_t buffer_bytes;        /* of a connection in each direction, but for one read */
    uint32_t held_bytes;          /* of an AI request's body, before it is released as it comes */
    bool tells_envoy;             /* x-envoy headers: to backends, in answers; none of a client's */
    bool omits_limit_headers;     /* answers go without x-ratelimit headers */
    bool tells_certificate;       /* backends get x-forwarded-client-cert of a verified one */
    uint32_t certificate_details; /* of it, as struct forwarded_client_cert has them */
    const struct header_edits *early_edits; /* of requests, before anything is read of them */
    const struct header_edits *late_edits;  /* of answers, whosesoever; NULL: none */
    struct client_h2_plan h2;
};

/* How paths of the manifests are read, so that they are spelt like those of its requests. */
static inline unsigned client_path_reading(const struct client_plan *c)
{
    return c->keeps_slashes ? PATH_KEEPS_EMPTY : 0;
}

/* One accepted issuer of an authentication. */
struct jwt_plan {
    struct jwt_provider provider;
    struct key_feed *keys;      /* referenced by the route plan */
    bool is_default_source;     /* Authorization: Bearer */
    struct str *source_headers; /* names, with prefixes in source_prefixes */
    struct str *source_prefixes;
    uint32_t n_source_headers;
    struct str *source_cookies;
    uint32_t n_source_cookies;
    struct str *source_params;
    uint32_t n_source_params;
    struct str *claim_headers; /* lower-case */
    struct str *claim_paths;
    uint32_t n_claim_headers;
    uint64_t identity; /* of issuer, audiences and feed: key of the token memory */
};

/* Providers are alternatives. Two policies that ask the same have equal ids, so that each distinct
 * authentication runs once per exchange. */
struct authentication {
    uint64_t id;
    struct jwt_plan *providers;
    uint32_t n_providers;
    bool is_optional;
};

struct security_plan {
    struct str policy;                           /* "SecurityPolicy/ns/name" */
    const struct authentication *authentication; /* NULL: none */
    const struct authorization *authorization;   /* NULL: none */
    const struct cors *cors;
    bool is_unavailable; /* invalid or not enforced: refuses */
    struct str why;
};

/* A header that presents a backend's own credential. The value is a secret: it never goes into logs
 * or /config, and is overwritten when the route goes. */
struct credential_plan {
    struct str header; /* lower-case; empty: none */
    struct str value;
};

/* How a backend is spoken to as an AI service (AIServiceBackend, with what the route says of it).
 */
struct ai_backend_plan {
    struct str name;                        /* "namespace/name" of the AIServiceBackend */
    struct translate_target target;         /* its schema */
    struct str model;                       /* the model that it gets; empty: the one asked for */
    const struct header_mods *service_mods; /* the service's first: the route has the last word */
    const struct header_mods *route_mods;
    const struct body_field *set; /* top-level fields of the body */
    size_t n_set;
    const struct str *remove;
    size_t n_remove;
    struct credential_plan credential;
    uint64_t request_us; /* of the AIServiceBackend's older form, 0: none */
    uint64_t backend_request_us;
};

enum backend_validity {
    BACKEND_VALID,
    BACKEND_INVALID,
    BACKEND_NOT_ENFORCED, /* of what guards it */
    BACKEND_UNSUPPORTED,  /* of a kind that is not served */
};

struct backend_plan {
    struct cluster *cluster;    /* NULL: its share is refused */
    struct cluster *cluster_h2; /* of requests by HTTP/2; NULL: as all others */
    enum backend_validity validity;
    uint32_t number; /* as rule_plan.number */
    uint32_t weight; /* among those of its priority */
    struct str name; /* "Service/ns/name:80" */
    const struct header_mods *request_mods;
    const struct header_mods *response_mods;
    struct str host;      /* the backend's own name, for rewrites that ask for it; empty: none */
    bool withholds_token; /* an AIServiceBackend's: the caller's token stays here */
    const struct ai_backend_plan *ai; /* NULL: no AI service */
};

/* The backends of one priority: tried together, by weight. */
struct priority_plan {
    uint32_t first; /* in the rule's backends */
    struct weights weights;
};

struct mirror_plan {
    struct cluster *cluster;
    uint32_t numerator; /* share of requests: numerator / denominator */
    uint32_t denominator;
};

/* What hangs on the model that a request asks for. Where it cannot be read nobody passes whom it
 * decides on, and no rule takes what another may be meant for. */
enum model_use {
    MODEL_JUDGED = 1,  /* who passes */
    MODEL_MATCHED = 2, /* whether the rule is met */
    MODEL_COUNTED = 4, /* a limit */
};

/* An answer that the configuration writes. */
struct direct_plan {
    uint16_t status;
    struct str body;
    struct str type;                /* empty: text/plain */
    const struct header_mods *mods; /* NULL: none */
};

struct limit_plan;     /* gateway/limit.h */
struct breaker_limits; /* upstream/breaker/breaker.h */
struct retry_plan;     /* gateway/traffic/retry_plan.h */
struct override_plan;  /* gateway/traffic/override_plan.h */
struct affinity_plan;  /* gateway/traffic/affinity_plan.h */
struct compress_plan;  /* gateway/traffic/compress_plan.h */
struct fault_plan;     /* gateway/traffic/fault.h */
struct pick_rule;      /* upstream/balance/pick.h */
struct upgrade_plan;   /* gateway/traffic/upgrade.h */

struct rule_plan {
    struct route_plan *route;
    struct str name;     /* of the rule, may be empty */
    struct str log_name; /* "httproute/ns/name/rule/0" */
    uint32_t index;
    uint32_t number;     /* of the snapshot's rules and their backends, for arrays by them */
    bool is_ai;          /* of an AIGatewayRoute */
    bool has_lost_guard; /* a check in front of a backend has no place: refuses */
    unsigned model_uses; /* enum model_use, as flags */
    bool is_broken;      /* refuses with 500 */
    struct str why_broken;
    const struct security_plan *security; /* NULL: none */
    const struct limit_plan *limits;      /* NULL: none */
    const struct breaker_limits *breaker; /* NULL: none */
    const struct pick_rule *pick;         /* how endpoints are chosen; NULL: least request */
    const struct affinity_plan *affinity; /* requests stick to them; NULL: they do not */
    struct layer_plan *layers;            /* NULL: none */
    const struct cors *cors; /* of the route's CORS filter, else the SecurityPolicy's */
    const struct header_mods *request_mods;
    const struct header_mods *response_mods;
    const struct path_rewrite *path_rewrite;
    const struct host_rewrite *host_rewrite;
    const struct redirect *redirect;
    const struct direct_plan *direct; /* NULL: none */
    struct mirror_plan *mirrors;
    uint32_t n_mirrors;
    struct backend_plan *backends;
    uint32_t n_backends; /* ordered by priority */
    struct priority_plan *priorities;
    uint32_t n_priorities;       /* 0: no backend */
    uint64_t request_us;         /* total, 0: none (HTTPRoute timeouts.request) */
    uint64_t backend_request_us; /* one attempt, 0: none */
    uint64_t policy_request_us;  /* BackendTrafficPolicy requestTimeout: see behaviours in docs */
    uint64_t connect_us;         /* 0: default */
    uint64_t stream_idle_us;
    uint64_t stream_us;            /* of a stream, from when it is sent; 0: any */
    uint64_t connection_idle_us;   /* 0: the default */
    uint64_t request_buffer_bytes; /* content that is held until it is whole; 0: as it comes */
    uint64_t keep_alive_us; /* silence of an event stream after which a comment is sent; 0: none */
    const struct fault_plan *fault;        /* NULL: none */
    const struct retry_plan *retry;        /* NULL: none */
    const struct override_plan *overrides; /* NULL: none */
    const struct compress_plan *compress;  /* NULL: none */
    const struct upgrade_plan *upgrades;   /* NULL: WebSocket alone */
};

/* One of an AIGatewayRoute's llmRequestCosts. */
struct cost_plan {
    struct str metadata_key; /* under io.envoy.ai_gateway */
    enum cost_type type;
    const struct cel_expr *expr; /* COST_CEL */
};
/* In the order of the manifest. */
struct cost_list {
    const struct cost_plan *items;
    uint32_t n;
};

/* All rules of one route as one listener serves them. Refcounted: by its listener, and by exchanges
 * that are pinned (exchange_pin). */
struct route_plan {
    _Atomic uint32_t n_refs;
    struct arena arena;
    struct str name;  /* "namespace/name" */
    struct str label; /* "HTTPRoute/namespace/name" */
    struct rule_plan *rules;
    uint32_t n_rules;
    struct cost_list costs;
};

struct route_plan *route_plan_new(void);
struct route_plan *route_plan_ref(const struct route_plan *p);
/* Any thread; NULL is nothing. */
void route_plan_unref(const struct route_plan *p);

struct log_format; /* telemetry/log_format.h */

/* One access log of an EnvoyProxy, or the default. */
struct access_log_plan {
    const struct log_format *format;
    uint32_t sink;        /* of the log writer */
    bool is_of_unmatched; /* of connections: those that no listener took */
    uint32_t n_matches;
    const struct cel_expr *const *matches; /* log_match.h; it takes what one of them holds for, all
                                              requests when there are none */
};

struct route_table;
struct trace_plan; /* gateway/trace/trace_plan.h */

/* A model that an AIGatewayRoute of the listener names: for the list of models. */
struct model_plan {
    struct str name;
    struct str owned_by;
    int64_t created_unix_s;
};

struct listener_plan {
    _Atomic uint32_t n_refs;
    struct arena arena;
    struct arena routing;  /* of what only routing needs: goes with the snapshot */
    struct str name;       /* "namespace/gateway/listener" */
    struct str hostname;   /* lower-case pattern, empty: any */
    uint32_t index;        /* in the snapshot: metrics */
    uint64_t tls_identity; /* of its TLS rules: hosts whose rules differ are misdirected (421) */
    uint64_t client_rule;  /* on clients' certificates (net/tls.h); 0: none is asked for */
    const struct route_table *routes;
    bool has_ai_routes;            /* AIGatewayRoutes are attached */
    VEC(struct model_plan) models; /* in `routing` */
    struct cost_list costs; /* of the first AIGatewayRoute with some: where the route has none */
    const struct authentication **authentications; /* by auth_group - 1 */
    uint32_t n_authentications;
    struct name_set late_headers;
    uint32_t own_initials; /* bit (first byte & 31) of each name that only the gateway writes */
    struct name_set credential_names; /* headers and parameters that no log shows */
    struct client_plan client;
    const struct access_log_plan *logs;
    uint32_t n_logs;
    const struct access_log_plan *connection_logs;
    uint32_t n_connection_logs;
    bool logs_connections;           /* some of these, whatever became of them */
    bool logs_peer;                  /* some of them reads clients' certificates, or may */
    const struct trace_plan *trace;  /* NULL: nothing is traced */
    struct route_plan **route_plans; /* one reference each */
    uint32_t n_route_plans;
};

struct listener_plan *listener_plan_new(void);
struct listener_plan *listener_plan_ref(const struct listener_plan *p);
void listener_plan_unref(const struct listener_plan *p);
/* Is this a header that only the gateway writes: a late one of the listener, or any x-ai-eg-*?
 * Spelling as in name_set. */
bool listener_plan_is_late(const struct listener_plan *p, struct str name);
/* After the last late header: what listener_plan_is_own() looks at first. */
void listener_plan_note_initials(struct listener_plan *p);
/* Is this a header that no client may write or name in Connection: a late one, or
 * x-forwarded-client-cert, which only who ends TLS can know, or of x-envoy where those are told? */
bool listener_plan_is_own(const struct listener_plan *p, struct str name);
/* Is this a header (or trailer) that no client may bring: one of those, or one that its
 * ClientTrafficPolicy drops? */
bool listener_plan_drops(const struct listener_plan *p, struct str name);
/* The snapshot goes: so do route table and routes, whatever streams still hold the listener. */
void listener_plan_close(struct listener_plan *p);
