/* The slots that decoders write: scalars that may be absent, and lists of the commonest items. */
#pragma once

#include "tree/node.h"

/* Scalars that may be absent. */
struct opt_bool {
    bool is_set;
    bool value;
};
struct opt_int {
    bool is_set;
    int64_t value;
};
struct opt_double {
    bool is_set;
    double value;
};
/* A Kubernetes quantity that is a whole number: "32Ki", "1M". */
MUST_USE bool quantity_parse(struct str s, int64_t *ret_value);

struct opt_duration {
    bool is_set;
    uint64_t us;
};

struct text_pair {
    struct mark mark; /* of the key */
    struct str key;
    struct str value;
    struct mark value_mark; /* file NULL: there is none */
    char value_quote;       /* as a node's */
};

/* Named vectors of the two commonest items; VEC_* macros work on them too. */
struct str_vec {
    struct str *items;
    size_t n;
    size_t cap;
};
struct text_pair_vec {
    struct text_pair *items;
    size_t n;
    size_t cap;
};
struct generic_vec {
    void *items;
    size_t n;
    size_t cap;
};
