/* Decoding of BackendTrafficPolicy.
 *
 * Owner: the load's arena. Thread: compile thread. Which policy applies to a route, and merging, is
 * left to check and compile. Limits and breakers that are not enforced yet warn; they are no
 * security features, so routes go on serving. */
#include "manifest/backend_traffic_policy.h"

#include "base/limits.h"

#include "manifest/part/cluster_fields.h"

static void check_percentage(struct decoder *d, const struct node *node, struct opt_double value)
{
    if (value.is_set && !(value.value >= 0 && value.value <= 100))
        decode_error(d, DIAG_OUT_OF_RANGE, node_find(node, "percentage"), "percentage",
                     "must lie in 0 to 100");
}

static void fault_delay_check(struct decoder *d, const struct node *node, void *object)
{
    const struct fault_delay *f = object;

    check_percentage(d, node, f->percentage);
}

static const struct field fault_delay_fields[] = {
    FIELD_DURATION(fault_delay, fixed_delay, "fixedDelay", FIELD_REQUIRED, "Length of the delay."),
    FIELD_DOUBLE(fault_delay, percentage, "percentage", 0,
                 "Share of requests that are delayed; 100 unless given."),
};
static const struct table fault_delay_table = TABLE_CHECKED(fault_delay, fault_delay_check);

static void fault_abort_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"httpStatus", "grpcStatus", NULL};
    const struct fault_abort *f = object;

    check_exactly_one(d, node, keys);
    check_percentage(d, node, f->percentage);
}

static const struct field fault_abort_fields[] = {
    FIELD_INT(fault_abort, http_status, "httpStatus", 0, RANGE(200, 600), "Status of the answer."),
    FIELD_INT(fault_abort, grpc_status, "grpcStatus", 0, RANGE(0, 16), "gRPC status."),
    FIELD_DOUBLE(fault_abort, percentage, "percentage", 0,
                 "Share of requests that are refused; 100 unless given."),
};
static const struct table fault_abort_table = TABLE_CHECKED(fault_abort, fault_abort_check);

static void fault_injection_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"delay", "abort", NULL};

    (void)object;
    check_at_least_one(d, node, keys);
}

static const struct field fault_injection_fields[] = {
    FIELD_OBJECT(fault_injection, delay, "delay", 0, fault_delay, "Delay before the upstream."),
    FIELD_OBJECT(fault_injection, abort, "abort", 0, fault_abort, "Refusal instead of an answer."),
};
static const struct table fault_injection_table =
    TABLE_CHECKED(fault_injection, fault_injection_check);

static void status_range_check(struct decoder *d, const struct node *node, void *object)
{
    const struct status_range *r = object;

    if (r->start.is_set && r->end.is_set && r->end.value <= r->start.value)
        decode_error(d, DIAG_OUT_OF_RANGE, node_find(node, "end"), "end",
                     "must be greater than start");
}

static const struct field status_range_fields[] = {
    FIELD_INT(status_range, start, "start", FIELD_REQUIRED, RANGE(100, 599), "First status."),
    FIELD_INT(status_range, end, "end", FIELD_REQUIRED, RANGE(100, 599), "Last status."),
};
static const struct table status_range_table = TABLE_CHECKED(status_range, status_range_check);

static const char *const status_match_names[] = {"Value", "Range", NULL};

static void status_match_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"value", "range"};
    struct status_match *m = object;

    if (m->type < 0)
        m->type = STATUS_VALUE;
    check_union(d, node, m->type, status_match_names, keys, false);
}

static const struct field status_match_fields[] = {
    FIELD_ENUM(status_match, type, "type", 0, status_match_names,
               "One status (Value, default) or a Range."),
    FIELD_INT(status_match, value, "value", 0, RANGE(100, 599), "Status."),
    FIELD_OBJECT(status_match, range, "range", 0, status_range, "First and last status."),
};
static const struct table status_match_table = TABLE_CHECKED(status_match, status_match_check);

static const struct field header_condition_fields[] = {
    FIELD_OTHER(header_condition, name, "name", FIELD_REQUIRED, decode_header_name, NULL,
                "Name of the header."),
    FIELD_OBJECT(header_condition, value, "value", FIELD_REQUIRED, string_match, "Its value."),
};
static const struct table header_condition_table = TABLE(header_condition);

static void response_match_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"statusCodes", "responseHeaders", NULL};

    (void)object;
    check_at_least_one(d, node, keys);
    check_max_items(d, node, "statusCodes", 50);
    check_max_items(d, node, "responseHeaders", 16);
}

