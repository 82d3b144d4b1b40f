/* Hostnames of listeners and routes: RFC 1123 names, lower case, with an optional "*." in front
 * that stands for one or more labels (Gateway API, "Hostname"). Pure. */
#pragma once

#include "tree/decode.h"

bool hostname_is_valid(struct str s, bool may_be_wildcard);
static inline bool hostname_is_wildcard(struct str s)
{
    return s.len > 2 && s.ptr[0] == '*' && s.ptr[1] == '.';
}
/* Whether every host of `narrow` belongs to `wide` too; empty means any host. */
bool hostname_covers(struct str wide, struct str narrow);
/* What both admit: the narrower of the two, empty when both are; false when nothing. */
bool hostname_intersect(struct str a, struct str b, struct str *ret_common);

/* For FIELD_OTHER: struct str; struct str_vec. */
decode_fn decode_wildcard_hostname, decode_wildcard_hostname_list;
/* For FIELD_OTHER: struct str, RFC 1123 name without wildcard or port, final dot not allowed. */
decode_fn decode_precise_hostname;
