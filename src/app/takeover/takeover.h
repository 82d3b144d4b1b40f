/* `tollgate run --takeover PATH`: takes over from the gateway that offers itself at PATH, if there
 * is one, and offers the same to the next. Control's thread. What is said to the operator is said
 * here.
 */
#pragma once

#include "app/takeover/giver.h"
#include "app/takeover/taker.h"

struct takeover {
    struct giver giver;
    struct taker taker;
    bool is_asked; /* --takeover */
    int door_fd;   /* until the giver has it */
};

void takeover_init(struct takeover *t);
/* In this order. Each false: the process cannot start (said already); before takeover_commit the
 * other gateway goes on then. Nothing to do without --takeover. */
/* Before the sandbox. */
MUST_USE bool takeover_find(struct takeover *t, const char *path);
/* The configuration is compiled, no port is open. */
MUST_USE bool takeover_take(struct takeover *t, struct server *server);
/* Ports are open, nobody accepts on them. */
MUST_USE bool takeover_commit(struct takeover *t);
/* We serve: to be taken over ourselves. The callbacks of the giver are set. */
void takeover_offer(struct takeover *t, struct server *server, struct admin *admin);
/* Is there somebody whom this process tells what its own predecessor still says? */
bool takeover_is_between(const struct takeover *t);
void takeover_close(struct takeover *t);
