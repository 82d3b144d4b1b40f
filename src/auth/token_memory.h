/* Verified tokens that a worker remembers, so that the signature of a token is checked once and not
 * with every request. An entry is found by a keyed hash and then compared whole, byte by byte,
 * together with the identity of the provider and the version of its keys: no collision can let a
 * stranger in. Only successes are remembered. Worker-local. */
#pragma once

#include "auth/jwt.h"
#include "base/list.h"

struct token_entry {
    struct token_entry *chain; /* next in its bucket */
    struct list_node recent;   /* oldest first */
    uint32_t n_refs;           /* the memory's own and the pins */
    uint64_t key_version;
    uint64_t identity; /* of the provider's demands */
    uint64_t hash;
    struct jwt_claims *claims;
    size_t token_len;
    char token[];
};

struct token_memory {
    struct token_entry **buckets; /* made at first use */
    struct list recent;
    size_t n_bytes;
};

/* A zeroed memory is empty and ready. */
void token_memory_init(struct token_memory *m);
/* Pinned entries live on until they are unpinned. */
void token_memory_deinit(struct token_memory *m);
/* NULL when it is not remembered. The entry is pinned: token_entry_unpin it. */
struct token_entry *token_memory_find(struct token_memory *m, struct str token, uint64_t identity,
                                      uint64_t key_version);
/* Remembers (the claims are taken over) and pins; the oldest entries leave when the bounds
 * LIMIT_TOKEN_MEMORY_ENTRIES or LIMIT_TOKEN_MEMORY_BYTES are reached. */
struct token_entry *token_memory_add(struct token_memory *m, struct str token, uint64_t identity,
                                     uint64_t key_version, struct jwt_claims *claims);
/* Forgets an entry that is no longer valid (expired). The pin stays. */
void token_memory_forget(struct token_memory *m, struct token_entry *e);
void token_entry_unpin(struct token_entry *e);
