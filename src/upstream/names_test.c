/* Names of clusters against a name server of the test's own, on the same loop: what its answers
 * make of the endpoints, and what its failures leave of them. */
#include "upstream/names.h"

#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "net/must_testing.h"
#include "telemetry/metrics.h"
#include "test/harness/test.h"

enum { TYPE_A = 1, ANSWER_MAX = 1100, RCODE_SERVER_FAILURE = 2, RCODE_NO_NAME = 3 };

/* What the server says next. */
static struct {
    unsigned rcode;
    unsigned n; /* addresses 127.1.x.y, counted from `first` */
    unsigned first;
    bool is_reversed;
    bool is_silent;
    unsigned n_asked; /* for addresses of IPv4 */
} server;

static struct loop loop;
static struct loop_fd server_io;
static struct loop_fd listen_io;
static struct loop_fd connection_io;
static struct cluster_registry registry;
static struct names names;
static struct metrics metrics;
static int n_news;

static void on_news(void *ctx UNUSED)
{
    n_news++;
}

static unsigned char *put_u16(unsigned char *p, unsigned value)
{
    *p++ = (unsigned char)(value >> 8);
    *p++ = (unsigned char)value;
    return p;
}

static unsigned char *put_address(unsigned char *p, unsigned number)
{
    p = put_u16(p, 0xc00c);
    p = put_u16(p, TYPE_A);
    p = put_u16(p, 1);
    p = put_u16(put_u16(p, 0), 1); /* seconds to live */
    p = put_u16(p, 4);
    p = put_u16(p, 127 << 8 | 1);
    return put_u16(p, number);
}

/* Turns the question into its answer, of at most `room` bytes: else it says so (TC), and is asked
 * again by TCP. 0: silence. */
static size_t server_answer(unsigned char *packet, size_t room)
{
    unsigned char *p = packet + 12;

    while (*p)
        p += *p + 1;
    bool is_ipv4 = p[2] == TYPE_A;
    unsigned n = is_ipv4 && server.rcode == 0 ? server.n : 0;
    bool is_cut = (size_t)(p + 5 - packet) + (size_t)n * 16 > room;

    server.n_asked += is_ipv4 && !is_cut;
    p += 5;
    packet[2] = is_cut ? 0x83 : 0x81;
    packet[3] = (unsigned char)server.rcode;
    memset(packet + 6, 0, 6);
    n = is_cut ? 0 : n;
    put_u16(packet + 6, n);
    for (unsigned i = 0; i < n; i++)
        p = put_address(p, server.first + (server.is_reversed ? n - 1 - i : i));
    return server.is_silent ? 0 : (size_t)(p - packet);
}

static void server_on_packet(struct loop_fd *io, unsigned events UNUSED)
{
    static unsigned char packet[4096];
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    ssize_t n_asked = recvfrom(io->fd, packet, 512, 0, (struct sockaddr *)&from, &len);

    CHECK(n_asked > 16);
    size_t n = server_answer(packet, 1232);

    if (n > 0)
        CHECK(sendto(io->fd, packet, n, 0, (struct sockaddr *)&from, len) > 0);
}

static void server_close(struct loop_fd *io)
{
    int fd = io->fd;

    if (!io->loop)
        return;
    loop_fd_remove(io);
    close(fd);
}

/* One question a connection, which comes as a whole. */
static void server_on_question(struct loop_fd *io, unsigned events UNUSED)
{
    static unsigned char bytes[64 + 16 * ANSWER_MAX];
    int fd = io->fd;

    if (recv(fd, bytes, 512, 0) > 16) {
        size_t n = server_answer(bytes + 2, sizeof bytes - 2);

        put_u16(bytes, (unsigned)n);
        CHECK(send(fd, bytes, n + 2, 0) == (ssize_t)n + 2);
        return;
    }
    server_close(io);
}

static void server_on_connection(struct loop_fd *io, unsigned events UNUSED)
{
    int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    CHECK(fd >= 0);
    server_close(&connection_io);
    MUST(loop_fd_add(&loop, &connection_io, fd, LOOP_READ, server_on_question) == 0);
}

