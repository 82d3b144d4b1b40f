/* Methods and header lists of the message model. A list is an array in the arena of its exchange;
 * growing leaves the old array behind, which the arena takes away at the end. Worker-local. Leaves
 * the syntax of names and values to the codecs and to those who add headers (http/grammar.h). */
#include "http/message.h"

#include "base/assert.h"

static const struct str method_texts[] = {
    [HTTP_METHOD_OTHER] = {"", 0},          [HTTP_METHOD_GET] = {"GET", 3},
    [HTTP_METHOD_HEAD] = {"HEAD", 4},       [HTTP_METHOD_POST] = {"POST", 4},
    [HTTP_METHOD_PUT] = {"PUT", 3},         [HTTP_METHOD_DELETE] = {"DELETE", 6},
    [HTTP_METHOD_CONNECT] = {"CONNECT", 7}, [HTTP_METHOD_OPTIONS] = {"OPTIONS", 7},
    [HTTP_METHOD_TRACE] = {"TRACE", 5},     [HTTP_METHOD_PATCH] = {"PATCH", 5},
};

enum http_method http_method_parse(struct str text)
{
    for (unsigned i = 1; i < N_ELEMENTS(method_texts); i++) {
        if (str_eq(method_texts[i], text))
            return (enum http_method)i;
    }
    return HTTP_METHOD_OTHER;
}

/* RFC 9110 9.1 allows any token, yet all registered methods are capitals and hyphens. What is left
 * of a body whose end two readers see differently would else make a method together with the next
 * request's: "helloGET". */
size_t http_method_span(struct str s)
{
    size_t i = 0;

    while (i < s.len && ((s.ptr[i] >= 'A' && s.ptr[i] <= 'Z') || (i > 0 && s.ptr[i] == '-')))
        i++;
    return i;
}

struct str http_method_text(enum http_method method)
{
    return method_texts[method];
}

void http_headers_init(struct http_headers *h, struct arena *a)
{
    *h = (struct http_headers){.arena = a};
}

void http_headers_reserve(struct http_headers *h, unsigned extra)
{
    unsigned need = h->n + extra;

    if (need <= h->cap)
        return;
    ASSERT(need <= UINT16_MAX);
    unsigned cap = MIN(MAX(need, h->cap * 2u + 8), (unsigned)UINT16_MAX);
    struct http_header *items = (void *)arena_alloc(h->arena, sizeof *items * (size_t)cap);

    if (h->n > 0)
        memcpy(items, h->items, sizeof *items * h->n);
    h->items = items;
    h->cap = (uint16_t)cap;
}

static void http_headers_push(struct http_headers *h, struct http_header header)
{
    http_headers_reserve(h, 1);
    h->items[h->n] = header;
    http_headers_took(h, header.id);
}

/* Most that are asked for are not there. */
static bool http_headers_may_have(const struct http_headers *h, enum header_id id)
{
    return (h->may_have >> (id % 64)) & 1;
}

void http_headers_add(struct http_headers *h, struct str name, struct str value)
{
    http_headers_push(h, (struct http_header){name, value, header_id_find(name)});
}

void http_headers_add_id(struct http_headers *h, enum header_id id, struct str value)
{
    http_headers_push(h, (struct http_header){header_name(id), value, id});
}

static bool http_header_is(const struct http_header *header, enum header_id id, struct str name)
{
    return header->id == id && (id != HEADER_OTHER || str_eq(header->name, name));
}

const struct http_header *http_headers_find(const struct http_headers *h, struct str name)
{
    enum header_id id = header_id_find(name);

    for (unsigned i = 0; http_headers_may_have(h, id) && i < h->n; i++) {
        if (http_header_is(&h->items[i], id, name))
            return &h->items[i];
    }
    return NULL;
}

const struct http_header *http_headers_find_id(const struct http_headers *h, enum header_id id)
{
    for (unsigned i = 0; http_headers_may_have(h, id) && i < h->n; i++) {
        if (h->items[i].id == id)
            return &h->items[i];
    }
    return NULL;
}

struct str http_headers_value(const struct http_headers *h, struct str name)
{
    const struct http_header *header = http_headers_find(h, name);

    return header ? header->value : STR_NULL;
}

struct str http_headers_joined(const struct http_headers *h, struct str name)
{
    enum header_id id = header_id_find(name);
    struct str first = STR_NULL;
    size_t bytes = 0;
    unsigned n_found = 0;

    for (unsigned i = 0; http_headers_may_have(h, id) && i < h->n; i++) {
        if (!http_header_is(&h->items[i], id, name))
            continue;
        if (n_found++ == 0)
            first = h->items[i].value;
        bytes += h->items[i].value.len + 2;
    }
    if (n_found < 2)
        return first;
    char *text = arena_bytes(h->arena, bytes);
    size_t len = 0;

    for (unsigned i = 0; i < h->n; i++) {
        struct str value = h->items[i].value;

        if (!http_header_is(&h->items[i], id, name))
            continue;
        if (len > 0) {
            memcpy(text + len, ", ", 2);
            len += 2;
        }
        if (value.len > 0)
            memcpy(text + len, value.ptr, value.len);
        len += value.len;
        /* An empty first value must not swallow the separator of the second. */
        if (len == 0)
            text[len++] = ' ';
    }
    return str_trim(str_make(text, len));
}

static unsigned http_headers_drop(struct http_headers *h, enum header_id id, struct str name)
{
    unsigned n_kept = 0;

    if (!http_headers_may_have(h, id))
        return 0;
    for (unsigned i = 0; i < h->n; i++) {
        if (http_header_is(&h->items[i], id, name))
            continue;
        if (n_kept != i)
            h->items[n_kept] = h->items[i];
        n_kept++;
    }
    unsigned n_gone = h->n - n_kept;

    h->n = (uint16_t)n_kept;
    return n_gone;
}

void http_headers_set(struct http_headers *h, struct str name, struct str value)
{
    enum header_id id = header_id_find(name);

    http_headers_drop(h, id, name);
    http_headers_push(h, (struct http_header){name, value, id});
}

unsigned http_headers_remove(struct http_headers *h, struct str name)
{
    return http_headers_drop(h, header_id_find(name), name);
}

unsigned http_headers_remove_id(struct http_headers *h, enum header_id id)
{
    PRE(id != HEADER_OTHER);
    return http_headers_drop(h, id, STR_NULL);
}

struct http_headers http_headers_copy(const struct http_headers *h, struct arena *a)
{
    struct http_headers copy;

    http_headers_init(&copy, a);
    http_headers_reserve(&copy, h->n + 4u);
    if (h->n > 0)
        memcpy(copy.items, h->items, sizeof *h->items * h->n);
    copy.may_have = h->may_have;
    copy.spelling = h->spelling;
    copy.n = h->n;
    return copy;
}
