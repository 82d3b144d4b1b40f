/* Decoders, small structs and check helpers that the Envoy Gateway kinds share.
 *
 * Owner: everything decoded lives in the load's arena or borrows from its nodes. Thread: compile
 * thread. Pure: addresses are checked by form only, nothing is resolved or opened. */
#include "manifest/common.h"

#include <arpa/inet.h>

const struct table empty_object_table = {"empty_object", sizeof(struct empty_object), NULL, 0,
                                         NULL};

const char *const http_method_names[] = {"GET",     "HEAD",    "POST",  "PUT",   "DELETE",
                                         "CONNECT", "OPTIONS", "TRACE", "PATCH", NULL};
const char *const string_match_names[] = {"Exact", "Prefix", "Suffix", "RegularExpression", NULL};

/* Calls `each` for every item of a list, with the index in the path. */
static void decode_each(struct decoder *d, const struct field *f, const struct node *node,
                        void *slot, decode_fn *each)
{
    if (node->type != NODE_LIST) {
        decode_error(d, DIAG_WRONG_TYPE, node, NULL, "expected a list, found %s",
                     decode_type_text(node));
        return;
    }
    for (size_t i = 0; i < node->n; i++) {
        size_t mark = decode_enter_index(d, i);

        each(d, f, node->items[i], slot);
        decode_leave(d, mark);
    }
}

static void decode_int_item(struct decoder *d, const struct field *f, const struct node *node,
                            void *slot)
{
    struct int_vec *v = slot;
    struct opt_int value = {0};

    decode_int(d, f, node, &value);
    if (value.is_set)
        VEC_PUSH(d->arena, v, value.value);
}

void decode_int_list(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    decode_each(d, f, node, slot, decode_int_item);
}

static void decode_set_item(struct decoder *d, const struct field *f, const struct node *node,
                            void *slot)
{
    uint32_t *set = slot;
    int value = -1;

    decode_enum(d, f, node, &value);
    if (value >= 0)
        *set |= UINT32_C(1) << value;
}

void decode_enum_set(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    decode_each(d, f, node, slot, decode_set_item);
}

static void decode_word_item(struct decoder *d, const struct field *f, const struct node *node,
                             void *slot)
{
    struct str_vec *v = slot;
    int value = -1;

    decode_enum(d, f, node, &value);
    if (value >= 0)
        VEC_PUSH(d->arena, v, node->text);
}

void decode_word_list(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    decode_each(d, f, node, slot, decode_word_item);
}

/* AF_INET, AF_INET6, or 0 when `s` is no address. */
static int ip_family(struct str s)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char raw[16];

    if (s.len == 0 || s.len >= sizeof text)
        return 0;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    if (inet_pton(AF_INET, text, raw) == 1)
        return AF_INET;
    return inet_pton(AF_INET6, text, raw) == 1 ? AF_INET6 : 0;
}

static bool cidr_is_valid(struct str s)
{
    ssize_t slash = str_find_char(s, '/', 0);
    uint64_t bits;
    int family;

    if (slash < 0 || !str_to_u64(str_slice(s, (size_t)slash + 1, s.len), &bits))
        return false;
    family = ip_family(str_slice(s, 0, (size_t)slash));
    return (family == AF_INET && bits <= 32) || (family == AF_INET6 && bits <= 128);
}

void decode_cidr(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    struct str text = STR_NULL;

    decode_str(d, f, node, &text);
    if (text.ptr == NULL)
        return;
    if (cidr_is_valid(text))
        *(struct str *)slot = text;
    else
        decode_error(d, DIAG_INVALID_VALUE, node, NULL,
                     "expected an address range such as \"10.0.0.0/8\", found \"%.*s\"",
                     STR_ARG(text));
}

static void decode_cidr_item(struct decoder *d, const struct field *f, const struct node *node,
                             void *slot)
{
    struct str_vec *v = slot;
    struct str cidr = STR_NULL;

    decode_cidr(d, f, node, &cidr);
    if (cidr.ptr)
        VEC_PUSH(d->arena, v, cidr);
}

