/* A connection from accept() until it is a client's (client.h): whether its port has a place for
 * it, and where it comes from, if a proxy in front has to say that. Worker-local.
 *
 *     accepted --a place--> arrivals --PROXY header--> client     (without the protocol: at once)
 *        |                     +--none, or time--> closed
 *        +-------none-----> refused --closeDelay--> closed
 */
#pragma once

#include <stddef.h>
#include <sys/socket.h>

struct port;
struct worker;

/* Takes over an accepted descriptor. */
void arrival_take(struct worker *w, struct port *port, int fd, const struct sockaddr *peer);
/* Its connection has left the worker's lists. */
void arrival_give_place(struct worker *w, struct port *port);
/* Where room is wanted: refused ones are closed, all of them, and if there are none a quarter of
 * those whose PROXY header has not come for a second, the oldest. How many. */
size_t arrival_shed(struct worker *w);
/* A drain: whoever says a moment from now where it comes from is still served. */
void arrival_drain(struct worker *w);
/* The end. */
void arrival_close_all(struct worker *w);
