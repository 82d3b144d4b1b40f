/* Certificates for tests, made by OpenSSL on the spot. Test programs only. */
#pragma once

#include "base/str.h"

struct test_certificate {
    struct str certificate_pem; /* on the heap, with its NUL */
    struct str key_pem;
    void *x509; /* X509 */
    void *key;  /* EVP_PKEY */
};

/* P-256, valid for a day. `alt_names`: as OpenSSL writes them, "DNS:a.test,IP:127.0.0.1"; NULL: an
 * authority. `issuer` NULL: signed by itself. Ends the test when something fails. */
struct test_certificate test_certificate_new(const char *common_name, const char *alt_names,
                                             const struct test_certificate *issuer);
void test_certificate_free(struct test_certificate *c);
