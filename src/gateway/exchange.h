/* One request and its answer on their journey (gateway/journey.h). Lives from the first byte of the
 * head until `log` has run; everything it needs stands in its arena. Two entrances for whatever
 * happens asynchronously: exchange_resume and exchange_cancel; callbacks never call steps.
 * Worker-local. */
#pragma once

#include "base/vec.h"
#include "gateway/ai/body_gate.h"
#include "gateway/cost.h"
#include "gateway/downstream.h"
#include "gateway/journey.h"
#include "gateway/layer/layer.h"
#include "gateway/limit.h"
#include "gateway/plan.h"
#include "gateway/refusal.h"
#include "gateway/traffic/fault.h"
#include "http/encode/accept_encoding.h"
#include "http/h1.h"
#include "llm/kserve_grpc.h"
#include "llm/usage.h"

#include "upstream/attempt.h"

struct affinity;
struct access_peer; /* telemetry/access_log.h */
struct ai_answer;
struct compress;
struct keep_alive;
struct retry;
struct snapshot_hold;
struct rehearsal;
struct trace;
struct worker;

/* What the exchange waits for, as flags; its cancel stops them all. */
enum exchange_wait {
    WAIT_KEYS = 1,
    WAIT_UPSTREAM = 2,  /* the answer's head */
    WAIT_ANSWER = 4,    /* the end of the answer */
    WAIT_BODY = 8,      /* the request's content, as much as the gate needs of it */
    WAIT_CONTENT = 16,  /* enough of an answer to know that it is one (ai_answer.h) */
    WAIT_PASSWORD = 32, /* a slow hash */
    WAIT_EXT_AUTH = 64,
    WAIT_BUFFER = 512,   /* the request's content, all of it (requestBuffer) */
    WAIT_FAULT = 256,    /* a delay on purpose */
    WAIT_BACK_OFF = 128, /* a pause before another try (traffic/retry.h) */
};

enum exchange_cancel {
    CANCEL_NONE,
    CANCEL_CLIENT_LEFT,
    CANCEL_REQUEST_TIMEOUT, /* a total timeout of the route */
    CANCEL_IDLE_TIMEOUT,    /* nothing moved for the stream's idle time */
    CANCEL_BAD_BODY,        /* the request's content turned out malformed */
    CANCEL_BODY_TIMEOUT,    /* the client stopped sending */
    CANCEL_STREAM_TIME,     /* the longest time of a request with its answer (maxStreamDuration) */
    CANCEL_DRAIN,           /* the drain timeout passed */
};

/* What one authentication said in this exchange; each distinct one runs at most once. */
struct verdict {
    uint32_t auth_group; /* index + 1 in the listener's authentications; 0: none asked */
    const struct authentication *authentication;
    enum refusal refusal; /* REFUSAL_NONE: verified, or optional and absent */
    bool is_waiting;      /* for keys */
    bool has_run;
    bool has_refetched;
    uint32_t refetch_version;  /* of the keys that did not know the kid */
    struct token_entry *token; /* pinned; NULL when nothing was verified */
    const struct jwt_claims *claims;
    struct str provider;         /* that verified it; ptr NULL: none did */
    struct http_headers headers; /* late headers as it leaves them: claims, and the model */
};

struct exchange {
    struct arena arena; /* sealed while an answer is relayed: an hour-long stream does not grow */
    struct arena tail;  /* trailers, which may come meanwhile */
    struct worker *worker;
    struct downstream *downstream; /* NULL when the client has left */
    struct list_node node;         /* worker's list of running or free exchanges */

    struct rehearsal *rehearsal; /* of one that is explained (rehearsal.h); else NULL */
    enum journey_step step;
    unsigned wait; /* enum exchange_wait */
    bool is_running;
    bool is_finished;
    enum exchange_cancel cancel;
    enum refusal refusal;
    struct str refusal_detail;  /* for the operator; never for the client */
    struct str refusal_message; /* for the client, instead of the row's sentence; names no secret */
    struct str refusal_param;   /* the field of the body that is wrong */
    uint16_t refusal_status;    /* a policy's statusOnError; 0: that of the refusal's row */
    uint32_t retry_after_s;     /* 0: no more than the status says */
    uint64_t started_us;        /* first byte of the head */
    int64_t started_wall_us;
    uint64_t step_us[JOURNEY_END]; /* monotonic, when each step was last left */

