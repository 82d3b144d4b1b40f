/* Inside of cel*.c only: tokens, the tree. */
#pragma once

#include "cel/cel.h"

enum cel_op {
    CEL_OP_LITERAL,
    CEL_OP_READ, /* a variable, or a map at a key */
    CEL_OP_HAS,  /* whether that has a value */
    CEL_OP_NOT,
    CEL_OP_NEGATE,
    CEL_OP_CONVERT, /* to the node's type */
    CEL_OP_STARTS_WITH,
    CEL_OP_ENDS_WITH,
    CEL_OP_CONTAINS,
    CEL_OP_MATCHES,
    CEL_OP_IF,
    /* From here on binary operators, weakest first. */
    CEL_OP_OR,
    CEL_OP_AND,
    CEL_OP_EQUAL,
    CEL_OP_NOT_EQUAL,
    CEL_OP_LESS,
    CEL_OP_LESS_EQUAL,
    CEL_OP_GREATER,
    CEL_OP_GREATER_EQUAL,
    CEL_OP_IN,
    CEL_OP_ADD,
    CEL_OP_SUBTRACT,
    CEL_OP_MULTIPLY,
    CEL_OP_DIVIDE,
    CEL_OP_MODULO,
};

/* A node; the root is the expression. Immutable. */
struct cel_expr {
    enum cel_op op;
    enum cel_type type;
    uint32_t depth;
    uint32_t n_items; /* CEL_OP_IN */
    union {
        struct cel_value value;          /* CEL_OP_LITERAL */
        const struct cel_expr *child[3]; /* operands; CEL_OP_IF: condition, then, else */
        struct {
            const struct cel_expr *left; /* CEL_OP_IN, CEL_OP_MATCHES */
            const struct cel_value *items;
            const void *pattern;
        };
        struct {
            unsigned id; /* CEL_OP_READ, CEL_OP_HAS */
            struct str key;
        };
    };
};

enum cel_token_type {
    CEL_TOKEN_END,
    CEL_TOKEN_MARK, /* an operator or bracket: `mark` */
    CEL_TOKEN_NAME, /* `text` */
    CEL_TOKEN_STRING,
    CEL_TOKEN_NUMBER, /* int: as value.u, so that the sign in front can be taken into account */
};

#define CEL_MARK(a, b) ((unsigned)(a) << 8 | (unsigned)(b))

struct cel_token {
    enum cel_token_type type;
    unsigned mark; /* the character, or CEL_MARK of two */
    size_t offset;
    struct str text; /* as written */
    struct cel_value value;
};

struct cel_lexer {
    struct arena *arena;
    struct str text;
    size_t at;
    struct cel_token token; /* the one to look at */
    char *room;             /* of text.len bytes, for the strings: none is longer than written */
    size_t n_room;
    struct cel_error *error;
};

void cel_lexer_note(struct cel_lexer *l, size_t offset, const char *format, ...) PRINTF(3, 4);
/* Notes the error, and is CEL_INVALID: a constant, for whoever reads the code by machine. */
#define cel_lexer_fail(...) (cel_lexer_note(__VA_ARGS__), (int)CEL_INVALID)
/* The next token becomes l->token. */
MUST_USE int cel_lexer_next(struct cel_lexer *l);
/* Of cel_eval.c: -1, 0, 1; 2 when a NaN takes part. Both are numbers, bools or strings. */
int cel_value_compare(const struct cel_value *a, const struct cel_value *b);

struct cel_parser {
    struct cel_lexer lexer;
    const struct cel_scope *scope;
    unsigned depth;
};

/* Of cel.c: the pieces of a parser. */
bool cel_at_mark(const struct cel_parser *p, unsigned mark);
bool cel_is_number(enum cel_type type);
MUST_USE int cel_unexpected(struct cel_parser *p, const char *wanted);
MUST_USE int cel_expect(struct cel_parser *p, char mark, const char *wanted);
MUST_USE int cel_expr_new(struct cel_parser *p, const struct cel_expr *from, size_t offset,
                          struct cel_expr **ret);
MUST_USE int cel_expr_unary(struct cel_parser *p, enum cel_op op, enum cel_type type, size_t offset,
                            struct cel_expr **io);
MUST_USE int cel_parse_expr(struct cel_parser *p, struct cel_expr **ret);

/* Of cel_name.c. */

/* A variable or a call; the token is the name. */
MUST_USE int cel_parse_name(struct cel_parser *p, struct cel_expr **ret);
/* Behind "in": a map, whose last key is `*io`, what is looked for; it stands at `offset`. */
MUST_USE int cel_parse_in_map(struct cel_parser *p, size_t offset, struct cel_expr **io);
/* Behind a value and a dot; the token is the method's name. */
MUST_USE int cel_parse_method(struct cel_parser *p, struct cel_expr **io);
