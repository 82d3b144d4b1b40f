/* Inside of cost_expr*.c only: values, tokens, the tree. */
#pragma once

#include "llm/cost_expr.h"

enum cost_value_type {
    COST_VALUE_BOOL,
    COST_VALUE_INT,
    COST_VALUE_UINT,
    COST_VALUE_DOUBLE,
    COST_VALUE_STRING,
};

/* The type of a value is known when it is parsed: a node's, or a literal's in a list. */
struct cost_value {
    enum cost_value_type type;
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double d;
        struct str s;
    };
};

enum cost_op {
    COST_OP_LITERAL,
    COST_OP_COUNT, /* a uint of the input, by offset */
    COST_OP_TEXT,  /* a string of the input, by offset */
    COST_OP_NOT,
    COST_OP_NEGATE,
    COST_OP_CONVERT, /* to the node's type */
    COST_OP_STARTS_WITH,
    COST_OP_ENDS_WITH,
    COST_OP_CONTAINS,
    COST_OP_IF,
    /* From here on binary operators, weakest first. */
    COST_OP_OR,
    COST_OP_AND,
    COST_OP_EQUAL,
    COST_OP_NOT_EQUAL,
    COST_OP_LESS,
    COST_OP_LESS_EQUAL,
    COST_OP_GREATER,
    COST_OP_GREATER_EQUAL,
    COST_OP_IN,
    COST_OP_ADD,
    COST_OP_SUBTRACT,
    COST_OP_MULTIPLY,
    COST_OP_DIVIDE,
    COST_OP_MODULO,
};

/* A node; the root is the expression. Immutable. */
struct cost_expr {
    enum cost_op op;
    enum cost_value_type type;
    uint32_t depth;
    uint32_t n_items; /* COST_OP_IN */
    union {
        struct cost_value value;          /* COST_OP_LITERAL */
        size_t offset;                    /* COST_OP_COUNT, COST_OP_TEXT: in struct cost_input */
        const struct cost_expr *child[3]; /* operands; COST_OP_IF: condition, then, else */
        struct {
            const struct cost_expr *left; /* COST_OP_IN */
            const struct cost_value *items;
        };
    };
};

enum cost_token_type {
    COST_TOKEN_END,
    COST_TOKEN_MARK, /* an operator or bracket: `mark` */
    COST_TOKEN_NAME, /* `text` */
    COST_TOKEN_STRING,
    COST_TOKEN_NUMBER, /* int: as value.u, so that the sign in front can be taken into account */
};

#define COST_MARK(a, b) ((unsigned)(a) << 8 | (unsigned)(b))

struct cost_token {
    enum cost_token_type type;
    unsigned mark; /* the character, or COST_MARK of two */
    size_t offset;
    struct str text; /* as written */
    struct cost_value value;
};

struct cost_lexer {
    struct arena *arena;
    struct str text;
    size_t at;
    struct cost_token token; /* the one to look at */
    char *room;              /* of text.len bytes, for the strings: none is longer than written */
    size_t n_room;
    struct cost_expr_error *error;
};

void cost_lexer_note(struct cost_lexer *l, size_t offset, const char *format, ...) PRINTF(3, 4);
/* Notes the error, and is COST_EXPR_INVALID: a constant, for whoever reads the code by machine. */
#define cost_lexer_fail(...) (cost_lexer_note(__VA_ARGS__), (int)COST_EXPR_INVALID)
/* The next token becomes l->token. */
MUST_USE int cost_lexer_next(struct cost_lexer *l);
/* Of cost_expr_eval.c: -1, 0, 1; 2 when a NaN takes part. Both are numbers, bools or strings. */
int cost_value_compare(const struct cost_value *a, const struct cost_value *b);
