/* Matching of rate-limit rules.
 *
 * An inverted Exact or RegularExpression part holds for a request without the header too: a rule
 * "everybody but admin" must not be escaped by saying nothing. Several lines of one name count as
 * one value, joined with ",".
 *
 * Owner: compiled object in its arena, immutable. Matching is pure; any thread. */
#include "policy/limit_rule.h"
#include "policy/limit_rule_miss.h"

#include "base/assert.h"
#include "base/limits.h"
#include "http/path.h"

/* ---- compiling ---- */

static int compile_items(struct arena *arena, const struct limit_item_spec *specs, size_t n,
                         const struct limit_item **ret_items)
{
    struct limit_item *items = ARENA_ARRAY(arena, struct limit_item, n + 1);

    *ret_items = items;
    for (size_t i = 0; i < n; i++) {
        items[i].name = field_name_make(arena, specs[i].name);
        items[i].kind = specs[i].kind;
        items[i].is_inverted = specs[i].is_inverted;
        items[i].value = arena_str(arena, specs[i].value);
        if (specs[i].kind == LIMIT_ITEM_REGEX &&
            regex_compile(arena, specs[i].value, &items[i].regex, NULL) != 0)
            return LIMIT_RULE_BAD_REGEX;
    }
    return 0;
}

/* Names of query parameters are case-sensitive. */
static int compile_queries(struct arena *arena, const struct limit_item_spec *specs, size_t n,
                           const struct limit_item **ret_items)
{
    int r = compile_items(arena, specs, n, ret_items);

    for (size_t i = 0; i < n && r == 0; i++) {
        struct limit_item *item = (struct limit_item *)(uintptr_t) & (*ret_items)[i];

        item->name.text = arena_str(arena, specs[i].name);
    }
    return r;
}

static int compile_path(struct limit_selector *s, struct arena *arena,
                        const struct limit_selector_spec *spec)
{
    struct str path = spec->path;
    struct path_found found;

    s->has_path = spec->has_path;
    s->is_path_inverted = spec->is_path_inverted;
    s->path_kind = spec->path_kind;
    if (!spec->has_path)
        return 0;
    s->path = arena_str(arena, path); /* of a pattern: to be told */
    if (spec->path_kind == ROUTE_PATH_REGEX)
        return regex_compile(arena, path, &s->path_regex, NULL) == 0 ? 0 : LIMIT_RULE_BAD_REGEX;
    if (path_read(path, spec->path_reading, arena, &path, &found) != 0)
        return LIMIT_RULE_BAD_PATH;
    while (spec->path_kind == ROUTE_PATH_PREFIX && str_ends_with(path, STR("/")))
        path.len--;
    s->path = arena_str(arena, path);
    return 0;
}

static int compile_selector(struct limit_selector *s, struct arena *arena,
                            const struct limit_selector_spec *spec)
{
    struct limit_method_spec *methods =
        ARENA_ARRAY(arena, struct limit_method_spec, spec->n_methods + 1);
    int r = compile_items(arena, spec->headers, spec->n_headers, &s->headers);

    s->n_headers = (uint32_t)spec->n_headers;
    if (r == 0)
        r = compile_queries(arena, spec->queries, spec->n_queries, &s->queries);
    s->n_queries = (uint32_t)spec->n_queries;
    for (size_t i = 0; i < spec->n_methods; i++) {
        methods[i].method = arena_str(arena, spec->methods[i].method);
        methods[i].is_inverted = spec->methods[i].is_inverted;
    }
    s->methods = methods;
    s->n_methods = (uint32_t)spec->n_methods;
    s->has_cidr = spec->has_cidr;
    s->is_cidr_distinct = spec->is_cidr_distinct;
    s->is_cidr_inverted = spec->is_cidr_inverted;
    if (r == 0 && spec->has_cidr && !cidr_parse(spec->cidr, &s->cidr))
        r = LIMIT_RULE_BAD_CIDR;
    return r != 0 ? r : compile_path(s, arena, spec);
}

