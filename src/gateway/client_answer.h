/* The answering half of a client connection: struct downstream_ops over HTTP/1 (client_answer.c),
 * and what both halves call of each other. */
#pragma once

#include "gateway/client.h"

extern const struct downstream_ops client_downstream_ops;

/* The socket takes more bytes. */
void client_on_room(struct client *c);
/* Watches what the connection is interested in now. */
void client_watch(struct client *c);
/* client.c: what the timer guards from now on; its time begins anew. */
void client_set_phase(struct client *c, enum client_phase phase);
/* client.c: runs again over kept bytes at the end of this turn. */
void client_process_later(struct client *c);
/* client.c: no exchange any more: next request, discard, or linger. */
void client_after_answer(struct client *c);
/* Sends what the outbox holds, at the end of a busy turn. */
void client_flush(struct client *c);
