/* See object_list.h. */
#include "admin/objects/object_list.h"

#include "admin/json.h"
#include "admin/objects/object_json.h"
#include "admin/objects/object_status.h"
#include "base/limits.h"
#include "http/query.h"

/* ---- the question ---- */

void object_query_parse(struct str query, struct object_query *ret)
{
    struct str name, value;

    *ret = (struct object_query){0};
    while (query_next(&query, &name, &value)) {
        if (str_eq(name, STR("group"))) {
            ret->group = value;
            ret->has_group = true;
        } else if (str_eq(name, STR("kind"))) {
            ret->kind = value;
        } else if (str_eq(name, STR("namespace"))) {
            ret->namespace = value;
        } else if (str_eq(name, STR("name"))) {
            ret->name = value;
        } else if (str_eq(name, STR("brief"))) {
            ret->is_brief = str_eq(value, STR("true"));
        }
    }
}

static void query_add(struct buf *out, const char *name, struct str value, bool is_given)
{
    if (is_given)
        buf_printf(out, "%s%s=%.*s", out->len > 0 ? "&" : "", name, STR_ARG(value));
}

void object_query_format(const struct object_query *q, struct buf *out)
{
    query_add(out, "group", q->group, q->has_group);
    query_add(out, "kind", q->kind, q->kind.len > 0);
    query_add(out, "namespace", q->namespace, q->namespace.len > 0);
    query_add(out, "name", q->name, q->name.len > 0);
    query_add(out, "brief", STR("true"), q->is_brief);
}

static bool query_takes(const struct object_query *q, const struct object *o)
{
    return (!q->has_group || str_eq(q->group, o->kind->group)) &&
           (q->kind.len == 0 || str_eq(q->kind, o->kind->name)) &&
           (q->namespace.len == 0 || str_eq(q->namespace, o->namespace)) &&
           (q->name.len == 0 || str_eq(q->name, o->name));
}

/* ---- one object ---- */

static bool key_is_one_of(struct str key, const char *const *keys)
{
    for (; *keys; keys++) {
        if (str_eq(key, str_of(*keys)))
            return true;
    }
    return false;
}

/* Of a Secret is shown what is known to be none: a misspelt `stringData` is one too. */
static enum object_hide secret_hide(const struct node_entry *entry, const char *const *shown)
{
    return key_is_one_of(entry->key, shown) ? OBJECT_HIDE_SECRETS : OBJECT_HIDE_ALL;
}

static void list_member(struct object_json *j, bool *has_member, struct str key)
{
    if (*has_member)
        buf_append_char(j->out, ',');
    *has_member = true;
    buf_append_json(j->out, key);
    buf_append_char(j->out, ':');
}

static void list_metadata(struct object_json *j, const struct object *o, const struct node *node)
{
    static const char *const shown[] = {
        "name",       "namespace",       "labels", "creationTimestamp",
        "generation", "resourceVersion", "uid",    NULL};
    bool has_member = false;

    if (node->type != NODE_MAP) {
        object_json_node(j, node, NULL, OBJECT_HIDE_ALL);
        return;
    }
    buf_append_char(j->out, '{');
    for (size_t i = 0; i < node->n && !j->is_full; i++) {
        const struct node_entry *entry = &node->entries[i];

        list_member(j, &has_member, entry->key);
        object_json_node(j, entry->value, NULL,
                         o->kind->id == KIND_SECRET ? secret_hide(entry, shown)
                                                    : OBJECT_HIDE_SECRETS);
    }
    buf_append_char(j->out, '}');
}

/* A member of the document: its spec by its table, or what stands in place of one. */
static void list_part(struct object_json *j, const struct object *o, const struct node_entry *entry)
{
    static const char *const shown[] = {"apiVersion", "kind", "type", "immutable", NULL};
    bool is_spec = o->kind->shape == KIND_SPEC && str_eq(entry->key, STR("spec"));

    if (str_eq(entry->key, STR("metadata")))
        list_metadata(j, o, entry->value);
    else
        object_json_node(j, entry->value, is_spec ? o->kind->table : NULL,
                         o->kind->id == KIND_SECRET ? secret_hide(entry, shown)
                                                    : OBJECT_HIDE_SECRETS);
}

/* The manifest's own `status` is what some cluster thought of it: ours stands there instead. */
static void list_object(struct object_json *j, const struct object *o, const struct snapshot *live)
{
    const struct node *root = o->source;
    bool has_member = false;
    struct json status;

    buf_append_char(j->out, '{');
    for (size_t i = 0; i < root->n && !j->is_full; i++) {
        if (str_eq(root->entries[i].key, STR("status")))
            continue;
        list_member(j, &has_member, root->entries[i].key);
        list_part(j, o, &root->entries[i]);
    }
    json_init(&status, j->out);
    status.has_member[0] = true; /* there is an apiVersion */
    object_format_status(&status, o, live);
    buf_append_char(j->out, '}');
}

static void list_brief(struct object_json *j, const struct object *o)
{
    struct json out;

    json_init(&out, j->out);
    json_open(&out, NULL, '{');
    json_str(&out, "apiVersion", o->api_version);
    json_str(&out, "kind", o->kind->name);
    json_open(&out, "metadata", '{');
    json_str(&out, "name", o->name);
    if (o->namespace.len > 0)
        json_str(&out, "namespace", o->namespace);
    json_close(&out, '}');
    json_close(&out, '}');
}

static void list_findings(struct buf *out, const struct manifest *m, const struct object *o)
{
    struct json j;

    json_init(&j, out);
    json_open(&j, NULL, '[');
    VEC_FOREACH (&m->diags.items, d) {
        if (!str_eq(d->object, o->label))
            continue;
        json_open(&j, NULL, '{');
        json_text(&j, "severity", diag_severity_text(d->severity));
        json_text(&j, "code", diag_code_text(d->code));
        json_text(&j, "file", d->mark.file ? d->mark.file : "");
        json_u64(&j, "line", d->mark.line);
        json_str(&j, "path", d->path);
        json_str(&j, "text", d->text);
        json_str(&j, "hint", d->hint);
        json_close(&j, '}');
    }
    json_close(&j, ']');
}

static void list_line(struct object_json *j, const struct manifest *m, const struct snapshot *live,
                      const struct object_query *q, const struct object *o)
{
    struct buf place = {0};

    buf_printf(j->out, "{\"object\":");
    if (q->is_brief)
        list_brief(j, o);
    else
        list_object(j, o, q->name.len > 0 ? live : NULL);
    if (o->mark.file)
        buf_printf(&place, "%s:%u", o->mark.file, o->mark.line);
    buf_printf(j->out, ",\"place\":");
    buf_append_json(j->out, buf_str(&place));
    buf_deinit(&place);
    buf_printf(j->out, ",\"broken\":%s", o->is_broken ? "true" : "false");
    if (q->name.len > 0 && !q->is_brief) {
        buf_printf(j->out, ",\"findings\":");
        list_findings(j->out, m, o);
    }
    buf_printf(j->out, "}\n");
}

int object_list_format(const struct manifest *m, const struct snapshot *live,
                       const struct object_query *q, struct buf *out)
{
    struct object_json j = {.out = out, .max_bytes = out->len + LIMIT_OBJECTS_BYTES};

    for (size_t i = 0; i < m->objects.n && !j.is_full; i++) {
        if (query_takes(q, m->objects.items[i]))
            list_line(&j, m, live, q, m->objects.items[i]);
    }
    return j.is_full || out->len > j.max_bytes ? OBJECT_LIST_TOO_LARGE : 0;
}
