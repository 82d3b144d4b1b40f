/* Which requests an access log takes: matches in CEL (EnvoyProxy accessLog.settings[].matches) over
 * Envoy's attributes ("Attributes" in its documentation), read from the access record.
 *
 * An expression that fails, be it for a header that is not there, is no match, as in Envoy. Parsing
 * on the compile thread, evaluation on any. */
#pragma once

#include "base/buf.h"
#include "cel/cel.h"
#include "telemetry/access_log.h"

/* 0, or CEL_INVALID with `*ret_error`: malformed, of an unknown attribute, or no condition. */
MUST_USE int log_match_parse(struct arena *arena, struct str text, const struct cel_expr **ret,
                             struct cel_error *ret_error);
/* Does one of them hold? What has to be made for it is made in `arena`. */
bool log_match_any(const struct cel_expr *const *matches, size_t n, const struct access_record *r,
                   struct arena *arena);
/* The table of attributes as Markdown. */
void log_match_docs(struct buf *out);
