/* account: what did it cost, and what must be given back? Runs whatever the end. An upstream that
 * still works for a client that has left is stopped here at the latest. */
#include "gateway/exchange.h"

enum step_result step_account(struct exchange *x)
{
    attempt_cancel(&x->attempt);
    return STEP_NEXT;
}
