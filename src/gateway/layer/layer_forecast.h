/* Would the layers of a rule let a request pass that nobody has sent? Asked for the requests that a
 * list of models stands for. Nothing waits: what cannot be told at once, a slow hash that is not
 * remembered or an authorizer's word, is no, unless the request that asks must pass the same layer
 * itself before it gets its answer. Worker-local, on the stack. */
#pragma once

#include "gateway/layer/layer.h"
#include "http/message.h"

struct verdict;

enum layer_outlook { LAYER_PASSES, LAYER_REFUSES, LAYER_CANNOT_TELL };

struct layer_forecast {
    struct exchange *exchange;          /* that asks */
    const struct layer_plan *must_pass; /* its own layers; NULL: none */
    const struct verdict *met;          /* what the rule's authentication says */
    const struct layer_plan *last;      /* asked; many rules have the same layers */
    bool last_passes;
    struct http_headers written; /* by the layers of `last` */
    bool has_right;              /* some API key was one */
    bool has_wrong_key;
    bool has_wrong_password;
};

/* `must_pass`: layers that the exchange passes before anybody sees what comes of the forecast. */
void layer_forecast_init(struct layer_forecast *f, struct exchange *x,
                         const struct layer_plan *must_pass);
/* `r` is the request as `route` would leave it with `met`, its header list its own: it gets the
 * headers that the layers write. `plan` NULL: no layers. */
bool layer_forecast_passes(struct layer_forecast *f, const struct layer_plan *plan,
                           const struct verdict *met, struct http_request *r);
/* Once, at the end: a credential that nobody takes counts as a failure, so that asking for lists is
 * no faster a way to guess than any other. */
void layer_forecast_done(struct layer_forecast *f);

/* Between the files of this folder. */
enum layer_outlook layer_foresee_api_key(struct layer_forecast *f, const struct api_key_plan *p,
                                         const struct http_request *r);
enum layer_outlook layer_foresee_basic(struct layer_forecast *f, const struct basic_plan *p,
                                       const struct http_request *r);
