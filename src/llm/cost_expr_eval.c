/* Cost expressions: computing.
 *
 * The parser has settled all types, so that a node only computes. What can still fail are numbers:
 * CEL's int and uint do not wrap (an overflow is an error), and neither do we. "&&" and "||" give
 * their result when one side decides it, whichever side that is, even when the other one failed
 * (CEL language definition, "Logical Operators").
 *
 * Owner: nothing; texts joined by "+" lie in a buffer on the stack, of a fixed size. Any thread.
 * What a failed cost means is decided in cost.c. */
#include <math.h>

#include "base/assert.h"
#include "base/limits.h"
#include "llm/cost_expr_internal.h"

/* 2^63 and 2^64: the first doubles that are too large. */
static const double int_edge = 9223372036854775808.0;
static const double uint_edge = 18446744073709551616.0;

struct cost_eval {
    const struct cost_input *input;
    size_t n_room;
    char room[LIMIT_COST_EXPR_TEXT_BYTES];
};

static int eval(struct cost_eval *e, const struct cost_expr *x, struct cost_value *ret);

/* ---- comparison: numbers of different types compare by their value, exactly ---- */

static int order(bool is_less, bool is_greater)
{
    return is_greater ? 1 : is_less ? -1 : 0;
}

static int compare_int_uint(int64_t a, uint64_t b)
{
    if (a < 0)
        return -1;
    return order((uint64_t)a<b, (uint64_t)a> b);
}

/* Not by a cast to double: 2^53 + 1 has none. `d` is no NaN. */
static int compare_uint_double(uint64_t a, double d)
{
    if (d < 0)
        return 1;
    if (d >= uint_edge)
        return -1;
    uint64_t whole = (uint64_t)d;

    return a != whole ? order(a<whole, a> whole) : order(d > trunc(d), false);
}

static int compare_int_double(int64_t a, double d)
{
    if (d >= 0)
        return a < 0 ? -1 : compare_uint_double((uint64_t)a, d);
    return a >= 0 ? 1 : -compare_uint_double(0 - (uint64_t)a, -d);
}

static int compare_doubles(double a, double b)
{
    return order(a<b, a> b);
}

static int compare_to_double(const struct cost_value *a, double d)
{
    if (a->type == COST_VALUE_DOUBLE)
        return compare_doubles(a->d, d);
    return a->type == COST_VALUE_INT ? compare_int_double(a->i, d) : compare_uint_double(a->u, d);
}

int cost_value_compare(const struct cost_value *a, const struct cost_value *b)
{
    if (a->type == COST_VALUE_STRING) {
        int compared = str_compare(a->s, b->s);

        return order(compared<0, compared> 0);
    }
    if (a->type == COST_VALUE_BOOL)
        return order(a->b<b->b, a->b> b->b);
    if ((a->type == COST_VALUE_DOUBLE && isnan(a->d)) ||
        (b->type == COST_VALUE_DOUBLE && isnan(b->d)))
        return 2;
    if (b->type == COST_VALUE_DOUBLE)
        return compare_to_double(a, b->d);
    if (a->type == COST_VALUE_DOUBLE)
        return -compare_to_double(b, a->d);
    if (a->type == COST_VALUE_INT)
        return b->type == COST_VALUE_INT ? order(a->i<b->i, a->i> b->i)
                                         : compare_int_uint(a->i, b->u);
    return b->type == COST_VALUE_UINT ? order(a->u<b->u, a->u> b->u)
                                      : -compare_int_uint(b->i, a->u);
}

static bool compare_holds(enum cost_op op, int compared)
{
    switch (op) {
    case COST_OP_EQUAL:
        return compared == 0;
    case COST_OP_NOT_EQUAL:
        return compared != 0;
    case COST_OP_LESS:
        return compared < 0;
    case COST_OP_LESS_EQUAL:
        return compared <= 0;
    case COST_OP_GREATER:
        return compared == 1;
    default:
        return compared == 0 || compared == 1; /* COST_OP_GREATER_EQUAL */
    }
}

/* ---- arithmetic ---- */

static int eval_int(enum cost_op op, int64_t a, int64_t b, int64_t *ret)
{
    switch (op) {
    case COST_OP_ADD:
        return __builtin_add_overflow(a, b, ret) ? COST_EXPR_OVERFLOW : 0;
    case COST_OP_SUBTRACT:
        return __builtin_sub_overflow(a, b, ret) ? COST_EXPR_OVERFLOW : 0;
    case COST_OP_MULTIPLY:
        return __builtin_mul_overflow(a, b, ret) ? COST_EXPR_OVERFLOW : 0;
    default:
        break;
    }
    if (b == 0)
        return COST_EXPR_DIVIDE_BY_ZERO;
    if (a == INT64_MIN && b == -1)
        return COST_EXPR_OVERFLOW;
    *ret = op == COST_OP_DIVIDE ? a / b : a % b;
    return 0;
}

