/* Cost expressions: the parser, which knows the type of every node as it makes it.
 *
 * Operators are read by precedence climbing. CEL has variables of unknown type and lists of
 * anything; here every variable has a type, so whatever could fail by its type while a request is
 * charged is an error of the configuration instead, with its place. Where the two differ we are
 * stricter (no `1 / 0`) or, with comparisons of uint and int, as CEL's language definition has it.
 *
 * Owner: the tree lives in the caller's arena and is immutable. Compile thread. Depth is bounded on
 * the way down (our stack) and on the way up (that of cost_expr_eval). */
#include "base/limits.h"
#include "llm/cost_expr_internal.h"

enum { OR_LEVEL = 1, AND_LEVEL, RELATION_LEVEL, SUM_LEVEL, PRODUCT_LEVEL };

struct cost_parser {
    struct cost_lexer lexer;
    unsigned depth;
};

static const struct {
    unsigned mark;
    enum cost_op op;
    unsigned level;
    const char *text;
} operators[] = {
    {COST_MARK('|', '|'), COST_OP_OR, OR_LEVEL, "||"},
    {COST_MARK('&', '&'), COST_OP_AND, AND_LEVEL, "&&"},
    {COST_MARK('=', '='), COST_OP_EQUAL, RELATION_LEVEL, "=="},
    {COST_MARK('!', '='), COST_OP_NOT_EQUAL, RELATION_LEVEL, "!="},
    {'<', COST_OP_LESS, RELATION_LEVEL, "<"},
    {COST_MARK('<', '='), COST_OP_LESS_EQUAL, RELATION_LEVEL, "<="},
    {'>', COST_OP_GREATER, RELATION_LEVEL, ">"},
    {COST_MARK('>', '='), COST_OP_GREATER_EQUAL, RELATION_LEVEL, ">="},
    {0, COST_OP_IN, RELATION_LEVEL, "in"},
    {'+', COST_OP_ADD, SUM_LEVEL, "+"},
    {'-', COST_OP_SUBTRACT, SUM_LEVEL, "-"},
    {'*', COST_OP_MULTIPLY, PRODUCT_LEVEL, "*"},
    {'/', COST_OP_DIVIDE, PRODUCT_LEVEL, "/"},
    {'%', COST_OP_MODULO, PRODUCT_LEVEL, "%"},
};

static const struct {
    const char *name;
    enum cost_op op;
    size_t offset;
} variables[] = {
    {"model", COST_OP_TEXT, offsetof(struct cost_input, model)},
    {"backend", COST_OP_TEXT, offsetof(struct cost_input, backend)},
    {"route_name", COST_OP_TEXT, offsetof(struct cost_input, route_name)},
    {"input_tokens", COST_OP_COUNT, offsetof(struct cost_input, input_tokens)},
    {"cached_input_tokens", COST_OP_COUNT, offsetof(struct cost_input, cached_input_tokens)},
    {"cache_creation_input_tokens", COST_OP_COUNT,
     offsetof(struct cost_input, cache_creation_input_tokens)},
    {"output_tokens", COST_OP_COUNT, offsetof(struct cost_input, output_tokens)},
    {"total_tokens", COST_OP_COUNT, offsetof(struct cost_input, total_tokens)},
    {"reasoning_tokens", COST_OP_COUNT, offsetof(struct cost_input, reasoning_tokens)},
};

static const char *type_name(enum cost_value_type type)
{
    static const char *const names[] = {"bool", "int", "uint", "double", "string"};

    return names[type];
}

static bool is_number(enum cost_value_type type)
{
    return type == COST_VALUE_INT || type == COST_VALUE_UINT || type == COST_VALUE_DOUBLE;
}

static bool is_comparable(enum cost_value_type a, enum cost_value_type b)
{
    return a == b || (is_number(a) && is_number(b));
}

/* ---- nodes ---- */

