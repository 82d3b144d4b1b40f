/* Pauses between fetches of a key set that fail. Nothing here knows a clock or a connection; the
 * fetch machine stands in key_feed.c. */
#include "upstream/key_feed_retry.h"

uint32_t key_feed_triggers_of_status(unsigned status)
{
    uint32_t triggers = 0;

    if (status >= 500 && status <= 599)
        triggers |= KEY_FEED_ON_5XX;
    if (status >= 502 && status <= 504)
        triggers |= KEY_FEED_ON_GATEWAY_ERROR;
    if (status == 409)
        triggers |= KEY_FEED_ON_CONFLICT;
    return triggers;
}

uint64_t key_feed_retry_pause(const struct key_feed_retry *r, uint32_t *n_failed, uint32_t triggers,
                              uint64_t random)
{
    uint64_t us;

    if (*n_failed >= r->n_retries || (triggers & r->on) == 0) {
        *n_failed = 0;
        return r->failed_us;
    }
    us = back_off_bound(&r->back_off, *n_failed);
    *n_failed += 1;
    return back_off_draw(us / 4, us, random);
}
