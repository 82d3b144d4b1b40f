/* Expressions: what begins with a name, or is called by one: variables, maps at their keys,
 * functions and methods.
 *
 * Which variables there are is the scope's; one that it does not know is an error with its place.
 * Keys and patterns are literals, so that a wrong one is found when the expression is parsed and a
 * right one is made ready once. Owner: the tree lives in the caller's arena. Compile thread. */
#include <stdlib.h>

#include "cel/cel_internal.h"

/* ---- variables ---- */

/* Does a variable's name begin like this, with a dot behind it? */
static bool is_name_begin(const struct cel_scope *scope, struct str name)
{
    for (size_t i = 0; i < scope->n_variables; i++) {
        struct str whole = str_of(scope->variables[i].name);

        if (str_starts_with(whole, name) && whole.len > name.len && whole.ptr[name.len] == '.')
            return true;
    }
    return false;
}

static const struct cel_variable *find_variable(const struct cel_scope *scope, struct str name)
{
    for (size_t i = 0; i < scope->n_variables; i++) {
        if (str_eq(name, str_of(scope->variables[i].name)))
            return &scope->variables[i];
    }
    return NULL;
}

/* A dot and what stands behind it become part of `name`. */
static int name_append(struct cel_parser *p, struct str *io_name)
{
    int code = cel_lexer_next(&p->lexer);

    if (code == 0 && p->lexer.token.type != CEL_TOKEN_NAME)
        code = cel_unexpected(p, "a name");
    if (code != 0)
        return code;
    *io_name = arena_printf(p->lexer.arena, "%.*s.%.*s", STR_ARG(str_slice(*io_name, 0, 64)),
                            STR_ARG(str_slice(p->lexer.token.text, 0, 64)));
    return cel_lexer_next(&p->lexer);
}

/* A variable by its whole name; the token is the one behind `name`, its first word. */
static int parse_variable(struct cel_parser *p, struct str name, size_t offset,
                          const struct cel_variable **ret)
{
    int code = 0;

    *ret = find_variable(p->scope, name);
    while (code == 0 && !*ret && cel_at_mark(p, '.') && is_name_begin(p->scope, name)) {
        code = name_append(p, &name);
        *ret = find_variable(p->scope, name);
    }
    if (code != 0 || *ret)
        return code;
    return cel_lexer_fail(&p->lexer, offset, "there is no variable %.*s; there are %s",
                          STR_ARG(str_slice(name, 0, 60)), p->scope->hint);
}

/* `['key']` or `.key`, appended to `io_key`. */
static int parse_key(struct cel_parser *p, bool is_first, struct str *io_key)
{
    struct cel_lexer *l = &p->lexer;
    bool is_bracket = cel_at_mark(p, '[');
    struct str key;
    int code;

    if (!is_bracket && !cel_at_mark(p, '.'))
        return cel_unexpected(p, "a key of the map, as in map[\"key\"]");
    code = cel_lexer_next(l);
    if (code == 0 && l->token.type != (is_bracket ? CEL_TOKEN_STRING : CEL_TOKEN_NAME))
        code = cel_unexpected(p, is_bracket ? "a string as the key" : "a name");
    if (code != 0)
        return code;
    key = is_bracket ? l->token.value.s : l->token.text;
    *io_key = is_first ? arena_str(l->arena, key)
                       : arena_printf(l->arena, "%.*s:%.*s", STR_ARG(*io_key), STR_ARG(key));
    code = cel_lexer_next(l);
    return code == 0 && is_bracket ? cel_expect(p, ']', "\"]\"") : code;
}

/* The node that reads `v`, at `key` if it is a map. */
static int expr_read(struct cel_parser *p, const struct cel_variable *v, struct str key,
                     size_t offset, struct cel_expr **ret)
{
    struct cel_expr e = {.op = CEL_OP_READ, .type = v->type};

    e.id = v->id;
    e.key = key;
    if (v->n_keys > 0 && p->scope->take_key &&
        !p->scope->take_key(p->lexer.arena, v->id, &e.key, &e.type))
        return cel_lexer_fail(&p->lexer, offset, "%s never has a %.*s", v->name,
                              STR_ARG(str_slice(key, 0, 60)));
    return cel_expr_new(p, &e, offset, ret);
}

/* A variable, with the keys that a map needs; the token is the one behind `name`, its first word.
 */
static int parse_reading(struct cel_parser *p, struct str name, size_t offset,
                         struct cel_expr **ret)
{
    const struct cel_variable *v = NULL;
    struct str key = STR("");
    int code = parse_variable(p, name, offset, &v);

    for (unsigned i = 0; code == 0 && i < v->n_keys; i++)
        code = parse_key(p, i == 0, &key);
    return code != 0 ? code : expr_read(p, v, key, offset, ret);
}

/* ---- calls ---- */

