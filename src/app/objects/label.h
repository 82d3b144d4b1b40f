/* Selectors of labels (-l), as far as equality goes: "app=envoy-gateway,tier!=x,key,!other". Pure.
 */
#pragma once

#include "base/str.h"

struct label {
    struct str key;
    struct str value;
};

enum label_result {
    LABEL_MALFORMED = 1, /* no selector, or one by sets */
};

/* Whether the labels, of which several may have one key, are selected. 0 or LABEL_MALFORMED. */
MUST_USE int label_select(struct str selector, const struct label *labels, size_t n, bool *ret_is);
