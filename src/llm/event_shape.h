/* The shape of one frame's JSON: the text between the few values that differ from frame to frame of
 * a stream (the content, a sequence number, padding). A frame that differs from one already read in
 * nothing but those values needs no second reading of its structure: it is compared, and its
 * strings and numbers are checked as strictly as json_scan does. Pure; worker-local. */
#pragma once

#include "base/limits.h"
#include "base/str.h"

#define EVENT_SHAPE_SLOTS 4

enum event_slot_kind {
    EVENT_SLOT_TEXT,   /* a string whose bytes count as content */
    EVENT_SLOT_FILLER, /* a string that says nothing */
    EVENT_SLOT_NUMBER, /* a whole number that says nothing */
};

/* A value that may differ: of a string what stands between its quotes. */
struct event_slot {
    enum event_slot_kind kind;
    size_t begin, end; /* in the data */
};

/* Zeroed memory is no shape: nothing matches it. All fields are event_shape.c's own. */
struct event_shape {
    uint8_t n_slots;
    uint8_t kinds[EVENT_SHAPE_SLOTS];
    uint8_t mark_slots; /* slots before the mark */
    uint16_t mark;      /* its distance from the last of those */
    uint16_t
        ends[EVENT_SHAPE_SLOTS + 1]; /* in `text`: of what stands before each slot, and at last */
    char text[LIMIT_EVENT_SHAPE_BYTES];
};

/* Remembers `data`, valid JSON, with `slots` in the order of their places. `mark` is a place in it
 * (in no slot) that a match tells again. Forgets all when it is too long, or has no slot. */
void event_shape_learn(struct event_shape *shape, struct str data, const struct event_slot *slots,
                       unsigned n_slots, size_t mark);
/* True when `data` has the shape. `*ret_text_bytes`: unescaped bytes of its content. False says
 * nothing about `data`: strings with \u escapes, for one, are left to the scan. */
bool event_shape_match(const struct event_shape *shape, struct str data, uint64_t *ret_text_bytes,
                       size_t *ret_mark);
