/* From a document to an object: identity and metadata, then the spec by the kind's table; and the
 * conditions that later passes set.
 *
 * Owner: the load's arena. Thread: the compile thread; immutable afterwards. Which kind it is, and
 * whether it stands there twice, is decided by manifest.c. */
#include "manifest/object_decode.h"

#include <stdio.h>
#include <time.h>

#include "manifest/core.h"

struct metadata {
    struct mark mark;
    struct str name;
    struct str namespace;
    struct str uid;
    struct str created;
    struct text_pair_vec labels;
    struct text_pair_vec annotations;
    const struct node *passed_over;
};
#define METADATA_PASSED_OVER(key)                                                                  \
    FIELD_RAW(metadata, passed_over, key, 0, "Without meaning for a gateway.")
static const struct field metadata_fields[] = {
    FIELD_STR(metadata, name, "name", FIELD_REQUIRED | FIELD_NON_EMPTY, "Name of the object."),
    FIELD_STR(metadata, namespace, "namespace", 0, "Namespace; \"default\" unless given."),
    FIELD_STR(metadata, uid, "uid", 0, "Identity given by Kubernetes."),
    FIELD_STR(metadata, created, "creationTimestamp", 0, "Age, for precedence (RFC 3339)."),
    FIELD_TEXT_MAP(metadata, labels, "labels", 0, "Labels, for selectors."),
    FIELD_TEXT_MAP(metadata, annotations, "annotations", 0, "Annotations."),
    METADATA_PASSED_OVER("generateName"),
    METADATA_PASSED_OVER("generation"),
    METADATA_PASSED_OVER("resourceVersion"),
    METADATA_PASSED_OVER("managedFields"),
    METADATA_PASSED_OVER("ownerReferences"),
    METADATA_PASSED_OVER("finalizers"),
    METADATA_PASSED_OVER("selfLink"),
    METADATA_PASSED_OVER("deletionTimestamp"),
    METADATA_PASSED_OVER("deletionGracePeriodSeconds"),
};

/* RFC 1123 subdomain, as Kubernetes asks of names (some kinds also allow ':' in RBAC; none here).
 */
static bool metadata_is_name(struct str s)
{
    if (s.len == 0 || s.len > 253)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        bool is_edge = i == 0 || i + 1 == s.len;

        if (!is_word && (is_edge || (c != '-' && c != '.')))
            return false;
    }
    return true;
}

static void metadata_check(struct decoder *d, const struct node *node, void *object)
{
    const struct metadata *m = object;

    if (!str_is_empty(m->name) && !metadata_is_name(m->name))
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "name"), "name",
                     "a name has lower-case letters, digits, '-' and '.' only, 253 at most");
    if (!str_is_empty(m->namespace) && (!metadata_is_name(m->namespace) || m->namespace.len > 63))
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "namespace"), "namespace",
                     "a namespace has lower-case letters, digits and '-' only, 63 at most");
}
static const struct table metadata_table = TABLE_CHECKED(metadata, metadata_check);

