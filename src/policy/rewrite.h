/* Path and host rewrites (Gateway API HTTPURLRewriteFilter, HTTPPathModifier; Envoy Gateway
 * HTTPRouteFilter urlRewrite). Compiled once, immutable; applying is pure and allocates in the
 * exchange's arena. */
#pragma once

#include "http/message.h"
#include "policy/regex.h"

enum path_rewrite_kind {
    PATH_REWRITE_NONE,
    PATH_REWRITE_FULL,   /* ReplaceFullPath */
    PATH_REWRITE_PREFIX, /* ReplacePrefixMatch */
    PATH_REWRITE_REGEX,  /* ReplaceRegexMatch: all matches, \0 to \9 stand for groups */
};

struct path_rewrite {
    enum path_rewrite_kind kind;
    struct str value; /* the replacement; for a prefix without its trailing slash */
    const struct regex *regex;
    unsigned path_reading; /* of what a pattern makes: enum path_reading, as flags */
};

enum host_rewrite_kind {
    HOST_REWRITE_NONE,
    HOST_REWRITE_LITERAL,
    HOST_REWRITE_HEADER,  /* value of a request header */
    HOST_REWRITE_BACKEND, /* hostname of the backend */
};

struct host_rewrite {
    enum host_rewrite_kind kind;
    struct str value;  /* the hostname, or the header's name in lower case */
    bool hides_former; /* X-Forwarded-Host is not set (appendXForwardedHost: false) */
};

/* Conditions of this module. */
enum rewrite_condition {
    REWRITE_BAD_REGEX = 1,        /* *ret_error says why */
    REWRITE_BAD_SUBSTITUTION = 2, /* a group that the pattern does not have, or a lone backslash */
    REWRITE_REFUSED = 3, /* at run time: no valid path came out, or a limit was reached (500) */
};

/* Compile into `arena`; strings are copied. */
void path_rewrite_init(struct path_rewrite *r, struct arena *arena, enum path_rewrite_kind kind,
                       struct str value);
MUST_USE int path_rewrite_init_regex(struct path_rewrite *r, struct arena *arena,
                                     struct str pattern, struct str substitution,
                                     struct regex_error *ret_error);
/* `path` is the request's normalized path without query, `n_matched` the length of the matched
 * PathPrefix without trailing slash (struct route_match.path.len). 0 or REWRITE_REFUSED. */
MUST_USE int path_rewrite_apply(const struct path_rewrite *r, struct str path, size_t n_matched,
                                struct arena *arena, struct str *ret_path);
/* The Host to send upstream: the request's own authority unless the rewrite gives another. Backend
 * host may be empty. A header that is absent or no valid host changes nothing. */
struct str host_rewrite_apply(const struct host_rewrite *r, const struct http_request *request,
                              struct str backend_host);
