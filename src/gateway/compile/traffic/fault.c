/* compile: failures on purpose. */
#include "gateway/compile/traffic/fault.h"

#include "gateway/compile/traffic.h"
#include "gateway/traffic/fault.h"
#include "http/grpc/grpc_status.h"

enum { PERCENT = 100 };

static uint32_t fault_share(struct opt_double percentage)
{
    return percentage.is_set ? (uint32_t)(percentage.value * FAULT_ALL / PERCENT) : FAULT_ALL;
}

void compile_fault(struct compile_place *at)
{
    const struct backend_traffic_policy_spec *spec = at->traffic->spec;
    const struct fault_injection *f = spec ? spec->fault_injection : NULL;
    struct fault_plan *plan;

    if (!f)
        return;
    plan = ARENA_NEW(&at->plan->arena, struct fault_plan);
    plan->abort_grpc_status = GRPC_STATUS_UNTOLD;
    if (f->delay) {
        plan->delay_us = f->delay->fixed_delay.us;
        plan->delay_share = fault_share(f->delay->percentage);
    }
    if (f->abort) {
        plan->abort_share = fault_share(f->abort->percentage);
        plan->abort_status = (uint16_t)f->abort->http_status.value;
    }
    if (f->abort && f->abort->grpc_status.is_set) {
        plan->abort_grpc_status = (int)f->abort->grpc_status.value;
        plan->abort_status = grpc_status_to_http(plan->abort_grpc_status);
    }
    at->rule->fault = plan;
}
