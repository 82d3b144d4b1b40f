/* Decoding of a ClientTrafficPolicy's timeouts, connection limits and TLS.
 *
 * Owner: the load's arena. Thread: compile thread. Certificates and revocation lists are left to
 * link and compile. */
#include "manifest/part/client_connection.h"

static const struct field client_tcp_timeout_fields[] = {
    FIELD_DURATION(client_tcp_timeout, idle_timeout, "idleTimeout", 0,
                   "Silence of connections of TCP and TLS routes, which are not served: of HTTP "
                   "http.idleTimeout has the word."),
    FIELD_DURATION(
        client_tcp_timeout, connection_inspection_timeout, "connectionInspectionTimeout", 0,
        "Time for the PROXY header, and for the first message of TLS; 15s unless given."),
    FIELD_DURATION(client_tcp_timeout, tls_handshake_timeout, "tlsHandshakeTimeout", 0,
                   "Time for the TLS handshake; requestHeadersReceivedTimeout unless given."),
};
static void client_tcp_timeout_check(struct decoder *d, const struct node *node, void *object)
{
    const struct client_tcp_timeout *t = object;

    if (t->idle_timeout.is_set)
        decode_warning(
            d, DIAG_INEFFECTIVE, node_find(node, "idleTimeout"), "idleTimeout",
            "of listeners for TCP and TLS routes alone: of HTTP http.idleTimeout has the "
            "word");
}
static const struct table client_tcp_timeout_table =
    TABLE_CHECKED(client_tcp_timeout, client_tcp_timeout_check);

static const struct field client_http_timeout_fields[] = {
    FIELD_DURATION(
        client_http_timeout, request_received_timeout, "requestReceivedTimeout", 0,
        "Time for a whole request to come in, less what its backend takes; beyond: 408."),
    FIELD_DURATION(client_http_timeout, request_headers_received_timeout,
                   "requestHeadersReceivedTimeout", 0,
                   "Time for a request's head to come in; beyond: 408."),
    FIELD_DURATION(client_http_timeout, idle_timeout, "idleTimeout", 0,
                   "Time after which a connection without a request is closed; 5m unless given."),
    FIELD_DURATION(
        client_http_timeout, stream_idle_timeout, "streamIdleTimeout", 0,
        "Longest silence inside a request, 1m unless given, or an answer, 5m; of answers a "
        "BackendTrafficPolicy has the last word."),
};
static const struct table client_http_timeout_table = TABLE(client_http_timeout);

static const struct field client_timeout_fields[] = {
    FIELD_OBJECT(client_timeout, tcp, "tcp", 0, client_tcp_timeout, "Limits of connections."),
    FIELD_OBJECT(client_timeout, http, "http", 0, client_http_timeout, "Limits of requests."),
};
const struct table client_timeout_table = TABLE(client_timeout);

static void connection_limit_check(struct decoder *d, const struct node *node, void *object)
{
    const struct connection_limit *l = object;

    if (l->close_delay.is_set && !l->value.is_set)
        decode_error(d, DIAG_MISSING_FIELD, node, "value", "required with closeDelay");
}

static const struct field connection_limit_fields[] = {
    FIELD_INT(connection_limit, value, "value", 0, RANGE(1, INT64_MAX), "Connections at most."),
    FIELD_DURATION(connection_limit, close_delay, "closeDelay", 0,
                   "Wait before a connection beyond the limit is closed."),
    FIELD_DURATION(connection_limit, max_connection_duration, "maxConnectionDuration", 0,
                   "Age from which a connection takes no further request."),
    FIELD_INT(connection_limit, max_requests_per_connection, "maxRequestsPerConnection", 0,
              RANGE(0, INT32_MAX), "Requests after which a connection is closed."),
    FIELD_DURATION(connection_limit, max_stream_duration, "maxStreamDuration", 0,
                   "Longest life of a request and its answer."),
};
static const struct table connection_limit_table =
    TABLE_CHECKED(connection_limit, connection_limit_check);

static const struct field client_connection_fields[] = {
    FIELD_OBJECT(client_connection, limit, "connectionLimit", 0, connection_limit,
                 "Limits on connections."),
    FIELD_QUANTITY(
        client_connection, buffer_limit_bytes, "bufferLimit", 0,
        "Bytes of a connection held in each direction at most, 64Ki unless less is given; "
        "of an AI request's body until its model is known, 1Mi unless given."),
    FIELD_QUANTITY(client_connection, socket_buffer_limit_bytes, "socketBufferLimit", 0,
                   "Size of the socket's buffer in each direction."),
    FIELD_INT(client_connection, max_accept_per_socket_event, "maxAcceptPerSocketEvent", 0,
              UINT32_RANGE,
              "Connections that a worker accepts in one turn at most; 16 unless given."),
};
const struct table client_connection_table = TABLE(client_connection);

static void other_name_match_check(struct decoder *d, const struct node *node, void *object)
{
    struct other_name_match *m = object;

    if (m->type < 0)
        m->type = STRING_EXACT;
    if (m->type == STRING_REGEX)
        check_regex(d, node, "value", m->value);
}

