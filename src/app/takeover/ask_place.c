/* See ask_place.h. */
#include "app/takeover/ask_place.h"

#include "app/takeover/wire.h"

enum { PLACE_ANSWER_BYTES = WIRE_HEAD_BYTES + 8 };

/* ---- questions ---- */

void takeover_ask_put_claim(struct buf *out, const struct place_claim *claim)
{
    wire_put_head(out, WIRE_ASK_PLACE);
    wire_put_text(out, claim->backend);
    wire_put_u32(out, claim->kind);
    wire_put_u32(out, claim->limit);
    wire_put_u32(out, claim->endpoint_limit);
    wire_put_u32(out, claim->is_waiting);
    wire_put_u32(out, claim->request_limit);
    wire_put_text(out, claim->tenant);
    wire_put_u32(out, claim->n_endpoints);
    for (uint32_t i = 0; i < claim->n_endpoints; i++)
        wire_put_text(out, claim->endpoints[i]);
}

bool takeover_ask_get_claim(struct str content, struct place_claim *ret)
{
    struct wire_reader r = {.rest = content};
    uint32_t kind, is_waiting, n;

    *ret = (struct place_claim){.backend = wire_get_text(&r)};
    kind = wire_get_u32(&r);
    ret->kind = (enum place_kind)kind;
    ret->limit = wire_get_u32(&r);
    ret->endpoint_limit = wire_get_u32(&r);
    is_waiting = wire_get_u32(&r);
    ret->is_waiting = is_waiting == 1;
    ret->request_limit = wire_get_u32(&r);
    ret->tenant = wire_get_text(&r);
    n = wire_get_u32(&r);
    if (r.is_bad || kind >= PLACE_KINDS || is_waiting > 1 || n > PLACE_CLAIM_ENDPOINTS ||
        (kind == PLACE_CONNECTION) != (n > 0))
        return false;
    for (; ret->n_endpoints < n; ret->n_endpoints++)
        ret->endpoints[ret->n_endpoints] = wire_get_text(&r);
    return wire_is_done(&r);
}

static bool ask_get_verdict(struct str content, const struct place_claim *claim, bool *ret_is_given,
                            uint32_t *ret_endpoint)
{
    struct wire_reader r = {.rest = content};
    uint32_t is_given = wire_get_u32(&r);

    *ret_endpoint = wire_get_u32(&r);
    *ret_is_given = is_given == 1;
    return wire_is_done(&r) && is_given <= 1 && *ret_endpoint <= MAX(claim->n_endpoints, 1U) - 1;
}

enum place_verdict takeover_ask_place(void *ctx, const struct place_claim *claim,
                                      uint32_t *ret_endpoint)
{
    char room[PLACE_ANSWER_BYTES];
    struct buf question = {0};
    struct str answer;
    bool is_given = false;
    bool is_answered;

    takeover_ask_put_claim(&question, claim);
    is_answered = takeover_ask_begin(ctx, buf_str(&question), room, sizeof room, &answer);
    is_answered = takeover_ask_end(
        ctx, is_answered && ask_get_verdict(answer, claim, &is_given, ret_endpoint));
    buf_deinit(&question);
    if (!is_answered)
        return PLACE_UNKNOWN;
    return is_given ? PLACE_GIVEN : PLACE_DENIED;
}

bool takeover_ask_judge_place(struct server *g, struct str content, struct buf *ret_answer)
{
    struct place_claim claim;
    uint32_t endpoint;
    bool is_given;

    if (!takeover_ask_get_claim(content, &claim))
        return false;
    is_given = guest_judge(&g->guest, &claim, &endpoint);
    wire_put_head(ret_answer, WIRE_ANSWER);
    wire_put_u32(ret_answer, is_given);
    wire_put_u32(ret_answer, endpoint);
    return true;
}

void takeover_ask_take_back_place(struct server *g, struct str content, struct str answer)
{
    struct place_claim claim;
    struct place_move move = {.n = -1};
    uint32_t endpoint;
    bool is_given;

    if (!takeover_ask_get_claim(content, &claim) ||
        !ask_get_verdict(answer, &claim, &is_given, &endpoint) || !is_given)
        return;
    move.backend = claim.backend;
    move.kind = claim.kind;
    if (claim.kind == PLACE_CONNECTION)
        move.endpoint = claim.endpoints[endpoint];
    guest_apply(&g->guest, &move);
    if (claim.kind != PLACE_CONNECTION || !claim.is_waiting)
        return;
    move.kind = PLACE_REQUEST;
    move.endpoint = STR("");
    guest_apply(&g->guest, &move);
}

/* ---- grants ---- */

void takeover_put_grant(struct buf *out, const struct place_grant *grant)
{
    wire_put_head(out, WIRE_GRANT);
    wire_put_text(out, grant->backend);
    wire_put_text(out, grant->endpoint);
    wire_put_u32(out, grant->limit);
    wire_put_u32(out, grant->endpoint_limit);
    wire_put_u32(out, grant->request_limit);
}

bool takeover_get_grant(struct str content, struct place_grant *ret)
{
    struct wire_reader r = {.rest = content};

    *ret = (struct place_grant){.backend = wire_get_text(&r)};
    ret->endpoint = wire_get_text(&r);
    ret->limit = wire_get_u32(&r);
    ret->endpoint_limit = wire_get_u32(&r);
    ret->request_limit = wire_get_u32(&r);
    return wire_is_done(&r) && ret->endpoint.len > 0;
}
