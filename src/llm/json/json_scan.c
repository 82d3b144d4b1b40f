/* The scanner: a machine that can stop behind any byte and go on with the next span.
 *
 *     VALUE / FIRST_VALUE -> STRING (ESCAPE, HEX, CHARACTER), NUMBER, LITERAL -> AFTER
 *     '{' -> FIRST_KEY / KEY -> STRING -> COLON -> VALUE        AFTER -> ',' or a closing bracket
 *
 * Two ways of going through the text share it. On the way of a path, each open object and array has
 * a frame (its node in the table's tree, its count, which keys were seen), and strings are kept.
 * Everywhere else only one bit per level is remembered, object or array; strings and whole tokens
 * are skipped by json_skip and json_inside, which never judge: they stop at what is not plainly
 * fine, and the machine here looks at that byte by itself. So the verdict does not depend on the
 * processor, nor on where the input was split.
 *
 * Owner: whoever embeds the struct; one thread. What a value means is for the callback. */
#include "llm/json/json_scan.h"

#include "base/assert.h"
#include "llm/json/json_number.h"
#include "llm/json/json_scan_internal.h"
#include "llm/json/json_skip.h"

static uint64_t offset_of(const struct json_scan *s, bytes p)
{
    return s->offset + (uint64_t)(p - s->span);
}

static bytes fail(struct json_scan *s, enum json_error error)
{
    s->error = (uint8_t)error;
    return NULL;
}

static bytes skip_space(bytes p, bytes end)
{
    for (int i = 0; i < 2; i++, p++) { /* most often none, or one behind a colon */
        if (p == end || !json_is_space(*p))
            return p;
    }
    return p + json_skip->space(p, (size_t)(end - p));
}

/* ---- Levels ---- */

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
    if (s->depth == LIMIT_JSON_DEPTH)
        return fail(s, JSON_TOO_DEEP);
    json_set_object(s, s->depth++, is_object);
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
    bool is_object = json_is_object(s, s->depth - 1);

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

/* ---- Strings ---- */

/* A member's name in an object with a frame: sets the node of its value. False when refused. */
static bool take_key(struct json_scan *s, struct json_frame *frame, struct str key)
{
    unsigned node;
    uint64_t bit;

    s->node = s->paths->nodes[frame->node].any;
    if (!json_paths_may_have(s->paths, frame->node, key.len))
        return true;
    node = json_paths_find(s->paths, frame->node, key);
    if (node == JSON_NODE_NONE) {
        s->error_node = (uint8_t)json_paths_find_guarded(s->paths, frame->node, key);
        return s->error_node == JSON_NODE_NONE || fail(s, JSON_ESCAPED_KEY);
    }
    bit = UINT64_C(1) << s->paths->nodes[node].ordinal;
    if (s->has_escape || (frame->seen & bit)) {
        s->error_node = (uint8_t)node;
        return fail(s, s->has_escape ? JSON_ESCAPED_KEY : JSON_DUPLICATE_KEY);
    }
    frame->seen |= bit;
    s->node = (uint8_t)node;
    return true;
}

static bytes end_key(struct json_scan *s, bytes p)
{
    s->state = STATE_COLON;
    s->node = JSON_NODE_NONE;
    if (s->keep == KEEP_NOTHING)
        return p;
    if (s->is_cut) { /* longer than any key of the table's */
        s->node = s->paths->nodes[frame_of(s)->node].any;
        return p;
    }
    return take_key(s, frame_of(s), str_make(s->text, s->text_len)) ? p : NULL;
}

static bytes end_string(struct json_scan *s, bytes p)
{
    json_text_end(s);
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

static bytes scan_character(struct json_scan *s, bytes p)
{
    if (*p < s->utf8_low || *p > s->utf8_high)
        return fail(s, JSON_BAD_UTF8);
    s->utf8_low = 0x80;
    s->utf8_high = 0xbf;
    if (s->keep != KEEP_NOTHING)
        json_text_add(s, p, 1);
    if (--s->step == 0)
        s->state = STATE_STRING;
    return p + 1;
}

/* Of the escapes of two characters. */
static const char meanings[256] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                   ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};

static bytes scan_escape(struct json_scan *s, bytes p)
{
    s->has_escape = true;
    if (*p == 'u') {
        s->state = STATE_HEX;
        s->step = 0;
        s->code = 0;
        return p + 1;
    }
    if (meanings[*p] == '\0')
        return fail(s, JSON_NOT_JSON);
    s->state = STATE_STRING;
    if (s->keep != KEEP_NOTHING)
        json_text_add(s, &meanings[*p], 1);
    return p + 1;
}

