/* The layer of basic credentials (RFC 7617). They stand in Authorization, or, where that holds a
 * Bearer token, in a header of their own. A pair that was verified lately costs a look-up; a slow
 * hash is computed by the pool while the exchange waits. A name that nobody has costs what a known
 * one costs. The decoded password lives on the stack and in the pool's job, and is wiped in both.
 */
#include "auth/base64url.h"
#include "auth/password_memory.h"
#include "base/limits.h"
#include "base/mem.h"
#include "gateway/exchange.h"
#include "gateway/layer/credential.h"
#include "gateway/layer/layer_forecast.h"
#include "gateway/rehearsal.h"
#include "gateway/worker.h"

/* "user:password", decoded. */
struct basic_pair {
    unsigned char bytes[LIMIT_BASIC_CREDENTIAL_BYTES];
    struct str user;
    struct str password;
};

/* ---- where they stand ---- */

static const struct str basic_scheme = {"Basic", 5};

static bool basic_is_scheme(struct str value)
{
    return str_starts_with_nocase(value, basic_scheme) &&
           (value.len == basic_scheme.len || value.ptr[basic_scheme.len] == ' ');
}

static enum extract_result basic_in_authorization(const struct http_headers *h,
                                                  struct str *ret_value)
{
    struct str name = header_name(HEADER_AUTHORIZATION);
    enum extract_result found = credential_in_header(h, name, ret_value);

    if (found == EXTRACT_TOKEN && !basic_is_scheme(*ret_value))
        return EXTRACT_NONE; /* the token's */
    return found;
}

static enum extract_result basic_find(const struct http_headers *h, const struct basic_plan *p,
                                      struct str *ret_value)
{
    enum extract_result found;

    if (!p->prefers_header) {
        found = basic_in_authorization(h, ret_value);
        return found != EXTRACT_NONE ? found
                                     : credential_in_header(h, p->credential_header, ret_value);
    }
    found = credential_in_header(h, p->credential_header, ret_value);
    return found != EXTRACT_NONE ? found : basic_in_authorization(h, ret_value);
}

/* What stands in the header of its own stays here too where Authorization was taken. */
static void basic_withhold(struct exchange *x, const struct basic_plan *p, struct str value)
{
    const struct http_headers *h = &x->request.headers;

    for (uint16_t i = 0; i < h->n; i++) {
        if (h->items[i].value.len > 0 &&
            (h->items[i].value.ptr == value.ptr || str_eq(h->items[i].name, p->credential_header)))
            VEC_PUSH(&x->arena, &x->layers.withheld, h->items[i].value.ptr);
    }
}

/* "Basic" SP base64(user ":" password). A NUL would end the password early for crypt(3). */
static bool basic_decode(struct str value, struct basic_pair *ret)
{
    struct str rest;
    ssize_t n;

    if (!basic_is_scheme(value))
        return false;
    n = base64_decode(str_trim(str_slice(value, basic_scheme.len, value.len)), ret->bytes,
                      sizeof ret->bytes);
    if (n <= 0)
        return false;
    rest = str_make(ret->bytes, (size_t)n);
    if (str_find_char(rest, '\0', 0) >= 0 || !str_split(&rest, ':', &ret->user) || !rest.ptr)
        return false;
    ret->password = rest;
    return ret->user.len > 0;
}

/* ---- the verdict ---- */

static void basic_count(struct exchange *x, const char *result)
{
    metric_add(METRICS_SERIES(x->worker->metrics, METRIC_CREDENTIALS, STR("basic"), str_of(result)),
               1);
}

static enum step_result basic_reject(struct exchange *x, enum refusal why)
{
    basic_count(x, "refused");
    layer_note_failure(x);
    return exchange_refuse(x, why);
}

static enum step_result basic_accept(struct exchange *x, const struct basic_plan *p)
{
    const struct layer_state *s = &x->layers;

    if (p->user_header.len > 0)
        http_headers_set(&x->request.headers, p->user_header, s->user);
    x->refusal_detail = STR("");
    return STEP_NEXT;
}

static enum step_result basic_conclude(struct exchange *x, const struct basic_plan *p,
                                       bool is_right)
{
    if (!is_right)
        return basic_reject(x, REFUSAL_BASIC_INVALID);
    basic_count(x, "verified");
    password_memory_add(&x->worker->password_memory, &x->layers.digest,
                        x->worker->loop.now.mono_us);
    return basic_accept(x, p);
}

static void basic_on_hash(struct hash_wait *w)
{
    exchange_resume(CONTAINER_OF(w, struct exchange, layers.hash));
}

static enum step_result basic_ask(struct exchange *x, const struct hash_question *q)
{
    struct layer_state *s = &x->layers;

