/* See json.h. */
#include "admin/json.h"

#include "base/assert.h"

void json_init(struct json *j, struct buf *out)
{
    *j = (struct json){.out = out};
}

static void json_member(struct json *j, const char *name)
{
    if (j->has_member[j->depth])
        buf_append_char(j->out, ',');
    j->has_member[j->depth] = true;
    if (name) {
        buf_append_json(j->out, str_of(name));
        buf_append_char(j->out, ':');
    }
}

void json_open(struct json *j, const char *name, char bracket)
{
    json_member(j, name);
    buf_append_char(j->out, bracket);
    ASSERT(j->depth + 1 < (int)N_ELEMENTS(j->has_member));
    j->has_member[++j->depth] = false;
}

void json_close(struct json *j, char bracket)
{
    ASSERT(j->depth > 0);
    j->depth--;
    buf_append_char(j->out, bracket);
}

void json_str(struct json *j, const char *name, struct str value)
{
    json_member(j, name);
    buf_append_json(j->out, value);
}

void json_text(struct json *j, const char *name, const char *value)
{
    json_str(j, name, str_of(value));
}

void json_raw(struct json *j, const char *name, struct str value)
{
    json_member(j, name);
    buf_append_str(j->out, value);
}

void json_u64(struct json *j, const char *name, uint64_t value)
{
    json_member(j, name);
    buf_append_u64(j->out, value);
}

void json_bool(struct json *j, const char *name, bool value)
{
    json_member(j, name);
    buf_printf(j->out, value ? "true" : "false");
}
