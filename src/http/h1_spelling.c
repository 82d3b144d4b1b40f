/* See h1_spelling.h. A line's name is what stands before its colon: the codec has judged the lines
 * already, or made them. The first spelling of a name counts for all its headers. */
#include "http/h1_spelling.h"

#include "base/limits.h"

/* Cuts the next line off, without its CR LF. False: none is left, or the empty one. */
static bool next_line(struct str *rest, struct str *ret_line)
{
    ssize_t end = str_find(*rest, STR("\r\n"));

    if (end <= 0)
        return false;
    *ret_line = str_slice(*rest, 0, (size_t)end);
    *rest = str_slice(*rest, (size_t)end + 2, rest->len);
    return true;
}

static struct str line_name(struct str line)
{
    ssize_t colon = str_find_char(line, ':', 0);

    return str_slice(line, 0, colon < 0 ? 0 : (size_t)colon);
}

static bool has_capital(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (str_lower_char(name.ptr[i]) != name.ptr[i])
            return true;
    }
    return false;
}

static const struct http_spelling *spelling_new(const struct str *names, uint32_t n,
                                                struct arena *arena)
{
    struct http_spelling *s;
    struct str *copy;

    if (n == 0)
        return NULL;
    s = ARENA_NEW(arena, struct http_spelling);
    copy = ARENA_ARRAY(arena, struct str, n);
    for (uint32_t i = 0; i < n; i++)
        copy[i] = arena_str(arena, names[i]);
    *s = (struct http_spelling){copy, n};
    return s;
}

const struct http_spelling *h1_spelling_read(struct str head, bool has_start_line,
                                             struct arena *arena)
{
    struct str names[LIMIT_HEADER_COUNT];
    struct str line;
    uint32_t n = 0;

    if (has_start_line && !next_line(&head, &line))
        return NULL;
    while (n < LIMIT_HEADER_COUNT && next_line(&head, &line)) {
        struct str name = line_name(line);

        if (has_capital(name))
            names[n++] = name;
    }
    return spelling_new(names, n, arena);
}

static const struct str *spelling_find(const struct http_spelling *s, struct str name)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (str_eq_nocase(s->names[i], name))
            return &s->names[i];
    }
    return NULL;
}

void h1_spelling_write(const struct http_spelling *s, char *head, size_t len)
{
    struct str rest = str_make(head, len);
    struct str line;

    if (!next_line(&rest, &line))
        return;
    while (next_line(&rest, &line)) {
        const struct str *spelt = spelling_find(s, line_name(line));

        if (spelt)
            memcpy(head + (line.ptr - head), spelt->ptr, spelt->len);
    }
}

static struct str lower_copy(struct str name, struct arena *arena)
{
    char *lower = arena_bytes(arena, name.len);

    str_lower(name, lower);
    return str_make(lower, name.len);
}

const struct http_spelling *
h1_spelling_without(const struct http_spelling *s, struct arena *arena,
                    bool (*is_dropped)(const void *arg, struct str name), const void *arg)
{
    struct str names[LIMIT_HEADER_COUNT];
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->n; i++) {
        if (!is_dropped(arg, lower_copy(s->names[i], arena)))
            names[n++] = s->names[i];
    }
    return n == s->n ? s : spelling_new(names, n, arena);
}

const struct http_spelling *h1_spelling_copy(const struct http_spelling *s, struct arena *arena)
{
    return s ? spelling_new(s->names, s->n, arena) : NULL;
}
