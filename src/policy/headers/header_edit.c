/* See header_edit.h. Names and values are checked by header_mods_init, which knows what no
 * configuration may write. Owner: a snapshot's arena. */
#include "policy/headers/header_edit.h"

#include "base/limits.h"

static int compile_pattern(struct header_pattern *p, struct arena *arena,
                           const struct header_pattern *spec)
{
    *p = (struct header_pattern){.kind = spec->kind};
    if (spec->kind == HEADER_PATTERN_REGEX)
        return regex_compile(arena, spec->text, &p->regex, NULL) == 0 ? 0 : HEADER_EDIT_BAD_PATTERN;
    p->text = arena_lower(arena, spec->text);
    return 0;
}

static int compile_patterns(struct header_edits *e, struct arena *arena,
                            const struct header_edits_spec *spec, struct str *ret_name)
{
    struct header_pattern *list = ARENA_ARRAY(arena, struct header_pattern, spec->n_removed);

    for (size_t i = 0; i < spec->n_removed; i++) {
        *ret_name = spec->removed[i].text;
        int r = compile_pattern(&list[i], arena, &spec->removed[i]);

        if (r != 0)
            return r;
    }
    e->removed = list;
    e->n_removed = (uint16_t)spec->n_removed;
    return 0;
}

int header_edits_init(struct header_edits *e, struct arena *arena,
                      const struct header_edits_spec *spec, struct str *ret_name)
{
    const struct header_mods_spec absent = {.add = spec->absent, .n_add = spec->n_absent};
    int r;

    *e = (struct header_edits){.n_removed = 0};
    *ret_name = STR("");
    if (spec->n_removed > LIMIT_HEADER_COUNT)
        return HEADER_MODS_TOO_MANY;
    r = header_mods_init(&e->mods, arena, &spec->mods, ret_name);
    if (r == 0 && e->mods.host.ptr) {
        *ret_name = STR("host");
        r = HEADER_MODS_PROTECTED;
    }
    if (r == 0)
        r = header_mods_init(&e->absent, arena, &absent, ret_name);
    return r == 0 ? compile_patterns(e, arena, spec, ret_name) : r;
}

bool header_edits_next_written(const struct header_edits *e, size_t *i, struct str *ret_name)
{
    size_t at = (*i)++;

    if (at < e->mods.n_set)
        *ret_name = e->mods.set[at].name;
    else if ((at -= e->mods.n_set) < e->mods.n_add)
        *ret_name = e->mods.add[at].name;
    else if ((at -= e->mods.n_add) < e->absent.n_add)
        *ret_name = e->absent.add[at].name;
    else
        return false;
    return true;
}

static bool pattern_matches(const struct header_pattern *p, struct str name)
{
    switch (p->kind) {
    case HEADER_PATTERN_EXACT:
        return str_eq_nocase(name, p->text);
    case HEADER_PATTERN_PREFIX:
        return str_starts_with_nocase(name, p->text);
    case HEADER_PATTERN_SUFFIX:
        return str_ends_with_nocase(name, p->text);
    case HEADER_PATTERN_REGEX:
        break;
    }
    return regex_match(p->regex, name) != REGEX_MISS;
}

static bool edits_remove(const struct header_edits *e, struct str name)
{
    for (uint16_t i = 0; i < e->n_removed; i++) {
        if (pattern_matches(&e->removed[i], name))
            return true;
    }
    return false;
}

static void remove_matches(const struct header_edits *e, struct http_headers *h)
{
    uint16_t n_kept = 0;

    for (uint16_t i = 0; i < h->n; i++) {
        if (!edits_remove(e, h->items[i].name))
            h->items[n_kept++] = h->items[i];
    }
    h->n = n_kept;
}

void header_edits_apply(const struct header_edits *e, struct http_headers *headers)
{
    if (e->n_removed > 0)
        remove_matches(e, headers);
    header_mods_apply(&e->mods, headers);
    for (unsigned i = 0; i < e->absent.n_add; i++) {
        const struct header_mod *mod = &e->absent.add[i];

        if (!http_headers_find(headers, mod->name))
            http_headers_add(headers, mod->name, mod->value);
    }
}
