/* Reading of a client's document, telling a wrong type from an absent member and saying where: the
 * place of the value as a path ("messages[3].content[0].image_url.url") and a sentence. Every
 * function answers false once the fault is filled in. Inside src/llm/translate only. */
#pragma once

#include "llm/translate/document.h"
#include "llm/translate/translate.h"

/* A place in a document, kept on the stack of those who read it. The root is NULL. */
struct place {
    const struct place *up;
    const char *key; /* NULL: an element of an array */
    size_t index;
};

enum want {
    WANT_STRING,
    WANT_NUMBER,
    WANT_INTEGER,
    WANT_BOOL,
    WANT_OBJECT,
    WANT_ARRAY,
};

/* One document being read. */
struct reading {
    struct arena *arena;
    struct translate_fault *fault;
};

/* Fills the fault in; always false. `key` may be NULL: the place itself. */
MUST_USE bool reading_fault(const struct reading *r, const struct place *at, const char *key,
                            const char *format, ...) PRINTF(4, 5);
/* A member, or NULL where it is absent or null. */
MUST_USE bool reading_get(const struct reading *r, const struct place *at, const json_t *object,
                          const char *key, enum want want, const json_t **ret_value);
/* The same, of a member that must be there. */
MUST_USE bool reading_need(const struct reading *r, const struct place *at, const json_t *object,
                           const char *key, enum want want, const json_t **ret_value);
/* A string that must be there. */
MUST_USE bool reading_text(const struct reading *r, const struct place *at, const json_t *object,
                           const char *key, struct str *ret_text);
/* The value at a place must have this type. */
MUST_USE bool reading_type(const struct reading *r, const struct place *at, const json_t *value,
                           enum want want);
/* The document itself. `*ret_root` is NULL unless true. */
MUST_USE bool reading_load(const struct reading *r, struct str text, json_t **ret_root);
