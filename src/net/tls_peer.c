/* Certificates of clients: the rule of an entry, judged anew when a ticket is offered, and what a
 * verified certificate says, for headers and logs.
 *
 * Owner: the rule belongs to its tls_entry, a struct tls_peer to its connection. Compile thread,
 * then workers. Which clients may come is decided here and by OpenSSL's verification alone; what
 * they may do is left to policies. */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"
#include "net/tls_internal.h"

enum { PEER_ARENA_BYTES = 4096 };

/* ---- the rule ---- */

void tls_append_client_rule(const struct tls_entry_config *config, struct buf *to)
{
    buf_printf(to, " %d %d %zu:", config->is_client_optional, config->is_only_leaf_looked_up,
               config->client_ca_pem.len);
    buf_append_str(to, config->client_ca_pem);
    buf_printf(to, " %zu:", config->client_crl_pem.len);
    buf_append_str(to, config->client_crl_pem);
    for (size_t i = 0; i < config->n_client_pins; i++) {
        buf_append_char(to, config->client_pins[i].is_key ? 'k' : 'c');
        buf_append(to, config->client_pins[i].digest, TLS_PIN_BYTES);
    }
    if (config->allows_expired)
        buf_append_str(to, STR(" expired"));
    if (config->accepts_unverified)
        buf_append_str(to, STR(" unverified"));
    tls_names_format(config->client_names, config->n_client_names, to);
}

uint64_t tls_client_rule(const struct tls_entry_config *config)
{
    struct buf rule = {0};
    uint64_t id;

    if (config->client_ca_pem.len == 0 && !config->accepts_unverified)
        return 0;
    tls_append_client_rule(config, &rule);
    id = hash_str(buf_str(&rule));
    buf_deinit(&rule);
    return id ? id : 1;
}

