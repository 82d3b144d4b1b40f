/* The gRPC server of the benchmark, over HTTP/2 without TLS: every call is unary and gets the same
 * message, then grpc-status 0. As cheap as nghttp2 lets it be: one thread, epoll, and all that is
 * to be sent of a turn in one send. A call without te: trailers, or with a message of another
 * length than is asked for here, gets grpc-status 3 and no message, so that whoever counts bytes
 * sees it.
 *
 * Usage: grpc_backend PORT REQUEST_MESSAGE_BYTES ANSWER_MESSAGE_BYTES */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    READ_BYTES = 131072,
    OUT_MAX = 262144, /* more is left with nghttp2 until the socket takes this */
    PREFIX_BYTES = 5, /* of a message: compressed or not, and its length */
    MESSAGE_MAX = 4096,
    MAX_STREAMS = 1024,
    HAS_TE = 1, /* the lowest bit of what a stream remembers; the others count its bytes */
};

struct connection {
    int fd;
    int waits; /* for the socket to take more */
    nghttp2_session *session;
    uint8_t *out;
    size_t out_len, sent;
};

static nghttp2_session_callbacks *callbacks;
static uint8_t message[PREFIX_BYTES + MESSAGE_MAX];
static size_t message_len, wanted_len;
static int epoll_fd;

#define FIELD(name, value)                                                                         \
    {                                                                                              \
        (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1,                \
            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE                           \
    }

static const nghttp2_nv head[] = {FIELD(":status", "200"),
                                  FIELD("content-type", "application/grpc")};
static const nghttp2_nv trailer_ok[] = {FIELD("grpc-status", "0")};
static const nghttp2_nv refusal[] = {
    FIELD(":status", "200"), FIELD("content-type", "application/grpc"), FIELD("grpc-status", "3")};

static void check(int code)
{
    if (code == 0)
        return;
    fprintf(stderr, "grpc_backend: %s\n", nghttp2_strerror(code));
    exit(1);
}

/* ---- calls ---- */

static uintptr_t stream_state(nghttp2_session *session, int32_t id)
{
    return (uintptr_t)nghttp2_session_get_stream_user_data(session, id);
}

static void set_stream_state(nghttp2_session *session, int32_t id, uintptr_t state)
{
    nghttp2_session_set_stream_user_data(session, id, (void *)state);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    (void)flags;
    (void)user;
    if (name_len == 2 && memcmp(name, "te", 2) == 0 && value_len == 8 &&
        memcmp(value, "trailers", 8) == 0)
        set_stream_state(session, frame->hd.stream_id,
                         stream_state(session, frame->hd.stream_id) | HAS_TE);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                   size_t len, void *user)
{
    (void)flags;
    (void)bytes;
    (void)user;
    set_stream_state(session, id, stream_state(session, id) + (len << 1));
    return 0;
}

static ssize_t on_read_message(nghttp2_session *session, int32_t id, uint8_t *out, size_t room,
                               uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)source;
    (void)user;
    if (room < message_len)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    memcpy(out, message, message_len);
    *flags = NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    check(nghttp2_submit_trailer(session, id, trailer_ok, 1));
    return (ssize_t)message_len;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    static const nghttp2_data_provider answer = {.read_callback = on_read_message};
    int32_t id = frame->hd.stream_id;

    (void)user;
    if ((frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) ||
        !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    if (stream_state(session, id) == ((wanted_len << 1) | HAS_TE))
        check(nghttp2_submit_response(session, id, head, 2, &answer));
    else
        check(nghttp2_submit_response(session, id, refusal, 3, NULL));
    return 0;
}

/* ---- connections ---- */

static void watch(struct connection *c, uint32_t events, int op)
{
    struct epoll_event event = {.events = events, .data.ptr = c};

    epoll_ctl(epoll_fd, op, c->fd, &event);
}

static void close_connection(struct connection *c)
{
    close(c->fd);
    nghttp2_session_del(c->session);
    free(c->out);
    free(c);
}

/* False: the connection is broken. */
static int send_out(struct connection *c)
{
    ssize_t n = send(c->fd, c->out + c->sent, c->out_len - c->sent, MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN)
        return 0;
    c->sent += n > 0 ? (size_t)n : 0;
    if (c->sent == c->out_len)
        c->sent = c->out_len = 0;
    return 1;
}

/* All that nghttp2 has to say, until the socket is full. False: the connection is at its end. */
static int flush(struct connection *c)
{
    ssize_t n;
    int waits;

    do {
        const uint8_t *bytes;

        while (c->out_len < OUT_MAX / 2 && (n = nghttp2_session_mem_send(c->session, &bytes)) > 0) {
            memcpy(c->out + c->out_len, bytes, (size_t)n);
            c->out_len += (size_t)n;
        }
        n = (ssize_t)c->out_len;
        if (n > 0 && !send_out(c))
            return 0;
    } while (n > 0 && c->out_len == 0);
    waits = c->out_len > 0;
    if (waits != c->waits)
        watch(c, EPOLLIN | (waits ? (uint32_t)EPOLLOUT : 0U), EPOLL_CTL_MOD);
    c->waits = waits;
    return waits || nghttp2_session_want_read(c->session);
}

static void on_event(struct connection *c, uint32_t events)
{
    static uint8_t in[READ_BYTES];

    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        ssize_t n = recv(c->fd, in, sizeof in, MSG_DONTWAIT);

        if (n == 0 || (n < 0 && errno != EAGAIN) ||
            (n > 0 && nghttp2_session_mem_recv(c->session, in, (size_t)n) < 0)) {
            close_connection(c);
            return;
        }
    }
    if (!flush(c))
        close_connection(c);
}

static void on_accept(int listen_fd)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, MAX_STREAMS}};
    int on = 1;
    int fd;

    while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *c = calloc(1, sizeof *c);

        if (!c || !(c->out = malloc(OUT_MAX)))
            exit(1);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c->fd = fd;
        check(nghttp2_session_server_new(&c->session, callbacks, c));
        check(nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 1));
        watch(c, EPOLLIN, EPOLL_CTL_ADD);
        if (!flush(c))
            close_connection(c);
    }
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0) {
        perror("grpc_backend");
        exit(1);
    }
    return fd;
}

static void make_message(size_t len)
{
    memset(message, 'z', sizeof message);
    message[0] = 0; /* not compressed */
    message[1] = message[2] = 0;
    message[3] = (uint8_t)(len >> 8);
    message[4] = (uint8_t)len;
    message_len = PREFIX_BYTES + len;
}

int main(int argc, char **argv)
{
    struct epoll_event events[256];
    struct epoll_event accepts = {.events = EPOLLIN};

    if (argc != 4 || strtoul(argv[3], NULL, 10) > MESSAGE_MAX)
        return 2;
    int listen_fd = listen_on((uint16_t)strtoul(argv[1], NULL, 10));

    wanted_len = PREFIX_BYTES + strtoul(argv[2], NULL, 10);
    make_message(strtoul(argv[3], NULL, 10));
    check(nghttp2_session_callbacks_new(&callbacks));
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &accepts); /* no connection: the listener */
    for (;;) {
        int n = epoll_wait(epoll_fd, events, 256, -1);

        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                on_event(events[i].data.ptr, events[i].events);
            else
                on_accept(listen_fd);
        }
    }
}
