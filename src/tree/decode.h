/* The generic table decoder: from nodes to typed structs, by tables of fields that carry their own
 * documentation. One table per struct; unknown, duplicate, missing, mistyped and out-of-range
 * fields are reported with their place; fields that the API knows and Tollgate does not support are
 * named as such.
 * The tables' rows are written with the macros of tree/field.h. */
#pragma once

#include "base/vec.h"
#include "tree/diag.h"
#include "tree/value.h"

enum field_flags {
    FIELD_REQUIRED = 1,
    FIELD_DEPRECATED = 2,   /* a note "older form" */
    FIELD_NOT_ENFORCED = 4, /* decoded; a warning "not enforced yet" wherever it is given */
    FIELD_SECRET = 8,       /* value never printed in diagnostics */
    FIELD_NON_EMPTY = 16,   /* string or list must not be empty */
    FIELD_IS_UNSUPPORTED = 32,
};

struct decoder {
    struct diag_list *diags;
    struct arena *arena;
    struct str object; /* for diagnostics */
    struct buf path;   /* current field path */
    bool has_error;    /* sticky: some error in this object */
};

struct field;
struct table;
/* Writes into `slot` or reports. */
typedef void decode_fn(struct decoder *d, const struct field *f, const struct node *node,
                       void *slot);

struct int_range {
    int64_t min;
    int64_t max;
};
struct enum_names {
    const char *const *names; /* NULL-terminated; the value is the index */
};

struct field {
    const char *key;
    decode_fn *decode;
    size_t offset;
    unsigned flags;
    const void *arg;
    const char *doc;
};

struct table {
    const char *name; /* struct name, for the generated reference */
    size_t size;
    const struct field *fields;
    size_t n_fields;
    /* Optional: called after the fields, for rules across fields (oneof, defaults). */
    void (*check)(struct decoder *d, const struct node *node, void *object);
};

decode_fn decode_str, decode_bool, decode_int, decode_double, decode_enum, decode_duration,
    decode_quantity, decode_str_list, decode_text_map, decode_object, decode_list, decode_inline,
    decode_raw, decode_int_or_str, decode_header_name, decode_regex;

void decoder_init(struct decoder *d, struct diag_list *diags, struct arena *a, struct str object);
void decoder_deinit(struct decoder *d);
/* Goes down into `.key` or `[index]` for what is decoded by hand; the result restores the path. */
size_t decode_enter_key(struct decoder *d, const char *key);
size_t decode_enter_index(struct decoder *d, size_t index);
void decode_leave(struct decoder *d, size_t mark);
/* Decodes `node` into `object` (zeroed, table->size bytes, its first member a struct mark). */
void decode_struct(struct decoder *d, const struct table *table, const struct node *node,
                   void *object);
/* For decoders and checks: an error at `node`'s place under the current path, plus `.key` when
 * given. */
struct diag *decode_error(struct decoder *d, enum diag_code code, const struct node *node,
                          const char *key, const char *format, ...) PRINTF(5, 6);
struct diag *decode_warning(struct decoder *d, enum diag_code code, const struct node *node,
                            const char *key, const char *format, ...) PRINTF(5, 6);
struct diag *decode_note(struct decoder *d, enum diag_code code, const struct node *node,
                         const char *key, const char *format, ...) PRINTF(5, 6);
/* "a whole number", "a string", "an object", ...: what a node is, for messages. */
const char *decode_type_text(const struct node *node);
/* Strict Go duration (GEP-2257: at most four parts of up to five digits, h m s ms), also with
 * fractions and the units us and ns, as Envoy Gateway's metav1.Duration allows. */
bool decode_duration_text(struct str s, uint64_t *ret_us);
/* NULL when `pattern` compiles as an anchored PCRE2 pattern within LIMIT_REGEX_BYTES, else why not
 * (text in `arena`). */
const char *decode_regex_problem(struct str pattern, struct arena *arena);
/* The nearest of `n` names to `wanted` within a third of its length (at least 1, at most 3), or
 * NULL. */
const char *decode_nearest(struct str wanted, const char *const *names, size_t n);

#include "tree/field.h"
