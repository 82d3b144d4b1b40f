/* The journey of a request, on one page. Each row is a step in its own file gateway/step_<name>.c;
 * the runner in gateway/exchange.c walks them from top to bottom and is the only place that
 * advances.
 *
 * A step answers STEP_NEXT, STEP_WAIT (something it started will call exchange_resume), or
 * exchange_refuse(x, REFUSAL_...). A refusal or a cancellation jumps to the first row that always
 * runs: our `finally`. `tollgate docs journey` prints this table.
 *
 * name, may wait, always runs, question it answers */
#pragma once

#include "base/macro.h"

#define JOURNEY(X)                                                                                 \
    X(admit, false, false,                                                                         \
      "Is the gateway willing (too many exchanges, malformed head)? Which listener serves this "   \
      "host? Late and hop-by-hop headers leave here.")                                             \
    X(shortlist, false, false,                                                                     \
      "Which rules does the head not exclude, and which authentications do they ask for?")         \
    X(identify, true, false,                                                                       \
      "Whose credentials are these? Each of the shortlist's authentications runs once; if all "    \
      "refuse and no rule is open, the answer is no, before any body.")                            \
    X(inspect, true, false, "Which model does the path or the body name?")                         \
    X(route, false, false,                                                                         \
      "Which rule, each judged with the headers that its own authentication leaves? Final.")       \
    X(authorize, true, false,                                                                      \
      "May this caller use this route and model? The layers that the rule and its backends ask "   \
      "for (API key, password), the rules, then the external authorizers: all must agree.")        \
    X(limit, false, false, "Is there budget?")                                                     \
    X(upstream, true, false, "Which endpoint? Connect, send, await the head.")                     \
    X(respond, true, true, "Relay head and body, or the refusal.")                                 \
    X(account, false, true, "What did it cost? Give back what is held.")                           \
    X(log, false, true, "One access record, one set of metrics.")

enum journey_step {
#define X(name, may_wait, always, question) JOURNEY_##name,
    JOURNEY(X)
#undef X
        JOURNEY_END,
};

enum step_result {
    STEP_NEXT,
    STEP_WAIT,
    STEP_LAST, /* only from exchange_refuse() and exchange_answer(): on to the rows that always run
                */
};

struct exchange;
typedef enum step_result step_fn(struct exchange *x);

struct journey_row {
    const char *name;
    step_fn *run;
    bool may_wait;
    bool always_runs;
    const char *question;
};

/* JOURNEY_END rows. */
extern const struct journey_row journey_rows[];

#define X(name, may_wait, always, question) enum step_result step_##name(struct exchange *x);
JOURNEY(X)
#undef X
