/* Expressions: computing.
 *
 * The parser has settled all types, so that a node only computes. What can still fail are numbers:
 * CEL's int and uint do not wrap (an overflow is an error), and neither do we. "&&" and "||" give
 * their result when one side decides it, whichever side that is, even when the other one failed
 * (CEL language definition, "Logical Operators").
 *
 * Owner: nothing; texts joined by "+" lie in a buffer on the stack, of a fixed size. Any thread.
 * What a failure means is decided by who asked. */
#include <math.h>

#include "base/assert.h"
#include "base/limits.h"
#include "cel/cel_internal.h"

/* 2^63 and 2^64: the first doubles that are too large. */
static const double int_edge = 9223372036854775808.0;
static const double uint_edge = 18446744073709551616.0;

struct cel_run {
    const struct cel_reader *reader;
    size_t n_room;
    char room[LIMIT_CEL_TEXT_BYTES];
};

static int eval(struct cel_run *e, const struct cel_expr *x, struct cel_value *ret);

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

static int compare_to_double(const struct cel_value *a, double d)
{
    if (a->type == CEL_DOUBLE)
        return compare_doubles(a->d, d);
    return a->type == CEL_INT ? compare_int_double(a->i, d) : compare_uint_double(a->u, d);
}

int cel_value_compare(const struct cel_value *a, const struct cel_value *b)
{
    if (a->type == CEL_STRING) {
        int compared = str_compare(a->s, b->s);

        return order(compared<0, compared> 0);
    }
    if (a->type == CEL_BOOL)
        return order(a->b<b->b, a->b> b->b);
    if (a->type == CEL_DURATION)
        return order(a->i<b->i, a->i> b->i);
    if ((a->type == CEL_DOUBLE && isnan(a->d)) || (b->type == CEL_DOUBLE && isnan(b->d)))
        return 2;
    if (b->type == CEL_DOUBLE)
        return compare_to_double(a, b->d);
    if (a->type == CEL_DOUBLE)
        return -compare_to_double(b, a->d);
    if (a->type == CEL_INT)
        return b->type == CEL_INT ? order(a->i<b->i, a->i> b->i) : compare_int_uint(a->i, b->u);
    return b->type == CEL_UINT ? order(a->u<b->u, a->u> b->u) : -compare_int_uint(b->i, a->u);
}

static bool compare_holds(enum cel_op op, int compared)
{
    switch (op) {
    case CEL_OP_EQUAL:
        return compared == 0;
    case CEL_OP_NOT_EQUAL:
        return compared != 0;
    case CEL_OP_LESS:
        return compared < 0;
    case CEL_OP_LESS_EQUAL:
        return compared <= 0;
    case CEL_OP_GREATER:
        return compared == 1;
    default:
        return compared == 0 || compared == 1; /* CEL_OP_GREATER_EQUAL */
    }
}

/* ---- arithmetic ---- */

static int eval_int(enum cel_op op, int64_t a, int64_t b, int64_t *ret)
{
    switch (op) {
    case CEL_OP_ADD:
        return __builtin_add_overflow(a, b, ret) ? CEL_OVERFLOW : 0;
    case CEL_OP_SUBTRACT:
        return __builtin_sub_overflow(a, b, ret) ? CEL_OVERFLOW : 0;
    case CEL_OP_MULTIPLY:
        return __builtin_mul_overflow(a, b, ret) ? CEL_OVERFLOW : 0;
    default:
        break;
    }
    if (b == 0)
        return CEL_DIVIDE_BY_ZERO;
    if (a == INT64_MIN && b == -1)
        return CEL_OVERFLOW;
    *ret = op == CEL_OP_DIVIDE ? a / b : a % b;
    return 0;
}

static int eval_uint(enum cel_op op, uint64_t a, uint64_t b, uint64_t *ret)
{
    switch (op) {
    case CEL_OP_ADD:
        return __builtin_add_overflow(a, b, ret) ? CEL_OVERFLOW : 0;
    case CEL_OP_SUBTRACT:
        return __builtin_sub_overflow(a, b, ret) ? CEL_OVERFLOW : 0;
    case CEL_OP_MULTIPLY:
        return __builtin_mul_overflow(a, b, ret) ? CEL_OVERFLOW : 0;
    default:
        break;
    }
    if (b == 0)
        return CEL_DIVIDE_BY_ZERO;
    *ret = op == CEL_OP_DIVIDE ? a / b : a % b;
    return 0;
}

