/* TLS configurations: what a listening port presents, and how an upstream is verified. Built by the
 * compile thread, then immutable and shared by all workers (OpenSSL's contexts are thread-safe).
 * Private keys are wiped with their context. */
#pragma once

#include "base/buf.h"
#include "net/stream.h"

/* One certificate with the TLS rules of its listener. */
struct tls_entry_config {
    struct str hostname;        /* lower-case; "*.example.com"; empty: any server name, or none */
    struct str certificate_pem; /* chain, leaf first */
    struct str key_pem;
    struct str ciphers;  /* OpenSSL names joined with ':', TLS 1.2 and below; empty: the default.
                            Names of TLS 1.3 suites have no effect. */
    int min_version;     /* 0x0303 = TLS 1.2; 0: the default (1.2) */
    int max_version;     /* 0: 1.3 */
    struct str identity; /* of the listener: sessions resume only here */
};

/* Conditions of tls_server_new, tls_client_new, tls_check_pair. */
enum tls_condition {
    TLS_BAD_CERTIFICATE = 1,
    TLS_BAD_KEY,
    TLS_KEY_MISMATCH,
    TLS_BAD_CIPHERS,
    TLS_BAD_CA,
    TLS_BAD_VERSIONS, /* the lowest is above the highest */
};

/* 0 with one reference, or a tls_condition with a sentence in `ret_why`. */
MUST_USE int tls_server_new(const struct tls_entry_config *entries, size_t n,
                            struct tls_server **ret_server, struct buf *ret_why);
struct tls_server *tls_server_ref(struct tls_server *t);
/* NULL is nothing. */
void tls_server_unref(struct tls_server *t);
/* Do certificate and key parse and belong together? `ret_not_after_s`: the leaf's expiry (unix),
 * may be NULL. 0 or a tls_condition. */
MUST_USE int tls_check_pair(struct str certificate_pem, struct str key_pem,
                            int64_t *ret_not_after_s, struct buf *ret_why);

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
};
MUST_USE int tls_client_new(const struct tls_client_config *config, struct tls_client **ret_client,
                            struct buf *ret_why);
void tls_client_free(struct tls_client *t);

/* Index of the entry that the handshake selected; -1: plain or not yet. */
int stream_tls_entry(const struct stream *s);
/* Was an earlier session resumed? False: plain, a full handshake, or not yet. */
bool stream_tls_is_resumed(const struct stream *s);
