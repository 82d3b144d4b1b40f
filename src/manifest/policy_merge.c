/* Merging of policies along a chain, by their decoding tables: whether a policy gives a field is
 * read from its document, because defaults that a check filled in must not hide the parent's value.
 *
 * Owner: merged structs live in the caller's arena. Thread: compile thread. */
#include "manifest/policy_merge.h"

#include "base/assert.h"
#include "manifest/backend_traffic_policy.h"
#include "manifest/security_policy.h"

struct merge {
    struct arena *arena;
    bool is_strategic;
};

static void merge_struct(struct merge *m, const struct table *table, void *out, const void *child,
                         const struct node *node);

/* Older spellings that a check folds into the field of the newer one. */
static const char *older_key(const char *key)
{
    static const char *const pairs[][2] = {{"backendRefs", "backendRef"},
                                           {"compressor", "compression"}};

    for (size_t i = 0; i < N_ELEMENTS(pairs); i++) {
        if (strcmp(key, pairs[i][0]) == 0)
            return pairs[i][1];
    }
    return NULL;
}

static const struct node *find_given(const struct node *node, const char *key)
{
    const struct node *value = node_find(node, key);
    const char *older = older_key(key);

    return value || !older ? value : node_find(node, older);
}

static size_t slot_size(const struct field *f)
{
    if (f->decode == decode_bool)
        return sizeof(struct opt_bool);
    if (f->decode == decode_int || f->decode == decode_quantity)
        return sizeof(struct opt_int);
    if (f->decode == decode_double)
        return sizeof(struct opt_double);
    if (f->decode == decode_enum)
        return sizeof(int);
    if (f->decode == decode_enum_set)
        return sizeof(uint32_t);
    if (f->decode == decode_duration)
        return sizeof(struct opt_duration);
    if (f->decode == decode_object || f->decode == decode_raw)
        return sizeof(void *);
    if (f->decode == decode_marked_text)
        return sizeof(struct marked_text);
    if (f->decode == decode_list || f->decode == decode_str_list || f->decode == decode_text_map ||
        f->decode == decode_int_list || f->decode == decode_word_list ||
        f->decode == decode_cidr_list || f->decode == decode_header_name_list ||
        f->decode == decode_marked_text_list)
        return sizeof(struct generic_vec);
    ASSERT(f->decode == decode_str || f->decode == decode_header_name ||
           f->decode == decode_hostname || f->decode == decode_cidr || f->decode == decode_ip ||
           f->decode == decode_regex || f->decode == decode_int_or_str);
    return sizeof(struct str);
}

/* Lists whose items are told apart by a key: where it stands, and whether it is an enum. */
static const struct {
    const char *table;
    size_t offset;
    bool is_enum;
} keyed_lists[] = {
    {"compression", offsetof(struct compression, type), true},
    {"http_upgrade", offsetof(struct http_upgrade, type), false},
    {"ext_auth_context", offsetof(struct ext_auth_context, name), false},
};

static bool keys_equal(size_t row, const char *a, const char *b)
{
    const void *x = a + keyed_lists[row].offset;
    const void *y = b + keyed_lists[row].offset;

    if (keyed_lists[row].is_enum)
        return *(const int *)x == *(const int *)y;
    return str_eq(*(const struct str *)x, *(const struct str *)y);
}

/* The parent's items, each replaced by the child's of the same key, then the child's others. */
static struct generic_vec merge_keyed(struct merge *m, size_t row, size_t size,
                                      const struct generic_vec *parent,
                                      const struct generic_vec *child)
{
    char *items = arena_alloc(m->arena, (parent->n + child->n) * size);
    size_t n = parent->n;

    memcpy(items, parent->items, parent->n * size);
    for (size_t i = 0; i < child->n; i++) {
        const char *item = (const char *)child->items + i * size;
        size_t at = 0;

        while (at < n && !keys_equal(row, items + at * size, item))
            at++;
        memcpy(items + at * size, item, size);
        n += at == n;
    }
    return (struct generic_vec){items, n, parent->n + child->n};
}

static void merge_list(struct merge *m, const struct table *table, struct generic_vec *out,
                       const struct generic_vec *child)
{
    for (size_t row = 0; m->is_strategic && row < N_ELEMENTS(keyed_lists); row++) {
        if (strcmp(table->name, keyed_lists[row].table) == 0 && out->n > 0 && child->n > 0) {
            *out = merge_keyed(m, row, table->size, out, child);
            return;
        }
    }
    *out = *child;
}

