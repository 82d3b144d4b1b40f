/* Probes against a server of the test's own, on the same loop. */
#include "upstream/health/probe.h"

#include <netinet/in.h>
#include <unistd.h>

#include "net/must_testing.h"
#include "test/harness/test.h"
#include "upstream/cluster.h"

enum { SCRATCH_BYTES = 4096, PROBE_TIMEOUT_US = 5000000 };

static struct loop loop;
static struct cluster_registry registry;
static struct outbox_pool outboxes;
static struct upstreams upstreams;
static char scratch[SCRATCH_BYTES];
static struct loop_fd listen_io;
static struct loop_fd connection_io;
static enum probe_result last_result;
static int n_done;

static void on_done(struct probe *p UNUSED, enum probe_result result)
{
    last_result = result;
    n_done++;
}

static void server_close(struct loop_fd *io)
{
    int fd = io->fd;

    if (!io->loop)
        return;
    loop_fd_remove(io);
    close(fd);
}

/* One question, which comes as a whole; the connection stays. */
static void server_on_question(struct loop_fd *io, unsigned events UNUSED)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    char bytes[1024];

    if (recv(io->fd, bytes, sizeof bytes, 0) > 0)
        CHECK(send(io->fd, answer, sizeof answer - 1, 0) == (ssize_t)sizeof answer - 1);
    else
        server_close(io);
}

static void server_on_connection(struct loop_fd *io, unsigned events UNUSED)
{
    int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    CHECK(fd >= 0);
    CHECK(loop_fd_add(&loop, &connection_io, fd, LOOP_READ, server_on_question) == 0);
}

static struct cluster *play_begin(void)
{
    struct cluster_identity identity = {.key = STR("k"), .name = STR("Backend/ns/b")};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    MUST(loop_init(&loop) == 0);
    MUST(bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 1) == 0);
    MUST(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    MUST(loop_fd_add(&loop, &listen_io, fd, LOOP_READ, server_on_connection) == 0);
    cluster_registry_init(&registry);
    upstreams_init(&upstreams, &loop, &outboxes, scratch, sizeof scratch);
    upstreams.is_uncounted = true;
    identity.endpoints = endpoint_set_new(1, ENDPOINTS_KNOWN);
    endpoint_init_address(&identity.endpoints->items[0], (struct sockaddr *)&a, sizeof a,
                          ntohs(a.sin_port));
    n_done = 0;
    return cluster_registry_get(&registry, &identity);
}

static void play_end(void)
{
    upstreams_deinit(&upstreams);
    server_close(&connection_io);
    server_close(&listen_io);
    MUST(loop_turn(&loop, 0) == 0); /* what is retired goes */
    cluster_registry_deinit(&registry);
    outbox_pool_deinit(&outboxes);
    loop_deinit(&loop);
}

TEST(the_pool_of_a_probe_may_be_swept_when_it_has_ended_and_is_not_told_yet)
{
    struct probe_plan plan = {.kind = PROBE_KIND_HTTP,
                              .timeout_us = PROBE_TIMEOUT_US,
                              .method = HTTP_METHOD_GET,
                              .method_text = STR("GET"),
                              .path = STR("/")};
    struct cluster *c = cluster_observe(play_begin());
    struct probe p;

    status_set_add(&plan.expected, 200);
    probe_init(&p, &upstreams, on_done);
    probe_start(&p, &plan, c, &c->endpoints->items[0]);
    cluster_unref(c); /* nothing routes there any more; who probes observes it still */
    while (n_done == 0) {
        timer_set(&loop, &upstreams.sweep, 1); /* in each turn the first of its timers */
        MUST(loop_turn(&loop, 1000) == 0);
    }
    CHECK_INT(last_result, PROBE_OK);
    CHECK_MSG(!upstreams.pools[c->id], "it was swept");
    CHECK(!p.is_running);
    probe_deinit(&p);
    cluster_unobserve(c);
    play_end();
}

TEST(a_probe_closes_its_connection_behind_it)
{
    struct probe_plan plan = {.kind = PROBE_KIND_HTTP,
                              .timeout_us = PROBE_TIMEOUT_US,
                              .method = HTTP_METHOD_GET,
                              .method_text = STR("GET"),
                              .path = STR("/")};
    struct cluster *c = play_begin();
    struct probe p;

    status_set_add(&plan.expected, 204);
    probe_init(&p, &upstreams, on_done);
    probe_start(&p, &plan, c, &c->endpoints->items[0]);
    while (n_done == 0)
        MUST(loop_turn(&loop, 1000) == 0);
    CHECK_INT(last_result, PROBE_STATUS);
    for (int state = 0; state < CONN_CLOSED; state++)
        CHECK_INT(upstreams_count(&upstreams, (enum conn_state)state), 0);
    probe_deinit(&p);
    cluster_unref(c);
    play_end();
}
