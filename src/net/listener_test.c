/* Addresses, listening sockets, accepting, signals. */
#include "net/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/signals.h"
#include "net/socket.h"
#include "net/stream_testing.h"
#include "test/harness/test.h"

/* ---- addresses ---- */

TEST(addresses_are_read_and_written_in_one_form)
{
    static const struct {
        const char *text, *form; /* form NULL: refused */
    } cases[] = {
        {"127.0.0.1:9901", "127.0.0.1:9901"},
        {"[::1]:80", "[::1]:80"},
        {"[2001:DB8:0::1]:65535", "[2001:db8::1]:65535"},
        {"[::ffff:192.0.2.1]:80", "192.0.2.1:80"},
        {"0.0.0.0:0", "0.0.0.0:0"},
        {"127.0.0.1", NULL},
        {"127.0.0.1:", NULL},
        {"127.0.0.1:65536", NULL},
        {"127.0.0.1:-1", NULL},
        {"127.0.0.1:8o", NULL},
        {"::1:80", NULL},
        {"[::1]", NULL},
        {"[::1:80", NULL},
        {"127.1:80", NULL},
        {"localhost:80", NULL},
        {"1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20:1", NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct socket_address a;
        char form[64];
        int r = socket_address_parse(str_of(cases[i].text), &a);

        CHECK_MSG((r == 0) == (cases[i].form != NULL), "%s", cases[i].text);
        if (r != 0)
            continue;
        socket_format_address((const struct sockaddr *)&a.address, form, sizeof form);
        CHECK_MSG(strcmp(form, cases[i].form) == 0, "%s: %s", cases[i].text, form);
    }
    CHECK(socket_address_parse(str_make("127.0.0.1\0x:80", 14), &(struct socket_address){0}) != 0);
}

TEST(an_empty_address_is_the_wildcard_and_takes_ipv4)
{
    struct socket_address a;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a.address;
    int fd, client;

    CHECK(socket_address_parse(STR(":0"), &a) == 0);
    CHECK(socket_listen(&a, &fd) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&a.address, &len) == 0);
    to.sin_port = htons(socket_address_port(&a));
    client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(client, (const struct sockaddr *)&to, sizeof to) == 0);
    close(client);
    socket_close(fd);
    socket_close(-1);
}

/* ---- listening ---- */

/* A listening socket as the gateway opens them, on a free port of 127.0.0.1. */
static int listen_somewhere(struct socket_address *a)
{
    int fd;

    CHECK(socket_address_parse(STR("127.0.0.1:0"), a) == 0);
    CHECK(socket_listen(a, &fd) == 0);
    a->len = sizeof a->address;
    CHECK(getsockname(fd, (struct sockaddr *)&a->address, &a->len) == 0);
    return fd;
}

TEST(a_port_in_use_is_noticed_although_our_own_sockets_may_share_it)
{
    struct socket_address a;
    int fd = listen_somewhere(&a);
    int second;

    CHECK_INT(socket_probe(&a), SOCKET_IN_USE);
    CHECK(socket_listen(&a, &second) == 0); /* the next worker's */
    close(second);
    close(fd);
    CHECK_INT(socket_probe(&a), 0);
    CHECK(strstr(socket_listen_error(SOCKET_IN_USE), "in use") != NULL);
}

TEST(an_address_of_another_machine_is_named)
{
    struct socket_address a;
    int fd = -1;

    CHECK(socket_address_parse(STR("192.0.2.1:0"), &a) == 0);
    CHECK_INT(socket_probe(&a), SOCKET_NOT_AVAILABLE);
    CHECK_INT(socket_listen(&a, &fd), SOCKET_NOT_AVAILABLE);
}

struct counting_listener {
    struct listener listener;
    unsigned n_accepted;
    unsigned n_in_turn;
    unsigned n_ends;
    bool closes_after_first;
};

static void counting_on_accept(struct listener *l, int fd, const struct sockaddr *peer,
                               socklen_t peer_len UNUSED)
{
    struct counting_listener *c = CONTAINER_OF(l, struct counting_listener, listener);

    CHECK(peer->sa_family == AF_INET);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    c->n_accepted++;
    c->n_in_turn++;
    close(fd);
    if (c->closes_after_first)
        listener_close(l, false);
}

static int dial(const struct socket_address *a)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(connect(fd, (const struct sockaddr *)&a->address, a->len) == 0);
    return fd;
}

enum { DIALS = 40 };

