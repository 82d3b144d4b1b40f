/* The parent's sockets and the channel to the child: both ends here, the parent's in a thread. */
#include "app/socket_holder.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "test/harness/test.h"

struct family {
    struct socket_holder *holder;
    int channel; /* the parent's end */
    struct broker broker;
    pthread_t thread;
    _Atomic bool is_ready;
    _Atomic unsigned n_bad;
};

static void *family_parent(void *arg)
{
    struct family *f = arg;
    struct pollfd p = {.fd = f->channel, .events = POLLIN};

    while (poll(&p, 1, -1) > 0) {
        int r = socket_holder_serve(f->holder, f->channel);

        if (r == BROKER_CLOSED)
            break;
        if (r == BROKER_BAD)
            f->n_bad++;
        f->is_ready = f->holder->is_ready;
    }
    return NULL;
}

static void family_start(struct family *f)
{
    char number[16];
    int pair[2];

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    f->channel = pair[0];
    CHECK(pthread_create(&f->thread, NULL, family_parent, f) == 0);
    snprintf(number, sizeof number, "%d", pair[1]);
    CHECK(setenv(BROKER_VARIABLE, number, 1) == 0);
    CHECK_INT(broker_open(&f->broker), 0);
    CHECK(!getenv(BROKER_VARIABLE)); /* not for children of the child */
}

/* The child is gone, in good order or not. */
static void family_end(struct family *f)
{
    broker_close(&f->broker);
    CHECK(pthread_join(f->thread, NULL) == 0);
    close(f->channel);
    socket_holder_take_back(f->holder);
}

static struct family *family_new(void)
{
    struct family *f = MEM_NEW(struct family);

    f->holder = MEM_NEW(struct socket_holder);
    f->holder->may_bind_privileged = true;
    return f;
}

static void family_free(struct family *f)
{
    socket_holder_close_all(f->holder);
    mem_free(f->holder);
    mem_free(f);
}

/* A port of 127.0.0.1 that was free a moment ago. */
static struct socket_address free_address(void)
{
    struct socket_address a;
    int fd;

    CHECK(socket_address_parse(STR("127.0.0.1:0"), &a) == 0);
    CHECK(socket_listen(&a, &fd) == 0);
    a.len = sizeof a.address;
    CHECK(getsockname(fd, (struct sockaddr *)&a.address, &a.len) == 0);
    close(fd);
    return a;
}

static bool is_reachable(const struct socket_address *a)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_ok = connect(fd, (const struct sockaddr *)&a->address, a->len) == 0;

    close(fd);
    return is_ok;
}

TEST(without_a_parent_nothing_is_asked)
{
    struct broker b;

    unsetenv(BROKER_VARIABLE);
    CHECK_INT(broker_open(&b), 0);
    CHECK_INT(b.fd, -1);
    CHECK(setenv(BROKER_VARIABLE, "x", 1) == 0);
    CHECK(broker_open(&b) < 0);
    CHECK(setenv(BROKER_VARIABLE, "0", 1) == 0); /* a descriptor, but no broker's */
    CHECK(broker_open(&b) < 0);
}

TEST(the_child_learns_whether_low_ports_can_be_bound)
{
    struct family *f = family_new();

    family_start(f);
    CHECK(broker_may_bind_privileged(&f->broker));
    family_end(f);
    f->holder->may_bind_privileged = false;
    family_start(f);
    CHECK(!broker_may_bind_privileged(&f->broker));
    family_end(f);
    family_free(f);
}

TEST(a_socket_that_is_asked_for_listens)
{
    struct family *f = family_new();
    struct socket_address a = free_address();
    int one, two;

    family_start(f);
    CHECK_INT(broker_listen(&f->broker, &a, &one), 0);
    CHECK_INT(broker_listen(&f->broker, &a, &two), 0); /* of the next worker */
    CHECK(broker_cookie(one) != broker_cookie(two));
    CHECK(is_reachable(&a));
    CHECK_INT(f->holder->n, 2);
    broker_close_socket(&f->broker, one);
    broker_close_socket(&f->broker, two);
    CHECK(!is_reachable(&a)); /* at once, whether the parent has read of it or not */
    family_end(f);
    CHECK_INT(f->holder->n, 0);
    family_free(f);
}

