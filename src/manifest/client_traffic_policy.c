/* Decoding of ClientTrafficPolicy; its connections and TLS stand in client_connection.c.
 *
 * Owner: the load's arena. Thread: compile thread. Client address detection, x-request-id and
 * header names with `_` are enforced; the rest is marked. */
#include "manifest/client_traffic_policy.h"

#include "base/limits.h"

static void forwarded_for_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"numTrustedHops", "trustedCIDRs", NULL};

    (void)object;
    check_at_most_one(d, node, keys);
}

static const struct field forwarded_for_fields[] = {
    FIELD_INT(forwarded_for, num_trusted_hops, "numTrustedHops", 0, RANGE(0, INT32_MAX),
              "Trusted proxies before the gateway; the entry that the first of them wrote counts."),
    FIELD_OTHER(forwarded_for, trusted_cidrs, "trustedCIDRs", FIELD_NON_EMPTY, decode_cidr_list,
                NULL, "Addresses of trusted proxies; the last entry outside them counts."),
    FIELD_BOOL(forwarded_for, disable_append, "disableXForwardedForAppend", 0,
               "Whether the gateway leaves its peer's address out."),
};
static const struct table forwarded_for_table = TABLE_CHECKED(forwarded_for, forwarded_for_check);

static const struct field client_ip_header_fields[] = {
    FIELD_OTHER(client_ip_header, name, "name", FIELD_REQUIRED, decode_header_name, NULL,
                "Header that holds the client's address."),
    FIELD_BOOL(client_ip_header, fail_closed, "failClosed", 0,
               "Whether a request without it is refused (403)."),
};
static const struct table client_ip_header_table = TABLE(client_ip_header);

static void client_ip_detection_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"xForwardedFor", "customHeader", "directSourceIP", NULL};

    (void)object;
    check_exactly_one(d, node, keys);
}

static const struct field client_ip_detection_fields[] = {
    FIELD_OBJECT(client_ip_detection, x_forwarded_for, "xForwardedFor", 0, forwarded_for,
                 "The client's address comes from X-Forwarded-For."),
    FIELD_OBJECT(client_ip_detection, custom_header, "customHeader", 0, client_ip_header,
                 "The client's address comes from a header of its own."),
    FIELD_OBJECT(client_ip_detection, direct_source_ip, "directSourceIP", 0, empty_object,
                 "The client's address is the connection's."),
};
static const struct table client_ip_detection_table =
    TABLE_CHECKED(client_ip_detection, client_ip_detection_check);

static const char *const cert_mode_names[] = {"Sanitize",    "ForwardOnly",       "AppendForward",
                                              "SanitizeSet", "AlwaysForwardOnly", NULL};
static const char *const cert_detail_names[] = {"Subject", "Cert", "Chain", "DNS", "URI", NULL};

static void forwarded_client_cert_check(struct decoder *d, const struct node *node, void *object)
{
    const struct forwarded_client_cert *f = object;

    if (f->details != 0 && f->mode != CLIENT_CERT_APPEND_FORWARD &&
        f->mode != CLIENT_CERT_SANITIZE_SET)
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "certDetailsToAdd"), "certDetailsToAdd",
                     "allowed only with mode AppendForward or SanitizeSet");
    if (f->mode == CLIENT_CERT_FORWARD_ONLY || f->mode == CLIENT_CERT_ALWAYS_FORWARD_ONLY)
        decode_warning(d, DIAG_NOT_ENFORCED, node_find(node, "mode"), "mode",
                       "a header that a client brings is always removed: as Sanitize");
    if (f->mode == CLIENT_CERT_APPEND_FORWARD)
        decode_warning(d, DIAG_NOT_ENFORCED, node_find(node, "mode"), "mode",
                       "a header that a client brings is always removed: as SanitizeSet");
}

static const struct field forwarded_client_cert_fields[] = {
    FIELD_ENUM(forwarded_client_cert, mode, "mode", 0, cert_mode_names,
               "What becomes of x-forwarded-client-cert; Sanitize (removed) unless given."),
    FIELD_OTHER(forwarded_client_cert, details, "certDetailsToAdd", 0, decode_enum_set,
                cert_detail_names, "What the gateway writes of a client's certificate."),
};
static const struct table forwarded_client_cert_table =
    TABLE_CHECKED(forwarded_client_cert, forwarded_client_cert_check);

static const struct field client_host_fields[] = {
    FIELD_BOOL(
        client_host, strip_trailing_dot, "stripTrailingHostDot", 0,
        "Whether a final dot of Host is left out towards backends; routes are found without it "
        "anyway."),
};
static const struct table client_host_table = TABLE(client_host);

