/* Slices of bytes: comparison, search, splitting, numbers. Pure; nothing here allocates but the
 * small fixed table of str_distance on the stack. */
#include "base/str.h"

/* Of eight bytes at once: what is above 'A' - 1 and not above 'Z' carries into its byte's top bit,
 * which nothing does whose own top bit was set. */
static uint64_t str_lower_word(uint64_t word)
{
    static const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t low = word & (ones * 0x7f);
    uint64_t is_from_a = low + ones * (0x80 - 'A');
    uint64_t is_past_z = low + ones * (0x80 - 'Z' - 1);
    uint64_t is_capital = is_from_a & ~is_past_z & ~word & (ones * 0x80);

    return word | (is_capital >> 2);
}

void str_lower(struct str s, char *to)
{
    size_t i = 0;

    for (; i + sizeof(uint64_t) <= s.len; i += sizeof(uint64_t)) {
        uint64_t word;

        memcpy(&word, s.ptr + i, sizeof word);
        word = str_lower_word(word);
        memcpy(to + i, &word, sizeof word);
    }
    for (; i < s.len; i++)
        to[i] = str_lower_char(s.ptr[i]);
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        /* Only an empty slice may have no bytes.
         * NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
        if (str_lower_char(a.ptr[i]) != str_lower_char(b.ptr[i]))
            return false;
    }
    return true;
}

int str_compare(struct str a, struct str b)
{
    size_t n = MIN(a.len, b.len);
    int order = n > 0 ? memcmp(a.ptr, b.ptr, n) : 0;

    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool str_starts_with(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq(str_slice(s, 0, prefix.len), prefix);
}

bool str_starts_with_nocase(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq_nocase(str_slice(s, 0, prefix.len), prefix);
}

bool str_ends_with(struct str s, struct str suffix)
{
    return s.len >= suffix.len && str_eq(str_slice(s, s.len - suffix.len, s.len), suffix);
}

bool str_ends_with_nocase(struct str s, struct str suffix)
{
    return s.len >= suffix.len && str_eq_nocase(str_slice(s, s.len - suffix.len, s.len), suffix);
}

ssize_t str_find_char(struct str s, char c, size_t from)
{
    if (from >= s.len)
        return -1;
    const char *at = memchr(s.ptr + from, c, s.len - from);

    return at ? at - s.ptr : -1;
}

ssize_t str_find(struct str s, struct str needle)
{
    if (needle.len == 0)
        return 0;
    if (needle.len > s.len)
        return -1;
    const char *at = memmem(s.ptr, s.len, needle.ptr, needle.len);

    return at ? at - s.ptr : -1;
}

struct str str_slice(struct str s, size_t from, size_t to)
{
    to = MIN(to, s.len);
    from = MIN(from, to);
    return (struct str){s.ptr ? s.ptr + from : NULL, to - from};
}

static bool str_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && str_is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && str_is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

bool str_split(struct str *rest, char separator, struct str *ret_part)
{
    if (!rest->ptr)
        return false;
    ssize_t at = str_find_char(*rest, separator, 0);

    if (at < 0) {
        *ret_part = *rest;
        *rest = STR_NULL;
        return true;
    }
    *ret_part = str_slice(*rest, 0, (size_t)at);
    *rest = str_slice(*rest, (size_t)at + 1, rest->len);
    return true;
}

bool str_to_u64(struct str s, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value))
            return false;
    }
    *ret_value = value;
    return true;
}

bool str_eq_secret(struct str a, struct str b)
{
    unsigned char difference = 0;

    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        difference |= (unsigned char)(a.ptr[i] ^ b.ptr[i]);
    return difference == 0;
}

unsigned str_distance(struct str a, struct str b, unsigned limit)
{
    enum { DISTANCE_MAX_LEN = 63 };
    unsigned row[DISTANCE_MAX_LEN + 1];

    if (a.len > DISTANCE_MAX_LEN || b.len > DISTANCE_MAX_LEN)
        return limit + 1;
    for (unsigned j = 0; j <= b.len; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];

        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            unsigned substitute = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
            unsigned insert_or_delete = MIN(row[j], row[j - 1]) + 1;

            diagonal = row[j];
            row[j] = MIN(substitute, insert_or_delete);
        }
    }
    return MIN(row[b.len], limit + 1);
}
