/* TLS configurations: what a listening port presents, and how an upstream is verified. Built by the
 * compile thread, then immutable and shared by all workers. Keys are wiped with their context. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "net/stream.h"
#include "net/tls_client_rule.h"
#include "net/tls_tickets.h"

/* One certificate with the TLS rules of its listener. Several of one hostname are the certificates
 * of one listener: that which fits the server name is presented, else the first. */
struct tls_entry_config {
    struct str hostname;        /* lower-case; "*.example.com"; empty: any server name, or none */
    struct str certificate_pem; /* chain, leaf first */
    struct str key_pem;
    struct str ocsp_der;  /* stapled, has passed tls_check_staple; empty: none */
    int64_t ocsp_until_s; /* and not after this (unix) */
    struct str ciphers;   /* OpenSSL names joined with ':', TLS 1.2 and below; empty: the default.
                             Names of TLS 1.3 suites have no effect. */
    int min_version;      /* 0x0304 = TLS 1.3; never below 1.2 */
    int max_version;      /* 0: 1.3 */
    struct str client_ca_pem;  /* authorities of clients' certificates; empty: none is asked for */
    bool is_client_optional;   /* a client without a certificate is let in; a bad one is not */
    bool accepts_unverified;   /* a bad one too: it is as none in all that is told of it */
    struct str client_crl_pem; /* what they have revoked, every authority of a chain; empty: not
                                  looked up */
    bool is_only_leaf_looked_up;
    const struct tls_pin *client_pins; /* a certificate must be one of these; none: any */
    size_t n_client_pins;
    const struct tls_name *client_names; /* and have one of these; none: whatever it has */
    size_t n_client_names;
    bool allows_expired;     /* a client's own certificate, not its authorities' */
    bool remembers_sessions; /* of TLS 1.2 by id, where a client takes no ticket */
    bool tells_chain;        /* struct tls_peer has the chain of a client's certificate */
    struct str groups;       /* of the key exchange, as ciphers */
    struct str signatures;   /* of handshakes, as ciphers */
    struct str protocols;    /* of ALPN, as ciphers: h2, http/1.1, http/1.0 */
    struct str identity;     /* of the listener: sessions resume only here, by the same rules */
};

/* What a client has proved by a certificate that its listener's rule verified. Texts are printable
 * ASCII; alternative names that are not are left out. */
struct tls_peer {
    struct str hash;        /* SHA-256 of the certificate, hex */
    struct str subject;     /* as RFC 2253 writes it, `"` escaped */
    struct str certificate; /* PEM, percent-encoded */
    struct str chain;       /* with what led to it, without the root; empty: not asked for */
    struct str *uris;       /* of subjectAltName */
    struct str *dns_names;
    struct str *local_uris; /* of our own certificate */
    size_t n_uris;
    size_t n_dns_names;
    size_t n_local_uris;
    struct arena arena;
};

/* Conditions of tls_server_new, tls_client_new, tls_check_pair, tls_check_staple. */
enum tls_condition {
    TLS_BAD_CERTIFICATE = 1,
    TLS_BAD_KEY,
    TLS_KEY_MISMATCH,
    TLS_BAD_CIPHERS,
    TLS_BAD_EXCHANGE, /* groups, signatures or protocols */
    TLS_BAD_CA,
    TLS_BAD_CRL,
    TLS_BAD_STAPLE,
    TLS_BAD_VERSIONS, /* the lowest is above the highest */
};

/* 0 with one reference, or a tls_condition with a sentence in `ret_why`. */
MUST_USE int tls_server_new(const struct tls_entry_config *entries, size_t n,
                            struct tls_server **ret_server, struct buf *ret_why);
/* Before the server is shared: its tickets are made and opened by these keys. */
void tls_server_use_tickets(struct tls_server *t, struct tls_tickets *tickets);
struct tls_server *tls_server_ref(struct tls_server *t);
void tls_server_unref(struct tls_server *t); /* NULL is nothing */
/* Do certificate and key parse and belong together? `ret_not_after_s`: the leaf's expiry (unix),
 * may be NULL. 0 or a tls_condition. */
MUST_USE int tls_check_pair(struct str certificate_pem, struct str key_pem,
                            int64_t *ret_not_after_s, struct buf *ret_why);

/* Appends the names in the list of those without forward secrecy or AEAD, which a listener with
 * them serves, if by HTTP/1.1 alone. */
void tls_list_weak(struct str ciphers, struct buf *ret_names);

/* Can the OCSP response be stapled to the certificate? `ret_until_s`: how long it holds (unix). 0
 * or a tls_condition. */
MUST_USE int tls_check_staple(struct str certificate_pem, struct str ocsp_der, int64_t *ret_until_s,
                              struct buf *ret_why);

struct tls_client_config {
    bool uses_system_ca;
    bool skips_verification;     /* Backend.tls.insecureSkipVerify */
    struct str ca_pem;           /* more authorities */
    struct str verify_host;      /* the name that the certificate must carry; empty: server name */
    const struct str *alt_names; /* BackendTLSPolicy subjectAltNames: any of these, instead */
    size_t n_alt_names;
    struct str certificate_pem; /* of ours, empty: none */
    struct str key_pem;
    int min_version;
    int max_version;
    struct str ciphers;
    struct str groups, signatures; /* lists, by OpenSSL's names; empty: its own */
};
MUST_USE int tls_client_new(const struct tls_client_config *config, struct tls_client **ret_client,
                            struct buf *ret_why);
void tls_client_free(struct tls_client *t);

/* Index of the entry that the handshake selected; -1: plain or not yet. */
int stream_tls_entry(const struct stream *s);
/* What the client proved, as long as the stream is open; NULL: nothing. */
const struct tls_peer *stream_tls_peer(const struct stream *s);
/* The rule on clients' certificates that the handshake obeyed: tls_client_rule of its entry. 0:
 * plain, or none. */
uint64_t stream_tls_client_rule(const struct stream *s);
/* Tells rules on clients' certificates apart, in one process; 0: none is asked for. */
uint64_t tls_client_rule(const struct tls_entry_config *config);
/* Was an earlier session resumed? False: plain, a full handshake, or not yet. */
bool stream_tls_is_resumed(const struct stream *s);
