/* See ask.h. A claim goes by the identity of its counter, as moves do (state.c); a counter that the
 * taker's configuration does not have stands in nobody's way there. */
#include "app/takeover/ask.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "app/takeover/queue.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

enum { ASK_SETTLED = 1, ASK_SHADOW = 2, ASK_FLAGS = ASK_SETTLED | ASK_SHADOW };
enum { ANSWER_BYTES = WIRE_HEAD_BYTES + 8 + 16 * BUCKET_CLAIMS_MAX };

/* ---- the giver's side ---- */

void takeover_ask_put(struct buf *out, const struct limit_claim *claims, size_t n)
{
    wire_put_head(out, WIRE_ASK);
    wire_put_u32(out, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        const struct limit_claim *c = &claims[i];
        struct limit_move what = limit_claim_describe(c);

        wire_put_text(out, what.identity);
        wire_put_text(out, what.key);
        wire_put_u32(out, what.window_s);
        wire_put_u32(out, what.is_distinct);
        wire_put_u64(out, c->limit);
        wire_put_u64(out, c->take);
        wire_put_u64(out, c->reserve);
        wire_put_u32(out, (c->is_settled ? ASK_SETTLED : 0U) | (c->is_shadow ? ASK_SHADOW : 0U));
    }
}

bool takeover_ask_get(struct str content, struct limit_claim *claims, size_t n,
                      bool *ret_is_admitted)
{
    struct wire_reader r = {.rest = content};
    uint32_t is_admitted = wire_get_u32(&r);
    uint32_t n_told = wire_get_u32(&r);

    if (is_admitted > 1 || n_told != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        uint32_t room = wire_get_u32(&r);

        if (room > LIMIT_ROOM_CROWDED)
            return false;
        claims[i].room = (enum limit_room)room;
        claims[i].reset_s = wire_get_u32(&r);
        claims[i].remaining = MIN(wire_get_u64(&r), claims[i].limit);
    }
    *ret_is_admitted = is_admitted == 1;
    return wire_is_done(&r);
}

void takeover_ask_init(struct takeover_ask *a)
{
    *a = (struct takeover_ask){.fd = -1};
    pthread_mutex_init(&a->lock, NULL);
}

void takeover_ask_open(struct takeover_ask *a, int fd)
{
    takeover_ask_close(a);
    pthread_mutex_lock(&a->lock);
    a->fd = fd;
    pthread_mutex_unlock(&a->lock);
}

void takeover_ask_close(struct takeover_ask *a)
{
    pthread_mutex_lock(&a->lock);
    socket_close(a->fd);
    a->fd = -1;
    pthread_mutex_unlock(&a->lock);
}

/* Under the lock: the answer's bytes. Negative: there is none. */
static ssize_t ask_exchange(const struct takeover_ask *a, struct str question, char *room,
                            size_t cap)
{
    struct pollfd peer = {.fd = a->fd, .events = POLLIN};
    int n_ready;

    if (takeover_send(a->fd, question, -1) != 0)
        return -1;
    do
        n_ready = poll(&peer, 1, LIMIT_TAKEOVER_ASK_MS);
    while (n_ready < 0 && errno == EINTR);
    /* What the other allows is counted there. Either its answer has come by now, or it finds that
     * it cannot answer any more, and takes back what it has allowed. */
    if (n_ready == 0)
        shutdown(a->fd, SHUT_RDWR);
    return recv(a->fd, room, cap, MSG_DONTWAIT | MSG_TRUNC);
}

bool takeover_ask_begin(struct takeover_ask *a, struct str question, char *room, size_t cap,
                        struct str *ret_answer)
{
    struct wire_message m;
    ssize_t len = -1;

    pthread_mutex_lock(&a->lock);
    a->is_asking = a->fd >= 0 && question.len <= LIMIT_TAKEOVER_MESSAGE_BYTES;
    if (a->is_asking)
        len = ask_exchange(a, question, room, cap);
    if (len <= 0 || len > (ssize_t)cap || wire_parse(str_make(room, (size_t)len), &m) != 0 ||
        m.kind != WIRE_ANSWER)
        return false;
    *ret_answer = m.content;
    return true;
}

bool takeover_ask_end(struct takeover_ask *a, bool is_answered)
{
    if (a->is_asking && !is_answered) {
        socket_close(a->fd);
        a->fd = -1;
        log_warn("the process that took over does not say what it allows: limits and circuit "
                 "breakers are judged by what is known here");
    }
    pthread_mutex_unlock(&a->lock);
    return is_answered;
}

