/* See target.h. */
#include "http/target.h"

#include "http/grammar.h"
#include "http/path.h"

enum h1_error target_read(struct str rest, unsigned reading, struct arena *arena,
                          struct http_request *ret)
{
    struct path_found found = {0};

    if (str_eq(rest, STR("*"))) {
        ret->path = rest;
        return ret->method == HTTP_METHOD_OPTIONS ? H1_ERROR_NONE : H1_ERROR_BAD_TARGET;
    }
    ssize_t mark = str_find_char(rest, '?', 0);

    if (mark >= 0) {
        ret->query = str_slice(rest, (size_t)mark + 1, rest.len);
        rest = str_slice(rest, 0, (size_t)mark);
    }
    if (rest.len == 0)
        rest = STR("/");
    int r = path_read(rest, reading, arena, &ret->path, &found);

    ret->has_escaped_slash = found.has_escaped_slash;
    ret->has_empty_segment = found.has_empty_segment;
    return r == 0 ? H1_ERROR_NONE : H1_ERROR_BAD_PATH;
}

enum h1_error target_merge_slashes(struct arena *arena, struct http_request *q)
{
    unsigned reading = q->has_escaped_slash ? PATH_UNESCAPES_SLASHES : 0;
    struct str rest = q->target;
    ssize_t scheme = rest.ptr[0] == '/' ? -1 : str_find(rest, STR("://"));

    if (scheme >= 0) {
        size_t i = (size_t)scheme + 3;

        while (i < rest.len && rest.ptr[i] != '/' && rest.ptr[i] != '?')
            i++;
        rest = str_slice(rest, i, rest.len);
    }
    return target_read(rest, reading, arena, q);
}

enum h1_error target_read_host(struct arena *arena, struct http_request *ret)
{
    struct str host;
    uint16_t port;

    if (!grammar_host_parse(ret->authority, &host, &port))
        return H1_ERROR_BAD_HOST;
    char *lower = arena_bytes(arena, host.len);

    str_lower(host, lower);
    ret->host = str_make(lower, host.len);
    return H1_ERROR_NONE;
}
