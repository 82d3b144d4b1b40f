/* The part `refusals`: the last ones of all workers, the newest first, in the words that clients
 * are told, with what only the operator may know beside them. */
#include <stdlib.h>

#include "admin/admin.h"
#include "admin/live/part.h"
#include "base/limits.h"
#include "base/mem.h"
#include "gateway/account/refusal_ring.h"

struct refusal_notes {
    struct arena arena;
    VEC(struct refusal_note *) items;
    uint64_t n_ever;
};

static void refusals_read(struct refusal_notes *notes, const struct refusal_ring *ring)
{
    uint64_t n = refusal_ring_count(ring);
    uint64_t i = n > LIMIT_REFUSALS_KEPT ? n - LIMIT_REFUSALS_KEPT : 0;

    notes->n_ever += n;
    for (; i < n; i++) {
        struct refusal_note *note = ARENA_NEW(&notes->arena, struct refusal_note);

        if (refusal_ring_read(ring, i, note))
            VEC_PUSH(&notes->arena, &notes->items, note);
    }
}

static int refusal_compare(const void *a, const void *b)
{
    const struct refusal_note *x = *(struct refusal_note *const *)a;
    const struct refusal_note *y = *(struct refusal_note *const *)b;

    return x->wall_us > y->wall_us ? -1 : x->wall_us < y->wall_us;
}

/* Is it the same story once more? Then it is told once, with a count. */
static bool refusal_is_same(const struct refusal_note *a, const struct refusal_note *b)
{
    return a->refusal == b->refusal && a->status == b->status && str_eq(a->path, b->path) &&
           str_eq(a->method, b->method) && str_eq(a->tenant, b->tenant) &&
           str_eq(a->model, b->model) && str_eq(a->route, b->route) &&
           str_eq(a->listener, b->listener) && str_eq(a->detail, b->detail) &&
           str_eq(a->message, b->message) && str_eq(a->host, b->host) &&
           str_eq(a->client, b->client) && a->port == b->port && a->is_tls == b->is_tls;
}

static void refusal_write(struct json *j, const struct refusal_note *note, uint64_t n_times)
{
    const struct refusal_row *row = refusal_row(note->refusal);

    json_u64(j, "at_ms", (uint64_t)note->wall_us / 1000);
    json_u64(j, "times", n_times);
    json_u64(j, "status", note->status);
    json_text(j, "code", row->code);
    part_str(j, "sentence", note->message);
    part_str(j, "detail", note->detail);
    part_str(j, "method", note->method);
    json_bool(j, "tls", note->is_tls);
    part_str(j, "host", note->host);
    json_u64(j, "port", note->port);
    part_str(j, "path", note->path);
    part_str(j, "client", note->client);
    part_str(j, "tenant", note->tenant);
    part_str(j, "model", note->model);
    part_str(j, "route", note->route);
    part_str(j, "listener", note->listener);
}

void live_write_refusals(struct live *l, struct json *j)
{
    const struct server *server = l->admin->server;
    struct refusal_notes notes = {0};
    struct part_list rows;

    arena_init(&notes.arena, 65536);
    for (uint32_t i = 0; i < server->n_workers; i++)
        refusals_read(&notes, server->workers[i]->refusals);
    if (notes.items.n > 0)
        qsort(notes.items.items, notes.items.n, sizeof notes.items.items[0], refusal_compare);
    json_u64(j, "refusals_ever", notes.n_ever);
    part_list_open(&rows, j, "refusals", PART_BYTES - 500);
    for (size_t i = 0, next; i < notes.items.n; i = next) {
        for (next = i + 1; next < notes.items.n; next++) {
            if (!refusal_is_same(notes.items.items[i], notes.items.items[next]))
                break;
        }
        if (!part_row_open(&rows))
            continue;
        refusal_write(j, notes.items.items[i], next - i);
        part_row_close(&rows);
    }
    part_list_close(&rows, "refusals_more");
    arena_deinit(&notes.arena);
}
