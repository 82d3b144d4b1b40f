/* The reading side of the demo's HTTP/1.1 server: a head of at most SERVICE_HEAD_MAX, then a body
 * by Content-Length or in chunks, of at most SERVICE_BODY_MAX.
 *
 * Owner: the connection's thread. Bytes of a following, pipelined request stay in the buffer. */
#include "demo/service_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

struct service_reader {
    int fd;
    size_t at, len; /* unread bytes: buffer[at..len) */
    char buffer[SERVICE_HEAD_MAX];
    char head[SERVICE_HEAD_MAX + 1];
    char target[SERVICE_HEAD_MAX + 1];
    char *body;
    size_t body_len;
};

struct service_reader *service_reader_new(int fd)
{
    struct service_reader *r = calloc(1, sizeof(*r));

    if (!r)
        abort();
    r->fd = fd;
    return r;
}

void service_reader_free(struct service_reader *reader)
{
    free(reader->body);
    free(reader);
}

/* Makes at least one unread byte available; false at the end of the connection. */
static bool fill(struct service_reader *r)
{
    ssize_t n;

    if (r->at < r->len)
        return true;
    do
        n = recv(r->fd, r->buffer, sizeof(r->buffer), 0);
    while (n < 0 && errno == EINTR);
    r->at = 0;
    r->len = n > 0 ? (size_t)n : 0;
    return n > 0;
}

/* Reads a line without its end into `line`; false at the end of the connection, and for a line that
 * does not fit (*ret_len is then `max`). */
static bool read_line(struct service_reader *r, char *line, size_t max, size_t *ret_len)
{
    size_t len = 0;

    *ret_len = 0;
    while (fill(r)) {
        char c = r->buffer[r->at++];

        if (c == '\n') {
            if (len > 0 && line[len - 1] == '\r')
                len--;
            line[len] = '\0';
            *ret_len = len;
            return true;
        }
        if (len + 1 >= max) {
            *ret_len = max;
            return false;
        }
        line[len++] = c;
    }
    return false;
}

static bool read_body(struct service_reader *r, size_t n)
{
    char *body = realloc(r->body, r->body_len + n + 1);

    if (!body)
        abort();
    r->body = body;
    while (n > 0 && fill(r)) {
        size_t part = r->len - r->at < n ? r->len - r->at : n;

        memcpy(r->body + r->body_len, r->buffer + r->at, part);
        r->body_len += part;
        r->at += part;
        n -= part;
    }
    r->body[r->body_len] = '\0';
    return n == 0;
}

static int read_chunks(struct service_reader *r)
{
    char line[1024];
    size_t len;

    for (;;) {
        unsigned long long size;
        char *end;

        if (!read_line(r, line, sizeof(line), &len))
            return len ? 400 : -1;
        size = strtoull(line, &end, 16);
        if (end == line || line[0] == '-' || (*end != '\0' && *end != ';' && *end != ' '))
            return 400;
        if (size > SERVICE_BODY_MAX - r->body_len)
            return 413;
        if (size == 0)
            break;
        if (!read_body(r, (size_t)size))
            return -1;
        if (!read_line(r, line, sizeof(line), &len) || len != 0)
            return 400;
    }
    do {
        if (!read_line(r, line, sizeof(line), &len))
            return len ? 431 : -1;
    } while (len > 0);
    return 0;
}

static int read_headers(struct service_reader *r, char *text, size_t room,
                        struct service_call *call)
{
    size_t len;

    for (;;) {
        char *colon;

        if (!read_line(r, text, room, &len))
            return len ? 431 : -1;
        if (len == 0)
            return 0;
        colon = strchr(text, ':');
        if (!colon || colon == text || call->n_headers == SERVICE_HEADERS_MAX)
            return colon ? 431 : 400;
        *colon++ = '\0';
        colon += strspn(colon, " \t");
        call->headers[call->n_headers++] = (struct service_header){text, colon};
        text += len + 1;
        room -= len + 1;
    }
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Cuts the query and decodes %XX; a zero byte is left encoded. */
static void decode_path(char *path)
{
    char *out = path;

    for (const char *p = path; *p != '\0' && *p != '?'; p++) {
        int high = *p == '%' ? hex_digit(p[1]) : -1;
        int low = high >= 0 ? hex_digit(p[2]) : -1;

        if (low >= 0 && high * 16 + low > 0) {
            *out++ = (char)(high * 16 + low);
            p += 2;
        } else {
            *out++ = *p;
        }
    }
    *out = '\0';
}

static int parse_request_line(struct service_reader *r, char *line, struct service_call *call)
{
    char *target = strchr(line, ' ');
    char *version = target ? strchr(target + 1, ' ') : NULL;

    if (!version || strncmp(version + 1, "HTTP/1.", 7) != 0)
        return 400;
    *target++ = '\0';
    *version++ = '\0';
    (void)snprintf(r->target, sizeof(r->target), "%s", target);
    call->method = line;
    call->target = r->target;
    call->path = target;
    decode_path(call->path);
    call->is_head = strcmp(line, "HEAD") == 0;
    call->is_http10 = version[7] == '0';
    return 0;
}

static int read_framed_body(struct service_reader *r, struct service_call *call)
{
    const char *coding = service_find_header(call, "transfer-encoding");
    const char *length = service_find_header(call, "content-length");
    const char *expect = service_find_header(call, "expect");
    unsigned long long n = 0;
    char *end;

    if (length) {
        n = strtoull(length, &end, 10);
        if (end == length || *end != '\0' || *length == '-')
            return 400;
        if (n > SERVICE_BODY_MAX)
            return 413;
    }
    if (coding && (length || strcasecmp(coding, "chunked") != 0))
        return 400;
    if (expect && strcasecmp(expect, "100-continue") == 0)
        (void)send(r->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL);
    r->body_len = 0;
    if (coding)
        return read_body(r, 0) ? read_chunks(r) : -1;
    return read_body(r, (size_t)n) ? 0 : -1;
}

int service_read(struct service_reader *reader, struct service_call *ret_call)
{
    const char *connection;
    size_t len;
    int r;

    *ret_call = (struct service_call){.fd = reader->fd, .method = "GET", .body = ""};
    if (!read_line(reader, reader->head, sizeof(reader->head), &len))
        return len ? 431 : -1;
    r = parse_request_line(reader, reader->head, ret_call);
    if (r == 0)
        r = read_headers(reader, reader->head + len + 1, sizeof(reader->head) - len - 1, ret_call);
    if (r == 0)
        r = read_framed_body(reader, ret_call);
    if (r != 0)
        return r;
    ret_call->body = reader->body;
    ret_call->body_len = reader->body_len;
    connection = service_find_header(ret_call, "connection");
    ret_call->may_keep_alive =
        !ret_call->is_http10 && !(connection && strcasecmp(connection, "close") == 0);
    return 0;
}
