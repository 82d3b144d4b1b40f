/* Parts of the live picture, each in a file of its own, and what they share: lists that end at a
 * number of bytes, with how many more there are. All control's. */
#pragma once

#include "admin/live/live.h"

enum {
    /* Of a whole part: the largest fit into a second beside the traffic. */
    PART_BYTES = 8000,
    PART_TEXT_BYTES = 160, /* of a name or a sentence */
};

struct snapshot;

/* A list in a part: rows are written while they fit, and counted. */
struct part_list {
    struct json *json;
    struct json before; /* the row under way */
    size_t before_len;
    size_t max_len; /* of the document, at the end of a row */
    uint64_t n_left_out;
};

void part_list_open(struct part_list *p, struct json *j, const char *name, size_t max_bytes);
/* False: it is full, and the row is only counted. */
bool part_row_open(struct part_list *p);
void part_row_close(struct part_list *p);
/* Adds "NAME_more": how many rows are not there. */
void part_list_close(struct part_list *p, const char *more_name);
/* Cut between characters, with an ellipsis. */
void part_str(struct json *j, const char *name, struct str value);

/* What serves now; NULL: nothing yet. */
const struct snapshot *live_snapshot(const struct live *l);
/* Each writes the members of its part. */
#define X(name) void live_write_##name(struct live *l, struct json *j);
LIVE_PARTS(X)
#undef X
