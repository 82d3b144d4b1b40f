/* See kind_word.h. Everything but the list of categories is in the table of kinds. */
#include "app/objects/kind_word.h"

enum { KIND_WORD_MAX = 64 }; /* longer than any name */

/* As the custom resources' `categories` say; "all" is ours: every kind that is read. */
static const struct {
    const char *word;
    const char *group; /* NULL: any */
} category_rows[] = {
    {"all", NULL},
    {"gateway-api", "gateway.networking.k8s.io"},
    {"envoy-gateway", "gateway.envoyproxy.io"},
    {"ai-gateway", "aigateway.envoyproxy.io"},
};

static bool kind_is_called(const struct kind *k, struct str word)
{
    struct str rest = str_of(k->short_names);
    struct str short_name;

    if (str_eq_nocase(word, k->name) || str_eq_nocase(word, str_of(k->plural)))
        return true;
    while (str_split(&rest, ' ', &short_name)) {
        if (short_name.len > 0 && str_eq_nocase(word, short_name))
            return true;
    }
    return false;
}

/* `suffix`: "gateway.networking.k8s.io", "v1.gateway.networking.k8s.io", or "v1" of the core. */
static bool kind_has_suffix(const struct kind *k, struct str suffix)
{
    struct str group = suffix;
    struct str version;

    if (suffix.len == 0 || str_eq_nocase(suffix, k->group))
        return true;
    return str_split(&group, '.', &version) && kind_serves(k, version) &&
           str_eq_nocase(group, k->group);
}

static void list_add(struct kind_list *list, const struct kind *k)
{
    for (size_t i = 0; i < list->n; i++) {
        if (list->items[i] == k)
            return;
    }
    list->items[list->n++] = k;
}

static bool category_find(struct str word, struct kind_list *list)
{
    for (size_t i = 0; i < N_ELEMENTS(category_rows); i++) {
        if (!str_eq_nocase(word, str_of(category_rows[i].word)))
            continue;
        for (size_t k = 0; k < KIND_COUNT; k++) {
            if (!category_rows[i].group || str_eq(kinds[k].group, str_of(category_rows[i].group)))
                list_add(list, &kinds[k]);
        }
        return true;
    }
    return false;
}

int kind_word_find(struct str word, struct kind_list *list)
{
    struct str suffix = word;
    struct str resource;
    bool is_found = false;

    if (category_find(word, list))
        return 0;
    if (!str_split(&suffix, '.', &resource))
        return KIND_WORD_UNKNOWN;
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (!kind_is_called(&kinds[i], resource) || !kind_has_suffix(&kinds[i], suffix))
            continue;
        list_add(list, &kinds[i]);
        is_found = true;
    }
    return is_found ? 0 : KIND_WORD_UNKNOWN;
}

static void lower_word(struct str word, char room[KIND_WORD_MAX])
{
    size_t n = MIN(word.len, (size_t)KIND_WORD_MAX - 1);

    for (size_t i = 0; i < n; i++)
        room[i] = str_lower_char(word.ptr[i]);
    room[n] = '\0';
}

/* Of singulars and plurals, told as a plural. */
const char *kind_word_nearest(struct str word)
{
    enum { N_CATEGORIES = N_ELEMENTS(category_rows) };
    const char *names[2 * KIND_COUNT + N_CATEGORIES];
    char singulars[KIND_COUNT][KIND_WORD_MAX];
    struct str resource = STR("");
    char lower[KIND_WORD_MAX];
    const char *nearest;

    (void)str_split(&word, '.', &resource);
    if (resource.len == 0 || resource.len >= KIND_WORD_MAX)
        return NULL;
    lower_word(resource, lower);
    for (size_t i = 0; i < KIND_COUNT; i++) {
        lower_word(kinds[i].name, singulars[i]);
        names[i] = singulars[i];
        names[KIND_COUNT + i] = kinds[i].plural;
    }
    for (size_t i = 0; i < N_CATEGORIES; i++)
        names[(size_t)2 * KIND_COUNT + i] = category_rows[i].word;
    nearest = decode_nearest(str_of(lower), names, N_ELEMENTS(names));
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (nearest == singulars[i])
            return kinds[i].plural;
    }
    return nearest;
}

void kind_word_append_plural(struct buf *out, const struct kind *k)
{
    buf_printf(out, "%s%s%.*s", k->plural, k->group.len > 0 ? "." : "", STR_ARG(k->group));
}

void kind_word_append_singular(struct buf *out, const struct kind *k)
{
    for (size_t i = 0; i < k->name.len; i++)
        buf_append_char(out, str_lower_char(k->name.ptr[i]));
    buf_printf(out, "%s%.*s", k->group.len > 0 ? "." : "", STR_ARG(k->group));
}
