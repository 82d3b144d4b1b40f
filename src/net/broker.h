/* Listening sockets from the parent of this process, which may bind what this one may not, and
 * which holds them while a child that died is started anew. Both ends of their channel: a
 * socketpair of whole messages (SOCK_SEQPACKET) of one fixed size, one answer to each question.
 *
 * The child's end is shared: questions come from control alone, so that each finds its own answer;
 * releases have no answer and may come from any thread. */
#pragma once

#include <stdatomic.h>

#include "net/socket.h"

/* Names the descriptor of the child's end to a process that a parent starts. */
#define BROKER_VARIABLE "TOLLGATE_BROKER_FD"

enum broker_kind {
    BROKER_HELLO = 1, /* 0: ports below 1024 may be bound; else SOCKET_DENIED */
    BROKER_LISTEN,    /* a listening socket at `address` */
    BROKER_RELEASE,   /* the socket with this cookie is needed no more; no answer */
    BROKER_READY,     /* this child serves; no answer */
    BROKER_ADOPT,     /* the socket that comes along was another process's; no answer */
    BROKER_LEAVE,     /* another process serves now; no answer */
};

struct broker_request {
    uint32_t kind;
    uint32_t address_len;
    uint64_t cookie;
    struct sockaddr_storage address;
};

struct broker_answer {
    int32_t condition; /* 0 or enum socket_condition */
};

struct broker {
    int fd;
    bool may_bind_privileged;
    _Atomic bool is_shared; /* another process has the same sockets, which a close must not end */
};

/* ---- the child's end ---- */

/* Takes the descriptor that BROKER_VARIABLE names and greets. 0 with a broker, 0 with fd -1 (no
 * parent: nothing is named), or negative: what is named is no broker. */
MUST_USE int broker_open(struct broker *b);
void broker_close(struct broker *b);
/* Those below with NULL: this process binds by itself, and nobody is told. */
/* As socket_listen; a broker probes for a port in use by itself. */
MUST_USE int broker_listen(const struct broker *b, const struct socket_address *a, int *ret_fd);
/* Nobody can connect any more when it returns, although the parent still has the socket; where it
 * is shared this process alone is rid of it. */
void broker_close_socket(const struct broker *b, int fd);
void broker_say_ready(const struct broker *b);
/* A socket that another process has handed over, which the parent is to hold, too. Before this one
 * is ready. */
void broker_adopt(const struct broker *b, int fd);
/* Sockets are another process's, too, or no more. */
void broker_share(struct broker *b, bool is_shared);
/* Another process has taken over: the parent lets go of all sockets, and ends with this one. */
void broker_leave(struct broker *b);
bool broker_may_bind_privileged(const struct broker *b);

/* ---- the parent's end ---- */

enum broker_result {
    BROKER_EMPTY = 1, /* nothing to read now */
    BROKER_CLOSED,    /* the child's end is closed */
    BROKER_BAD,       /* a message of another size */
};

/* 0, negative, or a condition. Never waits. `*ret_fd`: the caller's, with BROKER_ADOPT alone; -1:
 * none. */
MUST_USE int broker_receive(int channel, struct broker_request *ret, int *ret_fd);
/* `fd` goes with it unless it is -1. Never waits: who asks twice without reading loses the answer.
 */
void broker_answer(int channel, int condition, int fd);
/* The same in every process that has the socket, and never given twice. 0: none. */
uint64_t broker_cookie(int fd);
