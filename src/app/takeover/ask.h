/* One budget for two processes: what still comes to the one that is taken over is judged by the
 * other, which admits as well by now. A worker waits for the answer, LIMIT_TAKEOVER_ASK_MS at most,
 * and only for requests that came by connections it had accepted before. When an answer does not
 * come, nobody is asked any more. */
#pragma once

#include <pthread.h>

#include "app/takeover/wire.h"
#include "gateway/server.h"

/* The giver's end. Shared by its workers: one asks at a time. */
struct takeover_ask {
    pthread_mutex_t lock;
    int fd;         /* -1: nobody to ask */
    bool is_asking; /* between begin and end */
};

void takeover_ask_init(struct takeover_ask *a);
/* `fd` is taken over. */
void takeover_ask_open(struct takeover_ask *a, int fd);
void takeover_ask_close(struct takeover_ask *a);
/* One question, and the content of its answer, in `room`. False: there is none. In any case the
 * other end follows, with whether that was an answer to the question, and says so: if not nobody is
 * asked from then on. No other question is asked in between. */
bool takeover_ask_begin(struct takeover_ask *a, struct str question, char *room, size_t cap,
                        struct str *ret_answer);
bool takeover_ask_end(struct takeover_ask *a, bool is_answered);
/* A limit_ask_fn; `ctx` is a struct takeover_ask. */
bool takeover_ask_reserve(void *ctx, struct limit_claim *claims, size_t n, bool *ret_is_admitted);

/* The taker's end: the content of an ASK, and the message that answers it. False: malformed. */
bool takeover_ask_judge(struct server *g, struct str content, struct buf *ret_answer);
/* That answer, its content here, came too late to be heard: what it has reserved is let go. */
void takeover_ask_take_back(struct server *g, struct str content, struct str answer);

/* The giver's side of the messages, for tests too: the message of a question, and what the content
 * of an answer says of the same claims. False: it is none to that question. */
void takeover_ask_put(struct buf *out, const struct limit_claim *claims, size_t n);
bool takeover_ask_get(struct str content, struct limit_claim *claims, size_t n,
                      bool *ret_is_admitted);
