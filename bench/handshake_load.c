/* The load generator of TLS handshakes: N clients that each connect, shake hands, send one request
 * with Connection: close, read to the end, and do it again. Sessions are resumed by the ticket that
 * the client's last connection brought, or never. Whoever serves has no choice of algorithms: one
 * version, X25519 (P-256 is offered for the certificate's sake), AES-128-GCM. A connection fails
 * whose answer is not a 200 of as many bytes as expected, which was resumed though no session was
 * offered, or was not though one was. JSON.
 *
 * Usage: handshake_load PORT CLIENTS SECONDS REQUEST_FILE ANSWER_BODY_BYTES 1.2|1.3 full|resumed
 *        [CONNECTIONS]
 * With CONNECTIONS it makes that many, however long it takes: for counting instructions. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HANDSHAKE_US_MAX = 2000000, REQUEST_MAX = 65536, HEAD_MAX = 4096, QUIET_MS = 20000 };

struct client {
    int fd;
    int is_connected; /* the request is sent */
    int has_offered;  /* a session */
    uint64_t begun_us;
    SSL *ssl;
    SSL_SESSION *session; /* of the last connection, NULL: none yet */
    char in[HEAD_MAX];    /* the answer's head, and more of it */
    size_t n_in;          /* all bytes of the answer */
};

static SSL_CTX *ctx;
static struct client *clients;
static char request[REQUEST_MAX];
static int request_len;
static size_t expected_body;
static int resumes;
static uint16_t port;
static uint32_t *histogram;
static uint64_t n_begun, n_done, n_resumed, n_failed, n_bad_answers;
static int epoll_fd;

static uint64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void fail(const char *what)
{
    fprintf(stderr, "handshake_load: %s: %s\n", what, strerror(errno));
    ERR_print_errors_fp(stderr);
    exit(1);
}

/* A ticket came: after the handshake with 1.3, during it with 1.2. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct client *c = SSL_get_app_data(ssl);

    SSL_SESSION_free(c->session);
    c->session = session;
    return 1; /* it is ours now */
}

static void begin(struct client *c)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;

    n_begun++;
    c->begun_us = now_us();
    c->is_connected = 0;
    c->has_offered = c->session != NULL;
    c->n_in = 0;
    c->in[0] = '\0';
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
    c->ssl = SSL_new(ctx);
    if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1 ||
        SSL_set_tlsext_host_name(c->ssl, "bench.local") != 1 ||
        (c->session && SSL_set_session(c->ssl, c->session) != 1))
        fail("SSL_new");
    SSL_set_app_data(c->ssl, c);
}

static int is_good(const struct client *c)
{
    const char *end = strstr(c->in, "\r\n\r\n");

    return strncmp(c->in, "HTTP/1.1 200", 12) == 0 && end &&
           c->n_in == (size_t)(end + 4 - c->in) + expected_body;
}

/* The server has closed. */
static void end(struct client *c)
{
    int is_bad = !c->is_connected || !is_good(c);

    n_done++;
    n_failed += (unsigned)is_bad;
    n_bad_answers += (unsigned)is_bad;
    SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    close(c->fd);
}

