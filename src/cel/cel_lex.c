/* Tokens of an expression (CEL language definition, "Syntax").
 *
 * Owner: text of string literals is decoded into the arena of the parse, so that the tree outlives
 * the manifest it came from. Compile thread. An error is noted once, with the offset of its byte.
 * What the tokens mean together is the parser's (cel.c), the sign of a number too: "-" and
 * 9223372036854775808 make one int. */
#include <math.h>
#include <stdlib.h>

#include "cel/cel_internal.h"

enum { NUMBER_BYTES = 64 };

void cel_lexer_note(struct cel_lexer *l, size_t offset, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    l->error->offset = offset;
    l->error->text = arena_vprintf(l->arena, format, args);
    va_end(args);
}

static char peek(const struct cel_lexer *l, size_t ahead)
{
    return l->at + ahead < l->text.len ? l->text.ptr[l->at + ahead] : '\0';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    c = str_lower_char(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_name_start(char c)
{
    char lower = str_lower_char(c);

    return (lower >= 'a' && lower <= 'z') || c == '_';
}

/* White space and comments. */
static void skip_space(struct cel_lexer *l)
{
    while (l->at < l->text.len) {
        char c = l->text.ptr[l->at];

        if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
            l->at++;
        } else if (c == '/' && peek(l, 1) == '/') {
            ssize_t end = str_find_char(l->text, '\n', l->at);

            l->at = end < 0 ? l->text.len : (size_t)end;
        } else {
            return;
        }
    }
}

/* ---- numbers ---- */

static size_t skip_digits(struct cel_lexer *l)
{
    size_t start = l->at;

    while (is_digit(peek(l, 0)))
        l->at++;
    return l->at - start;
}

/* Behind the whole part: ".5", "e-3". False when there is none of them. */
static bool skip_fraction(struct cel_lexer *l)
{
    bool is_double = false;

    if (peek(l, 0) == '.' && is_digit(peek(l, 1))) {
        l->at++;
        skip_digits(l);
        is_double = true;
    }
    if (str_lower_char(peek(l, 0)) == 'e') {
        size_t sign = peek(l, 1) == '+' || peek(l, 1) == '-' ? 1 : 0;

        if (is_digit(peek(l, 1 + sign))) {
            l->at += 1 + sign;
            skip_digits(l);
            is_double = true;
        }
    }
    return is_double;
}

static int lex_double(struct cel_lexer *l)
{
    struct cel_token *t = &l->token;
    struct str digits = str_slice(l->text, t->offset, l->at);
    char text[NUMBER_BYTES];

    if (digits.len >= sizeof text)
        return cel_lexer_fail(l, t->offset, "this number has too many digits");
    memcpy(text, digits.ptr, digits.len);
    text[digits.len] = '\0';
    t->value.type = CEL_DOUBLE;
    t->value.d = strtod(text, NULL);
    if (!isfinite(t->value.d))
        return cel_lexer_fail(l, t->offset, "this number is too large for a double");
    return 0;
}

static int lex_hex(struct cel_lexer *l)
{
    struct cel_token *t = &l->token;
    uint64_t value = 0;

    l->at += 2;
    if (hex_digit(peek(l, 0)) < 0)
        return cel_lexer_fail(l, t->offset, "0x needs hexadecimal digits behind it");
    for (; hex_digit(peek(l, 0)) >= 0; l->at++) {
        if (value >> 60)
            return cel_lexer_fail(l, t->offset, "this number needs more than 64 bits");
        value = value << 4 | (uint64_t)hex_digit(peek(l, 0));
    }
    t->value.u = value;
    return 0;
}

static int lex_number(struct cel_lexer *l)
{
    struct cel_token *t = &l->token;
    int code = 0;

    t->type = CEL_TOKEN_NUMBER;
    t->value.type = CEL_INT;
    if (peek(l, 0) == '0' && peek(l, 1) == 'x') {
        code = lex_hex(l);
    } else {
        skip_digits(l);
        if (skip_fraction(l))
            code = lex_double(l);
        else if (!str_to_u64(str_slice(l->text, t->offset, l->at), &t->value.u))
            code = cel_lexer_fail(l, t->offset, "this number needs more than 64 bits");
    }
    if (code != 0)
        return code;
    if (str_lower_char(peek(l, 0)) == 'u' && t->value.type == CEL_INT) {
        t->value.type = CEL_UINT;
        l->at++;
    }
    if (is_name_start(peek(l, 0)) || is_digit(peek(l, 0)) || peek(l, 0) == '.')
        return cel_lexer_fail(l, l->at, "this does not belong to a number");
    return 0;
}

/* ---- strings ---- */

static size_t put_utf8(char *out, uint32_t point)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xc0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xe0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3f));
        out[2] = (char)(0x80 | (point & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3f));
    out[2] = (char)(0x80 | (point >> 6 & 0x3f));
    out[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}

