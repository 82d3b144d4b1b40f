/* What a listener may ask of clients' certificates beside a chain to one of its authorities: that
 * they are one of some, or have one of some names. */
#pragma once

#include "base/buf.h"

struct x509_st; /* OpenSSL's X509 */

enum { TLS_PIN_BYTES = 32 };
/* SHA-256 of a certificate, or of its public key. */
struct tls_pin {
    unsigned char digest[TLS_PIN_BYTES];
    bool is_key;
};

enum tls_name_kind { TLS_NAME_DNS, TLS_NAME_EMAIL, TLS_NAME_IP, TLS_NAME_URI };
enum tls_name_match { TLS_NAME_EXACT, TLS_NAME_PREFIX, TLS_NAME_SUFFIX };

/* One of the names (subjectAltName) that let a certificate in. DNS names in any case; IP addresses
 * as text, an exact one in any spelling. */
struct tls_name {
    enum tls_name_kind kind;
    enum tls_name_match match;
    struct str value;
};

/* tls_names.c. A copy, values too, in one block of memory; and a text that two lists have only if
 * they are the same. */
struct tls_name *tls_names_copy(const struct tls_name *names, size_t n);
void tls_names_format(const struct tls_name *names, size_t n, struct buf *to);
/* Has the certificate one of these? Without any, every certificate passes. */
bool tls_names_pass(const struct tls_name *names, size_t n, const struct x509_st *certificate);
