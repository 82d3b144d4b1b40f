/* The generic table decoder: from nodes to typed structs, by tables of fields that carry their own
 * documentation. One table per struct; unknown, duplicate, missing, mistyped and out-of-range
 * fields are reported with their place; fields that the API knows and Tollgate does not support are
 * named as such.
 *
 *   struct http_route_rule {
 *       struct mark mark;                  // every decoded struct begins with its mark
 *       struct str name;
 *       VEC(struct http_route_match) matches;
 *       struct http_route_timeouts *timeouts;   // NULL when absent
 *   };
 *   static const struct field http_route_rule_fields[] = {
 *       FIELD_STR(http_route_rule, name, "name", 0, "Name of the rule, unique in the route."),
 *       FIELD_LIST(http_route_rule, matches, "matches", 0, http_route_match, "Any of these must
 * hold."), FIELD_OBJECT(http_route_rule, timeouts, "timeouts", 0, http_route_timeouts, "Time
 * limits."), FIELD_UNSUPPORTED("sessionPersistence", "Sticky sessions."),
 *   };
 *   const struct table http_route_rule_table = TABLE(http_route_rule);
 *
 * Each macro checks at compile time that the member has the type its decoder writes. */
#pragma once

#include "base/vec.h"
#include "tree/diag.h"
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
struct opt_duration {
    bool is_set;
    uint64_t us;
};

struct text_pair {
    struct mark mark;
    struct str key;
    struct str value;
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

#define FIELD_SLOT_(type, member) ((struct type *)NULL)->member
/* Compile-time: offset of the member, after checking that a pointer to it is of type `want`. */
#define FIELD_AT_(type, member, want)                                                              \
    (offsetof(struct type, member) + 0 * sizeof(_Generic(&FIELD_SLOT_(type, member), want : 1)))

#define FIELD_STR(type, member, key, flags, doc)                                                   \
    {                                                                                              \
        key, decode_str, FIELD_AT_(type, member, struct str *), flags, NULL, doc                   \
    }
#define FIELD_BOOL(type, member, key, flags, doc)                                                  \
    {                                                                                              \
        key, decode_bool, FIELD_AT_(type, member, struct opt_bool *), flags, NULL, doc             \
    }
/* `range`: &(const struct int_range){min, max} or NULL */
#define FIELD_INT(type, member, key, flags, range, doc)                                            \
    {                                                                                              \
        key, decode_int, FIELD_AT_(type, member, struct opt_int *), flags, range, doc              \
    }
#define FIELD_DOUBLE(type, member, key, flags, doc)                                                \
    {                                                                                              \
        key, decode_double, FIELD_AT_(type, member, struct opt_double *), flags, NULL, doc         \
    }
/* member is `int`, -1 when absent (set by decode_object before the fields); names: NULL-terminated
 * array */
#define FIELD_ENUM(type, member, key, flags, names, doc)                                           \
    {                                                                                              \
        key, decode_enum, FIELD_AT_(type, member, int *), flags, names, doc                        \
    }
/* Go duration: "1h30m", "10s", "500ms" (GEP-2257) */
#define FIELD_DURATION(type, member, key, flags, doc)                                              \
    {                                                                                              \
        key, decode_duration, FIELD_AT_(type, member, struct opt_duration *), flags, NULL, doc     \
    }
/* Kubernetes quantity ("32Ki", "1M") as a whole number */
#define FIELD_QUANTITY(type, member, key, flags, doc)                                              \
    {                                                                                              \
        key, decode_quantity, FIELD_AT_(type, member, struct opt_int *), flags, NULL, doc          \
    }
#define FIELD_STRS(type, member, key, flags, doc)                                                  \
    {                                                                                              \
        key, decode_str_list, FIELD_AT_(type, member, struct str_vec *), flags, NULL, doc          \
    }
/* map of strings */
#define FIELD_TEXT_MAP(type, member, key, flags, doc)                                              \
    {                                                                                              \
        key, decode_text_map, FIELD_AT_(type, member, struct text_pair_vec *), flags, NULL, doc    \
    }
/* member: struct elem * (NULL when absent); table: elem_table */
#define FIELD_OBJECT(type, member, key, flags, elem, doc)                                          \
    {                                                                                              \
        key, decode_object, FIELD_AT_(type, member, struct elem **), flags, &elem##_table, doc     \
    }
/* member: struct elem, in place */
#define FIELD_INLINE(type, member, key, flags, elem, doc)                                          \
    {                                                                                              \
        key, decode_inline, FIELD_AT_(type, member, struct elem *), flags, &elem##_table, doc      \
    }
/* member: VEC(struct elem) */
#define FIELD_LIST(type, member, key, flags, elem, doc)                                            \
    {                                                                                              \
        key, decode_list,                                                                          \
            offsetof(struct type, member) +                                                        \
                0 * sizeof(_Generic(FIELD_SLOT_(type, member).items, struct elem * : 1)),          \
            flags, &elem##_table, doc                                                              \
    }
/* member: const struct node *, kept as it stands */
#define FIELD_RAW(type, member, key, flags, doc)                                                   \
    {                                                                                              \
        key, decode_raw, FIELD_AT_(type, member, const struct node **), flags, NULL, doc           \
    }
/* Whole number or string, kept as text (Kubernetes IntOrString) */
#define FIELD_INT_OR_STR(type, member, key, flags, doc)                                            \
    {                                                                                              \
        key, decode_int_or_str, FIELD_AT_(type, member, struct str *), flags, NULL, doc            \
    }
/* Any decoder of your own */
#define FIELD_OTHER(type, member, key, flags, fn, arg, doc)                                        \
    {                                                                                              \
        key, fn, offsetof(struct type, member), flags, arg, doc                                    \
    }
/* The API knows it, Tollgate does not support it: a warning by name */
#define FIELD_UNSUPPORTED(key, doc)                                                                \
    {                                                                                              \
        key, NULL, 0, FIELD_IS_UNSUPPORTED, NULL, doc                                              \
    }

#define TABLE(type)                                                                                \
    {                                                                                              \
#type, sizeof(struct type), type##_fields, N_ELEMENTS(type##_fields), NULL                 \
    }
#define TABLE_CHECKED(type, check_fn)                                                              \
    {                                                                                              \
#type, sizeof(struct type), type##_fields, N_ELEMENTS(type##_fields), check_fn             \
    }

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
