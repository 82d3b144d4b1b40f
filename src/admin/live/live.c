/* See live.h. A part that is the same as a second ago keeps its version; a reader has the versions
 * that it was sent. Traffic goes first, the others take turns where they do not all fit, so that
 * each gets there within a few seconds whatever the others do. */
#include "admin/live/live.h"

#include "admin/admin.h"
#include "admin/live/part.h"
#include "base/limits.h"

enum { LIVE_TICK_US = 1000000 };

static const struct {
    const char *name;
    void (*write)(struct live *l, struct json *j);
} live_parts[LIVE_PARTS_] = {
#define X(name) [LIVE_##name] = {#name, live_write_##name},
    LIVE_PARTS(X)
#undef X
};

const struct snapshot *live_snapshot(const struct live *l)
{
    return l->admin->server->current;
}

/* ---- making ---- */

/* Of what can be large and is the same as long as the configuration is. */
static bool live_is_made(struct live *l, enum live_part part)
{
    const struct snapshot *s = live_snapshot(l);
    uint64_t generation = s ? s->generation : 0;

    if (part != LIVE_objects)
        return false;
    if (l->parts[part].version > 0 && l->objects_of == generation)
        return true;
    l->objects_of = generation;
    return false;
}

static void live_make(struct live *l, enum live_part part)
{
    struct live_text *t = &l->parts[part];
    struct json j;

    if (live_is_made(l, part))
        return;
    buf_clear(&l->scratch);
    json_init(&j, &l->scratch);
    json_open(&j, NULL, '{');
    live_parts[part].write(l, &j);
    json_close(&j, '}');
    if (t->version > 0 && str_eq(buf_str(&t->text), buf_str(&l->scratch)))
        return;
    buf_clear(&t->text);
    buf_append_str(&t->text, buf_str(&l->scratch));
    t->version++;
}

static void live_make_all(struct live *l)
{
    struct server *server = l->admin->server;

    sample_read(&l->sample, &server->metrics, server->loop->now.mono_us);
    for (int i = 0; i < LIVE_PARTS_; i++)
        live_make(l, (enum live_part)i);
}

/* ---- telling ---- */

/* An event, unless its reader has it or it does not fit. False: it does not fit. */
static bool live_add_event(const struct live *l, struct live_reader *r, enum live_part part,
                           struct buf *events)
{
    const struct live_text *t = &l->parts[part];
    size_t before = events->len;

    if (r->sent[part] == t->version)
        return true;
    buf_printf(events, "event: %s\ndata: ", live_parts[part].name);
    buf_append_str(events, buf_str(&t->text));
    buf_append(events, "\n\n", 2);
    if (events->len + r->n_early > LIMIT_LIVE_BYTES_PER_S) {
        events->len = before;
        return false;
    }
    r->sent[part] = t->version;
    return true;
}

/* Answers with how many bytes. */
static size_t live_tell(struct live *l, struct live_reader *r)
{
    uint64_t now_us = l->admin->server->loop->now.mono_us;
    uint64_t sent[LIVE_PARTS_];
    struct buf events = {0};
    unsigned first = r->next;
    size_t n = 0;

    memcpy(sent, r->sent, sizeof sent);
    (void)live_add_event(l, r, LIVE_traffic, &events);
    for (unsigned i = 0; i < LIVE_PARTS_ - 1; i++) {
        unsigned part = 1 + (first + i) % (LIVE_PARTS_ - 1);

        if (!live_add_event(l, r, (enum live_part)part, &events)) {
            r->next = part - 1;
            break;
        }
    }
    if (r->send(r, buf_str(&events))) {
        r->heard_us = now_us;
        n = events.len;
    } else {
        memcpy(r->sent, sent, sizeof sent);
    }
    buf_deinit(&events);
    if (now_us - r->heard_us >= LIMIT_LIVE_SILENT_S * 1000000ULL)
        r->give_up(r);
    return n;
}

/* ---- readers ---- */

static void live_arm(struct live *l)
{
    struct loop *loop = l->admin->server->loop;

    timer_set(loop, &l->timer, loop->now.mono_us + LIVE_TICK_US);
}

void live_tick(struct live *l)
{
    if (l->readers.n_nodes == 0)
        return;
    live_make_all(l);
    LIST_FOREACH (&l->readers, node) {
        struct live_reader *r = CONTAINER_OF(node, struct live_reader, node);

        (void)live_tell(l, r);
        r->n_early = 0;
    }
}

static void live_on_timer(struct timer *t)
{
    struct live *l = CONTAINER_OF(t, struct live, timer);

    live_tick(l);
    if (l->readers.n_nodes > 0)
        live_arm(l);
}

void live_init(struct live *l, struct admin *admin)
{
    *l = (struct live){.admin = admin, .timer.fn = live_on_timer};
}

/* Nobody looks any more: what is not looked at costs nothing, memory neither. */
static void live_rest(struct live *l)
{
    timer_cancel(l->admin->server->loop, &l->timer);
    sample_deinit(&l->sample);
    for (int i = 0; i < LIVE_PARTS_; i++) {
        buf_deinit(&l->parts[i].text);
        l->parts[i].version = 0;
    }
    buf_deinit(&l->scratch);
}

void live_deinit(struct live *l)
{
    if (l->admin)
        live_rest(l);
}

bool live_has_room(const struct live *l)
{
    return l->readers.n_nodes < LIMIT_LIVE_STREAMS;
}

void live_join(struct live *l, struct live_reader *r)
{
    bool is_first = l->readers.n_nodes == 0;
    size_t n;

    list_append(&l->readers, &r->node);
    r->heard_us = l->admin->server->loop->now.mono_us;
    r->n_early = 0;
    /* Others have made it within the last second. */
    if (is_first) {
        live_make_all(l);
        live_arm(l);
    }
    n = live_tell(l, r);
    /* Of the first one the second begins now. */
    r->n_early = is_first ? 0 : n;
}

void live_leave(struct live *l, struct live_reader *r)
{
    if (!r->node.owner)
        return;
    list_remove(&r->node);
    if (l->readers.n_nodes == 0)
        live_rest(l);
}
