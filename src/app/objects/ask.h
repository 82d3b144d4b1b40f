/* One question to a running gateway's admin port, by a command that has nothing else to do: it
 * blocks. The answer is a stranger's: bounded in size and time, framed by the strict codec. */
#pragma once

#include "base/buf.h"
#include "http/message.h"
#include "net/socket.h"

struct ask_question {
    struct str path;
    struct str query;                   /* may be empty */
    const struct http_headers *headers; /* what no URL may hold; NULL: none */
};

struct ask_answer {
    uint16_t status;
    struct buf body; /* the caller's to free */
};

enum ask_result {
    ASK_FAILED = 1, /* `ret_why` says what is wrong */
};

/* By GET. The question's words must be such as a request may hold. 0 or ASK_FAILED. */
MUST_USE int ask_admin(const struct socket_address *to, const struct ask_question *question,
                       struct ask_answer *ret, struct buf *ret_why);
/* Of an answer that is not 200: its status, and the beginning of its text. */
void ask_say_refusal(const struct ask_answer *answer, struct buf *out);
