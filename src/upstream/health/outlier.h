/* Passive health: the answers of requests judge endpoints, and those that fail so often in a row
 * are ejected for a time (Envoy, "Outlier detection"). Workers count and eject at once; control
 * lets them back in (monitor.h). */
#pragma once

#include "upstream/health/health_state.h"

struct attempt;
struct endpoint_set;

/* How an attempt speaks of its endpoint. */
enum outlier_result {
    OUTLIER_GOOD,
    OUTLIER_5XX,           /* but for the next one */
    OUTLIER_GATEWAY_ERROR, /* 502, 503, 504 */
    OUTLIER_LOCAL_FAILURE, /* no answer: connect, reset, timeout, not HTTP */
};

enum outlier_result outlier_result_of_status(uint16_t status);
/* Counts. True: a threshold is reached, and that count begins anew. */
bool outlier_count(struct endpoint_health *e, const struct outlier_rule *r,
                   enum outlier_result result);
/* How long an endpoint is ejected for the `n`th time, from 1 on. */
uint64_t outlier_ejection_us(uint64_t base_us, uint32_t n);
/* May one more of `n` endpoints be ejected, where `n_ejected` are? */
bool outlier_may_eject(uint32_t n_ejected, uint32_t n, uint32_t percent, bool ejects_one);

/* The attempt leaves its endpoint, by itself or (without a failure, unless an answer has begun) by
 * its owner's will. */
void outlier_note_attempt(const struct attempt *a, bool has_failed);
/* Its owner gives it up because no answer has come in time. */
void outlier_note_timeout(const struct attempt *a);
/* Control, now and then: an endpoint whose time is over is back; one that behaves is forgiven a
 * former ejection with each call. */
void outlier_sweep(struct backend_health *b, struct endpoint_health *e, uint64_t now_us);
/* All counts and ejections of an endpoint are forgotten. */
void outlier_forget(struct backend_health *b, struct endpoint_health *e);
