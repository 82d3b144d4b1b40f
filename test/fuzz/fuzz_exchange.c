/* Fuzz target of a whole exchange, with state: the input is a program for two clients at a time and
 * the backends behind the gateway, which drives a real worker (its loop, connections, pools, the
 * journey) over socket pairs and a clock of its own. Each step is a letter and a byte for whom;
 * with bit 7 of the letter the loop does not turn after it:
 *   o     a new connection of client `who`
 *   c, b  a script by client, backend, of HTTP/1: letter, eighths
 *   q     a request by client, of HTTP/2, which a connection that has said nothing begins:
 *         letter, eighths
 *   f, h  a frame of HTTP/2 by client, backend: letter, digit of its stream
 *   C, B  bytes of its own: their number, then they
 *   g, G  the rest of that script
 *   x, X  closes
 *   s, S  ends its sending
 *   r, R  stops reading, or goes on
 *   a     time passes
 *   l     the other configuration is loaded
 *   d, D  the gateway drains, stops
 *   n     names are resolved
 *   u     the verdict of probes on an endpoint turns
 * Then everybody reads and leaves, time passes, and must hold:
 *   - each exchange made exactly one record, and nothing of any is left: exchanges, connections,
 *     held bytes, in-flight counts, reservations of limits, references to configurations;
 *   - what clients and backends got is valid HTTP, and no answer is another request's;
 *   - an answer that looks complete is complete, and the record has its status;
 *   - of HTTP/2 each stream was answered or reset, and none outlives its client and exchange. */
#include "base/assert.h"
#include "net/socket.h"
#include "test/fuzz/exchange/peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum {
    N_CLIENTS = 2,        /* at a time */
    CONNECTIONS_MAX = 12, /* of clients */
    BACKENDS_MAX = 48,    /* connections */
    STEPS_MAX = 250,
    ROUNDS_TO_END = 400, /* of the last reading */
    ROUNDS_QUIET = 20,   /* after so many of them without a byte it is over */
    ROUNDS_TO_IDLE = 40, /* of leaving, each longer than any timeout but the clients' own */
    ROUND_US = 70 * 1000000,
    NO_TURN = 0x80,
};

struct program {
    struct str rest;
    struct fake_client clients[CONNECTIONS_MAX];
    unsigned n_clients;
    struct fake_client *current[N_CLIENTS];
    struct fake_backend backends[BACKENDS_MAX];
    unsigned n_backends;
    bool is_draining;
};

static uint8_t next_byte(struct program *p)
{
    uint8_t byte = p->rest.len > 0 ? (uint8_t)p->rest.ptr[0] : 0;

    p->rest = str_slice(p->rest, 1, p->rest.len);
    return byte;
}

static struct str next_bytes(struct program *p)
{
    size_t n = next_byte(p);
    struct str bytes = str_slice(p->rest, 0, n);

    p->rest = str_slice(p->rest, n, p->rest.len);
    return bytes;
}

static void accept_backends(struct program *p)
{
    int fd;

    while (p->n_backends < BACKENDS_MAX && (fd = world_next_upstream()) >= 0)
        fake_backend_open(&p->backends[p->n_backends++], fd);
}

static void turn(struct program *p)
{
    world_turn();
    accept_backends(p);
    for (unsigned i = 0; i < p->n_clients; i++)
        peer_move(&p->clients[i].peer);
    for (unsigned i = 0; i < p->n_backends; i++)
        fake_backend_move(&p->backends[i]);
}

static struct fake_client *open_client(struct program *p, unsigned who)
{
    struct fake_client **slot = &p->current[who % N_CLIENTS];

    if (p->n_clients < CONNECTIONS_MAX && !p->is_draining) {
        *slot = &p->clients[p->n_clients];
        fake_client_open(*slot, p->n_clients++);
    }
    return *slot;
}

/* NULL: there is none, and no more may be had. */
static struct fake_client *client_of(struct program *p, unsigned who)
{
    struct fake_client *c = p->current[who % N_CLIENTS];

    return c && c->peer.fd >= 0 ? c : open_client(p, who);
}

/* Counted from the newest: the letters of a program then mean the same whatever came before. */
static struct fake_backend *backend_of(struct program *p, unsigned who)
{
    unsigned n = 0;

    for (unsigned i = p->n_backends; i-- > 0;) {
        if (p->backends[i].peer.fd >= 0 && n++ == who % 8)
            return &p->backends[i];
    }
    return NULL;
}

static void pass_time(unsigned how_much)
{
    static const uint64_t us[] = {1000, 100000, 1000000, 2500000, 5000000, 16000000, 61000000};

    world_advance(us[how_much % N_ELEMENTS(us)]);
}

static void step_peer(struct peer *p, char letter)
{
    switch (letter) {
    case 'g':
        peer_go_on(p);
        break;
    case 'x':
        peer_close(p);
        break;
    case 's':
        peer_shutdown(p);
        break;
    case 'r':
        p->is_slow = !p->is_slow;
        break;
    default:
        break;
    }
}

