/* compile: httpUpgrade. As Envoy Gateway: a list takes the place of the default, which is
 * WebSocket, and a request buffer of nothing at all. */
#include "gateway/compile/traffic/upgrade.h"

#include "gateway/compile/traffic.h"
#include "gateway/traffic/upgrade.h"

void compile_upgrade(struct compile_place *at)
{
    const struct backend_traffic_policy_spec *spec = at->traffic->spec;
    struct upgrade_plan *plan;
    struct str *types;

    if (!spec || (spec->http_upgrade.n == 0 && !spec->request_buffer))
        return;
    plan = ARENA_NEW(&at->plan->arena, struct upgrade_plan);
    types = ARENA_ARRAY(&at->plan->arena, struct str, spec->http_upgrade.n + 1);
    VEC_FOREACH (&spec->http_upgrade, u) {
        if (http_upgrade_is_enforced(u))
            types[plan->n++] = arena_str(&at->plan->arena, u->type);
    }
    plan->types = types;
    at->rule->upgrades = plan;
}