/* RFC 3339 in UTC as Kubernetes writes it; 0 on anything else. */
static int64_t metadata_unix_s(struct str s)
{
    char text[24];
    struct tm tm = {0};
    char zone;

    if (s.len < 20 || s.len >= 40)
        return 0;
    snprintf(text, sizeof text, "%.*s", 19, s.ptr);
    zone = s.ptr[s.len - 1];
    if (zone != 'Z' || sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                              &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return timegm(&tm);
}

static bool object_is_envelope(struct str key)
{
    return str_eq(key, STR("apiVersion")) || str_eq(key, STR("kind")) ||
           str_eq(key, STR("metadata")) || str_eq(key, STR("status"));
}

/* The document without what every object has. */
static struct node object_body(struct arena *a, const struct node *root)
{
    struct node body = *root;

    body.entries = ARENA_ARRAY(a, struct node_entry, root->n);
    body.n = 0;
    for (size_t i = 0; i < root->n; i++) {
        if (!object_is_envelope(root->entries[i].key))
            body.entries[body.n++] = root->entries[i];
    }
    return body;
}

static void object_decode_spec(struct decoder *d, struct object *o, const struct node *body)
{
    const struct kind *k = o->kind;
    struct field spec_field = {.key = "spec",
                               .decode = decode_inline,
                               .offset = k->spec_offset,
                               .flags = FIELD_REQUIRED,
                               .arg = k->table,
                               .doc = "What is wanted."};
    struct table spec_table = {
        .name = k->name.ptr, .size = k->object_size, .fields = &spec_field, .n_fields = 1};

    if (k->shape == KIND_FLAT)
        decode_struct(d, k->table, body, (char *)o + k->spec_offset);
    else
        decode_struct(d, &spec_table, body, o);
}

static void object_take_metadata(struct object *o, const struct metadata *m)
{
    o->name = m->name;
    o->namespace = str_is_empty(m->namespace) ? STR("default") : m->namespace;
    if (o->kind->scope == KIND_CLUSTER)
        o->namespace = STR("");
    o->uid = m->uid;
    o->creation_unix_s = metadata_unix_s(m->created);
    o->labels = m->labels;
    o->annotations = m->annotations;
}

struct str object_label(struct arena *a, struct str kind, struct str namespace, struct str name)
{
    if (str_is_empty(namespace))
        return arena_printf(a, "%.*s/%.*s", STR_ARG(kind), STR_ARG(name));
    return arena_printf(a, "%.*s/%.*s/%.*s", STR_ARG(kind), STR_ARG(namespace), STR_ARG(name));
}

static void object_decode_metadata(struct decoder *d, struct object *o, const struct node *root)
{
    const struct node *node = node_find(root, "metadata");
    struct metadata metadata = {0};

    if (node_is_null(node)) {
        decode_error(d, DIAG_MISSING_FIELD, root, "metadata", "required but not given");
        object_take_metadata(o, &metadata);
        return;
    }
    size_t mark = decode_enter_key(d, "metadata");

    decode_struct(d, &metadata_table, node, &metadata);
    decode_leave(d, mark);
    object_take_metadata(o, &metadata);
}

struct object *object_decode(const struct kind *k, const struct node *root, struct arena *a,
                             struct diag_list *diags)
{
    struct object *o = arena_alloc(a, k->object_size);
    const struct node *metadata = node_find(root, "metadata");
    struct str namespace = node_text(metadata, "namespace");
    struct node body = object_body(a, root);
    struct decoder d;

    o->kind = k;
    o->source = root;
    o->api_version = node_text(root, "apiVersion");
    if (k->scope == KIND_NAMESPACED && str_is_empty(namespace))
    namespace = STR("default");
    o->label = object_label(a, k->name, k->scope == KIND_CLUSTER ? STR("") : namespace,
                            node_text(metadata, "name"));
    decoder_init(&d, diags, a, o->label);
    object_decode_spec(&d, o, &body);
    o->mark = root->mark; /* the table walk wrote the same */
    object_decode_metadata(&d, o, root);
    o->is_broken = d.has_error;
    decoder_deinit(&d);
    if (k->id == KIND_SECRET)
        arena_on_cleanup(a, secret_wipe, o);
    return o;
}

static struct condition_set *object_conditions(struct object *o, struct arena *a, struct str about)
{
    VEC_FOREACH (&o->conditions, set) {
        if (str_eq(set->about, about))
            return set;
    }
    struct condition_set *set = VEC_ADD(a, &o->conditions);

    set->about = about;
    return set;
}

void object_set_condition(struct object *o, struct arena *a, struct str about, const char *type,
                          enum condition_status status, const char *reason, const char *format, ...)
{
    struct condition_set *set = object_conditions(o, a, about);
    struct condition *condition = NULL;
    va_list args;

    VEC_FOREACH (&set->items, c) {
        if (strcmp(c->type, type) == 0)
            condition = c;
    }
    if (!condition)
        condition = VEC_ADD(a, &set->items);
    *condition = (struct condition){.type = type, .status = status, .reason = reason};
    va_start(args, format);
    condition->message = arena_vprintf(a, format, args);
    va_end(args);
}

const struct condition *object_find_condition(const struct object *o, struct str about,
                                              const char *type)
{
    VEC_FOREACH (&o->conditions, set) {
        if (!str_eq(set->about, about))
            continue;
        VEC_FOREACH (&set->items, c) {
            if (strcmp(c->type, type) == 0)
                return c;
        }
    }
    return NULL;
}

int object_compare_age(const struct object *a, const struct object *b)
{
    int order = str_compare(a->namespace, b->namespace);

    if (a->creation_unix_s != b->creation_unix_s) {
        if (a->creation_unix_s == 0 || b->creation_unix_s == 0)
            return a->creation_unix_s == 0 ? 1 : -1;
        return a->creation_unix_s < b->creation_unix_s ? -1 : 1;
    }
    return order != 0 ? order : str_compare(a->name, b->name);
}
