/* What a rate-limit rule makes of a request, for explanations: the first of its questions that says
 * no. Part of limit_rule.c. Pure. */
#pragma once

#include "policy/limit_rule.h"

/* The first part of a rule that does not hold. */
enum limit_part {
    LIMIT_PART_NONE, /* all hold */
    LIMIT_PART_METHOD,
    LIMIT_PART_ADDRESS,
    LIMIT_PART_HEADER, /* `item` */
    LIMIT_PART_QUERY,  /* `item` */
    LIMIT_PART_PATH,
};
struct limit_miss {
    enum limit_part part;
    const struct limit_item *item;
};

/* Why it does not, or would not without the limit of a pattern. */
struct limit_miss limit_rule_miss(const struct limit_rule *r, const struct limit_input *input);