void decode_cidr_list(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    decode_each(d, f, node, slot, decode_cidr_item);
}

void decode_ip(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    struct str text = STR_NULL;

    decode_str(d, f, node, &text);
    if (text.ptr == NULL)
        return;
    if (ip_family(text) != 0)
        *(struct str *)slot = text;
    else
        decode_error(d, DIAG_INVALID_VALUE, node, NULL,
                     "expected an IPv4 or IPv6 address, found \"%.*s\"", STR_ARG(text));
}

/* RFC 1123 labels of lower-case letters, digits and inner hyphens, as Kubernetes demands. */
static bool hostname_is_valid(struct str s)
{
    size_t label_len = 0;

    if (s.len == 0 || s.len > 253)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool is_hyphen_inside = c == '-' && label_len > 0 && i + 1 < s.len && s.ptr[i + 1] != '.';

        if (c == '.') {
            if (label_len == 0)
                return false;
            label_len = 0;
        } else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || is_hyphen_inside) {
            label_len++;
        } else {
            return false;
        }
        if (label_len > 63)
            return false;
    }
    return true;
}

void decode_hostname(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    struct str text = STR_NULL;

    decode_str(d, f, node, &text);
    if (text.ptr == NULL)
        return;
    if (hostname_is_valid(text))
        *(struct str *)slot = text;
    else
        decode_error(d, DIAG_INVALID_VALUE, node, NULL,
                     "expected a host name of lower-case letters, digits, '-' and '.', found "
                     "\"%.*s\"",
                     STR_ARG(text));
}

static void decode_header_name_item(struct decoder *d, const struct field *f,
                                    const struct node *node, void *slot)
{
    struct str_vec *v = slot;
    struct str name = STR_NULL;

    decode_header_name(d, f, node, &name);
    if (name.ptr)
        VEC_PUSH(d->arena, v, name);
}

void decode_header_name_list(struct decoder *d, const struct field *f, const struct node *node,
                             void *slot)
{
    decode_each(d, f, node, slot, decode_header_name_item);
}

void decode_marked_text(struct decoder *d, const struct field *f, const struct node *node,
                        void *slot)
{
    struct marked_text *out = slot;

    decode_str(d, f, node, &out->text);
    out->mark = node->mark;
    out->quote = node->quote;
}

/* Columns that the byte took in the manifest. Those of escapes are known where there is no choice:
 * a quote inside its own quotes, a backslash. */
static uint32_t marked_columns(char quote, char c)
{
    if (((unsigned char)c & 0xc0) == 0x80)
        return 0; /* columns are characters */
    return quote && (c == quote || (quote == '"' && c == '\\')) ? 2 : 1;
}

struct mark marked_text_at(const struct marked_text *t, size_t offset)
{
    struct mark mark = t->mark;

    if (!mark.file || t->quote == NODE_LINES)
        return mark;
    mark.column += t->quote ? 1 : 0;
    for (size_t i = 0; i < MIN(offset, t->text.len); i++)
        mark.column += marked_columns(t->quote, t->text.ptr[i]);
    return mark;
}

static void decode_marked_text_item(struct decoder *d, const struct field *f,
                                    const struct node *node, void *slot)
{
    struct marked_text_vec *v = slot;

    decode_marked_text(d, f, node, VEC_ADD(d->arena, v));
}

void decode_marked_text_list(struct decoder *d, const struct field *f, const struct node *node,
                             void *slot)
{
    decode_each(d, f, node, slot, decode_marked_text_item);
}

void check_regex(struct decoder *d, const struct node *node, const char *key, struct str pattern)
{
    const char *problem = decode_regex_problem(pattern, d->arena);
    const struct node *at = node_find(node, key);

    if (problem)
        decode_error(d, DIAG_INVALID_VALUE, at ? at : node, key, "%s", problem);
}

static bool is_given(const struct node *node, const char *key)
{
    return !node_is_null(node_find(node, key));
}

