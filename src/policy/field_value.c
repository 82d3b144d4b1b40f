/* Reading the value of a header or query parameter for a condition.
 *
 * Several lines of one name are compared piece by piece where equality is asked for, and joined in
 * stack memory only for a regular expression: a client must not be able to make the exchange's
 * arena grow by repeating a header on a table with many conditions. Pure; any thread. */
#include "policy/field_value.h"

#include "base/limits.h"
#include "http/query.h"

struct field_name field_name_make(struct arena *arena, struct str name)
{
    char *text = arena_bytes(arena, name.len);

    str_lower(name, text);
    struct field_name result = {str_make(text, name.len), HEADER_OTHER};

    result.id = header_id_find(result.text);
    return result;
}

static bool field_is(const struct http_header *header, const struct field_name *name)
{
    if (header->id != name->id)
        return false;
    return name->id != HEADER_OTHER || str_eq(header->name, name->text);
}

static const struct http_header *field_next(const struct http_headers *headers,
                                            const struct field_name *name, unsigned *at)
{
    while (*at < headers->n) {
        const struct http_header *header = &headers->items[(*at)++];

        if (field_is(header, name))
            return header;
    }
    return NULL;
}

static bool room_append(char *room, size_t n_room, size_t *n_used, struct str piece)
{
    if (piece.len > n_room - *n_used)
        return false;
    if (piece.len > 0)
        memcpy(room + *n_used, piece.ptr, piece.len);
    *n_used += piece.len;
    return true;
}

struct str field_header_value(const struct http_headers *headers, const struct field_name *name,
                              char *room, size_t n_room, bool *ret_is_cut)
{
    unsigned at = 0;
    const struct http_header *header = field_next(headers, name, &at);
    const struct http_header *next = header ? field_next(headers, name, &at) : NULL;
    size_t n_used = 0;

    *ret_is_cut = false;
    if (!header)
        return STR_NULL;
    if (!next)
        return header->value.ptr ? header->value : STR("");
    bool is_whole = room_append(room, n_room, &n_used, header->value);

    for (; next; next = field_next(headers, name, &at)) {
        is_whole = is_whole && room_append(room, n_room, &n_used, STR(",")) &&
                   room_append(room, n_room, &n_used, next->value);
    }
    *ret_is_cut = !is_whole;
    return str_make(room, n_used);
}

bool field_header_is(const struct http_headers *headers, const struct field_name *name,
                     struct str value)
{
    unsigned at = 0;
    const struct http_header *header = field_next(headers, name, &at);

    if (!header)
        return false;
    for (;;) {
        if (!str_starts_with(value, header->value))
            return false;
        value = str_slice(value, header->value.len, value.len);
        header = field_next(headers, name, &at);
        if (!header)
            return value.len == 0;
        if (value.len == 0 || value.ptr[0] != ',')
            return false;
        value = str_slice(value, 1, value.len);
    }
}

/* Apart, so that only the rare case pays for the stack page. */
static __attribute__((noinline)) enum regex_verdict
field_joined_matches(const struct http_headers *headers, const struct field_name *name,
                     const struct regex *regex)
{
    char room[LIMIT_HEAD_BYTES];
    bool is_cut;
    struct str value = field_header_value(headers, name, room, sizeof room, &is_cut);

    return is_cut ? REGEX_LIMIT : regex_match(regex, value);
}

enum regex_verdict field_header_matches(const struct http_headers *headers,
                                        const struct field_name *name, const struct regex *regex)
{
    unsigned at = 0;
    const struct http_header *header = field_next(headers, name, &at);

    if (!header)
        return REGEX_MISS;
    if (field_next(headers, name, &at))
        return field_joined_matches(headers, name, regex);
    return regex_match(regex, header->value);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = str_lower_char(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One decoded byte at `*at`, which moves on; a malformed escape stands for itself. */
static char query_byte(struct str s, size_t *at)
{
    char c = s.ptr[(*at)++];

    if (c == '+')
        return ' ';
    if (c != '%' || *at + 1 >= s.len)
        return c;
    int high = hex_digit(s.ptr[*at]);
    int low = hex_digit(s.ptr[*at + 1]);

    if (high < 0 || low < 0)
        return c;
    *at += 2;
    return (char)(high * 16 + low);
}

static bool query_name_is(struct str raw, struct str name)
{
    size_t at = 0;
    size_t n = 0;

    while (at < raw.len) {
        char c = query_byte(raw, &at);

        if (n >= name.len || name.ptr[n] != c)
            return false;
        n++;
    }
    return n == name.len;
}

struct str field_query_value(struct str query, struct str name, char *room, size_t n_room)
{
    struct str raw_name;
    struct str raw;

    while (query_next(&query, &raw_name, &raw)) {
        size_t n = 0;

        if (!query_name_is(raw_name, name))
            continue;
        for (size_t at = 0; at < raw.len && n < n_room; n++)
            room[n] = query_byte(raw, &at);
        return str_make(room, n);
    }
    return STR_NULL;
}
