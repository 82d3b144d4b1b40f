/* gRPC's status codes, and how they travel in the trailers grpc-status and grpc-message (gRPC over
 * HTTP/2, "Responses"). Pure. */
#pragma once

#include "base/buf.h"

/* number, name as Envoy's access log has it, name as the specification has it */
#define GRPC_STATUSES(X)                                                                           \
    X(0, "OK", "OK")                                                                               \
    X(1, "Canceled", "CANCELLED")                                                                  \
    X(2, "Unknown", "UNKNOWN")                                                                     \
    X(3, "InvalidArgument", "INVALID_ARGUMENT")                                                    \
    X(4, "DeadlineExceeded", "DEADLINE_EXCEEDED")                                                  \
    X(5, "NotFound", "NOT_FOUND")                                                                  \
    X(6, "AlreadyExists", "ALREADY_EXISTS")                                                        \
    X(7, "PermissionDenied", "PERMISSION_DENIED")                                                  \
    X(8, "ResourceExhausted", "RESOURCE_EXHAUSTED")                                                \
    X(9, "FailedPrecondition", "FAILED_PRECONDITION")                                              \
    X(10, "Aborted", "ABORTED")                                                                    \
    X(11, "OutOfRange", "OUT_OF_RANGE")                                                            \
    X(12, "Unimplemented", "UNIMPLEMENTED")                                                        \
    X(13, "Internal", "INTERNAL")                                                                  \
    X(14, "Unavailable", "UNAVAILABLE")                                                            \
    X(15, "DataLoss", "DATA_LOSS")                                                                 \
    X(16, "Unauthenticated", "UNAUTHENTICATED")

/* Those that the gateway itself says, and those that it looks for. */
enum grpc_status {
    GRPC_STATUS_UNTOLD = -1, /* no answer has told one */
    GRPC_STATUS_OK = 0,
    GRPC_STATUS_UNKNOWN = 2,
    GRPC_STATUS_INVALID_ARGUMENT = 3,
    GRPC_STATUS_DEADLINE_EXCEEDED = 4,
    GRPC_STATUS_PERMISSION_DENIED = 7,
    GRPC_STATUS_RESOURCE_EXHAUSTED = 8,
    GRPC_STATUS_UNIMPLEMENTED = 12,
    GRPC_STATUS_INTERNAL = 13,
    GRPC_STATUS_UNAVAILABLE = 14,
    GRPC_STATUS_UNAUTHENTICATED = 16,
};

/* What an HTTP status means to a gRPC client (gRPC, "HTTP to gRPC Status Code Mapping"). */
enum grpc_status grpc_status_of_http(uint16_t status);
/* The status of HTTP that says most of what a gRPC status does (google/rpc/code.proto); 500 for a
 * number that is none of theirs. */
uint16_t grpc_status_to_http(int status);
/* The value of grpc-status: a number of 0 to 16 as it is, one above as it is up to INT32_MAX;
 * GRPC_STATUS_UNTOLD for anything else. */
int grpc_status_parse(struct str value);
/* "PermissionDenied" and "PERMISSION_DENIED"; empty for a number that is none of theirs. */
struct str grpc_status_camel(int status);
struct str grpc_status_snake(int status);
/* The value of grpc-message: percent-encoded, so that it is one line of printable ASCII whatever
 * the text holds. */
void grpc_message_format(struct buf *out, struct str text);
