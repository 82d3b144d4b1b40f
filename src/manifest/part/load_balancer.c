/* Decoding of loadBalancer.
 *
 * Owner: the load's arena. Thread: compile thread. The choosing itself is the policy level's. */
#include "manifest/part/load_balancer.h"

static const struct field named_item_fields[] = {
    FIELD_STR(named_item, name, "name", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Name of the header or parameter."),
};
static const struct table named_item_table = TABLE(named_item);

static const struct field hash_cookie_fields[] = {
    FIELD_STR(hash_cookie, name, "name", FIELD_REQUIRED | FIELD_NON_EMPTY, "Name of the cookie."),
    FIELD_DURATION(hash_cookie, ttl, "ttl", 0,
                   "Life of a cookie that the gateway makes; none is made unless given."),
    FIELD_TEXT_MAP(hash_cookie, attributes, "attributes", 0,
                   "Further attributes of a cookie that the gateway makes."),
};

/* Nothing of it may end the cookie, or the header. */
static bool is_cookie_text(struct str s, const char *forbidden)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~' || strchr(forbidden, s.ptr[i]))
            return false;
    }
    return true;
}

static void hash_cookie_check(struct decoder *d, const struct node *node, void *object)
{
    static const char no_token[] = "()<>@,;:\\\"/[]?={}";
    const struct hash_cookie *c = object;

    if (!is_cookie_text(c->name, no_token))
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "name"), "name",
                     "is no name of a cookie (RFC 6265 4.1.1)");
    VEC_FOREACH (&c->attributes, pair) {
        if (pair->key.len == 0 || !is_cookie_text(pair->key, no_token) ||
            !is_cookie_text(pair->value, ";,"))
            decode_error(d, DIAG_INVALID_VALUE, node_find(node, "attributes"), "attributes",
                         "\"%.*s\" is no attribute of a cookie (RFC 6265 4.1.1)",
                         STR_ARG(pair->key));
    }
}

static const struct table hash_cookie_table = TABLE_CHECKED(hash_cookie, hash_cookie_check);

static const char *const hash_source_names[] = {"SourceIP", "Header",      "Headers",
                                                "Cookie",   "QueryParams", NULL};

static bool is_prime(int64_t n)
{
    for (int64_t k = 2; k * k <= n; k++) {
        if (n % k == 0)
            return false;
    }
    return n >= 2;
}

static void consistent_hash_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {NULL, "header", "headers", "cookie", "queryParams"};
    const struct consistent_hash *h = object;

    check_union(d, node, h->type, hash_source_names, keys, false);
    if (h->table_size.is_set && !is_prime(h->table_size.value))
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "tableSize"), "tableSize",
                     "must be a prime number");
}

static const struct field consistent_hash_fields[] = {
    FIELD_ENUM(consistent_hash, type, "type", FIELD_REQUIRED, hash_source_names,
               "What of a request decides about its endpoint."),
    FIELD_OBJECT(consistent_hash, header, "header", 0, named_item, "Header, with type Header."),
    FIELD_LIST(consistent_hash, headers, "headers", 0, named_item, "Headers, with type Headers."),
    FIELD_OBJECT(consistent_hash, cookie, "cookie", 0, hash_cookie, "Cookie, with type Cookie."),
    FIELD_LIST(consistent_hash, query_params, "queryParams", 0, named_item,
               "Query parameters, with type QueryParams."),
    FIELD_INT(consistent_hash, table_size, "tableSize", 0, RANGE(2, 5000011),
              "Size of the Maglev table, a prime; 65537 unless given."),
};
static const struct table consistent_hash_table =
    TABLE_CHECKED(consistent_hash, consistent_hash_check);

static const struct field slow_start_fields[] = {
    FIELD_DURATION(slow_start, window, "window", FIELD_REQUIRED,
                   "Time over which a new endpoint's share grows to its full size."),
};
static const struct table slow_start_table = TABLE(slow_start);

static const char *const balancer_names[] = {
    "ConsistentHash",     "LeastRequest",  "Random", "RoundRobin",
    "BackendUtilization", "DynamicModule", NULL};

static void load_balancer_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {"consistentHash", NULL, NULL, NULL, NULL, NULL};
    const struct cluster_load_balancer *b = object;

    check_union(d, node, b->type, balancer_names, keys, false);
    if (b->type >= LOAD_BALANCER_BACKEND_UTILIZATION)
        decode_warning(d, DIAG_UNSUPPORTED_FIELD, node_find(node, "type"), "type",
                       "known to the API but not supported here: LeastRequest is used");
    if (b->slow_start && b->type != LOAD_BALANCER_ROUND_ROBIN &&
        b->type != LOAD_BALANCER_LEAST_REQUEST && b->type != LOAD_BALANCER_BACKEND_UTILIZATION)
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "slowStart"), "slowStart",
                     "allowed only with RoundRobin and LeastRequest");
}

static const struct field cluster_load_balancer_fields[] = {
    FIELD_ENUM(cluster_load_balancer, type, "type", FIELD_REQUIRED, balancer_names,
               "How an endpoint is chosen."),
    FIELD_OBJECT(cluster_load_balancer, consistent_hash, "consistentHash", 0, consistent_hash,
                 "What is hashed, with type ConsistentHash."),
    FIELD_OBJECT(cluster_load_balancer, slow_start, "slowStart", 0, slow_start,
                 "Gentle start of new endpoints."),
    FIELD_UNSUPPORTED("backendUtilization", "Balancing by load that endpoints report."),
    FIELD_UNSUPPORTED("dynamicModule", "Balancing by a loaded module."),
    FIELD_UNSUPPORTED("endpointOverride", "Endpoint named by a request header."),
    FIELD_UNSUPPORTED("zoneAware", "Preference for endpoints of the same zone."),
};
const struct table cluster_load_balancer_table =
    TABLE_CHECKED(cluster_load_balancer, load_balancer_check);
