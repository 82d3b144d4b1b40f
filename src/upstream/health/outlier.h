/* Passive health: the answers of requests judge endpoints, and those that fail so often in a row
 * are ejected for a time (Envoy, "Outlier detection"). Workers count and eject at once; control
 * lets them back in (monitor.h). */
#pragma once

#include "upstream/health/health_state.h"

struct attempt;
struct backend_state;
struct endpoint_set;
struct endpoint_state;

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
/* What an endpoint has answered in one interval. */
struct outlier_share {
    uint32_t n_answers;
    uint32_t n_failures;
};
/* As Envoy's defaults: a share of fewer answers says nothing, nor do those of fewer endpoints. */
enum { OUTLIER_ANSWERS_MIN = 50, OUTLIER_ENDPOINTS_MIN = 5 };

/* The counts begin anew. */
struct outlier_share outlier_take_share(struct endpoint_health *e);
/* Did so many of its answers fail, with enough answers? */
bool outlier_share_is_bad(struct outlier_share s, uint32_t failure_percent);
/* How long an endpoint is ejected for the `n`th time, from 1 on. */
uint64_t outlier_ejection_us(uint64_t base_us, uint32_t n);
/* May one more of `n` endpoints be ejected, where `n_ejected` are? */
bool outlier_may_eject(uint32_t n_ejected, uint32_t n, uint32_t percent, bool ejects_one);

/* The attempt leaves its endpoint, by itself or (without a failure, unless an answer has begun) by
 * its owner's will. */
void outlier_note_attempt(const struct attempt *a, bool has_failed);
/* Its owner gives it up because no answer has come in time. */
void outlier_note_timeout(const struct attempt *a);
/* Ejects it, if no more of `among` are than may be. */
void outlier_eject(struct endpoint_state *e, const struct endpoint_set *among, uint64_t now_us);
/* Control: after it is off no worker ejects any more. */
void outlier_switch(struct backend_state *b, bool is_on);
/* Control, now and then: an endpoint whose time is over is back; one that behaves is forgiven a
 * former ejection with each call. */
void outlier_sweep(struct backend_health *b, struct endpoint_health *e, uint64_t now_us);
/* All counts and ejections of an endpoint are forgotten. */
void outlier_forget(struct backend_health *b, struct endpoint_health *e);
