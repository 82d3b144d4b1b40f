/* See certificate_testing.h. Compiled into test programs, never into the library. */
#include "net/certificate_testing.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "net/must_testing.h"

static void certificate_add_extension(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    MUST(extension != NULL);
    MUST(X509_add_ext(x, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static struct str certificate_text(BIO *bio)
{
    char *bytes;
    long n = BIO_get_mem_data(bio, &bytes);
    struct str text = str_make(mem_dup_text(bytes, (size_t)n), (size_t)n);

    BIO_free(bio);
    return text;
}

static void certificate_format(struct test_certificate *c)
{
    BIO *certificate = BIO_new(BIO_s_mem());
    BIO *key = BIO_new(BIO_s_mem());

    MUST(PEM_write_bio_X509(certificate, c->x509) == 1);
    MUST(PEM_write_bio_PrivateKey(key, c->key, NULL, NULL, 0, NULL, NULL) == 1);
    c->certificate_pem = certificate_text(certificate);
    c->key_pem = certificate_text(key);
}

struct test_certificate test_certificate_new(const char *common_name, const char *alt_names,
                                             const struct test_certificate *issuer)
{
    static long serial;
    struct test_certificate c = {.x509 = X509_new(), .key = EVP_EC_gen("P-256")};
    X509_NAME *name = X509_get_subject_name(c.x509);

    MUST(c.key != NULL);
    MUST(X509_set_version(c.x509, X509_VERSION_3) == 1);
    ASN1_INTEGER_set(X509_get_serialNumber(c.x509), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(c.x509), -3600);
    X509_gmtime_adj(X509_getm_notAfter(c.x509), 86400);
    MUST(X509_set_pubkey(c.x509, c.key) == 1);
    MUST(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name,
                                    -1, -1, 0) == 1);
    MUST(X509_set_issuer_name(c.x509, issuer ? X509_get_subject_name(issuer->x509) : name) == 1);
    certificate_add_extension(c.x509, NID_basic_constraints,
                              alt_names ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (alt_names)
        certificate_add_extension(c.x509, NID_subject_alt_name, alt_names);
    MUST(X509_sign(c.x509, issuer ? issuer->key : c.key, EVP_sha256()) > 0);
    certificate_format(&c);
    return c;
}

void test_certificate_free(struct test_certificate *c)
{
    mem_free((void *)(uintptr_t)c->certificate_pem.ptr);
    mem_free((void *)(uintptr_t)c->key_pem.ptr);
    X509_free(c->x509);
    EVP_PKEY_free(c->key);
    *c = (struct test_certificate){0};
}