TEST(a_port_of_somebody_else_is_refused)
{
    struct family *f = family_new();
    struct socket_address a = free_address();
    int taken, fd;

    CHECK_INT(socket_listen(&a, &taken), 0);
    family_start(f);
    CHECK_INT(broker_listen(&f->broker, &a, &fd), SOCKET_IN_USE);
    CHECK_INT(fd, -1);
    family_end(f);
    CHECK_INT(f->holder->n, 0);
    close(taken);
    family_free(f);
}

TEST(sockets_outlive_a_child_that_died_and_go_to_the_next)
{
    struct family *f = family_new();
    struct socket_address kept = free_address(), left = free_address();
    uint64_t cookie;
    int fd, other;

    family_start(f);
    CHECK_INT(broker_listen(&f->broker, &kept, &fd), 0);
    CHECK_INT(broker_listen(&f->broker, &left, &other), 0);
    cookie = broker_cookie(fd);
    close(fd); /* as a death does: without a word */
    close(other);
    family_end(f);
    CHECK(is_reachable(&kept) && is_reachable(&left));
    family_start(f);
    CHECK_INT(broker_listen(&f->broker, &kept, &fd), 0);
    CHECK(broker_cookie(fd) == cookie);
    broker_say_ready(&f->broker);
    broker_close_socket(&f->broker, -1);
    while (!f->is_ready)
        poll(NULL, 0, 1);
    CHECK(!is_reachable(&left)); /* the second child serves, and did not ask for it */
    CHECK(is_reachable(&kept));
    close(fd);
    family_end(f);
    family_free(f);
}

/* As a child does that dies between the shutdown and its release, or that was taken over. */
TEST(a_socket_that_was_shut_down_is_not_handed_on)
{
    struct family *f = family_new();
    struct socket_address a = free_address();
    int fd;

    family_start(f);
    CHECK_INT(broker_listen(&f->broker, &a, &fd), 0);
    CHECK(shutdown(fd, SHUT_RDWR) == 0);
    close(fd);
    family_end(f);
    CHECK_INT(f->holder->n, 0);
    family_start(f);
    CHECK_INT(broker_listen(&f->broker, &a, &fd), 0);
    CHECK(is_reachable(&a));
    close(fd);
    family_end(f);
    family_free(f);
}

/* Its socket outlived the child in other hands, which shut it down before the next one asks. */
TEST(a_socket_that_is_shut_down_while_it_waits_is_not_lent)
{
    struct family *f = family_new();
    struct socket_address a = free_address();
    int fd, other, next;

    family_start(f);
    CHECK_INT(broker_listen(&f->broker, &a, &fd), 0);
    CHECK_INT(broker_listen(&f->broker, &a, &other), 0);
    family_end(f);
    CHECK_INT(f->holder->n, 2);
    CHECK(shutdown(fd, SHUT_RDWR) == 0);
    family_start(f);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(broker_listen(&f->broker, &a, &next), 0);
        CHECK(socket_is_listening(next));
        close(next);
    }
    CHECK_INT(f->holder->n, 2);
    close(fd);
    close(other);
    family_end(f);
    family_free(f);
}

static int ask(struct family *f, uint32_t kind, const struct sockaddr_storage *address, size_t len)
{
    struct broker_request q = {.kind = kind, .address_len = (uint32_t)len, .address = *address};
    struct broker_answer a;

    CHECK(send(f->broker.fd, &q, sizeof q, MSG_NOSIGNAL) == (ssize_t)sizeof q);
    CHECK(recv(f->broker.fd, &a, sizeof a, 0) == (ssize_t)sizeof a);
    return a.condition;
}

