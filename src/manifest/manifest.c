/* One load: reads the files, decodes each document by its kind, keeps an index of objects, then
 * links and checks. Nothing here knows what a kind means.
 *
 * Owner: the caller owns struct manifest; everything inside goes with its arena (the maps' tables
 * are on the heap). Thread: the compile thread while loading, any thread afterwards. */
#include "manifest/manifest.h"

#include <stdio.h>

#include "base/limits.h"
#include "manifest/link/link.h"
#include "manifest/object_decode.h"
#include "tree/reader.h"

enum { MANIFEST_ARENA_CHUNK = 256 * 1024 };

static struct str manifest_id(struct arena *a, struct str group, struct str kind,
                              struct str namespace, struct str name)
{
    return arena_printf(a, "%.*s/%.*s/%.*s/%.*s", STR_ARG(group), STR_ARG(kind), STR_ARG(namespace),
                        STR_ARG(name));
}

struct object *manifest_find(const struct manifest *m, struct str group, struct str kind,
                             struct str namespace, struct str name)
{
    enum { ID_MAX = 1024 };
    char id[ID_MAX];
    int n = snprintf(id, sizeof id, "%.*s/%.*s/%.*s/%.*s", STR_ARG(group), STR_ARG(kind),
                     STR_ARG(namespace), STR_ARG(name));

    /* No valid name is that long. */
    return n > 0 && n < ID_MAX ? map_find(&m->by_id, str_make(id, (size_t)n)) : NULL;
}

struct object *manifest_get(const struct manifest *m, enum kind_id kind, struct str namespace,
                            struct str name)
{
    const struct kind *k = &kinds[kind];

    return manifest_find(m, k->group, k->name, k->scope == KIND_CLUSTER ? STR("") : namespace,
                         name);
}

static bool node_equal(const struct node *a, const struct node *b)
{
    if (a->type != b->type || a->n != b->n || a->is_quoted != b->is_quoted ||
        !str_eq(a->text, b->text))
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (a->type == NODE_LIST && !node_equal(a->items[i], b->items[i]))
            return false;
        if (a->type == NODE_MAP && (!str_eq(a->entries[i].key, b->entries[i].key) ||
                                    !node_equal(a->entries[i].value, b->entries[i].value)))
            return false;
    }
    return true;
}

void manifest_lose_guard(struct manifest *m, enum kind_id kind, struct str namespace)
{
    if (kind_is_guard(kind))
        map_put(&m->lost_guards, arena_str(&m->arena, namespace), m);
}

bool manifest_has_lost_guard(const struct manifest *m, struct str namespace)
{
    return map_find(&m->lost_guards, namespace) != NULL;
}

static void manifest_report_twice(struct manifest *m, struct object *first,
                                  const struct object *again)
{
    bool is_copy = node_equal(first->source, again->source);
    struct diag *d = diag_add(&m->diags, is_copy ? DIAG_NOTE : DIAG_ERROR, DIAG_DUPLICATE_OBJECT,
                              again->mark, again->label,
                              is_copy ? "given twice, in identical copies"
                                      : "given twice, with different content");

    d->other = first->mark;
    d->other_text = STR("first given here");
    /* Which of the two is meant nobody can know: the object is isolated. */
    first->is_broken |= !is_copy;
    if (!is_copy)
        manifest_lose_guard(m, again->kind->id, again->namespace);
}

static void manifest_add(struct manifest *m, struct object *o)
{
    struct str id = manifest_id(&m->arena, o->kind->group, o->kind->name, o->namespace, o->name);
    struct object *first = map_find(&m->by_id, id);

    if (str_is_empty(o->name)) {
        manifest_lose_guard(m, o->kind->id, o->namespace);
        return; /* reported; nobody can refer to it */
    }
    if (first) {
        manifest_report_twice(m, first, o);
        return;
    }
    map_put(&m->by_id, id, o);
    VEC_PUSH(&m->arena, &m->objects, o);
    VEC_PUSH(&m->arena, &m->by_kind[o->kind->id], o);
}

static struct str manifest_namespace_of(const struct node *root)
{
    struct str namespace = node_text(node_find(root, "metadata"), "namespace");

    return str_is_empty(namespace) ? STR("default") : namespace;
}

/* "SecurityPolcy", or the right kind in a misspelt group. */
static void manifest_lose_misspelt_guard(struct manifest *m, const struct node *root,
                                         struct str name)
{
    const char *nearest = kind_nearest(name);

    for (int id = 0; nearest && id < KIND_COUNT; id++) {
        if (str_eq(kinds[id].name, str_of(nearest)))
            manifest_lose_guard(m, (enum kind_id)id, manifest_namespace_of(root));
    }
}

static void manifest_report_other(struct manifest *m, const struct node *root, struct str group,
                                  struct str name)
{
    struct str label =
        object_label(&m->arena, name, STR(""), node_text(node_find(root, "metadata"), "name"));
    const char *nearest;
    struct diag *d;

