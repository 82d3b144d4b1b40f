/* See found.h. A name that is not there is looked for in other namespaces and among its like, so
 * that the answer is the next thing to type. */
#include "app/objects/found.h"

#include "app/objects/say.h"

struct finder {
    struct found *found;
    struct source *source;
    const struct options *options;
    struct buf why;
};

static struct object_query query_of(const struct finder *f, const struct kind *k)
{
    struct object_query q = {.group = k->group, .has_group = true, .kind = k->name};

    if (k->scope == KIND_NAMESPACED && !f->options->has_all_namespaces)
        q.namespace = f->options->namespace;
    return q;
}

static void find_fail(struct finder *f)
{
    say_error("%.*s", STR_ARG(buf_str(&f->why)));
    f->found->has_fault = true;
    f->found->has_failed = true;
}

/* What stands in a query stands for itself: only what may be a name is asked for. */
static bool text_is_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.')
            return false;
    }
    return s.len > 0 && s.len <= 253;
}

/* `n` objects of a kind behind those that are there: one group with the last one, if it is of it.
 */
static void group_add(struct finder *f, const struct kind *k, size_t n)
{
    struct found *found = f->found;
    size_t n_groups = found->groups.n;
    struct found_group *group;

    if (n_groups == 0 || found->groups.items[n_groups - 1].kind != k) {
        group = VEC_ADD(&f->source->arena, &found->groups);
        group->kind = k;
        group->first = found->objects.n - n;
    }
    found->groups.items[found->groups.n - 1].n += n;
}

/* Adds what the query takes as a group of its kind. */
static void find_add(struct finder *f, const struct kind *k, const struct object_query *q,
                     size_t *ret_n)
{
    size_t first = f->found->objects.n;

    *ret_n = 0;
    if (source_read(f->source, q, &f->found->objects, &f->why) != 0) {
        find_fail(f);
        return;
    }
    *ret_n = f->found->objects.n - first;
    if (*ret_n > 0)
        group_add(f, k, *ret_n);
}

/* ---- what is not there ---- */

/* Names of a kind, in every namespace. None when nobody tells. */
static struct shown_vec find_names(struct finder *f, const struct kind *k)
{
    struct object_query q = {
        .group = k->group, .has_group = true, .kind = k->name, .is_brief = true};
    struct shown_vec all = {0};
    struct buf why = {0};

    if (source_read(f->source, &q, &all, &why) != 0)
        all = (struct shown_vec){0};
    buf_deinit(&why);
    return all;
}

static bool is_here(const struct finder *f, const struct shown *s)
{
    return s->namespace.len == 0 || f->options->has_all_namespaces ||
           str_eq(s->namespace, f->options->namespace);
}

static void hint_nearest(struct finder *f, const struct shown_vec *all, struct str name,
                         struct buf *out)
{
    const char **names = ARENA_ARRAY(&f->source->arena, const char *, all->n + 1);
    const char *nearest;
    size_t n = 0;

    for (size_t i = 0; i < all->n; i++) {
        if (is_here(f, &all->items[i]))
            names[n++] = arena_text(&f->source->arena, all->items[i].name);
    }
    nearest = decode_nearest(name, names, n);
    if (nearest)
        buf_printf(out, "; did you mean \"%s\"?", nearest);
}

static void hint_elsewhere(const struct finder *f, const struct shown_vec *all, struct str name,
                           struct buf *out)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct shown *s = &all->items[i];

        if (is_here(f, s) || !str_eq(s->name, name))
            continue;
        buf_printf(out, "; there is one in namespace %.*s (-n %.*s)", STR_ARG(s->namespace),
                   STR_ARG(s->namespace));
        return;
    }
}

/* In a cluster an HTTPRoute of its name would be generated from it. */
static void hint_generated(struct finder *f, const struct kind *k, struct str name, struct buf *out)
{
    struct shown_vec routes;

    if (k->id != KIND_HTTP_ROUTE)
        return;
    routes = find_names(f, &kinds[KIND_AI_GATEWAY_ROUTE]);
    for (size_t i = 0; i < routes.n; i++) {
        if (str_eq(routes.items[i].name, name) && is_here(f, &routes.items[i]))
            buf_printf(out, "; there is an AIGatewayRoute of that name");
    }
}

/* Of one kind, which two APIs may have. */
static bool list_is_one_kind(const struct kind_list *list)
{
    for (size_t i = 1; i < list->n; i++) {
        if (!str_eq(list->items[i]->name, list->items[0]->name))
            return false;
    }
    return true;
}