TEST(a_storm_of_connections_is_taken_in_batches)
{
    struct counting_listener c = {0};
    struct socket_address a;
    struct loop l;
    int fd = listen_somewhere(&a);
    int clients[DIALS];

    CHECK(loop_init(&l) == 0);
    CHECK(listener_open(&c.listener, &l, fd, counting_on_accept) == 0);
    for (int i = 0; i < DIALS; i++)
        clients[i] = dial(&a);
    while (c.n_accepted < DIALS) {
        c.n_in_turn = 0;
        CHECK(loop_turn(&l, 1000) == 0);
        CHECK(c.n_in_turn <= 16);
    }
    listener_close(&c.listener, false);
    listener_close(&c.listener, false);
    for (int i = 0; i < DIALS; i++)
        close(clients[i]);
    close(fd);
    loop_deinit(&l);
}

TEST(a_batch_may_be_smaller)
{
    struct counting_listener c = {0};
    struct socket_address a;
    struct loop l;
    int fd = listen_somewhere(&a);
    int clients[3];

    CHECK(loop_init(&l) == 0);
    CHECK(listener_open(&c.listener, &l, fd, counting_on_accept) == 0);
    c.listener.batch = 2;
    for (size_t i = 0; i < N_ELEMENTS(clients); i++)
        clients[i] = dial(&a);
    CHECK(loop_turn(&l, 1000) == 0);
    CHECK_INT(c.n_accepted, 2);
    TEST_TURN_UNTIL(&l, c.n_accepted == 3);
    listener_close(&c.listener, false);
    for (size_t i = 0; i < N_ELEMENTS(clients); i++)
        close(clients[i]);
    close(fd);
    loop_deinit(&l);
}

static int option_of(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;

    CHECK(getsockopt(fd, level, name, &value, &len) == 0);
    return value;
}