static const struct field other_name_match_fields[] = {
    FIELD_STR(other_name_match, oid, "oid", FIELD_REQUIRED | FIELD_NON_EMPTY, "Kind of the name."),
    FIELD_ENUM(other_name_match, type, "type", 0, string_match_names,
               "How the value is compared; Exact unless given."),
    FIELD_STR(other_name_match, value, "value", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Text or pattern."),
};
static const struct table other_name_match_table =
    TABLE_CHECKED(other_name_match, other_name_match_check);

static const struct field subject_alt_names_fields[] = {
    FIELD_LIST(subject_alt_names, dns_names, "dnsNames", 0, string_match, "Host names."),
    FIELD_LIST(subject_alt_names, email_addresses, "emailAddresses", 0, string_match,
               "Mail addresses."),
    FIELD_LIST(subject_alt_names, ip_addresses, "ipAddresses", 0, string_match, "IP addresses."),
    FIELD_LIST(subject_alt_names, uris, "uris", 0, string_match, "URIs."),
    FIELD_LIST(subject_alt_names, other_names, "otherNames", 0, other_name_match, "Other names."),
};
static const struct table subject_alt_names_table = TABLE(subject_alt_names);

static void revocation_list_check(struct decoder *d, const struct node *node, void *object)
{
    (void)object;
    check_max_items(d, node, "refs", 8);
}

static const struct field revocation_list_fields[] = {
    FIELD_LIST(revocation_list, refs, "refs", FIELD_REQUIRED | FIELD_NON_EMPTY, secret_ref,
               "Secrets or ConfigMaps whose key ca.crl is a revocation list."),
    FIELD_BOOL(revocation_list, only_verify_leaf, "onlyVerifyLeafCertificate", 0,
               "Whether only the client's own certificate is looked up."),
};
static const struct table revocation_list_table =
    TABLE_CHECKED(revocation_list, revocation_list_check);

static const char *const validation_mode_names[] = {"Request", "RequireAny", "VerifyIfGiven",
                                                    "RequireAndVerify", NULL};

static void client_validation_check(struct decoder *d, const struct node *node, void *object)
{
    const struct client_validation *v = object;

    check_max_items(d, node, "caCertificateRefs", 8);
    if (client_validation_accepts_unverified(v))
        decode_note(d, DIAG_BYPASS, node_find(node, "mode"), "mode",
                    "clients are let in whatever certificate they show%s; backends are told of "
                    "verified ones alone",
                    v->mode == VALIDATION_REQUEST ? ", or without one" : "");
    if (v->allow_expired_certificate.value && client_validation_accepts_unverified(v))
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "allowExpiredCertificate"),
                     "allowExpiredCertificate",
                     "allowed only with mode VerifyIfGiven or RequireAndVerify");
}

static const struct field client_validation_fields[] = {
    FIELD_ENUM(client_validation, mode, "mode", 0, validation_mode_names,
               "Whether a certificate is asked for, needed, verified; RequireAndVerify unless "
               "given."),
    FIELD_BOOL(client_validation, optional, "optional", FIELD_DEPRECATED,
               "Older form of mode VerifyIfGiven."),
    FIELD_BOOL(
        client_validation, allow_expired_certificate, "allowExpiredCertificate", 0,
        "Whether a client's certificate is accepted that has expired; its authorities' is not."),
    FIELD_LIST(client_validation, ca_certificate_refs, "caCertificateRefs", 0, secret_ref,
               "Secrets or ConfigMaps whose key ca.crt holds the trusted roots."),
    FIELD_STRS(client_validation, spki_hashes, "spkiHashes", 0,
               "Accepted public keys: base64 of their SHA-256."),
    FIELD_STRS(client_validation, certificate_hashes, "certificateHashes", 0,
               "Accepted certificates: hex of their SHA-256."),
    FIELD_OBJECT(client_validation, subject_alt_names, "subjectAltNames", 0, subject_alt_names,
                 "Names that a certificate must have, any of these."),
    FIELD_OBJECT(client_validation, crl, "crl", 0, revocation_list, "Revoked certificates."),
};
static const struct table client_validation_table =
    TABLE_CHECKED(client_validation, client_validation_check);

static const struct field tls_session_resumption_fields[] = {
    FIELD_OBJECT(tls_session_resumption, stateless, "stateless", 0, empty_object,
                 "Resumption by ticket; it is there anyway."),
    FIELD_OBJECT(tls_session_resumption, stateful, "stateful", 0, empty_object,
                 "Resumption by session id too, for clients of TLS 1.2 that take no ticket."),
};
static const struct table tls_session_resumption_table = TABLE(tls_session_resumption);

static const struct field tls_session_fields[] = {
    FIELD_OBJECT(tls_session, resumption, "resumption", 0, tls_session_resumption,
                 "How sessions are resumed."),
};
static const struct table tls_session_table = TABLE(tls_session);

/* What is below 1.2 is never served: a policy that permits it gets the stronger one, and is told.
 */
static void client_tls_check_lowest(struct decoder *d, const struct node *node,
                                    const struct tls_settings *t)
{
    if (t->min_version == TLS_1_0 || t->min_version == TLS_1_1)
        decode_warning(d, DIAG_INEFFECTIVE, node_find(node, "minVersion"), "minVersion",
                       "TLS below 1.2 is not served: 1.2 is the lowest version");
}

static void client_tls_check(struct decoder *d, const struct node *node, void *object)
{
    const struct client_tls *t = object;

    client_tls_check_lowest(d, node, &t->settings);
    tls_settings_check(d, node, &t->settings);
}

static const struct field client_tls_fields[] = {
    TLS_SETTINGS_FIELDS(client_tls, settings., 0, 0, 0),
    FIELD_OBJECT(client_tls, client_validation, "clientValidation", 0, client_validation,
                 "Certificates of clients."),
    FIELD_OBJECT(client_tls, session, "session", 0, tls_session, "Resumption of sessions."),
};
const struct table client_tls_table = TABLE_CHECKED(client_tls, client_tls_check);

bool client_validation_is_optional(const struct client_validation *v)
{
    return v->mode == VALIDATION_VERIFY_IF_GIVEN || v->mode == VALIDATION_REQUEST ||
           (v->mode < 0 && v->optional.value);
}

bool client_validation_accepts_unverified(const struct client_validation *v)
{
    return v->mode == VALIDATION_REQUEST || v->mode == VALIDATION_REQUIRE_ANY;
}
