/* TLS on a stream: OpenSSL reads and writes the socket directly (with write(2): the program ignores
 * SIGPIPE, signals_block). Two things differ from plain TCP:
 * the handshake comes first, driven here by readiness; and decrypted bytes may wait inside OpenSSL
 * while the socket is empty, so a deferred call stands in for the readiness that will not come. */
#include <errno.h>
#include <openssl/err.h>
#include <pthread.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/tls_internal.h"

enum {
    TLS_RECORD_BYTES = 16384,
    TLS_RECORDS_AT_ONCE = 64, /* of one read, which may be of a byte each */
};

static pthread_once_t session_once = PTHREAD_ONCE_INIT;
static int session_index;

static void tls_session_index_init(void)
{
    session_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    ASSERT(session_index >= 0);
}

int tls_session_index(void)
{
    pthread_once(&session_once, tls_session_index_init);
    return session_index;
}

/* OpenSSL answers updates of keys (RFC 8446 4.6.3) and renegotiations by itself, and reads on
 * behind each: a peer that sends nothing else would keep the worker within one call of SSL_read for
 * as long as it likes. Content forgives one for each read. Too many, and the connection reads as
 * broken: the record that is under way is thrown away. */
static void tls_on_record(int is_sent, int version UNUSED, int kind, const void *bytes,
                          size_t len UNUSED, SSL *ssl, void *arg UNUSED)
{
    struct tls_session *t;

    /* The type stands in front, in TLS 1.3 under the encryption. */
    if (is_sent || (kind != SSL3_RT_HEADER && kind != SSL3_RT_INNER_CONTENT_TYPE) ||
        *(const unsigned char *)bytes == SSL3_RT_APPLICATION_DATA)
        return;
    t = SSL_get_ex_data(ssl, tls_session_index());
    if (t->stream->is_ready && ++t->n_idle_records > LIMIT_TLS_IDLE_RECORDS)
        SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_RECEIVED_SHUTDOWN);
}

static int stream_tls_new(struct stream *s, SSL_CTX *ctx)
{
    struct tls_session *t = MEM_NEW(struct tls_session);

    t->ssl = SSL_new(ctx);
    t->entry = -1;
    t->stream = s;
    if (!t->ssl || SSL_set_fd(t->ssl, s->io.fd) != 1 ||
        SSL_set_ex_data(t->ssl, tls_session_index(), t) != 1) {
        SSL_free(t->ssl);
        mem_free(t);
        ERR_clear_error();
        return error_origin(-ENOMEM);
    }
    SSL_set_msg_callback(t->ssl, tls_on_record);
    s->tls = t;
    return 0;
}

int stream_tls_start_server(struct stream *s, struct tls_server *server)
{
    int r = stream_tls_new(s, server->entries[0].ctx);

    if (r < 0)
        return r;
    s->tls->server = tls_server_ref(server);
    SSL_set_accept_state(s->tls->ssl);
    s->ops = &stream_tls_ops;
    return 0;
}

int stream_tls_start_client(struct stream *s, struct tls_client *client, struct str server_name)
{
    int r = stream_tls_new(s, client->ctx);

    if (r < 0)
        return r;
    SSL_set_connect_state(s->tls->ssl);
    if (!tls_client_prepare(client, s->tls, server_name)) {
        stream_tls_ops.close(s, true);
        return error_origin(-EINVAL);
    }
    return 0;
}

/* ---- readiness ---- */

/* Can a read bring something without a word from the socket? */
static bool tls_has_input(const struct tls_session *t)
{
    return t->ended || (!t->is_drained && SSL_has_pending(t->ssl));
}

static void tls_on_pending(struct deferred *d)
{
    struct tls_session *t = CONTAINER_OF(d, struct tls_session, pending);
    struct stream *s = t->stream;

    if (s->wanted & LOOP_READ)
        s->on_event(s, LOOP_READ);
}

static void tls_note_input(struct stream *s)
{
    if ((s->wanted & LOOP_READ) && tls_has_input(s->tls))
        loop_defer(s->io.loop, &s->tls->pending, tls_on_pending);
}

static void tls_watch(struct stream *s)
{
    const struct tls_session *t = s->tls;
    unsigned events = s->wanted;

    if (t->read_wants_write) /* readable, but not for us: watching that would spin */
        events = (events & ~(unsigned)LOOP_READ) | LOOP_WRITE;
    if (t->write_wants_read)
        events |= LOOP_READ;
    if (loop_fd_want(&s->io, events) < 0)
        s->error = errno;
}

void stream_tls_want(struct stream *s, unsigned events)
{
    bool is_new = (events & LOOP_READ) && !(s->wanted & LOOP_READ);

    s->wanted = events;
    tls_watch(s);
    if (is_new)
        tls_note_input(s);
}

