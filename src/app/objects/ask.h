/* One question to a running gateway's admin port, by a command that has nothing else to do: it
 * blocks. The answer is a stranger's: bounded in size and time, framed by the strict codec. */
#pragma once

#include "base/buf.h"
#include "net/socket.h"

struct ask_answer {
    uint16_t status;
    struct buf body; /* the caller's to free */
};

enum ask_result {
    ASK_FAILED = 1, /* `ret_why` says what is wrong */
};

/* GET `path` with `query` (may be empty). 0 or ASK_FAILED. */
MUST_USE int ask_admin(const struct socket_address *to, struct str path, struct str query,
                       struct ask_answer *ret, struct buf *ret_why);
