/* A map of names, and a list of their hashes to draw a stand-in from. Everything is copied: the
 * Secret that it came from is wiped with its load. */
#include "auth/htpasswd.h"

#include <stdatomic.h>

#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"

struct htpasswd_user {
    struct str name;
    struct str hash;
};

struct htpasswd {
    _Atomic uint32_t n_refs;
    struct arena arena;
    struct map by_name; /* -> struct htpasswd_user */
    VEC(const struct htpasswd_user *) users;
};

struct htpasswd *htpasswd_ref(struct htpasswd *h)
{
    atomic_fetch_add_explicit(&h->n_refs, 1, memory_order_relaxed);
    return h;
}

void htpasswd_unref(struct htpasswd *h)
{
    if (!h || atomic_fetch_sub_explicit(&h->n_refs, 1, memory_order_acq_rel) > 1)
        return;
    VEC_FOREACH (&h->users, user)
        mem_wipe((void *)(uintptr_t)(*user)->hash.ptr, (*user)->hash.len);
    map_deinit(&h->by_name);
    arena_deinit(&h->arena);
    mem_free(h);
}

static int htpasswd_add(struct htpasswd *h, struct str line, struct htpasswd_problem *ret_problem)
{
    struct htpasswd_user *user;
    struct str hash = line;
    struct str name;

    if (!str_split(&hash, ':', &name) || name.len == 0 || !hash.ptr)
        return HTPASSWD_BAD_LINE;
    ret_problem->user = name;
    ret_problem->hash_result = password_check_hash(hash);
    if (ret_problem->hash_result != 0)
        return HTPASSWD_BAD_HASH;
    if (map_find(&h->by_name, name))
        return HTPASSWD_USER_TWICE;
    user = ARENA_NEW(&h->arena, struct htpasswd_user);
    user->name = arena_str(&h->arena, name);
    user->hash = arena_str(&h->arena, hash);
    map_put(&h->by_name, user->name, user);
    VEC_PUSH(&h->arena, &h->users, user);
    return 0;
}

int htpasswd_new(struct str text, struct htpasswd **ret_users, struct htpasswd_problem *ret_problem)
{
    struct htpasswd *h = MEM_NEW(struct htpasswd);
    struct str line;
    int r = 0;

    atomic_init(&h->n_refs, 1);
    arena_init(&h->arena, 1024);
    *ret_problem = (struct htpasswd_problem){0};
    while (r == 0 && str_split(&text, '\n', &line)) {
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        ret_problem->line++;
        ret_problem->user = STR_NULL;
        if (str_trim(line).len > 0 && line.ptr[0] != '#')
            r = htpasswd_add(h, line, ret_problem);
    }
    if (r == 0 && h->users.n == 0)
        r = HTPASSWD_NO_USER;
    if (r == 0)
        *ret_users = h;
    else
        htpasswd_unref(h);
    return r;
}

bool htpasswd_find(const struct htpasswd *h, struct str user, struct str *ret_hash)
{
    const struct htpasswd_user *found = map_find(&h->by_name, user);

    if (!found)
        *ret_hash = h->users.items[hash_str(user) % h->users.n]->hash;
    else
        *ret_hash = found->hash;
    return found != NULL;
}

size_t htpasswd_count(const struct htpasswd *h)
{
    return h->users.n;
}
