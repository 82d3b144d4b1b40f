/* The scanner: a machine that can stop behind any byte and go on with the next span.
 *
 *     VALUE / FIRST_VALUE -> STRING (ESCAPE, HEX, CHARACTER), NUMBER, LITERAL -> AFTER
 *     '{' -> FIRST_KEY / KEY -> STRING -> COLON -> VALUE        AFTER -> ',' or a closing bracket
 *
 * Two ways of going through the text share it. On the way of a path, each open object and array has
 * a frame (its node in the table's tree, its count, which keys were seen), and strings are kept.
 * Everywhere else only one bit per level is remembered, object or array, and whole strings are
 * skipped by json_skip, which never judges: it stops at what is not plainly fine, and the machine
 * here looks at that byte by itself. So the verdict does not depend on the processor, nor on where
 * the input was split.
 *
 * Owner: whoever embeds the struct; one thread. What a value means is for the callback. */
#include "llm/json_scan.h"

#include "base/assert.h"
#include "llm/json_number.h"
#include "llm/json_skip.h"

enum state {
    STATE_VALUE,
    STATE_FIRST_VALUE, /* or ']' */
    STATE_FIRST_KEY,   /* or '}' */
    STATE_KEY,
    STATE_COLON,
    STATE_AFTER,
    STATE_STRING,
    STATE_ESCAPE,
    STATE_HEX,
    STATE_CHARACTER, /* inside one of several bytes */
    STATE_NUMBER,
    STATE_LITERAL,
    STATE_END,
};

enum keep {
    KEEP_NOTHING,
    KEEP_COUNT,
    KEEP_TEXT,
};

/* Where a number stands, by its last byte. */
enum number {
    NUMBER_MINUS,
    NUMBER_ZERO,
    NUMBER_WHOLE,
    NUMBER_POINT,
    NUMBER_FRACTION,
    NUMBER_E,
    NUMBER_SIGN,
    NUMBER_EXPONENT,
    NUMBER_OVER, /* this byte is no part of it */
};

typedef const unsigned char *bytes;

static uint64_t offset_of(const struct json_scan *s, bytes p)
{
    return s->offset + (uint64_t)(p - s->span);
}

static bytes fail(struct json_scan *s, enum json_error error)
{
    s->error = (uint8_t)error;
    return NULL;
}

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bytes skip_space(bytes p, bytes end)
{
    for (int i = 0; i < 2; i++, p++) { /* most often none, or one behind a colon */
        if (p == end || !is_space(*p))
            return p;
    }
    return p + json_skip->space(p, (size_t)(end - p));
}

/* ---- Levels ---- */

static bool is_in_object(const struct json_scan *s)
{
    unsigned level = s->depth - 1;

    return (s->is_object[level / 64] >> (level % 64)) & 1;
}

static struct json_frame *frame_of(struct json_scan *s)
{
    return s->depth > 0 && s->n_frames == s->depth ? &s->frames[s->depth - 1] : NULL;
}

static void report(struct json_scan *s, struct json_hit *hit, unsigned node, bytes end)
{
    hit->path = s->paths->nodes[node].row;
    hit->end = offset_of(s, end);
    s->fn(s->context, hit);
}

static bool is_wanted(const struct json_scan *s)
{
    return s->node != JSON_NODE_NONE && s->paths->nodes[s->node].is_path;
}

static bytes open_container(struct json_scan *s, bool is_object, bytes p)
{
    uint64_t bit;

    if (s->depth == LIMIT_JSON_DEPTH)
        return fail(s, JSON_TOO_DEEP);
    bit = UINT64_C(1) << (s->depth % 64);
    if (is_object)
        s->is_object[s->depth / 64] |= bit;
    else
        s->is_object[s->depth / 64] &= ~bit;
    s->depth++;
    s->state = is_object ? STATE_FIRST_KEY : STATE_FIRST_VALUE;
    if (s->node != JSON_NODE_NONE) {
        s->frames[s->n_frames++] = (struct json_frame){.begin = offset_of(s, p), .node = s->node};
        s->node = is_object ? JSON_NODE_NONE : s->paths->nodes[s->node].star;
    }
    return p + 1;
}

static void end_value(struct json_scan *s)
{
    s->state = s->depth > 0 ? STATE_AFTER : STATE_END;
}

