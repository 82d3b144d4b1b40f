/* Header modifiers of routes.
 *
 * Framing (Content-Length, Transfer-Encoding, Trailer), what some readers take for it
 * (content_length) and hop-by-hop headers belong to the connection and are refused at compile time:
 * a route that could write them could make two readers disagree about where a message ends. Host
 * can be set on a request, never added or removed: a request has exactly one. Owner: a snapshot's
 * arena, immutable. */
#include "policy/header_mods.h"

#include "base/limits.h"
#include "http/grammar.h"

static int compile_mod(struct arena *arena, struct str name, struct str value,
                       struct header_mod *ret_mod)
{
    if (!grammar_is_token(name))
        return HEADER_MODS_BAD_NAME;
    if (!grammar_is_value(value))
        return HEADER_MODS_BAD_VALUE;
    char *lower = arena_bytes(arena, name.len);

    str_lower(name, lower);
    ret_mod->name = str_make(lower, name.len);
    ret_mod->value = arena_str(arena, str_trim(value));
    ret_mod->id = header_id_find(ret_mod->name);
    return header_is_protected(ret_mod->id, ret_mod->name) ? HEADER_MODS_PROTECTED : 0;
}

/* Appends unless the list has that name already. */
static void push_mod(struct header_mod *list, uint16_t *n, const struct header_mod *mod)
{
    for (unsigned i = 0; i < *n; i++) {
        if (str_eq(list[i].name, mod->name))
            return;
    }
    list[(*n)++] = *mod;
}

static int compile_set(struct header_mods *m, struct arena *arena,
                       const struct header_mods_spec *spec, struct str *ret_name)
{
    struct header_mod *list = ARENA_ARRAY(arena, struct header_mod, spec->n_set);

    m->set = list;
    for (size_t i = 0; i < spec->n_set; i++) {
        struct header_mod mod;

        *ret_name = spec->set[i].name;
        int r = compile_mod(arena, spec->set[i].name, spec->set[i].value, &mod);

        if (r != 0)
            return r;
        if (mod.id != HEADER_HOST)
            push_mod(list, &m->n_set, &mod);
        else if (!m->host.ptr)
            m->host = mod.value;
    }
    return 0;
}

static int compile_add(struct header_mods *m, struct arena *arena,
                       const struct header_mods_spec *spec, struct str *ret_name)
{
    struct header_mod *list = ARENA_ARRAY(arena, struct header_mod, spec->n_add);

    m->add = list;
    for (size_t i = 0; i < spec->n_add; i++) {
        struct header_mod mod;

        *ret_name = spec->add[i].name;
        int r = compile_mod(arena, spec->add[i].name, spec->add[i].value, &mod);

        if (r == 0 && mod.id == HEADER_HOST)
            r = HEADER_MODS_PROTECTED;
        if (r != 0)
            return r;
        push_mod(list, &m->n_add, &mod);
    }
    return 0;
}

static int compile_remove(struct header_mods *m, struct arena *arena,
                          const struct header_mods_spec *spec, struct str *ret_name)
{
    struct header_mod *list = ARENA_ARRAY(arena, struct header_mod, spec->n_remove);

    m->remove = list;
    for (size_t i = 0; i < spec->n_remove; i++) {
        struct header_mod mod;

        *ret_name = spec->remove[i];
        int r = compile_mod(arena, spec->remove[i], STR(""), &mod);

        if (r == 0 && mod.id == HEADER_HOST)
            r = HEADER_MODS_PROTECTED;
        if (r != 0)
            return r;
        push_mod(list, &m->n_remove, &mod);
    }
    return 0;
}

int header_mods_init(struct header_mods *m, struct arena *arena,
                     const struct header_mods_spec *spec, struct str *ret_name)
{
    *m = (struct header_mods){0};
    *ret_name = STR("");
    if (spec->n_set > LIMIT_HEADER_COUNT || spec->n_add > LIMIT_HEADER_COUNT ||
        spec->n_remove > LIMIT_HEADER_COUNT)
        return HEADER_MODS_TOO_MANY;
    int r = compile_remove(m, arena, spec, ret_name);

    if (r == 0)
        r = compile_set(m, arena, spec, ret_name);
    if (r == 0)
        r = compile_add(m, arena, spec, ret_name);
    return r;
}

void header_mods_apply(const struct header_mods *m, struct http_headers *headers)
{
    for (unsigned i = 0; i < m->n_remove; i++)
        http_headers_remove(headers, m->remove[i].name);
    for (unsigned i = 0; i < m->n_set; i++)
        http_headers_set(headers, m->set[i].name, m->set[i].value);
    for (unsigned i = 0; i < m->n_add; i++)
        http_headers_add(headers, m->add[i].name, m->add[i].value);
}

void header_mods_apply_request(const struct header_mods *m, struct http_request *request)
{
    header_mods_apply(m, &request->headers);
    if (m->host.ptr)
        request->authority = m->host;
}
