/* The admin server in-process: a server that has compiled a configuration but serves no port, and
 * clients that are plain sockets. One thread: the client writes, the loop turns until the answer is
 * there. */
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/connection.h"
#include "base/limits.h"
#include "base/log_memory.h"
#include "base/mem.h"
#include "gateway/compile/compile_api.h"
#include "test/harness/test.h"

static const char test_manifests[] =
    "apiVersion: gateway.networking.k8s.io/v1\n"
    "kind: GatewayClass\n"
    "metadata: {name: c}\n"
    "spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}\n"
    "---\n"
    "apiVersion: gateway.networking.k8s.io/v1\n"
    "kind: Gateway\n"
    "metadata: {name: front, namespace: play}\n"
    "spec:\n"
    "  gatewayClassName: c\n"
    "  listeners: [{name: http, port: 80, protocol: HTTP}]\n"
    "---\n"
    "apiVersion: gateway.networking.k8s.io/v1\n"
    "kind: HTTPRoute\n"
    "metadata: {name: r, namespace: play}\n"
    "spec:\n"
    "  parentRefs: [{name: front}]\n"
    "  rules:\n"
    "  - matches:\n"
    "    - path: {type: PathPrefix, value: /shown}\n"
    "      headers: [{name: x-api-key, value: hunter2}, {name: x-colour, value: blue}]\n"
    "    filters:\n"
    "    - type: RequestHeaderModifier\n"
    "      requestHeaderModifier: {set: [{name: authorization, value: Basic c2VjcmV0}]}\n"
    "    backendRefs:\n"
    "    - {name: a, port: 80, weight: 90}\n"
    "    - {name: b, port: 80, weight: 10}\n";

struct play {
    struct loop loop;
    struct server server;
    struct admin admin;
    struct sockaddr_storage address;
    socklen_t address_len;
};

static struct play *play_open(bool is_probe)
{
    static struct server_options options = {.n_workers = 1,
                                            .cluster_domain = {"cluster.local", 13}};
    struct play *p = MEM_NEW(struct play);
    struct manifest *m = MEM_NEW(struct manifest);
    struct manifest_options manifest_options = {0};
    struct socket_address any;
    struct admin_port *port;

    CHECK(loop_init(&p->loop) == 0);
    CHECK(server_init(&p->server, &p->loop, &options) == 0);
    CHECK(manifest_load_bytes(m, "test.yaml", str_of(test_manifests), &manifest_options) == 0);
    CHECK(compile_for_server(&p->server, m, &p->server.current) == 0);
    admin_init(&p->admin, &p->server);
    CHECK(socket_address_parse(STR("127.0.0.1:0"), &any) == 0);
    CHECK(admin_listen(&p->admin, &any, STR("admin.test:9"), is_probe) == 0);
    port = CONTAINER_OF(p->admin.ports.first, struct admin_port, node);
    p->address_len = sizeof p->address;
    CHECK(getsockname(port->fd, (struct sockaddr *)&p->address, &p->address_len) == 0);
    return p;
}

static void play_close(struct play *p)
{
    admin_deinit(&p->admin);
    server_deinit(&p->server);
    outbox_pool_deinit(&p->admin.outboxes);
    loop_deinit(&p->loop);
    mem_free(p);
}

static size_t play_n_connections(const struct play *p)
{
    return CONTAINER_OF(p->admin.ports.first, struct admin_port, node)->connections.n_nodes;
}

static int client_connect(struct play *p)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0 && connect(fd, (const struct sockaddr *)&p->address, p->address_len) == 0);
    return fd;
}

