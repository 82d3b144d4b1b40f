/* TLS configurations over OpenSSL 3: certificates, ciphers, servers (clients: tls_client.c). A
 * server is a list of entries, one SSL_CTX each; the ClientHello callback selects by server name
 * (exact, then the longest wildcard, then the entry without a name) and refuses a name that nobody
 * serves. Sessions resume only within one entry and its rules, which their id context tells, over
 * reloads too; keys of tickets are the process's (tls_tickets.h). */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/tls_internal.h"
#include "net/tls_sessions.h"

#define TLS_DEFAULT_CIPHERS                                                                        \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"     \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

int tls_fail(struct buf *ret_why, enum tls_condition code, const char *text)
{
    unsigned long error = ERR_peek_error();
    char reason[160];

    ERR_error_string_n(error, reason, sizeof reason);
    if (ret_why)
        buf_printf(ret_why, error ? "%s (%s)" : "%s", text, reason);
    ERR_clear_error();
    return (int)code;
}

static void x509_free_ptr(X509 **x)
{
    X509_free(*x);
}
static void pkey_free_ptr(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

int tls_no_password(char *buf UNUSED, int size UNUSED, int rwflag UNUSED, void *u UNUSED)
{
    return 0; /* an encrypted key is refused, never asked about on a terminal */
}

/* ---- certificates and keys ---- */

void tls_bio_free(BIO **bio)
{
    BIO_free(*bio);
}

/* Reading PEM objects until there is none ends with this error, and with no other. */
bool tls_is_pem_end(void)
{
    unsigned long error = ERR_peek_last_error();
    bool is_end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;

    if (is_end)
        ERR_clear_error();
    return is_end;
}

BIO *tls_bio(struct str pem)
{
    return pem.len > 0 && pem.len < INT32_MAX ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
}

static EVP_PKEY *tls_read_key(struct str pem)
{
    BIO *bio AUTO(tls_bio_free) = tls_bio(pem);

    return bio ? PEM_read_bio_PrivateKey(bio, NULL, tls_no_password, NULL) : NULL;
}

static X509 *tls_read_leaf(struct str pem)
{
    BIO *bio AUTO(tls_bio_free) = tls_bio(pem);

    return bio ? PEM_read_bio_X509(bio, NULL, tls_no_password, NULL) : NULL;
}

static int64_t tls_not_after(const X509 *leaf)
{
    struct tm tm = {0};

    return ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

int tls_check_pair(struct str certificate_pem, struct str key_pem, int64_t *ret_not_after_s,
                   struct buf *ret_why)
{
    X509 *leaf AUTO(x509_free_ptr) = tls_read_leaf(certificate_pem);
    EVP_PKEY *key AUTO(pkey_free_ptr) = NULL;

    if (!leaf)
        return tls_fail(ret_why, TLS_BAD_CERTIFICATE, "the certificate is not valid PEM");
    key = tls_read_key(key_pem);
    if (!key)
        return tls_fail(ret_why, TLS_BAD_KEY,
                        "the private key is not valid PEM, or it is encrypted");
    if (X509_check_private_key(leaf, key) != 1)
        return tls_fail(ret_why, TLS_KEY_MISMATCH,
                        "the private key does not belong to the certificate");
    if (ret_not_after_s)
        *ret_not_after_s = tls_not_after(leaf);
    return 0;
}

int tls_use_pair(SSL_CTX *ctx, struct str certificate_pem, struct str key_pem, struct buf *ret_why)
{
    BIO *bio AUTO(tls_bio_free) = tls_bio(certificate_pem);
    EVP_PKEY *key AUTO(pkey_free_ptr) = tls_read_key(key_pem);
    X509 *leaf AUTO(x509_free_ptr) =
        bio ? PEM_read_bio_X509(bio, NULL, tls_no_password, NULL) : NULL;
    X509 *link;

    if (!leaf || SSL_CTX_use_certificate(ctx, leaf) != 1)
        return tls_fail(ret_why, TLS_BAD_CERTIFICATE, "the certificate is not usable");
    while ((link = PEM_read_bio_X509(bio, NULL, tls_no_password, NULL))) {
        if (SSL_CTX_add0_chain_cert(ctx, link) != 1) {
            X509_free(link);
            return tls_fail(ret_why, TLS_BAD_CERTIFICATE, "the certificate chain is not usable");
        }
    }
    if (!tls_is_pem_end())
        return tls_fail(ret_why, TLS_BAD_CERTIFICATE, "the certificate chain is not valid PEM");
    if (!key)
        return tls_fail(ret_why, TLS_BAD_KEY,
                        "the private key is not valid PEM, or it is encrypted");
    if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
        return tls_fail(ret_why, TLS_KEY_MISMATCH,
                        "the private key does not belong to the certificate");
    return 0;
}

int tls_add_authorities(X509_STORE *store, SSL_CTX *naming, struct str pem, struct buf *ret_why)
{
    BIO *bio AUTO(tls_bio_free) = tls_bio(pem);
    X509 *ca;
    int n = 0;

    while (bio && (ca = PEM_read_bio_X509(bio, NULL, tls_no_password, NULL))) {
        n += X509_STORE_add_cert(store, ca) == 1 &&
             (!naming || SSL_CTX_add_client_CA(naming, ca) == 1);
        X509_free(ca);
    }
    if (bio && !tls_is_pem_end())
        return tls_fail(ret_why, TLS_BAD_CA, "the CA bundle is not valid PEM");
    return n > 0 ? 0 : tls_fail(ret_why, TLS_BAD_CA, "the CA bundle holds no certificate");
}

/* One cipher suite, no word of OpenSSL's for many, and no instruction: those are NULL. */
static const SSL_CIPHER *tls_find_cipher(SSL_CTX *ctx, const char *name)
{
    const STACK_OF(SSL_CIPHER) * known;

    if (SSL_CTX_set_cipher_list(ctx, name) != 1)
        return NULL;
    known = SSL_CTX_get_ciphers(ctx);
    for (int i = 0; i < sk_SSL_CIPHER_num(known); i++) {
        const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(known, i);

        if (strcmp(SSL_CIPHER_get_name(cipher), name) == 0)
            return cipher;
    }
    return NULL;
}

/* Forward secrecy and AEAD: else RFC 9113 9.2.2 forbids HTTP/2 over it (its Appendix A). */
static bool tls_is_strong(const SSL_CIPHER *cipher)
{
    int exchange = SSL_CIPHER_get_kx_nid(cipher);

    return SSL_CIPHER_is_aead(cipher) &&
           (exchange == NID_kx_ecdhe || exchange == NID_kx_dhe || exchange == NID_kx_any);
}

void tls_list_weak(struct str ciphers, struct buf *ret_names)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    char name[TLS_CIPHERS_MAX + 1];
    struct str part;

    ASSERT(ctx != NULL);
    while (ciphers.len > 0 && str_split(&ciphers, ':', &part)) {
        const SSL_CIPHER *cipher;

        if (part.len >= sizeof name)
            continue;
        memcpy(name, part.ptr, part.len);
        name[part.len] = '\0';
        cipher = tls_find_cipher(ctx, name);
        if (cipher && !tls_is_strong(cipher))
            buf_printf(ret_names, "%s%s", ret_names->len > 0 ? ", " : "", name);
    }
    ERR_clear_error();
    SSL_CTX_free(ctx);
}

int tls_set_ciphers(SSL_CTX *ctx, struct str ciphers, struct buf *ret_why)
{
    char list[TLS_CIPHERS_MAX + 1] = "";
    struct str rest = ciphers;
    struct str part;
    size_t len = 0;

    if (ciphers.len > TLS_CIPHERS_MAX)
        return tls_fail(ret_why, TLS_BAD_CIPHERS, "the list of cipher suites is too long");
    while (rest.len > 0 && str_split(&rest, ':', &part)) {
        char why[160];
        char *name = list + len + (len > 0);

        if (str_starts_with(part, STR("TLS_")))
            continue; /* of TLS 1.3, where all suites are good ones and none is switched off */
        memcpy(name, part.ptr, part.len);
        name[part.len] = '\0';
        if (!tls_find_cipher(ctx, name)) {
            snprintf(why, sizeof why, "\"%s\" is not a cipher suite of OpenSSL", name);
            ERR_clear_error();
            return tls_fail(ret_why, TLS_BAD_CIPHERS, why);
        }
        if (len > 0)
            list[len] = ':';
        len = (size_t)(name - list) + part.len;
    }
    if (SSL_CTX_set_cipher_list(ctx, len ? list : TLS_DEFAULT_CIPHERS) != 1)
        return tls_fail(ret_why, TLS_BAD_CIPHERS, "no cipher suite of the list is usable");
    return 0;
}

/* ---- server ---- */

/* OpenSSL asks for the protocol after it has chosen the suite: a configured one that HTTP/2 must
 * not have is spoken over in HTTP/1.1, instead of ending the connection with INADEQUATE_SECURITY.
 */
static bool tls_may_be_h2(SSL *ssl)
{
    const SSL_CIPHER *cipher = SSL_get_pending_cipher(ssl);

    return SSL_version(ssl) >= TLS1_3_VERSION || (cipher && tls_is_strong(cipher));
}

static int tls_on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *arg UNUSED)
{
    const struct tls_session *session = SSL_get_ex_data(ssl, tls_session_index());
    const struct tls_entry *e = &session->server->entries[session->entry];
    bool may_be_h2 = tls_may_be_h2(ssl);
    unsigned char *selected;
    unsigned n;

    for (unsigned at = 0; at < e->n_alpn; at += n) {
        const unsigned char *ours = e->alpn + at;

        n = 1U + ours[0];
        if (!may_be_h2 && n == 3 && memcmp(ours + 1, "h2", 2) == 0)
            continue;
        if (SSL_select_next_proto(&selected, out_len, ours, n, in, in_len) ==
            OPENSSL_NPN_NEGOTIATED) {
            *out = selected;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 3.2: no_application_protocol */
}

static unsigned tls_rank(struct str pattern, struct str name)
{
    if (pattern.len == 0)
        return 1;
    if (str_eq(pattern, name))
        return UINT32_MAX;
    if (pattern.len > 2 && pattern.ptr[0] == '*' && name.len > pattern.len - 1 &&
        str_ends_with(name, str_slice(pattern, 1, pattern.len)))
        return (unsigned)pattern.len + 1;
    return 0;
}

static bool tls_fits(const struct tls_entry *e, struct str name)
{
    return name.len > 0 && X509_check_host(SSL_CTX_get0_certificate(e->ctx), name.ptr, name.len,
                                           X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
                                           NULL) == 1;
}

/* The hostname decides; among the certificates of one listener, which fits. Whether the best so far
 * does is asked once: reading a certificate's names costs the more, the more it has. */
static int tls_select(const struct tls_server *server, struct str name)
{
    unsigned best_rank = 0;
    bool is_asked = false, fits = false;
    int best = -1;

    for (size_t i = 0; i < server->n; i++) {
        unsigned rank = tls_rank(server->entries[i].hostname, name);

        if (rank > best_rank) {
            best_rank = rank;
            best = (int)i;
            is_asked = fits = false;
        } else if (rank > 0 && rank == best_rank) {
            fits = is_asked ? fits : tls_fits(&server->entries[best], name);
            is_asked = true;
            if (!fits && tls_fits(&server->entries[i], name)) {
                fits = true;
                best = (int)i;
            }
        }
    }
    return best;
}

/* server_name extension (RFC 6066 section 3): a list of one host_name, and nothing behind it. */
bool tls_parse_server_name(const unsigned char *p, size_t len, char ret_name[TLS_NAME_MAX + 1])
{
    enum { HEAD = 5 }; /* length of the list, type, length of the name */
    size_t list_len, name_len;

    ret_name[0] = '\0';
    if (len < HEAD)
        return false;
    list_len = (size_t)p[0] << 8 | p[1];
    name_len = (size_t)p[3] << 8 | p[4];
    if (list_len + 2 != len || p[2] != TLSEXT_NAMETYPE_host_name || name_len + HEAD != len ||
        name_len == 0 || name_len > TLS_NAME_MAX || memchr(p + HEAD, 0, name_len))
        return false;
    for (size_t i = 0; i < name_len; i++)
        ret_name[i] = str_lower_char((char)p[HEAD + i]);
    ret_name[name_len] = '\0';
    return true;
}

static bool tls_read_server_name(SSL *ssl, char ret_name[TLS_NAME_MAX + 1])
{
    const unsigned char *p;
    size_t len;

    ret_name[0] = '\0';
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &len) != 1)
        return true;
    return tls_parse_server_name(p, len, ret_name);
}