static bytes close_container(struct json_scan *s, bytes p)
{
    struct json_frame *frame = frame_of(s);
    bool is_object = is_in_object(s);

    if (*p != (is_object ? '}' : ']'))
        return fail(s, JSON_NOT_JSON);
    p++;
    s->depth--;
    if (frame) {
        s->n_frames--;
        if (s->paths->nodes[frame->node].is_path)
            report(s,
                   &(struct json_hit){.type = is_object ? JSON_OBJECT : JSON_ARRAY,
                                      .begin = frame->begin,
                                      .n_items = frame->n_items},
                   frame->node, p);
    }
    end_value(s);
    return p;
}

/* ---- Text that is kept ---- */

static void start_text(struct json_scan *s, enum keep keep)
{
    s->keep = (uint8_t)keep;
    s->has_escape = false;
    s->has_half_pair = false;
    s->is_cut = false;
    s->text_len = 0;
    s->n_bytes = 0;
    s->high = 0;
}

static void keep_bytes(struct json_scan *s, const void *text, size_t n)
{
    size_t room = JSON_TEXT_BYTES - s->text_len;

    s->n_bytes += n;
    if (s->keep != KEEP_TEXT)
        return;
    if (n > room) {
        n = room;
        s->is_cut = true;
    }
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
    memcpy(s->text + s->text_len, text, n);
    s->text_len = (uint16_t)(s->text_len + n);
}

/* Cut text may end inside a character. */
static void trim_text(struct json_scan *s)
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

static void keep_code(struct json_scan *s, uint32_t code)
{
    char c[4];

    if (code < 0x80) {
        c[0] = (char)code;
        keep_bytes(s, c, 1);
    } else if (code < 0x800) {
        c[0] = (char)(0xc0 | code >> 6);
        c[1] = (char)(0x80 | (code & 0x3f));
        keep_bytes(s, c, 2);
    } else if (code < 0x10000) {
        c[0] = (char)(0xe0 | code >> 12);
        c[1] = (char)(0x80 | (code >> 6 & 0x3f));
        c[2] = (char)(0x80 | (code & 0x3f));
        keep_bytes(s, c, 3);
    } else {
        c[0] = (char)(0xf0 | code >> 18);
        c[1] = (char)(0x80 | (code >> 12 & 0x3f));
        c[2] = (char)(0x80 | (code >> 6 & 0x3f));
        c[3] = (char)(0x80 | (code & 0x3f));
        keep_bytes(s, c, 4);
    }
}

static void end_half_pair(struct json_scan *s)
{
    if (s->high == 0)
        return;
    s->high = 0;
    s->has_half_pair = true;
    keep_code(s, 0xfffd);
}

/* One \uXXXX of UTF-16 (RFC 8259, 7). Half a pair is within the grammar, and stands for nothing. */
static void keep_unit(struct json_scan *s, uint16_t unit)
{
    if (s->high != 0 && unit >= 0xdc00 && unit <= 0xdfff) {
        keep_code(s, 0x10000 + ((uint32_t)(s->high - 0xd800) << 10) + (unit - 0xdc00));
        s->high = 0;
        return;
    }
    end_half_pair(s);
    if (unit >= 0xd800 && unit <= 0xdbff) {
        s->high = unit;
    } else if (unit >= 0xdc00 && unit <= 0xdfff) {
        s->has_half_pair = true;
        keep_code(s, 0xfffd);
    } else {
        keep_code(s, unit);
    }
}

/* ---- Strings ---- */

static bytes end_key(struct json_scan *s, bytes p)
{
    struct json_frame *frame = frame_of(s);

    s->state = STATE_COLON;
    s->node = JSON_NODE_NONE;
    if (s->keep == KEEP_NOTHING || s->is_cut)
        return p;
    unsigned node = json_paths_find(s->paths, frame->node, str_make(s->text, s->text_len));

    if (node == JSON_NODE_NONE)
        return p;
    uint64_t bit = UINT64_C(1) << s->paths->nodes[node].ordinal;

    if (s->has_escape || (frame->seen & bit)) {
        s->error_node = (uint8_t)node;
        return fail(s, s->has_escape ? JSON_ESCAPED_KEY : JSON_DUPLICATE_KEY);
    }
    frame->seen |= bit;
    s->node = (uint8_t)node;
    return p;
}

