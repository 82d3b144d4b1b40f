/* A byte stream over TCP, plain or TLS, behind five calls: recv, send, want, shutdown, close.
 * Buffers belong to the caller and are handed over per call, never borrowed across calls, so that
 * another engine can stand behind the same calls. Worker-local; embedded in its connection;
 * TCP_NODELAY is always on.
 *
 * The owner's `on_event` is told what is possible now (LOOP_READ, LOOP_WRITE, LOOP_HANGUP), and for
 * a connecting or handshaking stream STREAM_READY once, before which recv and send answer
 * STREAM_AGAIN. */
#pragma once

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/str.h"
#include "net/loop.h"

struct stream;
struct tls_server; /* net/tls.h: what a TLS listener presents */
struct tls_client; /* net/tls.h: how an upstream is verified */
struct tls_session;
struct socket_options; /* net/socket.h */

enum stream_result {
    STREAM_AGAIN =
        1, /* nothing now; on_event comes when it is worth another try (after stream_want) */
    STREAM_EOF = 2,   /* recv: the peer closed its side in good order */
    STREAM_RESET = 3, /* reset, broken, TLS failure: close it */
};

enum {
    STREAM_READY = 8, /* event: connected and handshake done */
};

typedef void stream_event_fn(struct stream *s, unsigned events);

struct stream_ops;

struct stream {
    struct loop_fd io;
    const struct stream_ops *ops;
    stream_event_fn *on_event;
    struct tls_session *tls; /* NULL: plain */
    unsigned wanted;         /* what the owner asked for */
    bool is_ready;
    bool is_broken;            /* see stream_break */
    const struct str *preface; /* see stream_target */
    int error; /* errno-like reason of the last STREAM_RESET or LOOP_HANGUP, 0 unknown;
                  EKEYREJECTED: the peer's certificate, EPROTO: another TLS failure */
};

/* Takes over a connected, non-blocking descriptor. `tls` NULL: plain, is_ready at once (no
 * STREAM_READY event); else the handshake starts. Watches LOOP_READ. 0 or negative (fd is then
 * still the caller's). */
MUST_USE int stream_open_accepted(struct stream *s, struct loop *l, int fd, struct tls_server *tls,
                                  stream_event_fn *on_event);
/* Where a connection goes, and how. */
struct stream_target {
    const struct sockaddr *address;
    socklen_t address_len;
    struct tls_client *tls;    /* NULL: plain */
    struct str server_name;    /* for SNI and verification */
    const struct str *preface; /* what goes out first, before TLS too; NULL: nothing; the caller's,
                                  to keep until STREAM_READY */
    const struct socket_options *options; /* NULL: the system's */
};

/* Starts a connection; STREAM_READY or LOOP_HANGUP follows on a later turn (never from within). 0
 * or negative. */
MUST_USE int stream_open_connect(struct stream *s, struct loop *l, const struct stream_target *to,
                                 stream_event_fn *on_event);
/* Is that why it could not be opened? Then it is no fault of the other side. */
static inline bool stream_lacks_descriptor(int r)
{
    return r == -EMFILE || r == -ENFILE;
}
/* Before STREAM_READY of a connection that was opened with `tls`: the protocols to offer by ALPN,
 * in its wire format (RFC 7301 3.1). */
void stream_offer(struct stream *s, struct str protocols);
/* Reads what is there, up to `cap`. 0 with *ret_n > 0, or a stream_result. */
MUST_USE int stream_recv(struct stream *s, void *ret_bytes, size_t cap, size_t *ret_n);
/* Sends what fits. 0 with *ret_n > 0 (maybe less than all: then stream_want LOOP_WRITE), or a
 * stream_result. */
MUST_USE int stream_send(struct stream *s, const struct iovec *iov, int n_iov, size_t *ret_n);
/* Which events to report: LOOP_READ | LOOP_WRITE. Cheap when unchanged. */
void stream_want(struct stream *s, unsigned events);
/* Ends our side (TLS close_notify, then FIN); reading goes on. */
void stream_shutdown(struct stream *s);
/* After a send that failed, which does not mean that the connection is over (a kernel without
 * memory says no, too): what has come can still be read, then STREAM_RESET follows, also when the
 * peer says nothing more since it waits for the rest. */
void stream_break(struct stream *s);
/* Closes at once. No further event. Safe on zeroed and repeated. `is_abort`: RST instead of FIN, so
 * that the peer cannot take a cut-off answer for a complete one. */
void stream_close(struct stream *s, bool is_abort);

/* Facts for logs and policies. */
const char *stream_alpn(const struct stream *s);       /* "" when none */
struct str stream_server_name(const struct stream *s); /* SNI, lower-case, "" when none or plain */
bool stream_is_tls(const struct stream *s);
/* "TLSv1.3" and the cipher by OpenSSL's name, once the handshake is done; static. NULL: plain. */
const char *stream_tls_version(const struct stream *s);
const char *stream_tls_cipher(const struct stream *s);