TEST(a_socket_is_as_its_options_say_and_else_as_the_system_makes_it)
{
    struct socket_options o = {.buffer_bytes = 16384};
    int plain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    socket_set_options(fd, &(struct socket_options){0});
    CHECK_INT(option_of(fd, SOL_SOCKET, SO_RCVBUF), option_of(plain, SOL_SOCKET, SO_RCVBUF));
    CHECK_INT(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    socket_set_options(fd, &o);
    CHECK_INT(option_of(fd, SOL_SOCKET, SO_RCVBUF), 2 * 16384); /* Linux counts its own share */
    CHECK_INT(option_of(fd, SOL_SOCKET, SO_SNDBUF), 2 * 16384);
    CHECK_INT(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    o = (struct socket_options){.keeps_alive = true, .idle_s = 9, .n_probes = 4};
    socket_set_options(fd, &o);
    CHECK_INT(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    CHECK_INT(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), 9);
    CHECK_INT(option_of(fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
    CHECK_INT(option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL),
              option_of(plain, IPPROTO_TCP, TCP_KEEPINTVL));
    close(plain);
    close(fd);
}

TEST(a_drain_takes_everybody_who_is_connected_already)
{
    struct counting_listener c = {0};
    struct socket_address a;
    struct loop l;
    int fd = listen_somewhere(&a);
    int clients[DIALS];

    CHECK(loop_init(&l) == 0);
    CHECK(listener_open(&c.listener, &l, fd, counting_on_accept) == 0);
    for (int i = 0; i < DIALS; i++)
        clients[i] = dial(&a);
    listener_close(&c.listener, true);
    CHECK_INT(c.n_accepted, DIALS);
    for (int i = 0; i < DIALS; i++)
        close(clients[i]);
    close(fd);
    loop_deinit(&l);
}

TEST(a_listener_may_be_closed_from_its_own_callback)
{
    struct counting_listener c = {.closes_after_first = true};
    struct socket_address a;
    struct loop l;
    int fd = listen_somewhere(&a);
    int clients[2];

    CHECK(loop_init(&l) == 0);
    CHECK(listener_open(&c.listener, &l, fd, counting_on_accept) == 0);
    for (int i = 0; i < 2; i++)
        clients[i] = dial(&a);
    TEST_TURN_UNTIL(&l, c.n_accepted > 0);
    CHECK(loop_turn(&l, 0) == 0);
    CHECK_INT(c.n_accepted, 1);
    for (int i = 0; i < 2; i++)
        close(clients[i]);
    close(fd);
    loop_deinit(&l);
}

TEST(running_out_of_descriptors_pauses_accepting_and_recovers)
{
    struct counting_listener c = {0};
    struct socket_address a;
    struct rlimit before, none;
    struct loop l;
    int fd = listen_somewhere(&a);
    int client;

    CHECK(loop_init(&l) == 0);
    CHECK(listener_open(&c.listener, &l, fd, counting_on_accept) == 0);
    client = dial(&a);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    TEST_TURN_UNTIL(&l, c.listener.n_pauses > 0);
    CHECK(loop_turn(&l, 0) == 0);
    CHECK_INT(c.listener.n_pauses, 1); /* it does not spin */
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    TEST_TURN_UNTIL(&l, c.n_accepted == 1);
    listener_close(&c.listener, false);
    close(client);
    close(fd);
    loop_deinit(&l);
}

static void counting_on_end(struct listener *l)
{
    CONTAINER_OF(l, struct counting_listener, listener)->n_ends++;
}

/* Nothing reports any more: `fd` is watched no longer. */
static bool is_quiet(struct loop *l)
{
    struct epoll_event event;

    return epoll_wait(l->epoll_fd, &event, 1, 0) == 0;
}

TEST(a_socket_that_was_shut_down_is_told_once_and_watched_no_more)
{
    struct counting_listener c = {0};
    struct socket_address a;
    struct loop l;
    int fd = listen_somewhere(&a);

    CHECK(loop_init(&l) == 0);
    CHECK(listener_open(&c.listener, &l, fd, counting_on_accept) == 0);
    c.listener.on_end = counting_on_end;
    CHECK(shutdown(fd, SHUT_RDWR) == 0);
    CHECK(loop_turn(&l, 1000) == 0);
    CHECK(is_quiet(&l));
    CHECK_INT(c.n_ends, 1);
    listener_close(&c.listener, true);
    CHECK_INT(c.n_ends, 1);
    close(fd);
    loop_deinit(&l);
}

/* A hang-up is reported also where nothing is asked for. */
TEST(a_socket_that_is_shut_down_while_accepting_pauses_does_not_spin)
{
    struct counting_listener c = {0};
    struct socket_address a;
    struct rlimit before, none;
    struct loop l;
    int fd = listen_somewhere(&a);
    int client;

    CHECK(loop_init(&l) == 0);
    CHECK(listener_open(&c.listener, &l, fd, counting_on_accept) == 0);
    c.listener.on_end = counting_on_end;
    client = dial(&a);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    TEST_TURN_UNTIL(&l, c.listener.n_pauses > 0);
    CHECK(shutdown(fd, SHUT_RDWR) == 0);
    CHECK(loop_turn(&l, 1000) == 0);
    CHECK(is_quiet(&l));
    CHECK_INT(c.n_ends, 1);
    CHECK(!timer_is_set(&c.listener.pause));
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    close(client);
    close(fd);
    loop_deinit(&l);
}

/* Nobody looks at its events at the end: accept() says it. */
TEST(a_drain_of_a_socket_that_was_shut_down_ends)
{
    struct counting_listener c = {0};
    struct socket_address a;
    struct loop l;
    int fd = listen_somewhere(&a);

    CHECK(loop_init(&l) == 0);
    CHECK(listener_open(&c.listener, &l, fd, counting_on_accept) == 0);
    c.listener.on_end = counting_on_end;
    CHECK(shutdown(fd, SHUT_RDWR) == 0);
    listener_close(&c.listener, true);
    CHECK_INT(c.n_ends, 1);
    CHECK(is_quiet(&l));
    close(fd);
    loop_deinit(&l);
}

/* ---- signals ---- */

static int last_signal;

static void on_signal(struct signals *s, int number)
{
    last_signal = number;
    if (number == SIGTERM)
        signals_close(s);
}

TEST(signals_arrive_as_events)
{
    struct signals s;
    struct loop l;

    signals_block();
    CHECK(loop_init(&l) == 0);
    CHECK(signals_open(&s, &l, on_signal) == 0);
    CHECK(kill(getpid(), SIGHUP) == 0);
    TEST_TURN_UNTIL(&l, last_signal == SIGHUP);
    CHECK(kill(getpid(), SIGUSR1) == 0);
    TEST_TURN_UNTIL(&l, last_signal == SIGUSR1);
    CHECK(kill(getpid(), SIGTERM) == 0);
    TEST_TURN_UNTIL(&l, last_signal == SIGTERM);
    signals_close(&s);
    loop_deinit(&l);
}
