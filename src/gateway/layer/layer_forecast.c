/* The forecast: each layer in its order, as layer.c has it, but for what takes time. Two layers are
 * the same when they would ask the same of one request, whichever policy they come from; keys,
 * users and clusters are shared within a snapshot. An authorizer that is told the model has said
 * nothing of other models, so its word counts for none. */
#include "gateway/layer/layer_forecast.h"

#include "gateway/exchange.h"

void layer_forecast_init(struct layer_forecast *f, struct exchange *x,
                         const struct layer_plan *must_pass)
{
    *f = (struct layer_forecast){.exchange = x, .must_pass = must_pass};
    http_headers_init(&f->written, &x->arena);
}

/* ---- the same ---- */

static bool api_key_is_same(const struct api_key_plan *a, const struct api_key_plan *b)
{
    if (a->keys != b->keys || a->sources.n != b->sources.n)
        return false;
    for (size_t i = 0; i < a->sources.n; i++) {
        if (a->sources.items[i].place != b->sources.items[i].place ||
            !str_eq(a->sources.items[i].name, b->sources.items[i].name))
            return false;
    }
    return true;
}

static bool basic_is_same(const struct basic_plan *a, const struct basic_plan *b)
{
    return a->users == b->users && a->prefers_header == b->prefers_header &&
           a->matches_tenant == b->matches_tenant &&
           str_eq(a->credential_header, b->credential_header);
}

static bool ext_auth_headers_are_same(const struct ext_auth_config *a,
                                      const struct ext_auth_config *b)
{
    if (a->n_headers != b->n_headers)
        return false;
    for (uint32_t i = 0; i < a->n_headers; i++) {
        if (!str_eq(a->headers[i], b->headers[i]))
            return false;
    }
    return true;
}

/* What the policy tells the authorizer besides the request: it may answer by that alone. */
static bool ext_auth_contexts_are_same(const struct ext_auth_config *a,
                                       const struct ext_auth_config *b)
{
    if (a->n_contexts != b->n_contexts)
        return false;
    for (uint32_t i = 0; i < a->n_contexts; i++) {
        if (!str_eq(a->contexts[i].name, b->contexts[i].name) ||
            !str_eq(a->contexts[i].value, b->contexts[i].value))
            return false;
    }
    return true;
}

static bool ext_auth_is_same(const struct ext_auth_config *a, const struct ext_auth_config *b)
{
    return a->cluster == b->cluster && a->is_grpc == b->is_grpc &&
           str_eq(a->authority, b->authority) && str_eq(a->path_prefix, b->path_prefix) &&
           str_eq(a->path_override, b->path_override) && ext_auth_headers_are_same(a, b) &&
           ext_auth_contexts_are_same(a, b);
}

/* What they write too. */
static bool layer_plan_is_same(const struct layer_plan *a, const struct layer_plan *b)
{
    bool is_same = a->api_keys.n == b->api_keys.n && a->basics.n == b->basics.n &&
                   a->ext_auths.n == b->ext_auths.n;

    for (size_t i = 0; is_same && i < a->api_keys.n; i++)
        is_same =
            api_key_is_same(&a->api_keys.items[i], &b->api_keys.items[i]) &&
            str_eq(a->api_keys.items[i].client_id_header, b->api_keys.items[i].client_id_header);
    for (size_t i = 0; is_same && i < a->basics.n; i++)
        is_same = basic_is_same(&a->basics.items[i], &b->basics.items[i]) &&
                  str_eq(a->basics.items[i].user_header, b->basics.items[i].user_header);
    for (size_t i = 0; is_same && i < a->ext_auths.n; i++)
        is_same = a->ext_auths.items[i].fails_open == b->ext_auths.items[i].fails_open &&
                  ext_auth_is_same(&a->ext_auths.items[i].config, &b->ext_auths.items[i].config);
    return is_same;
}

/* ---- what the exchange must pass itself ---- */

/* By gRPC it is told every header unless some are named (upstream/check.c). */
static bool ext_auth_is_told_the_model(const struct ext_auth_config *c)
{
    return (c->is_grpc && c->n_headers == 0) || ext_auth_names_model(c);
}

static bool forecast_must_pass_basic(const struct layer_forecast *f, const struct basic_plan *p)
{
    for (size_t i = 0; f->must_pass && i < f->must_pass->basics.n; i++) {
        if (basic_is_same(&f->must_pass->basics.items[i], p))
            return true;
    }
    return false;
}

/* One that lets pass when it cannot be reached may have said nothing. */
static bool forecast_must_pass_ext_auth(const struct layer_forecast *f,
                                        const struct ext_auth_plan *p)
{
    for (size_t i = 0; f->must_pass && i < f->must_pass->ext_auths.n; i++) {
        const struct ext_auth_plan *own = &f->must_pass->ext_auths.items[i];

        if (ext_auth_is_same(&own->config, &p->config) && (p->fails_open || !own->fails_open))
            return !ext_auth_is_told_the_model(&p->config);
    }
    return false;
}

/* ---- the forecast ---- */

static bool forecast_ask(struct layer_forecast *f, const struct layer_plan *plan,
                         const struct http_request *r)
{
    VEC_FOREACH (&plan->api_keys, p) {
        if (layer_foresee_api_key(f, p, r) != LAYER_PASSES)
            return false;
    }
    VEC_FOREACH (&plan->basics, p) {
        enum layer_outlook outlook = layer_foresee_basic(f, p, r);

        if (outlook == LAYER_REFUSES ||
            (outlook == LAYER_CANNOT_TELL && !forecast_must_pass_basic(f, p)))
            return false;
    }
    VEC_FOREACH (&plan->ext_auths, p) {
        if (!forecast_must_pass_ext_auth(f, p))
            return false;
    }
    return true;
}

bool layer_forecast_passes(struct layer_forecast *f, const struct layer_plan *plan,
                           const struct verdict *met, struct http_request *r)
{
    if (!plan)
        return true;
    if (!f->last || f->met != met || !layer_plan_is_same(f->last, plan)) {
        f->met = met;
        f->last = plan;
        f->written.n = 0;
        f->last_passes = forecast_ask(f, plan, r);
    }
    for (uint16_t i = 0; i < f->written.n; i++)
        http_headers_set(&r->headers, f->written.items[i].name, f->written.items[i].value);
    return f->last_passes;
}

void layer_forecast_done(struct layer_forecast *f)
{
    if (f->has_wrong_password || (f->has_wrong_key && !f->has_right))
        layer_note_failure(f->exchange);
}
