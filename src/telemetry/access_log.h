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

/* What happened when, of the last attempt where it concerns one. Names as Envoy's COMMON_DURATION
 * has them: downstream or upstream, received or sent. */
enum access_point {
    ACCESS_DS_RX_BEG, /* the first byte of the request's head */
    ACCESS_DS_RX_END, /* the last byte of its content */
    ACCESS_US_TX_BEG, /* its head goes to the endpoint: there is a connection */
    ACCESS_US_TX_END, /* the last byte of its content was handed to that */
    ACCESS_US_RX_BEG, /* the answer's head */
    ACCESS_US_RX_END, /* its last byte */
    ACCESS_DS_TX_BEG, /* the answer's head goes to the client */
    ACCESS_DS_TX_END, /* the request is over */
    ACCESS_POINT_COUNT_,
};
#define ACCESS_NEVER UINT64_MAX

/* Of a client's verified certificate. */
struct access_peer {
    struct str subject;
    struct str hash;        /* SHA-256, hex */
    struct str certificate; /* PEM, percent-encoded */
    const struct str *uris; /* alternative names */
    const struct str *dns_names;
    const struct str *local_uris; /* of our own */
    size_t n_uris;
    size_t n_dns_names;
    size_t n_local_uris;
};

enum access_headers { ACCESS_REQUEST_HEADERS, ACCESS_RESPONSE_HEADERS, ACCESS_RESPONSE_TRAILERS };

struct access_record {
    bool is_connection;    /* it is of a connection that has ended, not of a request */
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
    uint64_t bytes_sent;      /* content */
    uint64_t duration_us;
    uint64_t points_us[ACCESS_POINT_COUNT_]; /* after the first; ACCESS_NEVER: it did not come */
    uint64_t pool_us;     /* until the attempt had a connection; ACCESS_NEVER: it got none */
    uint64_t upstream_us; /* from the attempt's start to the answer's first byte */
    bool has_upstream;
    uint32_t n_attempts;
    struct str upstream_host; /* address and port */
    struct str upstream_local;
    struct str upstream_cluster;
    struct str upstream_protocol;    /* "HTTP/2"; empty: no head was sent */
    struct str upstream_tls_version; /* "TLSv1.3"; empty: no TLS */
    struct str upstream_tls_cipher;  /* by OpenSSL's name */
    uint16_t upstream_status;        /* of the last attempt; 0: it has no head */
    struct str upstream_error;       /* one word for how the last attempt failed */
    struct str upstream_failure;     /* of its transport */
    struct str listener_name;
    struct str route_name;
    struct str remote;      /* the peer, address and port */
    struct str remote_ip;   /* the client as detected */
    struct str local;       /* address and port */
    struct str server_name; /* SNI */
    struct str tls_version; /* as upstream_tls_version */
    struct str tls_cipher;
    struct str tls_failure;         /* of a connection: why its handshake failed */
    const struct access_peer *peer; /* NULL: the client has shown no certificate, or a bad one */
    uint64_t connection_id;         /* unlike that of any other connection of the process */
    struct str authority;
    struct str user_agent;
    struct str forwarded_for;
    struct str request_id;
    struct str tenant; /* of a verified claim */
    struct str model;
    bool is_model_named;       /* by a rule, so that it is no invention of the client's */
    struct str subject;        /* of a verified token */
    struct str operation;      /* gen_ai.operation.name; empty: no AI request. Static */
    struct str provider;       /* gen_ai.provider.name. Static */
    bool is_stream;            /* the answer is an event stream */
    struct str model_served;   /* as the answer names it */
    struct str ai_service;     /* that answered, "namespace/name" */
    struct str model_override; /* the name that it was asked for instead */
    int64_t tokens_in;         /* LOG_TOKENS_UNKNOWN: not counted */
    int64_t tokens_cached;     /* of tokens_in */
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
    uint64_t (*headers_bytes)(const void *context, enum access_headers which); /* as Envoy counts */
};
