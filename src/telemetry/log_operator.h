/* The command operators of access-log formats (%NAME(ARGUMENT):LENGTH%), in one table. Names and
 * meaning are Envoy's ("Access logging: command operators"). */
#pragma once

#include "base/arena.h"
#include "telemetry/log_header.h"

enum log_argument { LOG_NO_ARGUMENT, LOG_MAY_ARGUMENT, LOG_NEEDS_ARGUMENT };

/* id, argument, may be cut to a length, meaning */
#define LOG_OPERATORS(X)                                                                           \
    X(START_TIME, MAY, false, "when the request began; argument: a strftime format, UTC")          \
    X(EMIT_TIME, MAY, false, "when it was over; argument as that of START_TIME")                   \
    X(REQ, NEEDS, true, "a request header, `X?Y`: X or else Y")                                    \
    X(REQ_WITHOUT_QUERY, NEEDS, true, "as REQ, cut at the question mark")                          \
    X(RESP, NEEDS, true, "a response header")                                                      \
    X(TRAILER, NEEDS, true, "a response trailer")                                                  \
    X(PATH, MAY, true,                                                                             \
      "path; argument `X:Y`, `WQ` (the default) or `NQ`: with or without its query, `ORIG`, "      \
      "`PATH` or `ORIG_OR_PATH` (the default): as received or as routed")                          \
    X(QUERY_PARAM, NEEDS, true, "a parameter of the query as received")                            \
    X(PROTOCOL, NO, false, "HTTP/1.0, HTTP/1.1 or HTTP/2")                                         \
    X(UPSTREAM_PROTOCOL, NO, false, "HTTP/1.1 or HTTP/2")                                          \
    X(RESPONSE_CODE, NO, false, "status; 0 when no head was sent")                                 \
    X(RESPONSE_CODE_DETAILS, MAY, false,                                                           \
      "what decided the status; argument: `ALLOW_WHITESPACES`, which changes nothing")             \
    X(GRPC_STATUS, MAY, false,                                                                     \
      "status of a call of gRPC; argument: `CAMEL_STRING` (the default), `SNAKE_STRING`, "         \
      "`NUMBER`")                                                                                  \
    X(GRPC_STATUS_NUMBER, NO, false, "the same as a number")                                       \
    X(RESPONSE_FLAGS, NO, false, "short codes of what went wrong")                                 \
    X(RESPONSE_FLAGS_LONG, NO, false, "the same in words")                                         \
    X(CONNECTION_TERMINATION_DETAILS, NO, false, "why the gateway ended the connection")           \
    X(REQUEST_HEADERS_BYTES, NO, false, "names and values of the request's headers")               \
    X(BYTES_RECEIVED, NO, false, "content of the request")                                         \
    X(RESPONSE_HEADERS_BYTES, NO, false, "names and values of the answer's headers")               \
    X(RESPONSE_TRAILERS_BYTES, NO, false, "and of its trailers")                                   \
    X(BYTES_SENT, NO, false, "content of the answer, as it was sent")                              \
    X(DURATION, NO, false, "milliseconds, whole request")                                          \
    X(COMMON_DURATION, NEEDS, false,                                                               \
      "between two points of time, `START:END:PRECISION`: `DS_RX_BEG`, `DS_RX_END`, `US_TX_BEG`, " \
      "`US_TX_END`, `US_RX_BEG`, `US_RX_END`, `DS_TX_BEG`, `DS_TX_END`; `ms`, `us` or `ns`")       \
    X(REQUEST_DURATION, NO, false, "milliseconds until the request's last byte came")              \
    X(REQUEST_TX_DURATION, NO, false, "milliseconds until its last byte went to the endpoint")     \
    X(RESPONSE_DURATION, NO, false, "milliseconds until the endpoint's first byte came")           \
    X(RESPONSE_TX_DURATION, NO, false, "milliseconds from the endpoint's first byte to the end")   \
    X(UPSTREAM_CONNECTION_POOL_READY_DURATION, NO, false,                                          \
      "milliseconds until the attempt had a connection")                                           \
    X(UPSTREAM_HOST, NO, false, "address of the endpoint")                                         \
    X(UPSTREAM_REMOTE_ADDRESS, NO, false, "as UPSTREAM_HOST")                                      \
    X(UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT, NO, false, "its address alone")                        \
    X(UPSTREAM_REMOTE_PORT, NO, false, "its port")                                                 \
    X(UPSTREAM_LOCAL_ADDRESS, NO, false, "our address towards the endpoint")                       \
    X(UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT, NO, false, "the address alone")                         \
    X(UPSTREAM_LOCAL_PORT, NO, false, "the port")                                                  \
    X(UPSTREAM_CLUSTER, NO, false, "the backend")                                                  \
    X(UPSTREAM_CLUSTER_RAW, NO, false, "as UPSTREAM_CLUSTER")                                      \
    X(UPSTREAM_TLS_VERSION, NO, false, "of the connection to the endpoint")                        \
    X(UPSTREAM_TLS_CIPHER, NO, false, "by OpenSSL's name")                                         \
    X(UPSTREAM_TRANSPORT_FAILURE_REASON, NO, false, "why the connection to the endpoint failed")   \
    X(UPSTREAM_REQUEST_ATTEMPT_COUNT, NO, false, "attempts made")                                  \
    X(ROUTE_NAME, NO, false, "the route's rule")                                                   \
    X(FILTER_CHAIN_NAME, NO, false, "the listener")                                                \
    X(DOWNSTREAM_REMOTE_ADDRESS, NO, false, "the client, with the peer's port")                    \
    X(DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT, NO, false, "the client as detected")                 \
    X(DOWNSTREAM_REMOTE_PORT, NO, false, "the client's port, where it is the peer itself")         \
    X(DOWNSTREAM_DIRECT_REMOTE_ADDRESS, NO, false, "the peer of the connection")                   \
    X(DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT, NO, false, "its address alone")               \
    X(DOWNSTREAM_DIRECT_REMOTE_PORT, NO, false, "its port")                                        \
    X(DOWNSTREAM_LOCAL_ADDRESS, NO, false, "our address towards the client")                       \
    X(DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT, NO, false, "the address alone")                       \
    X(DOWNSTREAM_LOCAL_PORT, NO, false, "the port")                                                \
    X(CONNECTION_ID, NO, false, "a number for the client's connection, until the process ends")    \
    X(REQUESTED_SERVER_NAME, NO, false, "SNI")                                                     \
    X(DOWNSTREAM_TRANSPORT_FAILURE_REASON, NO, false, "of a connection: why its handshake failed") \
    X(DOWNSTREAM_TLS_VERSION, NO, false, "of the client's connection")                             \
    X(DOWNSTREAM_TLS_CIPHER, NO, false, "by OpenSSL's name")                                       \
    X(DOWNSTREAM_PEER_SUBJECT, NO, false, "subject of the client's verified certificate")          \
    X(DOWNSTREAM_PEER_URI_SAN, NO, false, "its URIs, separated by commas")                         \
    X(DOWNSTREAM_PEER_DNS_SAN, NO, false, "its DNS names")                                         \
    X(DOWNSTREAM_PEER_FINGERPRINT_256, NO, false, "its SHA-256")                                   \
    X(DOWNSTREAM_PEER_CERT, NO, false, "the certificate itself, PEM, percent-encoded")             \
    X(DOWNSTREAM_LOCAL_URI_SAN, NO, false, "URIs of our own certificate, to such a client")        \
    X(DYNAMIC_METADATA, NEEDS, true,                                                               \
      "`io.envoy.ai_gateway:KEY`: a cost by its `metadataKey`, the AIServiceBackend as "           \
      "`backend_name`, its `model_name_override`; `tollgate:tenant`, `jwt_sub` of verified "       \
      "claims, `model`, `model_served`, `ai_service`, `tokens_in`, `tokens_cached`, "              \
      "`tokens_out`, `tokens_reasoning`, `tokens_total`, `tokens_source`, `first_token_ms`")       \
    X(METADATA, NEEDS, true, "the same with `DYNAMIC:` in front; there is no other metadata")      \
    X(ACCESS_LOG_TYPE, NO, false, "`DownstreamEnd`; absent in logs of connections")                \
    X(HOSTNAME, NO, false, "of the machine")                                                       \
    X(ENVIRONMENT, NEEDS, true, "a variable of the process's environment")

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

