/* The providers of state.h. Records carry what the structs of their owners hold, field by field:
 * what comes from the other process is judged as if it came from a stranger, for it may be of
 * another build. */
#include "app/takeover/state.h"

#include "app/takeover/state_backends.h"
#include "app/takeover/state_sources.h"
#include "app/takeover/wire.h"
#include "base/mem.h"
#include "net/tls_tickets.h"

/* ---- keys of session tickets ---- */

static void tickets_share(struct server *g, uint32_t session, struct state_sink *sink)
{
    struct tls_ticket_key keys[TLS_TICKET_KEYS];
    uint32_t n = tls_tickets_export(g->tickets, g->loop->now.mono_us, keys);
    struct buf record = {0};

    buf_reserve(&record, sizeof keys + sizeof n); /* once: nothing is left where it would move */
    for (uint32_t i = 0; i < n; i++) {
        buf_append(&record, keys[i].bytes, sizeof keys[i].bytes);
        wire_put_u64(&record, keys[i].age_us);
    }
    sink->tell(sink, "tickets", session, buf_str(&record));
    mem_wipe(record.ptr, record.len);
    mem_wipe(keys, sizeof keys);
    buf_deinit(&record);
}

static bool tickets_take(struct server *g, struct str record)
{
    struct tls_ticket_key keys[TLS_TICKET_KEYS];
    struct wire_reader r = {.rest = record};
    uint32_t n = 0;

    while (r.rest.len > 0 && n < TLS_TICKET_KEYS) {
        struct str bytes = wire_get_bytes(&r, sizeof keys[n].bytes);

        keys[n].age_us = wire_get_u64(&r);
        if (r.is_bad)
            break;
        memcpy(keys[n++].bytes, bytes.ptr, sizeof keys[0].bytes);
    }
    if (n > 0 && wire_is_done(&r))
        tls_tickets_import(g->tickets, g->loop->now.mono_us, keys, n);
    mem_wipe(keys, sizeof keys);
    return n > 0 && wire_is_done(&r);
}

/* ---- counts of limits ---- */

void state_put_move(struct buf *out, const struct limit_move *move)
{
    wire_put_text(out, move->identity);
    wire_put_text(out, move->key);
    wire_put_u32(out, move->window_s);
    wire_put_u32(out, move->is_distinct);
    wire_put_u64(out, (uint64_t)move->count.window);
    wire_put_u64(out, move->count.used);
    wire_put_u64(out, move->count.reserved);
    wire_put_u64(out, move->count.released);
}

bool state_get_move(struct str record, struct limit_move *ret)
{
    struct wire_reader r = {.rest = record};
    uint32_t is_distinct;

    *ret = (struct limit_move){.identity = wire_get_text(&r)};
    ret->key = wire_get_text(&r);
    ret->window_s = wire_get_u32(&r);
    is_distinct = wire_get_u32(&r);
    ret->is_distinct = is_distinct == 1;
    ret->count.window = (int64_t)wire_get_u64(&r);
    ret->count.used = wire_get_u64(&r);
    ret->count.reserved = wire_get_u64(&r);
    ret->count.released = wire_get_u64(&r);
    return wire_is_done(&r) && ret->window_s > 0 && is_distinct <= 1 && ret->count.window >= 0 &&
           ret->count.window < INT64_MAX / ret->window_s && /* its end is a time */
           (ret->is_distinct || ret->key.len == 0);
}

static void limits_tell(void *ctx, const struct limit_move *move)
{
    struct state_sink *sink = ctx;
    struct buf record = {0};

    state_put_move(&record, move);
    sink->tell(sink, "limits", move->count.session, buf_str(&record));
    buf_deinit(&record);
}

static void limits_share(struct server *g, uint32_t session, struct state_sink *sink)
{
    limit_memory_share(&g->limits, session, limits_tell, sink);
}

static void limits_unshare(struct server *g)
{
    limit_memory_unshare(&g->limits);
}

static bool limits_take(struct server *g, struct str record)
{
    struct limit_move move;

    if (!state_get_move(record, &move))
        return false;
    /* What this configuration does not count, or has no room for, is nobody's loss. */
    (void)limit_memory_apply(&g->limits, &move, g->loop->now.wall_unix_us);
    return true;
}

static void limits_disown(struct server *g)
{
    limit_memory_disown(&g->limits);
}

/* ---- averages of models ---- */

struct averages_teller {
    struct state_sink *sink;
    uint32_t session;
};

static void averages_tell(void *ctx, struct str model, uint64_t scaled, uint32_t n_answers)
{
    const struct averages_teller *t = ctx;
    struct buf record = {0};

    wire_put_text(&record, model);
    wire_put_u64(&record, scaled);
    wire_put_u32(&record, n_answers);
    t->sink->tell(t->sink, "averages", t->session, buf_str(&record));
    buf_deinit(&record);
}

/* What the giver learns after this is not told: an average is an estimate. */
static void averages_share(struct server *g, uint32_t session, struct state_sink *sink)
{
    struct averages_teller teller = {sink, session};

    model_averages_export(&g->averages, averages_tell, &teller);
}

static bool averages_take(struct server *g, struct str record)
{
    struct wire_reader r = {.rest = record};
    struct str model = wire_get_text(&r);
    uint64_t scaled = wire_get_u64(&r);
    uint32_t n_answers = wire_get_u32(&r);

    return wire_is_done(&r) && model_average_import(&g->averages, model, scaled, n_answers);
}

/* ---- all of them ---- */

const struct state_provider state_providers[] = {
    {.name = "tickets", .share = tickets_share, .take = tickets_take},
    {.name = "limits",
     .share = limits_share,
     .unshare = limits_unshare,
     .take = limits_take,
     .disown = limits_disown},
    {.name = "averages", .share = averages_share, .take = averages_take},
    {.name = "places",
     .share = places_state_share,
     .unshare = places_state_unshare,
     .take = places_state_take,
     .disown = places_state_disown},
    {.name = "health", .share = health_state_share, .take = health_state_take},
    {.name = "keys", .share = keys_state_share, .take = keys_state_take},
    {.name = "names", .share = names_state_share, .take = names_state_take},
    {0},
};

void state_share(struct server *g, uint32_t session, struct state_sink *sink)
{
    for (const struct state_provider *p = state_providers; p->name; p++)
        p->share(g, session, sink);
}

void state_unshare(struct server *g)
{
    for (const struct state_provider *p = state_providers; p->name; p++) {
        if (p->unshare)
            p->unshare(g);
    }
}

static bool state_take_record(struct server *g, struct str name, struct str record)
{
    for (const struct state_provider *p = state_providers; p->name; p++) {
        if (str_eq(name, str_of(p->name)))
            return p->take(g, record);
    }
    return true;
}

bool state_take(struct server *g, struct str records)
{
    struct wire_reader r = {.rest = records};

    while (r.rest.len > 0) {
        struct str name = wire_get_text(&r);
        struct str record = wire_get_text(&r);

        if (r.is_bad || !state_take_record(g, name, record))
            return false;
    }
    return true;
}

void state_disown(struct server *g)
{
    for (const struct state_provider *p = state_providers; p->name; p++) {
        if (p->disown)
            p->disown(g);
    }
}