static bool pin_parse_hex(struct str text, unsigned char ret_digest[TLS_PIN_BYTES])
{
    bool has_colons = text.len == 3 * TLS_PIN_BYTES - 1;
    size_t step = has_colons ? 3 : 2;

    if (!has_colons && text.len != 2 * TLS_PIN_BYTES)
        return false;
    for (size_t i = 0; i < TLS_PIN_BYTES; i++) {
        int high = OPENSSL_hexchar2int((unsigned char)text.ptr[i * step]);
        int low = OPENSSL_hexchar2int((unsigned char)text.ptr[i * step + 1]);

        if (high < 0 || low < 0 || (has_colons && i > 0 && text.ptr[i * step - 1] != ':'))
            return false;
        ret_digest[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static bool pin_parse_base64(struct str text, unsigned char ret_digest[TLS_PIN_BYTES])
{
    enum { TEXT_BYTES = 44, ROOM = 33 }; /* one sign `=` at the end */
    unsigned char room[ROOM];

    if (text.len != TEXT_BYTES || text.ptr[TEXT_BYTES - 1] != '=' ||
        text.ptr[TEXT_BYTES - 2] == '=' ||
        EVP_DecodeBlock(room, (const unsigned char *)text.ptr, TEXT_BYTES) != ROOM)
        return false;
    memcpy(ret_digest, room, TLS_PIN_BYTES);
    return true;
}

bool tls_pin_parse(struct str text, bool is_key, struct tls_pin *ret)
{
    ret->is_key = is_key;
    return is_key ? pin_parse_base64(text, ret->digest) : pin_parse_hex(text, ret->digest);
}

static bool peer_digest(const X509 *x, bool is_key, unsigned char ret_digest[EVP_MAX_MD_SIZE])
{
    unsigned char *der = NULL;
    unsigned n = 0;
    int len;
    bool is_done;

    if (!is_key)
        return X509_digest(x, EVP_sha256(), ret_digest, &n) == 1 && n == TLS_PIN_BYTES;
    len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
    is_done = len > 0 && EVP_Digest(der, (size_t)len, ret_digest, &n, EVP_sha256(), NULL) == 1 &&
              n == TLS_PIN_BYTES;
    OPENSSL_free(der);
    return is_done;
}

static bool peer_is_pinned(const struct tls_entry *e, const X509 *x)
{
    unsigned char digests[2][EVP_MAX_MD_SIZE]; /* of the certificate, of its key */

    if (e->n_pins == 0)
        return true;
    if (!peer_digest(x, false, digests[0]) || !peer_digest(x, true, digests[1]))
        return false;
    for (size_t i = 0; i < e->n_pins; i++) {
        if (memcmp(e->pins[i].digest, digests[e->pins[i].is_key], TLS_PIN_BYTES) == 0)
            return true;
    }
    return false;
}

static bool peer_is_one_of(const struct tls_entry *e, const X509 *x)
{
    return peer_is_pinned(e, x) && tls_names_pass(e->names, e->n_names, x);
}

/* Of the client's own certificate only: an authority whose time is over vouches for nobody. */
static int peer_forgive_expired(int is_good, X509_STORE_CTX *ctx)
{
    if (is_good || X509_STORE_CTX_get_error_depth(ctx) > 0 ||
        X509_STORE_CTX_get_error(ctx) != X509_V_ERR_CERT_HAS_EXPIRED)
        return is_good;
    X509_STORE_CTX_set_error(ctx, X509_V_OK);
    return 1;
}

int tls_on_verify(int is_good, X509_STORE_CTX *ctx)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *session = SSL_get_ex_data(ssl, tls_session_index());
    const struct tls_entry *e = &session->server->entries[session->entry];

    if (!is_good && e->allows_expired)
        is_good = peer_forgive_expired(is_good, ctx);
    if (is_good && X509_STORE_CTX_get_error_depth(ctx) == 0 &&
        !peer_is_one_of(e, X509_STORE_CTX_get_current_cert(ctx))) {
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_APPLICATION_VERIFICATION);
        is_good = 0;
    }
    if (is_good || !e->accepts_unverified)
        return is_good;
    session->is_unverified = true; /* for good: the client is in, and has proved nothing */
    return 1;
}

static void peer_store_ctx_free(X509_STORE_CTX **ctx)
{
    X509_STORE_CTX_free(*ctx);
}

/* Does the certificate of a remembered session still pass? Time has gone on since. One that needs
 * intermediate certificates, which tickets do not carry, does not: its client shows them again. Nor
 * does one that never passed, where such are let in. */
bool tls_peer_is_still_good(const struct tls_entry *e, SSL_SESSION *session)
{
    X509 *certificate = SSL_SESSION_get0_peer(session);
    X509_STORE_CTX *ctx AUTO(peer_store_ctx_free) = NULL;
    bool is_good;

    if (e->verify_mode == SSL_VERIFY_NONE)
        return certificate == NULL;
    if (!certificate)
        return !(e->verify_mode & SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
    ctx = X509_STORE_CTX_new();
    is_good = ctx && X509_STORE_CTX_init(ctx, e->authorities, certificate, NULL) == 1 &&
              X509_STORE_CTX_set_default(ctx, "ssl_client") == 1;
    if (is_good && e->allows_expired)
        X509_STORE_CTX_set_verify_cb(ctx, peer_forgive_expired);
    is_good = is_good && X509_verify_cert(ctx) == 1 && peer_is_one_of(e, certificate);
    ERR_clear_error();
    return is_good;
}

static SSL_TICKET_RETURN peer_on_ticket(SSL *ssl, SSL_SESSION *resumed,
                                        const unsigned char *key_name UNUSED,
                                        size_t key_name_len UNUSED, SSL_TICKET_STATUS status,
                                        void *arg UNUSED)
{
    const struct tls_session *session = SSL_get_ex_data(ssl, tls_session_index());

    if ((status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) ||
        !tls_peer_is_still_good(&session->server->entries[session->entry], resumed))
        return SSL_TICKET_RETURN_IGNORE_RENEW; /* a full handshake, and a new ticket */
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

/* Once lists are there, an authority without one lets nobody in, nor one whose list is outdated. */
static int peer_add_revoked(X509_STORE *store, const struct tls_entry_config *config,
                            struct buf *ret_why)
{
    BIO *bio AUTO(tls_bio_free) = tls_bio(config->client_crl_pem);
    unsigned long flags = X509_V_FLAG_CRL_CHECK;
    X509_CRL *crl;
    int n = 0;

    while (bio && (crl = PEM_read_bio_X509_CRL(bio, NULL, tls_no_password, NULL))) {
        n += X509_STORE_add_crl(store, crl) == 1;
        X509_CRL_free(crl);
    }
    if (bio && !tls_is_pem_end())
        return tls_fail(ret_why, TLS_BAD_CRL, "the revocation list is not valid PEM");
    if (!config->is_only_leaf_looked_up)
        flags |= X509_V_FLAG_CRL_CHECK_ALL;
    X509_STORE_set_flags(store, flags);
    return n > 0 ? 0 : tls_fail(ret_why, TLS_BAD_CRL, "there is no revocation list");
}

void tls_forget_clients(struct tls_entry *e)
{
    X509_STORE_free(e->authorities);
    mem_free(e->pins);
    tls_names_free(e->names, e->n_names);
}

int tls_ask_clients(struct tls_entry *e, const struct tls_entry_config *config, struct buf *ret_why)
{
    int is_set;
    int r;

    /* On every entry: tickets are opened by the context that a connection began with. */
    is_set = SSL_CTX_set_session_ticket_cb(e->ctx, NULL, peer_on_ticket, NULL);
    ASSERT(is_set == 1);
    e->client_rule = tls_client_rule(config);
    if (e->client_rule == 0)
        return 0;
    e->verify_mode =
        SSL_VERIFY_PEER | (config->is_client_optional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
    SSL_CTX_set_verify(e->ctx, e->verify_mode, tls_on_verify);
    e->authorities = X509_STORE_new();
    ASSERT(e->authorities != NULL);
    /* Not the context's own store, which would complete the chain that we present. */
    is_set = SSL_CTX_set1_verify_cert_store(e->ctx, e->authorities) == 1;
    ASSERT(is_set);
    e->n_pins = config->n_client_pins;
    e->pins = mem_alloc_zero((e->n_pins + 1) * sizeof e->pins[0]);
    for (size_t i = 0; i < e->n_pins; i++)
        e->pins[i] = config->client_pins[i];
    e->n_names = config->n_client_names;
    e->names = tls_names_copy(config->client_names, e->n_names);
    e->allows_expired = config->allows_expired;
    e->accepts_unverified = config->accepts_unverified;
    r = config->client_ca_pem.len > 0
            ? tls_add_authorities(e->authorities, e->ctx, config->client_ca_pem, ret_why)
            : 0;
    if (r == 0 && config->client_crl_pem.len > 0)
        r = peer_add_revoked(e->authorities, config, ret_why);
    return r;
}

/* ---- what it says ---- */

static bool peer_is_printable(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < ' ' || s.ptr[i] > '~')
            return false;
    }
    return true;
}

static struct str peer_take(struct tls_peer *p, BIO *bio)
{
    char *bytes;
    long n = BIO_get_mem_data(bio, &bytes);

    return n > 0 ? arena_str(&p->arena, str_make(bytes, (size_t)n)) : STR("");
}

static struct str peer_subject(struct tls_peer *p, const X509 *x)
{
    BIO *bio AUTO(tls_bio_free) = BIO_new(BIO_s_mem());
    struct str subject = STR("");

    if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(x), 0, XN_FLAG_RFC2253) >= 0)
        subject = peer_take(p, bio);
    return peer_is_printable(subject) ? subject : STR("");
}

