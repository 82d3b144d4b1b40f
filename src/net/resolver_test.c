/* The resolver against a name server of the test's own, which runs on the same loop. */
#include "net/resolver.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include "net/stream_testing.h"
#include "test/harness/test.h"

enum { TYPE_A = 1, TYPE_CNAME = 5, TYPE_AAAA = 28 };

struct name_server {
    struct loop_fd io;
    char address[32]; /* "127.0.0.1:PORT" */
    unsigned n_questions;
};

struct packet {
    unsigned char bytes[4096];
    size_t n;
};

static void packet_u16(struct packet *p, unsigned value)
{
    p->bytes[p->n++] = (unsigned char)(value >> 8);
    p->bytes[p->n++] = (unsigned char)value;
}

/* A record for the name of the question. */
static void packet_record(struct packet *p, unsigned type, unsigned ttl_s, const void *data,
                          size_t n)
{
    packet_u16(p, 0xc00c);
    packet_u16(p, type);
    packet_u16(p, 1);
    packet_u16(p, 0);
    packet_u16(p, ttl_s);
    packet_u16(p, (unsigned)n);
    memcpy(p->bytes + p->n, data, n);
    p->n += n;
    p->bytes[7]++;
}

static void packet_address(struct packet *p, unsigned type, unsigned ttl_s, const char *text)
{
    unsigned char data[16];

    CHECK(inet_pton(type == TYPE_A ? AF_INET : AF_INET6, text, data) == 1);
    packet_record(p, type, ttl_s, data, type == TYPE_A ? 4 : 16);
}

/* Answers for name and type; false: silence. */
static bool answer(struct packet *p, const char *name, unsigned type)
{
    if (strcmp(name, "two.test") == 0) {
        if (type == TYPE_A) {
            packet_address(p, TYPE_A, 60, "192.0.2.1");
            packet_address(p, TYPE_A, 30, "192.0.2.2");
        } else {
            packet_address(p, TYPE_AAAA, 90, "2001:db8::1");
        }
    } else if (strcmp(name, "four.test") == 0) {
        if (type == TYPE_A)
            packet_address(p, TYPE_A, 7, "192.0.2.4");
    } else if (strcmp(name, "many.test") == 0) {
        for (int i = 0; type == TYPE_A && i < 70; i++) {
            char text[32];

            snprintf(text, sizeof text, "192.0.2.%d", i + 1);
            packet_address(p, TYPE_A, 5, text);
        }
    } else if (strcmp(name, "alias.test") == 0) {
        static const unsigned char real[] = "\4real\4test";

        packet_record(p, TYPE_CNAME, 3, real, sizeof real);
        if (type == TYPE_A) { /* of the alias's target, which stands right in the record above */
            packet_address(p, TYPE_A, 60, "192.0.2.9");
            p->bytes[p->n - 16] = 0xc0;
            p->bytes[p->n - 15] = (unsigned char)(p->n - 16 - sizeof real);
        }
    } else if (strcmp(name, "broken.test") == 0) {
        p->bytes[3] = 2;
    } else if (strcmp(name, "silent.test") == 0) {
        return false;
    } else {
        p->bytes[3] = 3;
    }
    return true;
}

static void name_server_on_ready(struct loop_fd *io, unsigned events UNUSED)
{
    struct name_server *s = CONTAINER_OF(io, struct name_server, io);
    struct packet p = {0};
    struct sockaddr_storage from;
    socklen_t from_len = sizeof from;
    ssize_t n = recvfrom(io->fd, p.bytes, 512, 0, (struct sockaddr *)&from, &from_len);
    char name[256] = "";
    size_t at = 12;
    size_t len = 0;

    CHECK(n > 16);
    for (; p.bytes[at] != 0; at += p.bytes[at] + 1U) {
        memcpy(name + len, p.bytes + at + 1, p.bytes[at]);
        len += p.bytes[at];
        name[len++] = '.';
    }
    name[len ? len - 1 : 0] = '\0';
    p.n = at + 5;
    s->n_questions++;
    p.bytes[2] = 0x81;
    p.bytes[3] = 0;
    p.bytes[10] = p.bytes[11] = 0; /* no additional records */
    if (answer(&p, name, (unsigned)p.bytes[at + 2]))
        CHECK(sendto(io->fd, p.bytes, p.n, 0, (const struct sockaddr *)&from, from_len) > 0);
}

struct scene {
    struct loop loop;
    struct name_server server;
    int server_fd;
    struct resolver resolver;
};

static void scene_open(struct scene *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;

    *s = (struct scene){0};
    CHECK(loop_init(&s->loop) == 0);
    s->server_fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(bind(s->server_fd, (const struct sockaddr *)&a, sizeof a) == 0);
    CHECK(getsockname(s->server_fd, (struct sockaddr *)&a, &len) == 0);
    CHECK(loop_fd_add(&s->loop, &s->server.io, s->server_fd, LOOP_READ, name_server_on_ready) == 0);
    snprintf(s->server.address, sizeof s->server.address, "127.0.0.1:%u", ntohs(a.sin_port));
    CHECK(resolver_init(&s->resolver, &s->loop) == 0);
    CHECK(resolver_use_servers(&s->resolver, s->server.address, 300) == 0);
}

static void scene_close(struct scene *s)
{
    resolver_deinit(&s->resolver);
    resolver_deinit(&s->resolver);
    loop_fd_remove(&s->server.io);
    close(s->server_fd);
    loop_deinit(&s->loop);
}

struct asked {
    struct resolve_query query;
    int n_done;
    size_t n_v6;
    struct resolve_result result;
};

