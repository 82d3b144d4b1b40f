/* Expressions: the parser, which knows the type of every node as it makes it.
 *
 * Operators are read by precedence climbing. CEL has variables of unknown type and lists of
 * anything; here every variable has a type, so whatever could fail by its type while a request is
 * served is an error of the configuration instead, with its place. Where the two differ we are
 * stricter (no `1 / 0`) or, with comparisons of uint and int, as CEL's language definition has it.
 *
 * Owner: the tree lives in the caller's arena and is immutable. Compile thread. Depth is bounded on
 * the way down (our stack) and on the way up (that of cel_eval). Names are cel_name.c's. */
#include "base/limits.h"
#include "cel/cel_internal.h"

enum { OR_LEVEL = 1, AND_LEVEL, RELATION_LEVEL, SUM_LEVEL, PRODUCT_LEVEL };

static const struct {
    unsigned mark;
    enum cel_op op;
    unsigned level;
    const char *text;
} operators[] = {
    {CEL_MARK('|', '|'), CEL_OP_OR, OR_LEVEL, "||"},
    {CEL_MARK('&', '&'), CEL_OP_AND, AND_LEVEL, "&&"},
    {CEL_MARK('=', '='), CEL_OP_EQUAL, RELATION_LEVEL, "=="},
    {CEL_MARK('!', '='), CEL_OP_NOT_EQUAL, RELATION_LEVEL, "!="},
    {'<', CEL_OP_LESS, RELATION_LEVEL, "<"},
    {CEL_MARK('<', '='), CEL_OP_LESS_EQUAL, RELATION_LEVEL, "<="},
    {'>', CEL_OP_GREATER, RELATION_LEVEL, ">"},
    {CEL_MARK('>', '='), CEL_OP_GREATER_EQUAL, RELATION_LEVEL, ">="},
    {0, CEL_OP_IN, RELATION_LEVEL, "in"},
    {'+', CEL_OP_ADD, SUM_LEVEL, "+"},
    {'-', CEL_OP_SUBTRACT, SUM_LEVEL, "-"},
    {'*', CEL_OP_MULTIPLY, PRODUCT_LEVEL, "*"},
    {'/', CEL_OP_DIVIDE, PRODUCT_LEVEL, "/"},
    {'%', CEL_OP_MODULO, PRODUCT_LEVEL, "%"},
};

const char *cel_type_name(enum cel_type type)
{
    static const char *const names[] = {"bool", "int", "uint", "double", "string", "duration"};

    return names[type];
}

bool cel_is_number(enum cel_type type)
{
    return type == CEL_INT || type == CEL_UINT || type == CEL_DOUBLE;
}

static bool is_comparable(enum cel_type a, enum cel_type b)
{
    return a == b || (cel_is_number(a) && cel_is_number(b));
}

/* ---- nodes ---- */

int cel_expr_new(struct cel_parser *p, const struct cel_expr *from, size_t offset,
                 struct cel_expr **ret)
{
    if (from->depth > LIMIT_CEL_DEPTH)
        return cel_lexer_fail(&p->lexer, offset, "the expression is nested too deeply");
    *ret = ARENA_NEW(p->lexer.arena, struct cel_expr);
    **ret = *from;
    return 0;
}

static int expr_literal(struct cel_parser *p, const struct cel_value *value, struct cel_expr **ret)
{
    struct cel_expr e = {.op = CEL_OP_LITERAL, .type = value->type, .value = *value};

    return cel_expr_new(p, &e, 0, ret);
}

int cel_expr_unary(struct cel_parser *p, enum cel_op op, enum cel_type type, size_t offset,
                   struct cel_expr **io)
{
    struct cel_expr e = {
        .op = op, .type = type, .depth = (*io)->depth + 1, .child = {*io, NULL, NULL}};

    return cel_expr_new(p, &e, offset, io);
}

static bool is_zero(const struct cel_expr *e)
{
    return e->op == CEL_OP_LITERAL &&
           ((e->type == CEL_INT && e->value.i == 0) || (e->type == CEL_UINT && e->value.u == 0));
}

