/* See upgrade.h. A WebSocket that may not be is refused, as Envoy does: a client that asks for one
 * has no use for another answer. What else is not listed is not heard, as it ever was (RFC 9110
 * 7.8), and the request is served without it. */
#include "gateway/traffic/upgrade.h"

#include "gateway/exchange.h"

static bool upgrade_is_listed(const struct upgrade_plan *p, struct str type)
{
    for (size_t i = 0; i < p->n; i++) {
        if (str_eq_nocase(p->types[i], type))
            return true;
    }
    return false;
}

enum refusal upgrade_judge(struct exchange *x)
{
    const struct upgrade_plan *p = x->rule->upgrades;
    struct http_request *q = &x->request;

    if (q->upgrade.len > 0)
        return upgrade_is_listed(p, q->upgrade) ? REFUSAL_NONE : REFUSAL_UPGRADE;
    if (upgrade_is_listed(p, q->other_upgrade))
        q->upgrade = q->other_upgrade;
    return REFUSAL_NONE;
}

bool upgrade_is_agreed(const struct exchange *x, const struct http_response *r)
{
    return r->status != 101 || str_eq_nocase(r->upgrade, x->request.upgrade);
}
