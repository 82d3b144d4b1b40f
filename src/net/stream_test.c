/* Plain streams over real loopback sockets, and the outbox on top of them. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/random.h"
#include "net/outbox.h"
#include "net/socket.h"
#include "net/stream_testing.h"
#include "test/harness/test.h"

static struct test_pair *connected_pair(void)
{
    struct test_pair *p = test_pair_new(NULL, NULL, "");

    TEST_TURN_UNTIL(&p->loop, p->client.is_up);
    return p;
}

TEST(a_connection_reports_ready_and_carries_bytes_both_ways)
{
    struct test_pair *p = test_pair_new(NULL, NULL, "");
    size_t n = 7;

    CHECK(test_side_try_send(&p->client, "early", 5, &n) == STREAM_AGAIN);
    TEST_TURN_UNTIL(&p->loop, p->client.is_up);
    test_side_send(p, &p->client, "ask", 3);
    TEST_TURN_UNTIL(&p->loop, p->server.n_in == 3);
    test_side_send(p, &p->server, "answer", 6);
    TEST_TURN_UNTIL(&p->loop, p->client.n_in == 6);
    CHECK(memcmp(p->client.in, "answer", 6) == 0);
    CHECK_STR(str_of(stream_alpn(&p->server.stream)), "");
    CHECK(!stream_is_tls(&p->server.stream));
    test_pair_free(p);
}

TEST(both_sides_never_wait_to_fill_a_packet)
{
    struct test_pair *p = connected_pair();
    int fds[] = {p->client.stream.io.fd, p->server.stream.io.fd};

    for (int i = 0; i < 2; i++) {
        int on = 0;
        socklen_t len = sizeof on;

        CHECK(getsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, &len) == 0 && on != 0);
    }
    test_pair_free(p);
}

TEST(a_full_socket_takes_a_part_and_reports_when_it_has_room)
{
    struct test_pair *p = connected_pair();
    size_t n_total = 8 << 20;
    char *bytes = mem_alloc_zero(n_total);
    size_t sent = 0;

    p->server.is_reading = false;
    stream_want(&p->server.stream, 0);
    CHECK(test_side_try_send(&p->client, bytes, n_total, &sent) == 0);
    CHECK(sent > 0 && sent < n_total);
    while (test_side_try_send(&p->client, bytes, n_total, &sent) == 0)
        ;
    stream_want(&p->client.stream, LOOP_READ | LOOP_WRITE);
    CHECK(loop_turn(&p->loop, 0) == 0);
    CHECK(!p->client.may_write);
    p->server.is_reading = true;
    stream_want(&p->server.stream, LOOP_READ);
    for (; !p->client.may_write; p->server.n_in = 0)
        CHECK(loop_turn(&p->loop, 1000) == 0);
    mem_free(bytes);
    test_pair_free(p);
}

TEST(a_shutdown_is_an_end_for_the_reader_and_leaves_the_other_way_open)
{
    struct test_pair *p = connected_pair();

    test_side_send(p, &p->client, "last", 4);
    stream_shutdown(&p->client.stream);
    TEST_TURN_UNTIL(&p->loop, p->server.end);
    CHECK_INT(p->server.end, STREAM_EOF);
    CHECK_INT(p->server.n_in, 4);
    test_side_send(p, &p->server, "bye", 3);
    TEST_TURN_UNTIL(&p->loop, p->client.n_in == 3);
    test_pair_free(p);
}

TEST(an_aborted_close_is_a_reset_and_an_ordinary_one_an_end)
{
    for (int is_abort = 0; is_abort < 2; is_abort++) {
        struct test_pair *p = connected_pair();

        stream_close(&p->client.stream, is_abort);
        stream_close(&p->client.stream, is_abort);
        TEST_TURN_UNTIL(&p->loop, p->server.end);
        CHECK_INT(p->server.end, is_abort ? STREAM_RESET : STREAM_EOF);
        CHECK_INT(p->server.stream.error, is_abort ? ECONNRESET : 0);
        test_pair_free(p);
    }
}

TEST(sending_to_a_closed_peer_ends_in_a_reset_and_never_in_a_signal)
{
    struct test_pair *p = connected_pair();
    size_t n;
    int r;

    stream_close(&p->server.stream, true);
    do {
        CHECK(loop_turn(&p->loop, 0) == 0);
        r = test_side_try_send(&p->client, "x", 1, &n);
    } while (r == 0 || r == STREAM_AGAIN);
    CHECK_INT(r, STREAM_RESET);
    test_pair_free(p);
}

static int refused_events;

static void refused_on_event(struct stream *s, unsigned events)
{
    refused_events |= (int)events;
    CHECK_INT(s->error, ECONNREFUSED);
    stream_close(s, false);
}

TEST(what_has_come_before_a_break_is_read_and_then_it_is_over)
{
    struct test_pair *p = connected_pair();

    p->client.is_reading = false;
    stream_want(&p->client.stream, 0);
    test_side_send(p, &p->server, "early", 5);
    stream_break(&p->client.stream);
    p->client.is_reading = true;
    stream_want(&p->client.stream, LOOP_READ);
    TEST_TURN_UNTIL(&p->loop, p->client.end);
    CHECK_INT(p->client.n_in, 5);
    CHECK_INT(p->client.end, STREAM_RESET);
    test_pair_free(p);
}

TEST(a_refused_connection_is_a_hangup_with_its_reason)
{
    struct sockaddr_storage address;
    socklen_t len;
    struct loop l;
    struct stream s;

    CHECK(loop_init(&l) == 0);
    close(test_listen(&address, &len)); /* a port that nobody listens on any more */
    const struct stream_target to = {.address = (const struct sockaddr *)&address,
                                     .address_len = len};

    CHECK(stream_open_connect(&s, &l, &to, refused_on_event) == 0);
    CHECK_INT(refused_events, 0); /* never from within */
    TEST_TURN_UNTIL(&l, refused_events);
    CHECK_INT(refused_events, LOOP_HANGUP);
    loop_deinit(&l);
}

