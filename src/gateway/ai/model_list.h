/* GET /v1/models: the models that this caller may reach, and no others (a list of everybody's
 * models tells tenants about each other). */
#pragma once

#include "gateway/exchange.h"

/* Is this the list, to be answered here? `match` is the route's choice, NULL: none. An HTTPRoute
 * that names the path itself keeps it. */
bool model_list_is_asked(const struct exchange *x, const struct route_match *match);
/* Makes the list, while the snapshot is there that says which rules there are. */
void model_list_make(struct exchange *x);
/* The list as the answer (x->response, x->local_body). */
enum step_result model_list_answer(struct exchange *x);
