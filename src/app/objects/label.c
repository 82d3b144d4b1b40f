/* See label.h. */
#include "app/objects/label.h"

static bool text_is_label(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') &&
            (c == '\0' || !strchr("-._/", c)))
            return false;
    }
    return true;
}

/* `value` without memory: any. */
static bool labels_have(const struct label *labels, size_t n, struct str key, struct str value)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq(labels[i].key, key) && (!value.ptr || str_eq(labels[i].value, value)))
            return true;
    }
    return false;
}

/* "key", "!key", "key=value", "key==value", "key!=value" */
static bool term_parse(struct str term, struct label *ret, bool *ret_is_not)
{
    ssize_t equals = str_find_char(term, '=', 0);

    *ret_is_not = str_starts_with(term, STR("!"));
    *ret = (struct label){str_slice(term, *ret_is_not ? 1 : 0, term.len), STR_NULL};
    if (equals >= 0) {
        bool has_mark = equals > 0 && term.ptr[equals - 1] == '!';

        if (*ret_is_not)
            return false;
        *ret_is_not = has_mark;
        ret->key = str_slice(term, 0, (size_t)equals - (has_mark ? 1 : 0));
        ret->value = str_slice(term, (size_t)equals + 1, term.len);
        if (!has_mark && str_starts_with(ret->value, STR("=")))
            ret->value = str_slice(ret->value, 1, ret->value.len);
    }
    ret->key = str_trim(ret->key);
    ret->value = str_trim(ret->value);
    return ret->key.len > 0 && text_is_label(ret->key) && text_is_label(ret->value);
}

int label_select(struct str selector, const struct label *labels, size_t n, bool *ret_is)
{
    struct str term;

    *ret_is = true;
    while (str_split(&selector, ',', &term)) {
        struct label wanted;
        bool is_not;

        if (!term_parse(str_trim(term), &wanted, &is_not))
            return LABEL_MALFORMED;
        if (labels_have(labels, n, wanted.key, wanted.value) == is_not)
            *ret_is = false;
    }
    return 0;
}
