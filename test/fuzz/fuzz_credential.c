/* Fuzz target of credentials but for tokens (fuzz_jwt.c). The first byte says what the rest is:
 *   h  an .htpasswd file         e  a header's value with a token
 *   b  base64                    q, c  a query or Cookie headers, behind a line with a name
 *   k  API keys, one a line      l  a target for the log
 * Beyond not crashing: users are found by their names and by no other; what decodes encodes to the
 * same text; a credential that was taken out is gone, and nothing else is; a target that is logged
 * holds no token and is bounded. */
#include "auth/base64url.h"
#include "base/assert.h"
#include "gateway/layer/credential.h"
#include "http/query.h"
#include "telemetry/log_redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_users(const struct htpasswd *users, struct str text)
{
    struct str line, name, hash;

    while (str_split(&text, '\n', &line)) {
        struct str rest;

        if (str_ends_with(line, STR("\r")))
            line.len--;
        if (str_trim(line).len == 0 || line.ptr[0] == '#')
            continue;
        rest = line;
        ASSERT(str_split(&rest, ':', &name) && htpasswd_find(users, name, &hash));
        ASSERT(password_check_hash(hash) == 0 && str_starts_with(rest, hash));
        if (!password_is_slow(hash))
            (void)password_verify(hash, name);
    }
    ASSERT(!htpasswd_find(users, STR("no\nbody"), &hash) && hash.len > 0);
}

static void play_htpasswd(struct str text)
{
    struct htpasswd_problem problem;
    struct htpasswd *users = NULL;
    int r = htpasswd_new(text, &users, &problem);

    ASSERT(r >= 0 && r <= HTPASSWD_BAD_HASH && (r == 0) == (users != NULL));
    if (!users)
        return;
    ASSERT(htpasswd_count(users) > 0);
    check_users(users, text);
    htpasswd_unref(users);
}

static void play_base64(struct str text)
{
    static unsigned char bytes[8192];
    static char again[16384];
    ssize_t n = base64url_decode(text, bytes, sizeof bytes);

    if (n >= 0) {
        ASSERT((size_t)n <= text.len);
        ASSERT(str_eq(str_make(again, base64url_encode(bytes, (size_t)n, again)), text));
    }
    n = base64_decode(text, bytes, sizeof bytes);
    ASSERT(n <= (ssize_t)text.len);
}

static void play_keys(struct str text)
{
    struct api_keys *keys = api_keys_new();
    struct str rest = text, line, client;
    unsigned n = 0;

    while (n < 64 && str_split(&rest, '\n', &line)) {
        char id = (char)('0' + n++);
        int r = api_keys_add(keys, str_make(&id, 1), line);

        ASSERT((r == API_KEY_EMPTY) == (line.len == 0));
        ASSERT(line.len == 0 || api_keys_find(keys, line, &client));
    }
    ASSERT(api_keys_count(keys) <= n && !api_keys_find(keys, STR(""), &client));
    ASSERT(!api_keys_find(keys, STR("a\nb"), &client));
    api_keys_unref(keys);
}

static void play_extract(struct str value)
{
    struct str token;

    if (extract_bearer(value, &token) == EXTRACT_TOKEN) {
        ASSERT(token.len > 0 && str_ends_with(str_trim(value), token));
        ASSERT(str_eq(str_trim(token), token) && str_starts_with_nocase(value, STR("bearer ")));
    }
    if (extract_prefixed(value, STR("Token "), &token) == EXTRACT_TOKEN)
        ASSERT(token.len > 0 && token.len + 6 <= value.len);
}

static struct credential_source source_of(enum credential_place place, struct str name)
{
    return (struct credential_source){place, name};
}

/* The parameters that are called otherwise, in their order. */
static void others_of(struct str query, struct str name, struct arena *a, struct buf *ret)
{
    struct str raw, value;

    while (query_next(&query, &raw, &value)) {
        if (str_eq(query_decode(raw, a), name))
            continue;
        buf_append_json(ret, raw);
        buf_append_json(ret, value);
    }
}

static void play_query(struct str query, struct str name, struct arena *a)
{
    struct credential_source source = source_of(CREDENTIAL_PARAM, name);
    struct http_request q = {.query = query};
    struct buf before = {0}, after = {0};
    struct str value;

    (void)credential_find(&q, &source, a, &value);
    others_of(query, name, a, &before);
    q.query = credential_strip_param(query, name, a);
    others_of(q.query, name, a, &after);
    ASSERT(credential_find(&q, &source, a, &value) == EXTRACT_NONE);
    ASSERT(str_eq(buf_str(&before), buf_str(&after)) && q.query.len <= query.len);
    buf_deinit(&before);
    buf_deinit(&after);
}

static size_t n_pairs(const struct http_headers *h)
{
    size_t n = 0;

    for (unsigned i = 0; i < h->n; i++) {
        struct str rest = h->items[i].value, pair;

        while (str_split(&rest, ';', &pair))
            n += str_trim(pair).len > 0;
    }
    return n;
}

static void play_cookies(struct str lines, struct str name, struct arena *a)
{
    struct credential_source source = source_of(CREDENTIAL_COOKIE, name);
    struct http_request q = {.query = STR_NULL};
    struct str line, value;

    http_headers_init(&q.headers, a);
    while (q.headers.n < 64 && str_split(&lines, '\n', &line))
        http_headers_add_id(&q.headers, HEADER_COOKIE, str_trim(line));
    enum extract_result found = credential_find(&q, &source, a, &value);
    size_t before = n_pairs(&q.headers);

    credential_strip_cookie(&q.headers, name, a);
    ASSERT(credential_find(&q, &source, a, &value) == EXTRACT_NONE);
    size_t after = n_pairs(&q.headers);

    ASSERT(found == EXTRACT_NONE    ? after == before
           : found == EXTRACT_TOKEN ? after + 1 == before
                                    : after + 1 < before);
}

/* Its path, and of each parameter name and value: what is judged by itself. */
static bool has_token(struct str target)
{
    struct str rest = target, part, name;
    bool has = str_split(&rest, '?', &part) && log_redact_has_token(part);

    while (str_split(&rest, '&', &part)) {
        while (str_split(&part, '=', &name))
            has |= log_redact_has_token(name);
    }
    return has;
}

static void play_log(struct str target)
{
    static char room[1024];
    struct str out = log_redact_target(target, room, sizeof room);

    ASSERT(out.ptr == target.ptr ? out.len == target.len : out.len <= sizeof room);
    ASSERT(!has_token(out));
    out = log_redact_target(STR("/a?x=eyJhbGciOiJub25lIn0.e30.&token=s"), room, sizeof room);
    ASSERT(str_eq(out, STR("/a?x=redacted&token=redacted")));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str rest = str_make(bytes, size);
    struct str text, name = STR("");
    struct arena a;

    if (size == 0)
        return 0;
    text = rest = str_slice(rest, 1, size);
    str_split(&rest, '\n', &name);
    arena_init(&a, 16384);
    switch (bytes[0]) {
    case 'h':
        play_htpasswd(text);
        break;
    case 'b':
        play_base64(text);
        break;
    case 'k':
        play_keys(text);
        break;
    case 'e':
        play_extract(text);
        break;
    case 'q':
        play_query(rest, name, &a);
        break;
    case 'c':
        play_cookies(rest, name, &a);
        break;
    case 'l':
        play_log(text);
        break;
    default:
        break;
    }
    arena_deinit(&a);
    return 0;
}
