/* What is said to people and to programs, from one set of calls: lines with indentation, or JSON.
 * Names are those of JSON ("used_for"); as text they have blanks. Bytes that a terminal would
 * obey are escaped. Nothing is owned but the place in the document. */
#pragma once

#include "admin/json.h"
#include "tree/node.h"

struct report {
    struct buf *out;
    bool is_json;
    struct json json;
    unsigned level;    /* of indentation */
    bool is_in_row;    /* fields go on the row's line */
    bool is_list_bare; /* the list that is open has no row yet */
};

void report_init(struct report *r, struct buf *out, bool is_json);
/* JSON: the document is complete. */
void report_finish(struct report *r);
/* A part with members. */
void report_open(struct report *r, const char *name);
void report_close(struct report *r);
/* A part with rows; text says so where none comes. */
void report_list(struct report *r, const char *name);
void report_list_close(struct report *r);
/* Something, where it stands (NULL: nowhere), what became of it in a word, and why ("" or NULL: no
 * more to say). Fields may follow, until report_row_end. */
void report_row(struct report *r, struct str name, const struct mark *at, const char *verdict,
                struct str why);
/* A row that is a name and a value. */
void report_pair(struct report *r, struct str name, struct str value);
void report_row_end(struct report *r);
/* Members. */
void report_str(struct report *r, const char *name, struct str value);
void report_text(struct report *r, const char *name, const char *value);
void report_u64(struct report *r, const char *name, uint64_t value);
/* `name` ends in "_s", for programs; people read "retry after: 5s". */
void report_seconds(struct report *r, const char *name, uint64_t value);
void report_bool(struct report *r, const char *name, bool value);
/* file:line; nothing where there is none. */
void report_mark(struct report *r, const char *name, const struct mark *at);
/* Microseconds, as "1.5s" or "20ms"; 0 is left out. */
void report_time(struct report *r, const char *name, uint64_t us);
