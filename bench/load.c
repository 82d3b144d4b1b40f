/* The load generator: N keep-alive connections that each send the same request again as soon as its
 * answer is complete. Counts every answer whose status is not 200 or whose content has the wrong
 * length. Prints JSON.
 *
 * Usage: load PORT CONNECTIONS SECONDS WARMUP_SECONDS REQUEST_FILE EXPECTED_BODY_BYTES [REQUESTS]
 * REQUEST_FILE holds the request as bytes, or several with a zero byte after each, that take turns.
 * With REQUESTS (and SECONDS 0) it sends that many and stops: for counting instructions. */
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

enum { LATENCY_US_MAX = 2000000, READ_BYTES = 262144 };

struct client {
    int fd;
    uint64_t sent_us;
    const char *next; /* of the request, not sent yet */
    size_t to_send;
    size_t head_len; /* 0: the head is not complete yet */
    size_t body_left;
    char head[4096];
    size_t head_have;
};

static struct client *clients;
static char *requests; /* all of them */
static size_t requests_len;
static size_t turn; /* where the next one begins */
static size_t expected_body;
static uint32_t *histogram;
static uint64_t n_done, n_failed, n_measured;
static int epoll_fd;

static uint64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static char *read_file(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rb");
    char *bytes = malloc(1 << 20);

    if (!f || !bytes)
        exit(2);
    *ret_len = fread(bytes, 1, 1 << 20, f);
    fclose(f);
    return bytes;
}

static void send_request(struct client *c)
{
    ssize_t n = send(c->fd, c->next, c->to_send, MSG_NOSIGNAL);

    if (n > 0) {
        c->next += n;
        c->to_send -= (size_t)n;
    }
}

static void begin(struct client *c)
{
    c->sent_us = now_us();
    c->next = requests + turn;

    const char *mark = memchr(c->next, 0, requests_len - turn);

    c->to_send = mark ? (size_t)(mark - c->next) : requests_len - turn;
    turn = turn + c->to_send + 1 < requests_len ? turn + c->to_send + 1 : 0;
    c->head_len = 0;
    c->head_have = 0;
    send_request(c);
}

static void open_client(struct client *c, uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) {
        perror("load: connect");
        exit(1);
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
}

static void complete(struct client *c, int is_good, int is_measured)
{
    uint64_t us = now_us() - c->sent_us;

    n_done++;
    n_failed += !is_good;
    if (is_measured) {
        n_measured++;
        histogram[us < LATENCY_US_MAX ? us : LATENCY_US_MAX - 1]++;
    }
}

/* Reads the head of an answer. Returns bytes of `in` that belong to it. */
static size_t take_head(struct client *c, const char *in, size_t len)
{
    size_t room = sizeof c->head - c->head_have - 1;
    size_t n = len < room ? len : room;
    const char *end, *field;
    size_t before = c->head_have;

    memcpy(c->head + c->head_have, in, n);
    c->head_have += n;
    c->head[c->head_have] = '\0';
    end = strstr(c->head, "\r\n\r\n");
    if (!end)
        return n;
    c->head_len = (size_t)(end - c->head) + 4;
    field = strcasestr(c->head, "\r\ncontent-length:");
    c->body_left = field ? strtoul(field + 17, NULL, 10) : SIZE_MAX;
    return c->head_len - before;
}

static void on_bytes(struct client *c, const char *in, size_t len, int is_measured, int may_go_on)
{
    while (len > 0) {
        size_t n;

        if (c->head_len == 0) {
            n = take_head(c, in, len);
            in += n;
            len -= n;
            if (c->head_len == 0)
                continue;
        }
        n = len < c->body_left ? len : c->body_left;
        c->body_left -= n;
        in += n;
        len -= n;
        if (c->body_left == 0) {
            const char *field = strcasestr(c->head, "\r\ncontent-length:");
            int is_good = strncmp(c->head, "HTTP/1.1 200", 12) == 0 && field &&
                          strtoul(field + 17, NULL, 10) == expected_body;

            complete(c, is_good, is_measured);
            c->head_len = 0;
            c->head_have = 0;
            if (may_go_on)
                begin(c);
        }
    }
}

static uint64_t percentile(double p)
{
    uint64_t want = (uint64_t)((double)n_measured * p), seen = 0;

    for (uint64_t us = 0; us < LATENCY_US_MAX; us++) {
        seen += histogram[us];
        if (seen > want)
            return us;
    }
    return LATENCY_US_MAX;
}

int main(int argc, char **argv)
{
    static char in[READ_BYTES];
    struct epoll_event events[512];

    if (argc < 7)
        return 2;
    uint16_t port = (uint16_t)strtoul(argv[1], NULL, 10);
    size_t n_clients = strtoul(argv[2], NULL, 10);
    double seconds = strtod(argv[3], NULL), warmup = strtod(argv[4], NULL);
    uint64_t n_requests = argc > 7 ? strtoull(argv[7], NULL, 10) : 0;

    clients = calloc(n_clients, sizeof *clients);
    requests = read_file(argv[5], &requests_len);
    expected_body = strtoul(argv[6], NULL, 10);
    histogram = calloc(LATENCY_US_MAX, sizeof *histogram);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!clients || !histogram)
        return 1;
    for (size_t i = 0; i < n_clients; i++)
        open_client(&clients[i], port);
    uint64_t start = now_us(), measure_from = start + (uint64_t)(warmup * 1e6);
    uint64_t end = measure_from + (uint64_t)(seconds * 1e6), first_measured = 0;

    for (size_t i = 0; i < n_clients; i++)
        begin(&clients[i]);
    for (;;) {
        int n = epoll_wait(epoll_fd, events, 512, 1000);
        uint64_t t = now_us();
        int is_measured = t >= measure_from;

        if (is_measured && !first_measured)
            first_measured = t;
        if (n_requests ? n_done >= n_requests : t >= end)
            break;
        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;
            ssize_t got = recv(c->fd, in, sizeof in, MSG_DONTWAIT);

            if (got > 0) {
                on_bytes(c, in, (size_t)got, is_measured, !n_requests || n_done + 1 < n_requests);
            } else if (got == 0 || errno != EAGAIN) {
                fprintf(stderr, "load: a connection was closed\n");
                n_failed++;
                end = t;
                n_requests = n_requests ? n_done : 0;
                break;
            }
        }
    }
    double elapsed = (double)(now_us() - (first_measured ? first_measured : start)) / 1e6;

    printf("{\"requests\": %llu, \"measured\": %llu, \"failed\": %llu, \"seconds\": %.4f, "
           "\"p50_us\": %llu, \"p99_us\": %llu}\n",
           (unsigned long long)n_done, (unsigned long long)n_measured, (unsigned long long)n_failed,
           elapsed, (unsigned long long)percentile(0.50), (unsigned long long)percentile(0.99));
    return n_failed > 0;
}
