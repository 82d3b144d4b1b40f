/* Hostname patterns of listeners and routes (Gateway API "Hostname"): an exact name,
 * "*.example.com" (one or more labels in front), or empty for any. Lower-case, without port. Pure.
 */
#pragma once

#include "base/str.h"

bool host_pattern_is_wildcard(struct str pattern);
/* Does the host (lower-case, without port) fall under the pattern? */
bool host_pattern_matches(struct str pattern, struct str host);
/* The hosts that both patterns cover, as a pattern: the more specific of the two when they overlap.
 * False when they do not (the route does not attach to the listener). */
bool host_pattern_intersect(struct str listener, struct str route, struct str *ret_pattern);
/* Rank for choosing among patterns that match one host: exact > longer wildcard > shorter > none.
 */
unsigned host_pattern_rank(struct str pattern);
