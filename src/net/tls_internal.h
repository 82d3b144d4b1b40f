/* Between tls.c (configurations) and stream_tls.c (connections). Nobody else includes this. */
#pragma once

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "net/tls.h"

enum { TLS_NAME_MAX = 255 };

struct tls_entry {
    SSL_CTX *ctx;
    struct str hostname; /* owned */
    int min_version;
    int max_version;
};

struct tls_server {
    _Atomic uint32_t n_refs;
    size_t n;
    struct tls_entry entries[];
};

struct tls_client {
    SSL_CTX *ctx;
    bool skips_verification;
    char *verify_host; /* NULL: the server name */
    char **alt_names;
    size_t n_alt_names;
};

struct tls_session {
    SSL *ssl;
    struct tls_server *server; /* one reference; NULL: client side */
    int entry;
    bool is_shut;
    char server_name[TLS_NAME_MAX + 1];
    struct deferred pending; /* decrypted bytes wait behind an empty socket */
    struct stream *stream;
};

/* Sets names to verify on a new client session. False: out of memory. */
bool tls_client_prepare(const struct tls_client *t, SSL *ssl, struct str server_name);
/* Where the ClientHello callback finds its session. */
int tls_session_index(void);

/* struct stream_ops: how bytes move. */
struct stream_ops {
    int (*recv)(struct stream *s, void *ret_bytes, size_t cap, size_t *ret_n);
    int (*send)(struct stream *s, const struct iovec *iov, int n_iov, size_t *ret_n);
    void (*shutdown)(struct stream *s);
    void (*on_ready)(struct stream *s, unsigned events);
    void (*close)(struct stream *s, bool is_abort);
};
extern const struct stream_ops stream_tls_ops;
/* stream_tls.c: makes s->tls. 0 or negative. */
MUST_USE int stream_tls_start_server(struct stream *s, struct tls_server *server);
MUST_USE int stream_tls_start_client(struct stream *s, struct tls_client *client,
                                     struct str server_name);
/* stream.c: notes errno of a failed call. */
int stream_fail(struct stream *s, int error);
