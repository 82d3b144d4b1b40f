/* The answer of an AI request on its way back: metered as it passes, translated where the upstream
 * speaks another API, freed of the usage that only the gateway asked for; held back while another
 * backend may still be tried, until it is known to be an answer.
 *
 *   IDLE --head--> PASSING ------------------------------------------> (end)
 *             \--> HOLDING_CONTENT --content, an error, 16 KiB, 2 s--> PASSING | dropped
 *             \--> HOLDING_WHOLE --its end (a document to translate)--> PASSING
 *
 * What is held counts towards a bound of the worker's. Without room a look-ahead ends; a document
 * is read to its end for its usage, and then refused.
 *
 * One per attempt, in the exchange's arena; worker-local. */
#pragma once

#include "gateway/exchange.h"
#include "llm/answer_scan.h"
#include "llm/decoder.h"
#include "llm/translate/translate.h"
#include "llm/usage_filter.h"

enum ai_answer_state {
    AI_ANSWER_IDLE,
    AI_ANSWER_PASSING,
    AI_ANSWER_HOLDING_CONTENT,
    AI_ANSWER_HOLDING_WHOLE,
};

struct ai_answer {
    struct exchange *exchange;
    enum ai_answer_state state;
    bool is_changed; /* translated or filtered: not compressed */
    bool is_translated;
    bool is_filtering;
    bool is_translation_over; /* nothing more will be said: a document is done, or it failed */
    bool has_scan;            /* of an answer that can be read */
    bool has_failed_decoding;
    bool is_overdue;         /* the time of holding passed: no bytes are at hand to send it with */
    bool is_crowded;         /* the worker had no room to hold more of it */
    struct decoder *decoder; /* NULL: not compressed */
    struct buf held;    /* for the client, while holding; of a document to translate as it came */
    uint64_t n_counted; /* of `held`, in the worker's held_answers */
    struct buf out;     /* what is made for the client, until it is flushed */
    uint64_t n_body_bytes; /* of the answer, as they came */
    uint64_t first_content_us;
    struct timer timer; /* of holding */
    /* Each is initialised where it is needed, and not otherwise. */
    struct translate translate;
    struct usage_filter filter;
    struct answer_scan scan;
};

/* Before an attempt: makes x->answer anew for this backend. NULL where nothing is to be read. */
void ai_answer_begin(struct exchange *x, const struct backend_plan *b);
/* The head is there. True: x->wait is set, the answer is held for now, and the step runs again.
 * `has_next`: another backend may still be tried. */
bool ai_answer_hold(struct exchange *x, bool has_next);
/* An error before any content, where another backend may still answer? */
bool ai_answer_has_failed(const struct exchange *x);
/* The attempt's answer is not the one: forget it. */
void ai_answer_drop(struct exchange *x);
/* Sets x->response, made of the upstream's head, to what the client gets. REFUSAL_NONE, or why a
 * document could not be translated. */
enum refusal ai_answer_finish_head(struct exchange *x);
/* After the head was sent: what was held goes out. */
void ai_answer_release(struct exchange *x);
/* From the pump: bytes; then, when all of one read have come, before and after the flush. */
void ai_answer_on_data(struct exchange *x, struct str span);
void ai_answer_send_made(struct exchange *x);
void ai_answer_on_flush(struct exchange *x);
/* The client has been told all that will be, whatever the upstream still says. */
bool ai_answer_is_over(const struct exchange *x);
/* The upstream's answer is complete: whatever is left to say to the client, who was told the head.
 * False: it must not look complete. */
bool ai_answer_on_end(struct exchange *x);
/* For `account`: the scan has seen all that will come. Safe when there is none. */
void ai_answer_close(struct exchange *x);
/* Frees what is not in the arena. Repeatable. */
void ai_answer_deinit(struct exchange *x);
