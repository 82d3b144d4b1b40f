/* tollgate describe: one object after the other, for people: who it is, what the manifest says,
 * what became of it (conditions), and what was found in it, with the place. */
#include <stdio.h>

#include "app/commands.h"
#include "app/objects/found.h"
#include "app/objects/grid.h"
#include "app/objects/node_text.h"
#include "app/objects/say.h"
#include "app/objects/text.h"

enum { DESCRIBE_COLUMN = 14, DESCRIBE_STEP = 2 };

struct describe {
    struct buf *out;
    struct arena *arena;
    struct grid grid;
};

static void describe_line(struct buf *out, const char *title, struct str text)
{
    buf_printf(out, "%-*s", DESCRIBE_COLUMN, title);
    text_append_safe(out, text.len > 0 ? text : STR("<none>"));
    buf_append_char(out, '\n');
}

/* Labels and annotations: the first beside the title, the others below it. */
static void describe_map(struct buf *out, const char *title, const struct node *map)
{
    if (!map || map->type != NODE_MAP || map->n == 0) {
        describe_line(out, title, STR_NULL);
        return;
    }
    for (size_t i = 0; i < map->n; i++) {
        buf_printf(out, "%-*s", DESCRIBE_COLUMN, i == 0 ? title : "");
        text_append_safe(out, map->entries[i].key);
        buf_append_char(out, '=');
        text_append_safe(out, map->entries[i].value->text);
        buf_append_char(out, '\n');
    }
}

static bool key_is_told(struct str key)
{
    return str_eq(key, STR("apiVersion")) || str_eq(key, STR("kind")) ||
           str_eq(key, STR("metadata")) || str_eq(key, STR("status"));
}

/* "Spec:" and the fields as the manifest has them, so that they are found there. */
static void describe_body(struct buf *out, const struct node *object)
{
    for (size_t i = 0; i < object->n; i++) {
        const struct node_entry *entry = &object->entries[i];

        if (key_is_told(entry->key) || entry->key.len == 0)
            continue;
        buf_append_char(out, (char)(entry->key.ptr[0] & ~0x20));
        text_append_safe(out, str_slice(entry->key, 1, entry->key.len));
        buf_printf(out, ":\n");
        node_append_yaml(out, entry->value, DESCRIBE_STEP);
    }
}

static void describe_condition(void *ctx, struct str about, const struct node *condition)
{
    struct describe *d = ctx;
    struct str cells[] = {about.len > 0 ? about : STR("-"), node_text(condition, "type"),
                          node_text(condition, "status"), node_text(condition, "reason"),
                          node_text(condition, "message")};

    grid_add(&d->grid, cells);
}

static void describe_grid(struct describe *d, const char *title, size_t n_heads)
{
    if (d->grid.rows.n == n_heads) {
        describe_line(d->out, title, STR_NULL);
        return;
    }
    buf_printf(d->out, "%s\n", title);
    grid_format(&d->grid, d->out, DESCRIBE_STEP);
}

static void describe_conditions(struct describe *d, const struct shown *s)
{
    static const struct str heads[][5] = {
        {{"About", 5}, {"Type", 4}, {"Status", 6}, {"Reason", 6}, {"Message", 7}},
        {{"-----", 5}, {"----", 4}, {"------", 6}, {"------", 6}, {"-------", 7}}};

    grid_init(&d->grid, d->arena, N_ELEMENTS(heads[0]));
    for (size_t i = 0; i < N_ELEMENTS(heads); i++)
        grid_add(&d->grid, heads[i]);
    shown_each_condition(s, describe_condition, d);
    describe_grid(d, "Conditions:", N_ELEMENTS(heads));
}

