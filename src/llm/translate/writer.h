/* JSON text, written member by member into a buffer. The writer keeps the commas; whoever uses it
 * keeps the nesting. Text is escaped so that it can end neither its string nor its line, which an
 * event-stream frame relies on. One writer belongs to one thread. */
#pragma once

#include <jansson.h>

#include "base/buf.h"

struct writer {
    struct buf *out;
    bool needs_comma;
};

void writer_open(struct writer *w, char bracket);  /* '{' or '[' */
void writer_close(struct writer *w, char bracket); /* '}' or ']' */
void writer_key(struct writer *w, const char *key);
void writer_str(struct writer *w, struct str value);
void writer_u64(struct writer *w, uint64_t value);
/* Text that is JSON already: true, null, a whole value. */
void writer_raw(struct writer *w, struct str json);
/* A value as it stands in its document. */
void writer_json(struct writer *w, const json_t *value);
/* The same as text inside a string. */
void writer_json_text(struct writer *w, const json_t *value);

/* A key and its value in one call. */
void writer_member(struct writer *w, const char *key, struct str value);
void writer_member_u64(struct writer *w, const char *key, uint64_t value);
void writer_member_raw(struct writer *w, const char *key, struct str json);
void writer_member_json(struct writer *w, const char *key, const json_t *value);
/* A key and an opened object or array. */
void writer_member_open(struct writer *w, const char *key, char bracket);
