/* Changing a few top-level fields of a request's JSON while every other byte stays as the client
 * wrote it: the model's name, AIServiceBackend's body mutations, and the wish for usage in a stream.
 * Works on the text that request_scan has found good. Pure; any thread. */
#pragma once

#include "base/arena.h"
#include "llm/request_scan.h"

/* One field of a body mutation, compiled once with its configuration. */
struct body_field {
    struct str name;  /* as it is; compared with names that the client may have spelt in escapes */
    struct str value; /* JSON */
};

struct body_edit {
    struct str model; /* in place of the client's; ptr NULL: as it is */
    bool asks_usage;  /* "stream_options":{"include_usage":true} */
    const struct body_field *set;
    size_t n_set;
    const struct str *remove; /* names */
    size_t n_remove;
};

/* Conditions of body_edit_model_prefix. */
enum body_edit_condition {
    BODY_EDIT_NOT_HELD = 1, /* the model's value does not lie in the prefix as a whole */
};

/* `value` as it stands in a manifest: JSON, or else text, which becomes a JSON string. Borrows from
 * the arguments and the arena. */
struct body_field body_field_make(struct arena *arena, struct str name, struct str value);

/* Appends `body`, of which `scan` has seen all and found no fault, with the edits done. Fields that
 * are set or removed win over the two other edits, as the operator named them. A field is set where
 * it stands; what stood nowhere comes first. Doubles of a field go. */
void body_edit_apply(const struct body_edit *edit, const struct request_scan *scan, struct str body,
                     struct buf *out);

/* For a body that is sent on while it still comes: appends `held`, its beginning, with the model
 * replaced. 0 or enum body_edit_condition, then nothing is appended. */
MUST_USE int body_edit_model_prefix(const struct request_scan *scan, struct str held,
                                    struct str model, struct buf *out);
