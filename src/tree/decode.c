/* The table walk of the decoder: from a map node to a typed struct, reporting unknown, missing and
 * unsupported fields by place and path. Scalars stand in decode_scalar.c.
 *
 * Owner: what is decoded lives in the arena of the load; the decoder itself stands on the stack of
 * whoever decodes one object. Thread: the compile thread. References are left to link. */
#include "tree/decode.h"

void decoder_init(struct decoder *d, struct diag_list *diags, struct arena *a, struct str object)
{
    *d = (struct decoder){.diags = diags, .arena = a, .object = object};
}

void decoder_deinit(struct decoder *d)
{
    buf_deinit(&d->path);
}

size_t decode_enter_key(struct decoder *d, const char *key)
{
    size_t mark = d->path.len;

    if (mark > 0)
        buf_append_char(&d->path, '.');
    buf_append(&d->path, key, strlen(key));
    return mark;
}

size_t decode_enter_index(struct decoder *d, size_t index)
{
    size_t mark = d->path.len;

    buf_printf(&d->path, "[%zu]", index);
    return mark;
}

void decode_leave(struct decoder *d, size_t mark)
{
    d->path.len = mark;
}

static struct diag *decode_report(struct decoder *d, enum diag_severity severity,
                                  enum diag_code code, const struct node *node, const char *key,
                                  struct str text)
{
    size_t mark = d->path.len;
    struct diag *diag;

    if (severity == DIAG_ERROR)
        d->has_error = true;
    if (diag_list_is_full(d->diags, severity))
        return diag_add(d->diags, severity, code, node ? node->mark : (struct mark){0}, d->object,
                        "%s", "");
    if (key)
        decode_enter_key(d, key);
    diag = diag_add(d->diags, severity, code, node ? node->mark : (struct mark){0}, d->object,
                    "%.*s", STR_ARG(text));
    diag->path = arena_str(d->arena, buf_str(&d->path));
    decode_leave(d, mark);
    return diag;
}

#define DECODE_REPORT_(severity)                                                                   \
    va_list args;                                                                                  \
    struct str text;                                                                               \
                                                                                                   \
    va_start(args, format);                                                                        \
    text =                                                                                         \
        diag_list_is_full(d->diags, severity) ? STR("") : arena_vprintf(d->arena, format, args);   \
    va_end(args);                                                                                  \
    return decode_report(d, severity, code, node, key, text)

struct diag *decode_error(struct decoder *d, enum diag_code code, const struct node *node,
                          const char *key, const char *format, ...)
{
    DECODE_REPORT_(DIAG_ERROR);
}

struct diag *decode_warning(struct decoder *d, enum diag_code code, const struct node *node,
                            const char *key, const char *format, ...)
{
    DECODE_REPORT_(DIAG_WARNING);
}

struct diag *decode_note(struct decoder *d, enum diag_code code, const struct node *node,
                         const char *key, const char *format, ...)
{
    DECODE_REPORT_(DIAG_NOTE);
}

const char *decode_nearest(struct str wanted, const char *const *names, size_t n)
{
    unsigned limit = (unsigned)MIN(MAX((wanted.len + 1) / 3, (size_t)1), (size_t)3);
    unsigned best = limit + 1;
    const char *nearest = NULL;

    for (size_t i = 0; i < n; i++) {
        struct str name = str_of(names[i]);
        unsigned distance = str_eq_nocase(wanted, name) ? 0 : str_distance(wanted, name, limit);

        if (distance < best) {
            best = distance;
            nearest = names[i];
        }
    }
    return nearest;
}

static const struct field *table_find(const struct table *table, struct str key)
{
    for (size_t i = 0; i < table->n_fields; i++) {
        if (str_eq(key, str_of(table->fields[i].key)))
            return &table->fields[i];
    }
    return NULL;
}

static void decode_unknown(struct decoder *d, const struct table *table,
                           const struct node_entry *entry)
{
    enum { NAMES_MAX = 128 };
    const char *names[NAMES_MAX];
    struct node at = {.mark = entry->mark};
    size_t n = 0;
    struct diag *diag;
    const char *nearest;

    for (size_t i = 0; i < table->n_fields && n < NAMES_MAX; i++)
        names[n++] = table->fields[i].key;
    diag = decode_error(d, DIAG_UNKNOWN_FIELD, &at, NULL, "unknown field \"%.*s\"",
                        STR_ARG(entry->key));
    if (diag_list_is_full(d->diags, DIAG_ERROR))
        return;
    nearest = decode_nearest(entry->key, names, n);
    if (nearest)
        diag->hint = arena_printf(d->arena, "did you mean \"%s\"?", nearest);
}