static int eval_uint(enum cost_op op, uint64_t a, uint64_t b, uint64_t *ret)
{
    switch (op) {
    case COST_OP_ADD:
        return __builtin_add_overflow(a, b, ret) ? COST_EXPR_OVERFLOW : 0;
    case COST_OP_SUBTRACT:
        return __builtin_sub_overflow(a, b, ret) ? COST_EXPR_OVERFLOW : 0;
    case COST_OP_MULTIPLY:
        return __builtin_mul_overflow(a, b, ret) ? COST_EXPR_OVERFLOW : 0;
    default:
        break;
    }
    if (b == 0)
        return COST_EXPR_DIVIDE_BY_ZERO;
    *ret = op == COST_OP_DIVIDE ? a / b : a % b;
    return 0;
}

static double eval_double(enum cost_op op, double a, double b)
{
    switch (op) {
    case COST_OP_ADD:
        return a + b;
    case COST_OP_SUBTRACT:
        return a - b;
    case COST_OP_MULTIPLY:
        return a * b;
    default:
        return a / b; /* by zero: an infinity or NaN, which no conversion takes */
    }
}

static int eval_join(struct cost_eval *e, struct str a, struct str b, struct str *ret)
{
    char *out = e->room + e->n_room;

    if (a.len > sizeof e->room - e->n_room || b.len > sizeof e->room - e->n_room - a.len)
        return COST_EXPR_TEXT_TOO_LONG;
    if (a.len > 0)
        memcpy(out, a.ptr, a.len);
    if (b.len > 0)
        memcpy(out + a.len, b.ptr, b.len);
    e->n_room += a.len + b.len;
    *ret = str_make(out, a.len + b.len);
    return 0;
}

static int eval_arithmetic(struct cost_eval *e, const struct cost_expr *x, struct cost_value *ret)
{
    struct cost_value a;
    struct cost_value b;
    int code = eval(e, x->child[0], &a);

    if (code == 0)
        code = eval(e, x->child[1], &b);
    if (code != 0)
        return code;
    switch (x->type) {
    case COST_VALUE_INT:
        return eval_int(x->op, a.i, b.i, &ret->i);
    case COST_VALUE_UINT:
        return eval_uint(x->op, a.u, b.u, &ret->u);
    case COST_VALUE_DOUBLE:
        ret->d = eval_double(x->op, a.d, b.d);
        return 0;
    default:
        return eval_join(e, a.s, b.s, &ret->s);
    }
}

/* ---- conversion: towards zero; what does not fit is an error (CEL standard definitions) ---- */

static int to_int(const struct cost_value *v, int64_t *ret)
{
    if (v->type == COST_VALUE_UINT) {
        if (v->u > INT64_MAX)
            return COST_EXPR_OVERFLOW;
        *ret = (int64_t)v->u;
    } else if (v->type == COST_VALUE_DOUBLE) {
        if (!(v->d > -int_edge && v->d < int_edge)) /* a NaN neither */
            return COST_EXPR_OVERFLOW;
        *ret = (int64_t)v->d;
    } else {
        *ret = v->i;
    }
    return 0;
}

static int to_uint(const struct cost_value *v, uint64_t *ret)
{
    if (v->type == COST_VALUE_INT) {
        if (v->i < 0)
            return COST_EXPR_OVERFLOW;
        *ret = (uint64_t)v->i;
    } else if (v->type == COST_VALUE_DOUBLE) {
        if (!(v->d >= 0 && v->d < uint_edge))
            return COST_EXPR_OVERFLOW;
        *ret = (uint64_t)v->d;
    } else {
        *ret = v->u;
    }
    return 0;
}

static int eval_convert(struct cost_eval *e, const struct cost_expr *x, struct cost_value *ret)
{
    struct cost_value v;
    int code = eval(e, x->child[0], &v);

    if (code != 0)
        return code;
    if (x->type == COST_VALUE_INT)
        return to_int(&v, &ret->i);
    if (x->type == COST_VALUE_UINT)
        return to_uint(&v, &ret->u);
    if (v.type == COST_VALUE_DOUBLE)
        ret->d = v.d;
    else
        ret->d = v.type == COST_VALUE_INT ? (double)v.i : (double)v.u;
    return 0;
}

/* ---- the rest ---- */

static int eval_logic(struct cost_eval *e, const struct cost_expr *x, struct cost_value *ret)
{
    bool decides = x->op == COST_OP_OR;
    struct cost_value v;
    int right;
    int left = eval(e, x->child[0], &v);

    ret->b = decides;
    if (left == 0 && v.b == decides)
        return 0;
    right = eval(e, x->child[1], &v);
    if (right == 0 && v.b == decides)
        return 0;
    ret->b = !decides;
    return left != 0 ? left : right;
}