static size_t count_given(const struct node *node, const char *const *keys)
{
    size_t n = 0;

    for (; *keys; keys++)
        n += is_given(node, *keys);
    return n;
}

static struct str join_keys(struct decoder *d, const char *const *keys)
{
    struct str joined = STR("");

    for (size_t i = 0; keys[i]; i++)
        joined = arena_printf(d->arena, "%.*s%s%s", STR_ARG(joined),
                              i == 0        ? ""
                              : keys[i + 1] ? ", "
                                            : " and ",
                              keys[i]);
    return joined;
}

void check_max_items(struct decoder *d, const struct node *node, const char *key, size_t max)
{
    const struct node *list = node_find(node, key);

    if (list && list->type == NODE_LIST && list->n > max)
        decode_error(d, DIAG_OUT_OF_RANGE, list, key, "at most %zu items are allowed, found %zu",
                     max, list->n);
}

void check_exactly_one(struct decoder *d, const struct node *node, const char *const *keys)
{
    size_t n = count_given(node, keys);

    if (n != 1)
        decode_error(d, n == 0 ? DIAG_MISSING_FIELD : DIAG_INVALID_VALUE, node, NULL,
                     "exactly one of %.*s must be given, found %zu", STR_ARG(join_keys(d, keys)),
                     n);
}

void check_at_most_one(struct decoder *d, const struct node *node, const char *const *keys)
{
    if (count_given(node, keys) > 1)
        decode_error(d, DIAG_INVALID_VALUE, node, NULL, "at most one of %.*s may be given",
                     STR_ARG(join_keys(d, keys)));
}

void check_at_least_one(struct decoder *d, const struct node *node, const char *const *keys)
{
    if (count_given(node, keys) == 0)
        decode_error(d, DIAG_MISSING_FIELD, node, NULL, "at least one of %.*s must be given",
                     STR_ARG(join_keys(d, keys)));
}

void check_union(struct decoder *d, const struct node *node, int type, const char *const *names,
                 const char *const *keys, bool is_strict)
{
    if (type < 0)
        return;
    if (keys[type] && !is_given(node, keys[type]))
        decode_error(d, DIAG_MISSING_FIELD, node, keys[type], "required with type %s", names[type]);
    for (size_t i = 0; is_strict && names[i]; i++) {
        bool is_own = keys[i] == NULL || (keys[type] && strcmp(keys[i], keys[type]) == 0);

        if (!is_own && is_given(node, keys[i]))
            decode_error(d, DIAG_INVALID_VALUE, node_find(node, keys[i]), keys[i],
                         "not allowed with type %s", names[type]);
    }
}

static void string_match_check(struct decoder *d, const struct node *node, void *object)
{
    struct string_match *m = object;

    if (m->type < 0)
        m->type = STRING_EXACT;
    if (m->type == STRING_REGEX)
        check_regex(d, node, "value", m->value);
}

static const struct field string_match_fields[] = {
    FIELD_ENUM(string_match, type, "type", 0, string_match_names,
               "How the value is compared; Exact unless given."),
    FIELD_STR(string_match, value, "value", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Text or pattern; a pattern must match in full."),
};
const struct table string_match_table = TABLE_CHECKED(string_match, string_match_check);

static void header_value_check(struct decoder *d, const struct node *node, void *object)
{
    const struct header_value *h = object;

    for (size_t i = 0; i < h->value.len; i++) {
        char c = h->value.ptr[i];

        /* A line break here would let a manifest write further headers (RFC 9110, 5.5). */
        if (c == '\r' || c == '\n' || c == '\0') {
            decode_error(d, DIAG_INVALID_VALUE, node_find(node, "value"), "value",
                         "a header value holds no line break and no NUL");
            return;
        }
    }
}

static const struct field header_value_fields[] = {
    FIELD_OTHER(header_value, name, "name", FIELD_REQUIRED | FIELD_NON_EMPTY, decode_header_name,
                NULL, "Name of the header."),
    FIELD_STR(header_value, value, "value", FIELD_REQUIRED, "Value of the header."),
};
const struct table header_value_table = TABLE_CHECKED(header_value, header_value_check);

static void header_edit_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"set", "add", "addIfAbsent", "remove", "removeOnMatch"};

    (void)object;
    for (size_t i = 0; i < N_ELEMENTS(keys); i++)
        check_max_items(d, node, keys[i], 64);
}

