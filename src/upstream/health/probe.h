/* One probe of one endpoint (active health checks), over a connection of its own: a request and its
 * answer by the backend's own protocol and TLS, or a connection by TCP. Control's thread.
 *
 *     IDLE --probe_start--> running --answer | failure | timeout--> IDLE, on_done
 */
#pragma once

#include "upstream/attempt.h"
#include "upstream/health/health_plan.h"

struct probe;

/* Never from within probe_start. */
typedef void probe_done_fn(struct probe *p, enum probe_result result);

struct probe {
    struct upstreams *upstreams; /* of probes alone: their connections serve nothing else */
    probe_done_fn *on_done;
    const struct probe_plan *plan; /* while it runs */
    struct cluster *cluster;       /* the same */
    struct endpoint target;        /* the endpoint's address, or that beside it which is asked */
    bool is_running;
    enum probe_result result; /* as far as it is known */
    size_t n_received;
    struct buf content; /* of the answer, where something must be in it */
    struct timer timeout;
    /* HTTP */
    struct arena arena;
    struct http_request request;
    struct attempt attempt;
    /* TCP */
    struct stream stream;
    struct str preface; /* of `stream`, where its cluster has the PROXY protocol */
    size_t n_sent;
};

void probe_init(struct probe *p, struct upstreams *u, probe_done_fn *on_done);
/* Cancels. */
void probe_deinit(struct probe *p);
/* Asks `e` of the cluster, which stays the caller's, as the plan does, until it ends. */
void probe_start(struct probe *p, const struct probe_plan *plan, struct cluster *c,
                 const struct endpoint *e);
/* No completion follows. */
void probe_cancel(struct probe *p);

/* Between the files of the probe: its one end. */
void probe_finish(struct probe *p, enum probe_result result);
/* Keeps content of the answer. False: there is more than is looked at. */
MUST_USE bool probe_take(struct probe *p, struct str span);
/* Is what must be there there? */
bool probe_has_content(const struct probe *p);
void probe_http_start(struct probe *p);
/* Its connections, after its attempt has ended. */
void probe_http_close(struct probe *p);
void probe_tcp_start(struct probe *p);