static int expr_new(struct cost_parser *p, const struct cost_expr *from, size_t offset,
                    struct cost_expr **ret)
{
    if (from->depth > LIMIT_COST_EXPR_DEPTH)
        return cost_lexer_fail(&p->lexer, offset, "the expression is nested too deeply");
    *ret = ARENA_NEW(p->lexer.arena, struct cost_expr);
    **ret = *from;
    return 0;
}

static int expr_literal(struct cost_parser *p, const struct cost_value *value,
                        struct cost_expr **ret)
{
    struct cost_expr e = {.op = COST_OP_LITERAL, .type = value->type, .value = *value};

    return expr_new(p, &e, 0, ret);
}

static int expr_unary(struct cost_parser *p, enum cost_op op, enum cost_value_type type,
                      size_t offset, struct cost_expr **io)
{
    struct cost_expr e = {
        .op = op, .type = type, .depth = (*io)->depth + 1, .child = {*io, NULL, NULL}};

    return expr_new(p, &e, offset, io);
}

static bool is_zero(const struct cost_expr *e)
{
    return e->op == COST_OP_LITERAL && ((e->type == COST_VALUE_INT && e->value.i == 0) ||
                                        (e->type == COST_VALUE_UINT && e->value.u == 0));
}

/* The type of `a op b`, or an error at the operator. */
static int binary_type(struct cost_parser *p, unsigned row, size_t offset,
                       const struct cost_expr *a, const struct cost_expr *b,
                       enum cost_value_type *ret_type)
{
    enum cost_op op = operators[row].op;
    bool is_same = a->type == b->type;
    bool is_right;

    *ret_type = a->type;
    if (op == COST_OP_OR || op == COST_OP_AND) {
        is_right = is_same && a->type == COST_VALUE_BOOL;
    } else if (op < COST_OP_IN) {
        is_right = is_comparable(a->type, b->type);
        *ret_type = COST_VALUE_BOOL;
    } else {
        is_right =
            is_same && (is_number(a->type) || (op == COST_OP_ADD && a->type == COST_VALUE_STRING));
        if (op == COST_OP_MODULO && a->type == COST_VALUE_DOUBLE)
            is_right = false;
    }
    if (is_right && (op == COST_OP_DIVIDE || op == COST_OP_MODULO) && is_zero(b))
        return cost_lexer_fail(&p->lexer, offset, "this always divides by zero");
    if (is_right)
        return 0;
    if (!is_same && op > COST_OP_IN && is_number(a->type) && is_number(b->type))
        return cost_lexer_fail(&p->lexer, offset,
                               "%s cannot take %s and %s: number types do not mix; write 2u for a "
                               "uint, 2.0 for a double, or convert with int(), uint(), double()",
                               operators[row].text, type_name(a->type), type_name(b->type));
    return cost_lexer_fail(&p->lexer, offset, "%s cannot take %s and %s", operators[row].text,
                           type_name(a->type), type_name(b->type));
}

static int expr_binary(struct cost_parser *p, unsigned row, size_t offset, struct cost_expr *right,
                       struct cost_expr **io)
{
    struct cost_expr *left = *io;
    struct cost_expr e = {.op = operators[row].op, .child = {left, right, NULL}};
    int code = binary_type(p, row, offset, left, right, &e.type);

    e.depth = MAX(left->depth, right->depth) + 1;
    return code != 0 ? code : expr_new(p, &e, offset, io);
}

/* ---- pieces ---- */

static int parse_expr(struct cost_parser *p, struct cost_expr **ret);

static bool at_mark(const struct cost_parser *p, unsigned mark)
{
    return p->lexer.token.type == COST_TOKEN_MARK && p->lexer.token.mark == mark;
}

