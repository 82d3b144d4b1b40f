/* See shown.h. A line of JSON is a document of YAML: the reader of manifests reads it, with all its
 * bounds. Owner: nodes live in the caller's arena. */
#include "app/objects/shown.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/limits.h"
#include "tree/reader.h"

/* Characters that JSON may have as they are, and YAML not: replaced, in place. */
static void line_soften(char *line, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++) {
        unsigned char a = (unsigned char)line[i];
        unsigned char b = (unsigned char)line[i + 1];
        size_t len = 0;

        if (a == 0xc2 && b >= 0x80 && b < 0xa0)
            len = 2;
        else if (a == 0xef && i + 2 < n &&
                 ((b == 0xbb && (unsigned char)line[i + 2] == 0xbf) ||
                  (b == 0xbf && (unsigned char)line[i + 2] >= 0xbe)))
            len = 3;
        memset(line + i, '?', len);
    }
}

static const struct kind *shown_kind(const struct node *object)
{
    struct str api_version = node_text(object, "apiVersion");
    ssize_t slash = str_find_char(api_version, '/', 0);

    return kind_find(slash < 0 ? STR("") : str_slice(api_version, 0, (size_t)slash),
                     node_text(object, "kind"));
}

static bool shown_add(struct arena *a, const struct node *root, struct shown_vec *ret)
{
    const struct node *object = node_find(root, "object");
    const struct node *findings = node_find(root, "findings");
    const struct node *metadata = node_find(object, "metadata");
    const struct kind *k = object ? shown_kind(object) : NULL;
    struct shown *s;

    if (!k || node_text(metadata, "name").len == 0)
        return false;
    s = VEC_ADD(a, ret);
    s->kind = k;
    s->object = object;
    s->name = node_text(metadata, "name");
    s->namespace = node_text(metadata, "namespace");
    if (k->scope == KIND_CLUSTER)
        s->namespace = STR("");
    else if (s->namespace.len == 0)
        s->namespace = STR("default");
    s->place = node_text(root, "place");
    s->findings = findings && findings->type == NODE_LIST ? findings : NULL;
    return true;
}

static int shown_compare(const void *a, const void *b)
{
    const struct shown *x = a;
    const struct shown *y = b;
    int order = str_compare(x->namespace, y->namespace);

    return order != 0 ? order : str_compare(x->name, y->name);
}

static void shown_say_why(const struct diag_list *diags, struct buf *ret_why)
{
    buf_printf(ret_why, "the list of objects cannot be read");
    if (diags->items.n > 0)
        buf_printf(ret_why, ": line %u: %.*s", diags->items.items[0].mark.line,
                   STR_ARG(diags->items.items[0].text));
}

/* A line at a time, so that a document's bounds are those of one object. */
static bool shown_read_line(struct arena *a, struct reader *r, struct str line,
                            struct shown_vec *ret)
{
    struct str own = arena_str(a, line);
    size_t before = r->documents.n;

    line_soften((char *)(uintptr_t)own.ptr, own.len);
    return reader_read_bytes(r, "objects", own) == 0 && r->documents.n == before + 1 &&
           shown_add(a, r->documents.items[before].root, ret);
}

int shown_read(struct arena *a, struct str list, struct shown_vec *ret, struct buf *ret_why)
{
    size_t first = ret->n;
    struct diag_list diags;
    struct reader reader;
    struct str line;

    diag_list_init(&diags, a);
    reader_init(&reader, a, &diags);
    while (str_split(&list, '\n', &line)) {
        if (line.len > 0 && !shown_read_line(a, &reader, line, ret)) {
            shown_say_why(&diags, ret_why);
            return SHOWN_REFUSED;
        }
    }
    if (ret->n > first)
        qsort(ret->items + first, ret->n - first, sizeof *ret->items, shown_compare);
    return 0;
}

const struct node *shown_find(const struct node *node, const char *const *path)
{
    for (; node && *path; path++)
        node = node_find(node, *path);
    return node;
}

/* ---- conditions ---- */

struct condition_walk {
    shown_condition_fn *fn;
    void *ctx;
    struct buf about;
};

static void walk_list(struct condition_walk *w, const struct node *owner)
{
    const struct node *list = node_find(owner, "conditions");

    for (size_t i = 0; list && list->type == NODE_LIST && i < list->n; i++) {
        if (list->items[i]->type == NODE_MAP)
            w->fn(w->ctx, buf_str(&w->about), list->items[i]);
    }
}

static void walk_name(struct condition_walk *w, const struct node *item, const char *reference)
{
    static const char *const parts[] = {"kind", "namespace", "name", "sectionName"};
    const struct node *ref = reference ? node_find(item, reference) : NULL;

    buf_clear(&w->about);
    if (!reference)
        buf_printf(&w->about, "Listener/%.*s", STR_ARG(node_text(item, "name")));
    for (size_t i = 0; ref && i < N_ELEMENTS(parts); i++) {
        struct str text = node_text(ref, parts[i]);

        if (text.len > 0)
            buf_printf(&w->about, "%s%.*s", w->about.len > 0 ? "/" : "", STR_ARG(text));
    }
}

void shown_each_condition(const struct shown *s, shown_condition_fn *fn, void *ctx)
{
    static const struct {
        const char *list;
        const char *reference; /* NULL: its name */
    } rows[] = {{"parents", "parentRef"}, {"ancestors", "ancestorRef"}, {"listeners", NULL}};
    const struct node *status = node_find(s->object, "status");
    struct condition_walk w = {.fn = fn, .ctx = ctx};

    walk_list(&w, status);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        const struct node *list = node_find(status, rows[i].list);

        for (size_t k = 0; list && list->type == NODE_LIST && k < list->n; k++) {
            walk_name(&w, list->items[k], rows[i].reference);
            walk_list(&w, list->items[k]);
        }
    }
    buf_deinit(&w.about);
}
