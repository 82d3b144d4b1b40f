/* SipHash-1-3 under a key that is no secret, and for further numbers the steps of SplitMix64
 * (Steele, Lea, Flood 2014). */
#include "policy/balance/stable_hash.h"

#include "base/hash.h"

/* The fractions of the square roots of two and three. */
static const struct hash_key stable_key = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b};

uint64_t stable_hash(struct str s)
{
    return hash_sip13(stable_key, s.ptr, s.len);
}

uint64_t stable_hash_join(uint64_t before, uint64_t next)
{
    return ((before << 1) | (before >> 63)) ^ next;
}

uint64_t stable_hash_nth(uint64_t hash, uint64_t i)
{
    uint64_t z = hash + i * 0x9e3779b97f4a7c15;

    if (i == 0)
        return hash;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}