bool takeover_ask_reserve(void *ctx, struct limit_claim *claims, size_t n, bool *ret_is_admitted)
{
    char room[ANSWER_BYTES];
    struct buf question = {0};
    struct str answer;
    bool is_answered;

    takeover_ask_put(&question, claims, n);
    is_answered = takeover_ask_begin(ctx, buf_str(&question), room, sizeof room, &answer);
    is_answered =
        takeover_ask_end(ctx, is_answered && takeover_ask_get(answer, claims, n, ret_is_admitted));
    buf_deinit(&question);
    return is_answered;
}

/* ---- the taker's side ---- */

/* The claims of a question: `n` of them, of which the counted ones stand in front. */
struct ask_claims {
    size_t n;
    size_t n_counted;
    struct limit_claim counted[BUCKET_CLAIMS_MAX];
    size_t place[BUCKET_CLAIMS_MAX]; /* of each claim among the counted; SIZE_MAX: nowhere */
};

static void ask_release(struct server *g, struct ask_claims *a)
{
    for (size_t i = 0; i < a->n_counted; i++)
        g->limits.store.ops->release(&g->limits.store, a->counted[i].counter);
}

static bool ask_has(const struct ask_claims *a, const struct limit_counter *counter)
{
    for (size_t i = 0; i < a->n_counted; i++) {
        if (a->counted[i].counter == counter)
            return true;
    }
    return false;
}

/* False: malformed, or a counter for the second time. */
static bool ask_read_claim(struct server *g, struct wire_reader *r, struct ask_claims *a)
{
    struct limit_move what = {.identity = wire_get_text(r)};
    struct limit_claim c = {0};
    uint32_t is_distinct, flags;

    what.key = wire_get_text(r);
    what.window_s = wire_get_u32(r);
    is_distinct = wire_get_u32(r);
    c.limit = wire_get_u64(r);
    c.take = wire_get_u64(r);
    c.reserve = wire_get_u64(r);
    flags = wire_get_u32(r);
    if (r->is_bad || is_distinct > 1 || flags > ASK_FLAGS)
        return false;
    what.is_distinct = is_distinct == 1;
    c.key = what.key;
    c.is_settled = flags & ASK_SETTLED;
    c.is_shadow = flags & ASK_SHADOW;
    c.counter = limit_memory_find(&g->limits, &what);
    a->place[a->n++] = c.counter ? a->n_counted : SIZE_MAX;
    if (!c.counter)
        return true;
    if (ask_has(a, c.counter)) {
        g->limits.store.ops->release(&g->limits.store, c.counter);
        return false;
    }
    a->counted[a->n_counted++] = c;
    return true;
}

static bool ask_read(struct server *g, struct str content, struct ask_claims *a)
{
    struct wire_reader r = {.rest = content};
    uint32_t n = wire_get_u32(&r);

    if (n > BUCKET_CLAIMS_MAX)
        return false;
    while (a->n < n) {
        if (!ask_read_claim(g, &r, a))
            return false;
    }
    return wire_is_done(&r);
}

static void ask_put_answer(struct buf *out, const struct ask_claims *a, bool is_admitted)
{
    static const struct limit_claim uncounted = {.room = LIMIT_ROOM_YES, .reset_s = 1};

    wire_put_head(out, WIRE_ANSWER);
    wire_put_u32(out, is_admitted);
    wire_put_u32(out, (uint32_t)a->n);
    for (size_t i = 0; i < a->n; i++) {
        const struct limit_claim *c =
            a->place[i] == SIZE_MAX ? &uncounted : &a->counted[a->place[i]];

        wire_put_u32(out, c->room);
        wire_put_u32(out, c->reset_s);
        wire_put_u64(out, c == &uncounted ? UINT64_MAX : c->remaining);
    }
}

bool takeover_ask_judge(struct server *g, struct str content, struct buf *ret_answer)
{
    struct ask_claims *a = MEM_NEW(struct ask_claims);
    bool is_read = ask_read(g, content, a);

    if (is_read)
        ask_put_answer(ret_answer, a,
                       limit_memory_reserve_for(&g->limits, a->counted, a->n_counted,
                                                clock_read().wall_unix_us));
    ask_release(g, a);
    mem_free(a);
    return is_read;
}

/* What was used at once stays so: one request more than there was. */
void takeover_ask_take_back(struct server *g, struct str content, struct str answer)
{
    struct ask_claims *a = MEM_NEW(struct ask_claims);
    struct wire_reader r = {.rest = answer};
    bool is_admitted = wire_get_u32(&r) == 1;
    bool is_read = ask_read(g, content, a);

    for (size_t i = 0; is_read && is_admitted && i < a->n_counted; i++) {
        struct limit_move move = limit_claim_describe(&a->counted[i]);

        move.count.released = a->counted[i].reserve;
        (void)limit_memory_apply(&g->limits, &move, clock_read().wall_unix_us);
    }
    ask_release(g, a);
    mem_free(a);
}
