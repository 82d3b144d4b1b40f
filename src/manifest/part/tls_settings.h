/* TLS settings that Backend, EnvoyProxy and ClientTrafficPolicy share. Immutable after load.
 * Source: Envoy Gateway API, "TLSSettings". A struct embeds it as its first member. */
#pragma once

#include "manifest/common.h"

enum tls_version { TLS_AUTO, TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 };
struct tls_settings {
    struct mark mark;
    int min_version; /* enum tls_version; -1: not given */
    int max_version;
    struct str_vec ciphers; /* OpenSSL names, TLS 1.2 and below */
    struct str_vec ecdh_curves;
    struct str_vec signature_algorithms;
    struct str_vec alpn_protocols;
};
extern const char *const tls_version_names[];
extern const struct table tls_settings_table;
/* For the check of a struct that embeds the settings. */
void tls_settings_check(struct decoder *d, const struct node *node, const struct tls_settings *t);

/* `flags`: of versions and ciphers; `alpn`: of alpnProtocols; `rest`: of the others. */
#define TLS_SETTINGS_FIELDS(type, at, flags, alpn, rest)                                           \
    FIELD_ENUM(type, at min_version, "minVersion", flags, tls_version_names,                       \
               "Lowest TLS version; 1.2 unless given."),                                           \
        FIELD_ENUM(type, at max_version, "maxVersion", flags, tls_version_names,                   \
                   "Highest TLS version; 1.3 unless given."),                                      \
        FIELD_STRS(type, at ciphers, "ciphers", flags,                                             \
                   "Cipher suites up to TLS 1.2, by OpenSSL's names."),                            \
        FIELD_STRS(type, at ecdh_curves, "ecdhCurves", rest, "Key exchange groups."),              \
        FIELD_STRS(type, at signature_algorithms, "signatureAlgorithms", rest,                     \
                   "Signature algorithms."),                                                       \
        FIELD_STRS(type, at alpn_protocols, "alpnProtocols", alpn,                                 \
                   "Application protocols to offer, best first."),                                 \
        FIELD_UNSUPPORTED("fingerprints", "Fingerprints of TLS handshakes.")
