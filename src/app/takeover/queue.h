/* Messages on their way to the gateway that takes over. Records come from any thread and are put
 * together into messages; everything else is control's. Shared, behind one short lock. */
#pragma once

#include <pthread.h>

#include "app/takeover/state.h"
#include "app/takeover/wire.h"
#include "net/wake.h"

struct takeover_queue {
    struct state_sink sink; /* where providers put their records */
    struct wake *news;      /* posted when there are records to send */
    pthread_mutex_t lock;
    uint32_t session; /* whose records are taken; 0: none's */
    struct list messages;
    uint64_t n_left_out; /* records that fit into no message */
};

enum queue_result {
    QUEUE_FULL = 1, /* the socket takes no more now */
};

void takeover_queue_init(struct takeover_queue *q, struct wake *news);
/* Records of that session are taken from now on; what is left of another goes. */
void takeover_queue_open(struct takeover_queue *q, uint32_t session);
/* Control. `fd` stays the caller's, and open until it is sent; -1: none. */
void takeover_queue_push(struct takeover_queue *q, enum wire_kind kind, struct str content, int fd);
/* Control. 0: all is sent; QUEUE_FULL, or negative: the other end is gone. */
MUST_USE int takeover_queue_send(struct takeover_queue *q, int socket);
/* Safe on zeroed memory. */
void takeover_queue_deinit(struct takeover_queue *q);

/* One message, cut to `cap` bytes, and its descriptor; -1: none, or more than one. Never waits. Its
 * whole length (0: the other end is closed), or -1 with errno. */
ssize_t takeover_receive(int socket, char *room, size_t cap, int *ret_fd);
/* One message at once, for who waits with it. 0, QUEUE_FULL or negative. */
MUST_USE int takeover_send(int socket, struct str message, int fd);
