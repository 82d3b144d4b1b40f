/* Between tls.c (configurations) and stream_tls.c (connections). Nobody else includes this. */
#pragma once

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "net/tls.h"
#include "net/tls_peer.h"

enum { TLS_NAME_MAX = 255, TLS_CIPHERS_MAX = 2047 };

enum { TLS_ALPN_MAX = 64, TLS_LIST_MAX = 255 };

struct tls_entry {
    char groups[TLS_LIST_MAX + 1];    /* empty: the default */
    unsigned char alpn[TLS_ALPN_MAX]; /* in the wire's format (RFC 7301 3.1) */
    unsigned n_alpn;
    SSL_CTX *ctx;
    struct str hostname; /* owned */
    int min_version;
    int max_version;
    int verify_mode;         /* SSL_VERIFY_NONE: clients are not asked for a certificate */
    X509_STORE *authorities; /* of clients' certificates, one reference; NULL: not asked */
    struct tls_pin *pins;    /* owned; of the certificates that may come, none: any */
    size_t n_pins;
    struct tls_name *names; /* owned; of which a certificate must have one, none: any */
    size_t n_names;
    bool allows_expired;
    bool accepts_unverified;
    bool tells_chain;
    bool remembers_sessions;
    uint64_t client_rule; /* of the rule on them; 0: not asked */
    struct str ocsp;      /* owned; empty: none */
    int64_t ocsp_until_s;
};

struct tls_server {
    _Atomic uint32_t n_refs;
    struct tls_tickets *tickets; /* one reference; NULL: OpenSSL's own, of this server alone */
    size_t n;
    struct tls_entry entries[];
};

struct tls_client {
    SSL_CTX *ctx; /* owns the remembered session, since connections may outlive this */
    bool skips_verification;
    char *verify_host; /* NULL: the server name */
    char **alt_names;
    size_t n_alt_names;
};

struct tls_session {
    SSL *ssl;
    struct tls_server *server; /* one reference; NULL: client side */
    struct tls_peer *peer; /* what the client's certificate says; NULL: none, or a client's side */
    struct stream *stream;
    struct deferred pending; /* stands in for readiness that the socket will not report */
    int entry;
    unsigned n_idle_records; /* since the handshake, without content; see tls_on_record */
    int ended;               /* STREAM_EOF or STREAM_RESET came behind bytes; 0: not */
    bool is_unverified;      /* the client showed a certificate that did not pass, and was let in */
    bool is_shut;
    bool is_drained;       /* the last read found nothing: only the socket can bring more */
    bool read_wants_write; /* a read waits until the socket takes bytes */
    bool write_wants_read;
    char server_name[TLS_NAME_MAX + 1];
};

/* tls.c, for tls_client.c */
int tls_fail(struct buf *ret_why, enum tls_condition code, const char *text);
int tls_no_password(char *buf, int size, int rwflag, void *u);
BIO *tls_bio(struct str pem); /* borrows; NULL: empty or out of memory */
void tls_bio_free(BIO **bio);
/* After a failed PEM_read: was it just the end? Clears that error. */
bool tls_is_pem_end(void);
MUST_USE int tls_use_pair(SSL_CTX *ctx, struct str certificate_pem, struct str key_pem,
                          struct buf *ret_why);
MUST_USE int tls_set_ciphers(SSL_CTX *ctx, struct str ciphers, struct buf *ret_why);
/* Adds every certificate of the bundle; where `naming` is given, clients are told their names. */
MUST_USE int tls_add_authorities(X509_STORE *store, SSL_CTX *naming, struct str pem,
                                 struct buf *ret_why);
/* How records are read and written on our streams. */
void tls_set_io(SSL_CTX *ctx);

/* The name in a server_name extension, in lower case. False: malformed, and the name is empty. */
bool tls_parse_server_name(const unsigned char *bytes, size_t len, char ret_name[TLS_NAME_MAX + 1]);
/* Sets names to verify on a new client session, and the session to resume. False: not possible. */
bool tls_client_prepare(const struct tls_client *t, struct tls_session *session,
                        struct str server_name);
/* tls_peer.c: the entry's rule on clients' certificates, its context being made. 0 or a
 * tls_condition. */
MUST_USE int tls_ask_clients(struct tls_entry *e, const struct tls_entry_config *config,
                             struct buf *ret_why);
/* tls_staple.c: the context staples what the configuration holds. */
void tls_staple(struct tls_entry *e, const struct tls_entry_config *config);
void tls_forget_clients(struct tls_entry *e);
/* tls_tickets.c */
int tls_on_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                      EVP_MAC_CTX *mac, int is_new);
/* Where OpenSSL's callbacks find their session. */
int tls_session_index(void);
/* The owner wants other events, or OpenSSL waits for another one. */
void stream_tls_want(struct stream *s, unsigned events);

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