    struct http_request request;
    enum h1_error head_error;
    enum ai_dialect head_dialect; /* of the path in a head that is refused, and else not kept */
    struct str original_path;     /* as received, for the log */
    const struct port *port;      /* it came by; for the log, where no listener is known */

    /* Request content on its way: held here until the upstream takes it. */
    struct buf pipe;
    struct body_gate gate;
    struct buf edited;    /* the body (so far) as this attempt's backend gets it; empty: as it is */
    struct str sent_body; /* of a body that is whole: what this attempt's backend gets */
    bool is_body_complete;
    bool has_trailers;
    struct http_headers trailers;
    struct list mirrors; /* copies that wait for the content's end */

    /* A call of gRPC. */
    bool is_grpc;
    enum kserve_rpc rpc; /* by its path, whatever its content */
    unsigned model_uses; /* of all rules that may take it (enum model_use); of such calls only */
    bool has_grpc_timeout;
    uint64_t grpc_timeout_us; /* from the head's first byte; 0: over before it came */
    uint16_t untold_status;   /* HTTP's, of an answer made here that says gRPC's instead; 0: none */

    /* Where it goes; set by shortlist and route. */
    struct snapshot_hold *hold;           /* the snapshot; NULL once pinned */
    bool is_pinned;                       /* holds listener and route themselves */
    const struct listener_plan *listener; /* kept by `hold`, or pinned; `rule` too */
    VEC(struct verdict) verdicts;         /* of the shortlist's authentications */
    enum ai_endpoint endpoint;            /* by method and path */
    bool is_ai;                           /* an AI request: metered, whichever route takes it */
    const struct cors *cors; /* of the likeliest rule, then of the rule: refusals carry it too */
    const struct rule_plan *rule; /* NULL until `route` */
    size_t n_matched;             /* bytes of the path that a PathPrefix matched */
    struct kserve_path kserve;
    struct verdict *identity; /* of the rule; NULL: none configured */
    struct layer_state layers;
    struct str model;      /* "" when none */
    bool is_model_named;   /* by the rule's match: no invention of a client */
    bool is_model_list;    /* the request asks which models there are */
    struct str model_list; /* the answer to that */
    struct str tenant;     /* of a verified claim, else empty */
    struct str subject;
    struct client_address client; /* detected (ClientTrafficPolicy) */
    struct str peer_ip;           /* of the connection, in the arena: outlives the client */
    struct str peer;              /* with its port */
    struct str client_ip;         /* of the detected client */
    struct str local;
    struct str server_name;
    bool has_waited_for_keys;
    uint64_t bytes_received; /* of the request's content */
    uint64_t bytes_sent;     /* of the answer's content, and of the head of a 101 */
    const char *tls_version; /* of the client's connection; static, NULL: clear text */
    const char *tls_cipher;
    uint64_t connection_id;
    const struct access_peer *certificate; /* its client's, where a log shows it; else NULL */
    uint64_t received_us;                  /* the last byte of the request; 0: not yet, as below */

    struct limit_estimate estimate; /* before `limit` */
    struct exchange_limits limits;
    VEC(struct cost_value) costs; /* from `account` on */
    bool has_usage;               /* something was used, be it 0: it reached a backend */
    struct usage usage;

    const struct backend_plan *backend;
    struct attempt attempt;
    struct ai_answer *answer; /* of an AI request: what reads the answer as it passes; else NULL */
    enum fault_state fault;
    struct accept_encoding accepts; /* of a rule that compresses */
    struct compress *compress;      /* of an answer that is compressed on its way; else NULL */
    struct keep_alive *keep_alive;  /* of an event stream under way, where its route asks for it */
    struct affinity *affinity;      /* of a rule whose requests stick to endpoints; else NULL */
    struct retry *retry;            /* of a rule with a policy for further tries; else NULL */
    struct trace *trace;            /* of an exchange that is traced; else NULL */
    uint32_t n_attempts;
    uint32_t n_tries;  /* of them, at the priority under way */
    uint32_t priority; /* index in the rule's priorities */
    enum attempt_failure failure;
    struct timer total_timer; /* the whole exchange */
    struct timer life_timer;  /* the longest time of all of it, or of its stream */
    struct timer try_timer;   /* waiting for keys; then one attempt with its whole answer */
    struct timer idle_timer;

