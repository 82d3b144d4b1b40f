/* Access-log formats: text with command operators, or a JSON object whose values are such texts,
 * compiled once and run per request. Immutable after compilation. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "telemetry/access_log.h"

struct log_format;

/* Where and why a format is refused. */
struct log_format_error {
    uint32_t column; /* bytes before the place, in the text */
    uint32_t index;  /* of the JSON field */
    char text[160];
};

enum log_format_result { LOG_FORMAT_BAD = 1 };

/* In `a`; 0 or LOG_FORMAT_BAD with *ret_error. A line feed at the end of the text is implied. */
MUST_USE int log_format_new_text(struct arena *a, struct str text, const struct log_format **ret,
                                 struct log_format_error *ret_error);
/* One member per name, in this order. A value that is one operator alone keeps its type: a number,
 * or null when absent. */
MUST_USE int log_format_new_json(struct arena *a, const struct str *names, const struct str *values,
                                 size_t n, const struct log_format **ret,
                                 struct log_format_error *ret_error);
/* JSON with the field names of Envoy Gateway's default, and tenant, model, jwt_sub and tokens. Any
 * thread; lives as long as the process. */
const struct log_format *log_format_default(void);
/* Appends one line, its line feed included. What an outsider wrote can neither end the line nor
 * look like the end of a quoted value: control bytes, quotes and backslashes are escaped; absent
 * values are "-" in text, and what would make the line longer than LIMIT_LOG_LINE_BYTES is cut. */
void log_format_line(const struct log_format *f, const struct access_record *r, struct buf *out);
/* Does it show anything of a client's certificate? */
bool log_format_reads_peer(const struct log_format *f);
/* The next DYNAMIC_METADATA from *io_at on that is nothing the gateway itself knows,
 * "NAMESPACE:KEY"; *ret_cost: the KEY if it may be a cost's. False: no more. */
bool log_format_next_metadata(const struct log_format *f, size_t *io_at, struct str *ret_name,
                              struct str *ret_cost);
/* The default's members, and the table of operators, as Markdown. */
void log_format_default_docs(struct buf *out);
void log_format_docs(struct buf *out);
