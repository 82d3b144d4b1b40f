/* A map from digests to clients, in an arena of its own. The map's hash and its early exits see
 * digests under the process's secret key, which an outsider can neither compute nor steer; the last
 * word is a comparison in constant time. */
#include "auth/api_key.h"

#include <stdatomic.h>

#include "auth/credential_digest.h"
#include "base/arena.h"
#include "base/map.h"
#include "base/mem.h"

struct api_key {
    struct credential_digest digest;
    struct str client_id;
};

struct api_keys {
    _Atomic uint32_t n_refs;
    struct arena arena;
    struct map by_digest; /* -> struct api_key */
    struct map by_client; /* the same, by client id */
};

struct api_keys *api_keys_new(void)
{
    struct api_keys *k = MEM_NEW(struct api_keys);

    atomic_init(&k->n_refs, 1);
    arena_init(&k->arena, 4096);
    return k;
}

struct api_keys *api_keys_ref(struct api_keys *k)
{
    atomic_fetch_add_explicit(&k->n_refs, 1, memory_order_relaxed);
    return k;
}

void api_keys_unref(struct api_keys *k)
{
    if (!k || atomic_fetch_sub_explicit(&k->n_refs, 1, memory_order_acq_rel) > 1)
        return;
    map_deinit(&k->by_digest);
    map_deinit(&k->by_client);
    arena_deinit(&k->arena);
    mem_free(k);
}

int api_keys_add(struct api_keys *k, struct str client_id, struct str key)
{
    struct api_key *made;

    if (key.len == 0)
        return API_KEY_EMPTY;
    if (map_find(&k->by_client, client_id))
        return 0;
    made = ARENA_NEW(&k->arena, struct api_key);
    credential_digest_make(&made->digest, &key, 1);
    if (map_find(&k->by_digest, credential_digest_str(&made->digest)))
        return API_KEY_TAKEN;
    made->client_id = arena_str(&k->arena, client_id);
    map_put(&k->by_digest, credential_digest_str(&made->digest), made);
    map_put(&k->by_client, made->client_id, made);
    return 0;
}

bool api_keys_find(const struct api_keys *k, struct str key, struct str *ret_client_id)
{
    struct credential_digest digest;
    const struct api_key *found;

    credential_digest_make(&digest, &key, 1);
    found = map_find(&k->by_digest, credential_digest_str(&digest));
    if (!found || !credential_digest_eq(&found->digest, &digest))
        return false;
    *ret_client_id = found->client_id;
    return true;
}

size_t api_keys_count(const struct api_keys *k)
{
    return k->by_digest.n_items;
}