static const struct field response_match_fields[] = {
    FIELD_LIST(response_match, status_codes, "statusCodes", FIELD_NON_EMPTY, status_match,
               "Statuses, any of these."),
    FIELD_LIST(response_match, response_headers, "responseHeaders", FIELD_NON_EMPTY,
               header_condition, "Headers of the answer, all of them."),
};
static const struct table response_match_table =
    TABLE_CHECKED(response_match, response_match_check);

static const char *const override_path_names[] = {"ReplaceFullPath", "ReplacePrefixMatch", NULL};

static void override_path_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"replaceFullPath", "replacePrefixMatch"};
    const struct override_path *p = object;

    check_union(d, node, p->type, override_path_names, keys, true);
    if (p->type == 1)
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "type"), "type",
                     "only ReplaceFullPath is allowed here");
}

static const struct field override_path_fields[] = {
    FIELD_ENUM(override_path, type, "type", FIELD_REQUIRED, override_path_names,
               "ReplaceFullPath."),
    FIELD_STR(override_path, replace_full_path, "replaceFullPath", 0, "The new path."),
    FIELD_STR(override_path, replace_prefix_match, "replacePrefixMatch", 0, "Not allowed here."),
};
static const struct table override_path_table = TABLE_CHECKED(override_path, override_path_check);

static const char *const scheme_names[] = {"http", "https", NULL};

static void override_redirect_check(struct decoder *d, const struct node *node, void *object)
{
    struct override_redirect *r = object;

    if (!r->status_code.is_set)
        r->status_code = (struct opt_int){true, 302};
    if (r->status_code.value != 301 && r->status_code.value != 302)
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "statusCode"), "statusCode",
                     "must be 301 or 302");
}

static const struct field override_redirect_fields[] = {
    FIELD_ENUM(override_redirect, scheme, "scheme", 0, scheme_names, "Scheme of the location."),
    FIELD_OTHER(override_redirect, hostname, "hostname", 0, decode_hostname, NULL,
                "Host of the location."),
    FIELD_OBJECT(override_redirect, path, "path", 0, override_path, "Path of the location."),
    FIELD_INT(override_redirect, port, "port", 0, &port_range, "Port of the location."),
    FIELD_INT(override_redirect, status_code, "statusCode", 0, NULL,
              "301 or 302; 302 unless given."),
};
static const struct table override_redirect_table =
    TABLE_CHECKED(override_redirect, override_redirect_check);

static const char *const override_source_names[] = {"All", "Local", "Backend", NULL};

static void response_override_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"response", "redirect", NULL};

    (void)object;
    check_exactly_one(d, node, keys);
}

static const struct field response_override_fields[] = {
    FIELD_OBJECT(response_override, match, "match", FIELD_REQUIRED, response_match,
                 "Answers that are replaced."),
    FIELD_OBJECT(response_override, response, "response", 0, custom_response,
                 "What is answered instead."),
    FIELD_OBJECT(response_override, redirect, "redirect", 0, override_redirect,
                 "Where the client is sent instead."),
    FIELD_ENUM(response_override, source, "source", 0, override_source_names,
               "Whose answers: the gateway's own (Local), the backends', or All (default)."),
};
static const struct table response_override_table =
    TABLE_CHECKED(response_override, response_override_check);

static void request_buffer_check(struct decoder *d, const struct node *node, void *object)
{
    const struct request_buffer *b = object;
    const struct node *limit = node_find(node, "limit");

    if (b->limit_bytes.value <= 0)
        decode_error(d, DIAG_OUT_OF_RANGE, limit ? limit : node, "limit",
                     "must be more than nothing");
    else if (b->limit_bytes.value > LIMIT_EDITED_BODY_BYTES)
        decode_warning(d, DIAG_OUT_OF_RANGE, limit, "limit", "at most %d are held",
                       LIMIT_EDITED_BODY_BYTES);
}

static const struct field request_buffer_fields[] = {
    FIELD_QUANTITY(request_buffer, limit_bytes, "limit", 0,
                   "Largest body that is held and sent on as a whole; beyond: 413."),
};
static const struct table request_buffer_table =
    TABLE_CHECKED(request_buffer, request_buffer_check);

