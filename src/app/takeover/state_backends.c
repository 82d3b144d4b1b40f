/* See state_backends.h. Backends go by name, endpoints by address. What a new start learns by
 * itself, how busy endpoints are say, is not handed over; a further part of an endpoint's state
 * (since when it is there) is one more provider beside these. */
#include "app/takeover/state_backends.h"

#include "base/limits.h"

/* ---- places of circuit breakers ---- */

void state_put_place(struct buf *out, const struct place_move *move)
{
    wire_put_text(out, move->backend);
    wire_put_text(out, move->endpoint);
    wire_put_u32(out, move->kind);
    wire_put_u32(out, (uint32_t)move->n);
}

bool state_get_place(struct str record, struct place_move *ret)
{
    struct wire_reader r = {.rest = record};
    uint32_t kind;

    *ret = (struct place_move){.backend = wire_get_text(&r)};
    ret->endpoint = wire_get_text(&r);
    kind = wire_get_u32(&r);
    ret->kind = (enum place_kind)kind;
    ret->n = (int32_t)wire_get_u32(&r);
    return wire_is_done(&r) && kind < PLACE_KINDS &&
           (kind == PLACE_CONNECTION) == (ret->endpoint.len > 0) &&
           ret->n >= -LIMIT_TAKEOVER_PLACES && ret->n <= LIMIT_TAKEOVER_PLACES;
}

static void places_tell_record(void *ctx, const struct place_move *move)
{
    struct state_sink *sink = ctx;
    struct buf record = {0};

    state_put_place(&record, move);
    sink->tell(sink, "places", move->session, buf_str(&record));
    buf_deinit(&record);
}

void places_state_share(struct server *g, uint32_t session, struct state_sink *sink)
{
    places_share(&g->clusters, session, places_tell_record, sink);
}

void places_state_unshare(struct server *g)
{
    places_unshare(&g->clusters);
}

bool places_state_take(struct server *g, struct str record)
{
    struct place_move move;

    if (!state_get_place(record, &move))
        return false;
    guest_apply(&g->guest, &move);
    return true;
}

void places_state_disown(struct server *g)
{
    guest_disown(&g->guest);
}

/* ---- health of endpoints ---- */

enum { VERDICT_PROBED = 1, VERDICT_FAILS_PROBES = 2, VERDICT_EJECTED = 4, VERDICT_FLAGS = 7 };

void state_put_verdict(struct buf *out, const struct health_verdict *v)
{
    wire_put_text(out, v->backend);
    wire_put_text(out, v->endpoint);
    wire_put_u32(out, (v->is_probed ? VERDICT_PROBED : 0U) |
                          (v->fails_probes ? VERDICT_FAILS_PROBES : 0U) |
                          (v->is_ejected ? VERDICT_EJECTED : 0U));
    wire_put_u32(out, v->n_ejections);
    wire_put_u64(out, v->ejected_us);
}

bool state_get_verdict(struct str record, struct health_verdict *ret)
{
    struct wire_reader r = {.rest = record};
    uint32_t flags;

    *ret = (struct health_verdict){.backend = wire_get_text(&r)};
    ret->endpoint = wire_get_text(&r);
    flags = wire_get_u32(&r);
    ret->is_probed = flags & VERDICT_PROBED;
    ret->fails_probes = flags & VERDICT_FAILS_PROBES;
    ret->is_ejected = flags & VERDICT_EJECTED;
    ret->n_ejections = wire_get_u32(&r);
    ret->ejected_us = wire_get_u64(&r);
    return wire_is_done(&r) && flags <= VERDICT_FLAGS;
}

struct verdict_teller {
    struct state_sink *sink;
    uint32_t session;
};

static void verdict_tell(void *ctx, const struct health_verdict *v)
{
    const struct verdict_teller *t = ctx;
    struct buf record = {0};

    state_put_verdict(&record, v);
    t->sink->tell(t->sink, "health", t->session, buf_str(&record));
    buf_deinit(&record);
}

void health_state_share(struct server *g, uint32_t session, struct state_sink *sink)
{
    struct verdict_teller teller = {sink, session};

    health_verdicts_export(&g->health, g->loop->now.mono_us, verdict_tell, &teller);
}

bool health_state_take(struct server *g, struct str record)
{
    struct health_verdict v;
    struct endpoint_state *e;

    if (!state_get_verdict(record, &v))
        return false;
    e = guest_endpoint_state(&g->guest, v.backend, v.endpoint);
    if (e)
        health_verdict_import(e, g->loop->now.mono_us, &v);
    return true;
}
