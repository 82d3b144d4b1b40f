/* Reading of nodes: search by key and the YAML core schema on plain scalars (YAML 1.2.2, 10.3.2),
 * with one departure: a decimal number with leading zeros is nobody's number here, because YAML 1.1
 * (which Kubernetes' own reader follows) takes it as octal and two readers must not disagree on a
 * port or a limit.
 *
 * Owner: nodes live in the arena of the load. Thread: any, nodes are immutable. Pure. */
#include "tree/node.h"

#include <errno.h>
#include <stdlib.h>

const struct node *node_find(const struct node *n, const char *key)
{
    struct str wanted = str_of(key);

    if (!n || n->type != NODE_MAP)
        return NULL;
    for (size_t i = 0; i < n->n; i++) {
        if (str_eq(n->entries[i].key, wanted))
            return n->entries[i].value;
    }
    return NULL;
}

struct str node_text(const struct node *n, const char *key)
{
    const struct node *value = node_find(n, key);

    return value && value->type == NODE_SCALAR ? value->text : STR_NULL;
}

static bool node_is_one_of(const struct node *n, const char *const *words)
{
    if (n->type != NODE_SCALAR || n->is_quoted)
        return false;
    for (; *words; words++) {
        if (str_eq(n->text, str_of(*words)))
            return true;
    }
    return false;
}

bool node_is_null(const struct node *n)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};

    return !n || n->type == NODE_NULL || node_is_one_of(n, words);
}

bool node_to_bool(const struct node *n, bool *ret_value)
{
    static const char *const yes[] = {"true", "True", "TRUE", NULL};
    static const char *const no[] = {"false", "False", "FALSE", NULL};

    if (!n)
        return false;
    *ret_value = node_is_one_of(n, yes);
    return *ret_value || node_is_one_of(n, no);
}

/* Digits of a base to a magnitude; false on anything else or overflow. */
static bool node_magnitude(struct str digits, unsigned base, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (digits.len == 0)
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        char c = str_lower_char(digits.ptr[i]);
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                                                : 99;

        if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *ret_value = value;
    return true;
}

bool node_to_int(const struct node *n, int64_t *ret_value)
{
    if (!n || n->type != NODE_SCALAR || n->is_quoted || n->text.len == 0)
        return false;
    struct str s = n->text;
    bool is_negative = s.ptr[0] == '-';
    unsigned base = 10;
    uint64_t magnitude;

    if (is_negative || s.ptr[0] == '+')
        s = str_slice(s, 1, s.len);
    if (str_starts_with(s, STR("0x")) || str_starts_with(s, STR("0o"))) {
        base = s.ptr[1] == 'x' ? 16 : 8;
        s = str_slice(s, 2, s.len);
    } else if (s.len > 1 && s.ptr[0] == '0') {
        return false;
    }
    if (!node_magnitude(s, base, &magnitude) || magnitude > (uint64_t)INT64_MAX)
        return false;
    *ret_value = is_negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

bool node_to_double(const struct node *n, double *ret_value)
{
    char *end;

    if (!n || n->type != NODE_SCALAR || n->is_quoted || n->text.len == 0 || n->text.len > 64)
        return false;
    /* strtod also takes hexadecimal, "inf" and "nan": none of them is a sensible setting. */
    for (size_t i = 0; i < n->text.len; i++) {
        if (!strchr("0123456789+-.eE", n->text.ptr[i]) || n->text.ptr[i] == '\0')
            return false;
    }
    errno = 0;
    *ret_value = strtod(n->text.ptr, &end);
    return end == n->text.ptr + n->text.len && errno == 0;
}
