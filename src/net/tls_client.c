/* How an upstream is verified (tls.h: struct tls_client). Immutable once built, but for one
 * remembered session, which every connection of any worker replaces and offers under a short lock:
 * a connection to the same server name then costs no asymmetric cryptography. The memory belongs to
 * the SSL_CTX, since connections may outlive the struct tls_client. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>

#include "base/assert.h"
#include "base/mem.h"
#include "net/tls_internal.h"

/* ---- the remembered session ---- */

struct tls_memory {
    pthread_mutex_t lock;
    SSL_SESSION *session; /* NULL: none yet */
    char server_name[TLS_NAME_MAX + 1];
};

static pthread_once_t memory_once = PTHREAD_ONCE_INIT;
static int memory_index;

static void tls_memory_free(void *parent UNUSED, void *ptr, CRYPTO_EX_DATA *ad UNUSED,
                            int index UNUSED, long argl UNUSED, void *argp UNUSED)
{
    struct tls_memory *m = ptr;

    if (!m)
        return;
    SSL_SESSION_free(m->session);
    pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

static void tls_memory_index_init(void)
{
    memory_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, tls_memory_free);
    ASSERT(memory_index >= 0);
}

/* Returns 1: the session is ours now. */
static int tls_on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_memory *m = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), memory_index);
    const struct tls_session *from = SSL_get_ex_data(ssl, tls_session_index());
    SSL_SESSION *old;

    pthread_mutex_lock(&m->lock);
    old = m->session;
    m->session = session;
    memcpy(m->server_name, from->server_name, sizeof m->server_name);
    pthread_mutex_unlock(&m->lock);
    SSL_SESSION_free(old);
    return 1;
}

static void tls_remember(SSL_CTX *ctx)
{
    struct tls_memory *m = MEM_NEW(struct tls_memory);
    int is_set;

    pthread_once(&memory_once, tls_memory_index_init);
    pthread_mutex_init(&m->lock, NULL);
    is_set = SSL_CTX_set_ex_data(ctx, memory_index, m);
    ASSERT(is_set == 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, tls_on_new_session);
}

/* Offers a copy: OpenSSL changes a session that it resumes. */
static void tls_recall(SSL_CTX *ctx, struct tls_session *to)
{
    struct tls_memory *m = SSL_CTX_get_ex_data(ctx, memory_index);
    SSL_SESSION *session = NULL;

    pthread_mutex_lock(&m->lock);
    if (m->session && strcmp(m->server_name, to->server_name) == 0)
        session = SSL_SESSION_dup(m->session);
    pthread_mutex_unlock(&m->lock);
    if (session && SSL_SESSION_is_resumable(session))
        SSL_set_session(to->ssl, session);
    SSL_SESSION_free(session);
    ERR_clear_error();
}

/* ---- configuration ---- */

/* `set` takes a list that ends with a NUL. */
static bool tls_client_set_list(SSL_CTX *ctx, struct str list,
                                int (*set)(SSL_CTX *ctx, const char *list))
{
    char *copy;
    bool is_good;

    if (list.len == 0)
        return true;
    if (str_find_char(list, '\0', 0) >= 0)
        return false;
    copy = mem_dup_text(list.ptr, list.len);
    is_good = set(ctx, copy) == 1;
    mem_free(copy);
    return is_good;
}

static int tls_set_groups(SSL_CTX *ctx, const char *list)
{
    return (int)SSL_CTX_set1_groups_list(ctx, list);
}

static int tls_set_signatures(SSL_CTX *ctx, const char *list)
{
    return (int)SSL_CTX_set1_sigalgs_list(ctx, list);
}

static int tls_client_set_exchange(SSL_CTX *ctx, const struct tls_client_config *config,
                                   struct buf *ret_why)
{
    if (!tls_client_set_list(ctx, config->groups, tls_set_groups))
        return tls_fail(ret_why, TLS_BAD_EXCHANGE, "OpenSSL does not know all the ECDH curves");
    if (!tls_client_set_list(ctx, config->signatures, tls_set_signatures))
        return tls_fail(ret_why, TLS_BAD_EXCHANGE,
                        "OpenSSL does not know all the signature algorithms");
    return 0;
}

