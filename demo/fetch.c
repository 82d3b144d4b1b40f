/* A small HTTP/1.1 client: connects, sends "connection: close", reads to the end, undoes chunks.
 *
 * Owner: the caller owns the answer. Thread: any; it blocks, for at most timeout_ms per step. The
 * certificate is checked against ca_file and the host, so that TLS here means what it says. */
#include "demo/fetch.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct link {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
};

static int fail(struct fetch_answer *a, const char *what, const char *why)
{
    (void)snprintf(a->error, sizeof(a->error), "%s: %s", what, why);
    return -1;
}

static int open_socket(struct link *l, const struct fetch_request *q, struct fetch_answer *a)
{
    struct timeval limit = {.tv_sec = q->timeout_ms / 1000,
                            .tv_usec = (q->timeout_ms % 1000) * 1000L};
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    char port[16];
    int r;

    (void)snprintf(port, sizeof(port), "%d", q->port);
    r = getaddrinfo(q->host, port, &hints, &found);
    if (r != 0)
        return fail(a, "name", gai_strerror(r));
    for (const struct addrinfo *i = found; i; i = i->ai_next) {
        l->fd = socket(i->ai_family, i->ai_socktype | SOCK_CLOEXEC, 0);
        if (l->fd < 0)
            continue;
        (void)setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        (void)setsockopt(l->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        if (connect(l->fd, i->ai_addr, i->ai_addrlen) == 0)
            break;
        r = errno;
        (void)close(l->fd);
        l->fd = -1;
    }
    freeaddrinfo(found);
    return l->fd < 0 ? fail(a, "connect", strerror(r)) : 0;
}

static int open_tls(struct link *l, const struct fetch_request *q, struct fetch_answer *a)
{
    X509_VERIFY_PARAM *param;

    l->ctx = SSL_CTX_new(TLS_client_method());
    if (!l->ctx || SSL_CTX_load_verify_locations(l->ctx, q->ca_file, NULL) != 1)
        return fail(a, "TLS", "cannot read the certificate file");
    SSL_CTX_set_verify(l->ctx, SSL_VERIFY_PEER, NULL);
    l->ssl = SSL_new(l->ctx);
    if (!l->ssl || SSL_set_fd(l->ssl, l->fd) != 1)
        return fail(a, "TLS", "out of memory");
    param = SSL_get0_param(l->ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, q->host) != 1) {
        (void)SSL_set_tlsext_host_name(l->ssl, q->host);
        (void)X509_VERIFY_PARAM_set1_host(param, q->host, 0);
    }
    if (SSL_connect(l->ssl) != 1) {
        long verdict = SSL_get_verify_result(l->ssl);
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());

        ERR_clear_error();
        return fail(a, "TLS handshake",
                    verdict != X509_V_OK ? X509_verify_cert_error_string(verdict)
                    : reason             ? reason
                                         : "the connection ended");
    }
    return 0;
}

static void close_link(struct link *l)
{
    if (l->ssl)
        (void)SSL_shutdown(l->ssl);
    SSL_free(l->ssl);
    SSL_CTX_free(l->ctx);
    if (l->fd >= 0)
        (void)close(l->fd);
}

static bool send_text(struct link *l, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n =
            l->ssl ? SSL_write(l->ssl, text, (int)len) : send(l->fd, text, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        text += n;
        len -= (size_t)n;
    }
    return true;
}

static int send_request(struct link *l, const struct fetch_request *q, struct fetch_answer *a)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    bool is_sent;

    if (!out)
        return fail(a, "send", "out of memory");
    (void)fprintf(out, "%s %s HTTP/1.1\r\nhost: %s:%d\r\nconnection: close\r\n",
                  q->method ? q->method : "GET", q->path, q->host, q->port);
    for (size_t i = 0; q->headers && q->headers[i]; i++)
        (void)fprintf(out, "%s\r\n", q->headers[i]);
    if (q->body)
        (void)fprintf(out, "content-length: %zu\r\n", strlen(q->body));
    (void)fprintf(out, "\r\n%s", q->body ? q->body : "");
    (void)fclose(out);
    is_sent = send_text(l, text, len);
    free(text);
    return is_sent ? 0 : fail(a, "send", "the connection ended");
}

static char *read_to_end(struct link *l, size_t *ret_len)
{
    char *text = malloc(FETCH_ANSWER_MAX + 1);
    size_t len = 0;

    while (text && len < FETCH_ANSWER_MAX) {
        size_t room = FETCH_ANSWER_MAX - len;
        ssize_t n =
            l->ssl ? SSL_read(l->ssl, text + len, (int)room) : recv(l->fd, text + len, room, 0);

        if (n <= 0)
            break;
        len += (size_t)n;
    }
    if (text)
        text[len] = '\0';
    *ret_len = len;
    return text;
}

/* Joins the chunks in place; false when the last chunk is missing. */
static bool join_chunks(char *body, size_t *len)
{
    const char *in = body;
    const char *end = body + *len;
    size_t out = 0;

    for (;;) {
        char *rest;
        unsigned long size = strtoul(in, &rest, 16);
        const char *data = strstr(rest, "\r\n");

        if (rest == in || !data)
            return false;
        data += 2;
        if (size == 0)
            break;
        if (size > (size_t)(end - data))
            return false;
        memmove(body + out, data, size);
        out += size;
        in = data + size;
        if (end - in < 2)
            return false;
        in += 2;
    }
    body[out] = '\0';
    *len = out;
    return true;
}

/* Steps over 1xx answers. */
static int parse_answer(char *text, size_t len, struct fetch_answer *a)
{
    char *line_end;
    char *head_end;

    for (;;) {
        line_end = strstr(text, "\r\n");
        head_end = strstr(text, "\r\n\r\n");
        if (strncmp(text, "HTTP/1.", 7) != 0 || strlen(text) < 12 || !line_end || !head_end)
            return fail(a, "answer", len == 0 ? "the connection ended without one" : "no HTTP");
        a->status = (int)strtol(text + 9, NULL, 10);
        if (a->status >= 200)
            break;
        len -= (size_t)(head_end + 4 - text);
        text = head_end + 4;
    }
    a->body_len = len - (size_t)(head_end + 4 - text);
    a->body = malloc(a->body_len + 1);
    a->head = strndup(line_end + 2, (size_t)(head_end + 2 - (line_end + 2)));
    if (!a->body || !a->head)
        return fail(a, "answer", "out of memory");
    memcpy(a->body, head_end + 4, a->body_len);
    a->body[a->body_len] = '\0';
    if (strcasestr(a->head, "transfer-encoding: chunked") && !join_chunks(a->body, &a->body_len))
        return fail(a, "answer", "its last chunk is missing");
    return 0;
}

int fetch(const struct fetch_request *request, struct fetch_answer *ret_answer)
{
    struct link l = {.fd = -1};
    char *text = NULL;
    size_t len;
    int r;

    *ret_answer = (struct fetch_answer){0};
    r = open_socket(&l, request, ret_answer);
    if (r == 0 && request->ca_file)
        r = open_tls(&l, request, ret_answer);
    if (r == 0)
        r = send_request(&l, request, ret_answer);
    if (r == 0) {
        text = read_to_end(&l, &len);
        r = text ? parse_answer(text, len, ret_answer) : -1;
    }
    free(text);
    close_link(&l);
    return r;
}

void fetch_answer_free(struct fetch_answer *answer)
{
    free(answer->head);
    free(answer->body);
    answer->head = answer->body = NULL;
}
