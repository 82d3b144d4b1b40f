/* Path and host rewrites.
 *
 * ReplacePrefixMatch follows the table of the Gateway API (HTTPPathModifier.replacePrefixMatch):
 * trailing slashes of prefix and replacement do not count, the rest of the path is kept as it is,
 * and an empty result is "/". A regular expression may glue pieces of the request's path into
 * something new, so its result is normalized again: a path with dot segments or without a leading
 * slash never goes upstream.
 *
 * Owner: compiled objects in a snapshot's arena, results in the exchange's. Pure. */
#include "policy/rewrite.h"

#include "base/limits.h"
#include "http/grammar.h"
#include "http/path.h"

/* Replacements in one path; each may cost a match up to the step limit. */
#define MAX_REPLACEMENTS 256

void path_rewrite_init(struct path_rewrite *r, struct arena *arena, enum path_rewrite_kind kind,
                       struct str value)
{
    *r = (struct path_rewrite){.kind = kind};
    while (kind == PATH_REWRITE_PREFIX && str_ends_with(value, STR("/")))
        value.len--;
    if (kind == PATH_REWRITE_FULL && value.len == 0)
        value = STR("/");
    r->value = arena_str(arena, value);
}

static bool is_good_substitution(struct str s, unsigned n_groups)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] != '\\')
            continue;
        if (++i == s.len)
            return false;
        if (s.ptr[i] == '\\')
            continue;
        if (s.ptr[i] < '0' || s.ptr[i] > '9' || (unsigned)(s.ptr[i] - '0') > n_groups)
            return false;
    }
    return true;
}

int path_rewrite_init_regex(struct path_rewrite *r, struct arena *arena, struct str pattern,
                            struct str substitution, struct regex_error *ret_error)
{
    *r = (struct path_rewrite){.kind = PATH_REWRITE_REGEX};
    if (regex_compile(arena, pattern, &r->regex, ret_error) != 0)
        return REWRITE_BAD_REGEX;
    if (!is_good_substitution(substitution, regex_n_groups(r->regex)))
        return REWRITE_BAD_SUBSTITUTION;
    r->value = arena_str(arena, substitution);
    return 0;
}

static struct str replace_prefix(const struct path_rewrite *r, struct str path, size_t n_matched,
                                 struct arena *arena)
{
    struct str rest = str_slice(path, n_matched, path.len);

    if (r->value.len == 0)
        return rest.len > 0 ? rest : STR("/");
    return arena_join(arena, r->value, rest);
}

/* Text under construction, never longer than a target may be. */
struct rewritten {
    char *bytes;
    size_t n;
    bool is_full;
};

static void put(struct rewritten *out, struct str piece)
{
    if (piece.len > LIMIT_TARGET_BYTES - out->n) {
        out->is_full = true;
        return;
    }
    if (piece.len > 0)
        memcpy(out->bytes + out->n, piece.ptr, piece.len);
    out->n += piece.len;
}

static void put_substitution(struct rewritten *out, struct str substitution,
                             const struct regex_groups *groups)
{
    for (size_t i = 0; i < substitution.len; i++) {
        if (substitution.ptr[i] != '\\') {
            put(out, str_slice(substitution, i, i + 1));
            continue;
        }
        char c = substitution.ptr[++i];

        put(out, c == '\\' ? STR("\\") : groups->items[c - '0']);
    }
}

/* Replaces all matches as RE2's global replacement does: an empty match is replaced too, unless it
 * touches the match before it, and moves on by one byte. */
static bool replace_all(const struct path_rewrite *r, struct str path, struct rewritten *out)
{
    size_t at = 0;
    size_t last_end = SIZE_MAX;

    for (unsigned n = 0; n < MAX_REPLACEMENTS; n++) {
        struct regex_groups groups;
        enum regex_verdict verdict = regex_search(r->regex, path, at, &groups);

        if (verdict == REGEX_LIMIT)
            return false;
        if (verdict == REGEX_MISS) {
            put(out, str_slice(path, at, path.len));
            return !out->is_full;
        }
        struct str match = groups.items[0];
        size_t start = match.ptr ? (size_t)(match.ptr - path.ptr) : path.len;

        put(out, str_slice(path, at, start));
        if (match.len > 0 || start != last_end)
            put_substitution(out, r->value, &groups);
        at = start + match.len;
        last_end = at;
        if (match.len == 0) {
            if (at >= path.len)
                return !out->is_full;
            put(out, str_slice(path, at, at + 1));
            at++;
        }
    }
    return false;
}

static int replace_regex(const struct path_rewrite *r, struct str path, struct arena *arena,
                         struct str *ret_path)
{
    char room[LIMIT_TARGET_BYTES];
    struct rewritten out = {.bytes = room};

    if (!replace_all(r, path, &out) || out.n == 0 || out.bytes[0] != '/')
        return REWRITE_REFUSED;
    struct str raw = arena_str(arena, str_make(out.bytes, out.n));
    struct path_found found;

    return path_read(raw, r->path_reading, arena, ret_path, &found) == 0 ? 0 : REWRITE_REFUSED;
}

int path_rewrite_apply(const struct path_rewrite *r, struct str path, size_t n_matched,
                       struct arena *arena, struct str *ret_path)
{
    *ret_path = path;
    switch (r->kind) {
    case PATH_REWRITE_FULL:
        *ret_path = r->value;
        return 0;
    case PATH_REWRITE_PREFIX:
        *ret_path = replace_prefix(r, path, n_matched, arena);
        return 0;
    case PATH_REWRITE_REGEX:
        return replace_regex(r, path, arena, ret_path);
    case PATH_REWRITE_NONE:
    default:
        return 0;
    }
}

static struct str host_of_header(const struct http_request *request, struct str name)
{
    struct str value = str_eq(name, STR("host")) ? request->authority
                                                 : http_headers_value(&request->headers, name);
    struct str host;
    uint16_t port;

    return grammar_host_parse(value, &host, &port) ? value : request->authority;
}

struct str host_rewrite_apply(const struct host_rewrite *r, const struct http_request *request,
                              struct str backend_host)
{
    switch (r->kind) {
    case HOST_REWRITE_LITERAL:
        return r->value;
    case HOST_REWRITE_HEADER:
        return host_of_header(request, r->value);
    case HOST_REWRITE_BACKEND:
        return backend_host.len > 0 ? backend_host : request->authority;
    case HOST_REWRITE_NONE:
    default:
        return request->authority;
    }
}
