/* YAML text (and JSON, its subset) to nodes, over libyaml's events.
 *
 * Owner: everything lives in the arena of the load. Thread: the compile thread.
 *
 * Against hostile input: nesting is counted while it is built, so libyaml's own stacks stay small;
 * an alias shares the node it names instead of copying it, and its whole size and depth are added
 * to the document's count, so an alias bomb is refused before anybody walks it. An anchor is known
 * only once its node is complete: no document can contain itself. Merge keys are refused, since
 * Kubernetes' readers and YAML 1.2 disagree about them.
 *
 * Finding files is left to reader_files.c, meaning to the decoder. */
#include "tree/reader.h"

#include <yaml.h>

#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "tree/reader_internal.h"

struct anchor {
    struct node *node;
    size_t n_nodes;
    unsigned height;
};

/* The reading of one text. */
struct yaml_source {
    struct reader *reader;
    const char *file;
    yaml_parser_t parser;
    struct map anchors; /* of the current document */
    size_t n_nodes;
    size_t n_aliases;
    bool has_duplicate;
};

/* Weight of a finished node: for anchors. */
struct weight {
    size_t n_nodes;
    unsigned height;
};

static struct mark source_mark(const struct yaml_source *s, yaml_mark_t at)
{
    return (struct mark){s->file, (uint32_t)at.line + 1, (uint32_t)at.column + 1};
}

static int source_refuse(struct yaml_source *s, enum diag_code code, struct mark at,
                         const char *text)
{
    diag_add(s->reader->diags, DIAG_ERROR, code, at, STR_NULL, "%s", text);
    s->reader->is_refused = true;
    return READER_REFUSED;
}

/* What libyaml found wrong, with the place where it did. */
static int source_refuse_yaml(struct yaml_source *s)
{
    const yaml_parser_t *p = &s->parser;
    struct mark at = source_mark(s, p->problem_mark);
    struct diag *d;

    if (p->error == YAML_READER_ERROR) {
        /* The reader fails before there is a place: only an offset in bytes is known. */
        at = (struct mark){s->file, (uint32_t)p->mark.line + 1, (uint32_t)p->mark.column + 1};
        d = diag_add(s->reader->diags, DIAG_ERROR, DIAG_BAD_YAML, at, STR_NULL,
                     "not readable as UTF-8 text: %s at byte %zu",
                     p->problem ? p->problem : "error", p->problem_offset);
    } else {
        d = diag_add(s->reader->diags, DIAG_ERROR, DIAG_BAD_YAML, at, STR_NULL,
                     "broken YAML: %s%s%s", p->problem ? p->problem : "error",
                     p->context ? ", " : "", p->context ? p->context : "");
    }
    if (p->context && p->context_mark.line != p->problem_mark.line) {
        d->other = source_mark(s, p->context_mark);
        d->other_text = STR("the construct begins here");
    }
    s->reader->is_refused = true;
    return READER_REFUSED;
}

/* A value may be a Secret's: what the library frees is overwritten first. */
static void source_forget(yaml_event_t *event)
{
    if (event->type == YAML_SCALAR_EVENT)
        mem_wipe(event->data.scalar.value, event->data.scalar.length);
    yaml_event_delete(event);
}

static void source_forget_buffers(yaml_parser_t *p)
{
    mem_wipe(p->raw_buffer.start, (size_t)(p->raw_buffer.end - p->raw_buffer.start));
    mem_wipe(p->buffer.start, (size_t)(p->buffer.end - p->buffer.start));
}

static int source_next(struct yaml_source *s, yaml_event_t *event)
{
    if (!yaml_parser_parse(&s->parser, event))
        return source_refuse_yaml(s);
    return 0;
}

static int source_count(struct yaml_source *s, size_t n_nodes, unsigned depth, struct mark at)
{
    s->n_nodes += n_nodes;
    s->reader->n_nodes += n_nodes;
    if (s->reader->n_nodes > LIMIT_MANIFEST_NODES)
        return source_refuse(s, DIAG_SIZE_LIMIT, at, "all documents together have too many nodes");
    if (s->n_nodes > LIMIT_YAML_NODES)
        return source_refuse(s, DIAG_SIZE_LIMIT, at, "the document has too many nodes");
    if (depth > LIMIT_YAML_DEPTH)
        return source_refuse(s, DIAG_SIZE_LIMIT, at, "the document is nested too deeply");
    return 0;
}