static int unexpected(struct cost_parser *p, const char *wanted)
{
    const struct cost_token *t = &p->lexer.token;

    if (t->type == COST_TOKEN_END)
        return cost_lexer_fail(&p->lexer, t->offset, "expected %s, but the expression ends here",
                               wanted);
    if (t->type == COST_TOKEN_STRING)
        return cost_lexer_fail(&p->lexer, t->offset, "expected %s, found a string", wanted);
    return cost_lexer_fail(&p->lexer, t->offset, "expected %s, found %.*s", wanted,
                           STR_ARG(str_slice(t->text, 0, 40)));
}

static int expect(struct cost_parser *p, char mark, const char *wanted)
{
    if (!at_mark(p, (unsigned char)mark))
        return unexpected(p, wanted);
    return cost_lexer_next(&p->lexer);
}

/* A number token with the sign in front of it, as a literal. */
static int number_value(struct cost_parser *p, bool is_negative, size_t offset,
                        struct cost_value *ret)
{
    const struct cost_token *t = &p->lexer.token;

    *ret = t->value;
    if (t->value.type == COST_VALUE_DOUBLE) {
        ret->d = is_negative ? -ret->d : ret->d;
    } else if (t->value.type == COST_VALUE_UINT) {
        if (is_negative)
            return cost_lexer_fail(&p->lexer, offset, "a uint has no sign");
    } else {
        if (t->value.u > (uint64_t)INT64_MAX + (is_negative ? 1 : 0))
            return cost_lexer_fail(&p->lexer, t->offset, "this number is too large for an int");
        ret->i = (int64_t)(is_negative ? 0 - t->value.u : t->value.u);
    }
    return cost_lexer_next(&p->lexer);
}

/* true, false, a string, a number. `*ret_is` is false, and nothing is read, when it is no literal.
 */
static int parse_literal(struct cost_parser *p, bool *ret_is, struct cost_value *ret)
{
    const struct cost_token *t = &p->lexer.token;
    size_t offset = t->offset;
    bool is_true = str_eq(t->text, STR("true"));
    int code;

    *ret_is = true;
    if (t->type == COST_TOKEN_NUMBER)
        return number_value(p, false, offset, ret);
    if (t->type == COST_TOKEN_STRING) {
        *ret = t->value;
        return cost_lexer_next(&p->lexer);
    }
    if (t->type == COST_TOKEN_NAME && (is_true || str_eq(t->text, STR("false")))) {
        *ret = (struct cost_value){.type = COST_VALUE_BOOL, .b = is_true};
        return cost_lexer_next(&p->lexer);
    }
    *ret_is = at_mark(p, '-');
    if (!*ret_is)
        return 0;
    code = cost_lexer_next(&p->lexer);
    if (code != 0)
        return code;
    if (t->type != COST_TOKEN_NUMBER)
        return unexpected(p, "a number");
    return number_value(p, true, offset, ret);
}

/* Behind "in": a list of literals. `*io` is what is looked for. */
static int parse_in(struct cost_parser *p, struct cost_expr **io)
{
    struct cost_lexer *l = &p->lexer;
    struct cost_expr e = {
        .op = COST_OP_IN, .type = COST_VALUE_BOOL, .depth = (*io)->depth + 1, .left = *io};
    struct cost_value *items = NULL;
    size_t n_room = 0;
    size_t offset = l->token.offset;
    int code = expect(p, '[', "a list of literals like [\"a\", \"b\"]");

    while (code == 0 && !at_mark(p, ']')) {
        size_t item = l->token.offset;
        struct cost_value value = {0};
        bool is_literal;

        code = parse_literal(p, &is_literal, &value);
        if (code == 0 && !is_literal)
            code = unexpected(p, "a string, a number, true or false");
        if (code == 0 && !is_comparable((*io)->type, value.type))
            code = cost_lexer_fail(l, item, "in cannot compare %s and %s", type_name((*io)->type),
                                   type_name(value.type));
        if (code != 0)
            return code;
        if (e.n_items == n_room) {
            struct cost_value *grown;

            n_room = n_room * 2 + 4;
            grown = ARENA_ARRAY(l->arena, struct cost_value, n_room);
            if (items)
                memcpy(grown, items, e.n_items * sizeof *items);
            items = grown;
        }
        items[e.n_items++] = value;
        if (!at_mark(p, ']'))
            code = expect(p, ',', "\",\" or \"]\"");
    }
    e.items = items;
    if (code == 0)
        code = cost_lexer_next(l);
    return code != 0 ? code : expr_new(p, &e, offset, io);
}