static const struct field header_edit_fields[] = {
    FIELD_LIST(header_edit, set, "set", 0, header_value,
               "Headers to write, replacing all of "
               "the same name."),
    FIELD_LIST(header_edit, add, "add", 0, header_value, "Headers to add beside those there are."),
    FIELD_LIST(header_edit, add_if_absent, "addIfAbsent", 0, header_value,
               "Headers to add where none of the same name is there."),
    FIELD_OTHER(header_edit, remove, "remove", 0, decode_header_name_list, NULL,
                "Names of headers to remove."),
    FIELD_LIST(header_edit, remove_on_match, "removeOnMatch", 0, string_match,
               "Headers to remove whose name matches."),
};
const struct table header_edit_table = TABLE_CHECKED(header_edit, header_edit_check);

static void fraction_check(struct decoder *d, const struct node *node, void *object)
{
    struct fraction *f = object;

    if (!f->denominator.is_set)
        f->denominator = (struct opt_int){true, 100};
    if (f->numerator.value > f->denominator.value)
        decode_error(d, DIAG_OUT_OF_RANGE, node, "numerator",
                     "must not exceed the denominator, %lld", (long long)f->denominator.value);
}

static const struct field fraction_fields[] = {
    FIELD_INT(fraction, numerator, "numerator", FIELD_REQUIRED, RANGE(0, INT32_MAX), "Part."),
    FIELD_INT(fraction, denominator, "denominator", 0, RANGE(1, INT32_MAX),
              "Whole; 100 unless given."),
};
const struct table fraction_table = TABLE_CHECKED(fraction, fraction_check);

static const char *const body_source_names[] = {"Inline", "ValueRef", NULL};

static void body_value_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"inline", "valueRef"};
    struct body_value *b = object;

    if (b->type < 0)
        b->type = BODY_INLINE;
    check_union(d, node, b->type, body_source_names, keys, false);
    if (b->value_ref && !str_eq(b->value_ref->kind, STR("ConfigMap")))
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "valueRef"), "valueRef.kind",
                     "only a ConfigMap can hold a body");
}

static const struct field body_value_fields[] = {
    FIELD_ENUM(body_value, type, "type", 0, body_source_names,
               "Where the body stands: here (Inline) or in a ConfigMap (ValueRef)."),
    FIELD_STR(body_value, inline_text, "inline", 0, "The body itself."),
    FIELD_OBJECT(body_value, value_ref, "valueRef", 0, local_object_ref,
                 "ConfigMap whose key response.body, else whose first key, is the body."),
};
static const struct table body_value_table = TABLE_CHECKED(body_value, body_value_check);

static void custom_response_check(struct decoder *d, const struct node *node, void *object)
{
    const struct custom_response *r = object;

    (void)node;
    if (r->header && (r->header->remove.n > 0 || r->header->remove_on_match.n > 0))
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "header"), "header.remove",
                     "an answer made here has no headers to remove");
}

static const struct field custom_response_fields[] = {
    FIELD_INT(custom_response, status_code, "statusCode", 0, RANGE(200, 599),
              "Status of the answer; 200 unless given."),
    FIELD_STR(custom_response, content_type, "contentType", 0, "Media type of the body."),
    FIELD_OBJECT(custom_response, body, "body", 0, body_value, "Body of the answer."),
    FIELD_OBJECT(custom_response, header, "header", 0, header_edit,
                 "Headers to set or add on the answer."),
};
const struct table custom_response_table = TABLE_CHECKED(custom_response, custom_response_check);
