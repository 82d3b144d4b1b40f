/* The backend of the benchmark: answers as cheaply as a process can, so that what is measured is
 * the proxy. One thread, epoll, keep-alive, whole requests of at most 64 KiB. The path chooses the
 * answer:
 *   /200                   200 bytes
 *   /65536                 64 KiB
 *   /chat                  2 KB of JSON with usage (for POST)
 *   /v1/chat/completions   a chat completion of 1.3 KB with usage; with "stream":true in the body
 * an event stream: as many frames of content as x-frames says (100 bytes each), one each
 * X-Interval-Us, the first at once; then usage, if include_usage was asked for, and [DONE] All
 * streams under way at a time must have the same interval: then the order in which frames fall due
 * is that of a queue. Usage: mock_backend PORT */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FDS = 65536, REQUEST_MAX = 65536, COMPLETION_BYTES = 1300, N_WORDS = 7 };

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
    /* Of a stream. */
    int fd;
    unsigned n_frames; /* left, of content */
    int wants_usage;
    uint64_t interval_us;
    uint64_t due_us;
    struct connection *next, *before; /* in the queue of those with a frame to come */
};

static struct answer answers[4];
static struct answer frames[2][N_WORDS]; /* [1]: with usage asked for */
static struct answer endings[2];
static struct connection *connections[MAX_FDS];
static struct connection *first_due, *last_due;
static int epoll_fd;

static uint64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

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

/* The answer of a chat as a model server gives it, content of English length. */
static void make_completion(struct answer *a)
{
    static char body[COMPLETION_BYTES];
    static const char head[] = "{\"id\":\"chatcmpl-9f0c2b7d51e84c4f\",\"object\":\"chat."
                               "completion\",\"created\":1764183600,"
                               "\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
                               "\"assistant\",\"content\":\"";
    static const char tail[] =
        "\",\"refusal\":null,\"tool_calls\":[]},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":412,\"completion_tokens\":211,\"total_tokens\":623,"
        "\"prompt_tokens_details\":{\"cached_tokens\":128},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":0}},\"system_fingerprint\":null}";
    static const char prose[] =
        "A gateway reads what passes, says \\\"no\\\" early rather than late, counts what it let "
        "pass, "
        "and tells its operator why it did.\\nWhat it cannot read it says so. ";
    size_t room = sizeof body - (sizeof head - 1) - (sizeof tail - 1);
    char *at = body + sizeof head - 1;

    memcpy(body, head, sizeof head - 1);
    memset(at, '.', room);
    for (size_t n = 0; n + sizeof prose - 1 <= room; n += sizeof prose - 1)
        memcpy(at + n, prose, sizeof prose - 1);
    memcpy(body + sizeof body - (sizeof tail - 1), tail, sizeof tail - 1);
    make_plain(a, "/v1/chat/completions", "application/json", body, sizeof body);
}

static void append_chunk(struct answer *a, const char *data)
{
    char *grown = realloc(a->bytes, a->len + strlen(data) + 32);

    if (!grown)
        exit(1);
    a->bytes = grown;
    a->len += (size_t)sprintf(a->bytes + a->len, "%zx\r\n%s\r\n", strlen(data), data);
}

/* Chunks of an event stream. */
static void make_frames(void)
{
    static const char *const words[N_WORDS] = {" the",     " gateway", "s", " of",
                                               " tokens,", "\\n",      " a"};
    static const char usage[] =
        "data: {\"id\":\"1-2345\",\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":412,"
        "\"completion_tokens\":250,\"total_tokens\":662}}\n\n";

    for (int asked = 0; asked < 2; asked++) {
        for (int i = 0; i < N_WORDS; i++) {
            char data[256];

            /* OpenAI's servers say "usage":null in all other frames, once asked for usage. */
            snprintf(data, sizeof data,
                     "data: {\"id\":\"1-2345\",\"model\":\"m\",\"choices\":[{\"index\":0,"
                     "\"delta\":{\"content\":\"%s\"},\"finish\":null}]%s}\n\n",
                     words[i], asked ? ",\"usage\":null" : "");
            append_chunk(&frames[asked][i], data);
        }
        if (asked)
            append_chunk(&endings[asked], usage);
        append_chunk(&endings[asked], "data: [DONE]\n\n");
        append_chunk(&endings[asked], "");
    }
}

static void make_answers(void)
{
    static char zeros[65536];

    memset(zeros, 'z', sizeof zeros);
    make_plain(&answers[0], "/200", "text/plain", zeros, 200);
    make_plain(&answers[1], "/65536", "text/plain", zeros, 65536);
    make_chat(&answers[2]);
    make_completion(&answers[3]);
    make_frames();
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

/* ---- the queue of streams ---- */

static void queue_remove(struct connection *c)
{
    if (!c || (c != first_due && !c->before))
        return;
    *(c->before ? &c->before->next : &first_due) = c->next;
    *(c->next ? &c->next->before : &last_due) = c->before;
    c->next = c->before = NULL;
}

static void queue_append(struct connection *c)
{
    c->before = last_due;
    *(last_due ? &last_due->next : &first_due) = c;
    last_due = c;
}

static void close_connection(int fd)
{
    struct connection *c = connections[fd];

    queue_remove(c);
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

/* ---- streams ---- */

static uint64_t header_number(const char *request, size_t len, const char *name)
{
    const char *at = memmem(request, len, name, strlen(name));

    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* The next frame, and the end behind the last one. False: the connection is gone. */
static int send_frame(struct connection *c)
{
    const struct answer *a = &frames[c->wants_usage][c->n_frames % N_WORDS];
    const struct answer *end = &endings[c->wants_usage];

    c->n_frames--;
    if (!send_bytes(c->fd, c, a->bytes, a->len))
        return 0;
    if (c->n_frames == 0)
        return send_bytes(c->fd, c, end->bytes, end->len);
    c->due_us += c->interval_us;
    queue_append(c);
    return 1;
}

static void send_due(void)
{
    uint64_t now = now_us();

    while (first_due && first_due->due_us <= now) {
        struct connection *c = first_due;

        queue_remove(c);
        send_frame(c);
    }
}

/* Until the next frame is due, rounded up. */
static int wait_ms(void)
{
    uint64_t now = now_us();

    if (!first_due)
        return -1;
    return first_due->due_us <= now ? 0 : (int)((first_due->due_us - now + 999) / 1000);
}

static int begin_stream(int fd, struct connection *c, const char *request, size_t len)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";

    if (!send_bytes(fd, c, head, sizeof head - 1))
        return 0;
    c->fd = fd;
    c->wants_usage = memmem(request, len, "\"include_usage\":true", 20) != NULL;
    c->n_frames = (unsigned)header_number(request, len, "x-frames: ");
    c->interval_us = header_number(request, len, "x-interval-us: ");
    c->n_frames += c->n_frames == 0;
    c->due_us = now_us();
    return send_frame(c);
}

static int is_stream(const char *request, size_t len)
{
    return memmem(request, len, "\"stream\":true", 13) != NULL;
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

        if (a == &answers[3] && is_stream(in, used)) {
            if (!begin_stream(fd, c, in, used))
                return;
        } else if (!send_bytes(fd, c, a->bytes, a->len)) {
            return;
        }
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
        int n = epoll_wait(epoll_fd, events, 256, wait_ms());

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
        send_due();
    }
}