static int tls_on_client_hello(SSL *ssl, int *alert, void *arg UNUSED)
{
    struct tls_session *session = SSL_get_ex_data(ssl, tls_session_index());
    int i;

    if (!tls_read_server_name(ssl, session->server_name)) {
        *alert = SSL_AD_DECODE_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }
    i = tls_select(session->server, str_of(session->server_name));
    if (i < 0) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_CLIENT_HELLO_ERROR;
    }
    const struct tls_entry *e = &session->server->entries[i];

    session->entry = i;
    /* Versions, groups and verification are copied at SSL_new and not by SSL_set_SSL_CTX: set them
     * again.
     */
    SSL_set_verify(ssl, e->verify_mode, tls_on_verify);
    if (!SSL_set_SSL_CTX(ssl, e->ctx) ||
        (e->groups[0] && SSL_set1_groups_list(ssl, e->groups) != 1) ||
        SSL_set_min_proto_version(ssl, e->min_version) != 1 ||
        SSL_set_max_proto_version(ssl, e->max_version) != 1) {
        *alert = SSL_AD_INTERNAL_ERROR;
        return SSL_CLIENT_HELLO_ERROR;
    }
    return SSL_CLIENT_HELLO_SUCCESS;
}

static int tls_on_server_name(SSL *ssl UNUSED, int *alert UNUSED, void *arg UNUSED)
{
    return SSL_TLSEXT_ERR_OK; /* decided in the ClientHello callback; here so that the name is
                                 acknowledged */
}

