/* Whether a Secret's certificate and key can be used together, so that a mistake is named at check
 * and not at the first handshake. Expiry is not judged: no clock is read here.
 *
 * Pure; OpenSSL's objects live for one call. Texts of keys never reach a message. */
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "manifest/link/link_internal.h"

#include <openssl/err.h>

static void bio_free_ptr(BIO **bio)
{
    BIO_free(*bio);
}
static void x509_free_ptr(X509 **x)
{
    X509_free(*x);
}
static void key_free_ptr(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

/* An encrypted key must fail, not ask the terminal for a password. */
static int no_password(char *buffer, int size, int is_writing, void *user)
{
    (void)buffer;
    (void)size;
    (void)is_writing;
    (void)user;
    return -1;
}

static BIO *bio_of(struct str s)
{
    return BIO_new_mem_buf(s.ptr ? s.ptr : "", (int)s.len);
}

static const char *pair_problem(struct str certificate_pem, struct str key_pem)
{
    BIO *certificate_bio AUTO(bio_free_ptr) = bio_of(certificate_pem);
    BIO *key_bio AUTO(bio_free_ptr) = bio_of(key_pem);
    X509 *certificate AUTO(x509_free_ptr) =
        PEM_read_bio_X509(certificate_bio, NULL, no_password, NULL);
    EVP_PKEY *key AUTO(key_free_ptr) = PEM_read_bio_PrivateKey(key_bio, NULL, no_password, NULL);

    if (!certificate)
        return "tls.crt holds no certificate in PEM form";
    if (!key)
        return "tls.key holds no private key in PEM form without a password";
    if (X509_check_private_key(certificate, key) != 1)
        return "tls.key does not belong to the certificate in tls.crt";
    for (;;) {
        X509 *next AUTO(x509_free_ptr) =
            PEM_read_bio_X509(certificate_bio, NULL, no_password, NULL);

        if (!next)
            break;
    }
    /* The end of the chain shows as "no start line"; anything else is a broken certificate. */
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        return "tls.crt holds a further certificate that cannot be read";
    return NULL;
}

const char *link_certificate_problem(struct str certificate_pem, struct str key_pem)
{
    const char *problem;

    if (str_is_empty(certificate_pem))
        return "the key tls.crt is missing or empty";
    if (str_is_empty(key_pem))
        return "the key tls.key is missing or empty";
    ERR_clear_error();
    problem = pair_problem(certificate_pem, key_pem);
    ERR_clear_error();
    return problem;
}
