/* Fuzz target of the parent's sockets: messages of a child that may be anybody's by now. Sockets
 * are fakes here, so that nothing is bound; the channel is a real one. Each step begins with a
 * letter: m  a message: kind, family, length of the address, port (two bytes), last byte of the
 * address, which cookie; 255: one that nobody has r  raw: a length, and that many bytes, as a
 * message     x  the child dies, the next one comes a  a descriptor comes
 * along: kind of the message, whether it is no port d  a socket is shut down: which l  descriptors
 * that the parent may have f  how the next binding ends                             b  as many
 * hellos: how many Beyond not crashing: each question has one answer, and a descriptor goes out
 * only with a TCP socket that was asked for, at a port; what is held is what is open, each once,
 * and no more than may be; a child lets go of what it was lent and of nothing else; after a child
 * that serves nothing idles. */
#include <netinet/in.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/socket_holder.h"
#include "base/assert.h"
#include "net/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int __wrap_socket_probe(const struct socket_address *a);
int __wrap_socket_listen(const struct socket_address *a, int *ret_fd);
bool __wrap_socket_is_listening(int fd);
void __wrap_socket_close(int fd);
bool __wrap_socket_is_port(int fd, struct socket_address *ret_address);
int __real_broker_receive(int from, struct broker_request *ret, int *ret_fd);
int __wrap_broker_receive(int from, struct broker_request *ret, int *ret_fd);
uint64_t __wrap_broker_cookie(int fd);
void __wrap_broker_answer(int channel, int condition, int fd);
int __wrap_getrlimit64(int resource, struct rlimit *ret);

enum { FAKES_MAX = 4096, FIRST_FD = 1000, KEPT_FDS = 16 };

static struct {
    bool is_open[FAKES_MAX]; /* by descriptor, from FIRST_FD on */
    bool is_shut[FAKES_MAX];
    size_t n_made;
    size_t n_open;
    rlim_t files;
    bool is_no_port; /* what comes along */
    int next_result;
    size_t n_answers;
    int condition;
    int fd; /* of the last answer */
} fake;

static struct socket_holder holder;
static int channel[2]; /* the parent's end, the child's */

/* ---- in front of the system ---- */

int __wrap_socket_probe(const struct socket_address *a)
{
    ASSERT(socket_address_port(a) != 0);
    return fake.next_result;
}

int __wrap_socket_listen(const struct socket_address *a, int *ret_fd)
{
    ASSERT(socket_address_port(a) != 0);
    if (fake.next_result != 0)
        return fake.next_result;
    ASSERT(fake.n_made < FAKES_MAX);
    fake.is_open[fake.n_made] = true;
    fake.n_open++;
    *ret_fd = FIRST_FD + (int)fake.n_made++;
    return 0;
}

static size_t index_of(int fd)
{
    size_t i = (size_t)(fd - FIRST_FD);

    ASSERT(fd >= FIRST_FD && i < fake.n_made && fake.is_open[i]);
    return i;
}

bool __wrap_socket_is_listening(int fd)
{
    return !fake.is_shut[index_of(fd)];
}

void __wrap_socket_close(int fd)
{
    if (fd < FIRST_FD) { /* what came along and has no place there */
        if (fd >= 0)
            close(fd);
        return;
    }
    fake.is_open[index_of(fd)] = false;
    fake.n_open--;
}

/* What comes along is one of the fakes from here on. */
int __wrap_broker_receive(int from, struct broker_request *ret, int *ret_fd)
{
    int r = __real_broker_receive(from, ret, ret_fd);

    if (*ret_fd < 0)
        return r;
    ASSERT(r == 0 && ret->kind == BROKER_ADOPT && fake.n_made < FAKES_MAX);
    close(*ret_fd);
    fake.is_open[fake.n_made] = true;
    fake.n_open++;
    *ret_fd = FIRST_FD + (int)fake.n_made++;
    return 0;
}

bool __wrap_socket_is_port(int fd, struct socket_address *ret_address)
{
    bool is_port = fd >= 0 && !fake.is_no_port;

    if (is_port && socket_address_parse(STR("127.0.0.1:80"), ret_address) != 0)
        UNREACHABLE();
    return is_port;
}

uint64_t __wrap_broker_cookie(int fd)
{
    return fd < 0 ? 0 : index_of(fd) + 1;
}

