/* Translation between the APIs of clients and upstreams: OpenAI Chat Completions clients at
 * Anthropic Messages upstreams, and the reverse. Requests and complete answers as documents, event
 * streams as the bytes come; what cannot be translated is refused with the place in the document.
 * Where translate_verdict (path.h) says AS_IS, nothing of this is needed but the path.
 *
 * The bytes are JSON or text/event-stream without a content coding: who translates asks the
 * upstream for `identity`, or decodes. Pure. A struct translate belongs to one exchange. */
#pragma once

#include "base/buf.h"
#include "llm/event_shape.h"
#include "llm/event_stream.h"
#include "llm/translate/error_shape.h"
#include "llm/translate/path.h"

/* Conditions. */
enum translate_condition {
    TRANSLATE_BAD_REQUEST = 1, /* the client's document: 400, in its own API's shape */
    TRANSLATE_BAD_ANSWER,      /* the upstream's is not of its API, or breaks off: 502 */
    TRANSLATE_FAILED,          /* the upstream says in its stream that it failed */
};

/* What is wrong with a client's request. Borrowed from the arena. */
struct translate_fault {
    struct str sentence;
    struct str param; /* "messages[0].content"; empty: the document */
};

/* Counts of an answer, in Anthropic's terms: `input` is without both kinds of cached tokens. */
struct translate_usage {
    uint64_t input;
    uint64_t cache_read;
    uint64_t cache_creation;
    uint64_t output;
};

enum translate_stage {
    TRANSLATE_BEFORE, /* nothing has come yet */
    TRANSLATE_WITHIN, /* the message has begun */
    TRANSLATE_AFTER,  /* it is complete */
    TRANSLATE_BROKEN, /* a condition was returned, and is returned again */
};

struct translator;

struct translate {
    const struct translator *translator;
    uint64_t now_s;   /* seconds since 1970: `created` of OpenAI answers */
    bool is_stream;   /* set by translate_request: the client asked for an event stream */
    bool wants_usage; /* the client asked for a usage chunk (OpenAI) */
    struct buf model; /* as the client named it, for answers that do not */
    /* The state of a stream. */
    enum translate_stage stage;
    int condition; /* of BROKEN */
    struct event_stream events;
    struct buf line; /* data of the frame under way, where it comes in pieces */
    struct buf head; /* members that every chunk repeats (OpenAI); id of the open tool call */
    /* The last frame that was a text delta and nothing else: one of its shape needs no tree. */
    struct event_shape shape;
    size_t shape_tail;    /* its bytes behind the text */
    struct str lone_text; /* of the event being read, if it is such a frame */
    struct translate_usage usage;
    struct str finish; /* stop_reason or finish_reason as the client's API has it; static */
    uint64_t n_blocks; /* content blocks, or tool calls, begun */
    uint64_t place;    /* upstream's index of the open tool call */
    uint8_t open;      /* the translator's own: what is open */
};

/* A translator for this pair, or NULL where translate_verdict is not TRANSLATE_BODIES. */
const struct translator *translate_find(enum ai_endpoint endpoint, enum llm_schema schema);

void translate_init(struct translate *t, const struct translator *translator, uint64_t now_s);
/* Safe on a zeroed one, and twice. */
void translate_deinit(struct translate *t);

/* The request: `body` is complete; `model` is the one served (after modelNameOverride), or empty
 * for the body's own. Appends the upstream's document to `*out`; on TRANSLATE_BAD_REQUEST fills in
 * `*ret_fault` from the arena, and `*out` holds rubbish. */
MUST_USE int translate_request(struct translate *t, struct str body, struct str model,
                               struct arena *arena, struct buf *out,
                               struct translate_fault *ret_fault);

/* A complete JSON answer of status 2xx: appends the client's. TRANSLATE_BAD_ANSWER appends nothing.
 */
MUST_USE int translate_answer(struct translate *t, struct str body, struct buf *out);

/* An event stream: appends what can be said after these bytes. The output is the same at every
 * split of the input. With a condition an error frame in the client's shape has been appended, and
 * nothing more will be: end the answer. */
MUST_USE int translate_feed(struct translate *t, struct str bytes, struct buf *out);
/* The upstream's stream has ended (not: was reset). */
MUST_USE int translate_end(struct translate *t, struct buf *out);

/* An answer of status 4xx or 5xx, whatever its body: appends the client's error document. */
void translate_error(const struct translate *t, unsigned status, struct str body, struct buf *out);
/* The same for a fault of the request (400). */
void translate_fault_write(const struct translate *t, const struct translate_fault *fault,
                           struct buf *out);

/* Request headers that belong to one of the APIs. */
struct translate_headers {
    struct str set_name; /* empty: none */
    struct str set_value;
    const struct str *removes; /* names in lower case */
    size_t n_removes;
};
/* For AS_IS too, where a configured version of Anthropic's API is set. Borrows from the target. */
void translate_headers(enum ai_endpoint endpoint, const struct translate_target *target,
                       struct translate_headers *ret);