/* A scalar or list is empty in the sense of FIELD_NON_EMPTY. */
static bool decode_is_empty(const struct node *node)
{
    return node->type == NODE_SCALAR ? node->text.len == 0 : node->n == 0;
}

static void decode_field(struct decoder *d, const struct field *f, const struct node_entry *entry,
                         char *object)
{
    const struct node *node = entry->value;
    struct node at = {.mark = entry->mark};

    if (f->flags & FIELD_IS_UNSUPPORTED) {
        decode_warning(d, DIAG_UNSUPPORTED_FIELD, &at, f->key,
                       "known to the API but not supported here: ignored");
        return;
    }
    if (f->flags & FIELD_NOT_ENFORCED)
        decode_warning(d, DIAG_NOT_ENFORCED, &at, f->key, "read but not enforced yet");
    if (f->flags & FIELD_DEPRECATED)
        decode_note(d, DIAG_OLDER_FORM, &at, f->key, "an older form, accepted");
    if ((f->flags & FIELD_NON_EMPTY) && decode_is_empty(node)) {
        decode_error(d, DIAG_MISSING_FIELD, node, f->key, "must not be empty");
        return;
    }
    size_t mark = decode_enter_key(d, f->key);

    f->decode(d, f, node, object + f->offset);
    decode_leave(d, mark);
}

static void decode_prepare(const struct table *table, const struct node *node, char *object)
{
    /* The first member of every decoded struct is its mark. */
    memcpy(object, &node->mark, sizeof node->mark);
    for (size_t i = 0; i < table->n_fields; i++) {
        const struct field *f = &table->fields[i];

        if (f->decode == decode_enum)
            *(int *)(void *)(object + f->offset) = -1;
        else if (f->decode == decode_inline)
            decode_prepare(f->arg, node, object + f->offset);
    }
}

static void decode_missing(struct decoder *d, const struct table *table, const struct node *node)
{
    for (size_t i = 0; i < table->n_fields; i++) {
        const struct field *f = &table->fields[i];

        if ((f->flags & FIELD_REQUIRED) && node_is_null(node_find(node, f->key)))
            decode_error(d, DIAG_MISSING_FIELD, node, f->key, "required but not given");
    }
}

void decode_struct(struct decoder *d, const struct table *table, const struct node *node,
                   void *object)
{
    decode_prepare(table, node, object);
    if (node->type != NODE_MAP) {
        decode_error(d, DIAG_WRONG_TYPE, node, NULL, "expected an object, found %s",
                     decode_type_text(node));
        return;
    }
    for (size_t i = 0; i < node->n; i++) {
        const struct node_entry *entry = &node->entries[i];
        const struct field *f = table_find(table, entry->key);

        if (!f)
            decode_unknown(d, table, entry);
        else if (!node_is_null(entry->value))
            decode_field(d, f, entry, object);
    }
    decode_missing(d, table, node);
    if (table->check)
        table->check(d, node, object);
}

void decode_object(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    const struct table *table = f->arg;
    void *object = arena_alloc(d->arena, table->size);

    decode_struct(d, table, node, object);
    *(void **)slot = object;
}

void decode_inline(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    decode_struct(d, f->arg, node, slot);
}

void decode_list(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    const struct table *table = f->arg;
    struct generic_vec *vec = slot;
    char *items;

    if (node->type != NODE_LIST) {
        decode_error(d, DIAG_WRONG_TYPE, node, NULL, "expected a list, found %s",
                     decode_type_text(node));
        return;
    }
    items = arena_alloc(d->arena, node->n * table->size);
    for (size_t i = 0; i < node->n; i++) {
        size_t mark = decode_enter_index(d, i);

        decode_struct(d, table, node->items[i], items + i * table->size);
        decode_leave(d, mark);
    }
    *vec = (struct generic_vec){.items = items, .n = node->n, .cap = node->n};
}

void decode_raw(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    (void)d;
    (void)f;
    *(const struct node **)slot = node;
}