static bool selector_is_distinct(const struct limit_selector *s)
{
    for (uint32_t i = 0; i < s->n_headers; i++) {
        if (s->headers[i].kind == LIMIT_ITEM_DISTINCT)
            return true;
    }
    for (uint32_t i = 0; i < s->n_queries; i++) {
        if (s->queries[i].kind == LIMIT_ITEM_DISTINCT)
            return true;
    }
    return s->has_cidr && s->is_cidr_distinct;
}

int limit_rule_init(struct limit_rule *r, struct arena *arena,
                    const struct limit_selector_spec *selectors, size_t n_selectors,
                    size_t *ret_bad)
{
    struct limit_selector *compiled = ARENA_ARRAY(arena, struct limit_selector, n_selectors + 1);

    *r = (struct limit_rule){compiled, (uint32_t)n_selectors, false};
    for (size_t i = 0; i < n_selectors; i++) {
        int code = compile_selector(&compiled[i], arena, &selectors[i]);

        if (code != 0) {
            *ret_bad = i;
            return code;
        }
        r->is_distinct |= selector_is_distinct(&compiled[i]);
    }
    return 0;
}

/* ---- matching ---- */

static enum regex_verdict invert(enum regex_verdict verdict, bool is_inverted)
{
    if (!is_inverted || verdict == REGEX_LIMIT)
        return verdict;
    return verdict == REGEX_HIT ? REGEX_MISS : REGEX_HIT;
}

/* `value.ptr` NULL: absent. */
static enum regex_verdict value_holds(const struct limit_item *item, struct str value,
                                      struct limit_key *key)
{
    switch (item->kind) {
    case LIMIT_ITEM_DISTINCT:
        if (!value.ptr)
            return REGEX_MISS;
        limit_key_add(key, value);
        return REGEX_HIT;
    case LIMIT_ITEM_REGEX:
        return invert(value.ptr ? regex_match(item->regex, value) : REGEX_MISS, item->is_inverted);
    case LIMIT_ITEM_EXACT:
        break;
    }
    return invert(value.ptr && str_eq(item->value, value) ? REGEX_HIT : REGEX_MISS,
                  item->is_inverted);
}

/* Apart, so that only the rare case of several lines pays for the stack. */
static __attribute__((noinline)) enum regex_verdict
joined_header_holds(const struct limit_item *item, const struct http_headers *headers,
                    struct limit_key *key)
{
    char room[LIMIT_HEAD_BYTES];
    bool is_cut;
    struct str value = field_header_value(headers, &item->name, room, sizeof room, &is_cut);

    return is_cut ? REGEX_LIMIT : value_holds(item, value, key);
}

static enum regex_verdict header_holds(const struct limit_item *item,
                                       const struct http_request *request, struct limit_key *key)
{
    char no_room[1];
    bool is_cut;
    struct str value;

    /* Host is not in the header list of a request. */
    if (item->name.id == HEADER_HOST)
        return value_holds(item, request->authority.len > 0 ? request->authority : STR_NULL, key);
    /* One line is lent, and no room is needed. */
    value = field_header_value(&request->headers, &item->name, no_room, 0, &is_cut);
    return is_cut ? joined_header_holds(item, &request->headers, key)
                  : value_holds(item, value, key);
}

static __attribute__((noinline)) enum regex_verdict
query_holds(const struct limit_item *item, struct str query, struct limit_key *key)
{
    char room[LIMIT_TARGET_BYTES];

    if (query.len > sizeof room)
        return REGEX_LIMIT;
    return value_holds(
        item, query.ptr ? field_query_value(query, item->name.text, room, sizeof room) : STR_NULL,
        key);
}

static bool method_holds(const struct limit_selector *s, struct str method)
{
    for (uint32_t i = 0; i < s->n_methods; i++) {
        if (str_eq(s->methods[i].method, method) != s->methods[i].is_inverted)
            return true;
    }
    return s->n_methods == 0;
}

static enum regex_verdict path_holds(const struct limit_selector *s, struct str path)
{
    enum regex_verdict verdict = REGEX_MISS;

