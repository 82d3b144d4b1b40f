/* identify: whose credentials are these? Each of the shortlist's authentications runs once and
 * leaves a verdict: verified claims and the headers made of them, or a refusal. A remembered token
 * costs a lookup; else its signature is checked with the provider's keys. Waits only for keys: a
 * first fetch that is under way, or one refetch for a kid that nobody knows yet. */
#include "auth/extract.h"
#include "base/limits.h"
#include "gateway/exchange.h"
#include "gateway/layer/credential.h"
#include "gateway/rehearsal.h"
#include "gateway/worker.h"
#include "http/cookie.h"
#include "http/query.h"

enum { IDENTIFY_WAIT_US = 2 * 1000000 };

static enum refusal identify_refusal(int jwt_result)
{
    static const enum refusal map[] = {
        [JWT_MALFORMED] = REFUSAL_TOKEN_MALFORMED,
        [JWT_TOO_LARGE] = REFUSAL_TOKEN_TOO_LARGE,
        [JWT_BAD_ALGORITHM] = REFUSAL_TOKEN_BAD_ALGORITHM,
        [JWT_EMBEDDED_KEY] = REFUSAL_TOKEN_EMBEDDED_KEY,
        [JWT_UNKNOWN_KEY] = REFUSAL_TOKEN_UNKNOWN_KEY,
        [JWT_BAD_SIGNATURE] = REFUSAL_TOKEN_BAD_SIGNATURE,
        [JWT_EXPIRED] = REFUSAL_TOKEN_EXPIRED,
        [JWT_NOT_YET_VALID] = REFUSAL_TOKEN_NOT_YET_VALID,
        [JWT_WRONG_ISSUER] = REFUSAL_TOKEN_WRONG_ISSUER,
        [JWT_WRONG_AUDIENCE] = REFUSAL_TOKEN_WRONG_AUDIENCE,
    };

    return map[jwt_result];
}

/* ---- where the token stands ---- */

static enum extract_result identify_in_headers(const struct exchange *x, const struct jwt_plan *p,
                                               struct str *ret_token)
{
    enum extract_result found = EXTRACT_NONE;
    struct str value;

    for (uint32_t i = 0; i < p->n_source_headers && found == EXTRACT_NONE; i++) {
        found = credential_in_header(&x->request.headers, p->source_headers[i], &value);
        if (found == EXTRACT_TOKEN)
            found = extract_prefixed(value, p->source_prefixes[i], ret_token);
    }
    return found;
}

static bool identify_in_cookies(const struct exchange *x, const struct jwt_plan *p,
                                struct str *ret_token)
{
    for (uint32_t i = 0; i < p->n_source_cookies; i++) {
        const struct http_headers *h = &x->request.headers;

        for (uint16_t k = 0; k < h->n; k++) {
            if (h->items[k].id == HEADER_COOKIE &&
                cookie_find(h->items[k].value, p->source_cookies[i], ret_token))
                return true;
        }
    }
    return false;
}

static enum extract_result identify_find_token(struct exchange *x, const struct jwt_plan *p,
                                               struct str *ret_token)
{
    enum extract_result found;
    struct str value;

    if (p->is_default_source) {
        found =
            credential_in_header(&x->request.headers, header_name(HEADER_AUTHORIZATION), &value);
        return found == EXTRACT_TOKEN ? extract_bearer(value, ret_token) : found;
    }
    found = identify_in_headers(x, p, ret_token);
    if (found != EXTRACT_NONE)
        return found;
    if (identify_in_cookies(x, p, ret_token))
        return EXTRACT_TOKEN;
    for (uint32_t i = 0; i < p->n_source_params; i++) {
        if (query_find(x->request.query, p->source_params[i], &x->arena, ret_token) &&
            ret_token->len > 0)
            return EXTRACT_TOKEN;
    }
    return EXTRACT_NONE;
}

/* ---- verifying ---- */

static void identify_on_timeout(struct timer *t)
{
    struct exchange *x = CONTAINER_OF(t, struct exchange, try_timer);

    x->has_waited_for_keys = true;
    exchange_resume(x);
}

/* Notes that the verdict waits for the provider's keys; false when it has waited long enough. */
static bool identify_wait(struct exchange *x, struct verdict *v)
{
    struct loop *l = &x->worker->loop;

    if (x->has_waited_for_keys)
        return false;
    v->is_waiting = true;
    if (!timer_is_set(&x->try_timer)) {
        x->try_timer.fn = identify_on_timeout;
        timer_set(l, &x->try_timer, l->now.mono_us + IDENTIFY_WAIT_US);
    }
    return true;
}

static void identify_count(struct worker *w, struct str result)
{
    metric_add(METRICS_SERIES(w->metrics, METRIC_TOKENS, result), 1);
}

static void identify_remember(struct exchange *x, struct verdict *v, const struct jwt_plan *p,
                              struct str token, uint64_t keys_version, struct jwt_claims *claims)
{
    v->token = token_memory_add(&x->worker->tokens, token, p->identity, keys_version, claims);
    v->claims = claims;
}

/* Of a request that is explained without keys: the token's own word, in a worker that serves
 * nobody. */
static enum refusal identify_believe(struct exchange *x, struct verdict *v,
                                     const struct jwt_plan *p, struct str token)
{
    struct jwt_claims *claims;
    int r =
        x->rehearsal->read_token(token, &p->provider, clock_wall_s(x->worker->loop.now), &claims);

    if (r != 0)
        return identify_refusal(r);
    x->rehearsal->has_believed = true;
    identify_remember(x, v, p, token, 0, claims);
    return REFUSAL_NONE;
}

