/* Two streams that talk to each other over loopback on one loop, for tests. Test programs only. */
#pragma once

#include "net/must_testing.h"
#include "net/stream.h"

enum { TEST_SIDE_BYTES = 1 << 20 };

struct test_side {
    struct stream stream;
    bool is_up;      /* STREAM_READY came (a plain accepted side: at once) */
    bool is_down;    /* LOOP_HANGUP came */
    bool may_write;  /* LOOP_WRITE came */
    bool is_reading; /* false: LOOP_READ is not answered by a recv */
    int end;         /* STREAM_EOF or STREAM_RESET that recv answered */
    size_t recv_cap; /* bytes asked for at once; 0: all room */
    int n_reads;     /* LOOP_READ events */
    size_t n_in;
    char in[TEST_SIDE_BYTES];
};

struct test_pair {
    struct loop loop;
    struct test_side client;
    struct test_side server;
};

/* Connects; neither side's handshake has begun. On the heap: it is large. */
struct test_pair *test_pair_new(struct tls_server *tls_server, struct tls_client *tls_client,
                                const char *server_name);
void test_pair_free(struct test_pair *p);

/* Turns the loop until the expression holds; the harness ends a test that waits for ever. */
#define TEST_TURN_UNTIL(loop_, expr)                                                               \
    while (!(expr))                                                                                \
    MUST(loop_turn((loop_), 1000) == 0)

/* Sends all, turning the loop while the socket is full. */
void test_side_send(struct test_pair *p, struct test_side *side, const void *bytes, size_t n);
/* One stream_send of one piece. */
int test_side_try_send(struct test_side *side, const void *bytes, size_t n, size_t *ret_n);
/* A listening socket on a free port of 127.0.0.1. */
int test_listen(struct sockaddr_storage *ret_address, socklen_t *ret_len);