/* The bytes that Envoy escapes in PEM, and no others: readers compare the text. */
static struct str peer_escape_pem(struct arena *a, struct str pem)
{
    static const char special[] = "\n +/=";
    struct buf out = {0};
    struct str escaped;

    for (size_t i = 0; i < pem.len; i++) {
        char c = pem.ptr[i];

        if (memchr(special, c, sizeof special - 1))
            buf_printf(&out, "%%%02X", (unsigned char)c);
        else
            buf_append_char(&out, c);
    }
    escaped = arena_str(a, buf_str(&out));
    buf_deinit(&out);
    return escaped;
}

static struct str peer_pem(struct tls_peer *p, X509 *x)
{
    BIO *bio AUTO(tls_bio_free) = BIO_new(BIO_s_mem());

    if (!bio || PEM_write_bio_X509(bio, x) != 1)
        return STR("");
    return peer_escape_pem(&p->arena, peer_take(p, bio));
}

static struct str peer_hash(struct tls_peer *p, const X509 *x)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    char *hex = arena_bytes(&p->arena, 2 * TLS_PIN_BYTES);

    if (!peer_digest(x, false, digest))
        return STR("");
    for (size_t i = 0; i < TLS_PIN_BYTES; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    return str_make(hex, 2 * TLS_PIN_BYTES);
}