void __wrap_broker_answer(int to, int condition, int fd)
{
    ASSERT(to == channel[0] && (fd < 0 || condition == 0));
    fake.n_answers++;
    fake.condition = condition;
    fake.fd = fd;
}

int __wrap_getrlimit64(int resource, struct rlimit *ret)
{
    ASSERT(resource == RLIMIT_NOFILE);
    ret->rlim_cur = ret->rlim_max = fake.files;
    return 0;
}

/* ---- what must hold ---- */

static struct held_socket *find(int fd)
{
    for (size_t i = 0; i < holder.n; i++) {
        if (holder.sockets[i].fd == fd)
            return &holder.sockets[i];
    }
    return NULL;
}

static size_t count_lent(void)
{
    size_t n = 0;

    for (size_t i = 0; i < holder.n; i++)
        n += holder.sockets[i].is_lent;
    return n;
}

static void check(void)
{
    static uint32_t seen[FAKES_MAX], turn; /* each is held once */

    turn++;
    ASSERT(holder.n <= LIMIT_HELD_SOCKETS && holder.n == fake.n_open);
    for (size_t i = 0; i < holder.n; i++) {
        const struct held_socket *s = &holder.sockets[i];

        ASSERT(s->cookie == index_of(s->fd) + 1 && seen[s->cookie - 1] != turn);
        seen[s->cookie - 1] = turn;
    }
}

static void check_lent(const struct broker_request *q, size_t n_before, size_t n_lent_before)
{
    const struct held_socket *s = find(fake.fd);
    size_t len =
        q->address.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

    ASSERT(q->address.ss_family == AF_INET || q->address.ss_family == AF_INET6);
    ASSERT(q->address_len == len && s && s->is_lent && !fake.is_shut[index_of(s->fd)]);
    ASSERT(s->address.address.ss_family == q->address.ss_family);
    ASSERT(socket_address_port(&s->address) ==
           socket_address_port(&(struct socket_address){q->address, q->address_len}));
    ASSERT(count_lent() == n_lent_before + 1);
    /* A new one: there was room, and the parent keeps descriptors for itself and its next child. */
    ASSERT(holder.n <= n_before || holder.n + KEPT_FDS <= fake.files);
}

/* Whether the socket with the cookie was lent, and it is gone now; the others stay. */
static void check_released(uint64_t cookie, bool was_lent, size_t n_before)
{
    ASSERT(holder.n == n_before - (was_lent ? 1 : 0));
    ASSERT(!was_lent || !fake.is_open[cookie - 1]);
}

/* Where one came along, is a port, and the child only starts, it is held, if there is room. */
static void check_adopted(size_t n_made, bool was_ready, size_t n_lent_before)
{
    const struct held_socket *s = fake.n_made > n_made ? find(FIRST_FD + (int)n_made) : NULL;

    ASSERT(count_lent() == n_lent_before + (s != NULL));
    ASSERT(!s ||
           (s->is_lent && !was_ready && !fake.is_no_port && holder.n + KEPT_FDS <= fake.files));
}

static bool is_lent(uint64_t cookie)
{
    const struct held_socket *s =
        cookie > 0 && cookie <= fake.n_made ? find(FIRST_FD + (int)cookie - 1) : NULL;

    return s && s->is_lent;
}

/* One message of the right size, and what comes of it. */
static void serve(const struct broker_request *q, bool brings_fd)
{
    size_t n_before = holder.n, n_lent = count_lent(), n_answers = fake.n_answers;
    bool was_lent = is_lent(q->cookie);
    bool was_ready = holder.is_ready;
    size_t n_made = fake.n_made;
    ssize_t n = message_send(channel[1], q, sizeof *q, brings_fd ? channel[1] : -1, MSG_DONTWAIT);
    int r;

    ASSERT(n == (ssize_t)sizeof *q);
    r = socket_holder_serve(&holder, channel[0]);
    ASSERT(r == BROKER_EMPTY && holder.is_ready == (was_ready || q->kind == BROKER_READY));
    ASSERT(fake.n_answers - n_answers ==
           (q->kind == BROKER_HELLO || q->kind == BROKER_LISTEN ? 1 : 0));
    if (q->kind == BROKER_LISTEN && fake.condition == 0)
        check_lent(q, n_before, n_lent);
    else if (q->kind == BROKER_RELEASE)
        check_released(q->cookie, was_lent, n_before);
    else if (q->kind == BROKER_ADOPT)
        check_adopted(n_made, was_ready, n_lent);
    else if (q->kind == BROKER_LEAVE)
        ASSERT(holder.n == 0 && holder.has_left);
    else
        ASSERT(count_lent() == n_lent);
    if (q->kind == BROKER_READY)
        ASSERT(holder.n == n_lent);
    if (q->kind == BROKER_LISTEN)
        fake.next_result = 0;
}

