/* ClientTrafficPolicy (gateway.envoyproxy.io/v1alpha1): how the gateway speaks with its clients on
 * a Gateway or one listener. Immutable after load. */
#pragma once

#include "manifest/part/client_connection.h"
#include "manifest/part/cluster_settings.h"
#include "manifest/part/policy_target.h"

struct forwarded_for {
    struct mark mark;
    struct opt_int num_trusted_hops;
    struct str_vec trusted_cidrs;
    struct opt_bool disable_append;
};
struct client_ip_header {
    struct mark mark;
    struct str name;
    struct opt_bool fail_closed;
};
/* Exactly one of the three. */
struct client_ip_detection {
    struct mark mark;
    struct forwarded_for *x_forwarded_for;
    struct client_ip_header *custom_header;
    struct empty_object *direct_source_ip;
};

enum underscores_action { UNDERSCORES_ALLOW, UNDERSCORES_REJECT, UNDERSCORES_DROP };
enum request_id_action {
    REQUEST_ID_PRESERVE_OR_GENERATE,
    REQUEST_ID_PRESERVE,
    REQUEST_ID_GENERATE,
    REQUEST_ID_DISABLE,
};
enum client_cert_mode {
    CLIENT_CERT_SANITIZE,
    CLIENT_CERT_FORWARD_ONLY,
    CLIENT_CERT_APPEND_FORWARD,
    CLIENT_CERT_SANITIZE_SET,
    CLIENT_CERT_ALWAYS_FORWARD_ONLY,
};
struct forwarded_client_cert {
    struct mark mark;
    int mode;         /* enum client_cert_mode; -1: Sanitize */
    uint32_t details; /* bits by enum client_cert */
};
struct client_host {
    struct mark mark;
    struct opt_bool strip_trailing_dot;
};
struct client_headers {
    struct mark mark;
    struct opt_bool enable_envoy_headers;
    struct opt_bool disable_rate_limit_headers;
    struct opt_bool preserve_request_id;
    int request_id;              /* enum request_id_action; -1: not given */
    int with_underscores_action; /* enum underscores_action; -1: reject */
    struct forwarded_client_cert *forwarded_client_cert;
    struct header_edit *early_request_headers;
    struct header_edit *late_response_headers;
    struct opt_int max_request_header_bytes;
    struct client_host *host;
};

enum escaped_slashes { SLASHES_KEEP, SLASHES_REJECT, SLASHES_UNESCAPE, SLASHES_REDIRECT };
struct client_path {
    struct mark mark;
    int escaped_slashes_action; /* enum escaped_slashes; -1: reject */
    struct opt_bool disable_merge_slashes;
};

struct client_http10 {
    struct mark mark;
    struct opt_bool use_default_host;
};
struct client_http1 {
    struct mark mark;
    struct opt_bool enable_trailers;
    struct opt_bool preserve_header_case;
    struct opt_bool disable_safe_max_connection_duration;
    VEC(struct string_match) ignored_upgrade_types;
    struct client_http10 *http10;
};
struct client_health_check {
    struct mark mark;
    struct str path;
};
struct client_proxy_protocol {
    struct mark mark;
    struct opt_bool optional;
};
enum scheme_header { SCHEME_PRESERVE, SCHEME_MATCH_BACKEND };

struct client_traffic_policy_spec {
    struct policy_targets targets;
    struct client_ip_detection *client_ip_detection;
    struct client_headers *headers;
    struct client_path *path;
    struct client_timeout *timeout;
    struct client_connection *connection;
    struct client_tls *tls;
    struct client_http1 *http1;
    struct http2_settings *http2;
    struct client_health_check *health_check;
    struct tcp_keepalive *tcp_keepalive;
    struct client_proxy_protocol *proxy_protocol;
    struct opt_bool enable_proxy_protocol; /* older form of proxyProtocol */
    int scheme;                            /* enum scheme_header; -1: not given */
};
struct client_traffic_policy {
    struct object object;
    struct client_traffic_policy_spec spec;
};
extern const struct table client_traffic_policy_spec_table;

/* Are backends told of a client's certificate, and what led to it? */
bool client_cert_is_told(const struct forwarded_client_cert *f);
bool client_traffic_policy_tells_chain(const struct client_traffic_policy_spec *s);
