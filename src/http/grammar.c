/* Byte classes as one constant table, and the scans that the codec's speed hangs on. The scan of a
 * field value looks at 16 bytes at a time where SSE2 is there (always on x86-64); the scalar twin
 * is the reference, and the tests hold the two against each other. Stateless; leaves the meaning
 * of fields to the callers. */
#include "http/grammar.h"

#include <arpa/inet.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define IS_DIGIT(c)      ((c) >= '0' && (c) <= '9')
#define IS_UPPER(c)      ((c) >= 'A' && (c) <= 'Z')
#define IS_ALNUM(c)      (IS_DIGIT(c) || IS_UPPER(c) || ((c) >= 'a' && (c) <= 'z'))
#define IS_MARK(c)       ((c) == '-' || (c) == '.' || (c) == '_')
#define IS_UNRESERVED(c) (IS_ALNUM(c) || IS_MARK(c) || (c) == '~')
#define IS_TOKEN(c)                                                                                \
    (IS_UNRESERVED(c) || (c) == '!' || ((c) >= '#' && (c) <= '\'') || (c) == '*' || (c) == '+' ||  \
     (c) == '^' || (c) == '`' || (c) == '|')
#define IS_HEX(c)    (IS_DIGIT(c) || ((c) >= 'A' && (c) <= 'F') || ((c) >= 'a' && (c) <= 'f'))
#define IS_TARGET(c) ((c) > ' ' && (c) < 0x7f && (c) != '#')
#define IS_PATH(c)   (IS_TARGET(c) && (c) != '%' && (c) != '\\' && (c) != '/' && (c) != '?')
#define IS_VALUE(c)  ((c) == '\t' || ((c) >= ' ' && (c) != 0x7f))

#define CLASSES(c)                                                                                 \
    (uint8_t)((IS_TOKEN(c) ? GRAMMAR_TOKEN : 0) | (IS_UNRESERVED(c) ? GRAMMAR_UNRESERVED : 0) |    \
              (IS_HEX(c) ? GRAMMAR_HEX : 0) | (IS_ALNUM(c) || IS_MARK(c) ? GRAMMAR_HOST : 0) |     \
              (IS_TARGET(c) ? GRAMMAR_TARGET : 0) | (IS_PATH(c) ? GRAMMAR_PATH : 0) |              \
              (IS_VALUE(c) ? GRAMMAR_VALUE : 0))
#define LOWER(c) (uint8_t)(!IS_TOKEN(c) || (c) == '_' ? 0 : IS_UPPER(c) ? (c) + 32 : (c))

#define FOUR(f, c)    f((c)), f((c) + 1), f((c) + 2), f((c) + 3)
#define SIXTEEN(f, c) FOUR(f, (c)), FOUR(f, (c) + 4), FOUR(f, (c) + 8), FOUR(f, (c) + 12)
#define SIXTY_FOUR(f, c)                                                                           \
    SIXTEEN(f, (c)), SIXTEEN(f, (c) + 16), SIXTEEN(f, (c) + 32), SIXTEEN(f, (c) + 48)
#define ALL(f) SIXTY_FOUR(f, 0), SIXTY_FOUR(f, 64), SIXTY_FOUR(f, 128), SIXTY_FOUR(f, 192)

const uint8_t grammar_table[256] = {ALL(CLASSES)};
const uint8_t grammar_lower_token[256] = {ALL(LOWER)};

size_t grammar_span(struct str s, enum grammar_class class_bit)
{
    size_t i = 0;

    while (i < s.len && grammar_is(s.ptr[i], class_bit))
        i++;
    return i;
}

bool grammar_is_token(struct str s)
{
    return s.len > 0 && grammar_span(s, GRAMMAR_TOKEN) == s.len;
}

size_t grammar_value_span_scalar(struct str s)
{
    return grammar_span(s, GRAMMAR_VALUE);
}

#ifdef __SSE2__
/* All ones where a byte may not stand in a value. */
static inline __m128i grammar_bad_bytes(__m128i bytes)
{
    __m128i is_control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    __m128i is_tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'));
    __m128i is_del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));

    return _mm_or_si128(_mm_andnot_si128(is_tab, is_control), is_del);
}

/* All ones where a byte is not one of the plain ones, 0x20 to 0x7e, of which nearly all values are
 * made: a bad one, a tab, or one of another alphabet. Half of the work of the exact answer: one
 * more than a DEL is the least of the signed bytes. */
static inline __m128i grammar_odd_bytes(__m128i bytes)
{
    return _mm_cmplt_epi8(_mm_add_epi8(bytes, _mm_set1_epi8(1)), _mm_set1_epi8(0x21));
}

