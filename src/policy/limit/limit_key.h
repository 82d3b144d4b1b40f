/* What a limit tells its buckets apart by: the values of its rule's Distinct parts, unambiguous and
 * bounded. What does not fit stands there as a keyed hash of 128 bits, which no outsider can make
 * collide. Pure; any thread. */
#pragma once

#include "base/str.h"

enum { LIMIT_KEY_BYTES = 256 };

struct limit_key {
    uint16_t n;
    char bytes[LIMIT_KEY_BYTES];
};

/* One more value. An empty key is zeroed, or has n 0. */
void limit_key_add(struct limit_key *k, struct str value);

/* A value, read back. */
struct limit_key_part {
    struct str value; /* borrows from the key */
    bool is_hash;     /* it was too long: bytes of a hash */
};

/* Its first parts were folded into one: nothing tells any more whose they are. */
bool limit_key_is_folded(struct str key);
/* Takes the next one off; false at the end, and where the bytes are no key. */
bool limit_key_next(struct str *rest, struct limit_key_part *ret);
