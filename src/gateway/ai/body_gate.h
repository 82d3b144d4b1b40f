/* The gate on the body of an AI request: it is held while it is scanned, up to the listener's
 * bound, and released when it is complete and valid. A longer one is released as soon as its model
 * is known and scanned on as it passes; a later violation ends the request. One gate for every kind
 * of body: JSON, multipart, KServe tensors, a message of gRPC. Embedded in its exchange;
 * worker-local. */
#pragma once

#include "gateway/journey.h"
#include "llm/ai_endpoint.h"

enum gate_state {
    GATE_OPEN,      /* nothing to read: no AI request, or one without content; or all is read */
    GATE_HOLDING,   /* content waits in the exchange's pipe */
    GATE_STREAMING, /* released before its end */
    GATE_WHOLE,     /* complete, valid, and kept in the pipe: it can be sent more than once */
    GATE_FAILED,    /* x->gate.refusal says why */
};

struct request_scan;
struct multipart;
struct kserve_grpc;
struct downstream;

struct body_gate {
    enum gate_state state;
    bool wants_whole;          /* an edit needs all of it */
    unsigned refusal;          /* enum refusal */
    struct request_scan *scan; /* JSON; NULL: a form */
    struct multipart *form;
    struct kserve_grpc *message; /* of a call of gRPC: it passes as other content once it is read */
    uint64_t n_json_bytes;       /* of a KServe request with binary tensors; else all */
    uint64_t n_bytes;            /* that have come */
    uint64_t n_counted;          /* of them, counted in the worker's held_bodies */
};

/* For the step `inspect`: NEXT when the body may go on (or there is none to read), with x->model
 * known; WAIT; or a refusal. */
enum step_result body_gate_run(struct exchange *x);
/* Holds a released body until it is complete, since what is to be done needs all of it; the step
 * that calls runs again then. */
enum step_result body_gate_hold_on(struct exchange *x);
/* Of the content that has come, how many bytes of text it stands for where nobody counts tokens. */
uint64_t body_gate_text_bytes(const struct body_gate *g);
static inline bool body_gate_is_whole(const struct body_gate *g)
{
    return g->state == GATE_OPEN || g->state == GATE_WHOLE;
}
/* From the pump: content, which the caller puts into the pipe or sends on. False: it is bad, and
 * the exchange has been resumed or cancelled. */
bool body_gate_on_body(struct exchange *x, struct str span);
/* The caller has done so: releases what need not be held any longer. */
void body_gate_after_body(struct exchange *x);
/* Its end. */
void body_gate_on_end(struct exchange *x);
/* May more content come, as far as the gate is concerned? */
bool body_gate_wants_more(const struct exchange *x);
/* What was held has been sent on. */
void body_gate_uncount(struct exchange *x);
/* The end of the exchange, or nobody needs the kept body any more. Repeatable. */
void body_gate_release(struct exchange *x);
