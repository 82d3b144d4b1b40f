/* Hashes that are the same in every worker, process and gateway, also after a restart: what decides
 * where a key goes. Keyed hashing has no use here: whoever may choose a key may send it as often as
 * he likes. Pure. */
#pragma once

#include "base/str.h"

uint64_t stable_hash(struct str s);
/* Of several parts in their order. */
uint64_t stable_hash_join(uint64_t before, uint64_t next);
/* The i-th number drawn by it; the 0th is the hash itself. */
uint64_t stable_hash_nth(uint64_t hash, uint64_t i);