static void find_say_missing(struct finder *f, const struct kind_list *list, struct str name)
{
    const struct kind *k = list->items[0];
    struct shown_vec all;
    struct buf text = {0};

    f->found->has_fault = true;
    if (!list_is_one_kind(list)) {
        say_error("none of %zu kinds has \"%.*s\"", list->n, STR_ARG(name));
        return;
    }
    kind_word_append_plural(&text, k);
    buf_printf(&text, " \"%.*s\" not found", STR_ARG(name));
    if (k->scope == KIND_NAMESPACED && !f->options->has_all_namespaces)
        buf_printf(&text, " in namespace %.*s", STR_ARG(f->options->namespace));
    all = find_names(f, k);
    hint_elsewhere(f, &all, name, &text);
    hint_nearest(f, &all, name, &text);
    hint_generated(f, k, name, &text);
    say_error("%.*s", STR_ARG(buf_str(&text)));
    buf_deinit(&text);
}

static void find_name(struct finder *f, const struct kind_list *list, struct str name)
{
    size_t n_all = 0;

    for (size_t i = 0; i < list->n && text_is_name(name) && !f->found->has_failed; i++) {
        struct object_query q = query_of(f, list->items[i]);
        size_t n;

        q.name = name;
        find_add(f, list->items[i], &q, &n);
        n_all += n;
    }
    if (n_all == 0 && !f->found->has_failed)
        find_say_missing(f, list, name);
}

static void find_all(struct finder *f, const struct kind_list *list)
{
    for (size_t i = 0; i < list->n && !f->found->has_failed; i++) {
        struct object_query q = query_of(f, list->items[i]);
        size_t n;

        find_add(f, list->items[i], &q, &n);
    }
}

/* ---- the operands ---- */

/* "gateway,httproute" */
static bool find_kinds(struct finder *f, struct str words, struct kind_list *ret)
{
    struct str word;

    *ret = (struct kind_list){0};
    while (str_split(&words, ',', &word)) {
        const char *nearest;

        if (kind_word_find(word, ret) == 0)
            continue;
        nearest = kind_word_nearest(word);
        say_error("there is no kind \"%.*s\" here%s%s%s", STR_ARG(word),
                  nearest ? "; did you mean \"" : "; tollgate get all -A shows what there is",
                  nearest ? nearest : "", nearest ? "\"?" : "");
        f->found->has_fault = true;
        return false;
    }
    return ret->n > 0;
}

static void find_pair(struct finder *f, struct str operand)
{
    struct kind_list list;
    struct str kind;

    if (str_find_char(operand, '/', 0) < 0) {
        say_error("\"%.*s\" is no KIND/NAME, as the others are", STR_ARG(operand));
        f->found->has_fault = true;
    } else if (str_split(&operand, '/', &kind) && find_kinds(f, kind, &list)) {
        find_name(f, &list, operand);
    }
}

void found_read(struct found *found, struct source *s)
{
    struct finder f = {.found = found, .source = s, .options = s->options};
    const struct options *o = s->options;
    struct str first = str_of(o->operands[0]);
    bool is_pairs = str_find_char(first, '/', 0) >= 0;
    struct kind_list list;

    found->is_one = is_pairs ? o->n_operands == 1 : o->n_operands == 2;
    if (is_pairs) {
        for (size_t i = 0; i < o->n_operands && !found->has_failed; i++)
            find_pair(&f, str_of(o->operands[i]));
    } else if (find_kinds(&f, first, &list)) {
        for (size_t i = 1; i < o->n_operands && !found->has_failed; i++)
            find_name(&f, &list, str_of(o->operands[i]));
        if (o->n_operands == 1) {
            found->kinds = list;
            find_all(&f, &list);
        }
    }
    found->is_one = found->is_one && found->objects.n == 1;
    buf_deinit(&f.why);
}

void found_say_none(const struct found *found, struct source *s)
{
    struct finder f = {.source = s, .options = s->options};
    const struct kind *k = found->kinds.n == 1 ? found->kinds.items[0] : NULL;
    struct shown_vec all = {0};

    if (s->options->has_all_namespaces || (k && k->scope == KIND_CLUSTER)) {
        say_note("No resources found");
        return;
    }
    say_note("No resources found in %.*s namespace.", STR_ARG(s->options->namespace));
    if (k)
        all = find_names(&f, k);
    if (all.n > 0)
        say_note(
            "There %s %zu in other namespaces, the first in %.*s: -n NAMESPACE, or -A for all.",
            all.n == 1 ? "is" : "are", all.n, STR_ARG(all.items[0].namespace));
    if (k && k->id == KIND_SERVICE)
        say_note(
            "Services that routes name and no file gives are reached by their names: the admin "
            "port's /status has them under \"clusters\".");
}
