/* The text of the value under way, kept in the scan's own room: bytes as they come, escapes as what
 * they mean. What does not fit is counted and cut off. */
#include "llm/json/json_scan_internal.h"

void json_text_start(struct json_scan *s, enum json_keep keep)
{
    s->keep = (uint8_t)keep;
    s->has_escape = false;
    s->has_half_pair = false;
    s->is_cut = false;
    s->text_len = 0;
    s->n_bytes = 0;
    s->high = 0;
}

static void append(struct json_scan *s, const void *text, size_t n)
{
    size_t room = JSON_TEXT_BYTES - s->text_len;

    s->n_bytes += n;
    if (s->keep != KEEP_TEXT)
        return;
    if (n > room) {
        n = room;
        s->is_cut = true;
    }
    memcpy(s->text + s->text_len, text, n);
    s->text_len = (uint16_t)(s->text_len + n);
}

/* Cut text may end inside a character. */
static void trim(struct json_scan *s)
{
    unsigned n = s->text_len;
    unsigned n_tail = 0;

    while (n_tail < 3 && n_tail < n && ((unsigned char)s->text[n - 1 - n_tail] & 0xc0) == 0x80)
        n_tail++;
    if (n_tail == n || (unsigned char)s->text[n - 1 - n_tail] < 0xc0)
        return;
    unsigned char lead = (unsigned char)s->text[n - 1 - n_tail];
    unsigned n_want = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;

    if (n_tail < n_want)
        s->text_len = (uint16_t)(n - 1 - n_tail);
}

static void append_code(struct json_scan *s, uint32_t code)
{
    char c[4];
    size_t n = 0;

    if (code < 0x80) {
        c[n++] = (char)code;
    } else if (code < 0x800) {
        c[n++] = (char)(0xc0 | code >> 6);
        c[n++] = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        c[n++] = (char)(0xe0 | code >> 12);
        c[n++] = (char)(0x80 | (code >> 6 & 0x3f));
        c[n++] = (char)(0x80 | (code & 0x3f));
    } else {
        c[n++] = (char)(0xf0 | code >> 18);
        c[n++] = (char)(0x80 | (code >> 12 & 0x3f));
        c[n++] = (char)(0x80 | (code >> 6 & 0x3f));
        c[n++] = (char)(0x80 | (code & 0x3f));
    }
    append(s, c, n);
}

static void end_half_pair(struct json_scan *s)
{
    if (LIKELY(s->high == 0))
        return;
    s->high = 0;
    s->has_half_pair = true;
    append_code(s, 0xfffd);
}

void json_text_add(struct json_scan *s, const void *text, size_t n)
{
    end_half_pair(s);
    append(s, text, n);
}

/* Of UTF-16 (RFC 8259, 7). Half a pair is within the grammar, and stands for nothing. */
void json_text_add_unit(struct json_scan *s, uint16_t unit)
{
    if (s->high != 0 && unit >= 0xdc00 && unit <= 0xdfff) {
        append_code(s, 0x10000 + ((uint32_t)(s->high - 0xd800) << 10) + (unit - 0xdc00));
        s->high = 0;
        return;
    }
    end_half_pair(s);
    if (unit >= 0xd800 && unit <= 0xdbff) {
        s->high = unit;
    } else if (unit >= 0xdc00 && unit <= 0xdfff) {
        s->has_half_pair = true;
        append_code(s, 0xfffd);
    } else {
        append_code(s, unit);
    }
}

void json_text_end(struct json_scan *s)
{
    end_half_pair(s);
    if (s->is_cut)
        trim(s);
}