void tls_set_io(SSL_CTX *ctx)
{
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1); /* one recv for several records, not two for each */
}

/* A session is worth something only under the very rules it was made under: a ticket of a listener
 * that asks for no certificate, or trusts other authorities, must not stand in for one here. All of
 * them are in the id context, by a digest that nobody can collide. */
static void tls_set_session_context(SSL_CTX *ctx, const struct tls_entry_config *config)
{
    const struct str parts[] = {config->identity, config->hostname, config->certificate_pem,
                                config->ciphers,  config->groups,   config->signatures,
                                config->protocols};
    unsigned char digest[SSL_MAX_SID_CTX_LENGTH];
    struct buf rules = {0};
    int is_set;

    buf_printf(&rules, "%d-%d", config->min_version, config->max_version);
    for (size_t i = 0; i < N_ELEMENTS(parts); i++) {
        buf_printf(&rules, " %zu:", parts[i].len);
        buf_append_str(&rules, parts[i]);
    }
    tls_append_client_rule(config, &rules);
    is_set = EVP_Q_digest(NULL, "SHA256", NULL, rules.ptr, rules.len, digest, NULL) == 1 &&
             SSL_CTX_set_session_id_context(ctx, digest, sizeof digest) == 1;
    ASSERT(is_set);
    buf_deinit(&rules);
}

