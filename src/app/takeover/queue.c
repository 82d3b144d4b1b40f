/* See queue.h. A message is made in the room that it keeps, and wiped when it goes: among the
 * records are keys. */
#include "app/takeover/queue.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/message.h"

struct queued {
    struct list_node node;
    int fd;
    bool is_open; /* of records, and more may follow */
    size_t len;
    size_t cap;
    char bytes[];
};

static struct queued *queued_new(size_t cap)
{
    struct queued *m = mem_alloc(sizeof *m + cap);

    *m = (struct queued){.fd = -1, .cap = cap};
    return m;
}

static void queued_free(struct queued *m)
{
    mem_wipe(m->bytes, m->len);
    mem_free(m);
}

static void queued_put(struct queued *m, const void *bytes, size_t n)
{
    PRE(m->cap - m->len >= n);
    if (n > 0)
        memcpy(m->bytes + m->len, bytes, n);
    m->len += n;
}

static void queued_put_head(struct queued *m, enum wire_kind kind)
{
    struct buf head = {0};

    wire_put_head(&head, kind);
    queued_put(m, head.ptr, head.len);
    buf_deinit(&head);
}

static void queued_put_text(struct queued *m, struct str text)
{
    unsigned char len[4];

    for (size_t i = 0; i < sizeof len; i++)
        len[i] = (unsigned char)(text.len >> (8 * i));
    queued_put(m, len, sizeof len);
    queued_put(m, text.ptr, text.len);
}

/* ---- records ---- */

/* Under the lock: the message that takes `n` more bytes of records. */
static struct queued *queue_room(struct takeover_queue *q, size_t n)
{
    struct queued *m =
        q->messages.last ? CONTAINER_OF(q->messages.last, struct queued, node) : NULL;

    if (m && m->is_open && m->cap - m->len >= n)
        return m;
    m = queued_new(LIMIT_TAKEOVER_MESSAGE_BYTES);
    m->is_open = true;
    queued_put_head(m, WIRE_RECORDS);
    list_append(&q->messages, &m->node);
    return m;
}

static void queue_tell(struct state_sink *sink, const char *name, uint32_t session,
                       struct str record)
{
    struct takeover_queue *q = CONTAINER_OF(sink, struct takeover_queue, sink);
    size_t n = 2 * sizeof(uint32_t) + strlen(name) + record.len;
    struct queued *m;

    pthread_mutex_lock(&q->lock);
    if (session != q->session) {
        /* of a takeover that came to nothing */
    } else if (n > LIMIT_TAKEOVER_MESSAGE_BYTES - WIRE_HEAD_BYTES) {
        q->n_left_out++;
    } else {
        m = queue_room(q, n);
        queued_put_text(m, str_of(name));
        queued_put_text(m, record);
    }
    pthread_mutex_unlock(&q->lock);
    wake_post(q->news);
}

/* ---- control's ---- */

static void queue_clear(struct takeover_queue *q)
{
    while (q->messages.first) {
        struct queued *m = CONTAINER_OF(q->messages.first, struct queued, node);

        list_remove(&m->node);
        queued_free(m);
    }
}

void takeover_queue_init(struct takeover_queue *q, struct wake *news)
{
    *q = (struct takeover_queue){.sink.tell = queue_tell, .news = news};
    pthread_mutex_init(&q->lock, NULL);
}

void takeover_queue_open(struct takeover_queue *q, uint32_t session)
{
    pthread_mutex_lock(&q->lock);
    queue_clear(q);
    q->session = session;
    q->n_left_out = 0;
    pthread_mutex_unlock(&q->lock);
}

void takeover_queue_push(struct takeover_queue *q, enum wire_kind kind, struct str content, int fd)
{
    struct queued *m = queued_new(WIRE_HEAD_BYTES + content.len);

    queued_put_head(m, kind);
    queued_put(m, content.ptr, content.len);
    m->fd = fd;
    pthread_mutex_lock(&q->lock);
    list_append(&q->messages, &m->node);
    pthread_mutex_unlock(&q->lock);
}

static struct queued *queue_pop(struct takeover_queue *q)
{
    struct queued *m = NULL;

    pthread_mutex_lock(&q->lock);
    if (q->messages.first) {
        m = CONTAINER_OF(q->messages.first, struct queued, node);
        list_remove(&m->node);
        m->is_open = false;
    }
    pthread_mutex_unlock(&q->lock);
    return m;
}

int takeover_queue_send(struct takeover_queue *q, int socket)
{
    for (struct queued *m = queue_pop(q); m; m = queue_pop(q)) {
        int r = takeover_send(socket, str_make(m->bytes, m->len), m->fd);

        if (r == QUEUE_FULL) {
            pthread_mutex_lock(&q->lock);
            list_prepend(&q->messages, &m->node);
            pthread_mutex_unlock(&q->lock);
            return r;
        }
        queued_free(m);
        if (r < 0)
            return r;
    }
    return 0;
}

void takeover_queue_deinit(struct takeover_queue *q)
{
    if (!q->news)
        return;
    queue_clear(q);
    pthread_mutex_destroy(&q->lock);
    *q = (struct takeover_queue){0};
}

int takeover_send(int socket, struct str message, int fd)
{
    ssize_t n = message_send(socket, message.ptr, message.len, fd, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
        return QUEUE_FULL;
    return n < 0 ? error_origin(-errno) : 0;
}

ssize_t takeover_receive(int socket, char *room, size_t cap, int *ret_fd)
{
    return message_receive(socket, room, cap, ret_fd, MSG_DONTWAIT | MSG_TRUNC);
}