/* Units of a duration, as Go writes them (CEL standard definitions, "duration"). */
static const struct {
    struct str name;
    double ns;
} duration_units[] = {
    {STR("h"), 3600e9}, {STR("ms"), 1e6}, {STR("m"), 60e9},
    {STR("s"), 1e9},    {STR("us"), 1e3}, {STR("ns"), 1},
};

/* One number with its unit, cut off `io_text`. */
static bool take_duration_part(struct str *io_text, double *ret_ns)
{
    char digits[32];
    size_t n = 0;

    while (n < io_text->len &&
           (io_text->ptr[n] == '.' || (io_text->ptr[n] >= '0' && io_text->ptr[n] <= '9')))
        n++;
    if (n == 0 || n >= sizeof digits)
        return false;
    memcpy(digits, io_text->ptr, n);
    digits[n] = '\0';
    *io_text = str_slice(*io_text, n, io_text->len);
    for (size_t i = 0; i < N_ELEMENTS(duration_units); i++) {
        char *end;

        if (!str_starts_with(*io_text, duration_units[i].name))
            continue;
        *io_text = str_slice(*io_text, duration_units[i].name.len, io_text->len);
        *ret_ns = strtod(digits, &end) * duration_units[i].ns;
        return *end == '\0';
    }
    return false;
}

static bool parse_duration_text(struct str text, int64_t *ret_ns)
{
    bool is_negative = str_starts_with(text, STR("-"));
    double sum = 0;
    double part;

    if (is_negative)
        text = str_slice(text, 1, text.len);
    if (text.len == 0)
        return false;
    while (text.len > 0) {
        if (!take_duration_part(&text, &part))
            return false;
        sum += part;
    }
    if (sum > 9e18) /* of an int64_t */
        return false;
    *ret_ns = (int64_t)(is_negative ? -sum : sum);
    return true;
}

/* duration('1.5s'). The token is the argument. */
static int parse_duration(struct cel_parser *p, struct cel_expr **ret)
{
    struct cel_lexer *l = &p->lexer;
    size_t offset = l->token.offset;
    struct cel_expr e = {.op = CEL_OP_LITERAL, .type = CEL_DURATION};
    int code;

    if (l->token.type != CEL_TOKEN_STRING)
        return cel_unexpected(p, "a duration like \"1.5s\"");
    e.value.type = CEL_DURATION;
    if (!parse_duration_text(l->token.value.s, &e.value.i))
        return cel_lexer_fail(l, offset, "this is no duration; one is like \"1.5s\" or \"1m30s\"");
    code = cel_lexer_next(l);
    return code != 0 ? code : cel_expr_new(p, &e, offset, ret);
}

/* has(x). The token is the argument. */
static int parse_has(struct cel_parser *p, struct cel_expr **ret)
{
    struct str name = p->lexer.token.text;
    size_t offset = p->lexer.token.offset;
    int code;

    if (p->lexer.token.type != CEL_TOKEN_NAME)
        return cel_unexpected(p, "a variable");
    code = cel_lexer_next(&p->lexer);
    if (code == 0)
        code = parse_reading(p, name, offset, ret);
    if (code == 0) {
        (*ret)->op = CEL_OP_HAS;
        (*ret)->type = CEL_BOOL;
    }
    return code;
}

/* int(x), uint(x), double(x). The token is the argument. */
static int parse_conversion(struct cel_parser *p, enum cel_type type, size_t offset,
                            struct cel_expr **ret)
{
    int code = cel_parse_expr(p, ret);

    if (code == 0 && !cel_is_number((*ret)->type))
        code = cel_lexer_fail(&p->lexer, offset, "%s() takes a number, found a %s",
                              cel_type_name(type), cel_type_name((*ret)->type));
    return code != 0 ? code : cel_expr_unary(p, CEL_OP_CONVERT, type, offset, ret);
}

/* The token is "(". */
static int parse_call(struct cel_parser *p, struct str name, size_t offset, struct cel_expr **ret)
{
    static const enum cel_type types[] = {CEL_INT, CEL_UINT, CEL_DOUBLE};
    bool is_has = str_eq(name, STR("has"));
    bool is_duration = str_eq(name, STR("duration"));
    size_t i = 0;
    int code;

    while (i < N_ELEMENTS(types) && !str_eq(name, str_of(cel_type_name(types[i]))))
        i++;
    if (i == N_ELEMENTS(types) && !is_has && !is_duration)
        return cel_lexer_fail(
            &p->lexer, offset,
            "there is no function %.*s here, only int, uint, double, duration and "
            "has",
            STR_ARG(str_slice(name, 0, 40)));
    code = cel_lexer_next(&p->lexer);
    if (code != 0)
        return code;
    if (is_has)
        code = parse_has(p, ret);
    else if (is_duration)
        code = parse_duration(p, ret);
    else
        code = parse_conversion(p, types[i], offset, ret);
    return code != 0 ? code : cel_expect(p, ')', "\")\"");
}

