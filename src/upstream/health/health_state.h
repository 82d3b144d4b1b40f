/* What is known of the health of a backend and of each of its endpoints: part of their states
 * (upstream/backend_state.h), so that it outlives reloads and other answers of a name server.
 * Shared: control and workers write, workers read with every choice of an endpoint. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Why an endpoint gets nothing while there are others (usable.h). */
enum health_bit {
    HEALTH_FAILS_PROBES = 1,
    HEALTH_EJECTED = 2,
};

struct health_target;
struct health_monitor;

/* What a process that this one has taken over from had found. Nothing comes of it until somebody
 * watches the endpoint here. Control only. */
struct health_inheritance {
    bool is_probed; /* by one probe at least */
    bool fails_probes;
    bool is_ejected;
    uint32_t n_ejections;
    uint64_t ejected_until_us;
};

struct endpoint_health {
    _Atomic uint32_t bits;
    /* In a row, since the last answer that was good in this respect. */
    _Atomic uint32_t n_5xx;
    _Atomic uint32_t n_gateway_errors;
    _Atomic uint32_t n_local_failures;
    /* Since control has last looked, where a share of failures ejects. */
    _Atomic uint32_t n_answers; /* and failures */
    _Atomic uint32_t n_failures;
    _Atomic uint32_t n_ejections; /* lately: the next one lasts so much longer */
    _Atomic uint64_t ejected_until_us;
    struct health_target *target; /* control only: who watches it */
    struct health_inheritance inherited;
};

/* When answers eject (outlier.h). Control writes each value by itself: that a worker reads one of
 * the old rule beside one of the new does no harm. */
struct outlier_rule {
    _Atomic bool is_on;
    _Atomic bool splits_local; /* failures of connections count by themselves */
    _Atomic bool ejects_one;   /* whatever `percent` says */
    _Atomic uint32_t n_5xx;    /* 0: not asked for; so the next two */
    _Atomic uint32_t n_gateway_errors;
    _Atomic uint32_t n_local_failures;
    _Atomic uint32_t failure_percent;
    _Atomic uint32_t percent; /* of a set's endpoints that may be ejected at once */
    _Atomic uint64_t base_us; /* of the first ejection */
};

/* How the probes of a backend ended, for metrics: name, word. */
#define PROBE_RESULTS(X)                                                                           \
    X(OK, "ok")                                                                                    \
    X(STATUS, "status")                                                                            \
    X(RETRIABLE_STATUS, "retriable_status")                                                        \
    X(CONTENT, "content")                                                                          \
    X(TIMEOUT, "timeout")                                                                          \
    X(FAILED, "failed")                                                                            \
    X(NOT_MADE, "not_made") /* for want of a descriptor: says nothing about the endpoint */

enum probe_result {
#define X(name, word) PROBE_##name,
    PROBE_RESULTS(X)
#undef X
        PROBE_RESULT_COUNT
};

struct backend_health {
    _Atomic uint32_t version; /* bumped after any endpoint's bits have changed */
    _Atomic uint32_t
        panic_percent; /* share of usable endpoints below which all are used; 0: never */
    struct outlier_rule outlier;
    _Atomic uint64_t n_ejections;
    struct health_monitor *monitor; /* control only */
};

/* Sets or clears a bit of one of the backend's endpoints. True: it was otherwise before. */
static inline bool health_set_bit(struct backend_health *b, struct endpoint_health *e,
                                  enum health_bit bit, bool is_set)
{
    uint32_t before =
        is_set ? atomic_fetch_or_explicit(&e->bits, (uint32_t)bit, memory_order_relaxed)
               : atomic_fetch_and_explicit(&e->bits, ~(uint32_t)bit, memory_order_relaxed);

    if (((before & (uint32_t)bit) != 0) == is_set)
        return false;
    /* After the bit: who counts again by this version must see it. */
    atomic_fetch_add_explicit(&b->version, 1, memory_order_release);
    return true;
}