static bytes scan_hex(struct json_scan *s, bytes p)
{
    unsigned char c = *p;
    unsigned char letter = c | 0x20;
    unsigned digit;

    if (c >= '0' && c <= '9')
        digit = (unsigned)(c - '0');
    else if (letter >= 'a' && letter <= 'f')
        digit = letter - 'a' + 10U;
    else
        return fail(s, JSON_NOT_JSON);
    s->code = (uint16_t)((unsigned)s->code << 4 | digit);
    if (++s->step == 4) {
        s->state = STATE_STRING;
        if (s->keep != KEEP_NOTHING)
            json_text_add_unit(s, s->code);
    }
    return p + 1;
}

/* Of a string whose text is only counted, its short escapes too: an answer's words. */
static bytes count_string(struct json_scan *s, bytes p, bytes end)
{
    for (;;) {
        size_t left = (size_t)(end - p);
        size_t n = json_short_plain(p, left);

        if (n == 16 || (n < left && p[n] >= 0x80))
            n += json_skip->plain(p + n, left - n);
        s->n_bytes += n;
        p += n;
        if (end - p < 2 || p[0] != '\\' || meanings[p[1]] == '\0')
            return p;
        s->has_escape = true;
        s->n_bytes++;
        p += 2;
    }
}

/* As far as a string goes without the machine's other states. */
static bytes skip_string(struct json_scan *s, bytes p, bytes end)
{
    size_t left = (size_t)(end - p);
    size_t n = json_short_plain(p, left);

    if (s->keep == KEEP_NOTHING)
        return n < left && p[n] == '"' ? p + n : p + n + json_skip->string(p + n, left - n);
    if (s->keep == KEEP_COUNT && s->high == 0)
        return count_string(s, p, end);
    if (n == 16 || (n < left && p[n] >= 0x80))
        n += json_skip->plain(p + n, left - n);
    if (n > 0)
        json_text_add(s, p, n);
    return p + n;
}

/* The next byte of a string, which is not skipped. */
static bytes scan_special(struct json_scan *s, bytes p)
{
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
    if (s->keep != KEEP_NOTHING)
        json_text_add(s, p - 1, 1);
    return p;
}

/* To the string's end, or the span's. */
static bytes scan_string(struct json_scan *s, bytes p, bytes end)
{
    while (p && p < end) {
        switch ((enum json_state)s->state) {
        case STATE_STRING:
            p = skip_string(s, p, end);
            if (p < end)
                p = scan_special(s, p);
            break;
        case STATE_ESCAPE:
            p = scan_escape(s, p);
            break;
        case STATE_HEX:
            p = scan_hex(s, p);
            break;
        case STATE_CHARACTER:
            p = scan_character(s, p);
            break;
        default:
            return p;
        }
    }
    return p;
}

/* ---- Other values ---- */

/* `p` is just behind the number. */
static bytes end_number(struct json_scan *s, bytes p)
{
    if (!json_number_is_whole((enum json_number_step)s->step))
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
    enum json_number_step at = (enum json_number_step)s->step;

    while (p < end && at == NUMBER_WHOLE && json_is_digit(*p))
        p++;
    while (p < end) {
        enum json_number_step next = json_number_next(at, *p);

        if (next == NUMBER_OVER)
            break;
        at = next;
        p++;
    }
    s->step = (uint8_t)at;
    if (s->keep != KEEP_NOTHING && p > start)
        json_text_add(s, start, (size_t)(p - start));
    return p < end ? end_number(s, p) : p;
}

static const struct str literals[] = {
    [JSON_TRUE] = {"true", 4}, [JSON_FALSE] = {"false", 5}, [JSON_NULL] = {"null", 4}};

/* `p` is just behind the literal. */
static bytes end_literal(struct json_scan *s, bytes p)
{
    if (is_wanted(s))
        report(s, &(struct json_hit){.type = (enum json_type)s->code, .begin = s->begin}, s->node,
               p);
    end_value(s);
    return p;
}

static bytes scan_literal(struct json_scan *s, bytes p)
{
    struct str word = literals[s->code];

    if (*p != (unsigned char)word.ptr[s->step])
        return fail(s, JSON_NOT_JSON);
    p++;
    return ++s->step < word.len ? p : end_literal(s, p);
}

/* Most lie whole in the span. */
static bytes start_literal(struct json_scan *s, enum json_type type, bytes p, bytes end)
{
    struct str word = literals[type];

    s->code = (uint16_t)type;
    if ((size_t)(end - p) >= word.len && memcmp(p, word.ptr, word.len) == 0)
        return end_literal(s, p + word.len);
    s->state = STATE_LITERAL;
    s->step = 1;
    return p + 1;
}