static void merge_object(struct merge *m, const struct table *table, void **out, void *child,
                         const struct node *node)
{
    void *merged;

    if (*out == NULL || child == NULL) {
        *out = child;
        return;
    }
    merged = arena_alloc(m->arena, table->size);
    memcpy(merged, *out, table->size);
    merge_struct(m, table, merged, child, node);
    *out = merged;
}

static void merge_field(struct merge *m, const struct field *f, char *out, const char *child,
                        const struct node *node)
{
    void *slot = out + f->offset;
    const void *given = child + f->offset;

    if (node_is_null(node)) {
        memset(slot, f->decode == decode_enum ? 0xff : 0, slot_size(f));
        return;
    }
    if (f->decode == decode_object)
        merge_object(m, f->arg, slot, *(void *const *)given, node);
    else if (f->decode == decode_inline)
        merge_struct(m, f->arg, slot, given, node);
    else if (f->decode == decode_list)
        merge_list(m, f->arg, slot, given);
    else
        memcpy(slot, given, slot_size(f));
}

/* Lays what `node` (the child's document) gives over `out`, a copy of the parent. */
static void merge_struct(struct merge *m, const struct table *table, void *out, const void *child,
                         const struct node *node)
{
    memcpy(out, child, sizeof(struct mark));
    for (size_t i = 0; i < table->n_fields; i++) {
        const struct field *f = &table->fields[i];
        const struct node *value = find_given(node, f->key);

        if (value && !(f->flags & FIELD_IS_UNSUPPORTED))
            merge_field(m, f, out, child, value);
    }
    if (table == &ext_auth_table)
        ((struct ext_auth *)out)->has_body_to_ext_auth |=
            ((const struct ext_auth *)child)->has_body_to_ext_auth;
}

static const void *object_spec(const struct object *o)
{
    return (const char *)o + o->kind->spec_offset;
}

static int object_merge_type(const struct object *o)
{
    const void *spec = object_spec(o);

    if (o->kind->id == KIND_SECURITY_POLICY)
        return ((const struct security_policy_spec *)spec)->merge_type;
    ASSERT(o->kind->id == KIND_BACKEND_TRAFFIC_POLICY);
    return ((const struct backend_traffic_policy_spec *)spec)->merge_type;
}

/* What the tables do not hold: the child keeps its own targets, unsupported features add up. */
static void merge_rest(const struct object *child, void *out)
{
    const void *spec = object_spec(child);

    *(struct policy_targets *)out = *(const struct policy_targets *)spec;
    if (child->kind->id == KIND_SECURITY_POLICY) {
        ((struct security_policy_spec *)out)->has_oidc |=
            ((const struct security_policy_spec *)spec)->has_oidc;
        ((struct security_policy_spec *)out)->has_csrf |=
            ((const struct security_policy_spec *)spec)->has_csrf;
    }
}

/* Up to the first that does not ask to be merged with its parent. */
static size_t chain_n_effective(const struct policy_chain *chain)
{
    size_t n = 0;

    while (n < chain->n && (n == 0 || object_merge_type(chain->items[n - 1]) >= 0))
        n++;
    return n;
}

bool policy_chain_is_same(const struct policy_chain *a, const struct policy_chain *b)
{
    size_t n = chain_n_effective(a);

    if (n != chain_n_effective(b))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (a->items[i] != b->items[i])
            return false;
    }
    return true;
}

struct merged_policy policy_merge(struct arena *a, const struct policy_chain *chain)
{
    struct merged_policy result = {0};
    const struct table *table;
    void *out;

    if (chain->n == 0)
        return result;
    result.object = chain->items[0];
    result.n_policies = chain_n_effective(chain);
    for (size_t i = 0; i < result.n_policies; i++)
        result.is_broken |= chain->items[i]->is_broken;
    result.spec = object_spec(result.object);
    /* What is broken is not used, and its lists are not bounded. */
    if (result.n_policies == 1 || result.is_broken)
        return result;
    table = result.object->kind->table;
    out = arena_alloc(a, table->size);
    memcpy(out, object_spec(chain->items[result.n_policies - 1]), table->size);
    for (size_t i = result.n_policies - 1; i-- > 0;) {
        const struct object *child = chain->items[i];
        struct merge m = {a, object_merge_type(child) == MERGE_STRATEGIC};

        merge_struct(&m, table, out, object_spec(child), node_find(child->source, "spec"));
        merge_rest(child, out);
    }
    result.spec = out;
    return result;
}