static void tls_on_io(struct stream *s, unsigned events)
{
    struct tls_session *t = s->tls;
    bool was_crossed = t->read_wants_write || t->write_wants_read;

    if (events & LOOP_READ)
        t->is_drained = false;
    if ((events & LOOP_WRITE) && t->read_wants_write) {
        t->read_wants_write = false;
        events |= LOOP_READ;
    }
    if ((events & LOOP_READ) && t->write_wants_read) {
        t->write_wants_read = false;
        events |= LOOP_WRITE;
    }
    if (was_crossed)
        tls_watch(s);
    events &= s->wanted | LOOP_HANGUP;
    if (events)
        s->on_event(s, events);
}

/* ---- bytes ---- */

/* What a call that did not succeed means. */
static int tls_result(struct stream *s, int r, bool is_read)
{
    struct tls_session *t = s->tls;
    int error = SSL_get_error(t->ssl, r);

    if (error == SSL_ERROR_ZERO_RETURN && t->n_idle_records > LIMIT_TLS_IDLE_RECORDS)
        error = SSL_ERROR_SSL; /* no goodbye: tls_on_record */
    switch (error) {
    case SSL_ERROR_WANT_READ:
        if (is_read) {
            t->is_drained = true;
        } else {
            t->write_wants_read = true;
            tls_watch(s);
        }
        return STREAM_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        if (is_read) { /* a writer asks for LOOP_WRITE by itself */
            t->read_wants_write = true;
            tls_watch(s);
        }
        return STREAM_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        t->ended = STREAM_EOF;
        return is_read ? STREAM_EOF : STREAM_RESET;
    default:
        ERR_clear_error();
        t->is_shut = true; /* after a fatal error SSL_shutdown must not be called */
        s->error = error == SSL_ERROR_SYSCALL && errno ? errno : EPROTO;
        /* A socket that takes no more may still hold what the peer said before it closed. */
        if (is_read || error != SSL_ERROR_SYSCALL)
            t->ended = STREAM_RESET;
        return STREAM_RESET;
    }
}

static int tls_recv(struct stream *s, void *ret_bytes, size_t cap, size_t *ret_n)
{
    struct tls_session *t = s->tls;
    size_t total = 0;
    size_t n;
    int r;

    if (!s->is_ready)
        return STREAM_AGAIN;
    if (t->ended)
        return t->ended;
    ERR_clear_error();
    errno = 0;
    /* Several records at once, as one plain recv would; not until the socket says no, which it
     * would say with every request, nor behind one that came with others that brought nothing:
     * they are work of which a few bytes make much. */
    unsigned n_records = 0;
    bool goes_on;

    do {
        unsigned n_idle = t->n_idle_records;

        r = SSL_read_ex(t->ssl, (char *)ret_bytes + total, cap - total, &n);
        if (r != 1)
            break;
        total += n;
        goes_on = t->n_idle_records == n_idle && ++n_records < TLS_RECORDS_AT_ONCE && total < cap &&
                  SSL_has_pending(t->ssl);
        t->n_idle_records -= t->n_idle_records > 0;
    } while (goes_on);
    if (r == 1)
        t->is_drained = false;
    else
        r = tls_result(s, r, true);
    if (total == 0)
        return r;
    *ret_n = total;
    tls_note_input(s); /* more, or the end that came behind these */
    return 0;
}

/* The next record's bytes after the first `skip` of all: a long piece where it lies, short ones
 * gathered in `record`. Called again after a write that must be repeated it yields at least the
 * same bytes, as OpenSSL demands. */
static size_t tls_next_record(const struct iovec *iov, int n_iov, size_t skip, char *record,
                              const char **ret_bytes)
{
    size_t n = 0;

    *ret_bytes = record;
    for (int i = 0; i < n_iov && n < TLS_RECORD_BYTES; i++) {
        const char *from = iov[i].iov_base;
        size_t len = iov[i].iov_len;

        if (skip >= len) {
            skip -= len;
            continue;
        }
        from += skip;
        len = MIN(len - skip, TLS_RECORD_BYTES - n);
        skip = 0;
        if (n == 0 && (len == TLS_RECORD_BYTES || i == n_iov - 1)) {
            *ret_bytes = from;
            return len;
        }
        memcpy(record + n, from, len);
        n += len;
    }
    return n;
}

