/* tollgate history: the configurations that served, the latest first. */
#include <pwd.h>
#include <stdio.h>

#include "admin/json.h"
#include "app/commands.h"
#include "app/history/opened.h"
#include "app/objects/grid.h"

enum { LOG_ID_SHOWN = 12 };

/* "uid 1000" is what a process in its sandbox knows of an owner. */
static struct str log_who(struct opened *o, struct str who)
{
    uint64_t uid;
    const struct passwd *entry;

    if (!str_starts_with(who, STR("uid ")) || !str_to_u64(str_slice(who, 4, who.len), &uid) ||
        uid > UINT32_MAX)
        return who;
    entry = getpwuid((uid_t)uid);
    return entry ? arena_str(&o->arena, str_of(entry->pw_name)) : who;
}

static void log_table(struct opened *o, struct buf *out)
{
    static const char *const titles[] = {"REVISION", "ID",    "TIME",  "WHO",
                                         "CAUSE",    "FILES", "REASON"};
    struct grid grid;
    struct str cells[GRID_COLUMNS_MAX];

    grid_init(&grid, &o->arena, N_ELEMENTS(titles));
    for (size_t i = 0; i < N_ELEMENTS(titles); i++)
        cells[i] = str_of(titles[i]);
    if (!o->options->has_no_headers)
        grid_add(&grid, cells);
    for (size_t i = o->all.n; i-- > 0;) {
        const struct history_revision *r = &o->all.items[i];
        const struct str row[] = {arena_u64(&o->arena, r->number),
                                  str_slice(r->id, 0, LOG_ID_SHOWN),
                                  r->time,
                                  log_who(o, r->who),
                                  r->cause,
                                  arena_u64(&o->arena, r->files.n),
                                  r->reason};

        grid_add(&grid, row);
    }
    grid_format(&grid, out, 0);
}

static void log_json(struct opened *o, struct buf *out)
{
    struct json j;

    json_init(&j, out);
    json_open(&j, NULL, '[');
    for (size_t i = o->all.n; i-- > 0;) {
        const struct history_revision *r = &o->all.items[i];

        json_open(&j, NULL, '{');
        json_u64(&j, "revision", r->number);
        json_str(&j, "id", r->id);
        json_str(&j, "time", r->time);
        json_str(&j, "who", log_who(o, r->who));
        json_str(&j, "cause", r->cause);
        json_str(&j, "reason", r->reason);
        json_open(&j, "files", '[');
        VEC_FOREACH (&r->files, file)
            json_str(&j, NULL, file->path);
        json_close(&j, ']');
        json_close(&j, '}');
    }
    json_close(&j, ']');
    buf_append_char(out, '\n');
}

int command_history(const struct options *options)
{
    struct opened o;
    struct buf out = {0};
    bool is_open = opened_open(&o, options);

    if (is_open && options->output == OUTPUT_JSON)
        log_json(&o, &out);
    else if (is_open)
        log_table(&o, &out);
    if (out.len > 0)
        fwrite(out.ptr, 1, out.len, stdout);
    buf_deinit(&out);
    opened_close(&o);
    return is_open ? 0 : 1;
}
