/* When a key set whose fetch failed is fetched again: some tries with growing pauses make a round,
 * and after a round that failed there is a longer pause. Pure; the caller draws the random number.
 * Source: Envoy Gateway API, "RemoteJWKS" (backendSettings.retry, failedRefetchDuration). */
#pragma once

#include "policy/retry/back_off.h"

/* Kinds of failure, as bits: what retryOn names, and what a failure counts as (Envoy,
 * "x-envoy-retry-on": a reset, a refused connection included, counts as 5xx and gateway-error). */
enum key_feed_trigger {
    KEY_FEED_ON_5XX = 1,
    KEY_FEED_ON_GATEWAY_ERROR = 2, /* 502, 503, 504 */
    KEY_FEED_ON_RESET = 4,
    KEY_FEED_ON_CONNECT_FAILURE = 8,
    KEY_FEED_ON_CONFLICT = 16, /* retriable-4xx: 409 */
};

struct key_feed_retry {
    uint32_t n_retries;       /* further tries of one round */
    uint32_t on;              /* key_feed_trigger bits; another failure ends the round */
    struct back_off back_off; /* of its bound the lower quarter is fixed, the rest is jitter */
    uint64_t failed_us;       /* pause after a round that failed */
};

/* What an answer with this status, other than 200, counts as. */
uint32_t key_feed_triggers_of_status(unsigned status);
/* The pause in microseconds before the next try. `*n_failed` counts failed tries of this round, the
 * one that just ended not included; 0 at first, and again when a round has ended. */
uint64_t key_feed_retry_pause(const struct key_feed_retry *r, uint32_t *n_failed, uint32_t triggers,
                              uint64_t random);