static int server_open(struct loop_fd *io, int type, loop_fd_fn *fn, struct sockaddr_in *address)
{
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof *address;

    if (bind(fd, (const struct sockaddr *)address, sizeof *address) != 0) {
        close(fd);
        return -1; /* somebody has that port for TCP */
    }
    MUST(getsockname(fd, (struct sockaddr *)address, &len) == 0);
    if (type == SOCK_STREAM)
        MUST(listen(fd, 16) == 0);
    MUST(loop_fd_add(&loop, io, fd, LOOP_READ, fn) == 0);
    return 0;
}

/* By UDP and TCP at one port. */
static void server_start(char text[32])
{
    for (;;) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

        MUST(server_open(&server_io, SOCK_DGRAM, server_on_packet, &a) == 0);
        snprintf(text, 32, "127.0.0.1:%u", ntohs(a.sin_port));
        if (server_open(&listen_io, SOCK_STREAM, server_on_connection, &a) == 0)
            return;
        server_close(&server_io);
    }
}

static struct cluster *play_begin(enum cluster_family family)
{
    struct cluster_identity identity = {
        .key = STR("k"),
        .name = STR("Backend/ns/b"),
        .resolve_host = STR("b.test"),
        .resolve_port = 80,
        .lookup = {.family = family, .refresh_us = 20000},
        .endpoints = endpoint_set_new(0, ENDPOINTS_PENDING),
    };
    char text[32];

    n_news = 0;
    MUST(loop_init(&loop) == 0);
    server_start(text);
    cluster_registry_init(&registry);
    metrics_init(&metrics);
    MUST(names_init(&names, &loop, &registry, metrics_shard_new(&metrics), on_news, NULL) == 0);
    MUST(resolver_use_servers(&names.resolver, text, 20) == 0);
    struct cluster *c = cluster_registry_get(&registry, &identity);

    names_sweep(&names);
    return c;
}

static void play_end(struct cluster *c)
{
    cluster_unref(c);
    names_sweep(&names);
    CHECK_MSG(!names.entries.first, "nothing routes there any more");
    names_deinit(&names);
    cluster_registry_deinit(&registry);
    metrics_deinit(&metrics);
    server_close(&server_io);
    server_close(&listen_io);
    server_close(&connection_io);
    loop_deinit(&loop);
    memset(&server, 0, sizeof server);
}

static void turn_until_asked(unsigned n)
{
    for (unsigned target = server.n_asked + n; server.n_asked < target;)
        MUST(loop_turn(&loop, 1000) == 0);
}

static void turn_until(const struct cluster *c, enum endpoints_state state, uint32_t n)
{
    while (c->endpoints->state != state || c->endpoints->n != n)
        MUST(loop_turn(&loop, 1000) == 0);
}

TEST(the_order_of_an_answer_changes_nothing)
{
    server.n = 7;
    struct cluster *c = play_begin(CLUSTER_IPV4);

    turn_until(c, ENDPOINTS_KNOWN, 7);
    uint32_t version = c->version;

    atomic_store(&c->endpoints->items[3].state->n_in_flight, 5);
    server.is_reversed = true;
    turn_until_asked(3);
    CHECK_INT(c->version, version);
    CHECK_INT(n_news, 1);
    server.first = 1; /* one leaves, one comes */
    turn_until_asked(3);
    CHECK_INT(c->version, version + 1);
    CHECK_STR(str_of(c->endpoints->items[2].text), "127.1.0.3:80");
    CHECK_INT(c->endpoints->items[2].state->n_in_flight, 5);
    play_end(c);
}

TEST(many_addresses_are_used_up_to_a_bound)
{
    static const unsigned numbers[] = {1000, LIMIT_NAME_ADDRESSES, LIMIT_NAME_ADDRESSES + 50};

    for (size_t i = 0; i < N_ELEMENTS(numbers); i++) {
        server.n = numbers[i];
        struct cluster *c = play_begin(CLUSTER_IPV4);

        turn_until(c, ENDPOINTS_KNOWN, MIN(numbers[i], (unsigned)LIMIT_NAME_ADDRESSES));
        play_end(c);
    }
}

