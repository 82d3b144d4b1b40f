/* account: what did it cost, and what must be given back? Runs whatever the end. An upstream that
 * still works for a client that has left is stopped here at the latest. */
#include "gateway/exchange.h"
#include "gateway/mirror.h"

bool exchange_cost(const struct exchange *x, struct str metadata_namespace, struct str key,
                   uint64_t *ret_cost)
{
    if (!str_eq(metadata_namespace, COST_NAMESPACE))
        return false;
    VEC_FOREACH (&x->costs, cost) {
        if (str_eq(cost->key, key)) {
            *ret_cost = cost->value;
            return true;
        }
    }
    return false;
}

enum step_result step_account(struct exchange *x)
{
    attempt_cancel(&x->attempt);
    mirror_drop(x);
    limit_settle(x);
    if (x->downstream) {
        x->bytes_sent = x->downstream->bytes_sent;
        x->bytes_received = x->downstream->bytes_received;
    }
    return STEP_NEXT;
}
