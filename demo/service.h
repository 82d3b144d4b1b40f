/* The HTTP/1.1 server that all services of the demo share: one thread per connection, requests held
 * whole, answers whole or streamed. Meant for loopback and for what a gateway sends, not for the
 * open network. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define SERVICE_HEAD_MAX        (16u * 1024u)
#define SERVICE_BODY_MAX        (1024u * 1024u)
#define SERVICE_HEADERS_MAX     64u
#define SERVICE_CONNECTIONS_MAX 512u

struct service_header {
    const char *name;
    const char *value;
};

/* One request and its answer; lives during one call of the handler, on the connection's thread. */
struct service_call {
    const char *method;
    char *path;   /* decoded, without the query */
    char *target; /* as it came */
    struct service_header headers[SERVICE_HEADERS_MAX];
    size_t n_headers;
    const char *body; /* never NULL, ends with a zero byte */
    size_t body_len;
    /* The rest is the server's own. */
    int fd;
    bool is_head, is_http10, may_keep_alive, is_answered, is_broken;
    char extra[2048];
    size_t extra_len;
};

typedef void service_fn(struct service_call *call, void *state);

/* Opens "ADDR:PORT" (IPv4); port 0 takes a free one. Returns the socket, or -1 after a line on
 * standard error that says why. */
int service_open(const char *program, const char *listen_at);
int service_port(int fd);
/* Serves until the socket is shut down, and then until every connection has ended. */
void service_serve(int fd, service_fn *handler, void *state);
/* Serves until the process ends; SIGTERM and SIGINT end it with 0. */
__attribute__((noreturn)) void service_run(int fd, service_fn *handler, void *state);

/* The value of the first header of that name, or NULL. */
const char *service_find_header(const struct service_call *call, const char *name);
/* Adds a header to the answer; before service_reply or service_stream. */
void service_add_header(struct service_call *call, const char *name, const char *value);
void service_reply(struct service_call *call, int status, const char *type, const char *body,
                   size_t len);
/* Takes over the reference to `json`. */
void service_reply_json(struct service_call *call, int status, json_t *json);
/* {"error": "..."} */
__attribute__((format(printf, 3, 4))) void service_reply_error(struct service_call *call,
                                                               int status, const char *format, ...);
/* 405 with Allow. */
void service_reply_method(struct service_call *call, const char *allow);

/* An answer in pieces: begin, any number of writes, end. A write is false once the client left. */
void service_stream(struct service_call *call, int status, const char *type);
bool service_stream_write(struct service_call *call, const char *data, size_t len);
void service_stream_end(struct service_call *call);
