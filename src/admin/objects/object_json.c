/* See object_json.h. The walk goes down the node and its decoding tables together, so that a field
 * which a table calls secret is hidden wherever it stands, without a line of code here.
 *
 * Nodes are bounded in depth and number by the reader; their texts, which aliases can repeat, by
 * max_bytes. Control's thread, or a command's. */
#include "admin/objects/object_json.h"

#include <stdio.h>

#include "admin/objects/object_secret.h"
#include "tree/decode.h"

static size_t text_digits(struct str s)
{
    size_t n = 0;

    while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
        n++;
    return n;
}

/* RFC 8259, section 6, but for exponents. */
static bool text_is_number(struct str s)
{
    size_t n;

    if (str_starts_with(s, STR("-")))
        s = str_slice(s, 1, s.len);
    n = text_digits(s);
    if (n == 0 || (n > 1 && s.ptr[0] == '0'))
        return false;
    s = str_slice(s, n, s.len);
    return s.len == 0 ||
           (s.ptr[0] == '.' && s.len > 1 && text_digits(str_slice(s, 1, s.len)) == s.len - 1);
}

/* "007": octal to some, and so to nobody (tree/node.c). */
static bool text_has_leading_zero(struct str s)
{
    if (s.len > 0 && (s.ptr[0] == '-' || s.ptr[0] == '+'))
        s = str_slice(s, 1, s.len);
    return s.len > 1 && s.ptr[0] == '0' && text_digits(s) > 1;
}

/* A number, as JSON writes it, or a text. */
static void json_value(struct buf *out, const struct node *node)
{
    int64_t whole;
    double number;

    if (node->is_quoted || text_has_leading_zero(node->text))
        buf_append_json(out, node->text);
    else if (text_is_number(node->text))
        buf_append_str(out, node->text);
    else if (node_to_int(node, &whole))
        buf_printf(out, "%lld", (long long)whole);
    else if (node_to_double(node, &number))
        buf_printf(out, "%.17g", number);
    else
        buf_append_json(out, node->text);
}

static void json_scalar(struct object_json *j, const struct node *node, enum object_hide hide)
{
    bool value;

    if (j->out->len + node->text.len > j->max_bytes)
        j->is_full = true;
    else if (node_is_null(node))
        buf_printf(j->out, "null");
    else if (hide != OBJECT_HIDE_SECRETS || object_text_is_secret(node->text))
        buf_append_json(j->out, OBJECT_REDACTED);
    else if (node_to_bool(node, &value))
        buf_printf(j->out, value ? "true" : "false");
    else
        json_value(j->out, node);
}

static const struct field *table_find(const struct table *table, struct str key)
{
    for (size_t i = 0; table && i < table->n_fields; i++) {
        if (str_eq(key, str_of(table->fields[i].key)))
            return &table->fields[i];
    }
    return NULL;
}

static const struct table *field_table(const struct field *f)
{
    bool is_struct =
        f && (f->decode == decode_object || f->decode == decode_inline || f->decode == decode_list);

    return is_struct ? f->arg : NULL;
}

static bool node_is_text(const struct node *node)
{
    bool value;

    return node->type == NODE_SCALAR && !node_is_null(node) && !node_to_bool(node, &value);
}

/* How what stands under `entry` of `map` is shown. */
static enum object_hide entry_hide(const struct node *map, const struct node_entry *entry,
                                   const struct field *f, enum object_hide hide)
{
    bool is_value = (str_eq(entry->key, STR("value")) || str_eq(entry->key, STR("values"))) &&
                    !object_text_is_open_pattern(entry->value->text);

    if (hide == OBJECT_HIDE_ALL)
        return hide;
    if (hide == OBJECT_HIDE_VALUES)
        return str_eq(entry->key, STR("name")) ? OBJECT_HIDE_SECRETS : hide;
    if (f && f->flags & FIELD_SECRET)
        return f->decode == decode_list ? OBJECT_HIDE_VALUES : OBJECT_HIDE_ALL;
    /* A header's value, and the text of `password: ...`; not the name of a Secret. */
    if ((is_value && object_header_is_secret(node_text(map, "name"))) ||
        (node_is_text(entry->value) && object_key_is_secret(entry->key)) ||
        object_annotation_is_secret(entry->key))
        return OBJECT_HIDE_ALL;
    return OBJECT_HIDE_SECRETS;
}

static void json_map(struct object_json *j, const struct node *node, const struct table *table,
                     enum object_hide hide)
{
    buf_append_char(j->out, '{');
    for (size_t i = 0; i < node->n && !j->is_full; i++) {
        const struct node_entry *entry = &node->entries[i];
        const struct field *f = table_find(table, entry->key);

        if (i > 0)
            buf_append_char(j->out, ',');
        buf_append_json(j->out, entry->key);
        buf_append_char(j->out, ':');
        object_json_node(j, entry->value, field_table(f), entry_hide(node, entry, f, hide));
    }
    buf_append_char(j->out, '}');
}

void object_json_node(struct object_json *j, const struct node *node, const struct table *table,
                      enum object_hide hide)
{
    if (j->out->len > j->max_bytes)
        j->is_full = true;
    if (j->is_full)
        return;
    if (node->type == NODE_MAP) {
        json_map(j, node, table, hide);
    } else if (node->type == NODE_LIST) {
        buf_append_char(j->out, '[');
        for (size_t i = 0; i < node->n && !j->is_full; i++) {
            if (i > 0)
                buf_append_char(j->out, ',');
            object_json_node(j, node->items[i], table, hide);
        }
        buf_append_char(j->out, ']');
    } else if (node->type == NODE_NULL) {
        buf_printf(j->out, "null");
    } else {
        json_scalar(j, node, hide);
    }
}