static unsigned opened_events;

static void opened_on_event(struct stream *s, unsigned events)
{
    struct iovec piece = {(void *)(uintptr_t) "own", 3};
    size_t n;

    opened_events |= events;
    if (events & STREAM_READY)
        CHECK(stream_send(s, &piece, 1, &n) == 0 && n == 3);
}

static int option_of(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;

    CHECK(getsockopt(fd, level, name, &value, &len) == 0);
    return value;
}

TEST(a_connection_opens_with_its_options_and_begins_with_its_preface)
{
    const struct socket_options options = {
        .buffer_bytes = 16384, .keeps_alive = true, .idle_s = 9, .interval_s = 3, .n_probes = 4};
    const struct str preface = STR("first ");
    struct sockaddr_storage address;
    socklen_t len;
    int listener = test_listen(&address, &len);
    const struct stream_target to = {.address = (const struct sockaddr *)&address,
                                     .address_len = len,
                                     .options = &options,
                                     .preface = &preface};
    struct loop l;
    struct stream s;
    char told[16];

    CHECK(loop_init(&l) == 0);
    CHECK(stream_open_connect(&s, &l, &to, opened_on_event) == 0);
    CHECK_INT(option_of(s.io.fd, SOL_SOCKET, SO_RCVBUF), 2 * 16384);
    CHECK_INT(option_of(s.io.fd, SOL_SOCKET, SO_SNDBUF), 2 * 16384);
    CHECK_INT(option_of(s.io.fd, IPPROTO_TCP, TCP_KEEPIDLE), 9);
    CHECK_INT(option_of(s.io.fd, IPPROTO_TCP, TCP_KEEPINTVL), 3);
    CHECK_INT(option_of(s.io.fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
    TEST_TURN_UNTIL(&l, opened_events & STREAM_READY);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    CHECK_INT(recv(fd, told, 9, MSG_WAITALL), 9);
    CHECK(memcmp(told, "first own", 9) == 0);
    stream_close(&s, false);
    CHECK_INT(recv(fd, told, sizeof told, 0), 0);
    close(fd);
    close(listener);
    loop_deinit(&l);
}

TEST(a_zeroed_stream_may_be_closed)
{
    struct stream s = {0};

    stream_close(&s, false);
    stream_shutdown(&s);
    CHECK(!stream_is_tls(&s));
}

/* ---- outbox ---- */

static struct outbox_pool pool;

TEST(an_outbox_sends_copies_and_borrowed_bytes_in_their_order)
{
    struct test_pair *p = connected_pair();
    struct outbox o;

    outbox_init(&o, &pool, &p->client.stream);
    buf_append_str(outbox_held(&o), STR("head "));
    outbox_borrow(&o, "body ", 5);
    outbox_copy(&o, "end", 3);
    CHECK(!outbox_is_empty(&o));
    CHECK(outbox_flush(&o) == 0);
    CHECK(outbox_is_empty(&o));
    TEST_TURN_UNTIL(&p->loop, p->server.n_in == 13);
    CHECK(memcmp(p->server.in, "head body end", 13) == 0);
    outbox_deinit(&o);
    outbox_deinit(&o);
    outbox_pool_deinit(&pool);
    test_pair_free(p);
}

TEST(an_outbox_is_full_from_its_mark_on_and_has_room_below_half_of_it)
{
    struct test_pair *p = connected_pair();
    struct outbox o;

    outbox_init(&o, &pool, &p->client.stream);
    CHECK_INT(o.high, LIMIT_PIPE_HIGH_BYTES);
    o.high = 10;
    for (int n = 1; n <= 11; n++) {
        outbox_copy(&o, "x", 1);
        CHECK_MSG(outbox_is_full(&o) == (n > 10) && outbox_has_room(&o) == (n <= 5), "%d", n);
    }
    outbox_deinit(&o);
    outbox_pool_deinit(&pool);
    test_pair_free(p);
}

TEST(an_outbox_that_waits_lends_nothing_any_more)
{
    static char much[OUTBOX_WAIT_BYTES];
    struct test_pair *p = connected_pair();
    char lent[] = "body";
    struct outbox o;

    outbox_init(&o, &pool, &p->client.stream);
    buf_append_str(outbox_held(&o), STR("head "));
    outbox_borrow(&o, lent, 4);
    CHECK(outbox_wait(&o));
    memset(lent, '?', 4);
    outbox_borrow(&o, " end", 4);
    CHECK(outbox_wait(&o) && outbox_wait(&o));
    CHECK(!outbox_is_empty(&o));
    CHECK(outbox_flush(&o) == 0);
    TEST_TURN_UNTIL(&p->loop, p->server.n_in == 13);
    CHECK(memcmp(p->server.in, "head body end", 13) == 0);
    outbox_copy(&o, "x", 1);
    outbox_borrow(&o, much, sizeof much);
    CHECK(!outbox_wait(&o)); /* too much to copy: flush */
    CHECK(outbox_flush(&o) == 0);
    outbox_deinit(&o);
    outbox_pool_deinit(&pool);
    test_pair_free(p);
}

TEST(any_mix_of_pieces_through_an_outbox_arrives_unchanged)
{
    enum { TOTAL = 700000, ROUNDS = 400 };
    struct test_pair *p = connected_pair();
    char *expected = mem_alloc(TOTAL);
    size_t n_expected = 0;
    struct random random;
    struct outbox o;

    random_init_seed(&random, 11);
    for (size_t i = 0; i < TOTAL; i++)
        expected[i] = (char)random_u64(&random);
    outbox_init(&o, &pool, &p->client.stream);
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t n_pieces = random_below(&random, 150);

        for (uint32_t i = 0; i < n_pieces; i++) {
            size_t n = 1 + random_below(&random, 40);
            char temporary[40];

            if (n_expected + n > TOTAL)
                break;
            memcpy(temporary, expected + n_expected, n);
            if (random_below(&random, 3) == 0)
                outbox_borrow(&o, expected + n_expected, n);
            else
                outbox_copy(&o, temporary, n);
            memset(temporary, '!', sizeof temporary);
            n_expected += n;
        }
        CHECK(outbox_flush(&o) == 0);
        CHECK(loop_turn(&p->loop, 0) == 0);
    }
    while (!outbox_is_empty(&o)) {
        CHECK(outbox_flush(&o) == 0);
        CHECK(loop_turn(&p->loop, 0) == 0);
    }
    TEST_TURN_UNTIL(&p->loop, p->server.n_in == n_expected);
    CHECK(memcmp(p->server.in, expected, n_expected) == 0);
    outbox_deinit(&o);
    outbox_pool_deinit(&pool);
    mem_free(expected);
    test_pair_free(p);
}

TEST(an_outbox_keeps_what_the_socket_does_not_take_and_says_that_it_is_full)
{
    enum { TOTAL = 6 << 20 };
    struct test_pair *p = connected_pair();
    char *bytes = mem_alloc_zero(TOTAL);
    struct outbox o;

    p->server.is_reading = false;
    stream_want(&p->server.stream, 0);
    outbox_init(&o, &pool, &p->client.stream);
    outbox_borrow(&o, bytes, TOTAL);
    CHECK(outbox_flush(&o) == 0);
    CHECK(!outbox_is_empty(&o) && outbox_is_full(&o));
    o.high = TOTAL; /* a connection may be allowed more, or less */
    CHECK(!outbox_is_full(&o));
    o.high = 1000;
    CHECK(outbox_is_full(&o) && !outbox_has_room(&o));
    memset(bytes, 1, TOTAL); /* no longer borrowed: must not be what is sent */
    p->server.is_reading = true;
    stream_want(&p->server.stream, LOOP_READ);
    while (!outbox_is_empty(&o) || p->server.n_in > 0) {
        size_t n = p->server.n_in;

        for (size_t i = 0; i < n; i++)
            CHECK(p->server.in[i] == 0);
        p->server.n_in = 0;
        CHECK(outbox_flush(&o) == 0);
        CHECK(loop_turn(&p->loop, 0) == 0);
    }
    CHECK(outbox_has_room(&o));
    outbox_deinit(&o);
    outbox_pool_deinit(&pool);
    mem_free(bytes);
    test_pair_free(p);
}
