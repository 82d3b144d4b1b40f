/* Header names that the gateway itself looks at, with small numbers so that the hot path compares
 * ids. */
#pragma once

#include "base/str.h"

#define HEADER_NAMES(X)                                                                            \
    X(HOST, "host")                                                                                \
    X(CONNECTION, "connection")                                                                    \
    X(KEEP_ALIVE, "keep-alive")                                                                    \
    X(PROXY_CONNECTION, "proxy-connection")                                                        \
    X(TRANSFER_ENCODING, "transfer-encoding")                                                      \
    X(CONTENT_LENGTH, "content-length")                                                            \
    X(TE, "te")                                                                                    \
    X(TRAILER, "trailer")                                                                          \
    X(UPGRADE, "upgrade")                                                                          \
    X(EXPECT, "expect")                                                                            \
    X(AUTHORIZATION, "authorization")                                                              \
    X(COOKIE, "cookie")                                                                            \
    X(CONTENT_TYPE, "content-type")                                                                \
    X(CONTENT_ENCODING, "content-encoding")                                                        \
    X(ACCEPT, "accept")                                                                            \
    X(ACCEPT_ENCODING, "accept-encoding")                                                          \
    X(USER_AGENT, "user-agent")                                                                    \
    X(ORIGIN, "origin")                                                                            \
    X(DATE, "date")                                                                                \
    X(SERVER, "server")                                                                            \
    X(VIA, "via")                                                                                  \
    X(LOCATION, "location")                                                                        \
    X(VARY, "vary")                                                                                \
    X(RETRY_AFTER, "retry-after")                                                                  \
    X(WWW_AUTHENTICATE, "www-authenticate")                                                        \
    X(FORWARDED, "forwarded")                                                                      \
    X(X_FORWARDED_FOR, "x-forwarded-for")                                                          \
    X(X_FORWARDED_PROTO, "x-forwarded-proto")                                                      \
    X(X_FORWARDED_HOST, "x-forwarded-host")                                                        \
    X(X_FORWARDED_PORT, "x-forwarded-port")                                                        \
    X(X_FORWARDED_CLIENT_CERT, "x-forwarded-client-cert")                                          \
    X(X_REQUEST_ID, "x-request-id")                                                                \
    X(X_ENVOY_EXTERNAL_ADDRESS, "x-envoy-external-address")                                        \
    X(ACCESS_CONTROL_REQUEST_METHOD, "access-control-request-method")                              \
    X(ACCESS_CONTROL_REQUEST_HEADERS, "access-control-request-headers")                            \
    X(X_AI_EG_MODEL, "x-ai-eg-model")                                                              \
    X(X_MODEL, "x-model")                                                                          \
    X(X_TENANT, "x-tenant")                                                                        \
    X(TRACEPARENT, "traceparent")

enum header_id {
    HEADER_OTHER,
#define X(id, text) HEADER_##id,
    HEADER_NAMES(X)
#undef X
        HEADER_COUNT_,
};

/* HEADER_OTHER when not in the table; `name` must be lower-case. Constant time, no allocation. */
enum header_id header_id_find(struct str name);
/* The name of an id other than HEADER_OTHER. */
struct str header_name(enum header_id id);
/* Does it frame a message or belong to one connection, so that nobody but the codec may write it?
 */
bool header_is_framing(enum header_id id);
/* Is it one of those to whoever reads an underscore as a hyphen (CGI, WSGI)? `name` lower-case. */
bool header_is_framing_alias(struct str name);
/* Does it tell the model that a request asks for? `name` lower-case. */
bool header_is_model(struct str name);
/* May neither a configuration nor another server's answer write it? Framing and its aliases: two
 * readers could disagree about where a message ends. `name` lower-case, `id` its own. */
bool header_is_protected(enum header_id id, struct str name);
/* Does its name say that it holds a credential? `name` lower-case. */
bool header_is_credential(enum header_id id, struct str name);
/* May a trailer section not hold it? Such headers are dropped (RFC 9110 6.5.1). */
bool header_is_forbidden_trailer(enum header_id id, struct str name);
