/* Comments that keep a silent event stream alive on its way to the client: proxies and load
 * balancers between close connections over which nothing comes, while a model may think for
 * minutes. Only between two events, of answers whose text passes as it is (HTML, "Server-sent
 * events": a line that begins with a colon is a comment). The stream's own idle time runs on: a
 * comment is no sign of life of the backend. In the exchange's arena; worker-local. */
#pragma once

#include "base/str.h"
#include "net/loop.h"

struct exchange;

struct keep_alive {
    struct exchange *exchange;
    struct timer timer;
    uint64_t sent_us; /* when content was last sent, or a comment */
    char end[4];      /* the last bytes of content */
    uint8_t n_end;    /* 0: nothing was sent yet */
};

/* The head of the answer, x->response, goes out; before the arena is sealed. */
void keep_alive_open(struct exchange *x);
/* Content went to the client. */
void keep_alive_on_sent(struct exchange *x, struct str span);
/* Repeatable. */
void keep_alive_close(struct exchange *x);
