/* Between the files of advice/: each is a question, asked of all objects that it is about. */
#pragma once

#include "base/map.h"
#include "gateway/advice/advice.h"
#include "manifest/ai_gateway_route.h"
#include "manifest/backend_traffic_policy.h"
#include "manifest/gateway.h"
#include "manifest/grpc_route.h"
#include "manifest/http_route.h"
#include "manifest/security_policy.h"

struct advice {
    struct manifest *m;
    int64_t now_unix_s;
    struct arena scratch; /* for the length of advice_give */
};

/* paths.c: does a prefix reach what is meant; do model servers answer their health checks? */
void advise_prefixes(struct advice *a);
void advise_health_paths(struct advice *a);
/* limits.c: who decides what a limit counts, and how often does it count? What is tried again? */
void advise_limit_keys(struct advice *a);
void advise_unshared_limits(struct advice *a);
void advise_retry_codes(struct advice *a);
/* routes.c: may anybody come in; do streams end early; is an EnvoyProxy of any use? */
void advise_open_ai_routes(struct advice *a);
void advise_cut_streams(struct advice *a);
void advise_unattached(struct advice *a);
/* overlap.c: which matches get no request, since others are asked first? */
void advise_overlaps(struct advice *a);
/* certificates.c: which are past their end, or near it? */
void advise_certificates(struct advice *a);

/* A listener that serves, with its Gateway. */
struct advice_place {
    const struct gateway *gateway;
    const struct listener *listener;
};
typedef void advice_place_fn(struct advice *a, const struct advice_place *at, void *user);
void advice_each_listener(struct advice *a, advice_place_fn *fn, void *user);

/* Is `key` new to `set`? It is kept for the length of advice_give. */
bool advice_tells(struct advice *a, struct map *set, struct str key);
/* "spec.rules[3].timeouts", in the arena of the diagnostics. */
#define ADVICE_PATH(a, ...) arena_printf(&(a)->m->arena, __VA_ARGS__)

/* A KServe path of one model: "/v1/models/NAME", with no more than a "/" behind it. */
bool advice_is_model_path(struct str path);
