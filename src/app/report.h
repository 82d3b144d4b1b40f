/* What `run` says on standard error about a configuration: findings, and what is served where.
 * Control's thread. */
#pragma once

#include "gateway/server.h"

/* Errors, and from `least` on warnings too, one log line each (a second place has its own); beyond
 * `max` they are counted only. Notes are never listed: `check` does. */
void report_findings(const struct diag_list *diags, enum diag_severity least, size_t max);
/* "configuration: 0 errors, 9 warnings, 12 notes" */
void report_summary(const struct diag_list *diags);
/* Where each listener is served, which ones are not and why, and whether limits depend on this
 * being the only replica. */
void report_listeners(const struct server *server);
/* The first error in one line, for a result that must stay short. Empty when there is none. */
void report_first_error(const struct diag_list *diags, struct buf *out);