int cel_parse_name(struct cel_parser *p, struct cel_expr **ret)
{
    struct str name = p->lexer.token.text;
    size_t offset = p->lexer.token.offset;
    int code = cel_lexer_next(&p->lexer);

    if (code != 0)
        return code;
    return cel_at_mark(p, '(') ? parse_call(p, name, offset, ret)
                               : parse_reading(p, name, offset, ret);
}

/* Behind "in": a map, whose last key is `*io`, what is looked for. */
int cel_parse_in_map(struct cel_parser *p, size_t offset, struct cel_expr **io)
{
    struct cel_lexer *l = &p->lexer;
    struct str name = l->token.text;
    size_t place = l->token.offset;
    const struct cel_variable *v = NULL;
    struct str key = STR("");
    int code = cel_lexer_next(l);

    if (code == 0)
        code = parse_variable(p, name, place, &v);
    if (code == 0 && v->n_keys == 0)
        code = cel_lexer_fail(l, place, "in looks into maps and lists, %s is a %s", v->name,
                              cel_type_name(v->type));
    for (unsigned i = 1; code == 0 && i < v->n_keys; i++)
        code = parse_key(p, i == 1, &key);
    if (code != 0)
        return code;
    if ((*io)->op != CEL_OP_LITERAL || (*io)->type != CEL_STRING)
        return cel_lexer_fail(l, offset, "a key of %s can only be a string as it is", v->name);
    key = key.len == 0 ? (*io)->value.s
                       : arena_printf(l->arena, "%.*s:%.*s", STR_ARG(key), STR_ARG((*io)->value.s));
    code = expr_read(p, v, key, place, io);
    if (code == 0) {
        (*io)->op = CEL_OP_HAS;
        (*io)->type = CEL_BOOL;
    }
    return code;
}

/* ---- methods ---- */

/* ".matches('pattern')", behind a string. The token is the pattern. */
static int parse_matches(struct cel_parser *p, size_t offset, struct cel_expr **io)
{
    struct cel_lexer *l = &p->lexer;
    struct cel_expr e = {.op = CEL_OP_MATCHES, .type = CEL_BOOL, .depth = (*io)->depth + 1};
    size_t place = l->token.offset;
    struct str why = STR("");
    int code;

    if ((*io)->type != CEL_STRING)
        return cel_lexer_fail(l, offset, "matches looks into a string, found a %s",
                              cel_type_name((*io)->type));
    if (l->token.type != CEL_TOKEN_STRING)
        return cel_unexpected(p, "a string as it is for the pattern");
    e.left = *io;
    if (!p->scope->take_pattern(l->arena, l->token.value.s, &e.pattern, &why))
        return cel_lexer_fail(l, place, "%.*s", STR_ARG(why));
    code = cel_lexer_next(l);
    return code != 0 ? code : cel_expr_new(p, &e, offset, io);
}

/* ".startsWith(x)" and its like. The token is the argument. */
static int parse_search(struct cel_parser *p, enum cel_op op, struct str name, size_t offset,
                        struct cel_expr **io)
{
    struct cel_expr *needle = NULL;
    int code = cel_parse_expr(p, &needle);

    if (code != 0)
        return code;
    if ((*io)->type != CEL_STRING || needle->type != CEL_STRING)
        return cel_lexer_fail(&p->lexer, offset, "%.*s compares strings, found %s and %s",
                              STR_ARG(name), cel_type_name((*io)->type),
                              cel_type_name(needle->type));
    struct cel_expr e = {.op = op, .type = CEL_BOOL, .child = {*io, needle, NULL}};

    e.depth = MAX((*io)->depth, needle->depth) + 1;
    return cel_expr_new(p, &e, offset, io);
}

int cel_parse_method(struct cel_parser *p, struct cel_expr **io)
{
    static const struct {
        struct str name;
        enum cel_op op;
    } methods[] = {
        {STR("startsWith"), CEL_OP_STARTS_WITH},
        {STR("endsWith"), CEL_OP_ENDS_WITH},
        {STR("contains"), CEL_OP_CONTAINS},
        {STR("matches"), CEL_OP_MATCHES},
    };
    size_t n = p->scope->take_pattern ? N_ELEMENTS(methods) : N_ELEMENTS(methods) - 1;
    struct str name = p->lexer.token.text;
    size_t offset = p->lexer.token.offset;
    size_t i = 0;
    int code;

    while (i < n && !str_eq(name, methods[i].name))
        i++;
    if (i == n)
        return cel_lexer_fail(&p->lexer, offset, "only startsWith, endsWith%s are possible here",
                              p->scope->take_pattern ? ", contains and matches" : " and contains");
    code = cel_lexer_next(&p->lexer);
    if (code == 0)
        code = cel_expect(p, '(', "\"(\"");
    if (code == 0)
        code = methods[i].op == CEL_OP_MATCHES ? parse_matches(p, offset, io)
                                               : parse_search(p, methods[i].op, name, offset, io);
    return code != 0 ? code : cel_expect(p, ')', "\")\"");
}
