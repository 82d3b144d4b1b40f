/* Parts of /config that stand in a file of their own: config_rule.c. Control's thread. */
#pragma once

#include "admin/json.h"
#include "gateway/snapshot.h"

/* One rule: its matches as the manifest states them, what it does, and where it leads. */
void config_format_rule(struct json *j, const struct manifest *m, const struct rule_plan *r);
/* The route of a plan, by its label "Kind/namespace/name"; NULL: it stands there no more. */
const struct object *config_find_route(const struct manifest *m, struct str label);
