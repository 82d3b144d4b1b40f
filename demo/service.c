/* The demo's HTTP/1.1 server.
 *
 * service_run accepts on the calling thread and gives each connection a detached thread of its own,
 * at most SERVICE_CONNECTIONS_MAX; more wait in the backlog. A connection reads one request whole
 * (service_read.c), calls the handler, and goes on while both sides keep it alive.
 *
 * Owner: the connection's thread owns its buffers and the call. What handlers share they guard
 * themselves. Nothing here is made for untrusted clients beyond its bounds. */
#include "demo/service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "demo/service_read.h"

/* Longer than a gateway keeps idle connections: it is the one to close. */
#define IDLE_SECONDS 600

static sem_t free_slots;

struct connection {
    int fd;
    service_fn *handler;
    void *state;
};

static bool parse_address(const char *text, struct sockaddr_in *ret_address)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    char *end;
    long port;

    if (!colon || (size_t)(colon - text) >= sizeof(host))
        return false;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    port = strtol(colon + 1, &end, 10);
    *ret_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return end != colon + 1 && *end == '\0' && port >= 0 && port <= 65535 &&
           inet_pton(AF_INET, host, &ret_address->sin_addr) == 1;
}

int service_open(const char *program, const char *listen_at)
{
    struct sockaddr_in address;
    int on = 1;
    int fd;

    if (!parse_address(listen_at, &address)) {
        (void)fprintf(stderr, "%s: \"%s\" is no address such as 127.0.0.1:8080\n", program,
                      listen_at);
        return -1;
    }
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 512) < 0) {
        (void)fprintf(stderr, "%s: cannot listen on %s: %s\n", program, listen_at, strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        return -1;
    }
    return fd;
}

int service_port(int fd)
{
    struct sockaddr_in address = {0};
    socklen_t len = sizeof(address);

    return getsockname(fd, (struct sockaddr *)&address, &len) < 0 ? -1 : ntohs(address.sin_port);
}

static void send_all(struct service_call *call, const char *data, size_t len, bool has_more)
{
    while (len > 0 && !call->is_broken) {
        ssize_t n = send(call->fd, data, len, MSG_NOSIGNAL | (has_more ? MSG_MORE : 0));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            call->is_broken = true;
            return;
        }
        data += n;
        len -= (size_t)n;
    }
}

static const char *status_word(int status)
{
    static const struct {
        int status;
        const char *word;
    } rows[] = {{200, "OK"},
                {400, "Bad Request"},
                {401, "Unauthorized"},
                {403, "Forbidden"},
                {404, "Not Found"},
                {405, "Method Not Allowed"},
                {411, "Length Required"},
                {413, "Content Too Large"},
                {431, "Request Header Fields Too Large"},
                {500, "Internal Server Error"},
                {503, "Service Unavailable"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].status == status)
            return rows[i].word;
    }
    return "Status";
}

const char *service_find_header(const struct service_call *call, const char *name)
{
    for (size_t i = 0; i < call->n_headers; i++) {
        if (strcasecmp(call->headers[i].name, name) == 0)
            return call->headers[i].value;
    }
    return NULL;
}

/* Values come from requests that the reader took apart at line ends, so none holds CR or LF. */
void service_add_header(struct service_call *call, const char *name, const char *value)
{
    size_t room = sizeof(call->extra) - call->extra_len;
    int n = snprintf(call->extra + call->extra_len, room, "%s: %s\r\n", name, value);

    if (n > 0 && (size_t)n < room)
        call->extra_len += (size_t)n;
    else
        call->extra[call->extra_len] = '\0';
}

static void send_head(struct service_call *call, int status, const char *type, const char *framing)
{
    char head[4096];
    int n = snprintf(head, sizeof(head), "HTTP/1.1 %d %s\r\ncontent-type: %s\r\n%s%s%s\r\n", status,
                     status_word(status), type, framing, call->extra,
                     call->may_keep_alive ? "" : "connection: close\r\n");

    call->is_answered = true;
    send_all(call, head, (size_t)n, !call->is_head);
}

