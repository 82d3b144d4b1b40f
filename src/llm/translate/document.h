/* JSON documents from outside, as jansson trees: what is too large, too deep or has too many values
 * is refused before memory is asked for. Only for translation, where a tree is needed; what merely
 * looks for a value scans. Pure; any thread. */
#pragma once

#include <jansson.h>

#include "base/str.h"

/* Conditions of document_load. */
enum document_condition {
    DOCUMENT_TOO_LARGE = 1, /* LIMIT_TRANSLATE_BYTES */
    DOCUMENT_TOO_DEEP,      /* LIMIT_TRANSLATE_DEPTH */
    DOCUMENT_TOO_MANY,      /* LIMIT_TRANSLATE_VALUES */
    DOCUMENT_NOT_JSON, /* RFC 8259, UTF-8, no key twice in an object, numbers that fit 64 bits */
    DOCUMENT_NOT_OBJECT,
};

/* An object. `*ret_root` is NULL unless 0; the caller decrefs it. */
MUST_USE int document_load(struct str text, json_t **ret_root);
/* Without JSON's white space at both ends. */
struct str document_trim(struct str text);
/* A sentence for a condition. */
struct str document_sentence(int condition);

/* For AUTO(document_free): drops the reference that the variable holds. */
static inline void document_free(json_t **root)
{
    json_decref(*root);
}

/* Readers for answers, where what has the wrong type counts as absent: `key` of an object. All
 * take NULL for the object. */
/* Empty, with a NULL pointer, when there is no such string. */
struct str document_str(const json_t *object, const char *key);
/* NULL unless it is an object. */
const json_t *document_object(const json_t *object, const char *key);
/* NULL unless it is an array. */
const json_t *document_array(const json_t *object, const char *key);
/* A whole number from 0 to LIMIT_USAGE_TOKENS, as counts and indexes are; false, and nothing
 * written, for all else. */
bool document_count(const json_t *object, const char *key, uint64_t *ret_count);
bool document_is_true(const json_t *object, const char *key);

static inline struct str document_text(const json_t *string)
{
    return str_make(json_string_value(string), json_string_length(string));
}
