/* What two gateways say to each other while one takes over from the other: whole messages
 * (SOCK_SEQPACKET) of a head, with magic, version and kind, and a content. Numbers are
 * little-endian, texts have their length in front. Pure: bytes in, values out; whatever the bytes
 * are.
 *
 *     taker: HELLO                                   giver: WELCOME (its pid) or REFUSED (why)
 *     taker: READY (its configuration is compiled)   giver: SOCKET..., RECORDS..., STATE_END
 *     taker: COMMIT                                  giver: GO (it accepts nothing any more)
 *     then the giver: RECORDS, until it ends         taker: GRANT (to one who waits there)
 *
 * HELLO comes with one end of a channel of its own, by which the giver's workers ask from COMMIT on
 * whether a request has budget, and a place at a backend: ASK, ASK_PLACE; the taker answers:
 * ANSWER.
 */
#pragma once

#include "base/buf.h"

enum { WIRE_VERSION = 3, WIRE_HEAD_BYTES = 8 };

enum wire_kind {
    WIRE_HELLO = 1,
    WIRE_WELCOME,
    WIRE_REFUSED,
    WIRE_READY,
    WIRE_SOCKET,  /* with one descriptor (SCM_RIGHTS) */
    WIRE_RECORDS, /* pairs of texts: the name of a state's provider (state.h), and a record of it */
    WIRE_STATE_END,
    WIRE_COMMIT,
    WIRE_GO,
    WIRE_ASK, /* ask.h */
    WIRE_ANSWER,
    WIRE_ASK_PLACE, /* ask_place.h; so the next */
    WIRE_GRANT,
    WIRE_KINDS,
};

struct wire_message {
    enum wire_kind kind;
    struct str content; /* borrowed */
};

enum wire_result {
    WIRE_BAD = 1,       /* not of this form */
    WIRE_OTHER_VERSION, /* a form of another version's */
};

/* 0 or a condition. */
MUST_USE int wire_parse(struct str bytes, struct wire_message *ret);
void wire_put_head(struct buf *out, enum wire_kind kind);

void wire_put_u32(struct buf *out, uint32_t value);
void wire_put_u64(struct buf *out, uint64_t value);
void wire_put_text(struct buf *out, struct str text);

/* Reads on after a fault, zeros and nothing: asked once at the end. */
struct wire_reader {
    struct str rest;
    bool is_bad;
};

uint32_t wire_get_u32(struct wire_reader *r);
uint64_t wire_get_u64(struct wire_reader *r);
/* Borrowed. */
struct str wire_get_text(struct wire_reader *r);
struct str wire_get_bytes(struct wire_reader *r, size_t n);
/* All was there, and nothing is left. */
static inline bool wire_is_done(const struct wire_reader *r)
{
    return !r->is_bad && r->rest.len == 0;
}
