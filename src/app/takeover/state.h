/* What a gateway hands to the one that takes over beside its sockets: one provider per kind of
 * state, each with records of its own. A record of a name that the other does not know is left out,
 * so that providers can be added without a new version of the wire. */
#pragma once

#include "gateway/server.h"

/* Takes records in; `tell` is called by any thread, must be quick and call nobody back. */
struct state_sink {
    void (*tell)(struct state_sink *sink, const char *name, uint32_t session, struct str record);
};

struct state_provider {
    const char *name;
    /* Giver, control: tells all that there is, and from then on, from any thread, what changes.
     * `session` goes with each: what is told late, of a session that has failed, is dropped. */
    void (*share)(struct server *g, uint32_t session, struct state_sink *sink);
    /* Giver, control: nobody took over, and no change is told any more. NULL: none was. */
    void (*unshare)(struct server *g);
    /* Taker, control: a record, of the state or of a change. False: malformed. */
    bool (*take)(struct server *g, struct str record);
    /* Taker, control: the giver has ended; what only it could have released goes. NULL: nothing. */
    void (*disown)(struct server *g);
};

/* Terminated by one whose name is NULL. Secrets stand first, and are told in one record. */
extern const struct state_provider state_providers[];

void state_share(struct server *g, uint32_t session, struct state_sink *sink);
void state_unshare(struct server *g);
/* The content of a message of records. False: malformed, what stood before it is taken. */
bool state_take(struct server *g, struct str records);
void state_disown(struct server *g);

/* Between a record and its values; for tests, too. */
void state_put_move(struct buf *out, const struct limit_move *move);
/* Borrowed. False: malformed. */
bool state_get_move(struct str record, struct limit_move *ret);