    if (!s->has_path)
        return REGEX_HIT;
    switch (s->path_kind) {
    case ROUTE_PATH_EXACT:
        verdict = str_eq(s->path, path) ? REGEX_HIT : REGEX_MISS;
        break;
    case ROUTE_PATH_REGEX:
        verdict = regex_match(s->path_regex, path);
        break;
    case ROUTE_PATH_PREFIX:
        verdict = route_path_has_prefix(path, s->path) ? REGEX_HIT : REGEX_MISS;
        break;
    }
    return invert(verdict, s->is_path_inverted);
}

static bool cidr_holds(const struct limit_selector *s, const struct ip_address *client,
                       struct limit_key *key)
{
    if (!s->has_cidr)
        return true;
    if (cidr_has(&s->cidr, client) == s->is_cidr_inverted)
        return false;
    if (s->is_cidr_distinct)
        limit_key_add(key, str_make(client->bytes, sizeof client->bytes));
    return true;
}

static enum regex_verdict note_miss(enum regex_verdict verdict, enum limit_part part,
                                    const struct limit_item *item, struct limit_miss *ret_miss)
{
    if (verdict != REGEX_HIT)
        *ret_miss = (struct limit_miss){part, item};
    return verdict;
}

/* The cheap parts first. `*ret_miss` is set where the verdict is no hit. */
static enum regex_verdict selector_holds(const struct limit_selector *s,
                                         const struct limit_input *in, struct limit_key *key,
                                         struct limit_miss *ret_miss)
{
    const struct http_request *request = in->request;
    enum regex_verdict verdict = REGEX_HIT;

    if (!method_holds(s, request->method_text))
        return note_miss(REGEX_MISS, LIMIT_PART_METHOD, NULL, ret_miss);
    if (!cidr_holds(s, in->client, key))
        return note_miss(REGEX_MISS, LIMIT_PART_ADDRESS, NULL, ret_miss);
    for (uint32_t i = 0; i < s->n_headers && verdict == REGEX_HIT; i++)
        verdict = note_miss(header_holds(&s->headers[i], request, key), LIMIT_PART_HEADER,
                            &s->headers[i], ret_miss);
    for (uint32_t i = 0; i < s->n_queries && verdict == REGEX_HIT; i++)
        verdict = note_miss(query_holds(&s->queries[i], request->query, key), LIMIT_PART_QUERY,
                            &s->queries[i], ret_miss);
    return verdict == REGEX_HIT
               ? note_miss(path_holds(s, request->path), LIMIT_PART_PATH, NULL, ret_miss)
               : verdict;
}

static enum regex_verdict rule_holds(const struct limit_rule *r, const struct limit_input *input,
                                     struct limit_key *ret_key, struct limit_miss *ret_miss)
{
    enum regex_verdict verdict = REGEX_HIT;

    ret_key->n = 0;
    for (uint32_t i = 0; i < r->n_selectors && verdict == REGEX_HIT; i++)
        verdict = selector_holds(&r->selectors[i], input, ret_key, ret_miss);
    return verdict;
}

enum regex_verdict limit_rule_match(const struct limit_rule *r, const struct limit_input *input,
                                    struct limit_key *ret_key)
{
    struct limit_miss miss;

    return rule_holds(r, input, ret_key, &miss);
}

struct limit_miss limit_rule_miss(const struct limit_rule *r, const struct limit_input *input)
{
    struct limit_miss miss = {LIMIT_PART_NONE, NULL};
    struct limit_key key;

    (void)rule_holds(r, input, &key, &miss);
    return miss;
}

/* ---- the key, read back ---- */

/* On the way through the Distinct parts of a key. */
struct key_reading {
    struct str rest;
    struct buf *out;
    limit_may_show_fn *may_show;
    const void *context;
    bool has_part;
};

static void reading_begin(struct key_reading *k, struct str name)
{
    if (k->has_part)
        buf_append_char(k->out, ',');
    k->has_part = true;
    buf_append_str(k->out, name);
    buf_append_char(k->out, '=');
}

static void reading_put(struct key_reading *k, struct str name, const struct limit_key_part *part)
{
    reading_begin(k, name);
    if (!k->may_show(k->context, name))
        buf_append_str(k->out, STR("(hidden)"));
    else if (part->is_hash)
        buf_append_str(k->out, STR("(long)"));
    else
        buf_append_str(k->out, part->value);
}