static int tls_client_init(struct tls_client *t, const struct tls_client_config *config,
                           struct buf *ret_why)
{
    int r = tls_set_ciphers(t->ctx, config->ciphers, ret_why);

    if (r == 0)
        r = tls_client_set_exchange(t->ctx, config, ret_why);
    if (r == 0 && config->certificate_pem.len > 0)
        r = tls_use_pair(t->ctx, config->certificate_pem, config->key_pem, ret_why);
    if (r == 0 && config->ca_pem.len > 0)
        r = tls_add_authorities(SSL_CTX_get_cert_store(t->ctx), NULL, config->ca_pem, ret_why);
    if (r == 0 && config->uses_system_ca && SSL_CTX_set_default_verify_paths(t->ctx) != 1)
        r = tls_fail(ret_why, TLS_BAD_CA, "the system's authorities cannot be read");
    return r;
}

int tls_client_new(const struct tls_client_config *config, struct tls_client **ret_client,
                   struct buf *ret_why)
{
    struct tls_client *t = MEM_NEW(struct tls_client);
    int r;

    t->ctx = SSL_CTX_new(TLS_client_method());
    ASSERT(t->ctx != NULL);
    t->skips_verification = config->skips_verification;
    SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    tls_set_io(t->ctx);
    tls_remember(t->ctx);
    SSL_CTX_set_verify(t->ctx, config->skips_verification ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                       NULL);
    SSL_CTX_set_min_proto_version(t->ctx,
                                  config->min_version ? config->min_version : TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(t->ctx,
                                  config->max_version ? config->max_version : TLS1_3_VERSION);
    if (config->verify_host.len > 0)
        t->verify_host = mem_dup_text(config->verify_host.ptr, config->verify_host.len);
    t->alt_names = mem_alloc_zero((config->n_alt_names + 1) * sizeof(char *));
    for (; t->n_alt_names < config->n_alt_names; t->n_alt_names++)
        t->alt_names[t->n_alt_names] = mem_dup_text(config->alt_names[t->n_alt_names].ptr,
                                                    config->alt_names[t->n_alt_names].len);
    r = tls_client_init(t, config, ret_why);
    if (r != 0) {
        tls_client_free(t);
        return r;
    }
    *ret_client = t;
    return 0;
}

void tls_client_free(struct tls_client *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n_alt_names; i++)
        mem_free(t->alt_names[i]);
    mem_free(t->alt_names);
    mem_free(t->verify_host);
    SSL_CTX_free(t->ctx);
    mem_free(t);
}

static bool tls_is_address(const char *name)
{
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS(name);

    ASN1_OCTET_STRING_free(ip);
    ERR_clear_error();
    return ip != NULL;
}

static bool tls_client_set_names(const struct tls_client *t, struct tls_session *session)
{
    SSL *ssl = session->ssl;
    const char *name = session->server_name;
    const char *verify = t->verify_host ? t->verify_host : name;

    if (name[0] && !tls_is_address(name) && SSL_set_tlsext_host_name(ssl, name) != 1)
        return false;
    if (t->skips_verification)
        return true;
    /* Only names in subjectAltName count (RFC 9525 section 6.3), and `*` only as a whole label. */
    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (t->n_alt_names > 0)
        verify = t->alt_names[0];
    if (verify[0] == '\0')
        return false; /* no name to verify: never connect unverified */
    if (t->n_alt_names <= 1 && tls_is_address(verify))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), verify) == 1;
    if (SSL_set1_host(ssl, verify) != 1)
        return false;
    for (size_t i = 1; i < t->n_alt_names; i++) {
        if (SSL_add1_host(ssl, t->alt_names[i]) != 1)
            return false;
    }
    return true;
}

bool tls_client_prepare(const struct tls_client *t, struct tls_session *session,
                        struct str server_name)
{
    /* A name with an inner NUL would be cut into another one. */
    if (server_name.len > TLS_NAME_MAX || str_find_char(server_name, '\0', 0) >= 0)
        return false;
    if (server_name.len > 0)
        memcpy(session->server_name, server_name.ptr, server_name.len);
    session->server_name[server_name.len] = '\0';
    if (!tls_client_set_names(t, session))
        return false;
    tls_recall(t->ctx, session);
    return true;
}
