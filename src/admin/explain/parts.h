/* Between the files of this folder: one explanation under way, and its parts. On the stack. */
#pragma once

#include "admin/explain/explain.h"
#include "admin/explain/report.h"
#include "gateway/exchange.h"
#include "gateway/rehearsal.h"
#include "manifest/manifest.h"

struct explain_rule;

struct explain {
    struct rehearsal rehearsal;
    struct server *server;
    const struct snapshot *snapshot;
    const struct port_plan *port;
    const struct explain_options *options;
    const struct question *question;
    struct worker *worker;
    struct exchange *exchange; /* NULL: its journey is over, and its end told */
    struct downstream down;
    struct arena arena;
    struct report reports[2];
    struct report *head;    /* what is said first: the decision */
    struct report *body;    /* and then; the same in JSON */
    enum journey_step step; /* that said the last word, or where it waits for its backend */
    bool has_listener;      /* told */
    bool has_rules;
    bool has_authentication;
    bool has_layers;
    uint16_t status; /* of the gateway's own answer; 0: none */
    struct buf answer_head;
    struct buf answer_body;
};

/* explain_route.c: the listener; every rule and why it lost; the one that won, and its policies. */
void explain_listener(struct explain *e, const struct exchange *x);
/* `is_judged`: the step `route` has run. */
void explain_rules(struct explain *e, struct exchange *x, bool is_judged);
void explain_policies(struct explain *e, struct exchange *x);

/* explain_caller.c */
void explain_authentication(struct explain *e, struct exchange *x);
void explain_layers(struct explain *e, const struct exchange *x);
void explain_authorization(struct explain *e, const struct authorization *a,
                           const struct authorize_input *in, const struct authorize_result *result);

/* explain_limit.c */
void explain_limits(struct explain *e, struct exchange *x);

/* explain_backend.c */
/* Has the circuit breaker of the backend that was drawn no place for one more request now? */
bool explain_breaker_is_full(const struct exchange *x);
void explain_backends(struct explain *e, struct exchange *x);
void explain_timeouts(struct explain *e, const struct exchange *x);
void explain_retries(struct explain *e, const struct exchange *x);

/* Does a header, parameter or claim of that name carry no credentials? limit_may_show_fn */
bool explain_may_show(const void *exchange, struct str name);
/* `value` unless it is of such a name, or looks like one. */
struct str explain_shown(const struct exchange *x, struct str name, struct str value);
/* "Kind/namespace/name", with a port or not: its object, and where it stands; NULL: in no file. */
const struct object *explain_object(const struct explain *e, struct str label);
const struct mark *explain_place(const struct explain *e, struct str label);
/* An item of one of its lists ("spec.rules"); where the list is another's, the object. */
const struct mark *explain_item_place(const struct explain *e, struct str label, const char *list,
                                      uint32_t index);
