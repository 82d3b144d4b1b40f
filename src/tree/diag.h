/* What is wrong with a configuration, collected, never one at a time: severity, place, object,
 * field path, text, hint, and a second place when two documents disagree. Printed as
 *   policies/rate-limiting.yaml:41:18: BackendTrafficPolicy/name:
 * spec.circuitBreaker.maxConnections: expected a whole number, found "lots"
 */
#pragma once

#include "base/buf.h"
#include "base/vec.h"
#include "tree/diag_code.h"
#include "tree/node.h"

enum diag_severity { DIAG_NOTE, DIAG_WARNING, DIAG_ERROR };

struct diag {
    enum diag_severity severity;
    enum diag_code code;
    struct mark mark;
    struct str object; /* "Kind/name" or "Kind/namespace/name", may be empty */
    struct str path;   /* "spec.rules[0].matches[1].path", may be empty */
    struct str text;
    struct str hint;   /* may be empty */
    struct mark other; /* "note: ..." second place; file NULL: none */
    struct str other_text;
    size_t order; /* of adding, so that sorting is stable */
};

/* Compile thread only. Strings live in `arena`. At most LIMIT_DIAGNOSTICS are kept, all are
 * counted. */
struct diag_list {
    struct arena *arena;
    VEC(struct diag) items;
    size_t n_errors;
    size_t n_warnings;
    size_t n_notes;
    struct diag *scratch; /* stands in for items past the limit */
};

void diag_list_init(struct diag_list *l, struct arena *a);
/* Returns the item for adding hint, path, other; never NULL (past the limit a scratch item). */
struct diag *diag_add(struct diag_list *l, enum diag_severity severity, enum diag_code code,
                      struct mark mark, struct str object, const char *format, ...) PRINTF(6, 7);
/* Whether further findings of this severity are only counted: callers may spare the words. */
bool diag_list_is_full(const struct diag_list *l, enum diag_severity severity);
const char *diag_code_text(enum diag_code code);
const char *diag_severity_text(enum diag_severity severity);
/* By file, line, column, severity; stable. */
void diag_sort(struct diag_list *l);
void diag_format_text(struct buf *out, const struct diag *d);
/* {"errors":n,"warnings":n,"notes":n,"diagnostics":[{"severity","code","place","object",...}]} */
void diag_format_json(struct buf *out, const struct diag_list *l);
/* SARIF 2.1.0, one run; its rules are all of DIAG_CODES with their sentences. */
void diag_format_sarif(struct buf *out, const struct diag_list *l);
