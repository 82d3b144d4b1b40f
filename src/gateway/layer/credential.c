/* Whatever the place, two values are none: a backend or an authorizer that reads the same request
 * might take the other one. Taking out keeps the rest byte for byte, but for white space between
 * cookies. */
#include "gateway/layer/credential.h"

#include "http/cookie.h"
#include "http/query.h"

enum extract_result credential_in_header(const struct http_headers *h, struct str name,
                                         struct str *ret_value)
{
    unsigned n = 0;

    for (uint16_t i = 0; i < h->n; i++) {
        if (str_eq(h->items[i].name, name)) {
            *ret_value = h->items[i].value;
            n++;
        }
    }
    return n == 0 ? EXTRACT_NONE : n == 1 ? EXTRACT_TOKEN : EXTRACT_MALFORMED;
}

/* Parameters of that name: two of them may be read by one side as the first, by the other as the
 * last. */
static enum extract_result credential_in_param(struct str query, struct str name, struct arena *a,
                                               struct str *ret_value)
{
    struct str raw_name, raw_value;
    unsigned n = 0;

    while (query_next(&query, &raw_name, &raw_value)) {
        if (str_eq(query_decode(raw_name, a), name)) {
            *ret_value = query_decode(raw_value, a);
            n++;
        }
    }
    return n == 0 ? EXTRACT_NONE : n == 1 ? EXTRACT_TOKEN : EXTRACT_MALFORMED;
}

static bool credential_pair_is(struct str pair, struct str name)
{
    ssize_t equals = str_find_char(pair, '=', 0);

    return equals >= 0 && str_eq(str_trim(str_slice(pair, 0, (size_t)equals)), name);
}

static enum extract_result credential_in_cookies(const struct http_headers *h, struct str name,
                                                 struct str *ret_value)
{
    unsigned n = 0;

    for (uint16_t i = 0; i < h->n; i++) {
        struct str rest = h->items[i].value;
        struct str pair;

        while (h->items[i].id == HEADER_COOKIE && str_split(&rest, ';', &pair)) {
            if (credential_pair_is(pair, name) && cookie_find(pair, name, ret_value))
                n++;
        }
    }
    return n == 0 ? EXTRACT_NONE : n == 1 ? EXTRACT_TOKEN : EXTRACT_MALFORMED;
}

enum extract_result credential_find(const struct http_request *r,
                                    const struct credential_source *source, struct arena *a,
                                    struct str *ret_value)
{
    switch (source->place) {
    case CREDENTIAL_PARAM:
        return credential_in_param(r->query, source->name, a, ret_value);
    case CREDENTIAL_COOKIE:
        return credential_in_cookies(&r->headers, source->name, ret_value);
    case CREDENTIAL_HEADER:
        break;
    }
    return credential_in_header(&r->headers, source->name, ret_value);
}

/* Appends `part` behind `separator` where something stands already. */
static void credential_join(char *room, size_t *n, const char *separator, struct str part)
{
    if (*n > 0) {
        memcpy(room + *n, separator, strlen(separator));
        *n += strlen(separator);
    }
    if (part.len > 0)
        memcpy(room + *n, part.ptr, part.len);
    *n += part.len;
}

struct str credential_strip_param(struct str query, struct str name, struct arena *a)
{
    char *room = arena_bytes(a, query.len + 1);
    struct str rest = query;
    struct str part;
    size_t n = 0;

    while (str_split(&rest, '&', &part)) {
        struct str one = part;
        struct str raw_name, raw_value;
        bool is_named = query_next(&one, &raw_name, &raw_value);

        if (!is_named || !str_eq(query_decode(raw_name, a), name))
            credential_join(room, &n, "&", part);
    }
    return n > 0 ? str_make(room, n) : STR_NULL;
}

static struct str credential_strip_pairs(struct str value, struct str name, struct arena *a)
{
    char *room = arena_bytes(a, 2 * value.len + 1); /* "; " for each ";" */
    struct str pair;
    size_t n = 0;

    while (str_split(&value, ';', &pair)) {
        if (!credential_pair_is(pair, name) && str_trim(pair).len > 0)
            credential_join(room, &n, "; ", str_trim(pair));
    }
    return str_make(room, n);
}

void credential_strip_cookie(struct http_headers *h, struct str name, struct arena *a)
{
    uint16_t n_kept = 0;

    for (uint16_t i = 0; i < h->n; i++) {
        struct http_header *item = &h->items[i];
        struct str found;

        if (item->id == HEADER_COOKIE && cookie_find(item->value, name, &found)) {
            item->value = credential_strip_pairs(item->value, name, a);
            if (item->value.len == 0)
                continue;
        }
        h->items[n_kept++] = *item;
    }
    h->n = n_kept;
}
