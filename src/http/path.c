/* Path normalization in one pass over the raw path. Escapes are decoded byte by byte into the
 * output, and as each segment ends it is judged in its decoded form: so that "%2e%2e" is a dot
 * segment here as it would be behind us. Stateless; owns nothing. */
#include "http/path.h"

#include "http/grammar.h"

/* Nothing to decode, refuse, merge or resolve. */
static bool path_is_plain(struct str raw)
{
    for (size_t i = 0; i < raw.len; i++) {
        if (grammar_is(raw.ptr[i], GRAMMAR_PATH))
            continue;
        if (raw.ptr[i] != '/')
            return false;
        if (i + 1 < raw.len && (raw.ptr[i + 1] == '/' || raw.ptr[i + 1] == '.'))
            return false;
    }
    return true;
}

/* Decodes the escape at raw[*i], or copies its three bytes in upper case. */
static bool path_put_escape(struct str raw, size_t *i, char *out, size_t *n)
{
    static const char digits[] = "0123456789ABCDEF";

    if (raw.len - *i < 3 || !grammar_is(raw.ptr[*i + 1], GRAMMAR_HEX) ||
        !grammar_is(raw.ptr[*i + 2], GRAMMAR_HEX))
        return false;
    unsigned high = grammar_hex(raw.ptr[*i + 1]);
    unsigned low = grammar_hex(raw.ptr[*i + 2]);
    char c = (char)(uint8_t)(high << 4 | low);

    if (c == '/' || c == '\\' || c == '\0')
        return false;
    if (grammar_is(c, GRAMMAR_UNRESERVED) || c == ':') {
        out[(*n)++] = c;
    } else {
        out[(*n)++] = '%';
        out[(*n)++] = digits[high & 15];
        out[(*n)++] = digits[low & 15];
    }
    *i += 3;
    return true;
}

/* out[start..*n) is a complete segment, out[start - 1] the slash before it. Leaves *n behind the
 * slash where the next segment begins; `is_last` says that no slash follows. */
static bool path_end_segment(char *out, size_t start, size_t *n, bool is_last)
{
    struct str segment = str_make(out + start, *n - start);

    if (segment.len == 0)
        return true;
    if (segment.ptr[0] == '.') {
        size_t n_dots = segment.len > 1 && segment.ptr[1] == '.' ? 2 : 1;

        if (str_starts_with(str_slice(segment, n_dots, segment.len), STR(";")) ||
            str_starts_with(str_slice(segment, n_dots, segment.len), STR("%3B")))
            return false;
        if (segment.len == n_dots) {
            *n = start;
            if (n_dots == 1)
                return true;
            if (start == 1)
                return false;
            for (*n = start - 1; out[*n - 1] != '/'; (*n)--)
                ;
            return true;
        }
    }
    if (!is_last)
        out[(*n)++] = '/';
    return true;
}

static bool path_is_escaped_slash(struct str raw, size_t i)
{
    return str_eq_nocase(str_slice(raw, i, i + 3), STR("%2F"));
}

/* `ret_has_slash` NULL: an escaped slash is refused. */
static int path_normalize_as(struct str raw, struct arena *a, struct str *ret, bool *ret_has_slash)
{
    size_t i = 1;
    size_t n = 1;
    size_t start = 1;

    if (raw.len == 0 || raw.ptr[0] != '/')
        return PATH_BAD;
    if (path_is_plain(raw)) {
        *ret = raw;
        return 0;
    }
    char *out = arena_bytes(a, raw.len + 1);

    out[0] = '/';
    while (i < raw.len) {
        char c = raw.ptr[i];

        if (c == '/') {
            if (!path_end_segment(out, start, &n, false))
                return PATH_BAD;
            start = n;
            i++;
        } else if (c == '%' && ret_has_slash && path_is_escaped_slash(raw, i)) {
            *ret_has_slash = true;
            if (!path_end_segment(out, start, &n, false))
                return PATH_BAD;
            start = n;
            i += 3;
        } else if (c == '%') {
            if (!path_put_escape(raw, &i, out, &n))
                return PATH_BAD;
        } else if (grammar_is(c, GRAMMAR_PATH)) {
            out[n++] = c;
            i++;
        } else {
            return PATH_BAD;
        }
    }
    if (!path_end_segment(out, start, &n, true))
        return PATH_BAD;
    *ret = str_make(out, n);
    return 0;
}

int path_normalize(struct str raw, struct arena *a, struct str *ret)
{
    return path_normalize_as(raw, a, ret, NULL);
}

int path_normalize_unescaping(struct str raw, struct arena *a, struct str *ret, bool *ret_has_any)
{
    *ret_has_any = false;
    return path_normalize_as(raw, a, ret, ret_has_any);
}
