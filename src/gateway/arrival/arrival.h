/* A connection from accept() until it is a client's (client.h): whether its port has a place for
 * it. Worker-local.
 *
 *     accepted --a place--> client
 *        +-----none-------> refused list --closeDelay--> closed
 */
#pragma once

#include <sys/socket.h>

struct port;
struct worker;

/* Takes over an accepted descriptor. */
void arrival_take(struct worker *w, struct port *port, int fd, const struct sockaddr *peer);
/* Its connection has left the worker's lists. */
void arrival_give_place(struct worker *w, struct port *port);
/* A drain, or the end: nobody who was refused is kept waiting. */
void arrival_close_refused(struct worker *w);
