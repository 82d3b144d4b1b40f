/* Learning and matching of frame shapes.
 *
 * Why a match is as good as a scan: the text around the slots is byte for byte that of a document
 * which json_scan has found valid, and a slot holds what could stand there without any change to
 * the structure: string characters (RFC 8259 7, UTF-8 by RFC 3629) up to the quote, or digits of a
 * whole number. So all hits but those of the slots would be the same. Whatever is less plain does
 * not match, and is scanned. The test of answer_scan and the fuzzer compare both ways. */
#include "llm/event_shape.h"

#include "base/assert.h"

void event_shape_learn(struct event_shape *shape, struct str data, const struct event_slot *slots,
                       unsigned n_slots, size_t mark)
{
    size_t from = 0;
    size_t len = 0;

    PRE(n_slots <= EVENT_SHAPE_SLOTS && mark <= data.len);
    shape->n_slots = 0;
    if (n_slots == 0 || data.len > LIMIT_EVENT_SHAPE_BYTES)
        return;
    shape->mark_slots = 0;
    shape->mark = (uint16_t)mark;
    for (unsigned i = 0; i < n_slots; i++) {
        memcpy(shape->text + len, data.ptr + from, slots[i].begin - from);
        len += slots[i].begin - from;
        from = slots[i].end;
        shape->ends[i] = (uint16_t)len;
        shape->kinds[i] = (uint8_t)slots[i].kind;
        if (mark >= from) {
            shape->mark_slots = (uint8_t)(i + 1);
            shape->mark = (uint16_t)(mark - from);
        }
    }
    memcpy(shape->text + len, data.ptr + from, data.len - from);
    shape->ends[n_slots] = (uint16_t)(len + data.len - from);
    shape->n_slots = (uint8_t)n_slots;
}

static bool is_continuation(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* Bytes of the multi-byte character at `p`, or 0 (RFC 3629: nothing overlong, no surrogates,
 * nothing above U+10FFFF). */
static size_t character(const unsigned char *p, const unsigned char *end)
{
    size_t left = (size_t)(end - p);

    if (p[0] < 0xc2 || p[0] > 0xf4 || left < 2 || !is_continuation(p[1]))
        return 0;
    if (p[0] < 0xe0)
        return 2;
    if (left < 3 || !is_continuation(p[2]))
        return 0;
    if (p[0] < 0xf0)
        return (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ? 0 : 3;
    if (left < 4 || !is_continuation(p[3]))
        return 0;
    return (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f) ? 0 : 4;
}

/* Walks a string's text up to its closing quote, which is where it returns; NULL: not plain. */
static const unsigned char *string_end(const unsigned char *p, const unsigned char *end,
                                       uint64_t *n_bytes)
{
    const unsigned char *begin = p;
    uint64_t n_escapes = 0;

    while (p < end && *p != '"') {
        size_t n = 1;

        if (*p == '\\') {
            if (end - p < 2 || !p[1] || !strchr("\"\\/bfnrt", p[1]))
                return NULL;
            n_escapes++;
            n = 2;
        } else if (*p >= 0x80) {
            n = character(p, end);
        } else if (*p < 0x20) {
            return NULL;
        }
        if (n == 0)
            return NULL;
        p += n;
    }
    *n_bytes += (uint64_t)(p - begin) - n_escapes;
    return p < end ? p : NULL;
}

/* A whole number without sign, fraction or exponent. */
static const unsigned char *number_end(const unsigned char *p, const unsigned char *end)
{
    const unsigned char *begin = p;

    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p == begin || (*begin == '0' && p - begin > 1) || p - begin > 15 ? NULL : p;
}

bool event_shape_match(const struct event_shape *shape, struct str data, uint64_t *ret_text_bytes,
                       size_t *ret_mark)
{
    uint64_t n_bytes[3] = {0};
    size_t from = 0;

    if (shape->n_slots == 0 || data.len == 0)
        return false;
    const unsigned char *p = (const unsigned char *)data.ptr;
    const unsigned char *end = p + data.len;
    const unsigned char *mark_from = p;

    for (unsigned i = 0;; i++) {
        size_t n = shape->ends[i] - from;

        if ((size_t)(end - p) < n || memcmp(p, shape->text + from, n) != 0)
            return false;
        p += n;
        from += n;
        if (i == shape->n_slots)
            break;
        if (shape->kinds[i] == EVENT_SLOT_NUMBER)
            p = number_end(p, end);
        else
            p = string_end(p, end, &n_bytes[shape->kinds[i]]);
        if (!p)
            return false;
        if (i + 1 == shape->mark_slots)
            mark_from = p;
    }
    *ret_text_bytes = n_bytes[EVENT_SLOT_TEXT];
    *ret_mark = (size_t)(mark_from - (const unsigned char *)data.ptr) + shape->mark;
    return p == end;
}
