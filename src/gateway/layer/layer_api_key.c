/* The layer of API keys: the first source that has a key counts, and the key must be that of a
 * client. A good key passes whatever other callers behind the same address do wrong; bad ones are
 * slowed down. */
#include "gateway/exchange.h"
#include "gateway/layer/credential.h"
#include "gateway/layer/layer_forecast.h"
#include "gateway/worker.h"

/* The key of an Authorization header may stand behind "Bearer ", as Envoy reads it. */
static struct str api_key_strip(const struct credential_source *source, struct str value)
{
    struct str token;

    if (source->place == CREDENTIAL_HEADER &&
        str_eq(source->name, header_name(HEADER_AUTHORIZATION)) &&
        extract_bearer(value, &token) == EXTRACT_TOKEN)
        return token;
    return value;
}

/* Header values of all sources stay here, and not only that of the key: which of several a backend
 * would show to whom is not known. But an Authorization that does not hold the key may be the
 * token's. */
static void api_key_withhold(struct exchange *x, const struct api_key_plan *p,
                             const struct credential_source *found)
{
    const struct http_headers *h = &x->request.headers;

    for (size_t i = 0; !p->forwards && i < p->sources.n; i++) {
        const struct credential_source *source = &p->sources.items[i];

        if (source->place != CREDENTIAL_HEADER ||
            (source != found && str_eq(source->name, header_name(HEADER_AUTHORIZATION))))
            continue;
        for (uint16_t k = 0; k < h->n; k++) {
            if (str_eq(h->items[k].name, source->name) && h->items[k].value.len > 0)
                VEC_PUSH(&x->arena, &x->layers.withheld, h->items[k].value.ptr);
        }
    }
}

static enum extract_result api_key_find(const struct http_request *r, const struct api_key_plan *p,
                                        struct arena *a,
                                        const struct credential_source **ret_source,
                                        struct str *ret_key)
{
    for (size_t i = 0; i < p->sources.n; i++) {
        const struct credential_source *source = &p->sources.items[i];
        enum extract_result found = credential_find(r, source, a, ret_key);

        if (found == EXTRACT_NONE || (found == EXTRACT_TOKEN && ret_key->len == 0))
            continue;
        if (found == EXTRACT_TOKEN)
            *ret_key = api_key_strip(source, *ret_key);
        *ret_source = source;
        return found;
    }
    return EXTRACT_NONE;
}

static void api_key_count(struct exchange *x, const char *result)
{
    metric_add(
        METRICS_SERIES(x->worker->metrics, METRIC_CREDENTIALS, STR("api_key"), str_of(result)), 1);
}

enum step_result layer_check_api_key(struct exchange *x, const struct api_key_plan *p)
{
    const struct credential_source *source = NULL;
    struct str key, client_id;
    enum extract_result found = api_key_find(&x->request, p, &x->arena, &source, &key);

    x->refusal_detail = p->policy;
    if (found == EXTRACT_NONE)
        return exchange_refuse(x, REFUSAL_API_KEY_MISSING);
    if (found != EXTRACT_TOKEN || !api_keys_find(p->keys, key, &client_id)) {
        api_key_count(x, "refused");
        if (layer_is_guessing(x))
            return exchange_refuse(x, REFUSAL_CREDENTIAL_FAILURES);
        layer_note_failure(x);
        return exchange_refuse(x, REFUSAL_API_KEY_INVALID);
    }
    api_key_count(x, "verified");
    api_key_withhold(x, p, source);
    if (p->client_id_header.len > 0)
        http_headers_set(&x->request.headers, p->client_id_header, client_id);
    x->refusal_detail = STR("");
    return STEP_NEXT;
}

enum layer_outlook layer_foresee_api_key(struct layer_forecast *f, const struct api_key_plan *p,
                                         const struct http_request *r)
{
    const struct credential_source *source = NULL;
    struct str key, client_id;
    enum extract_result found = api_key_find(r, p, &f->exchange->arena, &source, &key);

    if (found == EXTRACT_NONE)
        return LAYER_REFUSES;
    if (found != EXTRACT_TOKEN || !api_keys_find(p->keys, key, &client_id)) {
        f->has_wrong_key = true;
        return LAYER_REFUSES;
    }
    f->has_right = true;
    if (p->client_id_header.len > 0)
        http_headers_add(&f->written, p->client_id_header, client_id);
    return LAYER_PASSES;
}