/* Is it one of Envoy's that is not here? Families of them count by how they begin. */
bool log_operator_is_envoys(struct str name);

/* A value as the record has it. */
enum log_value_kind { LOG_ABSENT, LOG_TEXT, LOG_NUMBER, LOG_NEGATIVE };
struct log_value {
    enum log_value_kind kind;
    struct str text;
    uint64_t number;
};

enum log_grpc_form { LOG_GRPC_CAMEL, LOG_GRPC_SNAKE, LOG_GRPC_NUMBER };

/* What DYNAMIC_METADATA can name beside the costs under io.envoy.ai_gateway. */
struct log_metadata {
    const char *key;  /* namespace and key */
    size_t field;     /* of the record */
    bool is_text;     /* a str; else an int64_t that may be unknown */
    unsigned divisor; /* 0: none */
};

/* Where a value is: most are a field of the record, in one of a few forms. */
enum log_form {
    LOG_FORM_OTHER, /* by its kind */
    LOG_FORM_TEXT,
    LOG_FORM_CLEAN,  /* a text, cut to a length, redacted where it holds a credential */
    LOG_FORM_IP,     /* of an address with its port */
    LOG_FORM_PORT,   /* of the same */
    LOG_FORM_NUMBER, /* a uint64_t */
    LOG_FORM_MS,     /* the same, of microseconds, perhaps ACCESS_NEVER */
    LOG_FORM_COUNT,  /* an int64_t, perhaps LOG_TOKENS_UNKNOWN */
};

