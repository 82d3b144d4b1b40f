/* See override.h. A pattern that takes too long to match refuses: it never counts as no match. */
#include "gateway/traffic/override.h"

#include "gateway/answer.h"
#include "gateway/traffic/override_plan.h"

static void override_keep(struct exchange *x, const struct http_headers *former, enum header_id id)
{
    const struct http_header *header = http_headers_find_id(former, id);

    if (header && !http_headers_find_id(&x->response.headers, id))
        http_headers_add_id(&x->response.headers, id, header->value);
}

static void override_with(struct exchange *x, const struct override_item *item,
                          const struct http_response *former)
{
    struct http_headers headers = former->headers;
    uint16_t status = former->status;

    if (!item->direct) {
        if (answer_redirect(x, item->redirect) == STEP_LAST && x->refusal == REFUSAL_REWRITE)
            answer_refusal(x);
        return;
    }
    answer_direct(x, item->direct, item->direct->status ? item->direct->status : status);
    if (x->response.status == status) {
        override_keep(x, &headers, HEADER_RETRY_AFTER);
        override_keep(x, &headers, HEADER_WWW_AUTHENTICATE);
    }
}

/* True: x->response is another one now. */
static bool override_run(struct exchange *x, const struct http_response *former, bool is_local)
{
    const struct override_plan *plan = x->rule ? x->rule->overrides : NULL;

    for (size_t i = 0; plan && former->status >= 200 && i < plan->n; i++) {
        const struct override_item *item = &plan->items[i];

        if (!(is_local ? item->is_for_local : item->is_for_backends))
            continue;
        switch (answer_match_applies(&item->match, former->status, &former->headers)) {
        case REGEX_MISS:
            continue;
        case REGEX_HIT:
            override_with(x, item, former);
            return true;
        case REGEX_LIMIT:
            x->refusal = REFUSAL_MATCH_LIMIT;
            answer_refusal(x);
            return true;
        }
    }
    return false;
}

void override_local(struct exchange *x)
{
    struct http_response former = x->response;

    override_run(x, &former, true);
}

bool override_backend(struct exchange *x)
{
    return override_run(x, &x->attempt.response, false);
}
