/* Sessions of TLS 1.2 that are remembered by their id (RFC 5246 F.1.4), for clients that take no
 * ticket, at listeners that ask for it. One memory for all listeners and workers of a process, kept
 * over reloads; bounded, the least recently used goes first. A session holds secrets: what goes is
 * wiped. Whether one may be resumed is not decided here (tls.c, tls_peer.c). Shared, behind a short
 * lock. */
#pragma once

#include "base/macro.h"

struct ssl_ctx_st; /* OpenSSL's SSL_CTX */
struct tls_sessions;

struct tls_sessions *tls_sessions_new(void);
/* NULL is nothing. */
void tls_sessions_free(struct tls_sessions *t);
/* Called as often as keys of tickets are replaced: what was made two calls ago is forgotten. Any
 * thread. */
void tls_sessions_age(struct tls_sessions *t);
/* How many there are. */
size_t tls_sessions_count(struct tls_sessions *t);
/* The context, being made, remembers its sessions here: those of entries that ask for it. */
void tls_sessions_use(struct tls_sessions *t, struct ssl_ctx_st *ctx);