static void source_remember(struct yaml_source *s, const char *name, struct node *node,
                            struct weight w)
{
    struct anchor *anchor = ARENA_NEW(s->reader->arena, struct anchor);

    *anchor = (struct anchor){node, w.n_nodes, w.height};
    map_put(&s->anchors, arena_str(s->reader->arena, str_of(name)), anchor);
}

static int source_alias(struct yaml_source *s, const yaml_event_t *event, unsigned depth,
                        struct node **ret_node, struct weight *ret_weight)
{
    struct mark at = source_mark(s, event->start_mark);
    const struct anchor *anchor =
        map_find(&s->anchors, str_of((const char *)event->data.alias.anchor));

    if (!anchor)
        return source_refuse(s, DIAG_BAD_YAML, at, "broken YAML: an alias without its anchor");
    if (++s->n_aliases > LIMIT_YAML_ALIASES)
        return source_refuse(s, DIAG_SIZE_LIMIT, at, "the document has too many aliases");
    int code = source_count(s, anchor->n_nodes, depth + anchor->height, at);

    *ret_node = anchor->node;
    *ret_weight = (struct weight){anchor->n_nodes, anchor->height};
    return code;
}

static struct node *source_new_node(struct yaml_source *s, enum node_type type,
                                    const yaml_event_t *event)
{
    struct node *node = ARENA_NEW(s->reader->arena, struct node);

    node->type = type;
    node->mark = source_mark(s, event->start_mark);
    return node;
}

/* Only the tags of the core schema that change nothing or say "string". */
static int source_check_tag(struct yaml_source *s, const yaml_char_t *tag, struct mark at)
{
    static const char *const known[] = {"str", "int", "bool", "float", "null", "map", "seq"};
    struct str text = str_of((const char *)tag);
    struct str prefix = STR(YAML_STR_TAG);

    if (!tag || str_eq(text, STR("!")))
        return 0;
    prefix.len -= 3; /* without "str" */
    for (size_t i = 0; i < N_ELEMENTS(known); i++) {
        if (str_starts_with(text, prefix) &&
            str_eq(str_slice(text, prefix.len, text.len), str_of(known[i])))
            return 0;
    }
    return source_refuse(s, DIAG_BAD_YAML, at, "YAML tags of one's own are not supported");
}

static char source_quote(const yaml_event_t *event)
{
    if (event->start_mark.line != event->end_mark.line)
        return NODE_LINES;
    switch (event->data.scalar.style) {
    case YAML_SINGLE_QUOTED_SCALAR_STYLE:
        return '\'';
    case YAML_DOUBLE_QUOTED_SCALAR_STYLE:
        return '"';
    case YAML_LITERAL_SCALAR_STYLE:
    case YAML_FOLDED_SCALAR_STYLE:
        return NODE_LINES;
    default:
        return 0;
    }
}

static int source_scalar(struct yaml_source *s, const yaml_event_t *event, struct node **ret_node)
{
    const yaml_char_t *tag = event->data.scalar.tag;
    struct node *node = source_new_node(s, NODE_SCALAR, event);

    node->text =
        arena_str(s->reader->arena, str_make(event->data.scalar.value, event->data.scalar.length));
    node->is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE ||
                      (tag && strcmp((const char *)tag, YAML_STR_TAG) == 0);
    node->quote = source_quote(event);
    *ret_node = node;
    return source_check_tag(s, tag, node->mark);
}

static int source_node(struct yaml_source *s, yaml_event_t *event, unsigned depth,
                       struct node **ret_node, struct weight *ret_weight);

static int source_list(struct yaml_source *s, struct node *node, unsigned depth, struct weight *w)
{
    VEC(struct node *) items = {0};
    yaml_event_t event;
    int code;

    for (;;) {
        struct weight child_weight;
        struct node *child;

        code = source_next(s, &event);
        if (code != 0)
            return code;
        if (event.type == YAML_SEQUENCE_END_EVENT)
            break;
        code = source_node(s, &event, depth, &child, &child_weight);
        if (code != 0)
            return code;
        w->n_nodes += child_weight.n_nodes;
        w->height = MAX(w->height, child_weight.height + 1);
        VEC_PUSH(s->reader->arena, &items, child);
    }
    source_forget(&event);
    node->items = items.items;
    node->n = items.n;
    return 0;
}

