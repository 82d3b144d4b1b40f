/* TLS on a stream: OpenSSL reads and writes the socket directly. Two things differ from plain TCP:
 * the handshake comes first, driven here by readiness; and decrypted bytes may wait inside OpenSSL
 * while the socket is empty, so a deferred call stands in for the readiness that will not come. */
#include <errno.h>
#include <openssl/err.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/mem.h"
#include "net/tls_internal.h"

enum { TLS_RECORD_BYTES = 16384 };

static int session_index = -1;

int tls_session_index(void)
{
    if (session_index < 0)
        session_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    return session_index;
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
    if (!tls_client_prepare(client, s->tls->ssl, server_name)) {
        stream_tls_ops.close(s, true);
        return error_origin(-EINVAL);
    }
    return 0;
}

/* STREAM_AGAIN with the readiness that OpenSSL wants added to what is watched, or how it ended. */
static int tls_result(struct stream *s, int r)
{
    int error = SSL_get_error(s->tls->ssl, r);

    switch (error) {
    case SSL_ERROR_WANT_READ:
        return STREAM_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        if (loop_fd_want(&s->io, s->io.wanted | LOOP_WRITE) < 0)
            return stream_fail(s, EIO);
        return STREAM_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return STREAM_EOF;
    default:
        ERR_clear_error();
        s->tls->is_shut = true; /* after a fatal error SSL_shutdown must not be called */
        return stream_fail(s, error == SSL_ERROR_SYSCALL && errno ? errno : EPROTO);
    }
}

static void tls_on_pending(struct deferred *d)
{
    struct tls_session *t = CONTAINER_OF(d, struct tls_session, pending);
    struct stream *s = t->stream;

    if (s->wanted & LOOP_READ)
        s->on_event(s, LOOP_READ);
}

static void tls_note_pending(struct stream *s)
{
    if (SSL_has_pending(s->tls->ssl) && SSL_pending(s->tls->ssl) > 0)
        loop_defer(s->io.loop, &s->tls->pending, tls_on_pending);
}

static int tls_recv(struct stream *s, void *ret_bytes, size_t cap, size_t *ret_n)
{
    size_t total = 0;
    size_t n;
    int r = 0;

    if (!s->is_ready)
        return STREAM_AGAIN;
    ERR_clear_error();
    errno = 0;
    /* Several records at once, as one plain recv would. */
    while (total < cap) {
        r = SSL_read_ex(s->tls->ssl, (char *)ret_bytes + total, cap - total, &n);
        if (r != 1)
            break;
        total += n;
    }
    if (total > 0) {
        *ret_n = total;
        s->was_short_read = total < cap;
        if (!s->was_short_read)
            tls_note_pending(s);
        return 0;
    }
    return tls_result(s, r);
}

static int tls_send(struct stream *s, const struct iovec *iov, int n_iov, size_t *ret_n)
{
    static _Thread_local char record[TLS_RECORD_BYTES];
    size_t total = 0;
    int i = 0;
    size_t at = 0;

    if (!s->is_ready)
        return STREAM_AGAIN;
    ERR_clear_error();
    errno = 0;
    while (i < n_iov) {
        size_t n = 0;
        size_t sent;
        int from_i = i;
        size_t from_at = at;

        /* Short pieces share a record; a long one goes from where it lies. */
        while (i < n_iov && n < sizeof record) {
            size_t part = MIN(iov[i].iov_len - at, sizeof record - n);

            memcpy(record + n, (const char *)iov[i].iov_base + at, part);
            n += part;
            at += part;
            if (at == iov[i].iov_len) {
                i++;
                at = 0;
            }
        }
        if (n == 0)
            break;
        int r = SSL_write_ex(s->tls->ssl, record, n, &sent);

        if (r != 1) {
            *ret_n = total;
            r = tls_result(s, r);
            return total > 0 && r == STREAM_AGAIN ? 0 : r;
        }
        total += sent;
        if (sent < n) {
            /* Partial write: go back to the first byte not taken. */
            i = from_i;
            at = from_at + sent;
            while (i < n_iov && at >= iov[i].iov_len)
                at -= iov[i++].iov_len;
        }
    }
    *ret_n = total;
    return total > 0 ? 0 : STREAM_AGAIN;
}

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
    int r;

    ERR_clear_error();
    errno = 0;
    r = SSL_do_handshake(s->tls->ssl);
    if (r == 1) {
        s->is_ready = true;
        stream_want(s, s->wanted | LOOP_READ);
        s->on_event(s, STREAM_READY);
        return;
    }
    switch (SSL_get_error(s->tls->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        r = loop_fd_want(&s->io, LOOP_READ);
        break;
    case SSL_ERROR_WANT_WRITE:
        r = loop_fd_want(&s->io, LOOP_WRITE);
        break;
    default:
        ERR_clear_error();
        s->tls->is_shut = true;
        s->error = EPROTO;
        r = -1;
    }
    if (r < 0)
        s->on_event(s, LOOP_HANGUP);
}

static void tls_on_ready(struct stream *s, unsigned events)
{
    if (!s->is_ready) {
        tls_handshake(s);
        return;
    }
    s->on_event(s, events);
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
    SSL_free(t->ssl);
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

int stream_tls_entry(const struct stream *s)
{
    return s->tls ? s->tls->entry : -1;
}
