/* Visits every reference inside an object by walking its decoding tables over the decoded structs:
 * a kind that gains a reference field is linked without a line of code here. What a check function
 * derived (older forms folded into newer lists) is visited where it was folded to.
 *
 * Pure; compile thread. */
#include "manifest/link/link_internal.h"

/* Reference structs by the name of their table; those that embed a reference begin with it. */
static const struct {
    const char *table;
    enum ref_type type;
} ref_tables[] = {
    {"local_object_ref", REF_LOCAL},      {"secret_ref", REF_SECRET},
    {"backend_ref", REF_BACKEND},         {"http_backend_ref", REF_BACKEND},
    {"ai_backend_ref", REF_BACKEND},      {"parent_ref", REF_PARENT},
    {"policy_target", REF_POLICY_TARGET},
};

static void walk_struct(struct ref_walk *w, const struct table *table, char *object);

static void walk_list(struct ref_walk *w, const struct table *table, const struct generic_vec *list)
{
    for (size_t i = 0; i < list->n; i++) {
        size_t mark = w->path.len;

        buf_printf(&w->path, "[%zu]", i);
        walk_struct(w, table, (char *)list->items + i * table->size);
        w->path.len = mark;
    }
}

static void walk_field(struct ref_walk *w, const struct field *f, char *object)
{
    void *slot = object + f->offset;
    size_t mark = w->path.len;

    if (f->decode != decode_object && f->decode != decode_inline && f->decode != decode_list)
        return;
    if (f->decode == decode_object && *(void **)slot == NULL)
        return;
    if (f->decode == decode_list && ((struct generic_vec *)slot)->n == 0)
        return;
    buf_printf(&w->path, "%s%s", mark > 0 ? "." : "", f->key);
    if (f->decode == decode_object)
        walk_struct(w, f->arg, *(void **)slot);
    else if (f->decode == decode_inline)
        walk_struct(w, f->arg, slot);
    else
        walk_list(w, f->arg, slot);
    w->path.len = mark;
}

static void walk_struct(struct ref_walk *w, const struct table *table, char *object)
{
    for (size_t i = 0; i < N_ELEMENTS(ref_tables); i++) {
        if (strcmp(table->name, ref_tables[i].table) == 0)
            w->visit(w, ref_tables[i].type, object);
    }
    for (size_t i = 0; i < table->n_fields; i++)
        walk_field(w, &table->fields[i], object);
}

void ref_walk_object(struct ref_walk *w)
{
    const struct kind *k = w->object->kind;

    buf_clear(&w->path);
    if (k->shape == KIND_SPEC)
        buf_printf(&w->path, "spec");
    walk_struct(w, k->table, (char *)w->object + k->spec_offset);
}
