/* Hostnames with wildcards: syntax, and how two of them meet (Gateway API, HTTPRoute "hostnames":
 * "*.example.com" takes "a.example.com" and "a.b.example.com", never "example.com").
 *
 * Pure; names borrow from the nodes. Case: manifests hold lower case only, so comparison is bytes.
 */
#include "manifest/hostname.h"

static bool hostname_is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool hostname_is_label(struct str s)
{
    if (s.len == 0 || s.len > 63 || !hostname_is_word_char(s.ptr[0]) ||
        !hostname_is_word_char(s.ptr[s.len - 1]))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!hostname_is_word_char(s.ptr[i]) && s.ptr[i] != '-')
            return false;
    }
    return true;
}

static bool hostname_is_ipv4(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((s.ptr[i] < '0' || s.ptr[i] > '9') && s.ptr[i] != '.')
            return false;
    }
    return true;
}

bool hostname_is_valid(struct str s, bool may_be_wildcard)
{
    struct str label;

    if (s.len == 0 || s.len > 253)
        return false;
    if (may_be_wildcard && hostname_is_wildcard(s))
        s = str_slice(s, 2, s.len);
    if (hostname_is_ipv4(s))
        return false; /* Gateway API: an address is no hostname */
    while (str_split(&s, '.', &label)) {
        if (!hostname_is_label(label))
            return false;
    }
    return true;
}

bool hostname_covers(struct str wide, struct str narrow)
{
    if (str_is_empty(wide) || str_eq(wide, narrow))
        return true;
    if (!hostname_is_wildcard(wide) || str_is_empty(narrow))
        return false;
    struct str suffix = str_slice(wide, 1, wide.len); /* ".example.com" */

    if (hostname_is_wildcard(narrow))
        narrow = str_slice(narrow, 1, narrow.len);
    return narrow.len > suffix.len && str_ends_with(narrow, suffix);
}

bool hostname_intersect(struct str a, struct str b, struct str *ret_common)
{
    if (hostname_covers(a, b)) {
        *ret_common = b;
        return true;
    }
    if (hostname_covers(b, a)) {
        *ret_common = a;
        return true;
    }
    return false;
}

static void hostname_check(struct decoder *d, const struct node *node, bool may_be_wildcard)
{
    if (node->type != NODE_SCALAR || hostname_is_valid(node->text, may_be_wildcard))
        return;
    decode_error(d, DIAG_INVALID_VALUE, node, NULL,
                 "\"%.*s\" is not a hostname in lower case%s, without port or address",
                 STR_ARG(str_slice(node->text, 0, 80)),
                 may_be_wildcard ? ", with at most \"*.\" in front" : "");
}

void decode_wildcard_hostname(struct decoder *d, const struct field *f, const struct node *node,
                              void *slot)
{
    decode_str(d, f, node, slot);
    hostname_check(d, node, true);
}

void decode_precise_hostname(struct decoder *d, const struct field *f, const struct node *node,
                             void *slot)
{
    decode_str(d, f, node, slot);
    hostname_check(d, node, false);
}

void decode_wildcard_hostname_list(struct decoder *d, const struct field *f,
                                   const struct node *node, void *slot)
{
    decode_str_list(d, f, node, slot);
    for (size_t i = 0; node->type == NODE_LIST && i < node->n; i++) {
        size_t mark = decode_enter_index(d, i);

        hostname_check(d, node->items[i], true);
        decode_leave(d, mark);
    }
}