static int eval_relation(struct cost_eval *e, const struct cost_expr *x, struct cost_value *ret)
{
    struct cost_value a;
    struct cost_value b;
    int code = eval(e, x->child[0], &a);

    if (code == 0)
        code = eval(e, x->child[1], &b);
    if (code == 0)
        ret->b = compare_holds(x->op, cost_value_compare(&a, &b));
    return code;
}

static int eval_in(struct cost_eval *e, const struct cost_expr *x, struct cost_value *ret)
{
    struct cost_value v;
    int code = eval(e, x->left, &v);

    ret->b = false;
    for (uint32_t i = 0; code == 0 && i < x->n_items && !ret->b; i++)
        ret->b = cost_value_compare(&v, &x->items[i]) == 0;
    return code;
}

static int eval_search(struct cost_eval *e, const struct cost_expr *x, struct cost_value *ret)
{
    struct cost_value text;
    struct cost_value needle;
    int code = eval(e, x->child[0], &text);

    if (code == 0)
        code = eval(e, x->child[1], &needle);
    if (code != 0)
        return code;
    if (x->op == COST_OP_STARTS_WITH)
        ret->b = str_starts_with(text.s, needle.s);
    else if (x->op == COST_OP_ENDS_WITH)
        ret->b = str_ends_with(text.s, needle.s);
    else
        ret->b = str_find(text.s, needle.s) >= 0;
    return 0;
}

static int eval_unary(struct cost_eval *e, const struct cost_expr *x, struct cost_value *ret)
{
    struct cost_value v;
    int code = eval(e, x->child[0], &v);

    if (code != 0)
        return code;
    if (x->op == COST_OP_NOT)
        ret->b = !v.b;
    else if (x->type == COST_VALUE_DOUBLE)
        ret->d = -v.d;
    else
        return __builtin_sub_overflow(0, v.i, &ret->i) ? COST_EXPR_OVERFLOW : 0;
    return 0;
}

static int eval_choice(struct cost_eval *e, const struct cost_expr *x, struct cost_value *ret)
{
    struct cost_value v;
    int code = eval(e, x->child[0], &v);

    return code != 0 ? code : eval(e, x->child[v.b ? 1 : 2], ret);
}

static int eval(struct cost_eval *e, const struct cost_expr *x, struct cost_value *ret)
{
    const char *input = (const char *)e->input;

    *ret = (struct cost_value){.type = x->type};
    switch (x->op) {
    case COST_OP_LITERAL:
        *ret = x->value;
        return 0;
    case COST_OP_COUNT:
        memcpy(&ret->u, input + x->offset, sizeof ret->u);
        return 0;
    case COST_OP_TEXT:
        memcpy(&ret->s, input + x->offset, sizeof ret->s);
        return 0;
    case COST_OP_NOT:
    case COST_OP_NEGATE:
        return eval_unary(e, x, ret);
    case COST_OP_CONVERT:
        return eval_convert(e, x, ret);
    case COST_OP_STARTS_WITH:
    case COST_OP_ENDS_WITH:
    case COST_OP_CONTAINS:
        return eval_search(e, x, ret);
    case COST_OP_IF:
        return eval_choice(e, x, ret);
    case COST_OP_OR:
    case COST_OP_AND:
        return eval_logic(e, x, ret);
    case COST_OP_EQUAL:
    case COST_OP_NOT_EQUAL:
    case COST_OP_LESS:
    case COST_OP_LESS_EQUAL:
    case COST_OP_GREATER:
    case COST_OP_GREATER_EQUAL:
        return eval_relation(e, x, ret);
    case COST_OP_IN:
        return eval_in(e, x, ret);
    case COST_OP_ADD:
    case COST_OP_SUBTRACT:
    case COST_OP_MULTIPLY:
    case COST_OP_DIVIDE:
    case COST_OP_MODULO:
        return eval_arithmetic(e, x, ret);
    }
    UNREACHABLE();
}

int cost_expr_eval(const struct cost_expr *expr, const struct cost_input *input, uint64_t *ret_cost)
{
    struct cost_value v;
    struct cost_eval e;
    int code;

    e.input = input;
    e.n_room = 0;
    code = eval(&e, expr, &v);
    if (code != 0)
        return code;
    if (v.type == COST_VALUE_INT && v.i < 0)
        return COST_EXPR_NEGATIVE;
    *ret_cost = v.type == COST_VALUE_INT ? (uint64_t)v.i : v.u;
    return 0;
}

const char *cost_expr_condition_text(enum cost_expr_condition condition)
{
    switch (condition) {
    case COST_EXPR_INVALID:
        return "the expression is not valid";
    case COST_EXPR_OVERFLOW:
        return "a number leaves the range of its type";
    case COST_EXPR_DIVIDE_BY_ZERO:
        return "it divides by zero";
    case COST_EXPR_NEGATIVE:
        return "the cost is negative";
    case COST_EXPR_TEXT_TOO_LONG:
        return "it joins texts that are too long";
    }
    UNREACHABLE();
}