void service_reply(struct service_call *call, int status, const char *type, const char *body,
                   size_t len)
{
    char framing[64];

    (void)snprintf(framing, sizeof(framing), "content-length: %zu\r\n", len);
    send_head(call, status, type, framing);
    if (!call->is_head)
        send_all(call, body, len, false);
}

void service_reply_json(struct service_call *call, int status, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

    if (text)
        service_reply(call, status, "application/json", text, strlen(text));
    else
        service_reply(call, 500, "application/json", "{}", 2);
    free(text);
    json_decref(json);
}

void service_reply_error(struct service_call *call, int status, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    service_reply_json(call, status, json_pack("{s:s}", "error", text));
}

void service_reply_method(struct service_call *call, const char *allow)
{
    service_add_header(call, "allow", allow);
    service_reply_error(call, 405, "The method %.20s is not allowed here; allowed: %s.",
                        call->method, allow);
}

void service_stream(struct service_call *call, int status, const char *type)
{
    /* HTTP/1.0 has no chunks: the end of the connection is the end of the answer. */
    if (call->is_http10)
        call->may_keep_alive = false;
    send_head(call, status, type, call->is_http10 ? "" : "transfer-encoding: chunked\r\n");
}

bool service_stream_write(struct service_call *call, const char *data, size_t len)
{
    char size[32];

    if (call->is_head || len == 0)
        return !call->is_broken;
    if (!call->is_http10) {
        (void)snprintf(size, sizeof(size), "%zx\r\n", len);
        send_all(call, size, strlen(size), true);
    }
    send_all(call, data, len, !call->is_http10);
    if (!call->is_http10)
        send_all(call, "\r\n", 2, false);
    return !call->is_broken;
}

void service_stream_end(struct service_call *call)
{
    if (!call->is_head && !call->is_http10)
        send_all(call, "0\r\n\r\n", 5, false);
}

static void *serve_connection(void *arg)
{
    struct connection *c = arg;
    struct service_reader *reader = service_reader_new(c->fd);
    struct service_call call;
    int r;

    while ((r = service_read(reader, &call)) == 0) {
        c->handler(&call, c->state);
        if (!call.is_answered)
            service_reply_error(&call, 404, "There is nothing at this path.");
        if (call.is_broken || !call.may_keep_alive)
            break;
    }
    if (r > 0)
        service_reply_error(&call, r, "The request cannot be read.");
    service_reader_free(reader);
    (void)close(c->fd);
    free(c);
    (void)sem_post(&free_slots);
    return NULL;
}

static void start_connection(int fd, service_fn *handler, void *state)
{
    struct timeval idle = {.tv_sec = IDLE_SECONDS};
    struct connection *c = malloc(sizeof(*c));
    pthread_attr_t attr;
    pthread_t thread;
    int on = 1;

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attr, (size_t)512 * 1024);
    if (c)
        *c = (struct connection){fd, handler, state};
    if (!c || pthread_create(&thread, &attr, serve_connection, c) != 0) {
        free(c);
        (void)close(fd);
        (void)sem_post(&free_slots);
    }
    (void)pthread_attr_destroy(&attr);
}

static void on_stop(int signal)
{
    (void)signal;
    _exit(0);
}

void service_serve(int fd, service_fn *handler, void *state)
{
    bool is_open = true;

    (void)sem_init(&free_slots, 0, SERVICE_CONNECTIONS_MAX);
    while (is_open) {
        int client;

        while (sem_wait(&free_slots) < 0)
            ;
        client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        is_open = client >= 0 || errno != EINVAL;
        if (client >= 0)
            start_connection(client, handler, state);
        else
            (void)sem_post(&free_slots);
    }
    for (unsigned i = 0; i < SERVICE_CONNECTIONS_MAX; i++) {
        while (sem_wait(&free_slots) < 0)
            ;
    }
    (void)sem_destroy(&free_slots);
}

void service_run(int fd, service_fn *handler, void *state)
{
    struct sigaction stop = {.sa_handler = on_stop};

    (void)sigaction(SIGTERM, &stop, NULL);
    (void)sigaction(SIGINT, &stop, NULL);
    service_serve(fd, handler, state);
    exit(1);
}
