/* Lifetimes of plans: references are atomic because exchanges on several workers hold them; the
 * last one frees the arena, whose cleanups let go of clusters and key feeds. */
#include "gateway/plan.h"

#include "base/mem.h"
#include "gateway/limit.h"

enum { ROUTE_ARENA_BYTES = 2048, LISTENER_ARENA_BYTES = 8192, LIMIT_ARENA_BYTES = 2048 };

struct route_plan *route_plan_new(void)
{
    struct route_plan *p = MEM_NEW(struct route_plan);

    atomic_init(&p->n_refs, 1);
    arena_init(&p->arena, ROUTE_ARENA_BYTES);
    return p;
}

struct route_plan *route_plan_ref(const struct route_plan *p)
{
    struct route_plan *counted = (struct route_plan *)(uintptr_t)p;

    atomic_fetch_add_explicit(&counted->n_refs, 1, memory_order_relaxed);
    return counted;
}

void route_plan_unref(const struct route_plan *p)
{
    struct route_plan *counted = (struct route_plan *)(uintptr_t)p;

    if (!p || atomic_fetch_sub_explicit(&counted->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    arena_deinit(&counted->arena);
    mem_free(counted);
}

struct listener_plan *listener_plan_new(void)
{
    struct listener_plan *p = MEM_NEW(struct listener_plan);

    atomic_init(&p->n_refs, 1);
    arena_init(&p->arena, LISTENER_ARENA_BYTES);
    arena_init(&p->routing, LISTENER_ARENA_BYTES);
    return p;
}

struct listener_plan *listener_plan_ref(const struct listener_plan *p)
{
    struct listener_plan *counted = (struct listener_plan *)(uintptr_t)p;

    atomic_fetch_add_explicit(&counted->n_refs, 1, memory_order_relaxed);
    return counted;
}

void listener_plan_unref(const struct listener_plan *p)
{
    struct listener_plan *counted = (struct listener_plan *)(uintptr_t)p;

    if (!p || atomic_fetch_sub_explicit(&counted->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    arena_deinit(&counted->routing);
    arena_deinit(&counted->arena);
    mem_free(counted);
}

void listener_plan_close(struct listener_plan *p)
{
    for (uint32_t i = 0; i < p->n_route_plans; i++)
        route_plan_unref(p->route_plans[i]);
    p->n_route_plans = 0;
    p->routes = NULL;
    arena_deinit(&p->routing);
}

/* Does `name` begin with `prefix`, which is lower-case? '_' counts as '-' (policy/name_set.h). */
static bool plan_name_begins(struct str name, struct str prefix)
{
    size_t n = 0;

    if (name.len < prefix.len)
        return false;
    while (n < prefix.len && (str_lower_char(name.ptr[n]) == prefix.ptr[n] ||
                              (name.ptr[n] == '_' && prefix.ptr[n] == '-')))
        n++;
    return n == prefix.len;
}

bool listener_plan_is_late(const struct listener_plan *p, struct str name)
{
    return name_set_has(&p->late_headers, name) || plan_name_begins(name, STR("x-ai-eg-"));
}

/* Of a letter, in either case, the same; '_' counts as '-'. */
static uint32_t plan_initial(char c)
{
    return UINT32_C(1) << ((c == '_' ? '-' : c) & 31);
}

void listener_plan_note_initials(struct listener_plan *p)
{
    size_t at = 0;
    struct str name;

    p->own_initials = plan_initial('x'); /* x-ai-eg-, x-envoy-, x-forwarded-client-cert */
    while (name_set_next(&p->late_headers, &at, &name))
        p->own_initials |= plan_initial(name.ptr[0]);
}

bool listener_plan_is_own(const struct listener_plan *p, struct str name)
{
    static const struct str certificate = {"x-forwarded-client-cert", 23};

    /* Every header of every request is asked for. */
    if (LIKELY(name.len == 0 || !(p->own_initials & plan_initial(name.ptr[0]))))
        return false;
    return listener_plan_is_late(p, name) ||
           (p->client.tells_envoy && plan_name_begins(name, STR("x-envoy-"))) ||
           (name.len == certificate.len && plan_name_begins(name, certificate));
}

bool listener_plan_drops(const struct listener_plan *p, struct str name)
{
    return listener_plan_is_own(p, name) ||
           ((p->client.drops_underscore || !p->client.allows_underscore) &&
            str_find_char(name, '_', 0) >= 0);
}

struct limit_set *limit_set_new(struct limit_store *store)
{
    struct limit_set *s = MEM_NEW(struct limit_set);

    atomic_init(&s->n_refs, 1);
    arena_init(&s->arena, LIMIT_ARENA_BYTES);
    s->store = store;
    return s;
}

void limit_set_unref(struct limit_set *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < s->n_rules; i++)
        s->store->ops->release(s->store, s->rules[i].counter);
    arena_deinit(&s->arena);
    mem_free(s);
}

void limit_plan_cleanup(void *plan)
{
    const struct limit_plan *p = plan;
    struct limit_set *s = p->set;

    for (uint32_t i = 0; i < s->n_rules; i++) {
        if (!s->rules[i].counter)
            s->store->ops->release(s->store, p->counters[i]);
    }
    limit_set_unref(s);
}