    struct http_response response; /* what the client gets */
    struct http_headers response_trailers;
    struct str local_body; /* of an answer made here */
    bool is_local;
    bool is_head_sent;
    bool is_answer_complete;
    bool is_answer_broken;
    bool is_raw;
    uint64_t first_byte_us; /* of the upstream's answer */
    uint64_t answered_us;   /* its last byte */
    uint64_t head_sent_us;  /* to the client */
    uint64_t upstream_us;   /* when the attempt started */
    struct deferred retire;
};

/* From the worker's store; arena ready, times stamped. */
struct exchange *exchange_new(struct worker *w, struct downstream *d);
/* Gives back one whose head never came. */
void exchange_discard(struct exchange *x);
/* The head is in x->request (or x->head_error says why not). Runs the journey. */
void exchange_start(struct exchange *x);
/* What it waited for has come: the step that waits runs again. */
void exchange_resume(struct exchange *x);
/* Ends it early: stops all waiting and goes to the steps that always run. */
void exchange_cancel(struct exchange *x, enum exchange_cancel why);
/* The exchange is past `route` and outlives its snapshot's time: it takes references of its own to
 * listener and route and lets go of the rest. Rare, so that requests as a rule touch no counter
 * that workers share. */
void exchange_pin(struct exchange *x);
/* What its authentication said; NULL: the shortlist did not ask it. */
struct verdict *exchange_verdict(struct exchange *x, uint32_t auth_group);
/* The rule's time for the whole exchange, from its first byte; the step that waits when it ends is
 * cancelled. False: it has ended already. */
MUST_USE bool exchange_arm_total(struct exchange *x);
/* It ends then, if nothing says sooner (maxStreamDuration of a listener, of a rule). */
void exchange_bound_life(struct exchange *x, uint64_t end_us);
/* No time at all: a timer may be set so far from now. */
#define EXCHANGE_NEVER_US (UINT64_MAX / 4)
/* How long its client may send nothing of a content that is wanted: `usual_us`, but a call of gRPC,
 * which is a stream both ways, as long as its stream may be idle; and once its answer has begun,
 * whose idle time both directions count for, EXCHANGE_NEVER_US. */
uint64_t exchange_silence_us(const struct exchange *x, uint64_t usual_us);
/* Why no rule took it. */
enum refusal exchange_no_route(const struct exchange *x);
/* Where memory may be taken now: the answer's head seals x->arena, what comes later (of a request
 * that goes on meanwhile) is rare and bounded, and stands in x->tail. */
static inline struct arena *exchange_arena(struct exchange *x)
{
    return x->is_head_sent ? &x->tail : &x->arena;
}
/* For steps: `return exchange_refuse(x, REFUSAL_OVERLOADED);` */
enum step_result exchange_refuse(struct exchange *x, enum refusal why);
/* For steps: x->response and x->local_body are the answer (redirect, preflight, direct response).
 */
enum step_result exchange_answer(struct exchange *x);
/* For steps: a negative code from below becomes an internal refusal with its trace logged. */
enum step_result exchange_fail(struct exchange *x, int error);

/* From the downstream: request content as want_body allows it, then its end. The span is borrowed
 * until exchange_on_body_flush. */
void exchange_on_body(struct exchange *x, struct str span);
void exchange_on_body_end(struct exchange *x, const struct http_headers *trailers);
void exchange_on_body_flush(struct exchange *x);
/* After an upgrade: the client has nothing more to say, and listens on. */
void exchange_on_raw_end(struct exchange *x);
/* From the downstream: room again. */
void exchange_on_drained(struct exchange *x);

/* pump.c: what the attempt tells. */
extern const struct attempt_events exchange_attempt_events;
/* Sends what the pipe holds as far as the upstream takes it. */
void exchange_pump_request(struct exchange *x);
/* Tells the downstream whether request content is wanted now. */
void exchange_allow_body(struct exchange *x);
/* Something moved: the stream is not idle. */
void exchange_note_progress(struct exchange *x);