bool http_upgrade_is_enforced(const struct http_upgrade *u)
{
    static const char *const others[] = {"connect", "connect-udp", "connect-ip", "h2c", NULL};

    for (size_t i = 0; others[i]; i++) {
        if (str_eq_nocase(u->type, str_of(others[i])))
            return false;
    }
    return !str_starts_with_nocase(u->type, STR("tls/")) &&
           !str_starts_with_nocase(u->type, STR("http/"));
}

static void http_upgrade_check(struct decoder *d, const struct node *node, void *object)
{
    const struct http_upgrade *u = object;

    if (u->type.len > 0 && !http_upgrade_is_enforced(u))
        decode_warning(d, DIAG_NOT_ENFORCED, node_find(node, "type"), "type",
                       "upgrades to %.*s are not taken: what goes by them would pass unseen",
                       STR_ARG(u->type));
}

static const struct field http_upgrade_fields[] = {
    FIELD_STR(http_upgrade, type, "type", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Protocol as the Upgrade header names it."),
    FIELD_UNSUPPORTED("connect", "CONNECT that ends at the gateway."),
};
static const struct table http_upgrade_table = TABLE_CHECKED(http_upgrade, http_upgrade_check);

static void backend_traffic_policy_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const kinds[] = {"Gateway",  "ListenerSet", "HTTPRoute", "GRPCRoute",
                                        "TCPRoute", "UDPRoute",    "TLSRoute",  NULL};
    static const char *const compressions[] = {"compression", "compressor", NULL};
    static const char *const buffers[] = {"requestBuffer", "httpUpgrade", NULL};
    const struct target_rule rule = {GROUP_GATEWAY, kinds};
    struct backend_traffic_policy_spec *p = object;

    policy_targets_check(d, node, &p->targets, &rule, 1);
    policy_merge_check(d, node, &p->targets, p->merge_type);
    check_at_most_one(d, node, compressions);
    check_max_items(d, node, "compressor", 16);
    check_max_items(d, node, "compression", 16);
    check_max_items(d, node, "httpUpgrade", 64);
    check_at_most_one(d, node, buffers);
    cluster_judge(d, node, &p->cluster);
    p->cluster.mark = p->targets.mark;
    VEC_FOREACH (&p->older_compression, c)
        VEC_PUSH(d->arena, &p->compression, *c);
}

static const struct field backend_traffic_policy_spec_fields[] = {
    POLICY_TARGET_FIELDS(backend_traffic_policy_spec, targets.),
    FIELD_ENUM(backend_traffic_policy_spec, merge_type, "mergeType", 0, merge_type_names,
               "How a route's policy is merged over its Gateway's; it replaces unless given."),
    CLUSTER_SETTINGS_FIELDS(backend_traffic_policy_spec, cluster., 0, 0),
    FIELD_OBJECT(backend_traffic_policy_spec, rate_limit, "rateLimit", 0, rate_limit_spec,
                 "Limits on requests and tokens."),
    FIELD_LIST(backend_traffic_policy_spec, compression, "compressor", 0, compression,
               "Compression of answers, best first."),
    FIELD_LIST(backend_traffic_policy_spec, older_compression, "compression", FIELD_DEPRECATED,
               compression, "Older form of compressor."),
    FIELD_OBJECT(backend_traffic_policy_spec, fault_injection, "faultInjection", 0, fault_injection,
                 "Delays and refusals on purpose."),
    FIELD_LIST(backend_traffic_policy_spec, response_override, "responseOverride", 0,
               response_override, "Answers put in the place of others."),
    FIELD_OBJECT(backend_traffic_policy_spec, request_buffer, "requestBuffer", 0, request_buffer,
                 "Holding of whole request bodies."),
    FIELD_LIST(backend_traffic_policy_spec, http_upgrade, "httpUpgrade", 0, http_upgrade,
               "Protocols that requests may upgrade to; WebSocket unless given."),
    FIELD_BOOL(backend_traffic_policy_spec, use_client_protocol, "useClientProtocol", 0,
               "Whether upstreams are spoken to in the client's protocol."),
    FIELD_UNSUPPORTED("admissionControl", "Refusal by measured success rate."),
    FIELD_UNSUPPORTED("bandwidthLimit", "Limits on bytes per second."),
    FIELD_UNSUPPORTED("routingType", "Whether a Service's address or its endpoints are used."),
    FIELD_UNSUPPORTED("telemetry", "Telemetry of single routes."),
};
const struct table backend_traffic_policy_spec_table =
    TABLE_CHECKED(backend_traffic_policy_spec, backend_traffic_policy_check);
