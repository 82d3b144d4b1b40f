/* Expressions in the part of CEL (Common Expression Language, language definition) that manifests
 * need: costs of AI requests, matches of access logs. Which variables there are is a scope's
 * business, what they are worth its reader's.
 *
 * Literals: int, uint (`3u`), double, string (all escapes, raw and triple-quoted), true, false.
 * Operators: `+ - * / %`, `== != < <= > >=`, `in [literals]`, `&& || !`, unary `-`, `? :`.
 * Maps: `map['key']`, `map.key` and `'key' in map`, the key a literal.
 * Functions: `int() uint() double()` of numbers; `duration('1.5s')`; `has(variable)`;
 * `.startsWith() .endsWith() .contains()`, and `.matches('pattern')` where the scope knows
 * patterns. As in CEL, arithmetic does not mix number types, comparison does.
 *
 * Parsing: the compile thread, into an arena; the tree borrows nothing from the text and is
 * immutable. Evaluation: any thread, no allocation, no loops but over literals. */
#pragma once

#include "base/arena.h"

enum cel_type { CEL_BOOL, CEL_INT, CEL_UINT, CEL_DOUBLE, CEL_STRING, CEL_DURATION };

/* The type of a value is known when it is parsed: a node's, or a literal's in a list. */
struct cel_value {
    enum cel_type type;
    union {
        bool b;
        int64_t i; /* CEL_DURATION: nanoseconds */
        uint64_t u;
        double d;
        struct str s;
    };
};

enum cel_condition {
    CEL_INVALID = 1,    /* parse: malformed or ill-typed */
    CEL_OVERFLOW,       /* a number leaves the range of its type, or is not finite */
    CEL_DIVIDE_BY_ZERO, /* of int or uint; doubles give an infinity, as IEEE 754 says */
    CEL_TEXT_TOO_LONG,  /* texts joined by `+` exceed LIMIT_CEL_TEXT_BYTES */
    CEL_NO_VALUE,       /* of a variable, or of a map at this key */
    CEL_PATTERN_LIMIT,  /* a pattern took more work than is allowed */
    CEL_CONDITION_END_,
};

/* A name that expressions know. */
struct cel_variable {
    const char *name; /* "request.headers": its dots are part of it */
    enum cel_type type;
    unsigned n_keys; /* 0; of a map: how many keys lead to a value of `type` */
    unsigned id;     /* for the reader */
};

enum cel_verdict { CEL_MISS, CEL_HIT, CEL_LIMIT };

/* What expressions of one kind can say. Static. */
struct cel_scope {
    const struct cel_variable *variables;
    size_t n_variables;
    const char *hint; /* which variables there are, as part of a sentence */
    /* A literal key, or several joined by ":": into the form that the reader wants. The type is the
     * variable's unless it is changed. False: no such key can ever be. NULL: as written. */
    bool (*take_key)(struct arena *arena, unsigned id, struct str *io_key, enum cel_type *io_type);
    /* NULL: there is no `.matches()`. False: no pattern, `*ret_why` says why. */
    bool (*take_pattern)(struct arena *arena, struct str pattern, const void **ret_pattern,
                         struct str *ret_why);
};

/* What the variables are worth now. */
struct cel_reader {
    const void *context;
    /* False: it has no value now. Of a map: that at `key`. `ret->type` is set already. */
    bool (*read)(const void *context, unsigned id, struct str key, struct cel_value *ret);
    enum cel_verdict (*match)(const void *pattern, struct str text); /* by `take_pattern` */
};

struct cel_expr;

/* Where and why an expression is refused. */
struct cel_error {
    size_t offset;   /* bytes before the place, in the text */
    struct str text; /* a sentence without its full stop; in the arena of the parse */
};

/* 0, or CEL_INVALID with `*ret_error`. Time and memory are linear in the text, which may have
 * LIMIT_CEL_BYTES. */
MUST_USE int cel_parse(struct arena *arena, const struct cel_scope *scope, struct str text,
                       const struct cel_expr **ret, struct cel_error *ret_error);
/* Of the result. */
enum cel_type cel_expr_type(const struct cel_expr *expr);
/* "uint". */
const char *cel_type_name(enum cel_type type);
/* 0, or a condition other than CEL_INVALID. A text may borrow from what was read. */
MUST_USE int cel_eval(const struct cel_expr *expr, const struct cel_reader *reader,
                      struct cel_value *ret);
