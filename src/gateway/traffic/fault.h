/* Failures on purpose (BackendTrafficPolicy `faultInjection`): of the requests that would go to a
 * backend a share waits, and a share is refused instead. The plan is immutable, in the route's
 * arena. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { FAULT_ALL = 1000000 };

struct fault_plan {
    uint64_t delay_us;
    uint32_t delay_share;  /* of FAULT_ALL; 0: none */
    uint32_t abort_share;  /* the same */
    uint16_t abort_status; /* of HTTP */
    int abort_grpc_status; /* -1: what abort_status means to a caller of gRPC */
};

/* How far an exchange is with it. */
enum fault_state {
    FAULT_NONE, /* not drawn yet, or not delayed */
    FAULT_DELAYING,
    FAULT_DELAYED,
};

struct exchange;

/* True: x->wait is set, the step runs again when the delay is over. */
bool fault_delays(struct exchange *x);
/* True: the request is to be refused (REFUSAL_FAULT). */
bool fault_aborts(struct exchange *x);
