/* Finding credentials in a request, and taking them out of one. Stateless. */
#pragma once

#include "auth/extract.h"
#include "gateway/layer/layer_plan.h"
#include "http/message.h"

/* The one value of that header; several are malformed: nobody could say which one counts, and the
 * backend might take the other. */
enum extract_result credential_in_header(const struct http_headers *h, struct str name,
                                         struct str *ret_value);
/* The value at that source, decoded into `a` where it has to be. */
enum extract_result credential_find(const struct http_request *r,
                                    const struct credential_source *source, struct arena *a,
                                    struct str *ret_value);
/* `query` without the parameters of that name; ptr NULL when none is left. */
struct str credential_strip_param(struct str query, struct str name, struct arena *a);
/* Takes the cookies of that name out of all Cookie headers. */
void credential_strip_cookie(struct http_headers *h, struct str name, struct arena *a);
