/* A chained hash table with the entries also on a list by last use. One fixed number of buckets:
 * the number of entries is bounded, and the memory is not asked for before the first token. */
#include "auth/token_memory.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"

enum { TOKEN_BUCKETS = 4096, TOKEN_HASHED_BYTES = 64 };

/* Of a token's end only: what stands there is its signature, which nobody chooses. Only tokens that
 * verified are kept, and one is found by all of its bytes. */
static uint64_t token_hash(struct str token)
{
    return hash_str(str_slice(
        token, token.len > TOKEN_HASHED_BYTES ? token.len - TOKEN_HASHED_BYTES : 0, token.len));
}

void token_memory_init(struct token_memory *m)
{
    *m = (struct token_memory){0};
}

static size_t token_entry_bytes(const struct token_entry *e)
{
    return sizeof *e + e->token_len + jwt_claims_bytes(e->claims);
}

void token_entry_unpin(struct token_entry *e)
{
    if (!e || --e->n_refs > 0)
        return;
    jwt_claims_free(e->claims);
    mem_wipe(e->token, e->token_len);
    mem_free(e);
}

void token_memory_forget(struct token_memory *m, struct token_entry *e)
{
    struct token_entry **at;

    PRE(e);
    if (!e->recent.owner)
        return;
    at = &m->buckets[e->hash % TOKEN_BUCKETS];
    while (*at && *at != e)
        at = &(*at)->chain;
    ASSERT(*at == e);
    *at = e->chain;
    list_remove(&e->recent);
    m->n_bytes -= token_entry_bytes(e);
    token_entry_unpin(e);
}

void token_memory_deinit(struct token_memory *m)
{
    while (m->recent.first)
        token_memory_forget(m, CONTAINER_OF(m->recent.first, struct token_entry, recent));
    mem_free(m->buckets);
    *m = (struct token_memory){0};
}

struct token_entry *token_memory_find(struct token_memory *m, struct str token, uint64_t identity,
                                      uint64_t key_version)
{
    uint64_t hash;

    if (!m->buckets)
        return NULL;
    hash = token_hash(token);
    for (struct token_entry *e = m->buckets[hash % TOKEN_BUCKETS]; e; e = e->chain) {
        if (e->hash == hash && e->identity == identity && e->key_version == key_version &&
            e->token_len == token.len && memcmp(e->token, token.ptr, token.len) == 0) {
            if (m->recent.last != &e->recent)
                list_move(&m->recent, &e->recent);
            e->n_refs++;
            return e;
        }
    }
    return NULL;
}

struct token_entry *token_memory_add(struct token_memory *m, struct str token, uint64_t identity,
                                     uint64_t key_version, struct jwt_claims *claims)
{
    struct token_entry *e = mem_alloc_zero(sizeof *e + token.len);

    if (!m->buckets)
        m->buckets = mem_alloc_zero(TOKEN_BUCKETS * sizeof(struct token_entry *));
    e->hash = token_hash(token);
    e->identity = identity;
    e->key_version = key_version;
    e->claims = claims;
    e->token_len = token.len;
    memcpy(e->token, token.ptr, token.len);
    e->n_refs = 2; /* the memory's and the caller's */
    e->chain = m->buckets[e->hash % TOKEN_BUCKETS];
    m->buckets[e->hash % TOKEN_BUCKETS] = e;
    list_append(&m->recent, &e->recent);
    m->n_bytes += token_entry_bytes(e);
    while (m->recent.first != &e->recent && (m->recent.n_nodes > LIMIT_TOKEN_MEMORY_ENTRIES ||
                                             m->n_bytes > LIMIT_TOKEN_MEMORY_BYTES))
        token_memory_forget(m, CONTAINER_OF(m->recent.first, struct token_entry, recent));
    return e;
}