static void asked_on_done(struct resolve_query *q, const struct resolve_result *result)
{
    struct asked *a = CONTAINER_OF(q, struct asked, query);

    a->n_done++;
    a->result = *result;
    a->result.addresses = NULL;
    a->n_v6 = 0;
    for (size_t i = 0; i < result->n_addresses; i++)
        a->n_v6 += result->addresses[i].address.ss_family == AF_INET6;
}

static void ask(struct scene *s, struct asked *a, const char *name)
{
    resolver_start(&s->resolver, &a->query, str_of(name), AF_UNSPEC, asked_on_done);
    CHECK_INT(a->n_done, 0); /* never from within */
    TEST_TURN_UNTIL(&s->loop, a->n_done > 0);
    CHECK_INT(a->n_done, 1);
    CHECK(a->query.job == NULL);
}

TEST(a_name_gives_all_addresses_of_both_kinds_and_the_smallest_ttl)
{
    struct asked a = {0};
    struct scene s;

    scene_open(&s);
    ask(&s, &a, "two.test");
    CHECK_INT(a.result.status, RESOLVE_OK);
    CHECK_INT(a.result.n_addresses, 3);
    CHECK_INT(a.result.ttl_s, 30);
    CHECK_INT(a.n_v6, 1);
    scene_close(&s);
}

TEST(answers_are_told_apart)
{
    static const struct {
        const char *name;
        enum resolve_status status;
        size_t n_addresses;
        uint32_t ttl_s;
    } cases[] = {
        {"four.test", RESOLVE_OK, 1, 7},
        {"alias.test", RESOLVE_OK, 1, 3},
        {"many.test", RESOLVE_OK, 70, 5},
        {"missing.test", RESOLVE_NOT_FOUND, 0, 0},
        {"broken.test", RESOLVE_SERVER_FAILURE, 0, 0},
        {"silent.test", RESOLVE_TIMEOUT, 0, 0},
        {"", RESOLVE_NOT_FOUND, 0, 0},
        {"localhost", RESOLVE_OK, 0, 0}, /* /etc/hosts */
        {"192.0.2.77", RESOLVE_OK, 1, 0},
    };
    struct scene s;

    scene_open(&s);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct asked a = {0};

        ask(&s, &a, cases[i].name);
        CHECK_MSG(a.result.status == cases[i].status, "%s: status %d", cases[i].name,
                  a.result.status);
        CHECK_MSG(cases[i].n_addresses == 0 || a.result.n_addresses == cases[i].n_addresses,
                  "%s: %zu addresses", cases[i].name, a.result.n_addresses);
        CHECK_MSG(a.result.ttl_s == cases[i].ttl_s, "%s: ttl %u", cases[i].name, a.result.ttl_s);
        CHECK((a.result.status == RESOLVE_OK) == (a.result.n_addresses > 0));
    }
    scene_close(&s);
}

TEST(a_name_that_is_too_long_is_not_found)
{
    char name[400];
    struct asked a = {0};
    struct scene s;

    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    scene_open(&s);
    ask(&s, &a, name);
    CHECK_INT(a.result.status, RESOLVE_NOT_FOUND);
    CHECK_INT(s.server.n_questions, 0);
    scene_close(&s);
}

TEST(a_cancelled_query_never_completes_and_may_be_asked_again)
{
    struct asked a = {0};
    struct asked b = {0};
    struct scene s;

    scene_open(&s);
    resolver_start(&s.resolver, &a.query, STR("two.test"), AF_UNSPEC, asked_on_done);
    resolver_cancel(&a.query);
    resolver_cancel(&a.query);
    resolver_cancel(NULL);
    ask(&s, &b, "four.test");
    CHECK_INT(a.n_done, 0);
    ask(&s, &a, "four.test");
    CHECK_INT(a.result.n_addresses, 1);
    scene_close(&s);
}

TEST(closing_drops_what_runs_without_completing_it)
{
    struct asked a[3] = {0};
    struct scene s;

    scene_open(&s);
    resolver_start(&s.resolver, &a[0].query, STR("silent.test"), AF_UNSPEC, asked_on_done);
    resolver_start(&s.resolver, &a[1].query, STR("two.test"), AF_UNSPEC, asked_on_done);
    resolver_start(&s.resolver, &a[2].query, STR("127.0.0.1"), AF_UNSPEC, asked_on_done);
    CHECK(loop_fd_want(&s.server.io, LOOP_READ) == 0);
    scene_close(&s);
    CHECK_INT(a[0].n_done + a[1].n_done + a[2].n_done, 0);
    CHECK(a[0].query.job == NULL);
}

TEST(many_names_at_once_are_each_answered_once)
{
    static struct asked many[200];
    struct scene s;
    int n_done;

    scene_open(&s);
    for (size_t i = 0; i < N_ELEMENTS(many); i++)
        resolver_start(&s.resolver, &many[i].query, i % 2 ? STR("two.test") : STR("four.test"),
                       AF_UNSPEC, asked_on_done);
    do {
        CHECK(loop_turn(&s.loop, 1000) == 0);
        n_done = 0;
        for (size_t i = 0; i < N_ELEMENTS(many); i++)
            n_done += many[i].n_done;
    } while (n_done < (int)N_ELEMENTS(many));
    for (size_t i = 0; i < N_ELEMENTS(many); i++) {
        CHECK_INT(many[i].n_done, 1);
        CHECK_INT(many[i].result.n_addresses, i % 2 ? 3 : 1);
    }
    scene_close(&s);
}
