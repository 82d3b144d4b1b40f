/* Small pieces that several Envoy Gateway kinds share: lists of numbers and words, text with its
 * place, string matches, header edits, answers written in a manifest; and the helpers
 * that the kinds' checks are written with. Decoded structs are immutable after load and live in the
 * load's arena. Source: Envoy Gateway API, shared types. */
#pragma once

#include "manifest/ref.h"

#define RANGE(min, max) (&(const struct int_range){(min), (max)})
#define UINT32_RANGE    RANGE(0, UINT32_MAX)

struct empty_object { /* `{}` as a switch: present or not */
    struct mark mark;
};
extern const struct table empty_object_table;

struct int_vec {
    int64_t *items;
    size_t n;
    size_t cap;
};

/* Text that is parsed later (an expression, a log format), with the place for its errors. */
struct marked_text {
    struct mark mark; /* of the value; file NULL: not given */
    char quote;       /* as a node's */
    struct str text;
};
/* The place of a byte of the text. Of a text of several lines, whose indentation is not kept, the
 * place where it begins. */
struct mark marked_text_at(const struct marked_text *t, size_t offset);
struct marked_text_vec {
    struct marked_text *items;
    size_t n;
    size_t cap;
};

/* Decoders for FIELD_OTHER; `arg` as named. */
decode_fn decode_int_list;         /* struct int_vec; struct int_range or NULL */
decode_fn decode_enum_set;         /* uint32_t, bit 1 << index; NULL-terminated names */
decode_fn decode_word_list;        /* struct str_vec of known words; NULL-terminated names */
decode_fn decode_cidr;             /* struct str, ADDRESS/LENGTH; NULL */
decode_fn decode_cidr_list;        /* struct str_vec; NULL */
decode_fn decode_ip;               /* struct str, IPv4 or IPv6; NULL */
decode_fn decode_hostname;         /* struct str, RFC 1123 name, final dot allowed; NULL */
decode_fn decode_header_name_list; /* struct str_vec; NULL */
decode_fn decode_marked_text;      /* struct marked_text; NULL */
decode_fn decode_marked_text_list; /* struct marked_text_vec; NULL */

enum string_match_type { STRING_EXACT, STRING_PREFIX, STRING_SUFFIX, STRING_REGEX };
struct string_match {
    struct mark mark;
    int type; /* enum string_match_type */
    struct str value;
};
extern const struct table string_match_table;
extern const char *const string_match_names[];

struct header_value {
    struct mark mark;
    struct str name;
    struct str value;
};
extern const struct table header_value_table;

/* Edits of a header section, in this order: remove, set, add. */
struct header_edit {
    struct mark mark;
    VEC(struct header_value) set;
    VEC(struct header_value) add;
    VEC(struct header_value) add_if_absent;
    struct str_vec remove;
    VEC(struct string_match) remove_on_match;
};
extern const struct table header_edit_table;

struct fraction {
    struct mark mark;
    struct opt_int numerator;
    struct opt_int denominator; /* set: default 100 */
};
extern const struct table fraction_table;

enum body_source { BODY_INLINE, BODY_VALUE_REF };
struct body_value {
    struct mark mark;
    int type; /* enum body_source */
    struct str inline_text;
    struct local_object_ref *value_ref; /* a ConfigMap; its key response.body, else the first */
};
/* An answer that the gateway gives itself. */
struct custom_response {
    struct mark mark;
    struct opt_int status_code;
    struct str content_type;
    struct body_value *body;
    struct header_edit *header;
};
extern const struct table custom_response_table;

extern const char *const http_method_names[];

/* For checks across fields: NULL-terminated keys of which so many must be given in `node`. */
void check_max_items(struct decoder *d, const struct node *node, const char *key, size_t max);
/* `pattern`, the value of `key`, must be a valid one. */
void check_regex(struct decoder *d, const struct node *node, const char *key, struct str pattern);
void check_exactly_one(struct decoder *d, const struct node *node, const char *const *keys);
void check_at_most_one(struct decoder *d, const struct node *node, const char *const *keys);
void check_at_least_one(struct decoder *d, const struct node *node, const char *const *keys);
/* A union told apart by `type` (index of `names`; -1: nothing to check): keys[type] must be given
 * and, where `is_strict`, no other key. A NULL key: that type has none; ends with `names`. */
void check_union(struct decoder *d, const struct node *node, int type, const char *const *names,
                 const char *const *keys, bool is_strict);
