/* See tls_tickets.h. AES-256-CBC under HMAC-SHA256, each ticket by a fresh initialization vector.
 *
 * Owner: the server; tls_server holds references. Any thread: OpenSSL asks for a key in the middle
 * of a handshake, control rotates. Keys leave the lock as copies that are wiped at once. */
#include "net/tls_tickets.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/random.h"
#include "net/tls_internal.h"
#include "net/tls_sessions.h"

enum { TICKET_KEYS = TLS_TICKET_KEYS, TICKET_NAME_BYTES = 16, TICKET_SECRET_BYTES = 32 };

_Static_assert(TLS_TICKET_KEY_BYTES == TICKET_NAME_BYTES + 2 * TICKET_SECRET_BYTES,
               "a key is its name and two secrets");

static const uint64_t TICKET_KEY_US = UINT64_C(1000000) * LIMIT_TICKET_KEY_S;

struct ticket_key {
    unsigned char name[TICKET_NAME_BYTES]; /* in clear in front of every ticket */
    unsigned char cipher_key[TICKET_SECRET_BYTES];
    unsigned char mac_key[TICKET_SECRET_BYTES];
    uint64_t born_us;
};

struct tls_tickets {
    _Atomic uint32_t n_refs;
    EVP_CIPHER *cipher; /* fetched once: a fetch per handshake would cost more than the cipher */
    pthread_mutex_t lock;
    struct ticket_key keys[TICKET_KEYS]; /* newest first */
    uint32_t n_keys;
    struct tls_sessions *sessions;
};

static void ticket_key_make(struct ticket_key *key, uint64_t now_us)
{
    random_secure(key->name, sizeof key->name);
    random_secure(key->cipher_key, sizeof key->cipher_key);
    random_secure(key->mac_key, sizeof key->mac_key);
    key->born_us = now_us;
}

struct tls_tickets *tls_tickets_new(uint64_t now_us)
{
    struct tls_tickets *t = MEM_NEW(struct tls_tickets);

    atomic_init(&t->n_refs, 1);
    pthread_mutex_init(&t->lock, NULL);
    t->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    ASSERT(t->cipher != NULL);
    ticket_key_make(&t->keys[0], now_us);
    t->n_keys = 1;
    t->sessions = tls_sessions_new();
    return t;
}

struct tls_tickets *tls_tickets_ref(struct tls_tickets *t)
{
    atomic_fetch_add_explicit(&t->n_refs, 1, memory_order_relaxed);
    return t;
}

void tls_tickets_unref(struct tls_tickets *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    mem_wipe(t->keys, sizeof t->keys);
    tls_sessions_free(t->sessions);
    EVP_CIPHER_free(t->cipher);
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
}

struct tls_sessions *tls_tickets_sessions(struct tls_tickets *t)
{
    return t->sessions;
}

void tls_tickets_rotate(struct tls_tickets *t, uint64_t now_us)
{
    pthread_mutex_lock(&t->lock);
    if (now_us - t->keys[0].born_us >= TICKET_KEY_US) {
        tls_sessions_age(t->sessions);
        for (uint32_t i = TICKET_KEYS - 1; i > 0; i--)
            t->keys[i] = t->keys[i - 1];
        ticket_key_make(&t->keys[0], now_us);
        t->n_keys = MIN(t->n_keys + 1, (uint32_t)TICKET_KEYS);
    }
    /* By age too: a process that was stopped for long must not keep what it should have forgotten.
     */
    while (t->n_keys > 1 && now_us - t->keys[t->n_keys - 1].born_us >= TICKET_KEYS * TICKET_KEY_US)
        mem_wipe(&t->keys[--t->n_keys], sizeof t->keys[0]);
    pthread_mutex_unlock(&t->lock);
}

uint32_t tls_tickets_export(struct tls_tickets *t, uint64_t now_us,
                            struct tls_ticket_key ret[TLS_TICKET_KEYS])
{
    uint32_t n;

    pthread_mutex_lock(&t->lock);
    n = t->n_keys;
    for (uint32_t i = 0; i < n; i++) {
        const struct ticket_key *key = &t->keys[i];

        memcpy(ret[i].bytes, key->name, TICKET_NAME_BYTES);
        memcpy(ret[i].bytes + TICKET_NAME_BYTES, key->cipher_key, TICKET_SECRET_BYTES);
        memcpy(ret[i].bytes + TICKET_NAME_BYTES + TICKET_SECRET_BYTES, key->mac_key,
               TICKET_SECRET_BYTES);
        ret[i].age_us = now_us - key->born_us;
    }
    pthread_mutex_unlock(&t->lock);
    return n;
}

void tls_tickets_import(struct tls_tickets *t, uint64_t now_us, const struct tls_ticket_key *keys,
                        uint32_t n)
{
    PRE(n > 0 && n <= TICKET_KEYS);
    pthread_mutex_lock(&t->lock);
    mem_wipe(t->keys, sizeof t->keys);
    t->n_keys = n;
    for (uint32_t i = 0; i < n; i++) {
        struct ticket_key *key = &t->keys[i];

        memcpy(key->name, keys[i].bytes, TICKET_NAME_BYTES);
        memcpy(key->cipher_key, keys[i].bytes + TICKET_NAME_BYTES, TICKET_SECRET_BYTES);
        memcpy(key->mac_key, keys[i].bytes + TICKET_NAME_BYTES + TICKET_SECRET_BYTES,
               TICKET_SECRET_BYTES);
        key->born_us = now_us - MIN(now_us, keys[i].age_us);
    }
    pthread_mutex_unlock(&t->lock);
}

/* The newest key, or with `name` the one called so. Its age in rotations; -1: none. */
static int tickets_find(struct tls_tickets *t, const unsigned char *name, struct ticket_key *ret)
{
    int at = -1;

    pthread_mutex_lock(&t->lock);
    for (uint32_t i = 0; i < t->n_keys && at < 0; i++) {
        if (!name || memcmp(t->keys[i].name, name, TICKET_NAME_BYTES) == 0)
            at = (int)i;
    }
    if (at >= 0)
        *ret = t->keys[at];
    pthread_mutex_unlock(&t->lock);
    return at;
}

static bool ticket_set_mac(EVP_MAC_CTX *mac, struct ticket_key *key)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_octet_string(OSSL_MAC_PARAM_KEY, key->mac_key, sizeof key->mac_key),
        OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
        OSSL_PARAM_END,
    };

    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* As SSL_CTX_set_tlsext_ticket_key_evp_cb wants it: -1 failed, 0 no such key (a full handshake), 1
 * good, 2 good and to be replaced by a ticket of the newest key. With TLS 1.3 always replaced: a
 * ticket there is for one connection (RFC 8446, C.4), so without another the client's next one is a
 * full handshake. */
int tls_on_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                      EVP_MAC_CTX *mac, int is_new)
{
    const struct tls_session *session = SSL_get_ex_data(ssl, tls_session_index());
    struct tls_tickets *t = session->server->tickets;
    struct ticket_key key;
    int at = tickets_find(t, is_new ? NULL : name, &key);
    int r = -1;

    if (at < 0)
        return 0;
    if (is_new) {
        memcpy(name, key.name, sizeof key.name);
        random_secure(iv, (size_t)EVP_CIPHER_get_iv_length(t->cipher));
    }
    if (EVP_CipherInit_ex2(cipher, t->cipher, key.cipher_key, iv, is_new, NULL) == 1 &&
        ticket_set_mac(mac, &key))
        r = at == 0 && SSL_version(ssl) != TLS1_3_VERSION ? 1 : 2;
    mem_wipe(&key, sizeof key);
    return r;
}
