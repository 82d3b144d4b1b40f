/* Plans of health that outlive the snapshot they were compiled into. */
#include "upstream/health/health_plan.h"

struct health_plan health_plan_copy(struct arena *a, const struct health_plan *p)
{
    struct health_plan copy = *p;

    copy.key = arena_str(a, p->key);
    copy.probe.method_text = arena_str(a, p->probe.method_text);
    copy.probe.host = arena_str(a, p->probe.host);
    copy.probe.path = arena_str(a, p->probe.path);
    copy.probe.query = p->probe.query.ptr ? arena_str(a, p->probe.query) : STR_NULL;
    copy.probe.send = arena_str(a, p->probe.send);
    copy.probe.receive = arena_str(a, p->probe.receive);
    return copy;
}
