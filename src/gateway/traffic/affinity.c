/* See affinity.h. The request is read as it goes to backends but for what is said of each of them:
 * with claims and the model as headers, and with the edits of its rule. */
#include "gateway/traffic/affinity.h"

#include "base/hash.h"
#include "gateway/exchange.h"
#include "gateway/worker.h"
#include "http/cookie.h"
#include "http/query.h"
#include "policy/balance/stable_hash.h"

/* Numbers drawn by a key, beside those that choose endpoints (the first few). */
enum { AFFINITY_NTH_SHARE = 1 << 16 };

/* ---- what is hashed ---- */

/* STR_NULL: absent. Several fields of one name are one value (RFC 9110 5.3). */
static struct str affinity_header(struct exchange *x, struct str name)
{
    const struct http_request *r = &x->request;

    if (str_eq(name, STR("host")) || str_eq(name, STR(":authority")))
        return r->authority;
    if (str_eq(name, STR(":path")))
        return r->query.ptr
                   ? arena_printf(&x->arena, "%.*s?%.*s", STR_ARG(r->path), STR_ARG(r->query))
                   : r->path;
    if (str_eq(name, STR(":method")))
        return r->method_text;
    return http_headers_joined(&r->headers, name);
}

static void affinity_add(struct affinity *a, struct str value)
{
    a->key = stable_hash_join(a->key, stable_hash(value));
    a->has_key = true;
}

static void affinity_read_headers(struct exchange *x, const struct affinity_plan *plan)
{
    for (uint32_t i = 0; i < plan->n_names; i++) {
        struct str value = affinity_header(x, plan->names[i]);

        if (value.ptr)
            affinity_add(x->affinity, value);
    }
}

static void affinity_read_params(struct exchange *x, const struct affinity_plan *plan)
{
    struct str value;

    for (uint32_t i = 0; i < plan->n_names; i++) {
        if (query_find(x->request.query, plan->names[i], &x->arena, &value))
            affinity_add(x->affinity, value);
    }
}

/* ---- cookies ---- */

static struct str affinity_cookie(const struct exchange *x, struct str name)
{
    const struct http_headers *h = &x->request.headers;
    struct str value = STR("");

    for (unsigned i = 0; i < h->n && value.len == 0; i++) {
        if (h->items[i].id == HEADER_COOKIE)
            cookie_find(h->items[i].value, name, &value);
    }
    return value;
}

/* The same for all requests of a client's connection: those that race for the first answer are told
 * one value, as Envoy has it. Keyed: it tells nobody else's addresses. */
static struct str affinity_make_cookie(struct exchange *x, const struct affinity_plan *plan)
{
    struct str from = arena_printf(&x->arena, "%.*s|%.*s|%.*s", STR_ARG(x->client_ip),
                                   STR_ARG(x->peer), STR_ARG(x->local));
    struct str value =
        arena_printf(&x->arena, "%016llx",
                     (unsigned long long)hash_sip24(hash_process_key(), from.ptr, from.len));

    x->affinity->cookie = arena_printf(&x->arena, "%.*s=%.*s%.*s", STR_ARG(plan->names[0]),
                                       STR_ARG(value), STR_ARG(plan->cookie_rest));
    return value;
}

static void affinity_read_cookie(struct exchange *x, const struct affinity_plan *plan)
{
    struct str value = affinity_cookie(x, plan->names[0]);

    if (value.len == 0 && plan->makes_cookie)
        value = affinity_make_cookie(x, plan);
    if (value.len > 0)
        affinity_add(x->affinity, value);
}

void affinity_write_cookie(const struct affinity *a, struct http_headers *h)
{
    if (a->cookie.len > 0)
        http_headers_add(h, STR("set-cookie"), a->cookie);
}

/* ---- draws ---- */

void affinity_begin(struct exchange *x)
{
    const struct affinity_plan *plan = x->rule->affinity;

    if (LIKELY(!plan))
        return;
    x->affinity = ARENA_NEW(&x->arena, struct affinity);
    switch (plan->source) {
    case AFFINITY_ADDRESS:
        affinity_add(x->affinity, x->client_ip);
        break;
    case AFFINITY_HEADERS:
        affinity_read_headers(x, plan);
        break;
    case AFFINITY_COOKIE:
        affinity_read_cookie(x, plan);
        break;
    case AFFINITY_PARAMS:
        affinity_read_params(x, plan);
        break;
    }
}

uint32_t affinity_below(struct exchange *x, uint32_t bound)
{
    if (!affinity_is_known(x->affinity))
        return random_below(&x->worker->random, bound);
    return (uint32_t)(stable_hash_nth(x->affinity->key, AFFINITY_NTH_SHARE) % bound);
}

uint64_t affinity_draw_key(const struct affinity *a)
{
    return stable_hash_nth(a->key, a->n_redraws);
}
