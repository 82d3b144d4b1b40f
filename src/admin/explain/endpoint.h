/* /explain of the admin port. What a browser's history, a proxy's log or a shell's may keep stands
 * in the query; what they must not keep stands in headers of the request:
 *
 *   GET /explain?request=POST http://host/path&header=Name: value&from=ADDR&format=json
 *   X-Explain-Header: Name: value      (repeatable)
 *   X-Explain-Token: TOKEN             (as Authorization: Bearer)
 *   X-Explain-Request: METHOD URL      (instead of `request`)
 *   X-Explain-Body: TEXT
 *   X-Explain-Body-Encoded: TEXT       (%XX for any byte, also of a line end)
 *
 * A credential in the query is refused, so that nobody gets used to it. */
#pragma once

#include "admin/endpoints.h"

void admin_explain_serve(struct admin *a, const struct http_request *request,
                         struct admin_answer *answer);