static double eval_double(enum cel_op op, double a, double b)
{
    switch (op) {
    case CEL_OP_ADD:
        return a + b;
    case CEL_OP_SUBTRACT:
        return a - b;
    case CEL_OP_MULTIPLY:
        return a * b;
    default:
        return a / b; /* by zero: an infinity or NaN, which no conversion takes */
    }
}

static int eval_join(struct cel_run *e, struct str a, struct str b, struct str *ret)
{
    char *out = e->room + e->n_room;

    if (a.len > sizeof e->room - e->n_room || b.len > sizeof e->room - e->n_room - a.len)
        return CEL_TEXT_TOO_LONG;
    if (a.len > 0)
        memcpy(out, a.ptr, a.len);
    if (b.len > 0)
        memcpy(out + a.len, b.ptr, b.len);
    e->n_room += a.len + b.len;
    *ret = str_make(out, a.len + b.len);
    return 0;
}

static int eval_arithmetic(struct cel_run *e, const struct cel_expr *x, struct cel_value *ret)
{
    struct cel_value a;
    struct cel_value b;
    int code = eval(e, x->child[0], &a);

    if (code == 0)
        code = eval(e, x->child[1], &b);
    if (code != 0)
        return code;
    switch (x->type) {
    case CEL_INT:
        return eval_int(x->op, a.i, b.i, &ret->i);
    case CEL_UINT:
        return eval_uint(x->op, a.u, b.u, &ret->u);
    case CEL_DOUBLE:
        ret->d = eval_double(x->op, a.d, b.d);
        return 0;
    default:
        return eval_join(e, a.s, b.s, &ret->s);
    }
}

/* ---- conversion: towards zero; what does not fit is an error (CEL standard definitions) ---- */

static int to_int(const struct cel_value *v, int64_t *ret)
{
    if (v->type == CEL_UINT) {
        if (v->u > INT64_MAX)
            return CEL_OVERFLOW;
        *ret = (int64_t)v->u;
    } else if (v->type == CEL_DOUBLE) {
        if (!(v->d > -int_edge && v->d < int_edge)) /* a NaN neither */
            return CEL_OVERFLOW;
        *ret = (int64_t)v->d;
    } else {
        *ret = v->i;
    }
    return 0;
}

static int to_uint(const struct cel_value *v, uint64_t *ret)
{
    if (v->type == CEL_INT) {
        if (v->i < 0)
            return CEL_OVERFLOW;
        *ret = (uint64_t)v->i;
    } else if (v->type == CEL_DOUBLE) {
        if (!(v->d >= 0 && v->d < uint_edge))
            return CEL_OVERFLOW;
        *ret = (uint64_t)v->d;
    } else {
        *ret = v->u;
    }
    return 0;
}

static int eval_convert(struct cel_run *e, const struct cel_expr *x, struct cel_value *ret)
{
    struct cel_value v;
    int code = eval(e, x->child[0], &v);

    if (code != 0)
        return code;
    if (x->type == CEL_INT)
        return to_int(&v, &ret->i);
    if (x->type == CEL_UINT)
        return to_uint(&v, &ret->u);
    if (v.type == CEL_DOUBLE)
        ret->d = v.d;
    else
        ret->d = v.type == CEL_INT ? (double)v.i : (double)v.u;
    return 0;
}

/* ---- the rest ---- */