/* A conversion: int(x), uint(x), double(x). The token is "(". */
static int parse_call(struct cost_parser *p, struct str name, size_t offset, struct cost_expr **ret)
{
    static const enum cost_value_type types[] = {COST_VALUE_INT, COST_VALUE_UINT,
                                                 COST_VALUE_DOUBLE};
    int code;

    for (size_t i = 0; i < N_ELEMENTS(types); i++) {
        if (!str_eq(name, str_of(type_name(types[i]))))
            continue;
        code = cost_lexer_next(&p->lexer);
        if (code == 0)
            code = parse_expr(p, ret);
        if (code == 0)
            code = expect(p, ')', "\")\"");
        if (code == 0 && !is_number((*ret)->type))
            code = cost_lexer_fail(&p->lexer, offset, "%.*s() takes a number, found a %s",
                                   STR_ARG(name), type_name((*ret)->type));
        return code != 0 ? code : expr_unary(p, COST_OP_CONVERT, types[i], offset, ret);
    }
    return cost_lexer_fail(&p->lexer, offset,
                           "there is no function %.*s here, only int, uint and double",
                           STR_ARG(str_slice(name, 0, 40)));
}

static int parse_name(struct cost_parser *p, struct cost_expr **ret)
{
    struct str name = p->lexer.token.text;
    size_t offset = p->lexer.token.offset;
    int code = cost_lexer_next(&p->lexer);

    if (code != 0)
        return code;
    if (at_mark(p, '('))
        return parse_call(p, name, offset, ret);
    for (size_t i = 0; i < N_ELEMENTS(variables); i++) {
        struct cost_expr e = {.op = variables[i].op,
                              .type = variables[i].op == COST_OP_TEXT ? COST_VALUE_STRING
                                                                      : COST_VALUE_UINT,
                              .offset = variables[i].offset};

        if (str_eq(name, str_of(variables[i].name)))
            return expr_new(p, &e, offset, ret);
    }
    return cost_lexer_fail(&p->lexer, offset,
                           "there is no variable %.*s; there are model, backend, route_name, "
                           "input_tokens, cached_input_tokens, cache_creation_input_tokens, "
                           "output_tokens, total_tokens and reasoning_tokens",
                           STR_ARG(str_slice(name, 0, 40)));
}

static int parse_primary(struct cost_parser *p, struct cost_expr **ret)
{
    struct cost_value value;
    bool is_literal;
    int code;

    if (at_mark(p, '(')) {
        code = cost_lexer_next(&p->lexer);
        if (code == 0)
            code = parse_expr(p, ret);
        return code != 0 ? code : expect(p, ')', "\")\"");
    }
    if (at_mark(p, '['))
        return cost_lexer_fail(&p->lexer, p->lexer.token.offset,
                               "a list can only stand behind \"in\"");
    if (!at_mark(p, '-')) { /* signs are parse_unary's */
        code = parse_literal(p, &is_literal, &value);
        if (code != 0)
            return code;
        if (is_literal)
            return expr_literal(p, &value, ret);
    }
    if (p->lexer.token.type == COST_TOKEN_NAME && !str_eq(p->lexer.token.text, STR("in")))
        return parse_name(p, ret);
    return unexpected(p, "a value");
}

