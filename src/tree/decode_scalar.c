/* Decoders of single values: text, booleans, numbers, enums, durations, quantities, patterns, lists
 * and maps of text. Each writes its slot or reports what it expected and what it found.
 *
 * Owner: text borrows from the nodes, which live as long as the load. Thread: the compile thread.
 * Values of fields flagged FIELD_SECRET never reach a message. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "base/limits.h"
#include "tree/decode.h"

const char *decode_type_text(const struct node *node)
{
    bool is_true;
    double number;
    int64_t whole;

    if (node->type == NODE_MAP)
        return "an object";
    if (node->type == NODE_LIST)
        return "a list";
    if (node_is_null(node))
        return "nothing";
    if (node->is_quoted)
        return "a string";
    if (node_to_bool(node, &is_true))
        return "a boolean";
    if (node_to_int(node, &whole) || node_to_double(node, &number))
        return "a number";
    return "a string";
}

static void decode_expected(struct decoder *d, const struct field *f, const struct node *node,
                            const char *what)
{
    enum { SHOWN_MAX = 60 };

    if (node->type != NODE_SCALAR || (f->flags & FIELD_SECRET))
        decode_error(d, DIAG_WRONG_TYPE, node, NULL, "expected %s, found %s", what,
                     decode_type_text(node));
    else
        decode_error(d, DIAG_WRONG_TYPE, node, NULL, "expected %s, found \"%.*s\"%s", what,
                     (int)MIN(node->text.len, (size_t)SHOWN_MAX), node->text.ptr,
                     node->text.len > SHOWN_MAX ? " (cut)" : "");
}

/* Text that Kubernetes' API server would take as a string too: quoted, or plain and nothing else.
 */
static bool decode_is_text(struct decoder *d, const struct field *f, const struct node *node)
{
    bool is_true;
    double number;

    if (node->type != NODE_SCALAR) {
        decode_expected(d, f, node, "a string");
        return false;
    }
    if (!node->is_quoted && (node_to_bool(node, &is_true) || node_to_double(node, &number))) {
        struct diag *diag = decode_error(d, DIAG_WRONG_TYPE, node, NULL,
                                         "expected a string, found %s", decode_type_text(node));

        diag->hint = STR("put it in quotes");
        return false;
    }
    return true;
}

void decode_str(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    if (decode_is_text(d, f, node))
        *(struct str *)slot = node->text;
}

void decode_int_or_str(struct decoder *d, const struct field *f, const struct node *node,
                       void *slot)
{
    bool is_true;

    if (node->type != NODE_SCALAR || (!node->is_quoted && node_to_bool(node, &is_true)))
        decode_expected(d, f, node, "a whole number or a string");
    else
        *(struct str *)slot = node->text;
}

void decode_bool(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    struct opt_bool *out = slot;

    out->is_set = node_to_bool(node, &out->value);
    if (!out->is_set)
        decode_expected(d, f, node, "true or false");
}

static bool decode_in_range(struct decoder *d, const struct field *f, const struct node *node,
                            int64_t value)
{
    const struct int_range *range = f->arg;

    if (!range || (value >= range->min && value <= range->max))
        return true;
    if (range->max == INT64_MAX)
        decode_error(d, DIAG_OUT_OF_RANGE, node, NULL, "must be at least %lld, found %lld",
                     (long long)range->min, (long long)value);
    else
        decode_error(d, DIAG_OUT_OF_RANGE, node, NULL, "must lie in %lld to %lld, found %lld",
                     (long long)range->min, (long long)range->max, (long long)value);
    return false;
}

void decode_int(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    struct opt_int *out = slot;
    int64_t value;

    if (!node_to_int(node, &value)) {
        decode_expected(d, f, node, "a whole number");
        return;
    }
    if (decode_in_range(d, f, node, value))
        *out = (struct opt_int){.is_set = true, .value = value};
}

void decode_double(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    struct opt_double *out = slot;

    out->is_set = node_to_double(node, &out->value);
    if (!out->is_set)
        decode_expected(d, f, node, "a number");
}

static size_t decode_count_names(const char *const *names)
{
    size_t n = 0;

    while (names[n])
        n++;
    return n;
}