static inline __m128i grammar_load(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* A bit for each of 16 bytes that may not stand in a value. */
static inline unsigned grammar_bad_mask(__m128i bytes)
{
    if (LIKELY(_mm_movemask_epi8(grammar_odd_bytes(bytes)) == 0))
        return 0;
    return (unsigned)_mm_movemask_epi8(grammar_bad_bytes(bytes));
}

/* How many bytes stand in whole blocks of 64 without an odd one: tokens are long. */
static size_t grammar_plain_blocks(struct str s)
{
    size_t i = 0;

    for (; i + 64 <= s.len; i += 64) {
        const char *p = s.ptr + i;
        __m128i low = _mm_or_si128(grammar_odd_bytes(grammar_load(p)),
                                   grammar_odd_bytes(grammar_load(p + 16)));
        __m128i high = _mm_or_si128(grammar_odd_bytes(grammar_load(p + 32)),
                                    grammar_odd_bytes(grammar_load(p + 48)));

        if (_mm_movemask_epi8(_mm_or_si128(low, high)))
            break;
    }
    return i;
}

/* Of fewer than 16 bytes: their first and last eight or four at once, which overlap in the
 * middle. */
static inline size_t grammar_short_value_span(struct str s)
{
    size_t half = s.len >= 8 ? 8 : 4;
    uint64_t first = 0;
    uint64_t last = 0;

    if (s.len < 4)
        return grammar_value_span_scalar(s);
    if (s.len >= 8) {
        memcpy(&first, s.ptr, 8);
        memcpy(&last, s.ptr + s.len - 8, 8);
    } else { /* what stands above the four bytes is white space */
        memset(&first, ' ', sizeof first);
        memset(&last, ' ', sizeof last);
        memcpy(&first, s.ptr, 4);
        memcpy(&last, s.ptr + s.len - 4, 4);
    }
    unsigned bad = grammar_bad_mask(_mm_set_epi64x((int64_t)last, (int64_t)first));

    if (LIKELY(bad == 0))
        return s.len;
    if (bad & 0xff)
        return (unsigned)__builtin_ctz(bad);
    return s.len - half + (unsigned)__builtin_ctz(bad >> 8);
}

size_t grammar_value_span(struct str s)
{
    size_t i = 0;

    if (s.len < 16)
        return grammar_short_value_span(s);
    for (; i + 16 <= s.len; i += 16) {
        unsigned bad = grammar_bad_mask(grammar_load(s.ptr + i));

        if (bad)
            return i + (unsigned)__builtin_ctz(bad);
        if (i == 64)
            i += grammar_plain_blocks(str_make(s.ptr + i + 16, s.len - i - 16));
    }
    if (i < s.len) {
        /* The last 16 bytes once more; those before i are known to be good. */
        unsigned bad = grammar_bad_mask(grammar_load(s.ptr + s.len - 16));

        return bad ? s.len - 16 + (unsigned)__builtin_ctz(bad) : s.len;
    }
    return s.len;
}
#else
size_t grammar_value_span(struct str s)
{
    return grammar_value_span_scalar(s);
}
#endif

static bool grammar_port_parse(struct str s, uint16_t *ret_port)
{
    uint64_t port;

    if (s.len == 0 || s.len > 5 || !str_to_u64(s, &port) || port == 0 || port > 65535)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

static bool grammar_is_ipv6(struct str s)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (s.len == 0 || s.len >= sizeof text || memchr(s.ptr, '\0', s.len))
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

bool grammar_host_parse(struct str authority, struct str *ret_host, uint16_t *ret_port)
{
    size_t n;

    *ret_port = 0;
    if (authority.len == 0 || authority.len > 262)
        return false;
    if (authority.ptr[0] == '[') {
        const char *close = memchr(authority.ptr, ']', authority.len);

        if (!close)
            return false;
        n = (size_t)(close - authority.ptr) + 1;
        *ret_host = str_slice(authority, 0, n);
        if (!grammar_is_ipv6(str_slice(authority, 1, n - 1)))
            return false;
    } else {
        n = grammar_span(authority, GRAMMAR_HOST);
        *ret_host = str_slice(authority, 0, n);
        if (n > 1 && authority.ptr[n - 1] == '.')
            ret_host->len--;
        if (ret_host->len == 0 || ret_host->len > 253 || ret_host->ptr[0] == '.' ||
            ret_host->ptr[ret_host->len - 1] == '.' || str_find(*ret_host, STR("..")) >= 0)
            return false;
    }
    if (n == authority.len)
        return true;
    return authority.ptr[n] == ':' &&
           grammar_port_parse(str_slice(authority, n + 1, authority.len), ret_port);
}

bool grammar_list_next(struct str *rest, struct str *ret_member)
{
    while (str_split(rest, ',', ret_member)) {
        *ret_member = str_trim(*ret_member);
        if (ret_member->len > 0)
            return true;
    }
    return false;
}

bool grammar_list_has(struct str list, struct str member)
{
    struct str item;

    while (grammar_list_next(&list, &item)) {
        if (str_eq_nocase(item, member))
            return true;
    }
    return false;
}
