/* Which requests are calls of gRPC, and how long their callers wait (gRPC over HTTP/2,
 * "Requests"). Pure. */
#pragma once

#include "http/message.h"

/* Is it a call: a POST whose content is gRPC's? That of gRPC-Web is another protocol's. */
bool grpc_request_is(const struct http_request *request);
/* "application/grpc", alone or with a format ("+proto") or a parameter. */
bool grpc_content_type_is(struct str content_type);
/* Of those, is the format Protocol Buffers, as it is where none is named? */
bool grpc_content_type_is_proto(struct str content_type);

/* Conditions of grpc_timeout_parse. */
enum grpc_timeout_code { GRPC_TIMEOUT_MALFORMED = 1 };

/* The value of grpc-timeout: at most eight digits and a unit (H, M, S, m, u, n). 0 or
 * GRPC_TIMEOUT_MALFORMED. A fraction of a microsecond is rounded up; "0n", which clients send when
 * their time is over already, is 0. */
MUST_USE int grpc_timeout_parse(struct str value, uint64_t *ret_us);
