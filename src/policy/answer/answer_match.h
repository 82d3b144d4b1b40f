/* Which answers a policy speaks of: by status, any of them, and by headers, all of them. Immutable
 * once compiled; any thread. Source: Envoy Gateway API, "CustomResponseMatch". */
#pragma once

#include "http/message.h"
#include "policy/regex.h"

struct answer_statuses {
    uint16_t first;
    uint16_t last;
};

enum answer_value_kind {
    ANSWER_VALUE_IS,
    ANSWER_VALUE_STARTS,
    ANSWER_VALUE_ENDS,
    ANSWER_VALUE_MATCHES,
};

/* Several lines of one name are one value, joined by ", ". */
struct answer_header {
    struct str name; /* lower-case */
    enum answer_value_kind kind;
    struct str value;
    const struct regex *regex; /* MATCHES */
};

struct answer_match {
    const struct answer_statuses *statuses; /* none: any status */
    size_t n_statuses;
    const struct answer_header *headers;
    size_t n_headers;
};

/* REGEX_LIMIT: a pattern took too long, and nobody knows. */
enum regex_verdict answer_match_applies(const struct answer_match *m, uint16_t status,
                                        const struct http_headers *h);
