/* Parts of /config that stand in a file of their own: config_rule.c. Control's thread. */
#pragma once

#include "admin/json.h"
#include "gateway/snapshot.h"

/* One rule: its matches as the manifest states them, what it does, and where it leads. */
void config_format_rule(struct json *j, const struct manifest *m, const struct rule_plan *r);
/* The object of a plan, by its label "Kind/namespace/name", with a port behind it or not; NULL: no
 * file has it, or no more. */
const struct object *config_find_object(const struct manifest *m, struct str label);
