/* The one record of an exchange, made at its end: metrics, access logs and whatever else accounts
 * for requests are fed from it. Worker-local; texts borrow from the exchange and its snapshot. */
#pragma once

#include "telemetry/access_log.h"

struct arena;
struct exchange;
struct tls_peer; /* net/tls.h */

/* What happened: who, which route, model and backend, status, usage, costs, durations. After the
 * step account. */
void record_fill(struct exchange *x, struct access_record *ret_record);
/* Of it, what the attempt under way or just ended gives. */
void record_fill_attempt(const struct exchange *x, struct access_record *r);
/* What logs show of a client's certificate, borrowed from that. */
struct access_peer record_peer(const struct tls_peer *peer);
/* The same in `a`: the client may leave before the log. */
const struct access_peer *record_keep_peer(const struct tls_peer *peer, struct arena *a);
/* And what only log lines show: the request's and the answer's words, addresses. */
void record_add_request(struct exchange *x, struct access_record *r);
