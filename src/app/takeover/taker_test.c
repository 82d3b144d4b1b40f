/* The new process while the other one stands still: what it cannot be told now it is told later. */
#include "app/takeover/taker.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/takeover/ask_place.h"
#include "app/takeover/wire.h"
#include "base/limits.h"
#include "test/harness/test.h"

static const struct breaker_limits one = {
    .n_connections = 1, .n_endpoint_connections = 1, .n_requests = 1};

/* As many messages as the other's socket takes. */
static uint32_t fill(int socket)
{
    static const char bytes[64];
    uint32_t n = 0;

    while (send(socket, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        n++;
    CHECK(errno == EAGAIN);
    return n;
}

TEST(a_grant_that_finds_no_room_is_told_when_there_is_some)
{
    static struct loop loop;
    static struct server server;
    struct taker t = {.ask_fd = -1, .door_fd = -1, .server = &server};
    struct cluster_identity identity = {.key = STR("k"), .name = STR("Backend/ns/b")};
    struct place_claim claim = {.backend = STR("Backend/ns/b"),
                                .kind = PLACE_CONNECTION,
                                .limit = 1,
                                .endpoint_limit = 1,
                                .request_limit = 1,
                                .is_waiting = true,
                                .n_endpoints = 1,
                                .endpoints = {STR("127.0.0.1:80")}};
    static char bytes[LIMIT_TAKEOVER_MESSAGE_BYTES];
    struct place_grant grant;
    struct wire_message m;
    uint32_t n, endpoint;
    int channel[2];

    CHECK_INT(loop_init(&loop), 0);
    server.loop = &loop;
    cluster_registry_init(&server.clusters);
    guest_init(&server.guest, &server.clusters, &loop);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) == 0);
    t.fd = channel[0];
    CHECK_INT(taker_follow(&t), 0);
    identity.endpoints = endpoint_set_new(1, ENDPOINTS_KNOWN);
    CHECK(endpoint_init_ip(&identity.endpoints->items[0], STR("127.0.0.1"), 80));
    struct cluster *c = cluster_registry_get(&server.clusters, &identity);
    struct endpoint_state *e = c->endpoints->items[0].state;
    struct breaker *b = &c->backend->breaker;

    CHECK(breaker_take_connection(b, e, &one));
    CHECK(!guest_judge(&server.guest, &claim, &endpoint));
    n = fill(t.fd);
    breaker_put_connection(b, e);
    CHECK(loop_turn(&loop, 0) >= 0);
    CHECK_MSG(bounded_count_get(&b->connections) == 0, "nobody holds what nobody was told of");
    for (uint32_t i = 0; i < n; i++)
        CHECK(recv(channel[1], bytes, sizeof bytes, MSG_DONTWAIT) == 64);
    /* One turn for the socket, one for who stands again. */
    for (int i = 0; i < 2; i++)
        CHECK(loop_turn(&loop, 0) >= 0);
    ssize_t len = recv(channel[1], bytes, sizeof bytes, MSG_DONTWAIT);

    CHECK(len > 0 && wire_parse(str_make(bytes, (size_t)len), &m) == 0 && m.kind == WIRE_GRANT);
    CHECK(takeover_get_grant(m.content, &grant) && str_eq(grant.backend, claim.backend));
    CHECK_INT(bounded_count_get(&b->connections), 1);
    CHECK_INT(bounded_count_get(&b->requests), 1);
    guest_deinit(&server.guest);
    CHECK_INT(bounded_count_get(&b->connections), 0);
    taker_close(&t);
    close(channel[1]);
    cluster_unref(c);
    cluster_registry_deinit(&server.clusters);
    loop_deinit(&loop);
}