    switch (kind_classify_other(group, name)) {
    case KIND_OTHER_WORKLOAD:
        m->n_not_for_gateway++;
        diag_add(&m->diags, DIAG_NOTE, DIAG_NOT_FOR_GATEWAY, root->mark, label,
                 "not for a gateway: passed over");
        break;
    case KIND_OTHER_UNSUPPORTED:
        diag_add(&m->diags, DIAG_WARNING, DIAG_UNSUPPORTED_FIELD, root->mark, label,
                 "a kind that is known but not supported here: ignored");
        break;
    case KIND_OTHER_UNKNOWN:
        manifest_lose_misspelt_guard(m, root, name);
        d = diag_add(&m->diags, DIAG_ERROR, DIAG_UNKNOWN_KIND, root->mark, label,
                     "unknown kind \"%.*s\" in API group \"%.*s\"", STR_ARG(name), STR_ARG(group));
        nearest = kind_nearest(name);
        if (nearest)
            d->hint = arena_printf(&m->arena, "did you mean \"%s\"?", nearest);
        break;
    }
}

static void manifest_add_document(struct manifest *m, const struct node *root, bool is_broken);

/* `kind: List`, as kubectl writes it. */
static void manifest_add_list(struct manifest *m, const struct node *root, bool is_broken)
{
    const struct node *items = node_find(root, "items");

    for (size_t i = 0; items && items->type == NODE_LIST && i < items->n; i++)
        manifest_add_document(m, items->items[i], is_broken);
}

static bool manifest_check_version(struct manifest *m, const struct kind *k,
                                   const struct node *root, struct str version)
{
    if (kind_serves(k, version))
        return true;
    diag_add(&m->diags, DIAG_ERROR, DIAG_UNKNOWN_KIND, root->mark, k->name,
             "version \"%.*s\" of %s is not served; these are: %s", STR_ARG(version), k->name.ptr,
             k->versions);
    manifest_lose_guard(m, k->id, manifest_namespace_of(root));
    return false;
}

static void manifest_add_document(struct manifest *m, const struct node *root, bool is_broken)
{
    struct str api_version = node_text(root, "apiVersion");
    struct str name = node_text(root, "kind");
    ssize_t slash = str_find_char(api_version, '/', 0);
    struct str group = slash < 0 ? STR("") : str_slice(api_version, 0, (size_t)slash);
    struct str version = str_slice(api_version, (size_t)(slash + 1), api_version.len);
    const struct kind *k = kind_find(group, name);

    if (root->type != NODE_MAP || str_is_empty(api_version) || str_is_empty(name)) {
        diag_add(&m->diags, DIAG_ERROR, DIAG_MISSING_FIELD, root->mark, STR_NULL,
                 "not a Kubernetes object: apiVersion and kind are required");
        return;
    }
    if (str_is_empty(group) && str_eq(name, STR("List"))) {
        manifest_add_list(m, root, is_broken);
    } else if (!k) {
        manifest_report_other(m, root, group, name);
    } else if (manifest_check_version(m, k, root, version)) {
        struct object *o = object_decode(k, root, &m->arena, &m->diags);

        o->is_broken |= is_broken;
        manifest_add(m, o);
    }
}

static void manifest_begin(struct manifest *m, const struct manifest_options *options)
{
    *m = (struct manifest){0};
    arena_init(&m->arena, MANIFEST_ARENA_CHUNK);
    diag_list_init(&m->diags, &m->arena);
    if (options)
        m->options = *options;
}

static int manifest_finish(struct manifest *m, const struct reader *r)
{
    VEC_FOREACH (&r->documents, document)
        manifest_add_document(m, document->root, document->is_broken);
    VEC_FOREACH (&r->files, file)
        VEC_PUSH(&m->arena, &m->files, *file);
    VEC_FOREACH (&r->folders, folder)
        VEC_PUSH(&m->arena, &m->folders, *folder);
    m->is_refused = r->is_refused;
    link_manifest(m);
    diag_sort(&m->diags);
    return m->is_refused ? MANIFEST_REFUSED : 0;
}

int manifest_load(struct manifest *m, const char *const *paths, size_t n,
                  const struct manifest_options *options)
{
    struct reader reader;

    manifest_begin(m, options);
    reader_init(&reader, &m->arena, &m->diags);
    reader.keep = m->options.keep;
    reader.keep_ctx = m->options.keep_ctx;
    if (reader_read(&reader, paths, n) != 0)
        reader.is_refused = true;
    return manifest_finish(m, &reader);
}

int manifest_load_texts(struct manifest *m, const struct manifest_text *texts, size_t n,
                        const struct manifest_options *options)
{
    struct reader reader;

    manifest_begin(m, options);
    reader_init(&reader, &m->arena, &m->diags);
    for (size_t i = 0; i < n; i++) {
        if (reader_read_bytes(&reader, texts[i].name, texts[i].bytes) != 0)
            reader.is_refused = true;
    }
    return manifest_finish(m, &reader);
}

int manifest_load_bytes(struct manifest *m, const char *name, struct str bytes,
                        const struct manifest_options *options)
{
    return manifest_load_texts(m, &(struct manifest_text){name, bytes}, 1, options);
}

void manifest_deinit(struct manifest *m)
{
    map_deinit(&m->by_id);
    map_deinit(&m->policies);
    map_deinit(&m->grants);
    map_deinit(&m->lost_guards);
    arena_deinit(&m->arena);
    *m = (struct manifest){0};
}

struct diag *manifest_object_error(struct manifest *m, struct object *o, enum diag_code code,
                                   struct mark at, const char *format, ...)
{
    struct str text;
    va_list args;

    va_start(args, format);
    text = arena_vprintf(&m->arena, format, args);
    va_end(args);
    o->is_broken = true;
    link_take_back(m, o, text);
    return diag_add(&m->diags, DIAG_ERROR, code, at, o->label, "%.*s", STR_ARG(text));
}
