/* The builder of routing tables: compiles matches one by one (names folded, duplicates dropped,
 * patterns compiled once each) and hands them to route_build.c for sorting and layout.
 *
 * Owner: the builder owns a scratch arena and the map of patterns, both gone after build; matches
 * and strings live in the caller's arena (a snapshot's). Thread: one builds, all read. */
#include "policy/route_table.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "policy/route_draft.h"

struct route_table_builder {
    struct arena *arena;
    struct arena scratch;
    const struct name_set *late;
    struct map regexes; /* pattern -> const struct regex */
    struct route_draft_list drafts;
};

struct route_table_builder *route_table_builder_new(struct arena *arena,
                                                    const struct name_set *late)
{
    struct route_table_builder *b = MEM_NEW(struct route_table_builder);

    b->arena = arena;
    b->late = late;
    arena_init(&b->scratch, 65536);
    return b;
}

void route_table_builder_free(struct route_table_builder *b)
{
    if (!b)
        return;
    map_deinit(&b->regexes);
    arena_deinit(&b->scratch);
    mem_free(b);
}

static int builder_regex(struct route_table_builder *b, struct str pattern,
                         const struct regex **ret_regex, struct regex_error *ret_error)
{
    struct regex *known = map_find(&b->regexes, pattern);

    if (!known) {
        const struct regex *fresh = NULL;

        if (regex_compile(b->arena, pattern, &fresh, ret_error) != 0)
            return ROUTE_BAD_REGEX;
        known = (struct regex *)fresh;
        map_put(&b->regexes, regex_pattern(fresh), known);
    }
    *ret_regex = known;
    return 0;
}

static int compile_condition(struct route_table_builder *b, const struct route_field_spec *spec,
                             struct field_name name, struct route_condition *ret_condition,
                             struct regex_error *ret_error)
{
    *ret_condition = (struct route_condition){.name = name};
    if (spec->is_regex)
        return builder_regex(b, spec->value, &ret_condition->regex, ret_error);
    ret_condition->value = arena_str(b->arena, spec->value);
    return 0;
}

static bool has_condition(const struct route_condition *items, unsigned n, struct str name)
{
    for (unsigned i = 0; i < n; i++) {
        if (str_eq(items[i].name.text, name))
            return true;
    }
    return false;
}

/* Of several conditions on one header the first counts (Gateway API HTTPRouteMatch.headers). Early
 * ones are filled from the front of one array, late ones kept behind them. */
static int compile_headers(struct route_table_builder *b, const struct route_spec *spec,
                           struct route_match *m, struct regex_error *ret_error)
{
    struct route_condition *early =
        ARENA_ARRAY(b->arena, struct route_condition, spec->n_headers * 2);
    struct route_condition *late = early + spec->n_headers;

    for (size_t i = 0; i < spec->n_headers; i++) {
        struct field_name name = field_name_make(b->arena, spec->headers[i].name);
        bool is_late = name_set_has(b->late, name.text);
        struct route_condition *list = is_late ? late : early;
        uint16_t *n = is_late ? &m->n_late : &m->n_early;

        if (has_condition(list, *n, name.text))
            continue;
        int r = compile_condition(b, &spec->headers[i], name, &list[*n], ret_error);

        if (r != 0)
            return r;
        (*n)++;
    }
    m->early = early;
    m->late = late;
    return 0;
}

static int compile_queries(struct route_table_builder *b, const struct route_spec *spec,
                           struct route_match *m, struct regex_error *ret_error)
{
    struct route_condition *list = ARENA_ARRAY(b->arena, struct route_condition, spec->n_queries);

    for (size_t i = 0; i < spec->n_queries; i++) {
        struct field_name name = {arena_str(b->arena, spec->queries[i].name), HEADER_OTHER};

        if (has_condition(list, m->n_queries, name.text))
            continue;
        int r = compile_condition(b, &spec->queries[i], name, &list[m->n_queries], ret_error);

        if (r != 0)
            return r;
        m->n_queries++;
    }
    m->queries = list;
    return 0;
}

static int compile_path(struct route_table_builder *b, const struct route_spec *spec,
                        struct route_match *m, struct regex_error *ret_error)
{
    struct str path = spec->path.len > 0 ? spec->path : STR("/");

    m->path_kind = spec->path_kind;
    if (spec->path_kind == ROUTE_PATH_REGEX)
        return builder_regex(b, path, &m->path_regex, ret_error);
    /* "/foo/" and "/foo" are one prefix (Gateway API PathMatchPathPrefix). */
    while (spec->path_kind == ROUTE_PATH_PREFIX && str_ends_with(path, STR("/")))
        path.len--;
    m->path = arena_str(b->arena, path);
    m->path_suffix = arena_str(b->arena, spec->path_suffix);
    return 0;
}

static void compile_method(struct route_table_builder *b, const struct route_spec *spec,
                           struct route_match *m)
{
    if (spec->method.len == 0)
        return;
    m->has_method = true;
    m->method = http_method_parse(spec->method);
    if (m->method == HTTP_METHOD_OTHER)
        m->method_text = arena_str(b->arena, spec->method);
}

static const struct str *copy_hosts(struct route_table_builder *b, const struct route_spec *spec)
{
    struct str *hosts = ARENA_ARRAY(&b->scratch, struct str, spec->n_hosts);

    for (size_t i = 0; i < spec->n_hosts; i++)
        hosts[i] = arena_str(&b->scratch, spec->hosts[i]);
    return hosts;
}

int route_table_builder_add(struct route_table_builder *b, const struct route_spec *spec,
                            struct regex_error *ret_error)
{
    if (spec->n_headers + spec->n_queries > LIMIT_ROUTE_CONDITIONS)
        return ROUTE_TOO_MANY;
    struct route_match *m = ARENA_NEW(b->arena, struct route_match);
    int r = compile_path(b, spec, m, ret_error);

    if (r == 0)
        r = compile_headers(b, spec, m, ret_error);
    if (r == 0)
        r = compile_queries(b, spec, m, ret_error);
    if (r != 0)
        return r;
    compile_method(b, spec, m);
    m->is_ai = spec->is_ai;
    m->is_grpc = spec->is_grpc;
    m->auth_group = spec->auth_group;
    m->rule = spec->rule;

    struct route_draft *draft = VEC_ADD(&b->scratch, &b->drafts);

    draft->match = m;
    draft->path_len = spec->is_grpc   ? spec->n_service
                      : m->path_regex ? regex_pattern(m->path_regex).len
                                      : m->path.len;
    draft->n_method = spec->is_grpc ? spec->n_method : 0;
    draft->n_headers = (unsigned)m->n_early + m->n_late;
    draft->created_unix_s = spec->created_unix_s != 0 ? spec->created_unix_s : INT64_MAX;
    draft->route_name = arena_str(&b->scratch, spec->route_name);
    draft->rule_index = spec->rule_index;
    draft->match_index = spec->match_index;
    draft->number = b->drafts.n;
    draft->hosts = copy_hosts(b, spec);
    draft->n_hosts = spec->n_hosts;
    return 0;
}

const struct route_table *route_table_build(struct route_table_builder *b)
{
    struct route_table *table = route_layout_build(&b->drafts, b->arena, &b->scratch);

    route_table_builder_free(b);
    return table;
}

size_t route_table_n_matches(const struct route_table *t)
{
    return t->n_matches;
}

const struct route_match *route_table_at(const struct route_table *t, size_t rank)
{
    PRE(rank < t->n_matches);
    return t->by_rank[rank];
}
