/* The command operators of access-log formats (%NAME(ARGUMENT):LENGTH%), in one table. Names and
 * meaning are Envoy's ("Access logging: command operators"). */
#pragma once

#include "telemetry/access_log.h"

enum log_argument { LOG_NO_ARGUMENT, LOG_MAY_ARGUMENT, LOG_NEEDS_ARGUMENT };

/* id, argument, may be cut to a length, meaning */
#define LOG_OPERATORS(X)                                                                           \
    X(START_TIME, MAY, false, "when the request began; argument: a strftime format, UTC")          \
    X(REQ, NEEDS, true, "a request header, `X?Y`: X or else Y")                                    \
    X(REQ_WITHOUT_QUERY, NEEDS, true, "as REQ, cut at the question mark")                          \
    X(RESP, NEEDS, true, "a response header")                                                      \
    X(TRAILER, NEEDS, true, "a response trailer")                                                  \
    X(PROTOCOL, NO, false, "HTTP/1.0 or HTTP/1.1")                                                 \
    X(RESPONSE_CODE, NO, false, "status; 0 when no head was sent")                                 \
    X(RESPONSE_CODE_DETAILS, NO, false, "what decided the status")                                 \
    X(GRPC_STATUS, MAY, false,                                                                     \
      "status of a call of gRPC; argument: `CAMEL_STRING` (the default), `SNAKE_STRING`, "         \
      "`NUMBER`")                                                                                  \
    X(GRPC_STATUS_NUMBER, NO, false, "the same as a number")                                       \
    X(RESPONSE_FLAGS, NO, false, "short codes of what went wrong")                                 \
    X(CONNECTION_TERMINATION_DETAILS, NO, false, "why the gateway ended the connection")           \
    X(BYTES_RECEIVED, NO, false, "content of the request")                                         \
    X(BYTES_SENT, NO, false, "bytes of the answer")                                                \
    X(DURATION, NO, false, "milliseconds, whole request")                                          \
    X(RESPONSE_DURATION, NO, false, "milliseconds to the upstream's first byte")                   \
    X(RESPONSE_TX_DURATION, NO, false, "milliseconds from the upstream's first byte to the end")   \
    X(UPSTREAM_HOST, NO, false, "address of the endpoint")                                         \
    X(UPSTREAM_REMOTE_ADDRESS, NO, false, "as UPSTREAM_HOST")                                      \
    X(UPSTREAM_LOCAL_ADDRESS, NO, false, "our address towards the endpoint")                       \
    X(UPSTREAM_CLUSTER, NO, false, "the backend")                                                  \
    X(UPSTREAM_TRANSPORT_FAILURE_REASON, NO, false, "why the connection to the endpoint failed")   \
    X(UPSTREAM_REQUEST_ATTEMPT_COUNT, NO, false, "attempts made")                                  \
    X(ROUTE_NAME, NO, false, "the route's rule")                                                   \
    X(DOWNSTREAM_REMOTE_ADDRESS, NO, false, "the client, with the peer's port")                    \
    X(DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT, NO, false, "the client as detected")                 \
    X(DOWNSTREAM_DIRECT_REMOTE_ADDRESS, NO, false, "the peer of the connection")                   \
    X(DOWNSTREAM_LOCAL_ADDRESS, NO, false, "our address towards the client")                       \
    X(REQUESTED_SERVER_NAME, NO, false, "SNI")                                                     \
    X(DYNAMIC_METADATA, NEEDS, true,                                                               \
      "`io.envoy.ai_gateway:llm_input_token`, `llm_output_token`, `llm_total_token`; "             \
      "`tollgate:tenant`, `tollgate:jwt_sub` of verified claims and `tollgate:model`")

enum log_operator {
#define X(id, argument, may_cut, text) LOG_OP_##id,
    LOG_OPERATORS(X)
#undef X
        LOG_OP_COUNT_,
};

struct log_operator_row {
    struct str name;
    enum log_argument argument;
    bool may_cut;
    const char *text;
};

extern const struct log_operator_row log_operator_rows[LOG_OP_COUNT_];

/* A value as the record has it. */
enum log_value_kind { LOG_ABSENT, LOG_TEXT, LOG_NUMBER };
struct log_value {
    enum log_value_kind kind;
    struct str text;
    uint64_t number;
};

/* Where a header operator reads: most are a field of the record, found once at compilation. */
struct log_header {
    struct str name; /* lower-case; empty: none */
    size_t field;    /* of the record, plus 1; 0: by look-up */
    bool is_secret;  /* its value never reaches a log */
};

enum log_grpc_form { LOG_GRPC_CAMEL, LOG_GRPC_SNAKE, LOG_GRPC_NUMBER };

/* What DYNAMIC_METADATA can name beside the costs under io.envoy.ai_gateway. */
struct log_metadata {
    const char *key;  /* namespace and key */
    size_t field;     /* of the record */
    bool is_text;     /* a str; else an int64_t that may be unknown */
    unsigned divisor; /* 0: none */
};

/* Immutable part of a compiled format. */
struct log_read {
    enum log_operator kind;
    struct log_header first;
    struct log_header second;            /* X?Y */
    size_t limit_bytes;                  /* 0: none */
    struct str time_format;              /* START_TIME; empty: ISO 8601 with milliseconds */
    enum log_grpc_form grpc_form;        /* GRPC_STATUS */
    const struct log_metadata *metadata; /* NULL: a cost, or never present */
    struct str cost_key;                 /* empty: no cost */
};

enum { LOG_SCRATCH_BYTES = 2048 };

/* How GRPC_STATUS is spelt. False: the argument is none. */
bool log_grpc_form_of(struct str argument, enum log_grpc_form *ret);

/* `name` in lower case, living as long as the format. */
struct log_header log_header_of(struct str name);
/* By namespace and key; NULL when there is no such thing here. */
const struct log_metadata *log_metadata_of(struct str argument);
/* The key of a cost in `argument`, borrowed from it; empty when it names no cost. */
struct str log_cost_key_of(struct str argument);
/* What the gateway knows although no header says it (the request may have been refused before the
 * headers were written), by the header's name. */
struct str log_known_header(struct str name, const struct access_record *r);
/* The client as detected: the peer with its port when it is the peer itself. */
struct str log_remote(const struct access_record *r);
/* `scratch` holds what had to be made. */
struct log_value log_read(const struct log_read *op, const struct access_record *r,
                          char scratch[LOG_SCRATCH_BYTES]);
