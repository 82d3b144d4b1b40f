/* What would become of a request, and why: it goes through the very steps of the gateway
 * (gateway/rehearsal.h), in a worker of its own that serves nobody, and what each step left is
 * told. Nothing is sent, counted or reserved. Control's thread, of a server that runs or of one
 * that was only loaded from files. Decision 25. */
#pragma once

#include "admin/explain/question.h"
#include "gateway/server.h"

struct explain_options {
    bool is_live; /* the server runs: keys are there, and nothing may take long */
};

enum explain_result {
    EXPLAIN_NO_PORT = 1, /* nothing listens there; `ret_why` says on which ports something does */
};

/* Appends the explanation to `out`. 0, negative, or EXPLAIN_NO_PORT. */
MUST_USE int explain(struct server *g, const struct explain_options *options,
                     const struct question *q, struct buf *out, struct buf *ret_why);
