/* The other ends of the gateway's connections: clients, and backends behind one socket. Both send
 * what the program says and read what comes; a client looks at its answers when all is over, a
 * backend at the requests as they come. */
#pragma once

#include "base/buf.h"
#include "test/fuzz/exchange/world.h"

enum { PEER_KEPT_BYTES = 1 << 20 /* of what a client got; what is beyond is not looked at */ };

struct peer {
    int fd;            /* -1: closed by us */
    struct buf out;    /* to be sent as far as the socket takes it */
    struct buf later;  /* the rest of a script, until the program says go on */
    struct buf in;     /* what came */
    bool is_slow;      /* does not read */
    bool is_over;      /* its peer has ended or reset */
    bool has_left;     /* closed or ended by us before its peer did */
    bool is_truncated; /* more came than `in` keeps */
};

struct fake_client {
    struct peer peer;
    struct world_client gateway; /* the other end */
    unsigned number;
    unsigned n_scripts;
};

struct fake_backend {
    struct peer peer;
    struct h1 codec; /* of the requests */
    struct arena arena;
    char id[WORLD_ID_BYTES]; /* x-id of the last request; "": none */
    unsigned n_requests;     /* heads that came */
    unsigned n_answers;      /* that were begun */
    bool is_unread;          /* what comes from here on is not looked at: of HTTP/2 nothing is */
};

/* A connection to the gateway. */
void fake_client_open(struct fake_client *c, unsigned number);
/* Sends `parts` eighths of script number `script` now, the rest later. */
void fake_client_play(struct fake_client *c, unsigned script, unsigned parts);
/* It has read all there was. */
void fake_client_leave(struct fake_client *c);
/* The answers it got, when every exchange is over and all of them have been read. */
void fake_client_check(const struct fake_client *c);
void fake_client_deinit(struct fake_client *c);

void fake_backend_open(struct fake_backend *b, int fd);
void fake_backend_play(struct fake_backend *b, unsigned script, unsigned parts);
/* Reads and sends what it can. */
void fake_backend_move(struct fake_backend *b);
void fake_backend_deinit(struct fake_backend *b);

/* Bytes that the program brings itself. */
void peer_say(struct peer *p, struct str bytes);
void peer_go_on(struct peer *p);
void peer_move(struct peer *p);
/* Ends its sending. */
void peer_shutdown(struct peer *p);
void peer_close(struct peer *p);

/* scripts.c: "%" stands for the header with the id. */
extern const char *const client_scripts[];
extern const unsigned n_client_scripts;
extern const char *const backend_scripts[];
extern const unsigned n_backend_scripts;
/* A frame of HTTP/2. */
void script_frame(struct buf *out, unsigned which, unsigned char stream);
/* Stands in a script for so many bytes of content. */
enum { SCRIPT_LONG_BYTES = 200000 };