static void reading_put_items(struct key_reading *k, const struct limit_item *items, uint32_t n)
{
    struct limit_key_part part;

    for (uint32_t i = 0; i < n; i++) {
        if (items[i].kind == LIMIT_ITEM_DISTINCT && limit_key_next(&k->rest, &part))
            reading_put(k, items[i].name.text, &part);
    }
}

static void reading_put_address(struct key_reading *k)
{
    struct limit_key_part part;
    struct ip_address address = {.is_valid = true};
    char room[46];

    if (!limit_key_next(&k->rest, &part) || part.value.len != sizeof address.bytes)
        return;
    memcpy(address.bytes, part.value.ptr, sizeof address.bytes);
    reading_begin(k, STR("client"));
    buf_append_str(k->out, ip_address_format(&address, room));
}

/* In the order of selector_holds. */
void limit_rule_format_key(const struct limit_rule *r, struct str key, limit_may_show_fn *may_show,
                           const void *context, struct buf *out)
{
    struct key_reading k = {.rest = key, .out = out, .may_show = may_show, .context = context};

    if (limit_key_is_folded(key)) {
        buf_append_str(out, STR("(long)"));
        return;
    }
    for (uint32_t i = 0; i < r->n_selectors; i++) {
        const struct limit_selector *s = &r->selectors[i];

        if (s->has_cidr && s->is_cidr_distinct)
            reading_put_address(&k);
        reading_put_items(&k, s->headers, s->n_headers);
        reading_put_items(&k, s->queries, s->n_queries);
    }
}

/* ---- what a rule compares with ---- */

struct scope_text {
    struct buf *out;
    limit_may_show_fn *may_show;
    const void *context;
};

static void scope_put(const struct scope_text *t, struct str name, bool is_inverted,
                      const char *how, struct str value)
{
    if (t->out->len > 0)
        buf_append_char(t->out, ',');
    buf_append_str(t->out, name);
    buf_printf(t->out, "%s=%s", is_inverted ? "!" : "", how);
    buf_append_str(t->out, value);
}

static void scope_put_items(const struct scope_text *t, const struct limit_item *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        bool may_show = t->may_show(t->context, items[i].name.text);

        if (items[i].kind != LIMIT_ITEM_DISTINCT)
            scope_put(t, items[i].name.text, items[i].is_inverted,
                      items[i].kind == LIMIT_ITEM_REGEX && may_show ? "~" : "",
                      may_show ? items[i].value : STR("(hidden)"));
    }
}

static void scope_put_cidr(const struct scope_text *t, const struct limit_selector *s)
{
    const struct cidr *c = &s->cidr;
    char room[46];
    struct buf text = {0};

    buf_append_str(&text, ip_address_format(&c->address, room));
    buf_printf(&text, "/%d", c->is_ipv4 ? c->n_bits - 96 : c->n_bits);
    scope_put(t, STR("client"), s->is_cidr_inverted, "", buf_str(&text));
    buf_deinit(&text);
}

static void scope_put_selector(const struct scope_text *t, const struct limit_selector *s)
{
    scope_put_items(t, s->headers, s->n_headers);
    scope_put_items(t, s->queries, s->n_queries);
    for (uint32_t i = 0; i < s->n_methods; i++)
        scope_put(t, STR("method"), s->methods[i].is_inverted, "", s->methods[i].method);
    if (s->has_path)
        scope_put(t, STR("path"), s->is_path_inverted, s->path_regex ? "~" : "", s->path);
    if (s->has_cidr && !s->is_cidr_distinct)
        scope_put_cidr(t, s);
}

void limit_rule_format_scope(const struct limit_rule *r, limit_may_show_fn *may_show,
                             const void *context, struct buf *out)
{
    const struct scope_text text = {.out = out, .may_show = may_show, .context = context};

    for (uint32_t i = 0; i < r->n_selectors; i++)
        scope_put_selector(&text, &r->selectors[i]);
}
