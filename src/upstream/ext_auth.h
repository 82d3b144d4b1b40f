/* External authorization: one call that asks a service whether a request may pass, and never tells
 * it the content. A service that cannot be reached, takes too long, sends interim answers for ever
 * or more content than LIMIT_EXT_AUTH_ANSWER_BYTES has said nothing; but a no whose content breaks
 * off stays a no.
 *
 * Over HTTP it gets method, host, path, Authorization and the headers that the policy names. A 2xx
 * says yes; any other status says no, and that answer is the client's, redirects included, none of
 * which is followed. By gRPC (Envoy's Authorization/Check, version 3) it gets all headers unless
 * the policy names some, and its message says what holds (check.h); a yes on terms that are not met
 * here is a no. Worker-local, embedded in its owner's arena. Source: Envoy Gateway API,
 * "HTTPExtAuthService", "GRPCExtAuthService". */
#pragma once

#include "upstream/attempt.h"
#include "upstream/check.h"

/* Immutable. */
struct ext_auth_config {
    struct cluster *cluster;
    struct str path_prefix;   /* before the request's own path */
    struct str path_override; /* in the place of path and query; empty: none */
    struct str *headers;      /* names, lower-case, besides authorization; of gRPC: none: all */
    uint32_t n_headers;
    uint64_t timeout_us;                 /* of the whole call */
    uint64_t connect_us;                 /* of its connection */
    uint64_t idle_us;                    /* after which that is closed, unused; 0: the default */
    const struct breaker_limits *limits; /* NULL: none */
    bool is_grpc;
    struct str authority;           /* of gRPC */
    struct check_context *contexts; /* of gRPC */
    uint32_t n_contexts;
};

/* Does the policy name a header that tells the model? */
bool ext_auth_names_model(const struct ext_auth_config *c);

enum ext_auth_verdict {
    EXT_AUTH_PENDING,
    EXT_AUTH_ALLOWED,
    EXT_AUTH_DENIED,     /* attempt.response and `body` are the answer; of gRPC `answer` */
    EXT_AUTH_DENIED_CUT, /* its content did not come, or not whole; its terms are not met here */
    EXT_AUTH_FAILED,
};

struct ext_auth_call;
typedef void ext_auth_done_fn(struct ext_auth_call *e);

struct ext_auth_call {
    enum ext_auth_verdict verdict;
    const char *why; /* of CUT and FAILED: for the log */
    struct attempt attempt;
    struct str body; /* of DENIED, in the attempt's arena */
    struct check_answer answer;
    struct buf question; /* of gRPC */
    int grpc_status;     /* of its trailers; GRPC_STATUS_UNTOLD */
    struct http_request request;
    const struct ext_auth_config *config;
    ext_auth_done_fn *on_done; /* `verdict` is there */
    struct timer timer;
    struct buf held;
    uint64_t n_content_bytes;
    bool was_repeated;
    bool has_no_room; /* FAILED: for want of a connection, which is not the authorizer's fault */
};

/* Begins the call: `verdict` is PENDING and on_done follows, unless cancelled; or it is FAILED at
 * once, and nothing follows. `about` and `config` must stay until the end; the answer stands in
 * `arena`. */
void ext_auth_start(struct ext_auth_call *e, const struct ext_auth_config *config,
                    const struct check_subject *about, struct upstreams *u, struct arena *arena);
/* No completion follows. Safe in every state, and on a zeroed one. */
void ext_auth_cancel(struct ext_auth_call *e);