/* ".startsWith(x)" and its like, behind a string. The token is the name. */
static int parse_method(struct cost_parser *p, struct cost_expr **io)
{
    static const struct {
        struct str name;
        enum cost_op op;
    } methods[] = {
        {STR("startsWith"), COST_OP_STARTS_WITH},
        {STR("endsWith"), COST_OP_ENDS_WITH},
        {STR("contains"), COST_OP_CONTAINS},
    };
    struct str name = p->lexer.token.text;
    size_t offset = p->lexer.token.offset;
    struct cost_expr *needle = NULL;
    size_t i = 0;
    int code;

    while (i < N_ELEMENTS(methods) && !str_eq(name, methods[i].name))
        i++;
    if (i == N_ELEMENTS(methods))
        return cost_lexer_fail(&p->lexer, offset,
                               "only startsWith, endsWith and contains are possible here");
    code = cost_lexer_next(&p->lexer);
    if (code == 0)
        code = expect(p, '(', "\"(\"");
    if (code == 0)
        code = parse_expr(p, &needle);
    if (code == 0)
        code = expect(p, ')', "\")\"");
    if (code != 0)
        return code;
    if ((*io)->type != COST_VALUE_STRING || needle->type != COST_VALUE_STRING)
        return cost_lexer_fail(&p->lexer, offset, "%.*s compares strings, found %s and %s",
                               STR_ARG(name), type_name((*io)->type), type_name(needle->type));
    struct cost_expr e = {
        .op = methods[i].op, .type = COST_VALUE_BOOL, .child = {*io, needle, NULL}};

    e.depth = MAX((*io)->depth, needle->depth) + 1;
    return expr_new(p, &e, offset, io);
}

static int parse_member(struct cost_parser *p, struct cost_expr **ret)
{
    int code = parse_primary(p, ret);

    while (code == 0 && at_mark(p, '.')) {
        code = cost_lexer_next(&p->lexer);
        if (code == 0)
            code = parse_method(p, ret);
    }
    return code;
}

/* ---- operators ---- */

static int parse_unary_operand(struct cost_parser *p, bool is_not, size_t offset,
                               struct cost_expr **ret);

static int parse_unary(struct cost_parser *p, struct cost_expr **ret)
{
    bool is_not = at_mark(p, '!');
    size_t offset = p->lexer.token.offset;
    int code;

    if (!is_not && !at_mark(p, '-'))
        return parse_member(p, ret);
    if (++p->depth > LIMIT_COST_EXPR_DEPTH)
        return cost_lexer_fail(&p->lexer, offset, "the expression is nested too deeply");
    code = cost_lexer_next(&p->lexer);
    if (code == 0)
        code = parse_unary_operand(p, is_not, offset, ret);
    p->depth--;
    return code;
}

static int parse_unary_operand(struct cost_parser *p, bool is_not, size_t offset,
                               struct cost_expr **ret)
{
    struct cost_value value;
    int code;

    if (!is_not && p->lexer.token.type == COST_TOKEN_NUMBER) {
        code = number_value(p, true, offset, &value);
        return code != 0 ? code : expr_literal(p, &value, ret);
    }
    code = parse_unary(p, ret);
    if (code != 0)
        return code;
    if (is_not && (*ret)->type != COST_VALUE_BOOL)
        return cost_lexer_fail(&p->lexer, offset, "! takes a bool, found a %s",
                               type_name((*ret)->type));
    if (!is_not && (*ret)->type != COST_VALUE_INT && (*ret)->type != COST_VALUE_DOUBLE)
        return cost_lexer_fail(&p->lexer, offset, "- takes an int or double, found a %s",
                               type_name((*ret)->type));
    return expr_unary(p, is_not ? COST_OP_NOT : COST_OP_NEGATE, (*ret)->type, offset, ret);
}

/* The row of the operator at the token, or N_ELEMENTS. */
static unsigned operator_row(const struct cost_parser *p)
{
    const struct cost_token *t = &p->lexer.token;
    unsigned i = 0;

    for (; i < N_ELEMENTS(operators); i++) {
        if (operators[i].mark ? at_mark(p, operators[i].mark)
                              : t->type == COST_TOKEN_NAME && str_eq(t->text, STR("in")))
            break;
    }
    return i;
}

