/* The live picture of the gateway, for its page: an event stream of parts (live_parts), all of them
 * first and then, once a second, those that have changed. Made once a second for all readers, and
 * only while there are any; what a reader gets in a second is bounded, and so is what waits for it.
 * Control's thread. */
#pragma once

#include "admin/json.h"
#include "admin/live/sample.h"
#include "net/loop.h"

struct admin;

/* name, function that writes its members */
#define LIVE_PARTS(X)                                                                              \
    X(traffic)     /* now: rates, times, errors, refusals by reason; changes every second */       \
    X(backends)    /* health, breaker, what is in flight */                                        \
    X(limits)      /* of rates: used, and when they begin anew */                                  \
    X(usage)       /* tenants and models: requests and tokens */                                   \
    X(refusals)    /* the last ones, each with its reason */                                       \
    X(objects)     /* the tree of the configuration, with what is wrong first */                   \
    X(credentials) /* key sets and certificates, with their ends */

enum live_part {
#define X(name) LIVE_##name,
    LIVE_PARTS(X)
#undef X
        LIVE_PARTS_,
};

/* A part as it was made last. */
struct live_text {
    struct buf text;  /* JSON */
    uint64_t version; /* 0: never made */
};

struct live {
    struct admin *admin;
    struct list readers; /* struct live_reader */
    struct timer timer;
    struct sample sample;
    struct live_text parts[LIVE_PARTS_];
    struct buf scratch;
    uint64_t objects_of; /* the generation whose objects were told */
};

/* One stream; embedded in its connection. */
struct live_reader {
    /* Takes events, to be sent at once; false: those before are not all gone. */
    bool (*send)(struct live_reader *r, struct str events);
    void (*give_up)(struct live_reader *r); /* it takes nothing; the reader leaves in it */
    uint64_t sent[LIVE_PARTS_];             /* versions */
    unsigned next;                          /* part whose turn it is, behind the first */
    uint64_t heard_us;                      /* when it took something last */
    size_t
        n_early; /* bytes that it got since the last second began: it joined in the midst of it */
    struct list_node node;
};

void live_init(struct live *l, struct admin *admin);
/* No reader may be left. Safe on zeroed memory and repeated. */
void live_deinit(struct live *l);
/* May there be one more? */
bool live_has_room(const struct live *l);
/* It gets the picture now, as far as that goes in a second. */
void live_join(struct live *l, struct live_reader *r);
/* Safe on one that is not there. */
void live_leave(struct live *l, struct live_reader *r);
/* What the timer does: for tests. */
void live_tick(struct live *l);