static bytes start_string(struct json_scan *s, bool is_key, enum json_keep keep, bytes p, bytes end)
{
    s->state = STATE_STRING;
    s->is_key = is_key;
    json_text_start(s, keep);
    return scan_string(s, p + 1, end);
}

static enum json_keep keep_of(const struct json_scan *s)
{
    if (!is_wanted(s))
        return KEEP_NOTHING;
    return s->paths->rows[s->paths->nodes[s->node].row].wants_text ? KEEP_TEXT : KEEP_COUNT;
}

static bytes start_value(struct json_scan *s, bytes p, bytes end)
{
    struct json_frame *frame = frame_of(s);

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
        return start_string(s, false, keep_of(s), p, end);
    case 't':
        return start_literal(s, JSON_TRUE, p, end);
    case 'f':
        return start_literal(s, JSON_FALSE, p, end);
    case 'n':
        return start_literal(s, JSON_NULL, p, end);
    default:
        if (*p != '-' && (*p < '0' || *p > '9')) {
            s->has_begun = s->depth > 0;
            return fail(s, JSON_NOT_JSON);
        }
        json_text_start(s, is_wanted(s) ? KEEP_TEXT : KEEP_NOTHING);
        if (s->keep != KEEP_NOTHING)
            json_text_add(s, p, 1);
        s->state = STATE_NUMBER;
        s->step = *p == '-' ? NUMBER_MINUS : *p == '0' ? NUMBER_ZERO : NUMBER_WHOLE;
        return scan_number(s, p + 1, end);
    }
}

/* Most names lie whole in the span and need no copy. */
static bytes start_key(struct json_scan *s, bytes p, bytes end)
{
    struct json_frame *frame = frame_of(s);
    size_t left = (size_t)(end - p) - 1;
    size_t n;

    if (*p != '"')
        return fail(s, JSON_NOT_JSON);
    if (!frame)
        return start_string(s, true, KEEP_NOTHING, p, end);
    n = json_short_plain(p + 1, left);
    if (n == 16)
        n += json_short_plain(p + 17, left - 16);
    if (n == left || p[1 + n] != '"')
        return start_string(s, true, KEEP_TEXT, p, end);
    s->has_escape = false;
    s->state = STATE_COLON;
    if (!take_key(s, frame, str_make(p + 1, n)))
        return NULL;
    p += n + 2;
    if (p == end || *p != ':')
        return p;
    s->state = STATE_VALUE;
    return p + 1;
}

/* ---- The machine ---- */

static bytes scan_after(struct json_scan *s, bytes p)
{
    struct json_frame *frame = frame_of(s);

    if (*p != ',')
        return close_container(s, p);
    s->node = JSON_NODE_NONE;
    if (json_is_object(s, s->depth - 1)) {
        s->state = STATE_KEY;
        return p + 1;
    }
    s->state = STATE_VALUE;
    if (frame)
        s->node = s->paths->nodes[frame->node].star;
    return p + 1;
}

/* Between tokens. */
static bytes scan_structure(struct json_scan *s, bytes p, bytes end)
{
    p = skip_space(p, end);
    if (p == end)
        return p;
    if (s->depth > s->n_frames || json_only_counts(s, s->n_frames)) {
        bytes next = json_inside_skip(s, p, end);

        if (next != p)
            return next;
    }
    switch ((enum json_state)s->state) {
    case STATE_FIRST_VALUE:
        return *p == ']' ? close_container(s, p) : start_value(s, p, end);
    case STATE_VALUE:
        return start_value(s, p, end);
    case STATE_FIRST_KEY:
        return *p == '}' ? close_container(s, p) : start_key(s, p, end);
    case STATE_KEY:
        return start_key(s, p, end);
    case STATE_COLON:
        s->state = STATE_VALUE;
        return *p == ':' ? p + 1 : fail(s, JSON_NOT_JSON);
    case STATE_AFTER:
        return scan_after(s, p);
    default:
        return fail(s, JSON_TRAILING);
    }
}

static bytes scan_token(struct json_scan *s, bytes p, bytes end)
{
    switch ((enum json_state)s->state) {
    case STATE_NUMBER:
        return scan_number(s, p, end);
    case STATE_LITERAL:
        return scan_literal(s, p);
    default:
        return scan_string(s, p, end);
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
        p = s->state <= STATE_END ? scan_structure(s, p, end) : scan_token(s, p, end);
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

uint64_t json_scan_open_items(const struct json_scan *s, unsigned path)
{
    for (unsigned level = 0; level < s->n_frames; level++) {
        const struct json_node *node = &s->paths->nodes[s->frames[level].node];

        if (node->is_path && node->row == path && !json_is_object(s, level))
            return s->frames[level].n_items;
    }
    return 0;
}