/* All operators of `level` and tighter ones; all are left-associative. */
static int parse_binary(struct cost_parser *p, unsigned level, struct cost_expr **ret)
{
    int code = parse_unary(p, ret);

    while (code == 0) {
        unsigned row = operator_row(p);
        size_t offset = p->lexer.token.offset;
        struct cost_expr *right = NULL;

        if (row == N_ELEMENTS(operators) || operators[row].level < level)
            return 0;
        code = cost_lexer_next(&p->lexer);
        if (code != 0)
            return code;
        if (operators[row].op == COST_OP_IN) {
            code = parse_in(p, ret);
            continue;
        }
        code = parse_binary(p, operators[row].level + 1, &right);
        if (code == 0)
            code = expr_binary(p, row, offset, right, ret);
    }
    return code;
}

/* Behind "?"; `*io` is the condition. */
static int parse_choice(struct cost_parser *p, size_t offset, struct cost_expr **io)
{
    struct cost_expr e = {.op = COST_OP_IF, .child = {*io, NULL, NULL}};
    struct cost_expr *yes = NULL;
    struct cost_expr *no = NULL;
    size_t colon;
    int code;

    if ((*io)->type != COST_VALUE_BOOL)
        return cost_lexer_fail(&p->lexer, offset, "? needs a bool in front of it, found a %s",
                               type_name((*io)->type));
    code = parse_binary(p, OR_LEVEL, &yes);
    colon = p->lexer.token.offset;
    if (code == 0)
        code = expect(p, ':', "\":\"");
    if (code == 0)
        code = parse_expr(p, &no);
    if (code != 0)
        return code;
    if (yes->type != no->type)
        return cost_lexer_fail(&p->lexer, colon,
                               "both sides of \":\" must have one type, found %s and %s",
                               type_name(yes->type), type_name(no->type));
    e.type = yes->type;
    e.child[1] = yes;
    e.child[2] = no;
    e.depth = MAX((*io)->depth, yes->depth) + 1;
    e.depth = MAX(e.depth, no->depth + 1);
    return expr_new(p, &e, offset, io);
}

static int parse_expr(struct cost_parser *p, struct cost_expr **ret)
{
    size_t offset = p->lexer.token.offset;
    int code;

    if (++p->depth > LIMIT_COST_EXPR_DEPTH)
        return cost_lexer_fail(&p->lexer, offset, "the expression is nested too deeply");
    code = parse_binary(p, OR_LEVEL, ret);
    if (code == 0 && at_mark(p, '?')) {
        offset = p->lexer.token.offset;
        code = cost_lexer_next(&p->lexer);
        if (code == 0)
            code = parse_choice(p, offset, ret);
    }
    p->depth--;
    return code;
}

int cost_expr_parse(struct arena *arena, struct str text, const struct cost_expr **ret,
                    struct cost_expr_error *ret_error)
{
    struct cost_parser p = {.lexer = {.arena = arena, .text = text, .error = ret_error}};
    struct cost_expr *root = NULL;
    int code;

    *ret_error = (struct cost_expr_error){0};
    if (text.len > LIMIT_COST_EXPR_BYTES)
        return cost_lexer_fail(&p.lexer, 0, "the expression is longer than %d bytes",
                               LIMIT_COST_EXPR_BYTES);
    p.lexer.room = arena_bytes(arena, text.len);
    code = cost_lexer_next(&p.lexer);
    if (code == 0)
        code = parse_expr(&p, &root);
    if (code == 0 && p.lexer.token.type != COST_TOKEN_END)
        code = unexpected(&p, "an operator or the end");
    if (code == 0 && root->type != COST_VALUE_INT && root->type != COST_VALUE_UINT)
        code = cost_lexer_fail(&p.lexer, 0, "a cost is an int or uint, but this is a %s",
                               type_name(root->type));
    if (code == 0)
        *ret = root;
    return code;
}
