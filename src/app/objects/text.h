/* Texts of manifests on a terminal: what a running gateway answered is a stranger's, and no byte of
 * it may move a cursor. Pure. */
#pragma once

#include "base/buf.h"

/* With quotes and escapes that JSON and YAML both read. */
void text_append_quoted(struct buf *out, struct str text);
/* As it stands, control characters as '?'. */
void text_append_safe(struct buf *out, struct str text);
/* The same of several lines; the last one gets its end where it has none. */
void text_append_safe_lines(struct buf *out, struct str text);
/* Is there a control character, of which a line end is one? */
bool text_has_control(struct str text);
/* How many columns it takes, a character being one. */
size_t text_width(struct str text);
