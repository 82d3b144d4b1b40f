/* Choosing an endpoint of a set: the loadBalancer of cluster settings. Immutable after load; absent
 * values stay unset, defaults are applied by compile. Source: Envoy Gateway API, "LoadBalancer". */
#pragma once

#include "manifest/common.h"

enum load_balancer_type {
    LOAD_BALANCER_CONSISTENT_HASH,
    LOAD_BALANCER_LEAST_REQUEST,
    LOAD_BALANCER_RANDOM,
    LOAD_BALANCER_ROUND_ROBIN,
    LOAD_BALANCER_BACKEND_UTILIZATION, /* not supported */
    LOAD_BALANCER_DYNAMIC_MODULE,      /* not supported */
};
enum hash_source { HASH_SOURCE_IP, HASH_HEADER, HASH_HEADERS, HASH_COOKIE, HASH_QUERY_PARAMS };

struct named_item {
    struct mark mark;
    struct str name;
};
struct hash_cookie {
    struct mark mark;
    struct str name;
    struct opt_duration ttl;
    struct text_pair_vec attributes;
};
struct consistent_hash {
    struct mark mark;
    int type; /* enum hash_source */
    struct named_item *header;
    VEC(struct named_item) headers;
    struct hash_cookie *cookie;
    VEC(struct named_item) query_params;
    struct opt_int table_size; /* prime; default 65537 */
};
struct slow_start {
    struct mark mark;
    struct opt_duration window;
};
struct cluster_load_balancer {
    struct mark mark;
    int type; /* enum load_balancer_type */
    struct consistent_hash *consistent_hash;
    struct slow_start *slow_start;
};
extern const struct table cluster_load_balancer_table;
