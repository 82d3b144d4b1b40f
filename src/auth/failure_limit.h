/* How often verification failed for a source address lately: checking signatures costs, so somebody
 * who only brings bad tokens is refused before the check. Worker-local, a bounded table; when two
 * addresses share a slot the newer one takes it. Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d; of
 * IPv6 the first 64 bits count, because one customer holds all of a /64. */
#pragma once

#include "base/macro.h"

enum {
    FAILURE_LIMIT_PER_WINDOW = 100, /* failures of one address in one window and worker */
    FAILURE_LIMIT_WINDOW_US = 1000000,
};

struct failure_slot {
    uint8_t address[16];
    uint64_t window; /* its number */
    uint32_t n_failures;
};

struct failure_limit {
    struct failure_slot *slots; /* made at the first failure */
};

void failure_limit_init(struct failure_limit *f);
void failure_limit_deinit(struct failure_limit *f);
bool failure_limit_is_over(const struct failure_limit *f, const uint8_t address[16],
                           uint64_t now_us);
/* A number for whom the address belongs to, the same for all of an IPv6 /64; keyed, so that nobody
 * can choose to share another's. */
uint64_t failure_limit_source(const uint8_t address[16]);
void failure_limit_note(struct failure_limit *f, const uint8_t address[16], uint64_t now_us);
