/* The other ends of the gateway's connections: clients, and backends behind one socket. Both send
 * what the program says and read what comes; a client looks at its answers when all is over, a
 * backend at the requests as they come. */
#pragma once

#include "base/buf.h"
#include "test/fuzz/exchange/frames.h"
#include "test/fuzz/exchange/world.h"

enum {
    PEER_KEPT_BYTES = 1 << 20, /* of what a client got; what is beyond is not looked at */
    PEER_STREAMS = 256,        /* that a program has a name for */
};

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
    /* Of HTTP/2: */
    bool has_spoken;      /* it is settled which protocol it speaks */
    bool is_h2;           /* it began with the preface */
    bool is_garbled;      /* what it says may not be the frames that it was to say */
    bool was_all_said;    /* when it left: and it was there, and so was the gateway */
    uint32_t next_stream; /* the first that it has not asked on */
    bool has_reset[PEER_STREAMS];
};

struct fake_backend {
    struct peer peer;
    struct h1 codec; /* of the requests */
    struct arena arena;
    char id[WORLD_ID_BYTES]; /* x-id of the last request; "": none */
    char agreement[64];      /* what agrees to the WebSocket that it asks for; "": it does not */
    unsigned n_requests;     /* heads that came */
    unsigned n_answers;      /* that were begun */
    bool is_unread;          /* what comes from here on is not looked at */
    bool has_framed;         /* frames were said before anything came */
    bool is_h2;
    bool is_garbled;      /* what it says may not be the frames that it was to say */
    struct frames frames; /* of HTTP/2: the requests */
};

/* A connection to the gateway. */
void fake_client_open(struct fake_client *c, unsigned number);
/* Sends `parts` eighths of script number `script` now, the rest later. */
void fake_client_play(struct fake_client *c, unsigned script, unsigned parts);
/* By HTTP/2, which a connection that has said nothing begins with: a request on the next stream,
 * `parts` eighths of it now; or a frame. */
void fake_client_ask(struct fake_client *c, unsigned script, unsigned parts);
void fake_client_frame(struct fake_client *c, unsigned which, unsigned char stream);
void fake_client_say(struct fake_client *c, struct str bytes);
/* It reads again, and takes whatever comes. */
void fake_client_wake(struct fake_client *c);
/* It has read all there was. */
void fake_client_leave(struct fake_client *c);
/* The answers it got, when every exchange is over and all of them have been read. */
void fake_client_check(const struct fake_client *c);
void fake_client_deinit(struct fake_client *c);

void fake_backend_open(struct fake_backend *b, int fd);
void fake_backend_play(struct fake_backend *b, unsigned script, unsigned parts);
void fake_backend_frame(struct fake_backend *b, unsigned which, unsigned char stream);
void fake_backend_say(struct fake_backend *b, struct str bytes);
/* Reads and sends what it can. */
void fake_backend_move(struct fake_backend *b);
void fake_backend_deinit(struct fake_backend *b);

void peer_say(struct peer *p, struct str bytes);
/* `parts` eighths now, the rest later, and never cut inside of `id`. */
void peer_say_parts(struct peer *p, struct str bytes, struct str id, unsigned parts);
void peer_go_on(struct peer *p);
void peer_move(struct peer *p);
/* Byte by byte: a fuzzer must not learn the ids from how they are compared. */
bool peer_is_same_id(struct str value, const char *id);
/* Ends its sending. */
void peer_shutdown(struct peer *p);
void peer_close(struct peer *p);

/* scripts.c: "%" stands for the header with the id. */
extern const char *const client_scripts[];
extern const unsigned n_client_scripts;
extern const char *const backend_scripts[];
extern const unsigned n_backend_scripts;
/* A frame of HTTP/2; `id` is the echo in it, if it has one ("": none). */
void script_frame(struct buf *out, unsigned which, unsigned char stream, struct str id);
/* A request of HTTP/2. */
void script_request(struct buf *out, unsigned which, uint32_t stream, struct str id);
/* fake_client_check of one that got HTTP/2. */
void h2_client_check(const struct fake_client *c);
/* Stands in a script for so many bytes of content. */
enum { SCRIPT_LONG_BYTES = 200000 };