static void step_client(struct program *p, char letter, unsigned who)
{
    struct fake_client *c = letter == 'o' ? open_client(p, who) : client_of(p, who);

    if (letter == 'c' || letter == 'q') {
        unsigned script = next_byte(p) - 'A';
        unsigned parts = next_byte(p) % 8;

        if (c && letter == 'c')
            fake_client_play(c, script, parts);
        else if (c)
            fake_client_ask(c, script, parts);
    } else if (letter == 'f') {
        unsigned which = next_byte(p) - 'A';
        unsigned char stream = (unsigned char)(next_byte(p) - '0');

        if (c)
            fake_client_frame(c, which, stream);
    } else if (letter == 'C') {
        struct str bytes = next_bytes(p);

        if (c)
            fake_client_say(c, bytes);
    } else if (c) {
        step_peer(&c->peer, letter);
    }
    if (c)
        peer_move(&c->peer);
}

static void step_backend(struct program *p, char letter, unsigned who)
{
    struct fake_backend *b = backend_of(p, who);

    if (letter == 'b') {
        unsigned script = next_byte(p) - 'A';
        unsigned parts = next_byte(p) % 8;

        if (b)
            fake_backend_play(b, script, parts);
    } else if (letter == 'B') {
        struct str bytes = next_bytes(p);

        if (b)
            fake_backend_say(b, bytes);
    } else if (letter == 'h') {
        unsigned which = next_byte(p) - 'A';
        unsigned char stream = (unsigned char)(next_byte(p) - '0');

        if (b)
            fake_backend_frame(b, which, stream);
    } else if (b) {
        step_peer(&b->peer, str_lower_char(letter));
    }
    if (b)
        fake_backend_move(b);
}

static void step(struct program *p)
{
    uint8_t op = next_byte(p);
    char letter = (char)(op & ~NO_TURN);
    unsigned who = next_byte(p);

    switch (letter) {
    case 'a':
        pass_time(who);
        break;
    case 'l':
        world_reload();
        break;
    case 'd':
        p->is_draining = true;
        world_drain();
        break;
    case 'D':
        p->is_draining = true;
        world_stop();
        break;
    case 'n':
        world_resolve_names();
        break;
    case 'u':
        world_turn_verdict(who % WORLD_WATCHED);
        break;
    case 'b':
    case 'B':
    case 'h':
    case 'G':
    case 'X':
    case 'S':
    case 'R':
        step_backend(p, letter, who);
        break;
    default:
        step_client(p, letter, who);
    }
    if (!(op & NO_TURN))
        turn(p);
}

static void wake_up(struct program *p)
{
    for (unsigned i = 0; i < p->n_clients; i++)
        fake_client_wake(&p->clients[i]);
    for (unsigned i = 0; i < p->n_backends; i++)
        p->backends[i].peer.is_slow = false;
}

static size_t n_received(const struct program *p)
{
    size_t n = 0;

    for (unsigned i = 0; i < p->n_clients; i++)
        n += p->clients[i].peer.in.len;
    return n;
}

/* Backends leave, those that are tried next too; clients read what still comes. */
static void end_backends(struct program *p)
{
    unsigned n_quiet = 0;

    wake_up(p);
    for (unsigned n = 0; n < ROUNDS_TO_END && n_quiet < ROUNDS_QUIET; n++) {
        size_t before = n_received(p);

        turn(p);
        for (unsigned i = 0; n > 1 && i < p->n_backends; i++) {
            if (p->backends[i].peer.out.len == 0)
                peer_close(&p->backends[i].peer);
        }
        if (n_received(p) > before)
            n_quiet = 0;
        else
            n_quiet += world_get()->exchanges.n_nodes > 0 ? 1 : ROUNDS_QUIET / 4;
    }
}

static void end_clients(struct program *p)
{
    for (unsigned i = 0; i < p->n_clients; i++) {
        turn(p);
        fake_client_leave(&p->clients[i]);
    }
    for (unsigned n = 0; n < ROUNDS_TO_IDLE && (n < 2 || !world_is_idle()); n++) {
        turn(p);
        for (unsigned i = 0; i < p->n_backends; i++)
            peer_close(&p->backends[i].peer);
        world_advance(n > 2 ? ROUND_US : 1);
    }
}

static void check(struct program *p)
{
    int fd;

    for (unsigned i = 0; i < p->n_clients; i++) {
        fake_client_check(&p->clients[i]);
        fake_client_deinit(&p->clients[i]);
    }
    for (unsigned i = 0; i < p->n_backends; i++)
        fake_backend_deinit(&p->backends[i]);
    while ((fd = world_next_upstream()) >= 0)
        socket_close(fd);
    world_check();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct program p;

    p = (struct program){.rest = str_make(bytes, size)};
    world_begin();
    for (unsigned n = 0; n < STEPS_MAX && p.rest.len > 0; n++)
        step(&p);
    end_backends(&p);
    end_clients(&p);
    check(&p);
    return 0;
}