static void client_send(int fd, const char *text)
{
    CHECK_INT(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads what comes next; 0: the server has closed, -1: it has reset. */
static ssize_t client_read_some(struct play *p, int fd, struct buf *b)
{
    ssize_t n;

    for (;;) {
        n = recv(fd, buf_reserve(b, 65536), 65536, MSG_DONTWAIT);
        if (n >= 0 || errno != EAGAIN)
            break;
        CHECK(loop_turn(&p->loop, 1000) == 0);
    }
    b->len += n > 0 ? (size_t)n : 0;
    return n;
}

/* Everything until the server closes in good order. */
static struct buf client_read_all(struct play *p, int fd)
{
    struct buf b = {0};
    ssize_t n;

    do
        n = client_read_some(p, fd, &b);
    while (n > 0);
    CHECK_MSG(n == 0, "the connection was reset after %zu bytes", b.len);
    buf_append_char(&b, '\0');
    return b;
}

static struct buf play_ask(struct play *p, const char *text)
{
    int fd = client_connect(p);
    struct buf answer;

    client_send(fd, text);
    answer = client_read_all(p, fd);
    close(fd);
    return answer;
}

#define HOST_CLOSE " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

TEST(requests_are_answered_by_host_method_and_path)
{
    static const struct {
        const char *request;
        const char *answer;
    } rows[] = {
        {"GET /healthz" HOST_CLOSE, "HTTP/1.1 200 "},
        {"GET /" HOST_CLOSE, "HTTP/1.1 200 "},
        {"GET /metrics" HOST_CLOSE, "HTTP/1.1 200 "},
        {"GET /nothing" HOST_CLOSE, "HTTP/1.1 404 "},
        {"GET /explain?request=GET+http://h/" HOST_CLOSE, "HTTP/1.1 200 "},
        {"GET /explain?request=GET+http://h:7/" HOST_CLOSE, "HTTP/1.1 404 "},
        {"GET /explain" HOST_CLOSE, "HTTP/1.1 400 "},
        {"POST /explain?request=GET+http://h/" HOST_CLOSE, "HTTP/1.1 405 "},
        {"POST /ready" HOST_CLOSE, "HTTP/1.1 405 "},
        {"OPTIONS /ready" HOST_CLOSE, "HTTP/1.1 405 "},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "HTTP/1.1 405 "},
        {"GET /status HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n", "HTTP/1.1 421 "},
        {"GET /status HTTP/1.1\r\nHost: localhost.evil.test\r\nConnection: close\r\n\r\n",
         "HTTP/1.1 421 "},
        {"GET /healthz HTTP/1.1\r\nHost: admin.test:9\r\nConnection: close\r\n\r\n",
         "HTTP/1.1 200 "},
        {"GET /healthz HTTP/1.1\r\nHost: [::1]:7\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 "},
        {"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 "},
        {"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n"
         "Connection: close\r\n\r\n",
         "HTTP/1.1 403 "},
        {"GET /live HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-site\r\n"
         "Connection: close\r\n\r\n",
         "HTTP/1.1 403 "},
        {"GET /page.js HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n"
         "Connection: close\r\n\r\n",
         "HTTP/1.1 200 "},
        {"GET / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: none\r\n"
         "Connection: close\r\n\r\n",
         "HTTP/1.1 200 "},
        {"POST /live" HOST_CLOSE, "HTTP/1.1 405 "},
        {"HEAD /live" HOST_CLOSE, "HTTP/1.1 200 "},
        {"GET /healthz HTTP/2.7\r\nHost: localhost\r\n\r\n", "HTTP/1.1 400 "},
        {"\x16\x03\x01 hello\r\n\r\n", "HTTP/1.1 400 "},
        {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4097\r\n\r\n",
         "HTTP/1.1 413 "},
        {"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n",
         "HTTP/1.1 413 "},
        {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
         "HTTP/1.1 413 "},
        {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx", "HTTP/1.1 400 "},
        {"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx",
         "HTTP/1.1 405 "},
    };
    struct play *p = play_open(false);

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct buf answer = play_ask(p, rows[i].request);

        CHECK_MSG(strncmp(answer.ptr, rows[i].answer, strlen(rows[i].answer)) == 0, "%.60s: %.40s",
                  rows[i].request, answer.ptr);
        CHECK(!strstr(answer.ptr, "HTTP/1.1 405 ") || strstr(answer.ptr, "allow: GET, HEAD\r\n"));
        CHECK(!strstr(answer.ptr, "access-control-"));
        CHECK(strstr(answer.ptr, "frame-ancestors 'none'") && strstr(answer.ptr, ": DENY\r\n"));
        CHECK(!strstr(answer.ptr, "unsafe-"));
        buf_deinit(&answer);
    }
    play_close(p);
}

TEST(the_probe_port_shows_three_endpoints)
{
    static const struct {
        const char *path;
        bool is_shown;
    } rows[] = {{"/healthz", true},  {"/metrics", true}, {"/ready", true},
                {"/status", false},  {"/config", false}, {"/", false},
                {"/help", false},    {"/live", false},   {"/page.js", false},
                {"/objects", false}, {"/logs", false},   {"/explain?request=GET+http://h/", false}};
    struct play *p = play_open(true);

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        char request[128];
        struct buf answer;

        snprintf(request, sizeof request, "GET %s" HOST_CLOSE, rows[i].path);
        answer = play_ask(p, request);
        CHECK_MSG(!strstr(answer.ptr, " 404 ") == rows[i].is_shown, "%s", rows[i].path);
        buf_deinit(&answer);
    }
    play_close(p);
}