/* ---- steps ---- */

static uint8_t take(struct str *rest)
{
    uint8_t byte = rest->len > 0 ? (uint8_t)rest->ptr[0] : 0;

    *rest = str_slice(*rest, 1, rest->len);
    return byte;
}

static void step_message(struct str *rest)
{
    static const sa_family_t families[] = {AF_INET, AF_INET6, AF_UNIX, AF_UNSPEC};
    struct broker_request q = {.kind = take(rest)};
    struct sockaddr_in *v4 = (void *)&q.address;
    struct sockaddr_in6 *v6 = (void *)&q.address;
    uint16_t port;
    uint8_t last, which;

    q.address.ss_family = families[take(rest) % N_ELEMENTS(families)];
    q.address_len = take(rest);
    port = (uint16_t)(take(rest) << 8);
    port = (uint16_t)(port | take(rest));
    last = take(rest);
    which = take(rest);
    if (q.address.ss_family == AF_INET6)
        v6->sin6_addr.s6_addr[15] = last;
    else
        v4->sin_addr.s_addr = htonl(0x7f000000U + last);
    v4->sin_port = htons(port); /* where sin6_port stands too */
    q.cookie = which == 255 || holder.n == 0 ? UINT64_MAX - which
                                             : holder.sockets[which % holder.n].cookie;
    serve(&q, false);
}

/* A message with a descriptor, of any kind. */
static void step_bring(struct str *rest)
{
    struct broker_request q = {.kind = take(rest)};

    fake.is_no_port = take(rest) % 2;
    serve(&q, true);
}

static void step_raw(struct str *rest)
{
    size_t len = take(rest);
    struct str bytes = str_slice(*rest, 0, MIN(rest->len, len));
    int r;

    *rest = str_slice(*rest, bytes.len, rest->len);
    if (bytes.len == 0 || bytes.len == sizeof(struct broker_request) ||
        send(channel[1], bytes.ptr, bytes.len, MSG_DONTWAIT) < 0)
        return;
    size_t n = holder.n, n_answers = fake.n_answers;

    r = socket_holder_serve(&holder, channel[0]);
    ASSERT(r == BROKER_BAD && holder.n == n && fake.n_answers == n_answers);
}

/* However many have come, a part of them at a time. */
static void step_batch(size_t n)
{
    const struct broker_request q = {.kind = BROKER_HELLO};
    size_t n_answers = fake.n_answers;
    size_t n_sent = 0;
    int r;

    while (n_sent < n && send(channel[1], &q, sizeof q, MSG_DONTWAIT) == (ssize_t)sizeof q)
        n_sent++;
    do {
        size_t before = fake.n_answers;

        r = socket_holder_serve(&holder, channel[0]);
        ASSERT(fake.n_answers - before <= SOCKET_HOLDER_BATCH);
    } while (r == 0);
    ASSERT(r == BROKER_EMPTY && fake.n_answers - n_answers == n_sent);
}

static void step(struct str *rest)
{
    uint8_t letter = take(rest);

    switch (letter) {
    case 'm':
        step_message(rest);
        break;
    case 'a':
        step_bring(rest);
        break;
    case 'r':
        step_raw(rest);
        break;
    case 'b':
        step_batch(take(rest));
        break;
    case 'l':
        fake.files = take(rest);
        break;
    case 'f':
        fake.next_result = take(rest) % (SOCKET_FAILED + 1);
        break;
    case 'd':
        if (holder.n > 0)
            fake.is_shut[index_of(holder.sockets[take(rest) % holder.n].fd)] = true;
        break;
    case 'x':
        socket_holder_take_back(&holder);
        ASSERT(count_lent() == 0);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str rest = str_make(bytes, size);
    int r = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel);

    ASSERT(r == 0);
    memset(&fake, 0, sizeof fake);
    fake.files = 1024;
    holder = (struct socket_holder){0};
    while (rest.len > 0 && fake.n_made < FAKES_MAX - 1) {
        step(&rest);
        check();
    }
    socket_holder_close_all(&holder);
    ASSERT(fake.n_open == 0);
    close(channel[0]);
    close(channel[1]);
    return 0;
}
