/* Is what became of a try a reason for another one? Of a policy's triggers and statuses, of what
 * failed, and of whether the request may have been processed already: what is not idempotent is
 * never sent again after its bytes were, unless the backend answered with such a status or said
 * that it had not looked at it. How often, when, and whether its content is still at hand is left
 * to the caller. Pure. Source: Envoy Gateway API, "RetryOn"; Envoy, "x-envoy-retry-on" and
 * "x-envoy-retry-grpc-on". */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a policy names, as bits. */
enum retry_condition {
    RETRY_IF_5XX = 1 << 0,           /* a status from 500, or no answer at all */
    RETRY_IF_GATEWAY_ERROR = 1 << 1, /* 502, 503, 504, or no answer at all */
    RETRY_IF_RESET = 1 << 2,         /* no answer at all */
    RETRY_IF_RESET_BEFORE_REQUEST = 1 << 3,
    RETRY_IF_CONNECT_FAILURE = 1 << 4,
    RETRY_IF_RETRIABLE_4XX = 1 << 5, /* 409 */
    RETRY_IF_REFUSED_STREAM = 1 << 6,
    RETRY_IF_CANCELLED = 1 << 7, /* from here on: of gRPC, in a head that ends the call */
    RETRY_IF_DEADLINE_EXCEEDED = 1 << 8,
    RETRY_IF_INTERNAL = 1 << 9,
    RETRY_IF_RESOURCE_EXHAUSTED = 1 << 10,
    RETRY_IF_UNAVAILABLE = 1 << 11,
};

struct retry_rule {
    uint32_t conditions;   /* enum retry_condition */
    const uint16_t *codes; /* statuses, whatever the conditions say */
    size_t n_codes;
};

/* Name, word (metrics). */
#define RETRY_FAILURES(X)                                                                          \
    X(NONE, "none")                     /* nothing that any rule names */                          \
    X(NOT_CONNECTED, "connect_failure") /* no connection, TLS included: nothing was sent */        \
    X(REFUSED, "refused_stream")        /* unprocessed, as the backend says (RFC 9113 8.7) */      \
    X(RESET, "reset")                   /* ended without an answer, or with one that is none */    \
    X(TIMED_OUT, "timeout")             /* the time of the try was over */                         \
    X(ANSWERED, "status")               /* with a status of HTTP or, if it has one, of gRPC */

enum retry_failure {
#define X(name, word) RETRY_##name,
    RETRY_FAILURES(X)
#undef X
};

/* A try that has ended. */
struct retry_case {
    enum retry_failure failure;
    uint16_t status;    /* ANSWERED */
    int grpc_status;    /* ANSWERED: of a head that is the whole answer; -1: none */
    bool was_sent;      /* bytes of the request may have reached the backend */
    bool is_idempotent; /* the request's method (RFC 9110 9.2.2) */
};

extern const char *const retry_failure_words[]; /* by enum retry_failure */

bool retry_rule_applies(const struct retry_rule *r, const struct retry_case *c);
