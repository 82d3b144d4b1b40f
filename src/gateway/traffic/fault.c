/* See fault.h. Nothing is under way while a request is delayed: the exchange's try_timer runs. */
#include "gateway/traffic/fault.h"

#include "gateway/rehearsal.h"
#include "gateway/worker.h"

static bool fault_falls_on(struct exchange *x, uint32_t share)
{
    if (UNLIKELY(x->rehearsal))
        return share >= FAULT_ALL; /* what falls on some is no matter of this one */
    return share > 0 && random_u64(&x->worker->random) % FAULT_ALL < share;
}

static void fault_on_delay_over(struct timer *t)
{
    struct exchange *x = CONTAINER_OF(t, struct exchange, try_timer);

    x->fault = FAULT_DELAYED;
    exchange_resume(x);
}

bool fault_delays(struct exchange *x)
{
    const struct fault_plan *plan = x->rule->fault;
    struct loop *l = &x->worker->loop;

    if (!plan || x->fault != FAULT_NONE || !fault_falls_on(x, plan->delay_share))
        return false;
    x->fault = FAULT_DELAYING;
    x->try_timer.fn = fault_on_delay_over;
    timer_set(l, &x->try_timer, l->now.mono_us + plan->delay_us);
    x->wait = WAIT_FAULT;
    return true;
}

bool fault_aborts(struct exchange *x)
{
    const struct fault_plan *plan = x->rule->fault;

    if (!plan || !fault_falls_on(x, plan->abort_share))
        return false;
    x->refusal_status = plan->abort_status;
    return true;
}
