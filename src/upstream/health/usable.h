/* Which endpoints of a set are to be used: those that neither fail their probes nor are ejected;
 * and all of them in panic, when so few are left that those would break too (Envoy, "Panic
 * threshold"). Any thread. */
#pragma once

#include "upstream/endpoint.h"

/* Endpoints that are well; counted again when some endpoint's health has changed. */
uint32_t endpoint_set_n_well(struct endpoint_set *s);
bool endpoint_set_is_in_panic(struct endpoint_set *s);

static inline bool endpoint_set_may_use(struct endpoint_set *s, uint32_t index, bool may_panic)
{
    if (LIKELY(atomic_load_explicit(&s->items[index].state->health.bits, memory_order_relaxed) ==
               0))
        return true;
    return may_panic && endpoint_set_is_in_panic(s);
}
