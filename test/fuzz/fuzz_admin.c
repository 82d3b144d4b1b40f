/* Fuzz target of the admin and the probe port: the first byte chooses the port and draws the
 * pieces, the rest is what a client sends over one connection. Beyond not crashing: what comes back
 * is valid HTTP, with the same statuses whole, in pieces and byte by byte; it holds no secret of
 * the configuration; and when the client has gone, so has the connection. */
#include <sys/socket.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/connection.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/compile/compile_api.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
struct clock __wrap_clock_read(void);
uint64_t __wrap_clock_coarse_us(void);

enum { BYTEWISE_MAX = 512, GONE_US = 61 * 1000000, RECEIVE_BYTES = 65536 };

static const char manifests[] =
    "{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: c}, spec: "
    "{controllerName: gateway.envoyproxy.io/gatewayclass-controller}}\n---\n"
    "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: g, namespace: p}, "
    "spec: {gatewayClassName: c, listeners: [{name: h, port: 80, protocol: HTTP}]}}\n---\n"
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: Backend, metadata: {name: b, namespace: "
    "p}, spec: {endpoints: [{ip: {address: 127.0.0.1, port: 1}}]}}\n---\n"
    "{apiVersion: v1, kind: Secret, metadata: {name: k, namespace: p}, stringData: {a: "
    "hunter2}}\n---\n"
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: SecurityPolicy, metadata: {name: s, "
    "namespace: p}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: "
    "r}], apiKeyAuth: {credentialRefs: [{name: k}], extractFrom: [{headers: [x-key]}]}}}\n---\n"
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r, namespace: "
    "p}, spec: {parentRefs: [{name: g}], rules: [{matches: [{headers: [{name: x-api-key, value: "
    "hunter2}]}], backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: b}]}]}}\n";

static struct {
    struct loop loop;
    struct server server;
    struct admin admin;
    struct admin_port ports[2]; /* the second is for probes */
    struct clock now;
} world;

struct clock __wrap_clock_read(void)
{
    return world.now;
}

uint64_t __wrap_clock_coarse_us(void)
{
    return world.now.mono_us;
}

static void world_build(void)
{
    static const struct server_options options = {.n_workers = 1,
                                                  .cluster_domain = {"cluster.local", 13}};
    struct manifest *m = MEM_NEW(struct manifest);

    log_set_level(LOG_ERROR);
    world.now = (struct clock){1000000, INT64_C(1767225600) * 1000000};
    if (loop_init(&world.loop) < 0 || server_init(&world.server, &world.loop, &options) < 0 ||
        manifest_load_bytes(m, "fuzz.yaml", str_of(manifests), NULL) != 0 ||
        compile_for_server(&world.server, m, &world.server.current) != 0 || m->diags.n_errors > 0)
        UNREACHABLE();
    admin_init(&world.admin, &world.server);
    for (unsigned i = 0; i < 2; i++)
        world.ports[i] = (struct admin_port){
            .admin = &world.admin, .fd = -1, .text = STR("127.0.0.1:9901"), .is_probe = i == 1};
}

static void turn(void)
{
    int r = loop_turn(&world.loop, 0);

    ASSERT(r == 0);
}

/* Until nothing more comes. */
static void receive(int fd, struct buf *out)
{
    ssize_t n;

    do {
        turn();
        n = recv(fd, buf_reserve(out, RECEIVE_BYTES), RECEIVE_BYTES, MSG_DONTWAIT);
        out->len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
}

static void talk(struct admin_port *port, struct str text, size_t step, struct buf *out)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        UNREACHABLE();
    admin_connection_accept(port, fds[1]);
    while (text.len > 0) {
        ssize_t n = send(fds[0], text.ptr, MIN(step, text.len), MSG_NOSIGNAL);

        if (n <= 0)
            break;
        text = str_slice(text, (size_t)n, text.len);
        receive(fds[0], out);
    }
    receive(fds[0], out);
    close(fds[0]);
    for (unsigned i = 0; i < 3; i++) {
        turn();
        world.now.mono_us += GONE_US;
        world.now.wall_unix_us += GONE_US;
    }
    turn();
    ASSERT(port->connections.n_nodes == 0);
}

/* Whether the next request asks for no content; one that cannot be read is answered with some. */
static enum http_method next_method(struct h1 *codec, struct str *text, struct arena *a)
{
    struct http_request q;
    struct h1_event event;
    enum http_method method = HTTP_METHOD_GET;

    while (h1_next(codec, text, a, &q, NULL, &event) == H1_EVENT && event.type != H1_EVENT_END) {
        if (event.type == H1_EVENT_HEAD)
            method = q.method;
    }
    return method;
}

static void write_statuses(struct str asked, struct str got, struct buf *ret)
{
    static const struct h1_options of_client = {.is_client = true};
    static const struct h1_options of_server = {.scheme = {"http", 4}};
    struct http_response response;
    struct h1 client, server;
    struct h1_event event;
    struct arena a;
    int r = H1_EVENT;

    arena_init(&a, 16384);
    h1_init(&client, &of_client);
    h1_init(&server, &of_server);
    response.body = HTTP_BODY_NONE;
    while (got.len > 0 && r == H1_EVENT) {
        h1_expect_response_to(&client, next_method(&server, &asked, &a));
        while ((r = h1_next(&client, &got, &a, NULL, &response, &event)) == H1_EVENT) {
            if (event.type == H1_EVENT_HEAD)
                buf_printf(ret, "%u ", response.status);
            if (event.type == H1_EVENT_END)
                break;
        }
    }
    /* The live picture goes on as long as its connection does. */
    ASSERT(r == H1_EVENT || (r == H1_MORE && response.body == HTTP_BODY_UNTIL_CLOSE));
    arena_deinit(&a);
}

/* An explanation says again what it was asked, be it the secret by chance. */
static bool is_asked(struct str text)
{
    return str_find(text, STR("explain")) >= 0 &&
           (str_find(text, STR("hunter")) >= 0 || str_find_char(text, '%', 0) >= 0);
}

static void play(struct admin_port *port, struct str text, size_t step, struct buf *ret_statuses)
{
    struct buf out = {0};

    talk(port, text, step, &out);
    ASSERT(str_find(buf_str(&out), STR("hunter2")) < 0 || is_asked(text));
    write_statuses(text, buf_str(&out), ret_statuses);
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct buf whole = {0}, other = {0};
    size_t steps[2] = {1, 0};

    if (size == 0)
        return 0;
    if (!world.server.loop)
        world_build();
    struct admin_port *port = &world.ports[bytes[0] & 1];
    struct str text = str_make(bytes + 1, size - 1);

    if (text.len > BYTEWISE_MAX)
        steps[0] = BYTEWISE_MAX / 8;
    steps[1] = bytes[0] / 2 + 1U;
    play(port, text, text.len + 1, &whole);
    for (unsigned i = 0; i < 2; i++) {
        buf_clear(&other);
        play(port, text, steps[i], &other);
        ASSERT(str_eq(buf_str(&whole), buf_str(&other)));
    }
    buf_deinit(&whole);
    buf_deinit(&other);
    return 0;
}
