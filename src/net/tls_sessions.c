/* See tls_sessions.h. A session is kept as the bytes that OpenSSL makes of it, without its chain of
 * certificates: small, of a known size, and no context's. OpenSSL asks in the middle of a handshake
 * and compares listener and rules (the id context) itself; a client's certificate is judged again
 * here, since time has gone on. */
#include "net/tls_sessions.h"

#include <openssl/err.h>
#include <pthread.h>

#include "base/limits.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "net/tls_internal.h"

struct kept_session {
    struct list_node node;
    unsigned char id[SSL_MAX_SSL_SESSION_ID_LENGTH];
    unsigned n_id;
    uint64_t generation;
    size_t n_bytes;
    unsigned char bytes[];
};

struct tls_sessions {
    pthread_mutex_t lock;
    struct map by_id;
    struct list by_use; /* the least recently used first */
    uint64_t generation;
};

struct tls_sessions *tls_sessions_new(void)
{
    struct tls_sessions *t = MEM_NEW(struct tls_sessions);

    pthread_mutex_init(&t->lock, NULL);
    return t;
}

static struct str kept_id(const struct kept_session *k)
{
    return str_make(k->id, k->n_id);
}

static void kept_drop(struct tls_sessions *t, struct kept_session *k)
{
    map_remove(&t->by_id, kept_id(k));
    list_remove(&k->node);
    mem_wipe(k->bytes, k->n_bytes);
    mem_free(k);
}

void tls_sessions_free(struct tls_sessions *t)
{
    if (!t)
        return;
    LIST_FOREACH (&t->by_use, node)
        kept_drop(t, CONTAINER_OF(node, struct kept_session, node));
    map_deinit(&t->by_id);
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
}

void tls_sessions_age(struct tls_sessions *t)
{
    pthread_mutex_lock(&t->lock);
    t->generation++;
    LIST_FOREACH (&t->by_use, node) {
        struct kept_session *k = CONTAINER_OF(node, struct kept_session, node);

        if (k->generation + 2 <= t->generation)
            kept_drop(t, k);
    }
    pthread_mutex_unlock(&t->lock);
}

size_t tls_sessions_count(struct tls_sessions *t)
{
    size_t n;

    pthread_mutex_lock(&t->lock);
    n = t->by_use.n_nodes;
    pthread_mutex_unlock(&t->lock);
    return n;
}

/* ---- what OpenSSL asks ---- */

static struct tls_entry *sessions_entry(SSL *ssl)
{
    const struct tls_session *session = SSL_get_ex_data(ssl, tls_session_index());

    return &session->server->entries[session->entry];
}

/* NULL: it is too large, or has no id. */
static struct kept_session *kept_new(SSL_SESSION *session)
{
    int n_bytes = i2d_SSL_SESSION(session, NULL);
    struct kept_session *k;
    unsigned char *to;
    unsigned n_id;
    const unsigned char *id = SSL_SESSION_get_id(session, &n_id);

    if (n_bytes <= 0 || n_bytes > LIMIT_TLS_SESSION_BYTES || n_id == 0 || n_id > sizeof k->id)
        return NULL;
    k = mem_alloc_zero(sizeof *k + (size_t)n_bytes);
    memcpy(k->id, id, n_id);
    k->n_id = n_id;
    k->n_bytes = (size_t)n_bytes;
    to = k->bytes;
    i2d_SSL_SESSION(session, &to);
    return k;
}

/* 0: the reference stays OpenSSL's. */
static int on_new(SSL *ssl, SSL_SESSION *session)
{
    struct tls_sessions *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct kept_session *k;
    struct kept_session *same;

    if (!sessions_entry(ssl)->remembers_sessions || SSL_version(ssl) >= TLS1_3_VERSION)
        return 0; /* of 1.3 the ticket is the session */
    k = kept_new(session);
    if (!k)
        return 0;
    pthread_mutex_lock(&t->lock);
    same = map_find(&t->by_id, kept_id(k));
    if (same)
        kept_drop(t, same);
    if (t->by_use.n_nodes >= LIMIT_TLS_SESSIONS)
        kept_drop(t, CONTAINER_OF(t->by_use.first, struct kept_session, node));
    k->generation = t->generation;
    map_put(&t->by_id, kept_id(k), k);
    list_append(&t->by_use, &k->node);
    pthread_mutex_unlock(&t->lock);
    return 0;
}

static SSL_SESSION *on_get(SSL *ssl, const unsigned char *id, int n_id, int *ret_copies)
{
    struct tls_sessions *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const struct tls_entry *e = sessions_entry(ssl);
    SSL_SESSION *session = NULL;
    struct kept_session *k;

    *ret_copies = 0;
    if (!e->remembers_sessions || n_id <= 0)
        return NULL;
    pthread_mutex_lock(&t->lock);
    k = map_find(&t->by_id, str_make(id, (size_t)n_id));
    if (k) {
        const unsigned char *from = k->bytes;

        list_move(&t->by_use, &k->node);
        session = d2i_SSL_SESSION(NULL, &from, (long)k->n_bytes);
    }
    pthread_mutex_unlock(&t->lock);
    if (session && tls_peer_is_still_good(e, session))
        return session;
    SSL_SESSION_free(session);
    ERR_clear_error();
    return NULL;
}

/* A connection that ends with a fatal alert takes its session along (RFC 5246 7.2.2). */
static void on_remove(SSL_CTX *ctx, SSL_SESSION *session)
{
    struct tls_sessions *t = SSL_CTX_get_app_data(ctx);
    unsigned n_id;
    const unsigned char *id = SSL_SESSION_get_id(session, &n_id);
    struct kept_session *k;

    pthread_mutex_lock(&t->lock);
    k = n_id > 0 ? map_find(&t->by_id, str_make(id, n_id)) : NULL;
    if (k)
        kept_drop(t, k);
    pthread_mutex_unlock(&t->lock);
}

void tls_sessions_use(struct tls_sessions *t, SSL_CTX *ctx)
{
    SSL_CTX_set_app_data(ctx, t);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL |
                                            SSL_SESS_CACHE_NO_AUTO_CLEAR);
    SSL_CTX_sess_set_new_cb(ctx, on_new);
    SSL_CTX_sess_set_get_cb(ctx, on_get);
    SSL_CTX_sess_set_remove_cb(ctx, on_remove);
}
