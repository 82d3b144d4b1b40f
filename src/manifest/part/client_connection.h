/* Connections and TLS of a ClientTrafficPolicy: timeouts, limits, client certificates. Immutable
 * after load. Source: Envoy Gateway API, "ClientTimeout", "ClientConnection", "ClientTLSSettings".
 */
#pragma once

#include "manifest/part/tls_settings.h"

struct client_tcp_timeout {
    struct mark mark;
    struct opt_duration idle_timeout;
    struct opt_duration connection_inspection_timeout;
    struct opt_duration tls_handshake_timeout;
};
struct client_http_timeout {
    struct mark mark;
    struct opt_duration request_received_timeout;
    struct opt_duration request_headers_received_timeout;
    struct opt_duration idle_timeout;
    struct opt_duration stream_idle_timeout;
};
struct client_timeout {
    struct mark mark;
    struct client_tcp_timeout *tcp;
    struct client_http_timeout *http;
};
extern const struct table client_timeout_table;

struct connection_limit {
    struct mark mark;
    struct opt_int value;
    struct opt_duration close_delay;
    struct opt_duration max_connection_duration;
    struct opt_int max_requests_per_connection;
    struct opt_duration max_stream_duration;
};
struct client_connection {
    struct mark mark;
    struct connection_limit *limit;
    struct opt_int buffer_limit_bytes;
    struct opt_int socket_buffer_limit_bytes;
    struct opt_int max_accept_per_socket_event;
};
extern const struct table client_connection_table;

/* What may be told of a client's certificate, in the order of the names in manifests. */
enum client_cert {
    CLIENT_CERT_SUBJECT,
    CLIENT_CERT_CERT,
    CLIENT_CERT_CHAIN,
    CLIENT_CERT_DNS,
    CLIENT_CERT_URI
};

enum client_validation_mode {
    VALIDATION_REQUEST,
    VALIDATION_REQUIRE_ANY,
    VALIDATION_VERIFY_IF_GIVEN,
    VALIDATION_REQUIRE_AND_VERIFY,
};
struct other_name_match {
    struct mark mark;
    struct str oid;
    int type; /* enum string_match_type */
    struct str value;
};
struct subject_alt_names {
    struct mark mark;
    VEC(struct string_match) dns_names;
    VEC(struct string_match) email_addresses;
    VEC(struct string_match) ip_addresses;
    VEC(struct string_match) uris;
    VEC(struct other_name_match) other_names;
};
struct revocation_list {
    struct mark mark;
    VEC(struct secret_ref) refs;
    struct opt_bool only_verify_leaf;
};
struct client_validation {
    struct mark mark;
    int mode; /* enum client_validation_mode; -1: RequireAndVerify */
    struct opt_bool optional;
    struct opt_bool allow_expired_certificate;
    VEC(struct secret_ref) ca_certificate_refs;
    struct str_vec spki_hashes;
    struct str_vec certificate_hashes;
    struct subject_alt_names *subject_alt_names;
    struct revocation_list *crl;
};
struct tls_session_resumption {
    struct mark mark;
    struct empty_object *stateless;
    struct empty_object *stateful;
};
struct tls_session {
    struct mark mark;
    struct tls_session_resumption *resumption;
};
struct client_tls {
    struct tls_settings settings;
    struct client_validation *client_validation;
    struct tls_session *session;
};
extern const struct table client_tls_table;
/* Are clients without a certificate let in? And those whose certificate nobody could verify? */
bool client_validation_is_optional(const struct client_validation *v);
bool client_validation_accepts_unverified(const struct client_validation *v);
