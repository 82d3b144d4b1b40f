/* Access-log lines of connections: what an EnvoyProxy's settings of type Listener ask for, one line
 * at each connection's end; and, to the logs of requests that have no type, of those alone that no
 * listener took, since no request of theirs will ever be logged. */
#pragma once

struct client;

/* Before its stream is closed. */
void connection_log_write(struct client *c);
