/* The access record: all facts of one request as plain values, one for each request whatever its
 * end. Metrics and access logs are fed from it and from nothing else. Borrowed until the request's
 * last step is over. Empty texts are facts that are absent. */
#pragma once

#include "base/str.h"

enum { LOG_TOKENS_UNKNOWN = -1 };

/* A cost of an AIGatewayRoute's llmRequestCosts, as it was charged. */
struct access_cost {
    struct str key;
    uint64_t value;
};

struct access_record {
    int64_t start_wall_us; /* unix time of the first byte of the head */
    struct str method;
    struct str path;          /* as routed, without query */
    struct str query;         /* without the question mark */
    struct str original_path; /* as received, query included */
    struct str protocol;      /* "HTTP/1.1" */
    uint16_t status;          /* 0: no head was sent; of a refusal told to gRPC: its own, not 200 */
    bool has_grpc_status;     /* a call of gRPC that was answered */
    uint32_t grpc_status;     /* as told, else as gRPC reads such an answer */
    struct str grpc_camel;    /* its names, "PermissionDenied"; empty: it has none */
    struct str grpc_snake;    /* "PERMISSION_DENIED" */
    struct str details;       /* one word for why the answer is what it is */
    struct str refusal;       /* the gateway's own; empty: it did not refuse */
    struct str flags;         /* Envoy's short codes, separated by commas; "-" when none */
    struct str termination;   /* why the connection ended, when that was our decision */
    uint64_t bytes_received;  /* content */
    uint64_t bytes_sent;      /* head and content */
    uint64_t duration_us;
    uint64_t upstream_us; /* from the attempt's start to the answer's first byte */
    bool has_upstream;
    uint32_t n_attempts;
    struct str upstream_host; /* address and port */
    struct str upstream_local;
    struct str upstream_cluster;
    uint16_t upstream_status;    /* of the last attempt; 0: it has no head */
    struct str upstream_error;   /* one word for how the last attempt failed */
    struct str upstream_failure; /* of its transport */
    struct str listener_name;
    struct str route_name;
    struct str remote;      /* the peer, address and port */
    struct str remote_ip;   /* the client as detected */
    struct str local;       /* address and port */
    struct str server_name; /* SNI */
    struct str authority;
    struct str user_agent;
    struct str forwarded_for;
    struct str request_id;
    struct str tenant; /* of a verified claim */
    struct str model;
    bool is_model_named;     /* by a rule, so that it is no invention of the client's */
    struct str subject;      /* of a verified token */
    struct str operation;    /* gen_ai.operation.name; empty: no AI request. Static */
    struct str provider;     /* gen_ai.provider.name. Static */
    bool is_stream;          /* the answer is an event stream */
    struct str model_served; /* as the answer names it */
    struct str ai_service;   /* that answered, "namespace/name" */
    int64_t tokens_in;       /* LOG_TOKENS_UNKNOWN: not counted */
    int64_t tokens_cached;   /* of tokens_in */
    int64_t tokens_out;
    int64_t tokens_reasoning; /* of tokens_out */
    int64_t tokens_total;
    struct str tokens_source; /* "provider", "estimated"; empty: not counted */
    int64_t first_token_us;   /* from the head's first byte to the answer's first content */
    const struct access_cost *costs;
    size_t n_costs;
    const void *context; /* for the look-ups */
    /* A header's value by its lower-case name; STR_NULL when absent. NULL: none at all. */
    struct str (*request_header)(const void *context, struct str name);
    struct str (*response_header)(const void *context, struct str name);
    struct str (*response_trailer)(const void *context, struct str name);
};
