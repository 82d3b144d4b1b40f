/* What a listener may ask of clients' certificates beside a chain to one of its authorities: that
 * they are one of some, or have one of some names. */
#pragma once

#include <stdatomic.h>

#include "base/buf.h"

struct x509_st; /* OpenSSL's X509 */

enum { TLS_PIN_BYTES = 32 };
/* SHA-256 of a certificate, or of its public key. */
struct tls_pin {
    unsigned char digest[TLS_PIN_BYTES];
    bool is_key;
};
/* A pin's text: base64 of a key's digest, hex (with or without colons) of a certificate's. False:
 * it is none. */
MUST_USE bool tls_pin_parse(struct str text, bool is_key, struct tls_pin *ret);

enum tls_name_kind { TLS_NAME_DNS, TLS_NAME_EMAIL, TLS_NAME_IP, TLS_NAME_URI, TLS_NAME_OTHER };
enum tls_name_match { TLS_NAME_EXACT, TLS_NAME_PREFIX, TLS_NAME_SUFFIX, TLS_NAME_PATTERN };

/* A pattern of names, compiled by a layer above. Immutable but for its count, refcounted: each copy
 * of a name holds one. */
struct tls_pattern {
    _Atomic uint32_t n_refs;
    /* Of the whole name, on any thread; also false when that takes too long. */
    bool (*matches)(const struct tls_pattern *p, struct str name);
    void (*free)(struct tls_pattern *p);
};
void tls_pattern_unref(struct tls_pattern *p);

/* One of the names (subjectAltName) that let a certificate in. DNS names in any case but for
 * patterns; IP addresses as text, an exact one in any spelling; other names that are text. */
struct tls_name {
    enum tls_name_kind kind;
    enum tls_name_match match;
    struct str value;
    struct str oid;              /* of TLS_NAME_OTHER */
    struct tls_pattern *pattern; /* of TLS_NAME_PATTERN, whose text is `value` */
};

/* tls_names.c. Is it "1.3.6.1", and written so and no other way? */
bool tls_oid_is_valid(struct str oid);
/* A copy, values too, in one block of memory; and a text that two lists have only if they are the
 * same. */
struct tls_name *tls_names_copy(const struct tls_name *names, size_t n);
void tls_names_free(struct tls_name *names, size_t n);
void tls_names_format(const struct tls_name *names, size_t n, struct buf *to);
/* Has the certificate one of these? Without any, every certificate passes. */
bool tls_names_pass(const struct tls_name *names, size_t n, const struct x509_st *certificate);