static int tls_send(struct stream *s, const struct iovec *iov, int n_iov, size_t *ret_n)
{
    static _Thread_local char record[TLS_RECORD_BYTES];
    const char *bytes;
    size_t total = 0;
    size_t sent, n;

    if (!s->is_ready)
        return STREAM_AGAIN;
    if (s->tls->ended == STREAM_RESET)
        return STREAM_RESET;
    ERR_clear_error();
    errno = 0;
    while ((n = tls_next_record(iov, n_iov, total, record, &bytes)) > 0) {
        int r = SSL_write_ex(s->tls->ssl, bytes, n, &sent);

        if (r != 1) {
            r = tls_result(s, r, false);
            if (r != STREAM_AGAIN)
                return r;
            break;
        }
        total += sent;
    }
    *ret_n = total;
    return total > 0 ? 0 : STREAM_AGAIN;
}

/* ---- beginning and end ---- */

static void tls_shutdown(struct stream *s)
{
    if (s->is_ready && !s->tls->is_shut) {
        s->tls->is_shut = true;
        SSL_shutdown(s->tls->ssl);
        ERR_clear_error();
    }
    shutdown(s->io.fd, SHUT_WR);
}

static void tls_handshake(struct stream *s)
{
    struct tls_session *t = s->tls;
    int r;

    ERR_clear_error();
    errno = 0;
    r = SSL_do_handshake(t->ssl);
    if (r == 1) {
        s->is_ready = true;
        if (t->server)
            t->peer = tls_peer_new(t->ssl);
        s->wanted |= LOOP_READ;
        tls_watch(s);
        tls_note_input(s); /* the first request may have come with the last handshake bytes */
        s->on_event(s, STREAM_READY);
        return;
    }
    switch (SSL_get_error(t->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        r = loop_fd_want(&s->io, LOOP_READ);
        break;
    case SSL_ERROR_WANT_WRITE:
        r = loop_fd_want(&s->io, LOOP_WRITE);
        break;
    default:
        s->error = errno ? errno : EPROTO;
        if (SSL_get_verify_result(t->ssl) != X509_V_OK)
            s->error = EKEYREJECTED;
        ERR_clear_error();
        t->is_shut = true;
        r = -1;
    }
    if (r < 0)
        s->on_event(s, LOOP_HANGUP);
}

static void tls_on_ready(struct stream *s, unsigned events)
{
    if (s->is_ready)
        tls_on_io(s, events);
    else
        tls_handshake(s);
}

static void tls_close(struct stream *s, bool is_abort)
{
    struct tls_session *t = s->tls;

    s->tls = NULL;
    list_remove(&t->pending.node);
    if (s->is_ready && !is_abort && !t->is_shut) {
        SSL_shutdown(t->ssl);
        ERR_clear_error();
    }
    /* A client that left without a word has harmed nothing (RFC 5246 7.2.1): its session is
     * forgotten after a fatal alert alone, which has happened by now. */
    if (t->server)
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN);
    SSL_free(t->ssl);
    tls_peer_free(t->peer);
    tls_server_unref(t->server);
    mem_free(t);
}

const struct stream_ops stream_tls_ops = {
    .recv = tls_recv,
    .send = tls_send,
    .shutdown = tls_shutdown,
    .on_ready = tls_on_ready,
    .close = tls_close,
};

void stream_offer(struct stream *s, struct str protocols)
{
    PRE(s->tls && !s->is_ready);
    int r = SSL_set_alpn_protos(s->tls->ssl, (const unsigned char *)protocols.ptr,
                                (unsigned)protocols.len);

    ASSERT(r == 0); /* the list is ours */
}

const char *stream_alpn(const struct stream *s)
{
    static _Thread_local char name[32];
    const unsigned char *protocol = NULL;
    unsigned len = 0;

    if (s->tls)
        SSL_get0_alpn_selected(s->tls->ssl, &protocol, &len);
    len = MIN(len, (unsigned)sizeof name - 1);
    if (len > 0)
        memcpy(name, protocol, len);
    name[len] = '\0';
    return name;
}

struct str stream_server_name(const struct stream *s)
{
    return s->tls ? str_of(s->tls->server_name) : STR("");
}

bool stream_is_tls(const struct stream *s)
{
    return s->tls != NULL;
}

const char *stream_tls_version(const struct stream *s)
{
    return s->tls ? SSL_get_version(s->tls->ssl) : NULL;
}

const char *stream_tls_cipher(const struct stream *s)
{
    return s->tls ? SSL_get_cipher_name(s->tls->ssl) : NULL;
}

int stream_tls_entry(const struct stream *s)
{
    return s->tls ? s->tls->entry : -1;
}

const struct tls_peer *stream_tls_peer(const struct stream *s)
{
    return s->tls ? s->tls->peer : NULL;
}

uint64_t stream_tls_client_rule(const struct stream *s)
{
    return s->tls && s->tls->server && s->tls->entry >= 0
               ? s->tls->server->entries[s->tls->entry].client_rule
               : 0;
}

bool stream_tls_is_resumed(const struct stream *s)
{
    return s->tls && SSL_session_reused(s->tls->ssl) == 1;
}
