/* Keyed hashing (SipHash-1-3 for tables, 2-4 for token memories) with a per-process random key, so
 * that an outsider cannot choose collisions. */
#pragma once

#include "base/str.h"

struct hash_key {
    uint64_t k0;
    uint64_t k1;
};

/* The process's key, drawn once from getrandom(2). Thread-safe. */
struct hash_key hash_process_key(void);
uint64_t hash_sip13(struct hash_key key, const void *bytes, size_t n);
uint64_t hash_sip24(struct hash_key key, const void *bytes, size_t n);
/* SipHash-1-3 with the process key. */
uint64_t hash_str(struct str s);
/* As hash_str of the lower-cased (ASCII) string. */
uint64_t hash_str_nocase(struct str s);
