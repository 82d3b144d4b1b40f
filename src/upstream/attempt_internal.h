/* What pool.c and conn_h2.c tell attempts of their connections and names; nobody else includes
 * this. */
#pragma once

#include "upstream/attempt.h"

void attempt_on_connected(struct attempt *a);
void attempt_connect_again(struct attempt *a);
void attempt_on_bytes(struct attempt *a, struct str *input);
void attempt_on_eof(struct attempt *a);
void attempt_on_room(struct attempt *a);
void attempt_on_broken(struct attempt *a, enum attempt_failure why);
/* The same of all on the list, which ends up empty. */
void attempt_break_all(struct list *attempts, int transport_error, enum attempt_failure why);
/* Of a stream: the head in `response`, and the end of the answer. False: too many heads. */
MUST_USE bool attempt_on_stream_head(struct attempt *a, const struct http_response *response);
void attempt_on_stream_end(struct attempt *a, const struct http_headers *trailers);
void attempt_on_endpoints(struct attempt *a);
/* It waits no longer: for it there is a connection that others have too, or could have had. */
void attempt_on_served(struct attempt *a, struct conn *c);
/* Of one that has waited: what its waiter was told. */
void attempt_on_verdict(struct attempt *a);