/* The type of `a op b`, or an error at the operator. */
static int binary_type(struct cel_parser *p, unsigned row, size_t offset, const struct cel_expr *a,
                       const struct cel_expr *b, enum cel_type *ret_type)
{
    enum cel_op op = operators[row].op;
    bool is_same = a->type == b->type;
    bool is_right;

    *ret_type = a->type;
    if (op == CEL_OP_OR || op == CEL_OP_AND) {
        is_right = is_same && a->type == CEL_BOOL;
    } else if (op < CEL_OP_IN) {
        is_right = is_comparable(a->type, b->type);
        *ret_type = CEL_BOOL;
    } else {
        is_right =
            is_same && (cel_is_number(a->type) || (op == CEL_OP_ADD && a->type == CEL_STRING));
        if (op == CEL_OP_MODULO && a->type == CEL_DOUBLE)
            is_right = false;
    }
    if (is_right && (op == CEL_OP_DIVIDE || op == CEL_OP_MODULO) && is_zero(b))
        return cel_lexer_fail(&p->lexer, offset, "this always divides by zero");
    if (is_right)
        return 0;
    if (!is_same && op > CEL_OP_IN && cel_is_number(a->type) && cel_is_number(b->type))
        return cel_lexer_fail(&p->lexer, offset,
                              "%s cannot take %s and %s: number types do not mix; write 2u for a "
                              "uint, 2.0 for a double, or convert with int(), uint(), double()",
                              operators[row].text, cel_type_name(a->type), cel_type_name(b->type));
    return cel_lexer_fail(&p->lexer, offset, "%s cannot take %s and %s", operators[row].text,
                          cel_type_name(a->type), cel_type_name(b->type));
}

static int expr_binary(struct cel_parser *p, unsigned row, size_t offset, struct cel_expr *right,
                       struct cel_expr **io)
{
    struct cel_expr *left = *io;
    struct cel_expr e = {.op = operators[row].op, .child = {left, right, NULL}};
    int code = binary_type(p, row, offset, left, right, &e.type);

    e.depth = MAX(left->depth, right->depth) + 1;
    return code != 0 ? code : cel_expr_new(p, &e, offset, io);
}

/* ---- pieces ---- */

bool cel_at_mark(const struct cel_parser *p, unsigned mark)
{
    return p->lexer.token.type == CEL_TOKEN_MARK && p->lexer.token.mark == mark;
}

int cel_unexpected(struct cel_parser *p, const char *wanted)
{
    const struct cel_token *t = &p->lexer.token;

    if (t->type == CEL_TOKEN_END)
        return cel_lexer_fail(&p->lexer, t->offset, "expected %s, but the expression ends here",
                              wanted);
    if (t->type == CEL_TOKEN_STRING)
        return cel_lexer_fail(&p->lexer, t->offset, "expected %s, found a string", wanted);
    return cel_lexer_fail(&p->lexer, t->offset, "expected %s, found %.*s", wanted,
                          STR_ARG(str_slice(t->text, 0, 40)));
}

int cel_expect(struct cel_parser *p, char mark, const char *wanted)
{
    if (!cel_at_mark(p, (unsigned char)mark))
        return cel_unexpected(p, wanted);
    return cel_lexer_next(&p->lexer);
}

/* A number token with the sign in front of it, as a literal. */
static int number_value(struct cel_parser *p, bool is_negative, size_t offset,
                        struct cel_value *ret)
{
    const struct cel_token *t = &p->lexer.token;

    *ret = t->value;
    if (t->value.type == CEL_DOUBLE) {
        ret->d = is_negative ? -ret->d : ret->d;
    } else if (t->value.type == CEL_UINT) {
        if (is_negative)
            return cel_lexer_fail(&p->lexer, offset, "a uint has no sign");
    } else {
        if (t->value.u > (uint64_t)INT64_MAX + (is_negative ? 1 : 0))
            return cel_lexer_fail(&p->lexer, t->offset, "this number is too large for an int");
        ret->i = (int64_t)(is_negative ? 0 - t->value.u : t->value.u);
    }
    return cel_lexer_next(&p->lexer);
}

/* true, false, a string, a number. `*ret_is` is false, and nothing is read, when it is no literal.
 */
static int parse_literal(struct cel_parser *p, bool *ret_is, struct cel_value *ret)
{
    const struct cel_token *t = &p->lexer.token;
    size_t offset = t->offset;
    bool is_true = str_eq(t->text, STR("true"));
    int code;

    *ret_is = true;
    if (t->type == CEL_TOKEN_NUMBER)
        return number_value(p, false, offset, ret);
    if (t->type == CEL_TOKEN_STRING) {
        *ret = t->value;
        return cel_lexer_next(&p->lexer);
    }
    if (t->type == CEL_TOKEN_NAME && (is_true || str_eq(t->text, STR("false")))) {
        *ret = (struct cel_value){.type = CEL_BOOL, .b = is_true};
        return cel_lexer_next(&p->lexer);
    }
    *ret_is = cel_at_mark(p, '-');
    if (!*ret_is)
        return 0;
    code = cel_lexer_next(&p->lexer);
    if (code != 0)
        return code;
    if (t->type != CEL_TOKEN_NUMBER)
        return cel_unexpected(p, "a number");
    return number_value(p, true, offset, ret);
}