static bytes end_string(struct json_scan *s, bytes p)
{
    end_half_pair(s);
    if (s->is_cut)
        trim_text(s);
    if (s->is_key)
        return end_key(s, p);
    if (s->keep != KEEP_NOTHING)
        report(s,
               &(struct json_hit){.type = JSON_STRING,
                                  .begin = s->begin,
                                  .n_bytes = s->n_bytes,
                                  .text = {s->text, s->text_len},
                                  .is_cut = s->is_cut,
                                  .has_half_pair = s->has_half_pair},
               s->node, p);
    end_value(s);
    return p;
}

/* The first byte of a character of several (RFC 3629, 4): how many follow, and the bounds of the
 * next, which exclude overlong forms, surrogates and what lies past U+10FFFF. */
static bool start_character(struct json_scan *s, unsigned char c)
{
    s->utf8_low = 0x80;
    s->utf8_high = 0xbf;
    if (c >= 0xc2 && c <= 0xdf) {
        s->step = 1;
    } else if (c >= 0xe0 && c <= 0xef) {
        s->step = 2;
        if (c == 0xe0)
            s->utf8_low = 0xa0;
        if (c == 0xed)
            s->utf8_high = 0x9f;
    } else if (c >= 0xf0 && c <= 0xf4) {
        s->step = 3;
        if (c == 0xf0)
            s->utf8_low = 0x90;
        if (c == 0xf4)
            s->utf8_high = 0x8f;
    } else {
        return false;
    }
    return true;
}

static bytes scan_string(struct json_scan *s, bytes p, bytes end)
{
    size_t left = (size_t)(end - p);

    if (s->keep == KEEP_NOTHING) {
        p += json_skip->string(p, left);
    } else {
        size_t n = json_skip->plain(p, left);

        if (n > 0) {
            end_half_pair(s);
            keep_bytes(s, p, n);
        }
        p += n;
    }
    if (p == end)
        return p;
    unsigned char c = *p++;

    if (c == '"')
        return end_string(s, p);
    if (c == '\\') {
        s->state = STATE_ESCAPE;
        return p;
    }
    if (c < 0x20)
        return fail(s, JSON_NOT_JSON);
    if (c >= 0x80) {
        if (!start_character(s, c))
            return fail(s, JSON_BAD_UTF8);
        s->state = STATE_CHARACTER;
    }
    if (s->keep != KEEP_NOTHING) {
        end_half_pair(s);
        keep_bytes(s, p - 1, 1);
    }
    return p;
}

static bytes scan_character(struct json_scan *s, bytes p)
{
    if (*p < s->utf8_low || *p > s->utf8_high)
        return fail(s, JSON_BAD_UTF8);
    s->utf8_low = 0x80;
    s->utf8_high = 0xbf;
    if (s->keep != KEEP_NOTHING)
        keep_bytes(s, p, 1);
    if (--s->step == 0)
        s->state = STATE_STRING;
    return p + 1;
}

static bytes scan_escape(struct json_scan *s, bytes p)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";

    s->has_escape = true;
    if (*p == 'u') {
        s->state = STATE_HEX;
        s->step = 0;
        s->code = 0;
        return p + 1;
    }
    const char *letter = *p != '\0' ? strchr(letters, *p) : NULL;

    if (!letter)
        return fail(s, JSON_NOT_JSON);
    s->state = STATE_STRING;
    if (s->keep != KEEP_NOTHING) {
        end_half_pair(s);
        keep_bytes(s, &meanings[letter - letters], 1);
    }
    return p + 1;
}

static bytes scan_hex(struct json_scan *s, bytes p)
{
    unsigned char c = *p;
    unsigned char letter = c | 0x20;
    unsigned digit;

    if (c >= '0' && c <= '9')
        digit = c - '0';
    else if (letter >= 'a' && letter <= 'f')
        digit = letter - 'a' + 10U;
    else
        return fail(s, JSON_NOT_JSON);
    s->code = (uint16_t)(s->code << 4 | digit);
    if (++s->step == 4) {
        s->state = STATE_STRING;
        if (s->keep != KEEP_NOTHING)
            keep_unit(s, s->code);
    }
    return p + 1;
}

/* ---- Other values ---- */

static enum number number_next(enum number at, unsigned char c)
{
    bool is_digit = c >= '0' && c <= '9';
    bool is_e = c == 'e' || c == 'E';

