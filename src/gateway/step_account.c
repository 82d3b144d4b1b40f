/* account: what did it cost, and what must be given back? Runs whatever the end. An upstream that
 * still works for a client that has left is stopped here at the latest. */
#include "gateway/exchange.h"
#include "gateway/mirror.h"

enum step_result step_account(struct exchange *x)
{
    attempt_cancel(&x->attempt);
    mirror_drop(x);
    if (x->downstream) {
        x->bytes_sent = x->downstream->bytes_sent;
        x->bytes_received = x->downstream->bytes_received;
    }
    return STEP_NEXT;
}