TEST(readiness_goes_when_draining_and_says_so)
{
    struct play *p = play_open(false);
    struct buf answer = play_ask(p, "GET /ready" HOST_CLOSE);

    CHECK(strstr(answer.ptr, "HTTP/1.1 200 ") && strstr(answer.ptr, "ready\n"));
    buf_deinit(&answer);
    p->admin.facts.is_draining = true;
    answer = play_ask(p, "GET /ready" HOST_CLOSE);
    CHECK(strstr(answer.ptr, "HTTP/1.1 503 ") && strstr(answer.ptr, "shutting down"));
    buf_deinit(&answer);
    play_close(p);
}

TEST(a_head_request_gets_the_length_but_no_content)
{
    struct play *p = play_open(false);
    struct buf answer = play_ask(p, "HEAD /healthz" HOST_CLOSE);

    CHECK(strstr(answer.ptr, "content-length: 3\r\n"));
    CHECK(strcmp(strstr(answer.ptr, "\r\n\r\n"), "\r\n\r\n") == 0);
    buf_deinit(&answer);
    play_close(p);
}

TEST(the_configuration_shows_matches_but_no_credentials)
{
    static const char *const pages[] = {"GET /config" HOST_CLOSE, "GET /status" HOST_CLOSE,
                                        "GET /objects" HOST_CLOSE};
    struct play *p = play_open(false);

    for (size_t i = 0; i < N_ELEMENTS(pages); i++) {
        struct buf answer = play_ask(p, pages[i]);

        CHECK(strstr(answer.ptr, "HTTPRoute"));
        CHECK(!strstr(answer.ptr, "hunter2") && !strstr(answer.ptr, "c2VjcmV0"));
        if (i == 0) {
            CHECK(strstr(answer.ptr, "\"value\":\"/shown\"") && strstr(answer.ptr, "\"blue\""));
            CHECK(strstr(answer.ptr, "\"name\":\"x-api-key\",\"value\":\"(redacted)\""));
            CHECK(strstr(answer.ptr, "\"set\":[\"authorization\"]"));
            CHECK(strstr(answer.ptr, "\"share\":9") && strstr(answer.ptr, "\"share\":1"));
        } else if (i == 2) {
            CHECK(strstr(answer.ptr,
                         "\"headers\":[{\"name\":\"x-api-key\",\"value\":"
                         "\"(redacted)\"},{\"name\":\"x-colour\",\"value\":\"blue\"}]"));
        } else {
            CHECK(strstr(answer.ptr, "\"missing\":[{\"code\":\"missing-core-object\""));
            CHECK(strstr(answer.ptr, "\"file\":\"test.yaml\",\"line\":13"));
        }
        buf_deinit(&answer);
    }
    play_close(p);
}

TEST(objects_are_told_as_they_are_asked_for)
{
    struct play *p = play_open(false);
    struct buf answer = play_ask(p, "GET /objects?kind=Gateway&namespace=play" HOST_CLOSE);

    CHECK(strstr(answer.ptr, "HTTP/1.1 200 ") == answer.ptr);
    CHECK(strstr(answer.ptr, "content-type: application/x-ndjson\r\n"));
    CHECK(strstr(answer.ptr, "\"name\":\"front\"") && !strstr(answer.ptr, "HTTPRoute\",\"meta"));
    buf_deinit(&answer);
    answer = play_ask(p, "GET /objects?kind=Gateway&namespace=elsewhere" HOST_CLOSE);
    CHECK(strstr(answer.ptr, "content-length: 0\r\n"));
    buf_deinit(&answer);
    play_close(p);
}

