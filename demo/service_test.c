/* The services' protocols over a real loopback connection: a server in a thread, the demo's own
 * client, a free port. */
#include "demo/service.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "demo/chat.h"
#include "demo/fetch.h"
#include "demo/kserve.h"
#include "test/harness/test.h"

static int listener;
static int port;
static pthread_t server;

static void answer(struct service_call *call, void *state)
{
    (void)state;
    chat_answer(call, &model_chat);
    if (!call->is_answered)
        kserve_answer(call, &model_iris);
    if (!call->is_answered)
        kserve_answer(call, &model_resnet);
}

static void *run(void *arg)
{
    (void)arg;
    service_serve(listener, answer, NULL);
    return NULL;
}

static void start(void)
{
    listener = service_open("test", "127.0.0.1:0");
    CHECK(listener >= 0);
    port = service_port(listener);
    CHECK(pthread_create(&server, NULL, run, NULL) == 0);
}

static void stop(void)
{
    (void)shutdown(listener, SHUT_RDWR);
    CHECK(pthread_join(server, NULL) == 0);
    (void)close(listener);
}

static struct fetch_answer call(const char *method, const char *path, const char *body)
{
    struct fetch_answer answer;
    int r = fetch(&(struct fetch_request){.host = "127.0.0.1",
                                          .port = port,
                                          .method = method,
                                          .path = path,
                                          .body = body,
                                          .timeout_ms = 5000},
                  &answer);

    CHECK_MSG(r == 0, "%s %s: %s", method, path, answer.error);
    return answer;
}

#define TENSOR(shape, data)                                                                        \
    "{\"id\":\"7\",\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP64\",\"shape\":" shape             \
    ",\"data\":" data "}]}"
#define CHAT(more) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]" more "}"

TEST(every_kind_of_call_gets_its_answer)
{
    static const struct {
        const char *method, *path, *body;
        int status;
        const char *part;
    } rows[] = {
        {"GET", "/v1/models/sklearn-iris", NULL, 200, "\"ready\":true"},
        {"POST", "/v1/models/sklearn-iris:predict", "{\"instances\":[[5.1,3.5,1.4,0.2]]}", 200,
         "\"predictions\":[0]"},
        {"POST", "/v1/models/sklearn-iris%3Apredict", "{\"instances\":[[6.7,3,5.2,2.3]]}", 200,
         "virginica"},
        {"POST", "/v1/models/sklearn-iris:explain", "{\"instances\":[[5.1,3.5,1.4,0.2]]}", 200,
         "contributions"},
        {"GET", "/v1/models/sklearn-iris:predict", NULL, 405, "POST"},
        {"POST", "/v1/models/sklearn-iris:predict", "{\"instances\":[]}", 400, "instances"},
        {"POST", "/v1/models/sklearn-iris:predict", "[1]", 400, "instances"},
        {"POST", "/v1/models/sklearn-iris:predict", "{", 400, "instances"},
        {"POST", "/v1/models/sklearn-iris:predict", "{\"instances\":[[1]]}", 400, "row 0"},
        {"POST", "/v1/models/sklearn-iris:train", "{}", 404, "error"},
        {"GET", "/v1/models/sklearn-irises", NULL, 404, "error"},
        {"GET", "/v2/models/sklearn-iris", NULL, 200, "\"platform\":\"sklearn\""},
        {"GET", "/v2/models/sklearn-iris/ready", NULL, 200, "true"},
        {"GET", "/v2/models/sklearn-iris/versions/1/ready", NULL, 200, "true"},
        {"GET", "/v2/health/ready", NULL, 200, "true"},
        {"GET", "/v2", NULL, 200, "version"},
        {"POST", "/v2/models/sklearn-iris/infer", TENSOR("[1,4]", "[5.1,3.5,1.4,0.2]"), 200,
         "\"data\":[0]"},
        {"POST", "/v2/models/sklearn-iris/infer",
         TENSOR("[2,4]", "[[5.1,3.5,1.4,0.2],[6.7,3,5.2,2.3]]"), 200, "\"data\":[0,2]"},
        {"POST", "/v2/models/sklearn-iris/infer", TENSOR("[2,4]", "[1,2,3,4]"), 400, "shape"},
        {"POST", "/v2/models/sklearn-iris/infer", TENSOR("[-1,4]", "[1,2,3,4]"), 400, "shape"},
        {"POST", "/v2/models/sklearn-iris/infer", TENSOR("[0]", "[]"), 400, "shape"},
        {"POST", "/v2/models/sklearn-iris/infer", TENSOR("[9999999999,9999999999]", "[1]"), 400,
         "shape"},
        {"POST", "/v2/models/sklearn-iris/infer", "{\"inputs\":[]}", 400, "input"},
        {"GET", "/v2/models/sklearn-iris/infer", NULL, 405, "POST"},
        {"POST", "/v1/models/pytorch-resnet:predict", "{\"instances\":[{\"a\":1}]}", 200,
         "\"stand_in\":true"},
        {"POST", "/v2/models/pytorch-resnet/infer", TENSOR("[1]", "[1]"), 200, "stand_in"},
        {"GET", "/v1/models", NULL, 200, "stand-in"},
        {"POST", "/v1/chat/completions", CHAT(""), 200, "\"total_tokens\""},
        {"POST", "/v1/chat/completions", CHAT(",\"max_tokens\":2"), 200, "\"length\""},
        {"POST", "/v1/chat/completions", CHAT(",\"max_tokens\":0"), 400, "max_tokens"},
        {"POST", "/v1/chat/completions", CHAT(",\"stream\":true"), 200, "data: [DONE]"},
        {"POST", "/v1/chat/completions",
         CHAT(",\"stream\":true,\"stream_options\":{\"include_usage\":true}"), 200,
         "\"usage\":{\"prompt_tokens\":4"},
        {"POST", "/v1/chat/completions", "{\"model\":\"m\"}", 400, "\"param\":\"messages\""},
        {"POST", "/v1/chat/completions", "{\"model\":\"m\",\"messages\":[{}]}", 400, "messages"},
        {"POST", "/v1/chat/completions", "{\"messages\":[]}", 400, "\"param\":\"model\""},
        {"POST", "/v1/chat/completions", "nothing", 400, "JSON"},
        {"GET", "/v1/chat/completions", NULL, 405, "POST"},
        {"GET", "/nowhere", NULL, 404, "error"},
    };

    start();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fetch_answer a = call(rows[i].method, rows[i].path, rows[i].body);

        CHECK_MSG(a.status == rows[i].status && strstr(a.body, rows[i].part), "%s %s: %d %s",
                  rows[i].method, rows[i].path, a.status, a.body);
        fetch_answer_free(&a);
    }
    stop();
}

