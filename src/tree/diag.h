/* What is wrong with a configuration, collected, never one at a time: severity, place, object,
 * field path, text, hint, and a second place when two documents disagree. Printed as
 *   policies/rate-limiting.yaml:41:18: BackendTrafficPolicy/name:
 * spec.circuitBreaker.maxConnections: expected a whole number, found "lots"
 */
#pragma once

#include "base/buf.h"
#include "base/vec.h"
#include "tree/node.h"

enum diag_severity { DIAG_NOTE, DIAG_WARNING, DIAG_ERROR };

/* Stable words for tools (JSON, SARIF rule ids, tests). */
#define DIAG_CODES(X)                                                                              \
    X(UNREADABLE_FILE, "unreadable-file")                                                          \
    X(BAD_YAML, "bad-yaml")                                                                        \
    X(SIZE_LIMIT, "size-limit")                                                                    \
    X(DUPLICATE_KEY, "duplicate-key")                                                              \
    X(UNKNOWN_FIELD, "unknown-field")                                                              \
    X(MISSING_FIELD, "missing-field")                                                              \
    X(WRONG_TYPE, "wrong-type")                                                                    \
    X(OUT_OF_RANGE, "out-of-range")                                                                \
    X(INVALID_VALUE, "invalid-value")                                                              \
    X(UNKNOWN_KIND, "unknown-kind")                                                                \
    X(NOT_FOR_GATEWAY, "not-for-a-gateway")                                                        \
    X(DUPLICATE_OBJECT, "duplicate-object")                                                        \
    X(UNSUPPORTED_FIELD, "unsupported-field")                                                      \
    X(NOT_ENFORCED, "not-enforced")                                                                \
    X(DANGLING_REFERENCE, "dangling-reference")                                                    \
    X(MISSING_CORE_OBJECT, "missing-core-object")                                                  \
    X(MISSING_GRANT, "missing-grant")                                                              \
    X(CONFLICT, "conflict")                                                                        \
    X(INEFFECTIVE, "ineffective")                                                                  \
    X(BAD_CERTIFICATE, "bad-certificate")                                                          \
    X(OLDER_FORM, "older-form")                                                                    \
    X(DIFFERENCE, "difference") /* Tollgate does what the document describes; compatibility.md */  \
    X(EMPTY, "empty")                                                                              \
    X(BYPASS, "bypass") /* the same endpoint is reachable without its checks */                    \
    X(PREFIX_WITHOUT_PREDICT, "prefix-without-predict")                                            \
    X(HEALTH_PATH, "health-path")                                                                  \
    X(CLIENT_CHOSEN_COUNT, "client-chosen-count")                                                  \
    X(UNSHARED_LIMIT, "unshared-limit")                                                            \
    X(OPEN_AI_ROUTE, "open-ai-route")                                                              \
    X(CUT_STREAMS, "cut-streams")                                                                  \
    X(OVERLAP, "overlap")                                                                          \
    X(CERTIFICATE_EXPIRY, "certificate-expiry")

enum diag_code {
#define X(id, text) DIAG_##id,
    DIAG_CODES(X)
#undef X
};

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
/* SARIF 2.1.0, one run. */
void diag_format_sarif(struct buf *out, const struct diag_list *l);
