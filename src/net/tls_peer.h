/* What a certificate says, apart from any connection: for tls_peer.c's own callers and for tests.
 */
#pragma once

#include <openssl/x509.h>

#include "net/tls.h"

/* Of any certificate; `own`: ours, may be NULL. */
struct tls_peer *tls_peer_read(X509 *x, const X509 *own);
/* NULL is nothing. */
void tls_peer_free(struct tls_peer *p);