/* `list` into `room` of TLS_LIST_MAX + 1 bytes. */
static bool tls_copy_list(struct str list, char *room)
{
    if (list.len > TLS_LIST_MAX || memchr(list.ptr, '\0', list.len))
        return false;
    memcpy(room, list.ptr, list.len);
    room[list.len] = '\0';
    return true;
}

/* Key exchange and signatures of handshakes. */
static int tls_set_exchange(struct tls_entry *e, const struct tls_entry_config *config,
                            struct buf *ret_why)
{
    char signatures[TLS_LIST_MAX + 1];
    bool is_good = true;

    if (config->groups.len > 0)
        is_good = tls_copy_list(config->groups, e->groups) &&
                  SSL_CTX_set1_groups_list(e->ctx, e->groups) == 1;
    if (!is_good)
        return tls_fail(ret_why, TLS_BAD_EXCHANGE, "OpenSSL does not know all the ECDH curves");
    if (config->signatures.len > 0)
        is_good = tls_copy_list(config->signatures, signatures) &&
                  SSL_CTX_set1_sigalgs_list(e->ctx, signatures) == 1;
    if (!is_good)
        return tls_fail(ret_why, TLS_BAD_EXCHANGE,
                        "OpenSSL does not know all the signature algorithms");
    return 0;
}

static int tls_set_alpn(struct tls_entry *e, struct str protocols, struct buf *ret_why)
{
    struct str rest = protocols.len > 0 ? protocols : STR("h2:http/1.1");
    struct str name;

    while (str_split(&rest, ':', &name)) {
        if (!str_eq(name, STR("h2")) && !str_eq(name, STR("http/1.1")) &&
            !str_eq(name, STR("http/1.0")))
            return tls_fail(ret_why, TLS_BAD_EXCHANGE,
                            "of application protocols there are h2, http/1.1 and http/1.0");
        if (e->n_alpn + 1 + name.len > TLS_ALPN_MAX)
            return tls_fail(ret_why, TLS_BAD_EXCHANGE, "application protocols are repeated");
        e->alpn[e->n_alpn] = (unsigned char)name.len;
        memcpy(e->alpn + e->n_alpn + 1, name.ptr, name.len);
        e->n_alpn += 1 + (unsigned)name.len;
    }
    return 0;
}