    switch (at) {
    case NUMBER_MINUS:
        return c == '0' ? NUMBER_ZERO : is_digit ? NUMBER_WHOLE : NUMBER_OVER;
    case NUMBER_ZERO:
        return c == '.' ? NUMBER_POINT : is_e ? NUMBER_E : NUMBER_OVER;
    case NUMBER_WHOLE:
        return is_digit ? NUMBER_WHOLE : c == '.' ? NUMBER_POINT : is_e ? NUMBER_E : NUMBER_OVER;
    case NUMBER_POINT:
        return is_digit ? NUMBER_FRACTION : NUMBER_OVER;
    case NUMBER_FRACTION:
        return is_digit ? NUMBER_FRACTION : is_e ? NUMBER_E : NUMBER_OVER;
    case NUMBER_E:
        return is_digit ? NUMBER_EXPONENT : c == '+' || c == '-' ? NUMBER_SIGN : NUMBER_OVER;
    case NUMBER_SIGN:
    case NUMBER_EXPONENT:
        return is_digit ? NUMBER_EXPONENT : NUMBER_OVER;
    case NUMBER_OVER:
        break;
    }
    return NUMBER_OVER;
}

/* `p` is just behind the number. */
static bytes end_number(struct json_scan *s, bytes p)
{
    if (s->step != NUMBER_ZERO && s->step != NUMBER_WHOLE && s->step != NUMBER_FRACTION &&
        s->step != NUMBER_EXPONENT)
        return fail(s, JSON_NOT_JSON);
    if (s->keep != KEEP_NOTHING) {
        struct json_hit hit = {.type = JSON_NUMBER,
                               .begin = s->begin,
                               .n_bytes = s->n_bytes,
                               .text = {s->text, s->text_len},
                               .is_cut = s->is_cut};

        s->text[s->text_len] = '\0';
        json_number_read(&hit);
        report(s, &hit, s->node, p);
    }
    end_value(s);
    return p;
}

static bytes scan_number(struct json_scan *s, bytes p, bytes end)
{
    bytes start = p;
    enum number at = (enum number)s->step;

    while (p < end) {
        enum number next = number_next(at, *p);

        if (next == NUMBER_OVER)
            break;
        at = next;
        p++;
    }
    s->step = (uint8_t)at;
    if (s->keep != KEEP_NOTHING && p > start)
        keep_bytes(s, start, (size_t)(p - start));
    return p < end ? end_number(s, p) : p;
}

static bytes scan_literal(struct json_scan *s, bytes p)
{
    static const char *const words[] = {
        [JSON_TRUE] = "true", [JSON_FALSE] = "false", [JSON_NULL] = "null"};
    const char *word = words[s->code];

    if (*p != (unsigned char)word[s->step])
        return fail(s, JSON_NOT_JSON);
    p++;
    if (word[++s->step] != '\0')
        return p;
    if (is_wanted(s))
        report(s, &(struct json_hit){.type = (enum json_type)s->code, .begin = s->begin}, s->node,
               p);
    end_value(s);
    return p;
}

static bytes start_literal(struct json_scan *s, enum json_type type, bytes p)
{
    s->state = STATE_LITERAL;
    s->code = (uint16_t)type;
    s->step = 1;
    return p + 1;
}

static bytes start_string(struct json_scan *s, bool is_key, enum keep keep, bytes p)
{
    s->state = STATE_STRING;
    s->is_key = is_key;
    start_text(s, keep);
    return p + 1;
}

static bytes start_value(struct json_scan *s, bytes p)
{
    struct json_frame *frame = frame_of(s);
    bool is_kept = is_wanted(s);

    if (frame)
        frame->n_items++;
    s->begin = offset_of(s, p);
    if (s->depth == 0) {
        s->has_begun = true;
        s->is_top_object = *p == '{';
    }
    switch (*p) {
    case '{':
    case '[':
        return open_container(s, *p == '{', p);
    case '"':
        return start_string(s, false,
                            !is_kept ? KEEP_NOTHING
                            : s->paths->rows[s->paths->nodes[s->node].row].wants_text ? KEEP_TEXT
                                                                                      : KEEP_COUNT,
                            p);
    case 't':
        return start_literal(s, JSON_TRUE, p);
    case 'f':
        return start_literal(s, JSON_FALSE, p);
    case 'n':
        return start_literal(s, JSON_NULL, p);
    default:
        if (*p != '-' && (*p < '0' || *p > '9')) {
            s->has_begun = s->depth > 0;
            return fail(s, JSON_NOT_JSON);
        }
        start_text(s, is_kept ? KEEP_TEXT : KEEP_NOTHING);
        if (is_kept)
            keep_bytes(s, p, 1);
        s->state = STATE_NUMBER;
        s->step = *p == '-' ? NUMBER_MINUS : *p == '0' ? NUMBER_ZERO : NUMBER_WHOLE;
        return p + 1;
    }
}

