/* See otlp_attribute.h. Whole numbers of 64 bits are strings in the JSON encoding of protobuf. */
#include "telemetry/otlp/otlp_attribute.h"

#include "base/limits.h"

/* Not inside a character. */
static struct str otlp_cut(struct str text)
{
    size_t n = MIN(text.len, (size_t)LIMIT_SPAN_VALUE_BYTES);

    while (n < text.len && n > 0 && ((unsigned char)text.ptr[n] & 0xc0) == 0x80)
        n--;
    return str_slice(text, 0, n);
}

void otlp_attribute_string(struct buf *out, struct str text)
{
    buf_append_json(out, otlp_cut(text));
}

static void otlp_attribute_key(struct buf *out, struct str key)
{
    if (out->len > 0 && out->ptr[out->len - 1] != '[')
        buf_append_char(out, ',');
    buf_append_str(out, STR("{\"key\":"));
    otlp_attribute_string(out, key);
    buf_append_str(out, STR(",\"value\":{"));
}

void otlp_attribute_text(struct buf *out, struct str key, struct str value)
{
    if (value.len == 0)
        return;
    otlp_attribute_key(out, key);
    buf_append_str(out, STR("\"stringValue\":"));
    otlp_attribute_string(out, value);
    buf_append_str(out, STR("}}"));
}

void otlp_attribute_number(struct buf *out, struct str key, int64_t value)
{
    otlp_attribute_key(out, key);
    buf_printf(out, "\"intValue\":\"%lld\"}}", (long long)value);
}

void otlp_attribute_flag(struct buf *out, struct str key, bool value)
{
    otlp_attribute_key(out, key);
    buf_printf(out, "\"boolValue\":%s}}", value ? "true" : "false");
}