/* Behind "in": a list of literals. `*io` is what is looked for. */
static int parse_in(struct cel_parser *p, struct cel_expr **io)
{
    struct cel_lexer *l = &p->lexer;
    struct cel_expr e = {.op = CEL_OP_IN, .type = CEL_BOOL, .depth = (*io)->depth + 1, .left = *io};
    struct cel_value *items = NULL;
    size_t n_room = 0;
    size_t offset = l->token.offset;
    int code = cel_expect(p, '[', "a list of literals like [\"a\", \"b\"]");

    while (code == 0 && !cel_at_mark(p, ']')) {
        size_t item = l->token.offset;
        struct cel_value value = {0};
        bool is_literal;

        code = parse_literal(p, &is_literal, &value);
        if (code == 0 && !is_literal)
            code = cel_unexpected(p, "a string, a number, true or false");
        if (code == 0 && !is_comparable((*io)->type, value.type))
            code = cel_lexer_fail(l, item, "in cannot compare %s and %s",
                                  cel_type_name((*io)->type), cel_type_name(value.type));
        if (code != 0)
            return code;
        if (e.n_items == n_room) {
            struct cel_value *grown;

            n_room = n_room * 2 + 4;
            grown = ARENA_ARRAY(l->arena, struct cel_value, n_room);
            if (items)
                memcpy(grown, items, e.n_items * sizeof *items);
            items = grown;
        }
        items[e.n_items++] = value;
        if (!cel_at_mark(p, ']'))
            code = cel_expect(p, ',', "\",\" or \"]\"");
    }
    e.items = items;
    if (code == 0)
        code = cel_lexer_next(l);
    return code != 0 ? code : cel_expr_new(p, &e, offset, io);
}

static int parse_primary(struct cel_parser *p, struct cel_expr **ret)
{
    struct cel_value value;
    bool is_literal;
    int code;

    if (cel_at_mark(p, '(')) {
        code = cel_lexer_next(&p->lexer);
        if (code == 0)
            code = cel_parse_expr(p, ret);
        return code != 0 ? code : cel_expect(p, ')', "\")\"");
    }
    if (cel_at_mark(p, '['))
        return cel_lexer_fail(&p->lexer, p->lexer.token.offset,
                              "a list can only stand behind \"in\"");
    if (!cel_at_mark(p, '-')) { /* signs are parse_unary's */
        code = parse_literal(p, &is_literal, &value);
        if (code != 0)
            return code;
        if (is_literal)
            return expr_literal(p, &value, ret);
    }
    if (p->lexer.token.type == CEL_TOKEN_NAME && !str_eq(p->lexer.token.text, STR("in")))
        return cel_parse_name(p, ret);
    return cel_unexpected(p, "a value");
}

static int parse_member(struct cel_parser *p, struct cel_expr **ret)
{
    int code = parse_primary(p, ret);

    while (code == 0 && cel_at_mark(p, '.')) {
        code = cel_lexer_next(&p->lexer);
        if (code == 0)
            code = cel_parse_method(p, ret);
    }
    return code;
}

/* ---- operators ---- */

static int parse_unary_operand(struct cel_parser *p, bool is_not, size_t offset,
                               struct cel_expr **ret);

static int parse_unary(struct cel_parser *p, struct cel_expr **ret)
{
    bool is_not = cel_at_mark(p, '!');
    size_t offset = p->lexer.token.offset;
    int code;

    if (!is_not && !cel_at_mark(p, '-'))
        return parse_member(p, ret);
    if (++p->depth > LIMIT_CEL_DEPTH)
        return cel_lexer_fail(&p->lexer, offset, "the expression is nested too deeply");
    code = cel_lexer_next(&p->lexer);
    if (code == 0)
        code = parse_unary_operand(p, is_not, offset, ret);
    p->depth--;
    return code;
}

static int parse_unary_operand(struct cel_parser *p, bool is_not, size_t offset,
                               struct cel_expr **ret)
{
    struct cel_value value;
    int code;

    if (!is_not && p->lexer.token.type == CEL_TOKEN_NUMBER) {
        code = number_value(p, true, offset, &value);
        return code != 0 ? code : expr_literal(p, &value, ret);
    }
    code = parse_unary(p, ret);
    if (code != 0)
        return code;
    if (is_not && (*ret)->type != CEL_BOOL)
        return cel_lexer_fail(&p->lexer, offset, "! takes a bool, found a %s",
                              cel_type_name((*ret)->type));
    if (!is_not && (*ret)->type != CEL_INT && (*ret)->type != CEL_DOUBLE)
        return cel_lexer_fail(&p->lexer, offset, "- takes an int or double, found a %s",
                              cel_type_name((*ret)->type));
    return cel_expr_unary(p, is_not ? CEL_OP_NOT : CEL_OP_NEGATE, (*ret)->type, offset, ret);
}