static int source_key(struct yaml_source *s, yaml_event_t *event, struct node_entry *entry)
{
    struct mark at = source_mark(s, event->start_mark);
    bool is_plain =
        event->type == YAML_SCALAR_EVENT && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

    entry->mark = at;
    if (event->type != YAML_SCALAR_EVENT) {
        source_forget(event);
        return source_refuse(s, DIAG_BAD_YAML, at, "a key must be plain text");
    }
    entry->key =
        arena_str(s->reader->arena, str_make(event->data.scalar.value, event->data.scalar.length));
    if (event->data.scalar.anchor) {
        struct node *node = source_new_node(s, NODE_SCALAR, event);

        node->text = entry->key;
        node->is_quoted = !is_plain;
        source_remember(s, (const char *)event->data.scalar.anchor, node, (struct weight){1, 0});
    }
    source_forget(event);
    if (is_plain && str_eq(entry->key, STR("<<")))
        return source_refuse(s, DIAG_BAD_YAML, at,
                             "merge keys (<<) are not supported: write the fields out");
    return 0;
}

/* A map of more than a few keys is searched through a table: a million keys must not cost their
 * square. */
struct key_index {
    struct map by_name;
    size_t n_indexed;
};

static struct node_entry *key_find(struct key_index *index, struct node_entry *entries, size_t n,
                                   struct str key)
{
    enum { SCAN_MAX = 16 };

    if (n > SCAN_MAX) {
        for (; index->n_indexed < n; index->n_indexed++)
            map_put(&index->by_name, entries[index->n_indexed].key,
                    (void *)(uintptr_t)(index->n_indexed + 1));
        uintptr_t found = (uintptr_t)map_find(&index->by_name, key);

        return found > 0 ? &entries[found - 1] : NULL;
    }
    for (size_t i = 0; i < n; i++) {
        if (str_eq(entries[i].key, key))
            return &entries[i];
    }
    return NULL;
}

static void source_duplicate(struct yaml_source *s, const struct node_entry *first,
                             const struct node_entry *again)
{
    struct diag *d = diag_add(s->reader->diags, DIAG_ERROR, DIAG_DUPLICATE_KEY, again->mark,
                              STR_NULL, "the key \"%.*s\" stands here twice", STR_ARG(again->key));

    d->other = first->mark;
    d->other_text = STR("first given here");
    s->has_duplicate = true;
}

static int source_entry(struct yaml_source *s, unsigned depth, struct node_entry *entry,
                        struct weight *w)
{
    struct weight child_weight;
    yaml_event_t event;
    int code = source_next(s, &event);

    if (code != 0)
        return code;
    code = source_node(s, &event, depth, &entry->value, &child_weight);
    if (code != 0)
        return code;
    w->n_nodes += child_weight.n_nodes + 1;
    w->height = MAX(w->height, child_weight.height + 1);
    return 0;
}

static int source_map_entries(struct yaml_source *s, struct node *node, unsigned depth,
                              struct weight *w, struct key_index *index)
{
    VEC(struct node_entry) entries = {0};
    yaml_event_t event;

    for (;;) {
        struct node_entry entry = {0};
        const struct node_entry *first;
        int code = source_next(s, &event);

        if (code != 0)
            return code;
        if (event.type == YAML_MAPPING_END_EVENT)
            break;
        code = source_key(s, &event, &entry);
        if (code == 0)
            code = source_count(s, 1, depth, entry.mark);
        if (code == 0)
            code = source_entry(s, depth, &entry, w);
        if (code != 0)
            return code;
        first = key_find(index, entries.items, entries.n, entry.key);
        if (first)
            source_duplicate(s, first, &entry);
        else
            VEC_PUSH(s->reader->arena, &entries, entry);
    }
    source_forget(&event);
    node->entries = entries.items;
    node->n = entries.n;
    return 0;
}

static int source_map(struct yaml_source *s, struct node *node, unsigned depth, struct weight *w)
{
    struct key_index index = {0};
    int code = source_map_entries(s, node, depth, w, &index);

    map_deinit(&index.by_name);
    return code;
}