/* Sends bytes as they are and reads to the end of the connection. */
static void play(const char *bytes, char *ret_text, size_t size)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {5, 0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    size_t len = 0;
    ssize_t n;

    CHECK(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
    CHECK(connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0);
    CHECK(send(fd, bytes, strlen(bytes), MSG_NOSIGNAL) == (ssize_t)strlen(bytes));
    while (len < size - 1 && (n = recv(fd, ret_text + len, size - 1 - len, 0)) > 0)
        len += (size_t)n;
    ret_text[len] = '\0';
    (void)close(fd);
}

TEST(requests_on_one_connection_are_answered_in_order_chunked_ones_too)
{
    char text[4096];

    start();
    play(
        "POST /v1/models/sklearn-iris:predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
        "\r\n10\r\n{\"instances\":[[5\r\n11;x=y\r\n.1,3.5,1.4,0.2]]}\r\n0\r\nx-trailer: 1\r\n\r\n"
        "HEAD /v2 HTTP/1.1\r\nhost: x\r\n\r\n"
        "GET /v2/health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        text, sizeof(text));
    CHECK_MSG(strstr(text, "\"predictions\":[0]") != NULL, "%s", text);
    CHECK(strstr(text, "\"live\":true") > strstr(text, "\"predictions\":[0]"));
    CHECK(strstr(text, "tollgate-demo") == NULL);
    stop();
}

TEST(what_cannot_be_read_is_refused_and_the_connection_ends)
{
    static const struct {
        const char *bytes;
        const char *status;
    } rows[] = {
        {"garbage\r\n\r\n", " 400 "},
        {"POST / HTTP/1.1\r\ncontent-length: 9999999999\r\n\r\n", " 413 "},
        {"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n", " 400 "},
        {"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", " 400 "},
        {"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", " 400 "},
        {"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n", " 413 "},
        {"GET / HTTP/1.1\r\nno colon\r\n\r\n", " 400 "},
    };

    start();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[4096];

        play(rows[i].bytes, text, sizeof(text));
        CHECK_MSG(strstr(text, rows[i].status) != NULL, "case %zu: %s", i, text);
    }
    stop();
}
