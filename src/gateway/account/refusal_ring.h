/* The last refusals of one worker, for who watches: what was refused, to whom and why, without
 * headers, queries and credentials, and with what asks about it again (admin /explain). The worker
 * writes on a refusal and on nothing else, and never waits; control reads when it likes. A text
 * that is cut to its room ends in an ellipsis, and is what a client wrote: whoever shows it escapes
 * it.
 *
 * Each record has a number that is odd while it is written. Its words are atomics: a reader that
 * sees one of a newer record sees its number too, and takes the record for lost. */
#pragma once

#include "base/str.h"
#include "gateway/refusal.h"

/* Texts of a record: member, and of how many bytes. The sum is a multiple of 8. */
#define REFUSAL_NOTE_TEXTS(X)                                                                      \
    X(method, 16)                                                                                  \
    X(host, 128)                                                                                   \
    X(path, 160)  /* without its query; "redacted" where it holds a token */                       \
    X(client, 48) /* the peer's address */                                                         \
    X(listener, 128)                                                                               \
    X(route, 160)                                                                                  \
    X(tenant, 64) /* of a verified claim */                                                        \
    X(model, 64)                                                                                   \
    X(detail, 160)  /* for the operator alone: which rule or policy it was */                      \
    X(message, 160) /* what the client was told */

enum {
    REFUSAL_NOTE_BYTES = 0
#define X(member, bytes) +bytes
    REFUSAL_NOTE_TEXTS(X)
#undef X
};

struct refusal_note {
    int64_t wall_us; /* when the exchange began */
    enum refusal refusal;
    uint16_t status;
    uint16_t port; /* the listener's; 0: the client was gone before it was told */
    bool is_tls;
#define X(member, bytes) struct str member;
    REFUSAL_NOTE_TEXTS(X)
#undef X
    char room[REFUSAL_NOTE_BYTES]; /* of one that was read: where its texts are */
};

struct refusal_ring;

struct refusal_ring *refusal_ring_new(void);
void refusal_ring_free(struct refusal_ring *r); /* NULL is nothing */
/* The worker's. `note->room` is not looked at. */
void refusal_ring_note(struct refusal_ring *r, const struct refusal_note *note);
/* How many there have been. Any thread; so the next. */
uint64_t refusal_ring_count(const struct refusal_ring *r);
/* The one before which there were `number`. False: it is there no more, or not yet. */
bool refusal_ring_read(const struct refusal_ring *r, uint64_t number, struct refusal_note *ret);