/* Immutable part of a compiled format. */
struct log_read {
    enum log_operator kind;
    enum log_form form;
    size_t field;     /* of the record, unless the form is LOG_FORM_OTHER */
    unsigned divisor; /* LOG_FORM_COUNT; 0: none */
    struct log_header first;
    struct log_header second;            /* X?Y */
    size_t limit_bytes;                  /* 0: none */
    struct str text;                     /* START_TIME and its like: a format, empty: ISO 8601;
                                            QUERY_PARAM: a name; HOSTNAME, ENVIRONMENT: the value;
                                            DYNAMIC_METADATA: namespace and key */
    enum log_grpc_form grpc_form;        /* GRPC_STATUS */
    enum access_point from, to;          /* COMMON_DURATION */
    unsigned us_divisor;                 /* of it; 0: nanoseconds */
    bool without_query;                  /* PATH; REQ_WITHOUT_QUERY */
    const struct log_metadata *metadata; /* NULL: a cost, or never present */
    struct str cost_key;                 /* empty: no cost */
};

/* log_argument.c: the operator with its argument, empty where it has none. False: the argument is
 * malformed. What it needs lives in `a`. */
bool log_read_init(struct arena *a, enum log_operator kind, struct str argument,
                   struct log_read *ret);
/* The last step of that: whether it is a field, and of which form. */
void log_read_place(struct log_read *op);
/* By namespace and key; NULL when there is no such thing here. */
const struct log_metadata *log_metadata_of(struct str argument);
/* The key of a cost in `argument`, borrowed from it; empty when it names no cost. */
struct str log_cost_key_of(struct str argument);
/* Is it one of a client's certificate? */
bool log_reads_peer(enum log_operator kind);
/* "192.0.2.1:80", "[2001:db8::1]:80" into their parts. False: it has no port. */
bool log_split_address(struct str address, struct str *ret_ip, uint64_t *ret_port);
/* The client as detected: the peer with its port when it is the peer itself. */
struct str log_remote(const struct access_record *r);
/* `scratch` holds what had to be made. */
struct log_value log_read(const struct log_read *op, const struct access_record *r,
                          char scratch[LOG_SCRATCH_BYTES]);
