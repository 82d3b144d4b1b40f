/* See trace_parent.h. Capitals are no digits here: a reader that took them would join traces that
 * others keep apart. */
#include "telemetry/trace/trace_parent.h"

#include "base/hex.h"

enum {
    TRACE_ID_AT = 3,
    SPAN_ID_AT = 36,
    FLAGS_AT = 53,
    HEX_OF_64_BITS = 16,
    VERSION_NONE = 0xff,
    FLAG_SAMPLED = 1,
};

static bool trace_parent_read_hex(struct str text, size_t at, size_t n, uint64_t *ret)
{
    *ret = 0;
    for (size_t i = at; i < at + n; i++) {
        char c = text.ptr[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                                                : 16;

        if (digit > 15)
            return false;
        *ret = *ret << 4 | digit;
    }
    return true;
}

/* What a later version may add stands behind another '-'. */
static bool trace_parent_has_length(struct str text, uint64_t version)
{
    if (text.len == TRACE_PARENT_BYTES)
        return true;
    return version > 0 && text.ptr[TRACE_PARENT_BYTES] == '-';
}

bool trace_parent_parse(struct str text, struct trace_parent *ret)
{
    uint64_t version, flags;

    if (text.len < TRACE_PARENT_BYTES || text.ptr[TRACE_ID_AT - 1] != '-' ||
        text.ptr[SPAN_ID_AT - 1] != '-' || text.ptr[FLAGS_AT - 1] != '-')
        return false;
    if (!trace_parent_read_hex(text, 0, 2, &version) || version == VERSION_NONE ||
        !trace_parent_has_length(text, version))
        return false;
    if (!trace_parent_read_hex(text, TRACE_ID_AT, HEX_OF_64_BITS, &ret->trace_id[0]) ||
        !trace_parent_read_hex(text, TRACE_ID_AT + HEX_OF_64_BITS, HEX_OF_64_BITS,
                               &ret->trace_id[1]) ||
        !trace_parent_read_hex(text, SPAN_ID_AT, HEX_OF_64_BITS, &ret->span_id) ||
        !trace_parent_read_hex(text, FLAGS_AT, 2, &flags))
        return false;
    ret->is_sampled = flags & FLAG_SAMPLED;
    return (ret->trace_id[0] || ret->trace_id[1]) && ret->span_id;
}

void trace_parent_format_trace_id(const struct trace_parent *p, char ret_text[TRACE_ID_HEX_BYTES])
{
    hex_put_u64(ret_text, p->trace_id[0]);
    hex_put_u64(ret_text + HEX_OF_64_BITS, p->trace_id[1]);
}

void trace_parent_format_span_id(uint64_t id, char ret_text[SPAN_ID_HEX_BYTES])
{
    hex_put_u64(ret_text, id);
}

void trace_parent_format(const struct trace_parent *p, char ret_text[TRACE_PARENT_BYTES])
{
    memcpy(ret_text, "00-", TRACE_ID_AT);
    trace_parent_format_trace_id(p, ret_text + TRACE_ID_AT);
    ret_text[SPAN_ID_AT - 1] = '-';
    trace_parent_format_span_id(p->span_id, ret_text + SPAN_ID_AT);
    ret_text[FLAGS_AT - 1] = '-';
    memcpy(ret_text + FLAGS_AT, p->is_sampled ? "01" : "00", 2);
}

uint64_t trace_parent_new_id(struct random *r)
{
    uint64_t id;

    do
        id = random_u64(r);
    while (id == 0);
    return id;
}

void trace_parent_begin(struct random *r, struct trace_parent *ret)
{
    *ret = (struct trace_parent){
        {trace_parent_new_id(r), random_u64(r)}, trace_parent_new_id(r), true};
}