static const char *const underscores_names[] = {"Allow", "RejectRequest", "DropHeader", NULL};
static const char *const request_id_names[] = {"PreserveOrGenerate", "Preserve", "Generate",
                                               "Disable", NULL};

static void client_headers_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"preserveXRequestID", "requestID", NULL};

    (void)object;
    check_at_most_one(d, node, keys);
}

static const struct field client_headers_fields[] = {
    FIELD_BOOL(
        client_headers, enable_envoy_headers, "enableEnvoyHeaders", 0,
        "Whether backends and answers are told x-envoy headers; those of clients are removed "
        "then."),
    FIELD_BOOL(client_headers, disable_rate_limit_headers, "disableRateLimitHeaders", 0,
               "Whether answers go without x-ratelimit headers."),
    FIELD_BOOL(client_headers, preserve_request_id, "preserveXRequestID", FIELD_DEPRECATED,
               "Older form of requestID: PreserveOrGenerate."),
    FIELD_ENUM(client_headers, request_id, "requestID", 0, request_id_names,
               "Whose x-request-id counts; Generate (the gateway's) unless given."),
    FIELD_ENUM(client_headers, with_underscores_action, "withUnderscoresAction", 0,
               underscores_names,
               "What becomes of header names with an underscore; RejectRequest unless given."),
    FIELD_OBJECT(client_headers, forwarded_client_cert, "xForwardedClientCert", 0,
                 forwarded_client_cert, "What backends learn of a client's certificate."),
    FIELD_OBJECT(client_headers, early_request_headers, "earlyRequestHeaders", 0, header_edit,
                 "Edits of request headers before anything is read of them."),
    FIELD_OBJECT(client_headers, late_response_headers, "lateResponseHeaders", 0, header_edit,
                 "Edits of the headers of all answers, at the very end."),
    FIELD_QUANTITY(client_headers, max_request_header_bytes, "maxRequestHeaderLimit", 0,
                   "Size of a request's head at most."),
    FIELD_OBJECT(client_headers, host, "host", 0, client_host, "Reading of the Host header."),
};
static const struct table client_headers_table =
    TABLE_CHECKED(client_headers, client_headers_check);

static const char *const escaped_slashes_names[] = {
    "KeepUnchanged", "RejectRequest", "UnescapeAndForward", "UnescapeAndRedirect", NULL};

static void client_path_check(struct decoder *d, const struct node *node, void *object)
{
    const struct client_path *p = object;

    if (p->escaped_slashes_action == SLASHES_KEEP)
        decode_warning(d, DIAG_NOT_ENFORCED, node_find(node, "escapedSlashesAction"),
                       "escapedSlashesAction",
                       "%%2F is a slash to some backends and none to others: as RejectRequest");
}

static const struct field client_path_fields[] = {
    FIELD_ENUM(client_path, escaped_slashes_action, "escapedSlashesAction", 0,
               escaped_slashes_names,
               "What becomes of a request with %2F in its path; refused (400) unless given."),
    FIELD_BOOL(
        client_path, disable_merge_slashes, "disableMergeSlashes", 0,
        "Whether // stays, for matches, rules and backends alike; it becomes / unless given."),
};
static const struct table client_path_table = TABLE_CHECKED(client_path, client_path_check);

static const struct field client_http10_fields[] = {
    FIELD_BOOL(
        client_http10, use_default_host, "useDefaultHost", 0,
        "Whether a request of HTTP/1.0 without Host gets the listener's own, else that of its "
        "one route with one."),
};
static const struct table client_http10_table = TABLE(client_http10);

static const struct field client_http1_fields[] = {
    FIELD_BOOL(client_http1, enable_trailers, "enableTrailers", 0,
               "Whether trailers are relayed; they are unless it says false."),
    FIELD_BOOL(client_http1, preserve_header_case, "preserveHeaderCase", 0,
               "Whether header names stay as clients and backends spell them; lower-case unless "
               "given."),
    FIELD_OBJECT(client_http1, http10, "http10", 0, client_http10,
                 "Whether HTTP/1.0 is accepted; it is."),
    FIELD_BOOL(client_http1, disable_safe_max_connection_duration,
               "disableSafeMaxConnectionDuration", 0,
               "Whether a connection without a request is closed soon after maxConnectionDuration; "
               "it has one more request unless given."),
    FIELD_LIST(
        client_http1, ignored_upgrade_types, "ignoredUpgradeTypes", 0, string_match,
        "Upgrades that are passed over: the request is served as if it asked for none. So are "
        "all but websocket anyway."),
};
static const struct table client_http1_table = TABLE(client_http1);