/* The names of one kind in subjectAltName. */
static size_t peer_names(struct tls_peer *p, const X509 *x, int kind, struct str **ret_names)
{
    GENERAL_NAMES *names = x ? X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL) : NULL;
    int n_all = names ? sk_GENERAL_NAME_num(names) : 0;
    size_t n = 0;

    *ret_names = ARENA_ARRAY(&p->arena, struct str, n_all + 1);
    for (int i = 0; i < n_all; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        struct str value;

        if (name->type != kind)
            continue;
        value =
            str_make(ASN1_STRING_get0_data(name->d.ia5), (size_t)ASN1_STRING_length(name->d.ia5));
        if (peer_is_printable(value))
            (*ret_names)[n++] = arena_str(&p->arena, value);
    }
    GENERAL_NAMES_free(names);
    return n;
}

/* What led to the certificate without the authority that all of it rests on: the client's own
 * first. A remembered session has none, and needed none. */
static struct str peer_chain(struct tls_peer *p, SSL *ssl)
{
    STACK_OF(X509) *verified = SSL_get0_verified_chain(ssl);
    int n = verified ? sk_X509_num(verified) - 1 : 0;
    struct str chain = p->certificate;

    for (int i = 1; i < n; i++)
        chain = arena_join(&p->arena, chain, peer_pem(p, sk_X509_value(verified, i)));
    return chain;
}

struct tls_peer *tls_peer_new(SSL *ssl)
{
    const struct tls_session *session = SSL_get_ex_data(ssl, tls_session_index());
    X509 *x = SSL_get0_peer_certificate(ssl);
    struct tls_peer *p;

    if (!x || session->is_unverified || SSL_get_verify_result(ssl) != X509_V_OK)
        return NULL;
    p = tls_peer_read(x, SSL_get_certificate(ssl));
    if (session->server->entries[session->entry].tells_chain)
        p->chain = peer_chain(p, ssl);
    return p;
}

struct tls_peer *tls_peer_read(X509 *x, const X509 *own)
{
    struct tls_peer *p = MEM_NEW(struct tls_peer);

    arena_init(&p->arena, PEER_ARENA_BYTES);
    p->hash = peer_hash(p, x);
    p->subject = peer_subject(p, x);
    p->certificate = peer_pem(p, x);
    p->n_uris = peer_names(p, x, GEN_URI, &p->uris);
    p->n_dns_names = peer_names(p, x, GEN_DNS, &p->dns_names);
    p->n_local_uris = peer_names(p, own, GEN_URI, &p->local_uris);
    ERR_clear_error();
    return p;
}

void tls_peer_free(struct tls_peer *p)
{
    if (!p)
        return;
    arena_deinit(&p->arena);
    mem_free(p);
}
