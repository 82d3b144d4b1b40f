/* The backend of the benchmark: answers as cheaply as a process can, so that what is measured is
 * the proxy. One thread, epoll, keep-alive, whole requests of at most 64 KiB. The path chooses the
 * answer: /200     200 bytes          /65536   64 KiB /chat    2 KB of JSON with usage (for POST)
 *   /stream  an event stream: 64 chunks of 256 bytes
 * Usage: mock_backend PORT */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FDS = 65536, REQUEST_MAX = 65536, STREAM_CHUNKS = 64, STREAM_CHUNK = 256 };

struct answer {
    const char *path;
    char *bytes;
    size_t len;
};

struct connection {
    char *in;
    size_t in_len;
    char *out; /* what the socket did not take */
    size_t out_len;
};

static struct answer answers[4];
static struct connection *connections[MAX_FDS];
static int epoll_fd;

static void make_plain(struct answer *a, const char *path, const char *type, const char *body,
                       size_t len)
{
    a->path = path;
    a->bytes = malloc(len + 256);
    if (!a->bytes)
        exit(1);
    int head =
        snprintf(a->bytes, 256,
                 "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", type, len);

    memcpy(a->bytes + head, body, len);
    a->len = (size_t)head + len;
}

static void make_chat(struct answer *a)
{
    static char body[2048];
    static const char tail[] = "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":412,"
                               "\"completion_tokens\":389,\"total_tokens\":801}}";
    static const char head[] =
        "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"model\":\"m\",\"choices\":"
        "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"";

    memset(body, 'a', sizeof body);
    memcpy(body, head, sizeof head - 1);
    memcpy(body + sizeof body - (sizeof tail - 1), tail, sizeof tail - 1);
    make_plain(a, "/chat", "application/json", body, sizeof body);
}

static void make_stream(struct answer *a)
{
    char *at;

    a->path = "/stream";
    a->bytes = malloc(STREAM_CHUNKS * (STREAM_CHUNK + 16) + 256);
    if (!a->bytes)
        exit(1);
    at = a->bytes + sprintf(a->bytes, "HTTP/1.1 200 OK\r\nContent-Type: "
                                      "text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < STREAM_CHUNKS; i++) {
        at += sprintf(at, "%x\r\ndata: ", STREAM_CHUNK);
        memset(at, 'x', STREAM_CHUNK - 8);
        at += STREAM_CHUNK - 8;
        at += sprintf(at, "\n\n\r\n");
    }
    at += sprintf(at, "0\r\n\r\n");
    a->len = (size_t)(at - a->bytes);
}

static void make_answers(void)
{
    static char zeros[65536];

    memset(zeros, 'z', sizeof zeros);
    make_plain(&answers[0], "/200", "text/plain", zeros, 200);
    make_plain(&answers[1], "/65536", "text/plain", zeros, 65536);
    make_chat(&answers[2]);
    make_stream(&answers[3]);
}

static const struct answer *find_answer(const char *request, size_t len)
{
    const char *path = memchr(request, ' ', len);

    for (size_t i = 0; path && i < 4; i++) {
        size_t n = strlen(answers[i].path);

        if ((size_t)(request + len - path) > n + 1 && memcmp(path + 1, answers[i].path, n) == 0)
            return &answers[i];
    }
    return &answers[0];
}

/* Length of the first request in `in`, 0: incomplete. */
static size_t request_length(const char *in, size_t len)
{
    const char *end = memmem(in, len, "\r\n\r\n", 4);
    const char *field;
    size_t head, body = 0;

    if (!end)
        return 0;
    head = (size_t)(end - in) + 4;
    field = memmem(in, head, "ontent-", 7);
    while (field && strncasecmp(field, "ontent-length:", 14) != 0)
        field = memmem(field + 1, (size_t)(in + head - field - 1), "ontent-", 7);
    if (field)
        body = strtoul(field + 14, NULL, 10);
    return head + body <= len ? head + body : 0;
}

static void close_connection(int fd)
{
    struct connection *c = connections[fd];

    connections[fd] = NULL;
    close(fd);
    free(c->in);
    free(c->out);
    free(c);
}

static void watch(int fd, uint32_t events, int op)
{
    struct epoll_event event = {.events = events, .data.fd = fd};

    epoll_ctl(epoll_fd, op, fd, &event);
}

/* False: the connection is gone. */
static int send_bytes(int fd, struct connection *c, const char *bytes, size_t len)
{
    ssize_t n = c->out_len ? 0 : send(fd, bytes, len, MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN) {
        close_connection(fd);
        return 0;
    }
    n = n < 0 ? 0 : n;
    if ((size_t)n < len) {
        char *grown = realloc(c->out, c->out_len + len - (size_t)n);

        if (!grown)
            exit(1);
        c->out = grown;
        memcpy(c->out + c->out_len, bytes + n, len - (size_t)n);
        c->out_len += len - (size_t)n;
        watch(fd, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    }
    return 1;
}

static void on_writable(int fd, struct connection *c)
{
    ssize_t n = send(fd, c->out, c->out_len, MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN) {
        close_connection(fd);
        return;
    }
    n = n < 0 ? 0 : n;
    c->out_len -= (size_t)n;
    memmove(c->out, c->out + n, c->out_len);
    if (c->out_len == 0)
        watch(fd, EPOLLIN, EPOLL_CTL_MOD);
}

static void on_readable(int fd, struct connection *c)
{
    static char scratch[REQUEST_MAX];
    ssize_t n = recv(fd, c->in ? c->in + c->in_len : scratch, REQUEST_MAX - c->in_len, 0);
    char *in = c->in ? c->in : scratch;
    size_t len, used;

    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            close_connection(fd);
        return;
    }
    len = c->in_len + (size_t)n;
    while (len > 0 && (used = request_length(in, len)) > 0) {
        const struct answer *a = find_answer(in, used);

        if (!send_bytes(fd, c, a->bytes, a->len))
            return;
        in += used;
        len -= used;
    }
    if (len == REQUEST_MAX) {
        close_connection(fd);
        return;
    }
    if (len > 0 && !c->in) {
        c->in = malloc(REQUEST_MAX);
        if (!c->in)
            exit(1);
    }
    if (c->in)
        memmove(c->in, in, len);
    c->in_len = len;
}

static void on_accept(int listen_fd)
{
    int on = 1;
    int fd;

    while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (fd >= MAX_FDS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connections[fd] = calloc(1, sizeof *connections[fd]);
        if (!connections[fd])
            exit(1);
        watch(fd, EPOLLIN, EPOLL_CTL_ADD);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event events[256];
    int listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;

    if (argc != 2 || listen_fd < 0)
        return 2;
    address.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
    setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listen_fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listen_fd, 4096) < 0) {
        perror("mock_backend");
        return 1;
    }
    make_answers();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    watch(listen_fd, EPOLLIN, EPOLL_CTL_ADD);
    for (;;) {
        int n = epoll_wait(epoll_fd, events, 256, -1);

        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;

            if (fd == listen_fd)
                on_accept(fd);
            else if (connections[fd] && (events[i].events & EPOLLOUT))
                on_writable(fd, connections[fd]);
            if (fd != listen_fd && connections[fd] &&
                (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                on_readable(fd, connections[fd]);
        }
    }
}