static void client_health_check_check(struct decoder *d, const struct node *node, void *object)
{
    const struct client_health_check *h = object;

    if (h->path.len > 0 && h->path.ptr[0] != '/')
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "path"), "path",
                     "must begin with a slash");
}

static const struct field client_health_check_fields[] = {
    FIELD_STR(client_health_check, path, "path", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Path that the gateway itself answers, before anything is asked of the caller: 200, "
              "and 503 "
              "from the first signal to end on."),
};
static const struct table client_health_check_table =
    TABLE_CHECKED(client_health_check, client_health_check_check);

static const struct field client_proxy_protocol_fields[] = {
    FIELD_BOOL(client_proxy_protocol, optional, "optional", 0,
               "Whether connections without the PROXY protocol are accepted too."),
};
static const struct table client_proxy_protocol_table = TABLE(client_proxy_protocol);

static const char *const scheme_header_names[] = {"Preserve", "MatchBackend", NULL};

static void client_traffic_policy_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const kinds[] = {"Gateway", "ListenerSet", NULL};
    const struct target_rule rule = {GROUP_GATEWAY, kinds};
    struct client_traffic_policy_spec *s = object;

    policy_targets_check(d, node, &s->targets, &rule, 1);
    if (s->http2)
        http2_settings_judge(d, node, s->http2);
}

static const struct field client_traffic_policy_spec_fields[] = {
    POLICY_TARGET_FIELDS(client_traffic_policy_spec, targets.),
    FIELD_OBJECT(client_traffic_policy_spec, client_ip_detection, "clientIPDetection", 0,
                 client_ip_detection, "How the client's address is found."),
    FIELD_OBJECT(client_traffic_policy_spec, headers, "headers", 0, client_headers,
                 "Treatment of headers."),
    FIELD_OBJECT(client_traffic_policy_spec, path, "path", 0, client_path, "Treatment of paths."),
    FIELD_OBJECT(client_traffic_policy_spec, timeout, "timeout", 0, client_timeout, "Time limits."),
    FIELD_OBJECT(client_traffic_policy_spec, connection, "connection", 0, client_connection,
                 "Limits on connections."),
    FIELD_OBJECT(client_traffic_policy_spec, tls, "tls", 0, client_tls, "TLS with clients."),
    FIELD_OBJECT(client_traffic_policy_spec, http1, "http1", 0, client_http1, "HTTP/1."),
    FIELD_OBJECT(client_traffic_policy_spec, http2, "http2", 0, http2_settings, "HTTP/2."),
    FIELD_OBJECT(client_traffic_policy_spec, health_check, "healthCheck", 0, client_health_check,
                 "Health of the gateway itself, for those before it."),
    FIELD_OBJECT(client_traffic_policy_spec, tcp_keepalive, "tcpKeepalive", 0, tcp_keepalive,
                 "TCP keep-alive."),
    FIELD_OBJECT(client_traffic_policy_spec, proxy_protocol, "proxyProtocol", 0,
                 client_proxy_protocol,
                 "Connections begin with the PROXY protocol, version 1 or 2, whose address is then "
                 "the client's."),
    FIELD_BOOL(client_traffic_policy_spec, enable_proxy_protocol, "enableProxyProtocol",
               FIELD_DEPRECATED, "Older form of proxyProtocol."),
    FIELD_ENUM(client_traffic_policy_spec, scheme, "scheme", 0, scheme_header_names,
               "Which scheme backends are told (:scheme of HTTP/2): the client's unless given."),
    FIELD_UNSUPPORTED("http3", "HTTP/3."),
    FIELD_UNSUPPORTED("grpc", "Translation of gRPC-Web."),
};
const struct table client_traffic_policy_spec_table =
    TABLE_CHECKED(client_traffic_policy_spec, client_traffic_policy_check);

bool client_cert_is_told(const struct forwarded_client_cert *f)
{
    return f && (f->mode == CLIENT_CERT_SANITIZE_SET || f->mode == CLIENT_CERT_APPEND_FORWARD);
}

bool client_traffic_policy_tells_chain(const struct client_traffic_policy_spec *s)
{
    const struct forwarded_client_cert *f = s->headers ? s->headers->forwarded_client_cert : NULL;

    return client_cert_is_told(f) && (f->details & 1U << CLIENT_CERT_CHAIN);
}
