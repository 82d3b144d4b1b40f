/* What a policy asks of a backend's health: probes, judging by answers, and what happens when too
 * few endpoints are left. Immutable. Source: Envoy Gateway API, "HealthCheck". */
#pragma once

#include "base/arena.h"
#include "http/message.h"

enum probe_kind { PROBE_KIND_NONE, PROBE_KIND_HTTP, PROBE_KIND_TCP };

enum { STATUS_SET_MAX = 600, STATUS_SET_BITS = 64 };
/* Statuses below STATUS_SET_MAX. */
struct status_set {
    uint64_t bits[STATUS_SET_MAX / STATUS_SET_BITS + 1];
};

static inline void status_set_add(struct status_set *s, uint16_t status)
{
    if (status < STATUS_SET_MAX)
        s->bits[status / STATUS_SET_BITS] |= 1ULL << status % STATUS_SET_BITS;
}
static inline bool status_set_has(const struct status_set *s, uint16_t status)
{
    return status < STATUS_SET_MAX &&
           (s->bits[status / STATUS_SET_BITS] >> status % STATUS_SET_BITS & 1);
}

struct probe_plan {
    enum probe_kind kind;
    uint64_t timeout_us;  /* of one probe, with its connection */
    uint64_t interval_us; /* from the end of one to the next */
    uint64_t initial_jitter_us;
    uint32_t unhealthy_threshold;
    uint32_t healthy_threshold;
    uint16_t port; /* 0: the endpoint's */
    /* HTTP */
    enum http_method method;
    struct str method_text;
    struct str host; /* empty: the backend's own name */
    struct str path;
    struct str query; /* STR_NULL: none */
    struct status_set expected;
    struct status_set retriable;
    /* TCP */
    struct str send;
    /* What must be in the answer; empty: anything will do. Of TCP: no answer is waited for. */
    struct str receive;
};

/* As struct outlier_rule. */
struct outlier_plan {
    bool is_on;
    bool splits_local;
    bool ejects_one;
    uint32_t n_5xx;
    uint32_t n_gateway_errors;
    uint32_t n_local_failures;
    uint32_t failure_percent; /* of an interval's answers; 0: not asked for */
    uint32_t percent;
    uint64_t base_us;
    uint64_t interval_us; /* between looks at who may come back */
};

struct health_plan {
    struct str key; /* the same for plans that ask the same */
    struct probe_plan probe;
    struct outlier_plan outlier;
    uint32_t panic_percent;
};

/* With its texts in `a`. */
struct health_plan health_plan_copy(struct arena *a, const struct health_plan *p);
