/* See text.h. */
#include "app/objects/text.h"

/* How many bytes the control character at `i` has, 0: none. C0 and DEL; in UTF-8 C1, the byte order
 * mark, and the two that are no characters. */
static size_t text_control_len(struct str s, size_t i)
{
    unsigned char a = (unsigned char)s.ptr[i];
    unsigned char b = i + 1 < s.len ? (unsigned char)s.ptr[i + 1] : 0;
    unsigned char c = i + 2 < s.len ? (unsigned char)s.ptr[i + 2] : 0;

    if (a < 0x20 || a == 0x7f)
        return 1;
    if (a == 0xc2 && b >= 0x80 && b < 0xa0)
        return 2;
    if (a == 0xef && ((b == 0xbb && c == 0xbf) || (b == 0xbf && c >= 0xbe)))
        return 3;
    return 0;
}

static unsigned text_control_code(struct str s, size_t i, size_t len)
{
    unsigned char last = (unsigned char)s.ptr[i + len - 1];

    if (len < 3)
        return last;
    return (unsigned char)s.ptr[i + 1] == 0xbb ? 0xfeffu : 0xff00u + 0x40u + last;
}

/* Without quotes; no control character is left in it but those of C0, which JSON escapes. */
static void text_append_run(struct buf *out, struct str run)
{
    size_t at = out->len;

    buf_append_json(out, run);
    memmove(out->ptr + at, out->ptr + at + 1, out->len - at - 1);
    out->len -= 2;
}

void text_append_quoted(struct buf *out, struct str text)
{
    size_t from = 0;

    buf_append_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        size_t len = text_control_len(text, i);

        if (len < 2)
            continue;
        text_append_run(out, str_slice(text, from, i));
        buf_printf(out, "\\u%04x", text_control_code(text, i, len));
        from = i + len;
        i = from - 1;
    }
    text_append_run(out, str_slice(text, from, text.len));
    buf_append_char(out, '"');
}

void text_append_safe(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        size_t len = text_control_len(text, i);

        buf_append_char(out, len > 0 ? '?' : text.ptr[i]);
        i += len > 0 ? len - 1 : 0;
    }
}

void text_append_safe_lines(struct buf *out, struct str text)
{
    struct str line;

    while (str_split(&text, '\n', &line)) {
        if (line.len == 0 && text.len == 0)
            break;
        text_append_safe(out, line);
        buf_append_char(out, '\n');
    }
}

bool text_has_control(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text_control_len(text, i) > 0)
            return true;
    }
    return false;
}

size_t text_width(struct str text)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++)
        n += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return n;
}
