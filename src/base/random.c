/* xoroshiro128+ (Blackman and Vigna). Worker-local; no locks. */
#include "base/random.h"

#include <sys/random.h>

#include "base/assert.h"

void random_secure(void *ret_bytes, size_t n)
{
    char *p = ret_bytes;

    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);

        ASSERT(got > 0);
        p += got;
        n -= (size_t)got;
    }
}

void random_init(struct random *r)
{
    random_secure(r->state, sizeof r->state);
    r->state[0] |= 1;
}

void random_init_seed(struct random *r, uint64_t seed)
{
    r->state[0] = seed | 1;
    r->state[1] = seed * 0x9e3779b97f4a7c15ULL;
}

static uint64_t random_rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

uint64_t random_u64(struct random *r)
{
    uint64_t a = r->state[0];
    uint64_t b = r->state[1];
    uint64_t result = a + b;

    b ^= a;
    r->state[0] = random_rotate(a, 24) ^ b ^ (b << 16);
    r->state[1] = random_rotate(b, 37);
    return result;
}

uint32_t random_below(struct random *r, uint32_t bound)
{
    PRE(bound > 0);
    return (uint32_t)(((random_u64(r) >> 32) * (uint64_t)bound) >> 32);
}
