/* The load generator of event streams: N connections that each ask for a stream of K frames, one
 * after the other while the time lasts. Frame k (from 0) is due k intervals after its request was
 * sent; more than LATE_US behind that it is late. A stream that does not have exactly the K frames
 * and [DONE] behind them, or whose status is not 200, is a failed one. Prints JSON.
 *
 * Usage: stream_load PORT STREAMS SECONDS REQUEST_FILE FRAMES INTERVAL_US
 * The streams start evenly over the first second (or a tenth of SECONDS, if that is less). */
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

enum { LATE_US = 60000, FIRST_US_MAX = 2000000, READ_BYTES = 65536, REQUEST_MAX = 65536 };

struct stream {
    int fd;
    uint64_t sent_us;
    uint64_t n_frames; /* that have come, [DONE] included */
    unsigned n_status; /* bytes of the status line that have been compared */
    int is_bad;
    int is_open; /* a request was sent, and its answer is not complete */
    char tail[5];
};

static struct stream *streams;
static char request[REQUEST_MAX];
static size_t request_len;
static uint64_t n_expected, interval_us;
static uint32_t *first_us; /* histogram */
static uint64_t n_streams_done, n_failed, n_frames, n_late, n_firsts;
static int epoll_fd;

static uint64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void open_stream(struct stream *s, uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
    int on = 1;

    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&address, sizeof address) < 0) {
        perror("stream_load: connect");
        exit(1);
    }
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &event);
}

static void begin(struct stream *s)
{
    s->sent_us = now_us();
    s->n_frames = 0;
    s->n_status = 0;
    s->is_open = 1;
    memset(s->tail, 0, sizeof s->tail);
    if (send(s->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len) {
        perror("stream_load: send");
        exit(1);
    }
}

static void on_frame(struct stream *s, uint64_t t)
{
    uint64_t k = s->n_frames++;

    if (k >= n_expected)
        return; /* [DONE], or one too many */
    n_frames++;
    n_late += t > s->sent_us + k * interval_us + LATE_US;
    if (k == 0) {
        uint64_t us = t - s->sent_us;

        first_us[us < FIRST_US_MAX ? us : FIRST_US_MAX - 1]++;
        n_firsts++;
    }
}

/* The last five bytes tell the end of a frame ("\n\n") and of the chunked content. */
static void on_byte(struct stream *s, char c, uint64_t t)
{
    static const char status[] = "HTTP/1.1 200";

    if (s->n_status < sizeof status - 1)
        s->is_bad |= c != status[s->n_status++];
    memmove(s->tail, s->tail + 1, 4);
    s->tail[4] = c;
    if (c != '\n')
        return;
    if (s->tail[3] == '\n')
        on_frame(s, t);
    if (memcmp(s->tail, "0\r\n\r\n", 5) == 0 && s->n_frames > 0) {
        s->is_open = 0;
        n_streams_done++;
        s->is_bad |= s->n_frames != n_expected + 1;
        n_failed += (unsigned)s->is_bad;
        s->is_bad = 0;
    }
}

static uint64_t percentile(double p)
{
    uint64_t want = (uint64_t)((double)n_firsts * p), seen = 0;

    for (uint64_t us = 0; us < FIRST_US_MAX; us++) {
        seen += first_us[us];
        if (seen > want)
            return us;
    }
    return FIRST_US_MAX;
}

/* Starts what is due to start, and again what has ended, until `end`. Those still open. */
static size_t keep_running(size_t n, uint64_t start, uint64_t spread_us, uint64_t end)
{
    static size_t n_begun;
    size_t n_open = 0;
    uint64_t t = now_us();

    while (n_begun < n && t >= start + spread_us * n_begun / n)
        begin(&streams[n_begun++]);
    for (size_t i = 0; i < n_begun; i++) {
        if (!streams[i].is_open && t < end)
            begin(&streams[i]);
        n_open += (unsigned)streams[i].is_open;
    }
    return n_open + (n - n_begun);
}

static void read_some(struct stream *s)
{
    static char in[READ_BYTES];
    ssize_t got = recv(s->fd, in, sizeof in, MSG_DONTWAIT);
    uint64_t t = now_us();

    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        fprintf(stderr, "stream_load: a connection was closed\n");
        exit(1);
    }
    for (ssize_t i = 0; i < got; i++)
        on_byte(s, in[i], t);
}

int main(int argc, char **argv)
{
    struct epoll_event events[512];

    if (argc != 7)
        return 2;
    uint16_t port = (uint16_t)strtoul(argv[1], NULL, 10);
    size_t n = strtoul(argv[2], NULL, 10);
    double seconds = strtod(argv[3], NULL);
    FILE *file = fopen(argv[4], "rb");

    streams = calloc(n, sizeof *streams);
    first_us = calloc(FIRST_US_MAX, sizeof *first_us);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!streams || !first_us || !file)
        return 1;
    request_len = fread(request, 1, sizeof request, file);
    fclose(file);
    n_expected = strtoull(argv[5], NULL, 10);
    interval_us = strtoull(argv[6], NULL, 10);
    for (size_t i = 0; i < n; i++)
        open_stream(&streams[i], port);

    uint64_t start = now_us(), end = start + (uint64_t)(seconds * 1e6);
    uint64_t spread_us = seconds < 10 ? (uint64_t)(seconds * 1e5) : 1000000;

    while (keep_running(n, start, spread_us, end) > 0) {
        int got = epoll_wait(epoll_fd, events, 512, 1);

        for (int i = 0; i < got; i++)
            read_some(events[i].data.ptr);
    }
    printf("{\"streams\": %llu, \"failed\": %llu, \"frames\": %llu, \"late\": %llu, \"seconds\": "
           "%.4f, \"first_p50_us\": %llu, \"first_p99_us\": %llu}\n",
           (unsigned long long)n_streams_done, (unsigned long long)n_failed,
           (unsigned long long)n_frames, (unsigned long long)n_late,
           (double)(now_us() - start) / 1e6, (unsigned long long)percentile(0.50),
           (unsigned long long)percentile(0.99));
    return n_failed > 0;
}
