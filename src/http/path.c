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

/* A path on its way to the one spelling. */
struct path_draft {
    char *out;
    size_t n;
    size_t start; /* of the segment under way; the slash before it is there */
    bool keeps_empty;
    struct path_found found;
};

/* The segment under way is complete; `is_last`: no slash follows. The next one begins. */
static bool path_end_segment(struct path_draft *p, bool is_last)
{
    struct str segment = str_make(p->out + p->start, p->n - p->start);

    if (segment.len == 0 && !p->keeps_empty)
        return true;
    if (segment.len == 0 && !is_last)
        p->found.has_empty_segment = true;
    if (segment.len > 0 && segment.ptr[0] == '.') {
        size_t n_dots = segment.len > 1 && segment.ptr[1] == '.' ? 2 : 1;

        if (str_starts_with(str_slice(segment, n_dots, segment.len), STR(";")) ||
            str_starts_with(str_slice(segment, n_dots, segment.len), STR("%3B")))
            return false;
        if (segment.len == n_dots) {
            p->n = p->start;
            if (n_dots == 1)
                return true;
            if (p->start == 1)
                return false;
            for (p->n = p->start - 1; p->out[p->n - 1] != '/'; p->n--)
                ;
            p->start = p->n;
            return true;
        }
    }
    if (!is_last)
        p->out[p->n++] = '/';
    p->start = p->n;
    return true;
}

static bool path_is_escaped_slash(struct str raw, size_t i)
{
    return str_eq_nocase(str_slice(raw, i, i + 3), STR("%2F"));
}

int path_read(struct str raw, unsigned reading, struct arena *a, struct str *ret,
              struct path_found *ret_found)
{
    size_t i = 1;

    *ret_found = (struct path_found){0};
    if (raw.len == 0 || raw.ptr[0] != '/')
        return PATH_BAD;
    if (path_is_plain(raw)) {
        *ret = raw;
        return 0;
    }
    struct path_draft p = {.n = 1, .start = 1, .keeps_empty = reading & PATH_KEEPS_EMPTY};

    p.out = arena_bytes(a, raw.len + 1);
    p.out[0] = '/';
    while (i < raw.len) {
        char c = raw.ptr[i];

        if (c == '/') {
            if (!path_end_segment(&p, false))
                return PATH_BAD;
            i++;
        } else if (c == '%' && (reading & PATH_UNESCAPES_SLASHES) &&
                   path_is_escaped_slash(raw, i)) {
            p.found.has_escaped_slash = true;
            if (!path_end_segment(&p, false))
                return PATH_BAD;
            i += 3;
        } else if (c == '%') {
            if (!path_put_escape(raw, &i, p.out, &p.n))
                return PATH_BAD;
        } else if (grammar_is(c, GRAMMAR_PATH)) {
            p.out[p.n++] = c;
            i++;
        } else {
            return PATH_BAD;
        }
    }
    if (!path_end_segment(&p, true))
        return PATH_BAD;
    *ret = str_make(p.out, p.n);
    *ret_found = p.found;
    return 0;
}

int path_normalize(struct str raw, struct arena *a, struct str *ret)
{
    struct path_found found;

    return path_read(raw, 0, a, ret, &found);
}