TEST(a_failure_keeps_the_last_good_answer_for_its_time)
{
    static const struct {
        unsigned rcode;
        bool is_silent;
        bool is_empty;
    } failures[] = {{RCODE_NO_NAME, false, false},
                    {RCODE_SERVER_FAILURE, false, false},
                    {0, true, false},
                    {0, false, true}};

    for (size_t i = 0; i < N_ELEMENTS(failures); i++) {
        server.n = 2;
        struct cluster *c = play_begin(CLUSTER_IPV4);

        turn_until(c, ENDPOINTS_KNOWN, 2);
        server.rcode = failures[i].rcode;
        server.is_silent = failures[i].is_silent;
        server.n = failures[i].is_empty ? 0 : 2;
        turn_until_asked(2);
        CHECK_INT(c->endpoints->n, 2);
        names.stale_us = 1;
        turn_until(c, ENDPOINTS_FAILED, 0);
        server.rcode = 0;
        server.is_silent = false;
        server.n = 3;
        turn_until(c, ENDPOINTS_KNOWN, 3);
        play_end(c);
    }
}

static struct cluster *another_cluster(const char *key, const char *host,
                                       enum cluster_family family)
{
    struct cluster_identity identity = {
        .key = str_of(key),
        .name = STR("Backend/ns/other"),
        .resolve_host = str_of(host),
        .resolve_port = 443,
        .lookup = {.family = family, .refresh_us = 20000},
        .endpoints = endpoint_set_new(0, ENDPOINTS_PENDING),
    };

    return cluster_registry_get(&registry, &identity);
}

static void another_ends(struct cluster *c)
{
    cluster_unref(c);
    names_sweep(&names);
}

TEST(what_another_cluster_knows_of_a_name_serves_a_new_one_while_the_server_fails)
{
    server.n = 2;
    struct cluster *c = play_begin(CLUSTER_IPV4);

    turn_until(c, ENDPOINTS_KNOWN, 2);
    server.rcode = RCODE_SERVER_FAILURE;
    turn_until_asked(1);
    struct cluster *same = another_cluster("same", "b.test", CLUSTER_ALL_FAMILIES);
    struct cluster *ipv6 = another_cluster("6", "b.test", CLUSTER_IPV6);
    struct cluster *other = another_cluster("other", "c.test", CLUSTER_IPV4);

    cluster_unref(c); /* the reload has let go of it */
    names_sweep(&names);
    CHECK_INT(same->endpoints->state, ENDPOINTS_KNOWN);
    CHECK_INT(same->endpoints->n, 2);
    CHECK_STR(str_of(same->endpoints->items[1].text), "127.1.0.1:443");
    CHECK_INT(ipv6->endpoints->state, ENDPOINTS_PENDING);
    CHECK_INT(other->endpoints->state, ENDPOINTS_PENDING);
    turn_until_asked(3);
    CHECK_INT(same->endpoints->n, 2);
    turn_until(ipv6, ENDPOINTS_FAILED, 0);
    turn_until(other, ENDPOINTS_FAILED, 0);
    names.stale_us = 1;
    turn_until(same, ENDPOINTS_FAILED, 0); /* the time goes on as it was */
    another_ends(ipv6);
    another_ends(other);
    play_end(same);
}

TEST(a_name_that_never_was_fails_at_once)
{
    server.rcode = RCODE_NO_NAME;
    struct cluster *c = play_begin(CLUSTER_ALL_FAMILIES);

    turn_until(c, ENDPOINTS_FAILED, 0);
    CHECK_INT(n_news, 1);
    play_end(c);
}

TEST(a_preferred_family_is_used_alone_where_it_is_there)
{
    static const enum cluster_family families[] = {CLUSTER_ALL_FAMILIES, CLUSTER_IPV4_PREFERRED,
                                                   CLUSTER_IPV6_PREFERRED};

    for (size_t i = 0; i < N_ELEMENTS(families); i++) { /* the server has IPv4 alone */
        server.n = 2;
        struct cluster *c = play_begin(families[i]);

        turn_until(c, ENDPOINTS_KNOWN, 2);
        play_end(c);
    }
    server.n = 2;
    struct cluster *c = play_begin(CLUSTER_IPV6);

    turn_until(c, ENDPOINTS_FAILED, 0);
    CHECK_INT(server.n_asked, 0);
    play_end(c);
}