TEST(the_log_is_told_from_where_it_was_read_last)
{
    static const struct {
        const char *request;
        const char *body;
    } rows[] = {
        {"GET /logs" HOST_CLOSE, "\r\n\r\none\ntwo\n"},
        {"GET /logs?after=0" HOST_CLOSE, "\r\n\r\n8 0\none\ntwo\n"},
        {"GET /logs?after=4" HOST_CLOSE, "\r\n\r\n8 0\ntwo\n"},
        {"GET /logs?after=8" HOST_CLOSE, "\r\n\r\n8 0\n"},
        {"GET /logs?after=9" HOST_CLOSE, "\r\n\r\n8 0\none\ntwo\n"},
        {"GET /logs?after=-1" HOST_CLOSE, "\r\n\r\none\ntwo\n"},
        {"GET /logs?after=99999999999999999999" HOST_CLOSE, "\r\n\r\none\ntwo\n"},
    };
    struct play *p = play_open(false);

    log_memory_open();
    log_memory_add("one\n", 4);
    log_memory_add("two\n", 4);
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct buf answer = play_ask(p, rows[i].request);

        CHECK_MSG(strcmp(strstr(answer.ptr, "\r\n\r\n"), rows[i].body) == 0, "%s: %s",
                  rows[i].request, answer.ptr);
        buf_deinit(&answer);
    }
    play_close(p);
}

#define EXPLAIN(more)                                                                              \
    "GET /explain?request=GET+http://h/shown HTTP/1.1\r\nHost: localhost\r\nConnection: "          \
    "close\r\n" more "\r\n"

TEST(an_explanation_says_why_and_shows_no_credentials)
{
    static const struct {
        const char *request;
        const char *expected[3];
    } rows[] = {
        {EXPLAIN(""),
         {"code: route_not_found\n",
          "lost by header: header x-api-key is to be (redacted), and there "
          "is none\n",
          "httproute/play/r/rule/0 (test.yaml:19)"}},
        {EXPLAIN("X-Explain-Header: x-api-key: hunter2\r\n"),
         {"header x-colour is to be blue, and there is none\n", "rules considered: 1\n", ""}},
        {EXPLAIN("X-Explain-Header: x-api-key: other\r\n"),
         {"header x-api-key is to be (redacted), and is (redacted)\n", "step: shortlist\n", ""}},
        {EXPLAIN("X-Explain-Header: x-api-key: hunter2\r\nX-Explain-Header: x-colour: blue\r\n"),
         {"won: PathPrefix /shown\n", "share 90 %", "share 10 %"}},
    };
    struct play *p = play_open(false);

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct buf answer = play_ask(p, rows[i].request);

        CHECK(!strstr(answer.ptr, "hunter2") && !strstr(answer.ptr, "c2VjcmV0"));
        for (size_t k = 0; k < N_ELEMENTS(rows[i].expected); k++)
            CHECK_MSG(strstr(answer.ptr, rows[i].expected[k]), "%zu: no \"%s\" in\n%s", i,
                      rows[i].expected[k], answer.ptr);
        buf_deinit(&answer);
    }
    play_close(p);
}

