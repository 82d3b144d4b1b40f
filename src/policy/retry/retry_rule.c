/* See retry_rule.h. */
#include "policy/retry/retry_rule.h"

enum {
    /* A backend that says nothing counts as one that says 5xx (Envoy). */
    NO_ANSWER = RETRY_IF_5XX | RETRY_IF_GATEWAY_ERROR | RETRY_IF_RESET,
};

const char *const retry_failure_words[] = {
#define X(name, word) word,
    RETRY_FAILURES(X)
#undef X
};

static const uint32_t retry_failure_conditions[] = {
    [RETRY_NONE] = 0,
    [RETRY_NOT_CONNECTED] = NO_ANSWER | RETRY_IF_CONNECT_FAILURE | RETRY_IF_RESET_BEFORE_REQUEST,
    [RETRY_REFUSED] = NO_ANSWER | RETRY_IF_REFUSED_STREAM,
    [RETRY_RESET] = NO_ANSWER,
    [RETRY_TIMED_OUT] = NO_ANSWER,
    [RETRY_ANSWERED] = 0,
};

/* As gRPC numbers its statuses (statuscodes.md). */
static uint32_t retry_grpc_condition(int grpc_status)
{
    switch (grpc_status) {
    case 1:
        return RETRY_IF_CANCELLED;
    case 4:
        return RETRY_IF_DEADLINE_EXCEEDED;
    case 8:
        return RETRY_IF_RESOURCE_EXHAUSTED;
    case 13:
        return RETRY_IF_INTERNAL;
    case 14:
        return RETRY_IF_UNAVAILABLE;
    default:
        return 0;
    }
}

static uint32_t retry_status_conditions(unsigned status)
{
    uint32_t conditions = 0;

    if (status >= 500 && status <= 599)
        conditions |= RETRY_IF_5XX;
    if (status >= 502 && status <= 504)
        conditions |= RETRY_IF_GATEWAY_ERROR;
    if (status == 409)
        conditions |= RETRY_IF_RETRIABLE_4XX;
    return conditions;
}

static bool retry_lists(const struct retry_rule *r, unsigned status)
{
    for (size_t i = 0; i < r->n_codes; i++) {
        if (r->codes[i] == status)
            return true;
    }
    return false;
}

bool retry_rule_applies(const struct retry_rule *r, const struct retry_case *c)
{
    uint32_t conditions = retry_failure_conditions[c->failure];

    if (c->failure == RETRY_ANSWERED) {
        conditions = retry_status_conditions(c->status) | retry_grpc_condition(c->grpc_status);
        return (r->conditions & conditions) != 0 || retry_lists(r, c->status);
    }
    if (c->failure == RETRY_RESET || c->failure == RETRY_TIMED_OUT) {
        if (c->was_sent && !c->is_idempotent)
            return false;
        if (!c->was_sent)
            conditions |= RETRY_IF_RESET_BEFORE_REQUEST;
    }
    return (r->conditions & conditions) != 0;
}
