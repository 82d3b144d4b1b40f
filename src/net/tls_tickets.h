/* Keys of session tickets (RFC 5077 section 4): one set for all listeners and workers of a process,
 * kept over reloads, so that a client resumes at whichever worker takes its connection. The newest
 * key encrypts; those before it still open what they made. What a ticket is good for is not decided
 * here: the session in it names its listener and that listener's rules (tls.c). Shared, behind a
 * short lock; refcounted by its owner and by each tls_server that uses it. */
#pragma once

#include "base/macro.h"

struct tls_tickets;
struct tls_sessions; /* net/tls_sessions.h */

enum { TLS_TICKET_KEYS = 3, TLS_TICKET_KEY_BYTES = 80 };

/* A key on its way to the process that takes over; whoever holds one wipes it. */
struct tls_ticket_key {
    unsigned char bytes[TLS_TICKET_KEY_BYTES]; /* name, key of the cipher, key of the MAC */
    uint64_t age_us;
};

struct tls_tickets *tls_tickets_new(uint64_t now_us);
struct tls_tickets *tls_tickets_ref(struct tls_tickets *t);
/* NULL is nothing. The last one wipes the keys. */
void tls_tickets_unref(struct tls_tickets *t);
/* A new key when the newest is LIMIT_TICKET_KEY_S old; those too old to open a ticket are wiped.
 * `now_us` is monotonic. Any thread. */
void tls_tickets_rotate(struct tls_tickets *t, uint64_t now_us);
/* What is remembered of clients that take no ticket: as long as this is there. */
struct tls_sessions *tls_tickets_sessions(struct tls_tickets *t);
/* All keys, newest first. How many. */
uint32_t tls_tickets_export(struct tls_tickets *t, uint64_t now_us,
                            struct tls_ticket_key ret[TLS_TICKET_KEYS]);
/* In place of all that are there. 0 < n <= TLS_TICKET_KEYS, newest first. */
void tls_tickets_import(struct tls_tickets *t, uint64_t now_us, const struct tls_ticket_key *keys,
                        uint32_t n);
