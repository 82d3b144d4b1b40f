/* The meter: reads an answer of an AI endpoint as it passes (decoder.h first, where it is
 * compressed): usage, the model that served, where content begins, errors, the end. One linear pass
 * over JSON or an event stream, without allocation. Verdicts are the same at every split of the
 * input. Pure; worker-local. */
#pragma once

#include "base/limits.h"
#include "llm/answer_paths.h"
#include "llm/event_shape.h"
#include "llm/event_stream.h"
#include "llm/json/json_scan.h"
#include "llm/usage.h"

enum answer_kind {
    ANSWER_JSON,
    ANSWER_EVENTS, /* text/event-stream */
    ANSWER_OTHER,  /* not read: its bytes are counted */
};

#define ANSWER_FINISH_BYTES 24

/* What has been read so far; true during the stream, and final after answer_scan_end. */
struct answer_facts {
    uint64_t n_frames;     /* of an event stream, those with data */
    uint64_t n_unreadable; /* of these: no JSON, ambiguous, or longer than is read */
    uint64_t text_bytes; /* content: text, reasoning, refusals, names and arguments of tool calls */
    bool has_content;    /* the first byte of it (or of what cannot be read) has passed */
    bool is_error;       /* an error event, or JSON that is one */
    bool is_error_first; /* before any content: another backend may still be tried */
    bool is_finished;    /* the model said why it stopped */
    bool is_ended;       /* the answer has come to its own end ([DONE], message_stop, whole JSON) */
    uint8_t finish_len;
    uint16_t model_len;
    char finish[ANSWER_FINISH_BYTES]; /* the reason, cut; the last one told */
    char model[LIMIT_MODEL_NAME_BYTES];
};

/* What one frame, or the JSON document, has said. */
struct answer_reading {
    uint32_t has; /* bit per enum answer_count */
    int64_t counts[ANSWER_COUNTS_];
    uint64_t text_bytes;
    uint64_t delta_bytes; /* text, unless the type says otherwise */
    uint64_t null_begin;  /* "usage":null: where the value begins in the data; 0: there is none */
    uint8_t n_slots;
    bool has_text; /* a string of content, be it empty */
    bool has_usage;
    bool has_no_choices; /* an empty array */
    bool is_error;
    bool is_error_first; /* before any text of its own */
    bool is_end;
    bool is_no_text;  /* its text is a copy of what came before, or base64 */
    bool has_media;   /* content that is no text */
    bool is_invalid;  /* a count that is none */
    bool is_unusual;  /* says more than content: no shape for others */
    bool is_in_shape; /* of a tensor, past its first dimension */
    uint8_t finish_len;
    char finish[ANSWER_FINISH_BYTES];
    struct event_slot slots[EVENT_SHAPE_SLOTS];
};

/* Told of each frame when it ends: what usage_filter acts on. Offsets in the stream. */
struct answer_frame {
    uint64_t begin, end;
    uint64_t null_begin; /* of the null of a member "usage":null at the top; 0: there is none */
    bool is_usage_only;  /* usage, and an empty array of choices */
};
typedef void answer_frame_fn(void *context, const struct answer_frame *frame);

struct answer_scan {
    struct answer_facts facts;
    /* The rest is answer_scan.c's own, but for the two hooks. */
    answer_frame_fn *frame_fn; /* may be NULL */
    void *frame_context;
    bool uses_shapes; /* true; the tests compare with false */
    bool is_text;
    bool is_scanning; /* of the frame under way */
    bool is_broken;   /* it is no JSON: which way is asked at its end */
    bool is_invalid;
    bool has_ended;
    enum answer_kind kind;
    uint32_t has;
    int64_t counts[ANSWER_COUNTS_];
    uint64_t open_text_bytes;
    uint64_t n_bytes;
    uint8_t n_head;
    char head[8];                     /* the frame's first bytes, when it comes in pieces */
    const struct answer_paths *paths; /* NULL: nothing to read */
    struct event_stream stream;
    struct answer_reading reading; /* this and what follows: nothing before a frame begins */
    struct json_scan json;
    struct event_shape shape;
};

/* The value of a Content-Type field. */
enum answer_kind answer_kind_of(struct str content_type);
/* `endpoint` is the one whose shape the answer has: where a request was translated, the upstream's.
 */
void answer_scan_init(struct answer_scan *s, enum ai_endpoint endpoint, enum answer_kind kind);
void answer_scan_feed(struct answer_scan *s, struct str span);
/* Bytes that pass without being read, since the decoder has given up: they stand for text. Nothing
 * may be fed behind them. */
void answer_scan_skip(struct answer_scan *s, uint64_t n_bytes);
/* The answer ends here, be it cut. Safe to call twice. */
void answer_scan_end(struct answer_scan *s);
/* The provider's counts in OpenAI's meaning; what it did not tell lacks its has_. KServe rows are
 * `output`, unless the server counts tokens. */
void answer_scan_usage(const struct answer_scan *s, struct usage *ret_usage);
/* Bytes of content that came after the last count of output: what is to be estimated. */
uint64_t answer_scan_open_text_bytes(const struct answer_scan *s);