TEST(only_tcp_ports_of_well_formed_addresses_are_bound)
{
    struct family *f = family_new();
    struct sockaddr_storage v4 = {.ss_family = AF_INET}, local = {.ss_family = AF_UNIX};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(1)};
    struct sockaddr_storage v6_room = {0};

    memcpy(&v6_room, &v6, sizeof v6);
    family_start(f);
    CHECK_INT(ask(f, BROKER_LISTEN, &v4, sizeof(struct sockaddr_in)), SOCKET_BAD_ADDRESS); /* 0 */
    CHECK_INT(ask(f, BROKER_LISTEN, &v6_room, sizeof(struct sockaddr_in)), SOCKET_BAD_ADDRESS);
    CHECK_INT(ask(f, BROKER_LISTEN, &v6_room, sizeof v6_room), SOCKET_BAD_ADDRESS);
    CHECK_INT(ask(f, BROKER_LISTEN, &local, sizeof local), SOCKET_BAD_ADDRESS);
    CHECK_INT(f->holder->n, 0);
    family_end(f);
    family_free(f);
}

TEST(messages_of_another_form_are_noticed)
{
    struct family *f = family_new();
    struct broker_request q = {.kind = 99};
    char large[2 * sizeof q] = {0};

    family_start(f);
    CHECK(send(f->broker.fd, "x", 1, MSG_NOSIGNAL) == 1);
    CHECK(send(f->broker.fd, large, sizeof large, MSG_NOSIGNAL) == (ssize_t)sizeof large);
    CHECK(send(f->broker.fd, &q, sizeof q, MSG_NOSIGNAL) ==
          (ssize_t)sizeof q); /* unknown: nothing */
    family_end(f);
    CHECK_INT(f->n_bad, 2);
    CHECK(!f->is_ready);
    family_free(f);
}

TEST(a_child_that_never_stops_talking_is_served_a_few_messages_at_a_time)
{
    enum { N_LEFT = 6 };
    struct socket_holder *h = MEM_NEW(struct socket_holder);
    struct broker_request q = {.kind = BROKER_RELEASE};
    int pair[2], fd;

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    for (int i = 0; i < SOCKET_HOLDER_BATCH + N_LEFT; i++) {
        if (i == SOCKET_HOLDER_BATCH)
            q.kind = BROKER_READY;
        CHECK(send(pair[1], &q, sizeof q, MSG_DONTWAIT) == (ssize_t)sizeof q);
    }
    CHECK_INT(socket_holder_serve(h, pair[0]), 0);
    CHECK(!h->is_ready);
    for (int i = 0; i < N_LEFT - 1; i++)
        CHECK_INT(broker_receive(pair[0], &q, &fd), 0);
    CHECK_INT(socket_holder_serve(h, pair[0]), BROKER_EMPTY);
    CHECK(h->is_ready);
    close(pair[1]);
    CHECK_INT(socket_holder_serve(h, pair[0]), BROKER_CLOSED);
    close(pair[0]);
    mem_free(h);
}

TEST(a_socket_that_was_not_lent_cannot_be_released)
{
    struct family *f = family_new();
    struct socket_address a = free_address();
    struct broker_request q = {.kind = BROKER_RELEASE};
    int fd;

    family_start(f);
    CHECK_INT(broker_listen(&f->broker, &a, &fd), 0);
    q.cookie = broker_cookie(fd) + 1;
    CHECK(send(f->broker.fd, &q, sizeof q, MSG_NOSIGNAL) == (ssize_t)sizeof q);
    close(fd);
    family_end(f);
    CHECK_INT(f->holder->n, 1);
    family_free(f);
}

/* Filled by hand: so many descriptors no test needs. */
TEST(there_is_an_end_to_how_many_are_held)
{
    struct family *f = family_new();
    struct socket_address a = free_address();
    int fd;

    for (size_t i = 0; i < LIMIT_HELD_SOCKETS; i++)
        f->holder->sockets[i] = (struct held_socket){.fd = -1, .is_lent = true, .address = a};
    f->holder->n = LIMIT_HELD_SOCKETS - 1;
    family_start(f);
    CHECK_INT(broker_listen(&f->broker, &a, &fd), 0);
    close(fd);
    CHECK_INT(f->holder->n, LIMIT_HELD_SOCKETS);
    CHECK_INT(broker_listen(&f->broker, &a, &fd), SOCKET_FAILED);
    family_end(f);
    family_free(f);
}