/* `n_digits` of base 8 or 16 at l->at, as a code point. */
static int lex_point(struct cel_lexer *l, size_t escape, int base, size_t n_digits, char *out,
                     size_t *n)
{
    uint32_t point = 0;

    for (size_t i = 0; i < n_digits; i++, l->at++) {
        int digit = hex_digit(peek(l, 0));

        if (digit < 0 || digit >= base)
            return cel_lexer_fail(l, escape, "this escape needs %zu digits", n_digits);
        point = point * (uint32_t)base + (uint32_t)digit;
    }
    if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) || (base == 8 && point > 0xff))
        return cel_lexer_fail(l, escape, "this escape is no character");
    *n += put_utf8(out + *n, point);
    return 0;
}

/* An escape whose backslash is passed already. No escape is shorter than what it stands for. */
static int lex_escape(struct cel_lexer *l, char *out, size_t *n)
{
    static const char names[] = "abfnrtv\\?\"'`";
    static const char bytes[] = "\a\b\f\n\r\t\v\\?\"'`";
    size_t escape = l->at - 1;
    char c = peek(l, 0);
    const char *found = c ? strchr(names, c) : NULL;

    if (found) {
        out[(*n)++] = bytes[found - names];
        l->at++;
        return 0;
    }
    if (c >= '0' && c <= '3')
        return lex_point(l, escape, 8, 3, out, n);
    l->at++;
    switch (c) {
    case 'x':
    case 'X':
        return lex_point(l, escape, 16, 2, out, n);
    case 'u':
        return lex_point(l, escape, 16, 4, out, n);
    case 'U':
        return lex_point(l, escape, 16, 8, out, n);
    default:
        return cel_lexer_fail(l, escape, "no escape of CEL begins like this");
    }
}

static bool at_quotes(const struct cel_lexer *l, char quote, size_t n_quotes)
{
    for (size_t i = 0; i < n_quotes; i++) {
        if (peek(l, i) != quote)
            return false;
    }
    return true;
}

/* l->at is at the opening quote; `is_raw`: no escapes. */
static int lex_string(struct cel_lexer *l, bool is_raw)
{
    char quote = peek(l, 0);
    size_t n_quotes = at_quotes(l, quote, 3) ? 3 : 1;
    char *out = l->room + l->n_room;
    size_t n = 0;

    for (l->at += n_quotes; !at_quotes(l, quote, n_quotes);) {
        char c = peek(l, 0);

        if (l->at >= l->text.len || (n_quotes == 1 && (c == '\n' || c == '\r')))
            return cel_lexer_fail(l, l->token.offset, "this string has no end");
        l->at++;
        if (c == '\\' && !is_raw) {
            int code = lex_escape(l, out, &n);

            if (code != 0)
                return code;
        } else {
            out[n++] = c;
        }
    }
    l->at += n_quotes;
    l->n_room += n;
    l->token.type = CEL_TOKEN_STRING;
    l->token.value = (struct cel_value){.type = CEL_STRING, .s = str_make(out, n)};
    return 0;
}

/* ---- the rest ---- */

static int lex_name(struct cel_lexer *l)
{
    char first = str_lower_char(peek(l, 0));
    bool is_quoted = peek(l, 1) == '"' || peek(l, 1) == '\'';

    if (is_quoted && first == 'r') {
        l->at++;
        return lex_string(l, true);
    }
    if (is_quoted && first == 'b')
        return cel_lexer_fail(l, l->at, "bytes are not supported, only strings");
    while (is_name_start(peek(l, 0)) || is_digit(peek(l, 0)))
        l->at++;
    l->token.type = CEL_TOKEN_NAME;
    return 0;
}

static int lex_mark(struct cel_lexer *l)
{
    static const unsigned pairs[] = {CEL_MARK('=', '='), CEL_MARK('!', '='), CEL_MARK('<', '='),
                                     CEL_MARK('>', '='), CEL_MARK('&', '&'), CEL_MARK('|', '|')};
    static const char singles[] = "+-*/%<>!?:()[],.";
    char c = peek(l, 0);
    unsigned pair = CEL_MARK((unsigned char)c, (unsigned char)peek(l, 1));

    l->token.type = CEL_TOKEN_MARK;
    for (size_t i = 0; i < N_ELEMENTS(pairs); i++) {
        if (pairs[i] == pair) {
            l->token.mark = pair;
            l->at += 2;
            return 0;
        }
    }
    if (c && strchr(singles, c)) {
        l->token.mark = (unsigned char)c;
        l->at++;
        return 0;
    }
    if (c > 0x20 && c < 0x7f)
        return cel_lexer_fail(l, l->at, "\"%c\" has no meaning here", c);
    return cel_lexer_fail(l, l->at, "this character has no meaning here");
}

int cel_lexer_next(struct cel_lexer *l)
{
    char c;
    int code;

    skip_space(l);
    l->token = (struct cel_token){.offset = l->at};
    if (l->at >= l->text.len)
        return 0; /* CEL_TOKEN_END */
    c = peek(l, 0);
    if (is_digit(c) || (c == '.' && is_digit(peek(l, 1))))
        code = lex_number(l);
    else if (c == '"' || c == '\'')
        code = lex_string(l, false);
    else if (is_name_start(c))
        code = lex_name(l);
    else
        code = lex_mark(l);
    l->token.text = str_slice(l->text, l->token.offset, l->at);
    return code;
}
