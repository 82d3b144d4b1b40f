/* compile: Secrets into sets of API keys and of users. Each is read once per pass, however many
 * rules ask for it, and only digests and hashes are kept; what is wrong with one is told by client,
 * user and line, never by value. */
#include "gateway/compile/layer.h"

#include "manifest/core.h"
#include "manifest/security_policy.h"

/* ---- Secrets, once per pass ---- */

/* Both NULL: it had an error, which was told. */
struct credential_set {
    struct api_keys *keys;
    struct htpasswd *users;
};

/* The set of that key; *ret_is_new: to be filled. */
static struct credential_set *compile_set(struct compile *c, struct str key, bool *ret_is_new)
{
    struct credential_set *set = map_find(&c->credential_sets, key);

    *ret_is_new = set == NULL;
    if (!set) {
        set = ARENA_NEW(&c->scratch, struct credential_set);
        map_put(&c->credential_sets, key, set);
    }
    return set;
}

void compile_drop_sets(struct compile *c)
{
    MAP_FOREACH (&c->credential_sets, slot) {
        struct credential_set *set = slot->value;

        api_keys_unref(set->keys);
        htpasswd_unref(set->users);
    }
    map_deinit(&c->credential_sets);
}

static bool compile_is_secret(const struct layer_draft *d, const struct secret_ref *ref)
{
    if (!ref->target)
        return false; /* told by link */
    if (ref->target->kind->id == KIND_SECRET)
        return true;
    manifest_object_error(d->c->manifest, d->policy, DIAG_INVALID_VALUE, ref->mark,
                          "%.*s is not a Secret: credentials stand in Secrets only",
                          STR_ARG(ref->target->label));
    return false;
}

/* ---- API keys ---- */

/* Files end with a line feed that is no part of the key. */
static struct str api_key_trim(struct str value)
{
    while (value.len > 0 && (value.ptr[value.len - 1] == '\n' || value.ptr[value.len - 1] == '\r'))
        value.len--;
    return value;
}

static bool compile_keys_of(const struct layer_draft *d, const struct secret_ref *ref,
                            struct api_keys *keys)
{
    const struct secret *secret = CONTAINER_OF(ref->target, struct secret, object);

    VEC_FOREACH (&secret->spec.data, pair) {
        int r = api_keys_add(keys, pair->key, api_key_trim(pair->value));

        if (r == 0)
            continue;
        manifest_object_error(
            d->c->manifest, d->policy, DIAG_INVALID_VALUE, ref->mark,
            "client \"%.*s\" of %.*s has %s", STR_ARG(pair->key), STR_ARG(secret->object.label),
            r == API_KEY_EMPTY ? "an empty API key" : "the same API key as another client");
        return false;
    }
    return true;
}

static struct api_keys *compile_keys_from(const struct layer_draft *d, const struct api_key_auth *s)
{
    struct api_keys *keys = api_keys_new();

    VEC_FOREACH (&s->credential_refs, ref) {
        if (!compile_is_secret(d, ref) || !compile_keys_of(d, ref, keys)) {
            api_keys_unref(keys);
            return NULL;
        }
    }
    if (api_keys_count(keys) > 0)
        return keys;
    manifest_object_error(d->c->manifest, d->policy, DIAG_INVALID_VALUE, s->mark,
                          "the Secrets of apiKeyAuth hold no API key");
    api_keys_unref(keys);
    return NULL;
}

struct api_keys *compile_keys(const struct layer_draft *d, const struct api_key_auth *s)
{
    struct str key = STR("keys");
    struct credential_set *set;
    bool is_new;

    VEC_FOREACH (&s->credential_refs, ref) {
        if (!ref->target)
            return NULL;
        key = arena_printf(&d->c->scratch, "%.*s|%.*s", STR_ARG(key), STR_ARG(ref->target->label));
    }
    set = compile_set(d->c, key, &is_new);
    if (is_new)
        set->keys = compile_keys_from(d, s);
    return set->keys ? api_keys_ref(set->keys) : NULL;
}

/* ---- users ---- */

static void compile_report_users(const struct layer_draft *d, const struct secret_ref *ref,
                                 int result, const struct htpasswd_problem *problem)
{
    static const char *const texts[] = {
        [HTPASSWD_NO_USER] = "no user stands there",
        [HTPASSWD_BAD_LINE] = "expected a user name, a colon and a password hash",
        [HTPASSWD_USER_TWICE] = "the user stands there twice",
    };
    const char *text =
        result == HTPASSWD_BAD_HASH ? password_problem_text(problem->hash_result) : texts[result];
    struct str about = STR("");

    if (problem->user.len > 0)
        about = arena_printf(&d->c->scratch, ", user \"%.*s\"",
                             STR_ARG(str_slice(problem->user, 0, 64)));
    manifest_object_error(d->c->manifest, d->policy, DIAG_INVALID_VALUE, ref->mark,
                          "%.*s, .htpasswd line %u%.*s: %s%s", STR_ARG(ref->target->label),
                          problem->line, STR_ARG(about), result == HTPASSWD_BAD_HASH ? "has " : "",
                          text);
}

static struct htpasswd *compile_users_from(const struct layer_draft *d,
                                           const struct secret_ref *ref)
{
    struct str text = keeper_find(ref->target, ".htpasswd");
    struct htpasswd_problem problem;
    struct htpasswd *users = NULL;
    int r;

    if (!text.ptr) {
        manifest_object_error(d->c->manifest, d->policy, DIAG_INVALID_VALUE, ref->mark,
                              "%.*s has no key .htpasswd", STR_ARG(ref->target->label));
        return NULL;
    }
    r = htpasswd_new(text, &users, &problem);
    if (r != 0)
        compile_report_users(d, ref, r, &problem);
    return r == 0 ? users : NULL;
}

struct htpasswd *compile_users(const struct layer_draft *d, const struct secret_ref *ref)
{
    struct credential_set *set;
    bool is_new;

    if (!ref || !compile_is_secret(d, ref))
        return NULL;
    set = compile_set(d->c, arena_printf(&d->c->scratch, "users|%.*s", STR_ARG(ref->target->label)),
                      &is_new);
    if (is_new)
        set->users = compile_users_from(d, ref);
    return set->users ? htpasswd_ref(set->users) : NULL;
}
