/* See stream_testing.h. Compiled into test programs, never into the library. */
#include "net/stream_testing.h"

#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/must_testing.h"

int test_listen(struct sockaddr_storage *ret_address, socklen_t *ret_len)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    MUST(fd >= 0);
    MUST(bind(fd, (const struct sockaddr *)&any, sizeof any) == 0);
    MUST(listen(fd, 64) == 0);
    *ret_len = sizeof *ret_address;
    MUST(getsockname(fd, (struct sockaddr *)ret_address, ret_len) == 0);
    return fd;
}

static void side_read(struct test_side *side)
{
    size_t room = TEST_SIDE_BYTES - side->n_in;
    size_t n = 0;
    int r;

    if (side->recv_cap > 0 && side->recv_cap < room)
        room = side->recv_cap;
    r = stream_recv(&side->stream, side->in + side->n_in, room, &n);
    if (r == 0)
        side->n_in += n;
    else if (r != STREAM_AGAIN) {
        side->end = r;
        stream_want(&side->stream, 0);
    }
}

static void side_on_event(struct stream *s, unsigned events)
{
    struct test_side *side = CONTAINER_OF(s, struct test_side, stream);

    if (events & STREAM_READY)
        side->is_up = true;
    if (events & LOOP_WRITE) {
        side->may_write = true;
        stream_want(s, s->wanted & ~(unsigned)LOOP_WRITE);
    }
    if (events & LOOP_READ) {
        side->n_reads++;
        if (side->is_reading)
            side_read(side);
    }
    if ((events & LOOP_HANGUP) && !(events & LOOP_READ)) {
        side->is_down = true;
        stream_close(s, false);
    }
}

struct test_pair *test_pair_new(struct tls_server *tls_server, struct tls_client *tls_client,
                                const char *server_name)
{
    struct test_pair *p = MEM_NEW(struct test_pair);
    struct sockaddr_storage address;
    socklen_t len;
    int listener = test_listen(&address, &len);
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    int fd;

    MUST(loop_init(&p->loop) == 0);
    p->client.is_reading = p->server.is_reading = true;
    const struct stream_target to = {.address = (const struct sockaddr *)&address,
                                     .address_len = len,
                                     .tls = tls_client,
                                     .server_name = str_of(server_name)};

    MUST(stream_open_connect(&p->client.stream, &p->loop, &to, side_on_event) == 0);
    MUST(poll(&ready, 1, -1) == 1);
    fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    MUST(fd >= 0);
    MUST(stream_open_accepted(&p->server.stream, &p->loop, fd, tls_server, side_on_event) == 0);
    p->server.is_up = p->server.stream.is_ready;
    close(listener);
    return p;
}

void test_pair_free(struct test_pair *p)
{
    stream_close(&p->client.stream, false);
    stream_close(&p->server.stream, false);
    loop_deinit(&p->loop);
    mem_free(p);
}

int test_side_try_send(struct test_side *side, const void *bytes, size_t n, size_t *ret_n)
{
    struct iovec piece = {(void *)(uintptr_t)bytes, n};

    *ret_n = 0;
    return stream_send(&side->stream, &piece, 1, ret_n);
}

void test_side_send(struct test_pair *p, struct test_side *side, const void *bytes, size_t n)
{
    const char *from = bytes;

    while (n > 0) {
        size_t sent = 0;
        int r = test_side_try_send(side, from, n, &sent);

        MUST(r == 0 || r == STREAM_AGAIN);
        from += sent;
        n -= sent;
        if (n == 0)
            break;
        side->may_write = false;
        stream_want(&side->stream, side->stream.wanted | LOOP_WRITE);
        TEST_TURN_UNTIL(&p->loop, side->may_write);
    }
}
