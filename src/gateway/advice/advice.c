/* The questions in turn, and what they share. Objects with errors are passed over: they have been
 * told of, and refuse.
 *
 * Owner: texts live in the load's arena. Thread: the compile thread, or control at start. */
#include "gateway/advice/advice_internal.h"

void advice_each_listener(struct advice *a, advice_place_fn *fn, void *user)
{
    VEC_FOREACH (manifest_kind(a->m, KIND_GATEWAY), o) {
        struct gateway *g = CONTAINER_OF(*o, struct gateway, object);

        for (size_t i = 0; g->is_ours && !g->object.is_broken && i < g->spec.listeners.n; i++) {
            struct advice_place at = {.gateway = g, .listener = &g->spec.listeners.items[i]};

            /* One without its certificate is meant to serve, too. */
            if (at.listener->is_accepted)
                fn(a, &at, user);
        }
    }
}

bool advice_tells(struct advice *a, struct map *set, struct str key)
{
    if (map_find(set, key))
        return false;
    map_put(set, arena_str(&a->scratch, key), a);
    return true;
}

void advice_give(struct manifest *m, int64_t now_unix_s)
{
    static void (*const questions[])(struct advice * a) = {
        advise_prefixes,    advise_health_paths,   advise_limit_keys,  advise_unshared_limits,
        advise_retry_codes, advise_open_ai_routes, advise_cut_streams, advise_unattached,
        advise_overlaps,    advise_certificates,
    };
    struct advice a = {.m = m, .now_unix_s = now_unix_s};

    arena_init(&a.scratch, 16384);
    for (size_t i = 0; i < N_ELEMENTS(questions); i++)
        questions[i](&a);
    arena_deinit(&a.scratch);
}