/* Asks for one port after another until one is refused, and drops its own descriptors. */
static void hoard(struct family *f)
{
    struct socket_address a;
    int fd;

    do {
        a = free_address();
        fd = -1;
        if (broker_listen(&f->broker, &a, &fd) != 0)
            return;
        close(fd);
    } while (f->holder->n < LIMIT_HELD_SOCKETS);
}

enum { FEW_FDS = 64 };

TEST(a_child_that_hoards_leaves_its_parent_descriptors_and_the_next_child_ports)
{
    struct family *f = family_new();
    struct socket_address a = free_address();
    struct rlimit before, few;
    int spare[8], fd;

    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    few = (struct rlimit){.rlim_cur = FEW_FDS, .rlim_max = before.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    family_start(f);
    hoard(f);
    CHECK(f->holder->n > 0);
    family_end(f);
    for (size_t i = 0; i < N_ELEMENTS(spare); i += 2)
        CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, &spare[i]) == 0);
    for (size_t i = 0; i < N_ELEMENTS(spare); i++)
        close(spare[i]);
    family_start(f);
    CHECK_INT(broker_listen(&f->broker, &a, &fd), 0);
    CHECK(is_reachable(&a));
    close(fd);
    family_end(f);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    family_free(f);
}

/* Listens, as what another process has handed over does. */
static int foreign_port(struct socket_address *ret)
{
    int fd;

    *ret = free_address();
    CHECK_INT(socket_listen(ret, &fd), 0);
    return fd;
}

/* What was said without an answer has been heard. */
static void await_parent(struct family *f)
{
    const struct sockaddr_storage none = {0};

    CHECK_INT(ask(f, BROKER_HELLO, &none, 0), 0);
}

TEST(what_another_process_has_left_is_held_for_the_next_child)
{
    struct family *f = family_new();
    struct socket_address a;
    int own = foreign_port(&a), more, next;

    family_start(f);
    broker_adopt(&f->broker, own);
    CHECK_INT(broker_listen(&f->broker, &a, &more), 0);
    CHECK_INT(f->holder->n, 2);
    broker_say_ready(&f->broker);
    family_end(f);
    close(own);
    close(more);
    CHECK_MSG(is_reachable(&a), "nobody has it but the parent");
    family_start(f);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(broker_listen(&f->broker, &a, &next), 0);
        close(next);
    }
    CHECK_INT(f->holder->n, 2);
    family_end(f);
    family_free(f);
}

TEST(only_a_child_that_starts_brings_sockets_and_only_ports)
{
    struct family *f = family_new();
    struct socket_address a, b;
    int port = foreign_port(&a), late = foreign_port(&b), stream, local;

    stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    family_start(f);
    broker_adopt(&f->broker, stream); /* does not listen */
    broker_adopt(&f->broker, local);
    broker_adopt(&f->broker, f->broker.fd);
    broker_adopt(&f->broker, -1);
    await_parent(f);
    CHECK_INT(f->holder->n, 0);
    broker_adopt(&f->broker, port);
    broker_say_ready(&f->broker);
    broker_adopt(&f->broker, late);
    await_parent(f);
    CHECK_INT(f->holder->n, 1);
    broker_close_socket(&f->broker, port);
    await_parent(f);
    CHECK_INT(f->holder->n, 0);
    CHECK(!is_reachable(&a));
    close(late);
    close(stream);
    close(local);
    family_end(f);
    family_free(f);
}

TEST(a_child_that_was_taken_over_ends_no_socket_that_the_other_has)
{
    struct family *f = family_new();
    struct socket_address a = free_address();
    int fd, theirs;

    family_start(f);
    CHECK_INT(broker_listen(&f->broker, &a, &fd), 0);
    theirs = dup(fd);
    broker_leave(&f->broker);
    broker_close_socket(&f->broker, fd);
    await_parent(f);
    CHECK(f->holder->has_left);
    CHECK_INT(f->holder->n, 0);
    CHECK(is_reachable(&a) && socket_is_listening(theirs));
    close(theirs);
    CHECK(!is_reachable(&a));
    family_end(f);
    family_free(f);
}