static int eval_logic(struct cel_run *e, const struct cel_expr *x, struct cel_value *ret)
{
    bool decides = x->op == CEL_OP_OR;
    struct cel_value v;
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

static int eval_relation(struct cel_run *e, const struct cel_expr *x, struct cel_value *ret)
{
    struct cel_value a;
    struct cel_value b;
    int code = eval(e, x->child[0], &a);

    if (code == 0)
        code = eval(e, x->child[1], &b);
    if (code == 0)
        ret->b = compare_holds(x->op, cel_value_compare(&a, &b));
    return code;
}

static int eval_in(struct cel_run *e, const struct cel_expr *x, struct cel_value *ret)
{
    struct cel_value v;
    int code = eval(e, x->left, &v);

    ret->b = false;
    for (uint32_t i = 0; code == 0 && i < x->n_items && !ret->b; i++)
        ret->b = cel_value_compare(&v, &x->items[i]) == 0;
    return code;
}

static int eval_search(struct cel_run *e, const struct cel_expr *x, struct cel_value *ret)
{
    struct cel_value text;
    struct cel_value needle;
    int code = eval(e, x->child[0], &text);

    if (code == 0)
        code = eval(e, x->child[1], &needle);
    if (code != 0)
        return code;
    if (x->op == CEL_OP_STARTS_WITH)
        ret->b = str_starts_with(text.s, needle.s);
    else if (x->op == CEL_OP_ENDS_WITH)
        ret->b = str_ends_with(text.s, needle.s);
    else
        ret->b = str_find(text.s, needle.s) >= 0;
    return 0;
}

static int eval_pattern(struct cel_run *e, const struct cel_expr *x, struct cel_value *ret)
{
    struct cel_value v;
    int code = eval(e, x->left, &v);
    enum cel_verdict verdict;

    if (code != 0)
        return code;
    verdict = e->reader->match(x->pattern, v.s);
    ret->b = verdict == CEL_HIT;
    return verdict == CEL_LIMIT ? CEL_PATTERN_LIMIT : 0;
}

static int eval_read(struct cel_run *e, const struct cel_expr *x, struct cel_value *ret)
{
    struct cel_value v = {.type = x->type};
    bool has_value = e->reader->read(e->reader->context, x->id, x->key, &v);

    if (x->op == CEL_OP_HAS) {
        ret->b = has_value;
        return 0;
    }
    *ret = v;
    return has_value ? 0 : CEL_NO_VALUE;
}

static int eval_unary(struct cel_run *e, const struct cel_expr *x, struct cel_value *ret)
{
    struct cel_value v;
    int code = eval(e, x->child[0], &v);

    if (code != 0)
        return code;
    if (x->op == CEL_OP_NOT)
        ret->b = !v.b;
    else if (x->type == CEL_DOUBLE)
        ret->d = -v.d;
    else
        return __builtin_sub_overflow(0, v.i, &ret->i) ? CEL_OVERFLOW : 0;
    return 0;
}

static int eval_choice(struct cel_run *e, const struct cel_expr *x, struct cel_value *ret)
{
    struct cel_value v;
    int code = eval(e, x->child[0], &v);

    return code != 0 ? code : eval(e, x->child[v.b ? 1 : 2], ret);
}

static int eval(struct cel_run *e, const struct cel_expr *x, struct cel_value *ret)
{
    *ret = (struct cel_value){.type = x->type};
    switch (x->op) {
    case CEL_OP_LITERAL:
        *ret = x->value;
        return 0;
    case CEL_OP_READ:
    case CEL_OP_HAS:
        return eval_read(e, x, ret);
    case CEL_OP_NOT:
    case CEL_OP_NEGATE:
        return eval_unary(e, x, ret);
    case CEL_OP_CONVERT:
        return eval_convert(e, x, ret);
    case CEL_OP_STARTS_WITH:
    case CEL_OP_ENDS_WITH:
    case CEL_OP_CONTAINS:
        return eval_search(e, x, ret);
    case CEL_OP_MATCHES:
        return eval_pattern(e, x, ret);
    case CEL_OP_IF:
        return eval_choice(e, x, ret);
    case CEL_OP_OR:
    case CEL_OP_AND:
        return eval_logic(e, x, ret);
    case CEL_OP_EQUAL:
    case CEL_OP_NOT_EQUAL:
    case CEL_OP_LESS:
    case CEL_OP_LESS_EQUAL:
    case CEL_OP_GREATER:
    case CEL_OP_GREATER_EQUAL:
        return eval_relation(e, x, ret);
    case CEL_OP_IN:
        return eval_in(e, x, ret);
    case CEL_OP_ADD:
    case CEL_OP_SUBTRACT:
    case CEL_OP_MULTIPLY:
    case CEL_OP_DIVIDE:
    case CEL_OP_MODULO:
        return eval_arithmetic(e, x, ret);
    }
    UNREACHABLE();
}

int cel_eval(const struct cel_expr *expr, const struct cel_reader *reader, struct cel_value *ret)
{
    struct cel_run e;
    int code;

    e.reader = reader;
    e.n_room = 0;
    code = eval(&e, expr, ret);
    ASSERT(code != 0 || expr->type != CEL_STRING); /* it may lie in the room here */
    return code;
}
