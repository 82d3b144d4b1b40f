/* What a rate-limit rule makes of a request, for explanations: the first of its questions that says
 * no, and the values that its key is made of. Part of limit_rule.c. Pure. */
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

/* Takes the next value off the front of a key's bytes: they stand in the order of the selectors, of
 * each address, headers, parameters. `*ret_is_hash`: it stands there as a hash, or with it all that
 * are left. False: there is none. */
bool limit_key_next(struct str *rest, struct str *ret_value, bool *ret_is_hash);

/* Why it does not, or would not without the limit of a pattern. */
struct limit_miss limit_rule_miss(const struct limit_rule *r, const struct limit_input *input);