static int tls_entry_init(struct tls_entry *e, const struct tls_entry_config *config,
                          struct buf *ret_why)
{
    int r;

    e->hostname =
        str_make(mem_dup_text(config->hostname.ptr, config->hostname.len), config->hostname.len);
    e->min_version = MAX(config->min_version, TLS1_2_VERSION); /* whoever asks for less */
    e->max_version = config->max_version ? config->max_version : TLS1_3_VERSION;
    if (e->min_version > e->max_version)
        return tls_fail(ret_why, TLS_BAD_VERSIONS, "the lowest version is above the highest");
    e->ctx = SSL_CTX_new(TLS_server_method());
    ASSERT(e->ctx != NULL);
    SSL_CTX_set_options(e->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                    SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                    SSL_OP_IGNORE_UNEXPECTED_EOF);
    tls_set_io(e->ctx);
    SSL_CTX_set_session_cache_mode(e->ctx,
                                   SSL_SESS_CACHE_OFF); /* tickets only, unless tls_sessions_use */
    SSL_CTX_set_num_tickets(e->ctx, 1);
    /* No longer than its key lives after it was made. */
    SSL_CTX_set_timeout(e->ctx, 2 * LIMIT_TICKET_KEY_S);
    SSL_CTX_set_max_cert_list(e->ctx, LIMIT_CLIENT_CHAIN_BYTES);
    SSL_CTX_set_min_proto_version(e->ctx, e->min_version);
    SSL_CTX_set_max_proto_version(e->ctx, e->max_version);
    SSL_CTX_set_alpn_select_cb(e->ctx, tls_on_alpn, NULL);
    SSL_CTX_set_client_hello_cb(e->ctx, tls_on_client_hello, NULL);
    SSL_CTX_set_tlsext_servername_callback(e->ctx, tls_on_server_name);
    tls_set_session_context(e->ctx, config);
    tls_staple(e, config);
    e->tells_chain = config->tells_chain;
    e->remembers_sessions = config->remembers_sessions;
    r = tls_set_ciphers(e->ctx, config->ciphers, ret_why);
    if (r == 0)
        r = tls_set_exchange(e, config, ret_why);
    if (r == 0)
        r = tls_set_alpn(e, config->protocols, ret_why);
    if (r == 0)
        r = tls_ask_clients(e, config, ret_why);
    return r ? r : tls_use_pair(e->ctx, config->certificate_pem, config->key_pem, ret_why);
}

int tls_server_new(const struct tls_entry_config *entries, size_t n, struct tls_server **ret_server,
                   struct buf *ret_why)
{
    struct tls_server *t = mem_alloc_zero(sizeof *t + n * sizeof t->entries[0]);

    PRE(n > 0);
    tls_session_index();
    atomic_init(&t->n_refs, 1);
    for (; t->n < n; t->n++) {
        int r = tls_entry_init(&t->entries[t->n], &entries[t->n], ret_why);

        if (r != 0) {
            t->n++;
            tls_server_unref(t);
            return r;
        }
    }
    *ret_server = t;
    return 0;
}

void tls_server_use_tickets(struct tls_server *t, struct tls_tickets *tickets)
{
    bool remembers_any = false;

    PRE(!t->tickets);
    t->tickets = tls_tickets_ref(tickets);
    for (size_t i = 0; i < t->n; i++) {
        SSL_CTX_set_tlsext_ticket_key_evp_cb(t->entries[i].ctx, tls_on_ticket_key);
        remembers_any |= t->entries[i].remembers_sessions;
    }
    /* On every entry: the context that a connection began with is asked, and that which its server
     * name has chosen says whether there is an id. */
    for (size_t i = 0; remembers_any && i < t->n; i++)
        tls_sessions_use(tls_tickets_sessions(tickets), t->entries[i].ctx);
}

struct tls_server *tls_server_ref(struct tls_server *t)
{
    atomic_fetch_add_explicit(&t->n_refs, 1, memory_order_relaxed);
    return t;
}

void tls_server_unref(struct tls_server *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < t->n; i++) {
        SSL_CTX_free(t->entries[i].ctx);
        tls_forget_clients(&t->entries[i]);
        mem_free((void *)(uintptr_t)t->entries[i].ocsp.ptr);
        mem_free((void *)(uintptr_t)t->entries[i].hostname.ptr);
    }
    tls_tickets_unref(t->tickets);
    mem_free(t);
}
