/* Rows of decoding tables; tree/decode.h brings them in.
 *
 *   struct http_route_rule {
 *       struct mark mark;                  // every decoded struct begins with its mark
 *       struct str name;
 *       VEC(struct http_route_match) matches;
 *       struct http_route_timeouts *timeouts;   // NULL when absent
 *   };
 *   static const struct field http_route_rule_fields[] = {
 *       FIELD_STR(http_route_rule, name, "name", 0, "Name of the rule, unique in the route."),
 *       FIELD_LIST(http_route_rule, matches, "matches", 0, http_route_match, "Any of these."),
 *       FIELD_OBJECT(http_route_rule, timeouts, "timeouts", 0, http_route_timeouts, "Limits."),
 *       FIELD_UNSUPPORTED("sessionPersistence", "Sticky sessions."),
 *   };
 *   const struct table http_route_rule_table = TABLE(http_route_rule);
 *
 * Each macro checks at compile time that the member has the type its decoder writes. */
#pragma once

#include "tree/decode.h"

#define FIELD_SLOT_(type, member) ((struct type *)NULL)->member
/* Compile-time: offset of the member, after checking that a pointer to it is of type `want`. */
#define FIELD_AT_(type, member, want)                                                              \
    (offsetof(struct type, member) +                                                               \
     0 * sizeof(char[_Generic(&FIELD_SLOT_(type, member), want : 1)]))

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
                0 * sizeof(char[_Generic(FIELD_SLOT_(type, member).items, struct elem * : 1)]),    \
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