void decode_enum(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    const char *const *names = f->arg;
    size_t n = decode_count_names(names);
    struct buf all AUTO(buf_deinit) = {0};
    const char *nearest;
    struct diag *diag;

    if (!decode_is_text(d, f, node))
        return;
    for (size_t i = 0; i < n; i++) {
        if (str_eq(node->text, str_of(names[i]))) {
            *(int *)slot = (int)i;
            return;
        }
        buf_printf(&all, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    diag = decode_error(d, DIAG_INVALID_VALUE, node, NULL, "expected one of %.*s, found \"%.*s\"",
                        STR_ARG(buf_str(&all)), STR_ARG(node->text));
    nearest = decode_nearest(node->text, names, n);
    if (nearest)
        diag->hint = arena_printf(d->arena, "did you mean \"%s\"?", nearest);
}

/* One "12.5ms" off the front of `*s`, in nanoseconds. */
static bool duration_part(struct str *s, double *ret_ns)
{
    static const struct {
        const char *text;
        double ns;
    } units[] = {{"ms", 1e6}, {"us", 1e3}, {"ns", 1}, {"h", 3600e9}, {"m", 60e9}, {"s", 1e9}};
    char digits[24];
    size_t n = 0;
    size_t n_dots = 0;

    while (n < s->len && ((s->ptr[n] >= '0' && s->ptr[n] <= '9') || s->ptr[n] == '.')) {
        n_dots += s->ptr[n] == '.';
        n++;
    }
    if (n == 0 || n > 12 || n_dots > 1 || n_dots == n)
        return false;
    memcpy(digits, s->ptr, n);
    digits[n] = '\0';
    *s = str_slice(*s, n, s->len);
    for (size_t i = 0; i < N_ELEMENTS(units); i++) {
        struct str unit = str_of(units[i].text);

        if (!str_starts_with(*s, unit))
            continue;
        *ret_ns = strtod(digits, NULL) * units[i].ns;
        *s = str_slice(*s, unit.len, s->len);
        return true;
    }
    return false;
}

bool decode_duration_text(struct str s, uint64_t *ret_us)
{
    double total_ns = 0;
    double part_ns;

    if (str_eq(s, STR("0"))) {
        *ret_us = 0;
        return true;
    }
    if (s.len == 0)
        return false;
    for (int n_parts = 0; s.len > 0; n_parts++) {
        if (n_parts == 4 || !duration_part(&s, &part_ns))
            return false;
        total_ns += part_ns;
    }
    /* Beyond a hundred thousand hours (GEP-2257's five digits) nothing is meant seriously. */
    if (total_ns > 100000 * 3600e9)
        return false;
    *ret_us = (uint64_t)(total_ns / 1000 + 0.5);
    return true;
}

void decode_duration(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    struct opt_duration *out = slot;

    out->is_set = node->type == NODE_SCALAR && decode_duration_text(node->text, &out->us);
    if (!out->is_set)
        decode_expected(d, f, node, "a duration such as \"10s\", \"1m30s\" or \"500ms\"");
}

/* Kubernetes resource.Quantity, whole results only. */
bool quantity_parse(struct str s, int64_t *ret_value)
{
    static const struct {
        const char *suffix;
        double factor;
    } units[] = {{"Ki", 0x1p10}, {"Mi", 0x1p20}, {"Gi", 0x1p30}, {"Ti", 0x1p40},
                 {"Pi", 0x1p50}, {"k", 1e3},     {"M", 1e6},     {"G", 1e9},
                 {"T", 1e12},    {"P", 1e15},    {"m", 1e-3},    {"", 1}};
    char digits[24];
    double value;
    size_t n = 0;

    while (n < s.len && ((s.ptr[n] >= '0' && s.ptr[n] <= '9') || s.ptr[n] == '.'))
        n++;
    if (n == 0 || n >= sizeof digits || s.ptr[0] == '.')
        return false;
    memcpy(digits, s.ptr, n);
    digits[n] = '\0';
    for (size_t i = 0; i < N_ELEMENTS(units); i++) {
        if (!str_eq(str_slice(s, n, s.len), str_of(units[i].suffix)))
            continue;
        value = strtod(digits, NULL) * units[i].factor;
        if (value > 0x1p53 || value != (double)(int64_t)value)
            return false;
        *ret_value = (int64_t)value;
        return true;
    }
    return false;
}

void decode_quantity(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    struct opt_int *out = slot;
    int64_t value;

    if (node->type != NODE_SCALAR || !quantity_parse(node->text, &value)) {
        decode_expected(d, f, node, "a quantity such as \"32Ki\" or \"1M\"");
        return;
    }
    if (decode_in_range(d, f, node, value))
        *out = (struct opt_int){.is_set = true, .value = value};
}

void decode_str_list(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    struct str_vec *vec = slot;

    if (node->type != NODE_LIST) {
        decode_expected(d, f, node, "a list of strings");
        return;
    }
    vec->items = ARENA_ARRAY(d->arena, struct str, node->n);
    vec->cap = node->n;
    for (size_t i = 0; i < node->n; i++) {
        size_t mark = decode_enter_index(d, i);

        if (decode_is_text(d, f, node->items[i]))
            vec->items[vec->n++] = node->items[i]->text;
        decode_leave(d, mark);
    }
}

void decode_text_map(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    struct text_pair_vec *vec = slot;

    if (node->type != NODE_MAP) {
        decode_expected(d, f, node, "an object of strings");
        return;
    }
    vec->items = ARENA_ARRAY(d->arena, struct text_pair, node->n);
    vec->cap = node->n;
    for (size_t i = 0; i < node->n; i++) {
        const struct node_entry *entry = &node->entries[i];
        size_t mark = decode_enter_key(d, entry->key.ptr);

        if (node_is_null(entry->value))
            vec->items[vec->n++] =
                (struct text_pair){.mark = entry->mark, .key = entry->key, .value = STR("")};
        else if (decode_is_text(d, f, entry->value))
            vec->items[vec->n++] = (struct text_pair){entry->mark, entry->key, entry->value->text,
                                                      entry->value->mark, entry->value->quote};
        decode_leave(d, mark);
    }
}

void decode_header_name(struct decoder *d, const struct field *f, const struct node *node,
                        void *slot)
{
    enum { HEADER_NAME_MAX = 256 };
    struct str name;

    if (!decode_is_text(d, f, node))
        return;
    name = node->text;
    for (size_t i = 0; i < name.len; i++) {
        char c = str_lower_char(name.ptr[i]);

        /* RFC 9110, 5.6.2: token. */
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              (c != '\0' && strchr("!#$%&'*+-.^_`|~", c)))) {
            decode_error(d, DIAG_INVALID_VALUE, node, NULL,
                         "\"%.*s\" is not a header name (RFC 9110, 5.6.2)", STR_ARG(name));
            return;
        }
    }
    if (name.len == 0 || name.len > HEADER_NAME_MAX)
        decode_error(d, DIAG_INVALID_VALUE, node, NULL, "a header name has 1 to %d characters",
                     HEADER_NAME_MAX);
    else
        *(struct str *)slot = arena_lower(d->arena, name); /* as they are compared everywhere */
}

const char *decode_regex_problem(struct str pattern, struct arena *arena)
{
    PCRE2_UCHAR message[120];
    PCRE2_SIZE at;
    pcre2_code *code;
    int error;

    if (pattern.len > LIMIT_REGEX_BYTES)
        return arena_text(
            arena, arena_printf(arena, "a pattern has at most %d bytes", (int)LIMIT_REGEX_BYTES));
    code = pcre2_compile((PCRE2_SPTR)(pattern.ptr ? pattern.ptr : ""), pattern.len,
                         PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NEVER_BACKSLASH_C, &error, &at,
                         NULL);
    if (code) {
        pcre2_code_free(code);
        return NULL;
    }
    pcre2_get_error_message(error, message, sizeof message);
    return arena_text(arena, arena_printf(arena, "not a valid pattern: %s at character %zu",
                                          (const char *)message, (size_t)at + 1));
}

void decode_regex(struct decoder *d, const struct field *f, const struct node *node, void *slot)
{
    const char *problem;

    if (!decode_is_text(d, f, node))
        return;
    problem = decode_regex_problem(node->text, d->arena);
    if (problem)
        decode_error(d, DIAG_INVALID_VALUE, node, NULL, "%s", problem);
    else
        *(struct str *)slot = node->text;
}