/* Who asks for much and takes nothing does not make the gateway hold it many times over. */
TEST(answers_that_nobody_takes_are_bounded_in_all)
{
    enum { N = LIMIT_ADMIN_CONNECTIONS };
    struct play *p = play_open(false);
    struct buf text = {0};
    size_t n_refused = 0;
    int fds[N];

    buf_printf(&text, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  a: ");
    for (size_t i = 0; i < LIMIT_OBJECTS_BYTES / 3; i++)
        buf_append_char(&text, 'x');
    buf_append_char(&text, '\n');
    manifest_deinit(p->server.current->manifest);
    CHECK(manifest_load_bytes(p->server.current->manifest, "test.yaml", buf_str(&text), NULL) == 0);
    for (int i = 0; i < N; i++) {
        fds[i] = client_connect(p);
        client_send(fds[i], "GET /objects" HOST_CLOSE);
        for (int turns = 0; turns < 3; turns++)
            CHECK(loop_turn(&p->loop, 0) == 0);
    }
    for (int i = 0; i < N; i++) {
        char head[16] = "";

        if (recv(fds[i], head, 13, MSG_DONTWAIT) == 13)
            n_refused += strcmp(head, "HTTP/1.1 503 ") == 0;
        close(fds[i]);
    }
    CHECK_MSG(n_refused >= N - 8, "%zu were refused", n_refused);
    buf_deinit(&text);
    play_close(p);
}

/* Of a scrape too, and who reads is not refused for those: whoever took the least of it is closed.
 */
TEST(scrapes_that_nobody_takes_make_room_for_those_of_others)
{
    enum { N = 12 };
    struct play *p = play_open(false);
    struct metrics_shard *shard = metrics_shard_new(&p->server.metrics);
    char name[METRIC_LABEL_BYTES_MAX + 1];
    struct buf page = {0};
    char head[16] = "";
    int fds[N];

    for (int i = 0; i < LIMIT_METRIC_HISTOGRAMS; i++) {
        snprintf(name, sizeof name, "%0*d", METRIC_LABEL_BYTES_MAX, i);
        metric_observe_us(METRICS_SERIES(shard, METRIC_AI_DURATION, str_of(name), str_of(name)), 1);
    }
    metrics_format(&p->server.metrics, &page);
    CHECK(N * page.len > 2 * (size_t)LIMIT_OBJECTS_BYTES);
    for (int i = 0; i < N; i++) {
        fds[i] = client_connect(p);
        client_send(fds[i], "GET /metrics" HOST_CLOSE);
        for (int turns = 0; turns < 3; turns++)
            CHECK(loop_turn(&p->loop, 0) == 0);
        CHECK(admin_connections_held(&p->admin) < LIMIT_OBJECTS_BYTES + page.len + 65536);
    }
    CHECK(recv(fds[N - 1], head, 13, MSG_DONTWAIT) == 13 && strcmp(head, "HTTP/1.1 200 ") == 0);
    for (int i = 0; i < N; i++)
        close(fds[i]);
    buf_deinit(&page);
    play_close(p);
}

/* Answers wait for their reader one at a time, or a few bytes of requests would hold megabytes. */
TEST(pipelined_requests_are_answered_one_after_another)
{
    enum { N = 300 };
    struct play *p = play_open(false);
    int fd = client_connect(p);
    struct buf requests = {0};
    struct buf answers;
    size_t n = 0;

    for (int i = 0; i < N; i++)
        buf_printf(&requests, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    buf_printf(&requests, "GET /healthz" HOST_CLOSE);
    CHECK_INT(send(fd, requests.ptr, requests.len, MSG_NOSIGNAL), requests.len);
    answers = client_read_all(p, fd);
    for (const char *at = answers.ptr; (at = strstr(at, "HTTP/1.1 200 ")); at++)
        n++;
    CHECK_INT(n, N + 1);
    close(fd);
    buf_deinit(&requests);
    buf_deinit(&answers);
    play_close(p);
}

TEST(content_on_its_way_does_not_reset_the_refusal)
{
    struct play *p = play_open(false);
    int fd = client_connect(p);
    char *content = mem_alloc_zero(32768);
    struct buf answer;

    client_send(fd, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40000\r\n\r\n");
    CHECK_INT(send(fd, content, 32768, MSG_NOSIGNAL), 32768);
    answer = client_read_all(p, fd);
    CHECK(strstr(answer.ptr, "HTTP/1.1 413 ") == answer.ptr);
    close(fd);
    mem_free(content);
    buf_deinit(&answer);
    play_close(p);
}

/* The timer that is armed now and was not among the `n` of `before`: the connection's. */
static const struct timer *play_find_timer(const struct play *p, struct timer *const *before,
                                           uint32_t n)
{
    for (uint32_t i = 1; i <= p->loop.n_timers; i++) {
        bool is_old = false;

        for (uint32_t k = 0; k < n; k++)
            is_old |= before[k] == p->loop.heap[i];
        if (!is_old)
            return p->loop.heap[i];
    }
    return NULL;
}

TEST(a_trickling_head_gets_no_more_time)
{
    struct play *p = play_open(false);
    struct timer *before[16];
    uint32_t n_before = p->loop.n_timers;
    int fd = client_connect(p);
    uint64_t due_us = 0;

    CHECK(n_before < N_ELEMENTS(before));
    memcpy(before, p->loop.heap + 1, n_before * sizeof before[0]);
    for (int i = 0; i < 5; i++) {
        const struct timer *t;

        client_send(fd, "GET ");
        CHECK(loop_turn(&p->loop, 1000) == 0);
        t = play_find_timer(p, before, n_before);
        CHECK(t && t->due_us <= p->loop.now.mono_us + 5000000);
        CHECK(due_us == 0 || due_us == t->due_us);
        due_us = t->due_us;
    }
    close(fd);
    play_close(p);
}

TEST(a_crowd_makes_room_for_the_next_one)
{
    enum { N = LIMIT_ADMIN_CONNECTIONS + 8 };
    struct play *p = play_open(false);
    struct buf answer;
    int fds[N];

    for (int i = 0; i < N; i++) {
        fds[i] = client_connect(p);
        CHECK(loop_turn(&p->loop, 1000) == 0);
    }
    answer = play_ask(p, "GET /healthz" HOST_CLOSE);
    CHECK(strstr(answer.ptr, "HTTP/1.1 200 ") == answer.ptr);
    CHECK(play_n_connections(p) <= LIMIT_ADMIN_CONNECTIONS);
    buf_deinit(&answer);
    for (int i = 0; i < N; i++)
        close(fds[i]);
    play_close(p);
}

/* ---- the live picture ---- */

static void client_read_until(struct play *p, int fd, struct buf *b, const char *text)
{
    for (;;) {
        buf_append_char(b, '\0');
        b->len--;
        if (strstr(b->ptr, text))
            return;
        CHECK_MSG(client_read_some(p, fd, b) > 0, "closed before %s", text);
    }
}

TEST(the_live_picture_comes_as_events)
{
    struct play *p = play_open(false);
    int fd = client_connect(p);
    struct buf got = {0};

    client_send(fd, "GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client_read_until(p, fd, &got, "event: credentials\ndata: {");
    CHECK(strstr(got.ptr, "HTTP/1.1 200 ") == got.ptr);
    CHECK(strstr(got.ptr, "content-type: text/event-stream\r\n"));
    CHECK(strstr(got.ptr, "connection: close\r\n") && !strstr(got.ptr, "content-length"));
    CHECK(!strstr(got.ptr, "hunter2") && !strstr(got.ptr, "c2VjcmV0"));
    buf_clear(&got);
    client_read_until(p, fd, &got, "event: traffic\ndata: {"); /* a second later */
    CHECK_INT(p->admin.live.readers.n_nodes, 1);
    close(fd);
    while (p->admin.live.readers.n_nodes > 0)
        CHECK(loop_turn(&p->loop, 1000) == 0);
    CHECK_INT(play_n_connections(p), 0);
    buf_deinit(&got);
    play_close(p);
}

TEST(live_pages_are_bounded_and_a_crowd_leaves_them_alone)
{
    enum { N = LIMIT_ADMIN_CONNECTIONS + 8 };
    struct play *p = play_open(false);
    struct buf answer;
    int streams[LIMIT_LIVE_STREAMS];
    int fds[N];

    for (int i = 0; i < LIMIT_LIVE_STREAMS; i++) {
        streams[i] = client_connect(p);
        client_send(streams[i], "GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n");
        while (p->admin.live.readers.n_nodes <= (size_t)i)
            CHECK(loop_turn(&p->loop, 1000) == 0);
    }
    answer = play_ask(p, "GET /live" HOST_CLOSE);
    CHECK(strstr(answer.ptr, "HTTP/1.1 503 ") == answer.ptr);
    buf_deinit(&answer);
    for (int i = 0; i < N; i++) {
        fds[i] = client_connect(p);
        CHECK(loop_turn(&p->loop, 1000) == 0);
    }
    answer = play_ask(p, "GET /healthz" HOST_CLOSE);
    CHECK(strstr(answer.ptr, "HTTP/1.1 200 ") == answer.ptr);
    CHECK_INT(p->admin.live.readers.n_nodes, LIMIT_LIVE_STREAMS);
    buf_deinit(&answer);
    for (int i = 0; i < N; i++)
        close(fds[i]);
    for (int i = 0; i < LIMIT_LIVE_STREAMS; i++)
        close(streams[i]);
    play_close(p);
}

TEST(the_page_is_served_whole_and_needs_nobody_else)
{
    static const struct {
        const char *request;
        const char *type;
        const char *text;
    } rows[] = {
        {"GET /" HOST_CLOSE, "text/html; charset=utf-8",
         "<script src=\"/page.js\" defer></script>"},
        {"GET /page.js" HOST_CLOSE, "text/javascript; charset=utf-8", "new EventSource(\"/live\")"},
        {"GET /page.css" HOST_CLOSE, "text/css; charset=utf-8", "prefers-color-scheme: dark"},
        {"GET /icon.svg" HOST_CLOSE, "image/svg+xml", "<svg "},
    };
    struct play *p = play_open(false);

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct buf answer = play_ask(p, rows[i].request);

        CHECK_MSG(strstr(answer.ptr, rows[i].type) && strstr(answer.ptr, rows[i].text), "%s",
                  rows[i].request);
        CHECK(!strstr(answer.ptr, "https://") && !strstr(answer.ptr, "innerHTML"));
        CHECK(!strstr(answer.ptr, " style=\"") && !strstr(answer.ptr, " onclick="));
        buf_deinit(&answer);
    }
    play_close(p);
}