    s->hash.on_done = basic_on_hash;
    if (hash_desk_ask(&x->worker->passwords, q, &s->hash) != 0)
        return exchange_refuse(x, REFUSAL_HASH_QUEUE_FULL);
    s->is_hashing = true;
    x->wait = WAIT_PASSWORD;
    return STEP_WAIT;
}

/* The tenant of the token and the user must be the same: asked before the password, so that nobody
 * can try those of others behind a token of his own. */
static bool basic_is_tenant(struct str tenant, const struct basic_plan *p, struct str user)
{
    return !p->matches_tenant || tenant.len == 0 || str_eq(tenant, user);
}

static enum step_result basic_judge(struct exchange *x, const struct basic_plan *p,
                                    const struct basic_pair *pair)
{
    struct layer_state *s = &x->layers;
    struct hash_question q = {.password = pair->password,
                              .source = failure_limit_source(x->client.address.bytes)};

    if (!basic_is_tenant(x->tenant, p, pair->user))
        return basic_reject(x, REFUSAL_BASIC_TENANT_MISMATCH);
    s->user = arena_str(&x->arena, pair->user);
    q.is_known = htpasswd_find(p->users, pair->user, &q.hash);
    password_memory_digest(&q.digest, q.hash, pair->user, pair->password);
    s->digest = q.digest;
    if (password_memory_has(&x->worker->password_memory, &q.digest, x->worker->loop.now.mono_us)) {
        basic_count(x, "remembered");
        return basic_accept(x, p);
    }
    if (layer_is_guessing(x))
        return exchange_refuse(x, REFUSAL_CREDENTIAL_FAILURES);
    if (UNLIKELY(x->rehearsal) && !x->rehearsal->may_hash && password_is_slow(q.hash)) {
        x->rehearsal->has_skipped_hash = true;
        return basic_accept(x, p);
    }
    if (password_is_slow(q.hash))
        return basic_ask(x, &q);
    return basic_conclude(x, p, password_verify(q.hash, pair->password) && q.is_known);
}

enum step_result layer_check_basic(struct exchange *x, const struct basic_plan *p)
{
    struct layer_state *s = &x->layers;
    struct basic_pair pair;
    enum step_result result;
    struct str value;
    enum extract_result found;

    x->refusal_detail = p->policy;
    if (s->is_hashing) {
        s->is_hashing = false;
        return basic_conclude(x, p, s->hash.verdict == HASH_RIGHT);
    }
    found = basic_find(&x->request.headers, p, &value);
    if (found == EXTRACT_NONE)
        return exchange_refuse(x, REFUSAL_BASIC_MISSING);
    if (!p->forwards)
        basic_withhold(x, p, value);
    if (found == EXTRACT_TOKEN && basic_decode(value, &pair))
        result = basic_judge(x, p, &pair);
    else
        result = basic_reject(x, REFUSAL_BASIC_INVALID);
    mem_wipe(&pair, sizeof pair);
    return result;
}

/* ---- of a request that nobody has sent ---- */

static enum layer_outlook basic_foresee(struct layer_forecast *f, const struct basic_plan *p,
                                        const struct basic_pair *pair)
{
    struct exchange *x = f->exchange;
    struct str tenant = f->met->claims ? jwt_claim_string(f->met->claims, STR("tenant")) : STR("");
    struct credential_digest digest;
    struct str hash;
    bool is_known;

    if (!basic_is_tenant(tenant, p, pair->user))
        return LAYER_REFUSES;
    is_known = htpasswd_find(p->users, pair->user, &hash);
    password_memory_digest(&digest, hash, pair->user, pair->password);
    if (password_memory_has(&x->worker->password_memory, &digest, x->worker->loop.now.mono_us))
        return LAYER_PASSES;
    if (password_is_slow(hash))
        return LAYER_CANNOT_TELL;
    if (!layer_is_guessing(x) && password_verify(hash, pair->password) && is_known)
        return LAYER_PASSES;
    f->has_wrong_password = true;
    return LAYER_REFUSES;
}

enum layer_outlook layer_foresee_basic(struct layer_forecast *f, const struct basic_plan *p,
                                       const struct http_request *r)
{
    enum layer_outlook outlook = LAYER_REFUSES;
    struct basic_pair pair;
    struct str value;

    if (basic_find(&r->headers, p, &value) == EXTRACT_TOKEN && basic_decode(value, &pair)) {
        outlook = basic_foresee(f, p, &pair);
        if (outlook != LAYER_REFUSES && p->user_header.len > 0)
            http_headers_add(&f->written, p->user_header,
                             arena_str(&f->exchange->arena, pair.user));
    }
    mem_wipe(&pair, sizeof pair);
    return outlook;
}
