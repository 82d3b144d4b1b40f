/* Writing JSON by hand, with the commas right: open, members, close. */
#pragma once

#include "base/buf.h"

struct json {
    struct buf *out;
    bool has_member[24]; /* by depth */
    int depth;
};

void json_init(struct json *j, struct buf *out);
/* `name` NULL: an item of an array, or the document itself. */
void json_open(struct json *j, const char *name, char bracket);
void json_close(struct json *j, char bracket);
void json_str(struct json *j, const char *name, struct str value);
void json_text(struct json *j, const char *name, const char *value);
/* `value` is JSON. */
void json_raw(struct json *j, const char *name, struct str value);
void json_u64(struct json *j, const char *name, uint64_t value);
void json_bool(struct json *j, const char *name, bool value);
