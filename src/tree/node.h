/* A YAML or JSON document as nodes that remember where they stood. Immutable once read; lives in
 * the arena of the load. */
#pragma once

#include "base/arena.h"

struct mark {
    const char *file; /* as given on the command line or found in a folder; NULL: nowhere */
    uint32_t line;    /* from 1; 0: the file as a whole */
    uint32_t column;  /* from 1 */
};

enum node_type {
    NODE_NULL,
    NODE_SCALAR,
    NODE_MAP,
    NODE_LIST,
};

enum { NODE_LINES = '|' };

struct node_entry;

struct node {
    enum node_type type;
    bool is_quoted; /* scalar written with quotes or as a block: always a string */
    /* NODE_SCALAR of one line: its quote, 0 for none; NODE_LINES: a block, or of several lines */
    char quote;
    struct mark mark;
    struct str text; /* NODE_SCALAR; NUL-terminated behind its length */
    /* NODE_MAP: entries; NODE_LIST: items */
    struct node_entry *entries;
    struct node **items;
    size_t n;
};

struct node_entry {
    struct str key;
    struct mark mark; /* of the key */
    struct node *value;
};

/* The value under `key`, NULL when absent or when `n` is no map. */
const struct node *node_find(const struct node *n, const char *key);
/* Scalar text under key or STR_NULL. */
struct str node_text(const struct node *n, const char *key);
/* YAML core schema on plain scalars. */
bool node_is_null(const struct node *n);
bool node_to_bool(const struct node *n, bool *ret_value);
bool node_to_int(const struct node *n, int64_t *ret_value);
bool node_to_double(const struct node *n, double *ret_value);