/* The row of the operator at the token, or N_ELEMENTS. */
static unsigned operator_row(const struct cel_parser *p)
{
    const struct cel_token *t = &p->lexer.token;
    unsigned i = 0;

    for (; i < N_ELEMENTS(operators); i++) {
        if (operators[i].mark ? cel_at_mark(p, operators[i].mark)
                              : t->type == CEL_TOKEN_NAME && str_eq(t->text, STR("in")))
            break;
    }
    return i;
}

/* All operators of `level` and tighter ones; all are left-associative. */
static int parse_binary(struct cel_parser *p, unsigned level, struct cel_expr **ret)
{
    int code = parse_unary(p, ret);

    while (code == 0) {
        unsigned row = operator_row(p);
        size_t offset = p->lexer.token.offset;
        struct cel_expr *right = NULL;

        if (row == N_ELEMENTS(operators) || operators[row].level < level)
            return 0;
        code = cel_lexer_next(&p->lexer);
        if (code != 0)
            return code;
        if (operators[row].op == CEL_OP_IN) {
            code = p->lexer.token.type == CEL_TOKEN_NAME ? cel_parse_in_map(p, offset, ret)
                                                         : parse_in(p, ret);
            continue;
        }
        code = parse_binary(p, operators[row].level + 1, &right);
        if (code == 0)
            code = expr_binary(p, row, offset, right, ret);
    }
    return code;
}

/* Behind "?"; `*io` is the condition. */
static int parse_choice(struct cel_parser *p, size_t offset, struct cel_expr **io)
{
    struct cel_expr e = {.op = CEL_OP_IF, .child = {*io, NULL, NULL}};
    struct cel_expr *yes = NULL;
    struct cel_expr *no = NULL;
    size_t colon;
    int code;

    if ((*io)->type != CEL_BOOL)
        return cel_lexer_fail(&p->lexer, offset, "? needs a bool in front of it, found a %s",
                              cel_type_name((*io)->type));
    code = parse_binary(p, OR_LEVEL, &yes);
    colon = p->lexer.token.offset;
    if (code == 0)
        code = cel_expect(p, ':', "\":\"");
    if (code == 0)
        code = cel_parse_expr(p, &no);
    if (code != 0)
        return code;
    if (yes->type != no->type)
        return cel_lexer_fail(&p->lexer, colon,
                              "both sides of \":\" must have one type, found %s and %s",
                              cel_type_name(yes->type), cel_type_name(no->type));
    e.type = yes->type;
    e.child[1] = yes;
    e.child[2] = no;
    e.depth = MAX((*io)->depth, yes->depth) + 1;
    e.depth = MAX(e.depth, no->depth + 1);
    return cel_expr_new(p, &e, offset, io);
}

int cel_parse_expr(struct cel_parser *p, struct cel_expr **ret)
{
    size_t offset = p->lexer.token.offset;
    int code;

    if (++p->depth > LIMIT_CEL_DEPTH)
        return cel_lexer_fail(&p->lexer, offset, "the expression is nested too deeply");
    code = parse_binary(p, OR_LEVEL, ret);
    if (code == 0 && cel_at_mark(p, '?')) {
        offset = p->lexer.token.offset;
        code = cel_lexer_next(&p->lexer);
        if (code == 0)
            code = parse_choice(p, offset, ret);
    }
    p->depth--;
    return code;
}

int cel_parse(struct arena *arena, const struct cel_scope *scope, struct str text,
              const struct cel_expr **ret, struct cel_error *ret_error)
{
    struct cel_parser p = {.lexer = {.arena = arena, .text = text, .error = ret_error},
                           .scope = scope};
    struct cel_expr *root = NULL;
    int code;

    *ret_error = (struct cel_error){0};
    if (text.len > LIMIT_CEL_BYTES)
        return cel_lexer_fail(&p.lexer, 0, "the expression is longer than %d bytes",
                              LIMIT_CEL_BYTES);
    p.lexer.room = arena_bytes(arena, text.len);
    code = cel_lexer_next(&p.lexer);
    if (code == 0)
        code = cel_parse_expr(&p, &root);
    if (code == 0 && p.lexer.token.type != CEL_TOKEN_END)
        code = cel_unexpected(&p, "an operator or the end");
    if (code == 0)
        *ret = root;
    return code;
}

enum cel_type cel_expr_type(const struct cel_expr *expr)
{
    return expr->type;
}
