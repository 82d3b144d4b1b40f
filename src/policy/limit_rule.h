/* Whom one rate-limit rule counts, and under which value (Envoy Gateway RateLimitSelectCondition).
 * All parts of all its selectors must hold; "Distinct" parts hold for every value, and together
 * they are the key of the bucket. Compiled once, immutable; matching is pure and allocates nothing.
 */
#pragma once

#include "base/buf.h"
#include "policy/cidr.h"
#include "policy/field_value.h"
#include "policy/limit/limit_key.h"
#include "policy/route_match.h"

enum limit_item_kind {
    LIMIT_ITEM_EXACT,
    LIMIT_ITEM_REGEX, /* in full */
    LIMIT_ITEM_DISTINCT,
};

/* A header or a query parameter, as configured. */
struct limit_item_spec {
    struct str name; /* headers: any case */
    struct str value;
    enum limit_item_kind kind;
    bool is_inverted; /* not with Distinct */
};

struct limit_method_spec {
    struct str method;
    bool is_inverted;
};

/* Counts of 0 mean "not given". */
struct limit_selector_spec {
    const struct limit_item_spec *headers; /* all of these */
    size_t n_headers;
    const struct limit_item_spec *queries; /* all of these */
    size_t n_queries;
    const struct limit_method_spec *methods; /* any of these */
    size_t n_methods;
    bool has_path;
    bool is_path_inverted;
    unsigned path_reading; /* of requests: enum path_reading, as flags */
    enum route_path_kind path_kind;
    struct str path;
    bool has_cidr;
    bool is_cidr_distinct; /* one bucket per address of the range */
    bool is_cidr_inverted;
    struct str cidr;
};

struct limit_item {
    struct field_name name;
    struct str value;
    const struct regex *regex; /* LIMIT_ITEM_REGEX */
    enum limit_item_kind kind;
    bool is_inverted;
};

struct limit_selector {
    const struct limit_item *headers;
    const struct limit_item *queries;
    const struct limit_method_spec *methods;
    uint32_t n_headers;
    uint32_t n_queries;
    uint32_t n_methods;
    bool has_path;
    bool is_path_inverted;
    bool has_cidr;
    bool is_cidr_distinct;
    bool is_cidr_inverted;
    enum route_path_kind path_kind;
    struct str path; /* a prefix without its trailing slash */
    const struct regex *path_regex;
    struct cidr cidr;
};

struct limit_rule {
    const struct limit_selector *selectors; /* all of these; none: every request */
    uint32_t n_selectors;
    bool is_distinct;
};

/* Conditions of limit_rule_init. */
enum limit_rule_condition {
    LIMIT_RULE_BAD_REGEX = 1,
    LIMIT_RULE_BAD_CIDR = 2,
    LIMIT_RULE_BAD_PATH = 3, /* no request has it */
};

struct limit_input {
    const struct http_request *request; /* as claims and the route's own filters leave it */
    const struct ip_address *client;
};

/* Copies into `arena`. On a condition `*ret_bad` is the index of the selector. */
MUST_USE int limit_rule_init(struct limit_rule *r, struct arena *arena,
                             const struct limit_selector_spec *selectors, size_t n_selectors,
                             size_t *ret_bad);
/* Does the rule count this request? REGEX_LIMIT: refuse it (500). `*ret_key` is complete on
 * REGEX_HIT. A Distinct header or parameter that is absent, or an address that is not known: the
 * rule does not apply. */
enum regex_verdict limit_rule_match(const struct limit_rule *r, const struct limit_input *input,
                                    struct limit_key *ret_key);

/* May the value of that header or parameter be seen by who watches? */
typedef bool limit_may_show_fn(const void *context, struct str name);
/* A key of that rule for people, "x-tenant=a,client=10.0.0.1"; empty: it has none. */
void limit_rule_format_key(const struct limit_rule *r, struct str key, limit_may_show_fn *may_show,
                           const void *context, struct buf *out);
/* Whom the rule counts by what it compares with, in the same manner: "x-tenant=a,method=POST"; "!="
 * where that is inverted, "~" before a pattern; values that may not be seen are hidden. */
void limit_rule_format_scope(const struct limit_rule *r, limit_may_show_fn *may_show,
                             const void *context, struct buf *out);