/* 1: done, 0: later, -1: at its end. */
static int result_of(const struct client *c, int n)
{
    if (n > 0)
        return 1;
    switch (SSL_get_error(c->ssl, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        return -1;
    default:
        ERR_clear_error();
        return -1;
    }
}

/* As result_of. */
static int shake_hands(struct client *c)
{
    int r = result_of(c, SSL_connect(c->ssl));
    uint64_t us = now_us() - c->begun_us;

    if (r != 1)
        return r;
    c->is_connected = 1;
    n_resumed += (unsigned)SSL_session_reused(c->ssl);
    n_failed += c->has_offered != SSL_session_reused(c->ssl);
    histogram[us < HANDSHAKE_US_MAX ? us : HANDSHAKE_US_MAX - 1]++;
    if (SSL_write(c->ssl, request, request_len) != request_len)
        fail("SSL_write");
    return 1;
}

/* `in` keeps what it has room for; a zero byte follows. */
static void read_answer(struct client *c, const char *bytes, size_t n)
{
    size_t have = c->n_in < HEAD_MAX - 1 ? c->n_in : HEAD_MAX - 1;
    size_t room = HEAD_MAX - 1 - have;
    size_t kept = n < room ? n : room;

    memcpy(c->in + have, bytes, kept);
    c->in[have + kept] = '\0';
    c->n_in += n;
}

/* False: the connection is at its end. */
static int on_readable(struct client *c)
{
    char bytes[HEAD_MAX];
    int n, r = c->is_connected ? 1 : shake_hands(c);

    while (r == 1) {
        n = SSL_read(c->ssl, bytes, sizeof bytes);
        r = result_of(c, n);
        if (r == 1)
            read_answer(c, bytes, (size_t)n);
    }
    return r == 0;
}

static void make_context(const char *version)
{
    static const unsigned char alpn[] = "\x08http/1.1";
    int number = strcmp(version, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;

    ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx || SSL_CTX_set_min_proto_version(ctx, number) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, number) != 1 ||
        SSL_CTX_set1_groups_list(ctx, "X25519:P-256") != 1 ||
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256") != 1 ||
        SSL_CTX_set_alpn_protos(ctx, alpn, sizeof alpn - 1) != 0)
        fail("SSL_CTX_new");
    SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    if (resumes)
        SSL_CTX_sess_set_new_cb(ctx, on_session);
}

static uint64_t percentile(double p)
{
    uint64_t want = (uint64_t)((double)n_done * p), seen = 0;

    for (uint64_t us = 0; us < HANDSHAKE_US_MAX; us++) {
        seen += histogram[us];
        if (seen > want)
            return us;
    }
    return HANDSHAKE_US_MAX;
}

/* Until `end_us`, or until n_wanted were made, if any are; and until those under way then are done.
 */
static void run(size_t n_clients, uint64_t end_us, uint64_t n_wanted)
{
    struct epoll_event events[64];
    size_t n_open = n_clients;

    for (size_t i = 0; i < n_clients; i++) {
        begin(&clients[i]);
        on_readable(&clients[i]); /* says hello */
    }
    while (n_open > 0) {
        int n = epoll_wait(epoll_fd, events, 64, QUIET_MS);

        if (n == 0)
            fail("nothing came for a long time");
        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;

            if (on_readable(c))
                continue;
            end(c);
            if (n_wanted ? n_begun >= n_wanted : now_us() >= end_us) {
                n_open--;
                continue;
            }
            begin(c);
            on_readable(c);
        }
    }
}

int main(int argc, char **argv)
{
    FILE *file = argc == 8 || argc == 9 ? fopen(argv[4], "rb") : NULL;

    if (!file)
        return 2;
    port = (uint16_t)strtoul(argv[1], NULL, 10);
    size_t n_clients = strtoul(argv[2], NULL, 10);
    uint64_t start = now_us();

    request_len = (int)fread(request, 1, sizeof request, file);
    fclose(file);
    expected_body = strtoul(argv[5], NULL, 10);
    resumes = strcmp(argv[7], "resumed") == 0;
    clients = calloc(n_clients, sizeof *clients);
    histogram = calloc(HANDSHAKE_US_MAX, sizeof *histogram);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!clients || !histogram)
        return 1;
    make_context(argv[6]);
    run(n_clients, start + (uint64_t)(strtod(argv[3], NULL) * 1e6),
        argc == 9 ? strtoull(argv[8], NULL, 10) : 0);
    printf("{\"connections\": %llu, \"resumed\": %llu, \"failed\": %llu, \"seconds\": %.4f, "
           "\"p50_us\": %llu, \"p99_us\": %llu}\n",
           (unsigned long long)n_done, (unsigned long long)n_resumed, (unsigned long long)n_failed,
           (double)(now_us() - start) / 1e6, (unsigned long long)percentile(0.50),
           (unsigned long long)percentile(0.99));
    if (n_failed > 0)
        fprintf(stderr, "handshake_load: %llu bad answers, %llu not resumed as they should be\n",
                (unsigned long long)n_bad_answers, (unsigned long long)(n_failed - n_bad_answers));
    return n_failed > 0;
}