/* Takes the event over. `depth`: that of the node to read, from 1. */
static int source_collection(struct yaml_source *s, yaml_event_t *event, unsigned depth,
                             struct node **ret_node, struct weight *w)
{
    bool is_map = event->type == YAML_MAPPING_START_EVENT;
    const yaml_char_t *tag =
        is_map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    const yaml_char_t *name =
        is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    struct node *node = source_new_node(s, is_map ? NODE_MAP : NODE_LIST, event);
    const char *anchor = name ? arena_text(s->reader->arena, str_of((const char *)name)) : NULL;
    int code = source_check_tag(s, tag, node->mark);

    source_forget(event);
    if (code == 0)
        code = is_map ? source_map(s, node, depth + 1, w) : source_list(s, node, depth + 1, w);
    if (code == 0 && anchor)
        source_remember(s, anchor, node, *w);
    *ret_node = node;
    return code;
}

static int source_node(struct yaml_source *s, yaml_event_t *event, unsigned depth,
                       struct node **ret_node, struct weight *ret_weight)
{
    struct mark at = source_mark(s, event->start_mark);
    int code;

    *ret_weight = (struct weight){.n_nodes = 1};
    code = source_count(s, event->type == YAML_ALIAS_EVENT ? 0 : 1, depth, at);
    if (code == 0 &&
        (event->type == YAML_MAPPING_START_EVENT || event->type == YAML_SEQUENCE_START_EVENT))
        return source_collection(s, event, depth, ret_node, ret_weight);
    if (code == 0 && event->type == YAML_ALIAS_EVENT) {
        code = source_alias(s, event, depth, ret_node, ret_weight);
    } else if (code == 0) {
        code = source_scalar(s, event, ret_node);
        if (code == 0 && event->data.scalar.anchor)
            source_remember(s, (const char *)event->data.scalar.anchor, *ret_node, *ret_weight);
    }
    source_forget(event);
    return code;
}

/* From after the document's start to its end. */
static int source_document(struct yaml_source *s)
{
    struct weight weight;
    struct node *root;
    yaml_event_t event;
    int code = source_next(s, &event);

    s->n_nodes = 0;
    s->n_aliases = 0;
    s->has_duplicate = false;
    if (code == 0)
        code = source_node(s, &event, 1, &root, &weight);
    map_deinit(&s->anchors);
    if (code != 0)
        return code;
    if (node_is_null(root))
        return 0;
    if (s->reader->documents.n >= LIMIT_MANIFEST_DOCUMENTS)
        return source_refuse(s, DIAG_SIZE_LIMIT, root->mark, "too many documents in one load");
    VEC_PUSH(s->reader->arena, &s->reader->documents,
             ((struct document){root->mark, root, s->has_duplicate}));
    return 0;
}

static int source_read(struct yaml_source *s)
{
    for (;;) {
        yaml_event_t event;
        yaml_event_type_t type;
        int code = source_next(s, &event);

        if (code != 0)
            return code;
        type = event.type;
        source_forget(&event);
        if (type == YAML_STREAM_END_EVENT)
            return 0;
        if (type == YAML_DOCUMENT_START_EVENT)
            code = source_document(s);
        if (code != 0)
            return code;
    }
}

int reader_parse(struct reader *r, const char *file, struct str bytes)
{
    struct yaml_source s = {.reader = r, .file = file};
    int code;

    if (!yaml_parser_initialize(&s.parser))
        return source_refuse(&s, DIAG_BAD_YAML, (struct mark){.file = file}, "out of memory");
    yaml_parser_set_encoding(&s.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&s.parser, (const unsigned char *)(bytes.ptr ? bytes.ptr : ""),
                                 bytes.len);
    code = source_read(&s);
    map_deinit(&s.anchors);
    source_forget_buffers(&s.parser);
    yaml_parser_delete(&s.parser);
    return code;
}

void reader_init(struct reader *r, struct arena *a, struct diag_list *diags)
{
    *r = (struct reader){.arena = a, .diags = diags};
}

int reader_read_bytes(struct reader *r, const char *name, struct str bytes)
{
    const char *file = arena_text(r->arena, str_of(name));

    VEC_PUSH(r->arena, &r->files, file);
    if (bytes.len > LIMIT_MANIFEST_FILE_BYTES) {
        diag_add(r->diags, DIAG_ERROR, DIAG_SIZE_LIMIT, (struct mark){.file = file}, STR_NULL,
                 "larger than the limit of %d bytes", (int)LIMIT_MANIFEST_FILE_BYTES);
        r->is_refused = true;
        return READER_REFUSED;
    }
    return reader_parse(r, file, bytes);
}
