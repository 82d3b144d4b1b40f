/* tollgate get: objects as a table, as YAML or as JSON, as kubectl prints them. */
#include <stdio.h>

#include "app/commands.h"
#include "app/objects/columns.h"
#include "app/objects/found.h"
#include "app/objects/grid.h"
#include "app/objects/kind_word.h"
#include "app/objects/node_text.h"
#include "app/objects/say.h"
#include "app/objects/text.h"
#include "base/clock.h"

struct get {
    const struct options *options;
    struct found found;
    struct source source;
    struct buf out;
    int64_t now_unix_s;
};

/* ---- tables ---- */

/* The columns that are shown, after NAMESPACE (with -A) and NAME. */
static size_t get_columns(const struct get *g, const struct kind *k,
                          const struct column *ret[GRID_COLUMNS_MAX])
{
    bool is_wide = g->options->output == OUTPUT_WIDE;
    size_t n = 0;

    for (const struct column *c = columns_of(k->id); c->title; c++) {
        if (is_wide || !c->is_wide)
            ret[n++] = c;
    }
    return n;
}

static bool get_has_namespace(const struct get *g, const struct kind *k)
{
    return g->options->has_all_namespaces && k->scope == KIND_NAMESPACED;
}

static void get_name(const struct get *g, struct buf *out, const struct shown *s)
{
    if (g->found.groups.n > 1 || g->options->output == OUTPUT_NAME) {
        kind_word_append_singular(out, s->kind);
        buf_append_char(out, '/');
    }
    text_append_safe(out, s->name);
}

static struct str get_cell(struct get *g, struct buf *cell)
{
    struct str text = arena_str(&g->source.arena, buf_str(cell));

    buf_clear(cell);
    return text;
}

static void get_row(struct get *g, struct grid *grid, const struct shown *s)
{
    const struct column *columns[GRID_COLUMNS_MAX];
    size_t n_columns = get_columns(g, s->kind, columns);
    struct str cells[GRID_COLUMNS_MAX];
    struct buf cell = {0};
    size_t n = 0;

    if (get_has_namespace(g, s->kind))
        cells[n++] = s->namespace;
    get_name(g, &cell, s);
    cells[n++] = get_cell(g, &cell);
    for (size_t i = 0; i < n_columns; i++) {
        columns[i]->format(&cell, s, g->now_unix_s);
        cells[n++] = get_cell(g, &cell);
    }
    grid_add(grid, cells);
    buf_deinit(&cell);
}

static void get_table(struct get *g, const struct found_group *group)
{
    const struct column *columns[GRID_COLUMNS_MAX];
    size_t n_columns = get_columns(g, group->kind, columns);
    struct str titles[GRID_COLUMNS_MAX];
    struct grid grid;
    size_t n = 0;

    if (get_has_namespace(g, group->kind))
        titles[n++] = STR("NAMESPACE");
    titles[n++] = STR("NAME");
    for (size_t i = 0; i < n_columns; i++)
        titles[n++] = str_of(columns[i]->title);
    grid_init(&grid, &g->source.arena, n);
    if (!g->options->has_no_headers)
        grid_add(&grid, titles);
    for (size_t i = 0; i < group->n; i++)
        get_row(g, &grid, &g->found.objects.items[group->first + i]);
    grid_format(&grid, &g->out, 0);
}

static void get_tables(struct get *g)
{
    for (size_t i = 0; i < g->found.groups.n; i++) {
        if (i > 0)
            buf_append_char(&g->out, '\n');
        get_table(g, &g->found.groups.items[i]);
    }
}

static void get_names(struct get *g)
{
    for (size_t i = 0; i < g->found.objects.n; i++) {
        get_name(g, &g->out, &g->found.objects.items[i]);
        buf_append_char(&g->out, '\n');
    }
}

/* ---- documents ---- */

static void get_yaml(struct get *g)
{
    const struct shown_vec *objects = &g->found.objects;
    struct node list = {.type = NODE_LIST, .n = objects->n};

    if (g->found.is_one) {
        node_append_yaml(&g->out, objects->items[0].object, 0);
        return;
    }
    list.items = ARENA_ARRAY(&g->source.arena, struct node *, objects->n + 1);
    for (size_t i = 0; i < objects->n; i++)
        list.items[i] = (struct node *)(uintptr_t)objects->items[i].object;
    buf_printf(&g->out, objects->n > 0 ? "apiVersion: v1\nitems:\n" : "apiVersion: v1\nitems: ");
    node_append_yaml(&g->out, &list, 0);
    buf_printf(&g->out, "kind: List\nmetadata:\n  resourceVersion: \"\"\n");
}

static void get_json(struct get *g)
{
    const struct shown_vec *objects = &g->found.objects;

    if (g->found.is_one) {
        node_append_json(&g->out, objects->items[0].object, 0);
        buf_append_char(&g->out, '\n');
        return;
    }
    buf_printf(&g->out, "{\n    \"apiVersion\": \"v1\",\n    \"items\": [");
    for (size_t i = 0; i < objects->n; i++) {
        buf_printf(&g->out, i > 0 ? ",\n        " : "\n        ");
        node_append_json(&g->out, objects->items[i].object, 2);
    }
    buf_printf(&g->out,
               "%s],\n    \"kind\": \"List\",\n    \"metadata\": {\n        "
               "\"resourceVersion\": \"\"\n    }\n}\n",
               objects->n > 0 ? "\n    " : "");
}

static void get_print(struct get *g)
{
    switch (g->options->output) {
    case OUTPUT_YAML:
        get_yaml(g);
        break;
    case OUTPUT_JSON:
        get_json(g);
        break;
    case OUTPUT_NAME:
        get_names(g);
        break;
    case OUTPUT_TABLE:
    case OUTPUT_WIDE:
        get_tables(g);
        break;
    }
    fwrite(g->out.ptr, 1, g->out.len, stdout);
}

int command_get(const struct options *o)
{
    struct get g = {.options = o, .now_unix_s = clock_wall_s(clock_read())};
    bool is_document = o->output == OUTPUT_YAML || o->output == OUTPUT_JSON;

    if (source_open(&g.source, o, &g.out) != 0) {
        say_error("%.*s", STR_ARG(buf_str(&g.out)));
        g.found.has_fault = true;
    } else {
        found_read(&g.found, &g.source);
        if (g.found.objects.n > 0 || (is_document && !g.found.has_fault))
            get_print(&g);
        else if (!g.found.has_fault)
            found_say_none(&g.found, &g.source);
    }
    buf_deinit(&g.out);
    source_close(&g.source);
    return g.found.has_fault ? 1 : 0;
}