/* What the keys say; an unknown kid may ask for one refetch. */
static enum refusal identify_verify(struct exchange *x, struct verdict *v, const struct jwt_plan *p,
                                    struct str token)
{
    struct worker *w = x->worker;
    uint32_t version = key_feed_version(p->keys);
    bool is_pending;
    struct jwks *keys = key_feed_keys(p->keys, &is_pending);
    struct jwt_claims *claims = NULL;
    int r;

    if (!keys && UNLIKELY(x->rehearsal) && x->rehearsal->read_token)
        return identify_believe(x, v, p, token);
    if (!keys) {
        x->retry_after_s = KEY_FEED_RETRY_AFTER_S;
        if (is_pending)
            identify_wait(x, v);
        return REFUSAL_KEYS_UNAVAILABLE;
    }
    r = jwt_verify(token, &p->provider, keys, clock_wall_s(w->loop.now), &claims);
    uint64_t keys_version = jwks_version(keys);

    jwks_unref(keys);
    identify_count(w, r == 0 ? STR("verified") : STR("refused"));
    if (r == 0) {
        identify_remember(x, v, p, token, keys_version, claims);
        return REFUSAL_NONE;
    }
    if (r == JWT_UNKNOWN_KEY && !x->rehearsal &&
        (v->has_refetched ? v->refetch_version == version
                          : key_feed_want_refetch(p->keys, w->loop.now.mono_us))) {
        v->has_refetched = true;
        v->refetch_version = version;
        identify_wait(x, v);
    }
    return identify_refusal(r);
}

static enum refusal identify_provider(struct exchange *x, struct verdict *v,
                                      const struct jwt_plan *p, struct str token)
{
    struct worker *w = x->worker;
    struct token_entry *e =
        token_memory_find(&w->tokens, token, p->identity, key_feed_keys_version(p->keys));

    if (e) {
        int r = jwt_claims_check(e->claims, &p->provider, clock_wall_s(w->loop.now));

        identify_count(w, r == 0 ? STR("remembered") : STR("refused"));
        if (r == 0) {
            v->token = e;
            v->claims = e->claims;
            return REFUSAL_NONE;
        }
        token_memory_forget(&w->tokens, e);
        token_entry_unpin(e);
        return identify_refusal(r);
    }
    if (token.len > LIMIT_TOKEN_BYTES)
        return REFUSAL_TOKEN_TOO_LARGE;
    if (failure_limit_is_over(&w->failures, x->client.address.bytes, w->loop.now.mono_us))
        return REFUSAL_TOKEN_FAILURES;
    return identify_verify(x, v, p, token);
}

/* ---- one authentication ---- */

static void identify_unpin(void *entry)
{
    token_entry_unpin(entry);
}

static void identify_accept(struct exchange *x, struct verdict *v, const struct jwt_plan *p)
{
    /* Copies: the provider stands in the plan of the first route that asks for it, which may go
     * with a reload while the exchange, on another route, goes on. */
    v->provider = arena_str(&x->arena, p->provider.name);
    arena_on_cleanup(&x->arena, identify_unpin, v->token);
    for (uint32_t i = 0; i < p->n_claim_headers; i++) {
        struct str text = jwt_claim_text(v->claims, p->claim_paths[i], &x->arena);

        if (text.len > 0)
            http_headers_add(&v->headers, arena_str(&x->arena, p->claim_headers[i]), text);
    }
}

/* Providers are alternatives: the first that accepts counts; of their refusals the one that came
 * nearest. */
static void identify_run(struct exchange *x, struct verdict *v)
{
    const struct authentication *a = v->authentication;
    bool has_token = false;

    v->is_waiting = false;
    v->refusal = REFUSAL_TOKEN_MISSING;
    for (uint32_t i = 0; i < a->n_providers; i++) {
        struct str token;
        enum refusal refusal = REFUSAL_TOKEN_MALFORMED;
        enum extract_result found = identify_find_token(x, &a->providers[i], &token);

        if (found == EXTRACT_NONE)
            continue;
        has_token = true;
        if (found == EXTRACT_TOKEN)
            refusal = identify_provider(x, v, &a->providers[i], token);
        if (refusal == REFUSAL_NONE) {
            v->refusal = REFUSAL_NONE;
            v->is_waiting = false;
            identify_accept(x, v, &a->providers[i]);
            return;
        }
        if (v->refusal == REFUSAL_TOKEN_MISSING || v->refusal == REFUSAL_TOKEN_WRONG_ISSUER ||
            v->refusal == REFUSAL_TOKEN_UNKNOWN_KEY)
            v->refusal = refusal;
    }
    if (has_token && !v->is_waiting && v->refusal != REFUSAL_KEYS_UNAVAILABLE)
        failure_limit_note(&x->worker->failures, x->client.address.bytes,
                           x->worker->loop.now.mono_us);
    if (!has_token && a->is_optional)
        v->refusal = REFUSAL_NONE;
}

enum step_result step_identify(struct exchange *x)
{
    bool is_waiting = false;
    bool is_open = false;
    enum refusal first = REFUSAL_NONE;

    VEC_FOREACH (&x->verdicts, v) {
        if (v->authentication && (v->is_waiting || !v->has_run)) {
            v->has_run = true;
            identify_run(x, v);
        }
        is_waiting |= v->is_waiting;
        is_open |= v->refusal == REFUSAL_NONE;
        if (first == REFUSAL_NONE)
            first = v->refusal;
    }
    if (is_waiting) {
        x->wait = WAIT_KEYS;
        return STEP_WAIT;
    }
    timer_cancel(&x->worker->loop, &x->try_timer);
    return is_open ? STEP_NEXT : exchange_refuse(x, first);
}
