/* Byte classes and small syntax checks shared by every reader of HTTP text (RFC 9110 5.6, RFC 3986
 * 2.3 and 3.2.2). Pure; any thread. */
#pragma once

#include "base/str.h"

enum grammar_class {
    GRAMMAR_TOKEN = 1,      /* tchar */
    GRAMMAR_UNRESERVED = 2, /* RFC 3986 2.3 */
    GRAMMAR_HEX = 4,
    GRAMMAR_HOST = 8,    /* letters, digits, '-', '.', '_' */
    GRAMMAR_TARGET = 16, /* visible ASCII except '#' */
    GRAMMAR_PATH = 32,   /* of a path, and nothing to decode, refuse or resolve */
    GRAMMAR_VALUE = 64,  /* field value: HTAB, SP, visible ASCII, obs-text */
};

extern const uint8_t grammar_table[256];
/* The lower-case form of a tchar; 0 for '_', which not every header name may hold, and for all
 * other bytes. */
extern const uint8_t grammar_lower_token[256];

static inline bool grammar_is(char byte, enum grammar_class class_bit)
{
    return (grammar_table[(uint8_t)byte] & (uint8_t)class_bit) != 0;
}
/* 0-15; only for GRAMMAR_HEX bytes. */
static inline unsigned grammar_hex(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : ((unsigned)c & 0xdfu) - 'A' + 10;
}

/* How many bytes at the start of `s` are of the class. */
size_t grammar_span(struct str s, enum grammar_class class_bit);
/* One or more tchars. */
bool grammar_is_token(struct str s);
/* How many bytes at the start may stand in a field value; stops at CR, so it also finds the end of
 * a line. */
size_t grammar_value_span(struct str s);
/* The same byte by byte: the twin that the vector form is tested against. */
size_t grammar_value_span_scalar(struct str s);
/* No byte that could end the field or the message. For values that come from elsewhere (claims). */
static inline bool grammar_is_value(struct str s)
{
    return grammar_value_span(s) == s.len;
}

/* host [":" port] (RFC 9110 7.2): a name or IPv4 address of letters, digits, '-', '.', '_' without
 * empty labels, or an IPv6 address in brackets; no userinfo, no escapes. `ret_host` borrows,
 * without one trailing dot, not lowered; `ret_port` is 0 when absent. False when malformed or
 * empty. */
MUST_USE bool grammar_host_parse(struct str authority, struct str *ret_host, uint16_t *ret_port);
/* The next member of a comma list (RFC 9110 5.6.1), trimmed; empty members are skipped. False at
 * the end. Quoted strings are not looked into. */
bool grammar_list_next(struct str *rest, struct str *ret_member);
/* Whether the comma list names `member`, without regard to case. */
bool grammar_list_has(struct str list, struct str member);