static bytes start_key(struct json_scan *s, bytes p)
{
    if (*p != '"')
        return fail(s, JSON_NOT_JSON);
    return start_string(s, true, frame_of(s) ? KEEP_TEXT : KEEP_NOTHING, p);
}

/* ---- The machine ---- */

static bytes scan_after(struct json_scan *s, bytes p)
{
    struct json_frame *frame = frame_of(s);

    if (*p != ',')
        return close_container(s, p);
    s->node = JSON_NODE_NONE;
    if (is_in_object(s)) {
        s->state = STATE_KEY;
        return p + 1;
    }
    s->state = STATE_VALUE;
    if (frame)
        s->node = s->paths->nodes[frame->node].star;
    return p + 1;
}

/* Between tokens: `p` stands at a byte that is no white space. */
static bytes scan_structure(struct json_scan *s, bytes p)
{
    switch ((enum state)s->state) {
    case STATE_FIRST_VALUE:
        return *p == ']' ? close_container(s, p) : start_value(s, p);
    case STATE_VALUE:
        return start_value(s, p);
    case STATE_FIRST_KEY:
        return *p == '}' ? close_container(s, p) : start_key(s, p);
    case STATE_KEY:
        return start_key(s, p);
    case STATE_COLON:
        s->state = STATE_VALUE;
        return *p == ':' ? p + 1 : fail(s, JSON_NOT_JSON);
    case STATE_AFTER:
        return scan_after(s, p);
    default:
        return fail(s, JSON_TRAILING);
    }
}

static bytes scan_some(struct json_scan *s, bytes p, bytes end)
{
    switch ((enum state)s->state) {
    case STATE_STRING:
        return scan_string(s, p, end);
    case STATE_ESCAPE:
        return scan_escape(s, p);
    case STATE_HEX:
        return scan_hex(s, p);
    case STATE_CHARACTER:
        return scan_character(s, p);
    case STATE_NUMBER:
        return scan_number(s, p, end);
    case STATE_LITERAL:
        return scan_literal(s, p);
    default:
        p = skip_space(p, end);
        return p < end ? scan_structure(s, p) : p;
    }
}

void json_scan_init(struct json_scan *s, const struct json_paths *paths, json_hit_fn *fn,
                    void *context)
{
    /* Not the frames and the text, which are written before they are read. */
    memset(s, 0, offsetof(struct json_scan, frames));
    s->paths = paths;
    s->fn = fn;
    s->context = context;
    s->error_node = JSON_NODE_NONE;
}

int json_scan_feed(struct json_scan *s, struct str span)
{
    if (span.len == 0) /* perhaps of no memory at all */
        return s->error;
    bytes p = (bytes)span.ptr;
    bytes end = p + span.len;

    s->span = p;
    while (s->error == 0 && p < end)
        p = scan_some(s, p, end);
    s->offset += span.len;
    return s->error;
}

int json_scan_end(struct json_scan *s)
{
    s->span = (bytes)s->text; /* any place, for an offset of 0 */
    if (s->error == 0 && s->state == STATE_NUMBER && s->depth == 0)
        (void)end_number(s, s->span);
    if (s->error == 0 && s->state != STATE_END)
        s->error = JSON_TRUNCATED;
    return s->error;
}

bool json_scan_is_complete(const struct json_scan *s)
{
    return s->error == 0 && s->state == STATE_END;
}

bool json_scan_may_be_object(const struct json_scan *s)
{
    return !s->has_begun || s->is_top_object;
}

struct str json_scan_error_path(const struct json_scan *s)
{
    if (s->error_node == JSON_NODE_NONE)
        return STR_NULL;
    return json_paths_spelling(s->paths, s->error_node);
}

uint64_t json_scan_open_text(const struct json_scan *s, unsigned *ret_path)
{
    bool is_string = s->state == STATE_STRING || s->state == STATE_ESCAPE ||
                     s->state == STATE_HEX || s->state == STATE_CHARACTER;

    if (s->error || !is_string || s->is_key || s->keep == KEEP_NOTHING)
        return 0;
    *ret_path = s->paths->nodes[s->node].row;
    return s->n_bytes;
}
