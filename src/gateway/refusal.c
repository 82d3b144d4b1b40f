/* The refusals as data. */
#include "gateway/refusal.h"

#include "base/assert.h"

static const struct refusal_row refusal_rows[] = {[REFUSAL_NONE] = {"NONE", 0, "", "-", ""},
#define X(name, status, code, flag, text) [REFUSAL_##name] = {#name, status, code, flag, text},
                                                  REFUSALS(X)
#undef X
};

enum grpc_status refusal_grpc_status(enum refusal r, uint16_t status)
{
    switch (r) {
    case REFUSAL_UPSTREAM_TIMEOUT:
    case REFUSAL_REQUEST_TIMEOUT:
    case REFUSAL_STREAM_DURATION:
        return GRPC_STATUS_DEADLINE_EXCEEDED; /* a deadline of ours, or the caller's own */
    case REFUSAL_BAD_GRPC_MESSAGE:
        return GRPC_STATUS_INVALID_ARGUMENT;
    case REFUSAL_BODY_TOO_LARGE:
        return GRPC_STATUS_RESOURCE_EXHAUSTED; /* as servers say of a message that is too long */
    case REFUSAL_ENCODED_BODY:                 /* gRPC, "Compression" */
    case REFUSAL_MODEL_NOT_READ:
        return GRPC_STATUS_UNIMPLEMENTED;
    case REFUSAL_NO_BACKEND:
        return GRPC_STATUS_UNAVAILABLE; /* Gateway API, GRPCRouteRule "backendRefs" */
    default:
        return grpc_status_of_http(status);
    }
}

const struct refusal_row *refusal_row(enum refusal r)
{
    PRE(r < REFUSAL_COUNT_);
    return &refusal_rows[r];
}