/* Of a gateway that runs: where a Backend or Service leads now. */
static void describe_endpoints(struct describe *d, const struct shown *s)
{
    static const struct str heads[][4] = {
        {{"Address", 7}, {"Health", 6}, {"In flight", 9}, {"Name", 4}},
        {{"-------", 7}, {"------", 6}, {"---------", 9}, {"----", 4}}};
    const struct node *list = node_find(node_find(s->object, "status"), "endpoints");

    if (!list || list->type != NODE_LIST)
        return;
    grid_init(&d->grid, d->arena, N_ELEMENTS(heads[0]));
    for (size_t i = 0; i < N_ELEMENTS(heads); i++)
        grid_add(&d->grid, heads[i]);
    for (size_t i = 0; i < list->n; i++) {
        const struct node *item = list->items[i];
        struct str address = node_text(item, "address");
        struct str health = node_text(item, "health");
        struct str cells[] = {address.len > 0 ? address : node_text(item, "state"),
                              health.len > 0 ? health : STR("-"), node_text(item, "inFlight"),
                              node_text(item, "host")};

        grid_add(&d->grid, cells);
    }
    describe_grid(d, "Endpoints:", N_ELEMENTS(heads));
}

static void describe_finding(struct describe *d, const struct node *finding)
{
    struct str hint = node_text(finding, "hint");
    struct str path = node_text(finding, "path");
    struct str cells[] = {
        node_text(finding, "severity"),
        arena_printf(d->arena, "%.*s:%.*s", STR_ARG(node_text(finding, "file")),
                     STR_ARG(node_text(finding, "line"))),
        arena_printf(d->arena, "%.*s%s%.*s%s%.*s", STR_ARG(path), path.len > 0 ? ": " : "",
                     STR_ARG(node_text(finding, "text")), hint.len > 0 ? "; " : "", STR_ARG(hint))};

    grid_add(&d->grid, cells);
}

static void describe_findings(struct describe *d, const struct shown *s)
{
    static const struct str heads[][3] = {{{"Severity", 8}, {"Place", 5}, {"Text", 4}},
                                          {{"--------", 8}, {"-----", 5}, {"----", 4}}};

    grid_init(&d->grid, d->arena, N_ELEMENTS(heads[0]));
    for (size_t i = 0; i < N_ELEMENTS(heads); i++)
        grid_add(&d->grid, heads[i]);
    for (size_t i = 0; s->findings && i < s->findings->n; i++)
        describe_finding(d, s->findings->items[i]);
    describe_grid(d, "Findings:", N_ELEMENTS(heads));
}

static void describe_object(struct buf *out, struct arena *a, const struct shown *s)
{
    const struct node *metadata = node_find(s->object, "metadata");
    struct describe d = {.out = out, .arena = a};

    describe_line(out, "Name:", s->name);
    describe_line(out, "Namespace:", s->namespace);
    describe_map(out, "Labels:", node_find(metadata, "labels"));
    describe_map(out, "Annotations:", node_find(metadata, "annotations"));
    describe_line(out, "API Version:", node_text(s->object, "apiVersion"));
    describe_line(out, "Kind:", s->kind->name);
    describe_line(out, "File:", s->place);
    describe_body(out, s->object);
    describe_conditions(&d, s);
    describe_endpoints(&d, s);
    describe_findings(&d, s);
}

/* Findings come with one object at a time. */
static void describe_found(struct found *f, struct source *source, struct buf *out)
{
    for (size_t i = 0; i < f->objects.n && !f->has_failed; i++) {
        const struct shown *s = &f->objects.items[i];
        struct object_query q = {.group = s->kind->group,
                                 .has_group = true,
                                 .kind = s->kind->name,
                                 .namespace = s->namespace,
                                 .name = s->name};
        struct shown_vec one = {0};
        struct buf why = {0};

        if (!s->findings && source_read(source, &q, &one, &why) != 0) {
            say_error("%.*s", STR_ARG(buf_str(&why)));
            f->has_fault = true;
        } else if (one.n == 1) {
            s = &one.items[0];
        }
        buf_deinit(&why);
        if (i > 0)
            buf_printf(out, "\n\n");
        describe_object(out, &source->arena, s);
    }
}

int command_describe(const struct options *o)
{
    struct found found = {0};
    struct source source;
    struct buf out = {0};

    if (source_open(&source, o, &out) != 0) {
        say_error("%.*s", STR_ARG(buf_str(&out)));
        found.has_fault = true;
    } else {
        found_read(&found, &source);
        describe_found(&found, &source, &out);
        if (out.len > 0)
            fwrite(out.ptr, 1, out.len, stdout);
        if (found.objects.n == 0 && !found.has_fault)
            found_say_none(&found, &source);
    }
    buf_deinit(&out);
    source_close(&source);
    return found.has_fault ? 1 : 0;
}
