/* The sequence of the layers, and what becomes of credentials afterwards. A layer that waits is
 * asked again when the exchange is resumed: the counters in layer_state say where to go on. */
#include "gateway/layer/layer.h"

#include "gateway/exchange.h"
#include "gateway/layer/credential.h"
#include "gateway/worker.h"
#include "http/query.h"

bool layer_is_guessing(const struct exchange *x)
{
    return failure_limit_is_over(&x->worker->failures, x->client.address.bytes,
                                 x->worker->loop.now.mono_us);
}

void layer_note_failure(struct exchange *x)
{
    failure_limit_note(&x->worker->failures, x->client.address.bytes, x->worker->loop.now.mono_us);
}

enum step_result layer_check_credentials(struct exchange *x)
{
    const struct layer_plan *plan = x->rule->layers;
    struct layer_state *s = &x->layers;
    enum step_result result;

    for (; plan && s->n_api_keys < plan->api_keys.n; s->n_api_keys++) {
        result = layer_check_api_key(x, &plan->api_keys.items[s->n_api_keys]);
        if (result != STEP_NEXT)
            return result;
    }
    for (; plan && s->n_basics < plan->basics.n; s->n_basics++) {
        result = layer_check_basic(x, &plan->basics.items[s->n_basics]);
        if (result != STEP_NEXT)
            return result;
    }
    return STEP_NEXT;
}

enum step_result layer_ask_authorizers(struct exchange *x)
{
    const struct layer_plan *plan = x->rule->layers;
    struct layer_state *s = &x->layers;

    for (; plan && s->n_ext_auths < plan->ext_auths.n; s->n_ext_auths++) {
        enum step_result result = layer_ask(x, &plan->ext_auths.items[s->n_ext_auths]);

        if (result != STEP_NEXT)
            return result;
    }
    return STEP_NEXT;
}

void layer_cancel(struct exchange *x)
{
    struct layer_state *s = &x->layers;

    hash_desk_cancel(&x->worker->passwords, &s->hash);
    if (s->call)
        ext_auth_cancel(s->call);
    s->call = NULL;
}

/* ---- what stays here ---- */

bool layer_is_withholding(const struct exchange *x, const struct backend_plan *backend)
{
    return x->rule->layers || backend->withholds_token;
}

/* By where the value stands in memory: a header of that name which a policy or a filter has written
 * since is not the client's, and goes on its way. */
static bool layer_is_withheld(const struct layer_state *s, const struct http_header *h)
{
    for (size_t i = 0; i < s->withheld.n; i++) {
        if (s->withheld.items[i] == h->value.ptr)
            return true;
    }
    return false;
}

static void layer_withhold_headers(const struct exchange *x, struct http_headers *h)
{
    uint16_t n_kept = 0;

    for (uint16_t i = 0; i < h->n; i++) {
        if (!layer_is_withheld(&x->layers, &h->items[i]))
            h->items[n_kept++] = h->items[i];
    }
    h->n = n_kept;
}

static void layer_withhold_source(const struct credential_source *source, struct http_request *r,
                                  struct arena *a)
{
    if (source->place == CREDENTIAL_PARAM && r->query.ptr)
        r->query = credential_strip_param(r->query, source->name, a);
    else if (source->place == CREDENTIAL_COOKIE)
        credential_strip_cookie(&r->headers, source->name, a);
}

static void layer_withhold_named(const struct str *names, uint32_t n, enum credential_place place,
                                 struct http_request *r, struct arena *a)
{
    for (uint32_t i = 0; i < n; i++) {
        struct credential_source source = {place, names[i]};

        if (place == CREDENTIAL_HEADER)
            http_headers_remove(&r->headers, names[i]);
        else
            layer_withhold_source(&source, r, a);
    }
}

/* The caller's token, from wherever its providers look for it. */
static void layer_withhold_token(const struct exchange *x, struct http_request *r, struct arena *a)
{
    const struct security_plan *s = x->rule->security;

    for (uint32_t i = 0; s && s->authentication && i < s->authentication->n_providers; i++) {
        const struct jwt_plan *p = &s->authentication->providers[i];

        if (p->is_default_source)
            http_headers_remove_id(&r->headers, HEADER_AUTHORIZATION);
        layer_withhold_named(p->source_headers, p->n_source_headers, CREDENTIAL_HEADER, r, a);
        layer_withhold_named(p->source_params, p->n_source_params, CREDENTIAL_PARAM, r, a);
        layer_withhold_named(p->source_cookies, p->n_source_cookies, CREDENTIAL_COOKIE, r, a);
    }
}

void layer_withhold(const struct exchange *x, const struct backend_plan *backend,
                    struct http_request *r)
{
    struct arena *a = r->headers.arena;
    const struct layer_plan *plan = x->rule->layers;

    if (backend->withholds_token)
        layer_withhold_token(x, r, a);
    if (x->layers.withheld.n > 0)
        layer_withhold_headers(x, &r->headers);
    for (size_t i = 0; plan && i < plan->api_keys.n; i++) {
        const struct api_key_plan *p = &plan->api_keys.items[i];

        for (size_t k = 0; !p->forwards && k < p->sources.n; k++)
            layer_withhold_source(&p->sources.items[k], r, a);
    }
}

/* ---- what no log shows ---- */

struct str layer_redact_query(struct exchange *x, struct str query)
{
    const struct name_set *names = &x->listener->credential_names;
    struct str rest = query;
    struct str part;
    struct buf out = {0};

    if (!query.ptr || names->n_names == 0)
        return query;
    while (str_split(&rest, '&', &part)) {
        struct str one = part;
        struct str name, value;

        if (out.len > 0)
            buf_append_char(&out, '&');
        if (query_next(&one, &name, &value) && name_set_has(names, query_decode(name, &x->arena))) {
            buf_append_str(&out, name);
            buf_printf(&out, "=redacted");
        } else {
            buf_append_str(&out, part);
        }
    }
    query = arena_str(&x->arena, buf_str(&out));
    buf_deinit(&out);
    return query;
}

struct str layer_redact_target(struct exchange *x, struct str target)
{
    ssize_t mark = str_find_char(target, '?', 0);
    struct str query;

    if (mark < 0 || x->listener->credential_names.n_names == 0)
        return target;
    query = str_slice(target, (size_t)mark + 1, target.len);
    return arena_join(&x->arena, str_slice(target, 0, (size_t)mark + 1),
                      layer_redact_query(x, query));
}
