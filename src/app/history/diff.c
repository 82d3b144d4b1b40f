/* tollgate diff: what became of each object from one configuration to another, without its secrets:
 * one whose hidden values alone differ is named, and they are not. */
#include <stdio.h>

#include "admin/objects/object_list.h"
#include "app/commands.h"
#include "app/history/lines.h"
#include "app/history/opened.h"
#include "app/objects/node_text.h"
#include "app/objects/say.h"
#include "app/objects/shown.h"
#include "base/map.h"
#include "base/mem.h"

/* One side. */
struct diff_side {
    struct opened_revision loaded;
    struct shown_vec shown;
    struct map by_label; /* "Kind/ns/name" -> struct shown */
};

static struct str diff_label(struct arena *a, const struct shown *s)
{
    return s->namespace.len > 0
               ? arena_printf(a, "%.*s/%.*s/%.*s", STR_ARG(s->kind->name), STR_ARG(s->namespace),
                              STR_ARG(s->name))
               : arena_printf(a, "%.*s/%.*s", STR_ARG(s->kind->name), STR_ARG(s->name));
}

static bool diff_open(struct opened *o, const char *name, struct diff_side *side)
{
    const struct history_revision *revision = opened_find(o, name);
    struct object_query everything = {0};
    struct buf list = {0}, why = {0};
    bool is_read = revision && opened_load(o, revision, &side->loaded);

    if (is_read) {
        is_read = object_list_format(side->loaded.manifest, NULL, &everything, &list) == 0 &&
                  shown_read(&o->arena, buf_str(&list), &side->shown, &why) == 0;
        if (!is_read)
            say_error("revision %u: it cannot be shown: %.*s", revision->number,
                      STR_ARG(why.len > 0 ? buf_str(&why) : STR("it is too large")));
    }
    VEC_FOREACH (&side->shown, s)
        map_put(&side->by_label, diff_label(&o->arena, s), s);
    buf_deinit(&list);
    buf_deinit(&why);
    return is_read;
}

static void diff_close(struct diff_side *side)
{
    map_deinit(&side->by_label);
    if (side->loaded.revision)
        opened_unload(&side->loaded);
}

/* As it was written, without what became of it. */
static struct str diff_text(struct arena *a, const struct shown *s)
{
    struct node written = {.type = NODE_MAP};
    struct buf out = {0};
    struct str text;

    if (!s)
        return STR("");
    written.entries = ARENA_ARRAY(a, struct node_entry, s->object->n + 1);
    for (size_t i = 0; i < s->object->n; i++) {
        if (!str_eq(s->object->entries[i].key, STR("status")))
            written.entries[written.n++] = s->object->entries[i];
    }
    node_append_yaml(&out, &written, 0);
    text = arena_str(a, buf_str(&out));
    buf_deinit(&out);
    return text;
}

static size_t diff_count(struct str hunks)
{
    struct str line;
    size_t n = 0;

    while (str_split(&hunks, '\n', &line))
        n += line.len > 0 && (line.ptr[0] == '+' || line.ptr[0] == '-');
    return n;
}

static void diff_append_source(const struct diff_side *side, const struct shown *s, struct buf *out)
{
    const struct object *object =
        manifest_get(side->loaded.manifest, s->kind->id, s->namespace, s->name);

    if (object && object->source)
        node_append_yaml(out, object->source, 0);
}

/* Do more lines differ in the files than in what is shown of them? */
static bool diff_hides_some(const struct diff_side *a, const struct diff_side *b,
                            const struct shown *s, struct str shown_hunks)
{
    struct buf before = {0}, after = {0}, hunks = {0};
    bool hides;

    diff_append_source(a, s, &before);
    diff_append_source(b, s, &after);
    (void)lines_diff(buf_str(&before), buf_str(&after), &hunks);
    hides = diff_count(buf_str(&hunks)) > diff_count(shown_hunks);
    mem_wipe(before.ptr, before.len); /* Secrets */
    mem_wipe(after.ptr, after.len);
    mem_wipe(hunks.ptr, hunks.len);
    buf_deinit(&before);
    buf_deinit(&after);
    buf_deinit(&hunks);
    return hides;
}

/* True: the object differs. */
static bool diff_object(struct opened *o, const struct diff_side *from, const struct diff_side *to,
                        struct str label, struct buf *out)
{
    const struct shown *x = map_find(&from->by_label, label);
    const struct shown *y = map_find(&to->by_label, label);
    struct buf hunks = {0};
    bool differs = lines_diff(diff_text(&o->arena, x), diff_text(&o->arena, y), &hunks);

    if (differs)
        buf_printf(out, "--- %s%.*s\n+++ %s%.*s\n%.*s", x ? "" : "(none) ", STR_ARG(label),
                   y ? "" : "(none) ", STR_ARG(label), STR_ARG(buf_str(&hunks)));
    if (x && y && diff_hides_some(from, to, x, buf_str(&hunks))) {
        buf_printf(out, "%.*s: values that are not shown differ\n", STR_ARG(label));
        differs = true;
    }
    buf_deinit(&hunks);
    return differs;
}

static void diff_all(struct opened *o, const struct diff_side *from, const struct diff_side *to,
                     struct buf *out)
{
    size_t n = 0;

    VEC_FOREACH (&from->shown, s)
        n += diff_object(o, from, to, diff_label(&o->arena, s), out);
    VEC_FOREACH (&to->shown, s) {
        struct str label = diff_label(&o->arena, s);

        if (!map_find(&from->by_label, label))
            n += diff_object(o, from, to, label, out);
    }
    if (n == 0 && !str_eq(from->loaded.revision->id, to->loaded.revision->id))
        say_note("what differs is none of its objects: comments, or what is not for a gateway");
    say_note("%zu object%s differ%s between revision %u and %u", n, n == 1 ? "" : "s",
             n == 1 ? "s" : "", from->loaded.revision->number, to->loaded.revision->number);
}

int command_diff(const struct options *options)
{
    struct opened o;
    struct diff_side from = {0}, to = {0};
    struct buf out = {0};
    bool is_read = opened_open(&o, options) && diff_open(&o, options->operands[0], &from) &&
                   diff_open(&o, options->n_operands > 1 ? options->operands[1] : "latest", &to);

    if (is_read)
        diff_all(&o, &from, &to, &out);
    if (out.len > 0)
        fwrite(out.ptr, 1, out.len, stdout);
    buf_deinit(&out);
    diff_close(&from);
    diff_close(&to);
    opened_close(&o);
    return is_read ? 0 : 1;
}
