/* Certificates of clients, as the files of TLS see them: the rule while it is obeyed, and what a
 * certificate says. */
#pragma once

#include <openssl/ssl.h>

#include "net/tls.h"

/* For SSL_set_verify. */
int tls_on_verify(int is_good, X509_STORE_CTX *ctx);
/* All of the rule, so that two that differ have different texts. */
void tls_append_client_rule(const struct tls_entry_config *config, struct buf *to);
/* After a handshake: what the verified certificate says; NULL: there is none. */
struct tls_peer *tls_peer_new(SSL *ssl);
struct tls_entry;
/* Does the certificate of a remembered session still pass the entry's rule? */
bool tls_peer_is_still_good(const struct tls_entry *e, SSL_SESSION *session);
/* Of any certificate; `own`: ours, may be NULL. */
struct tls_peer *tls_peer_read(X509 *x, const X509 *own);
/* NULL is nothing. */
void tls_peer_free(struct tls_peer *p);
