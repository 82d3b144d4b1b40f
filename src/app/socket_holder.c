/* What the child may ask for is judged here, by nobody else: its message comes from the process
 * that speaks with strangers. It may have TCP sockets that listen, of IPv4 or IPv6, at any port but
 * 0, and LIMIT_HELD_SOCKETS of them, or fewer where descriptors are scarce. It can neither name a
 * socket that it was not given, nor keep the parent waiting or without descriptors. */
#include "app/socket_holder.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>

/* Descriptors that are not for sockets: the parent's own, what it inherited, a probe, and the two
 * that a start of the next child takes. */
enum { HOLDER_SPARE_FDS = 32 };

static bool holder_is_valid(const struct broker_request *q)
{
    size_t len = q->address.ss_family == AF_INET    ? sizeof(struct sockaddr_in)
                 : q->address.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                    : 0;

    return len > 0 && q->address_len == len;
}

static void holder_close(struct socket_holder *h, size_t i)
{
    socket_close(h->sockets[i].fd);
    h->sockets[i] = h->sockets[--h->n];
}

/* What the child before had and this one has not asked for, until `n_kept` are left. */
static void holder_close_idle(struct socket_holder *h, size_t n_kept)
{
    for (size_t i = h->n; h->n > n_kept && i-- > 0;) {
        if (!h->sockets[i].is_lent)
            holder_close(h, i);
    }
}

/* The child before may have shut it down, whether it was taken over or died while it let go: then
 * it is bound anew. */
static struct held_socket *holder_find_idle(struct socket_holder *h, const struct socket_address *a)
{
    for (size_t i = h->n; i-- > 0;) {
        struct held_socket *s = &h->sockets[i];

        if (s->is_lent || !socket_address_is_same(&s->address, a))
            continue;
        if (socket_is_listening(s->fd))
            return s;
        holder_close(h, i);
    }
    return NULL;
}

static bool holder_has_port(const struct socket_holder *h, uint16_t port)
{
    for (size_t i = 0; i < h->n; i++) {
        if (socket_address_port(&h->sockets[i].address) == port)
            return true;
    }
    return false;
}

static size_t holder_max(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur <= HOLDER_SPARE_FDS)
        return 0;
    return (size_t)MIN(files.rlim_cur - HOLDER_SPARE_FDS, (rlim_t)LIMIT_HELD_SOCKETS);
}

/* What the child before hoarded gives way, or this one could not even ask for its own ports. */
static bool holder_make_room(struct socket_holder *h)
{
    size_t max = holder_max();

    holder_close_idle(h, max > 0 ? max - 1 : 0);
    return h->n < max;
}

/* A new socket. The probe notices who else listens at the port; ours would be in its way. */
static int holder_bind(struct socket_holder *h, const struct socket_address *a,
                       struct held_socket **ret)
{
    struct held_socket s = {.fd = -1, .address = *a};
    int r = 0;

    if (!holder_make_room(h))
        return SOCKET_FAILED;
    if (!holder_has_port(h, socket_address_port(a)))
        r = socket_probe(a);
    if (r == 0)
        r = socket_listen(a, &s.fd);
    if (r != 0)
        return r;
    s.cookie = broker_cookie(s.fd);
    if (s.cookie == 0) {
        socket_close(s.fd);
        return SOCKET_FAILED;
    }
    h->sockets[h->n] = s;
    *ret = &h->sockets[h->n++];
    return 0;
}

static void holder_listen(struct socket_holder *h, int channel, const struct broker_request *q)
{
    struct socket_address a = {.address = q->address, .len = q->address_len};
    struct held_socket *s = NULL;
    int r = 0;

    if (!holder_is_valid(q) || socket_address_port(&a) == 0) {
        broker_answer(channel, SOCKET_BAD_ADDRESS, -1);
        return;
    }
    s = holder_find_idle(h, &a);
    if (!s)
        r = holder_bind(h, &a, &s);
    if (r == 0)
        s->is_lent = true;
    broker_answer(channel, r, r == 0 ? s->fd : -1);
}

/* One that the child has from who served before it. The kernel says what it is. */
static void holder_adopt(struct socket_holder *h, int fd)
{
    struct held_socket s = {.fd = fd, .is_lent = true, .cookie = broker_cookie(fd)};

    if (!h->is_ready && socket_is_port(fd, &s.address) && holder_make_room(h))
        h->sockets[h->n++] = s;
    else
        socket_close(fd);
}

static void holder_release(struct socket_holder *h, uint64_t cookie)
{
    for (size_t i = 0; i < h->n; i++) {
        if (h->sockets[i].is_lent && h->sockets[i].cookie == cookie) {
            holder_close(h, i);
            return;
        }
    }
}

static void holder_serve(struct socket_holder *h, int channel, const struct broker_request *q,
                         int fd)
{
    switch (q->kind) {
    case BROKER_HELLO:
        broker_answer(channel, h->may_bind_privileged ? 0 : SOCKET_DENIED, -1);
        break;
    case BROKER_LISTEN:
        holder_listen(h, channel, q);
        break;
    case BROKER_RELEASE:
        holder_release(h, q->cookie);
        break;
    case BROKER_READY:
        holder_close_idle(h, 0);
        h->is_ready = true;
        break;
    case BROKER_ADOPT:
        holder_adopt(h, fd);
        break;
    case BROKER_LEAVE:
        socket_holder_close_all(h);
        h->has_left = true;
        break;
    default: /* no question of ours: no answer */
        break;
    }
}

int socket_holder_serve(struct socket_holder *h, int channel)
{
    struct broker_request q;
    int fd, r = 0;

    for (int i = 0; r == 0 && i < SOCKET_HOLDER_BATCH; i++) {
        r = broker_receive(channel, &q, &fd);
        if (r == 0)
            holder_serve(h, channel, &q, fd);
    }
    return r;
}

void socket_holder_take_back(struct socket_holder *h)
{
    h->is_ready = false;
    for (size_t i = h->n; i-- > 0;) {
        h->sockets[i].is_lent = false;
        if (!socket_is_listening(h->sockets[i].fd))
            holder_close(h, i);
    }
}

void socket_holder_close_all(struct socket_holder *h)
{
    while (h->n > 0)
        holder_close(h, h->n - 1);
}
