/* The JSON writer: commas, keys, escapes. Owner of the bytes: whoever owns the buffer. */
#include "llm/translate/writer.h"

#include "base/assert.h"

static void writer_comma(struct writer *w)
{
    if (w->needs_comma)
        buf_append_char(w->out, ',');
    w->needs_comma = true;
}

void writer_open(struct writer *w, char bracket)
{
    writer_comma(w);
    buf_append_char(w->out, bracket);
    w->needs_comma = false;
}

void writer_close(struct writer *w, char bracket)
{
    buf_append_char(w->out, bracket);
    w->needs_comma = true;
}

void writer_key(struct writer *w, const char *key)
{
    writer_comma(w);
    buf_append_json(w->out, str_of(key));
    buf_append_char(w->out, ':');
    w->needs_comma = false;
}

void writer_str(struct writer *w, struct str value)
{
    writer_comma(w);
    buf_append_json(w->out, value);
}

void writer_u64(struct writer *w, uint64_t value)
{
    writer_comma(w);
    buf_append_u64(w->out, value);
}

void writer_raw(struct writer *w, struct str json)
{
    writer_comma(w);
    buf_append_str(w->out, json);
}

static int on_dump(const char *bytes, size_t n, void *out)
{
    buf_append(out, bytes, n);
    return 0;
}

/* jansson fails to print only what it would not have read, and for want of memory. */
static void dump(const json_t *value, struct buf *out)
{
    int r = json_dump_callback(value, on_dump, out, JSON_COMPACT | JSON_ENCODE_ANY);

    ASSERT(r == 0);
}

void writer_json(struct writer *w, const json_t *value)
{
    writer_comma(w);
    dump(value, w->out);
}

void writer_json_text(struct writer *w, const json_t *value)
{
    struct buf text AUTO(buf_deinit) = {0};

    dump(value, &text);
    writer_str(w, buf_str(&text));
}

void writer_member(struct writer *w, const char *key, struct str value)
{
    writer_key(w, key);
    writer_str(w, value);
}

void writer_member_u64(struct writer *w, const char *key, uint64_t value)
{
    writer_key(w, key);
    writer_u64(w, value);
}

void writer_member_raw(struct writer *w, const char *key, struct str json)
{
    writer_key(w, key);
    writer_raw(w, json);
}

void writer_member_json(struct writer *w, const char *key, const json_t *value)
{
    writer_key(w, key);
    writer_json(w, value);
}

void writer_member_open(struct writer *w, const char *key, char bracket)
{
    writer_key(w, key);
    writer_open(w, bracket);
}
