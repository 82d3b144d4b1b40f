/* Every way of saying no to a client, in one table: status, stable code, the sentence of the body,
 * and Envoy's response flag for the log. Nothing else may invent a status code. `tollgate docs
 * refusals` prints it. */
#pragma once

#include "http/grpc/grpc_status.h"

/* name, status, code, response flag, text */
#define REFUSALS(X)                                                                                \
    X(BAD_REQUEST, 400, "bad_request", "DPE", "The request is malformed.")                         \
    X(BAD_REQUEST_LINE, 400, "bad_request_line", "DPE", "The request line is malformed.")          \
    X(BAD_HEADER, 400, "bad_header", "DPE", "A header line is malformed.")                         \
    X(BAD_HEADER_NAME, 400, "underscore_in_header_name", "DPE",                                    \
      "A header name holds an underscore, which the gateway does not accept.")                     \
    X(BAD_TARGET, 400, "bad_target", "DPE", "The request target is malformed.")                    \
    X(BAD_PATH, 400, "bad_path", "DPE",                                                            \
      "The path holds an escape or a character that could be read in two ways.")                   \
    X(BAD_HOST, 400, "bad_host", "DPE", "The Host header is missing, repeated or malformed.")      \
    X(BAD_FRAMING, 400, "bad_framing", "DPE",                                                      \
      "Content-Length or Transfer-Encoding is malformed, repeated or contradictory.")              \
    X(BAD_CHUNK, 400, "bad_chunk", "DPE", "The chunked content is malformed.")                     \
    X(BAD_CONNECTION_HEADER, 400, "bad_connection_header", "DPE",                                  \
      "The Connection header names a header that must not be removed.")                            \
    X(BAD_GRPC_TIMEOUT, 400, "bad_grpc_timeout", "DPE",                                            \
      "The grpc-timeout header is malformed or repeated.")                                         \
    X(METHOD_CONNECT, 405, "method_not_allowed", "DPE", "CONNECT is not served here.")             \
    X(REQUEST_TIMEOUT, 408, "request_timeout", "DT", "The request did not arrive in time.")        \
    X(URI_TOO_LONG, 414, "uri_too_long", "DPE", "The request target is too long.")                 \
    X(BAD_EXPECT, 417, "expectation_failed", "DPE", "Only 100-continue can be expected.")          \
    X(MISDIRECTED, 421, "misdirected_request", "NR",                                               \
      "This host is not served on a connection made for another server name.")                     \
    X(HEAD_TOO_LARGE, 431, "head_too_large", "DPE", "The request head is too large.")              \
    X(TOO_MANY_HEADERS, 431, "too_many_headers", "DPE", "The request has too many headers.")       \
    X(BAD_VERSION, 505, "http_version_not_supported", "DPE", "Only HTTP/1.0 and 1.1 are spoken.")  \
    X(NO_LISTENER, 404, "host_not_found", "NR", "No listener serves this host.")                   \
    X(NO_ROUTE, 404, "route_not_found", "NR", "No route matches this request.")                    \
    X(TOKEN_MISSING, 401, "token_missing", "UAEX", "A bearer token is required.")                  \
    X(TOKEN_MALFORMED, 401, "token_malformed", "UAEX",                                             \
      "The token is not a signed JSON Web Token.")                                                 \
    X(TOKEN_TOO_LARGE, 401, "token_too_large", "UAEX", "The token is too large.")                  \
    X(TOKEN_BAD_ALGORITHM, 401, "token_bad_algorithm", "UAEX",                                     \
      "The token's algorithm is not accepted for its key.")                                        \
    X(TOKEN_EMBEDDED_KEY, 401, "token_embedded_key", "UAEX",                                       \
      "The token's header brings or names a key, or demands an extension: none is followed.")      \
    X(TOKEN_UNKNOWN_KEY, 401, "token_unknown_key", "UAEX",                                         \
      "The token names a key that is not known.")                                                  \
    X(TOKEN_BAD_SIGNATURE, 401, "token_bad_signature", "UAEX",                                     \
      "The token's signature is not valid.")                                                       \
    X(TOKEN_EXPIRED, 401, "token_expired", "UAEX", "The token's exp lies in the past.")            \
    X(TOKEN_NOT_YET_VALID, 401, "token_not_yet_valid", "UAEX",                                     \
      "The token's nbf lies in the future.")                                                       \
    X(TOKEN_WRONG_ISSUER, 401, "token_wrong_issuer", "UAEX",                                       \
      "The token comes from another issuer.")                                                      \
    X(TOKEN_WRONG_AUDIENCE, 403, "token_wrong_audience", "UAEX",                                   \
      "The token is meant for another audience.")                                                  \
    X(TOKEN_FAILURES, 429, "too_many_token_failures", "RL",                                        \
      "Too many tokens from this address were refused; try again shortly.")                        \
    X(KEYS_UNAVAILABLE, 503, "keys_unavailable", "UAEX",                                           \
      "The keys that verify tokens are not available yet.")                                        \
    X(API_KEY_MISSING, 401, "api_key_missing", "UAEX", "An API key is required.")                  \
    X(API_KEY_INVALID, 401, "api_key_invalid", "UAEX",                                             \
      "The API key is not that of a known client.")                                                \
    X(BASIC_MISSING, 401, "basic_missing", "UAEX", "A user name and a password are required.")     \
    X(BASIC_INVALID, 401, "basic_invalid", "UAEX", "The user name and the password do not fit.")   \
    X(BASIC_TENANT_MISMATCH, 403, "basic_tenant_mismatch", "UAEX",                                 \
      "The user is not the tenant of the token.")                                                  \
    X(CREDENTIAL_FAILURES, 429, "too_many_credential_failures", "RL",                              \
      "Too many credentials from this address were refused; try again shortly.")                   \
    X(HASH_QUEUE_FULL, 503, "hash_queue_full", "OM",                                               \
      "Too many passwords wait to be checked; try again shortly.")                                 \
    X(EXT_AUTH_DENIED, 403, "ext_auth_denied", "UAEX",                                             \
      "The external authorization service refused this request.")                                  \
    X(EXT_AUTH_FAILED, 403, "ext_auth_failed", "UAEX",                                             \
      "The external authorization service gave no answer.")                                        \
    X(FORBIDDEN, 403, "forbidden", "UAEX", "This caller may not use this route.")                  \
    X(UPGRADE, 403, "upgrade_not_allowed", "-", "This route takes no upgrade to this protocol.")   \
    X(CLIENT_ADDRESS, 403, "client_address_missing", "UAEX",                                       \
      "The request does not carry the client address that the policy demands.")                    \
    X(RATE_LIMITED, 429, "rate_limited", "RL",                                                     \
      "A limit on requests or tokens is reached; try again later.")                                \
    X(MODEL_NOT_FOUND, 404, "model_not_found", "NR",                                               \
      "No route of this gateway serves this model.")                                               \
    X(INVALID_JSON, 400, "invalid_json", "-", "The request body is not valid JSON.")               \
    X(INVALID_TYPE, 400, "invalid_type", "-", "A field of the request body is of the wrong type.") \
    X(INVALID_VALUE, 400, "invalid_value", "-",                                                    \
      "A field of the request body has a value that it cannot have.")                              \
    X(MISSING_PARAMETER, 400, "missing_required_parameter", "-",                                   \
      "A field that the endpoint needs is missing.")                                               \
    X(DUPLICATE_PARAMETER, 400, "duplicate_parameter", "-",                                        \
      "A field of the request body stands twice.")                                                 \
    X(INVALID_PARAMETER_NAME, 400, "invalid_parameter_name", "-",                                  \
      "The name of a field of the request body is spelt in escapes.")                              \
    X(INVALID_FORM, 400, "invalid_form", "-", "The form data is malformed or ambiguous.")          \
    X(BAD_GRPC_MESSAGE, 400, "bad_grpc_message", "-",                                              \
      "The message of the call is malformed or ambiguous.")                                        \
    X(UNTRANSLATABLE, 400, "unsupported_parameter", "-",                                           \
      "The request cannot be said in the API of the model's provider.")                            \
    X(BODY_TOO_LARGE, 413, "request_too_large", "-", "The request body is too large.")             \
    X(ENCODED_BODY, 415, "unsupported_content_encoding", "-",                                      \
      "The body of a request to a model must not be compressed.")                                  \
    X(UNSUPPORTED_ENDPOINT, 501, "unsupported_endpoint", "NR",                                     \
      "The model's provider does not serve this endpoint, or its API is not spoken here.")         \
    X(MODEL_NOT_READ, 501, "model_not_read", "NR",                                                 \
      "The route decides by the model, which cannot be read in a call of this kind.")              \
    X(ROUTE_BROKEN, 500, "route_misconfigured", "NR",                                              \
      "The configuration of this route has an error; see the gateway's status.")                   \
    X(SECURITY_UNAVAILABLE, 500, "security_not_enforced", "NR",                                    \
      "A security feature of this route is invalid or not enforced, so the route refuses.")        \
    X(MATCH_LIMIT, 500, "match_limit", "NR",                                                       \
      "A pattern of the configuration took too long to match.")                                    \
    X(REWRITE, 500, "rewrite_failed", "NR", "A rewrite of the configuration gave no valid path.")  \
    X(NO_BACKEND, 500, "no_backend", "NC", "No valid backend is configured for this route.")       \
    X(FAULT, 503, "fault_injected", "FI", "Requests of this route are refused on purpose.")        \
    X(DRAINING, 503, "draining", "DC", "The gateway is shutting down.")                            \
    X(OVERLOADED, 503, "overloaded", "OM", "The gateway is at its limit of requests.")             \
    X(NO_ENDPOINT, 503, "no_healthy_upstream", "UH", "No endpoint of the backend is available.")   \
    X(UPSTREAM_CONNECT, 503, "upstream_connect_failed", "UF", "The backend could not be reached.") \
    X(UPSTREAM_CONNECT_TIMEOUT, 504, "upstream_connect_timeout", "UF",                             \
      "The backend did not accept the connection in time.")                                        \
    X(UPSTREAM_OVERFLOW, 503, "upstream_overflow", "UO",                                           \
      "The backend is at the limit of its circuit breaker; try again shortly.")                    \
    X(UPSTREAM_ROOM, 503, "upstream_connections_exhausted", "OM",                                  \
      "The gateway has as many connections to backends as it may; try again shortly.")             \
    X(UPSTREAM_RESET, 502, "upstream_reset", "UC", "The backend closed the connection.")           \
    X(UPSTREAM_UPGRADE, 501, "upgrade_unsupported", "UPE",                                         \
      "The backend speaks HTTP/2 and takes no upgrade.")                                           \
    X(UPSTREAM_BAD_ANSWER, 502, "upstream_bad_answer", "UPE",                                      \
      "The backend's answer is not valid HTTP.")                                                   \
    X(UPSTREAM_TIMEOUT, 504, "upstream_timeout", "UT", "The backend did not answer in time.")      \
    X(STREAM_DURATION, 504, "stream_duration", "DT",                                               \
      "The request and its answer took longer than the gateway allows.")                           \
    X(INTERNAL, 500, "internal_error", "-", "The gateway failed to serve this request.")

enum refusal {
    REFUSAL_NONE,
#define X(name, status, code, flag, text) REFUSAL_##name,
    REFUSALS(X)
#undef X
        REFUSAL_COUNT_,
};

struct refusal_row {
    const char *name;
    uint16_t status;
    const char *code;
    const char *flag; /* Envoy's response flag */
    const char *text;
};

/* What a call of gRPC is told instead of `status`, that of the row or of a policy: as gRPC maps
 * HTTP, but for the refusals of which the gateway knows better. */
enum grpc_status refusal_grpc_status(enum refusal r, uint16_t status);
/* The row of a refusal other than REFUSAL_NONE. */
const struct refusal_row *refusal_row(enum refusal r);
