/* Deciding who may do what.
 *
 * A rule with a JWT principal matches only tokens that its own provider verified. A claim that is
 * configured as String matches no list, and the other way round. Headers are compared
 * with the joined value of all lines; a Deny rule also matches when any single line has the value,
 * else a client could slip past it by adding a second line.
 *
 * Owner: compiled object in a snapshot's arena, immutable. Decisions are pure; any thread. */
#include "policy/authorize.h"

#include "http/path.h"

/* ---- compiling ---- */

static const struct str *copy_texts(struct arena *arena, const struct str *texts, size_t n)
{
    struct str *copies = ARENA_ARRAY(arena, struct str, n);

    for (size_t i = 0; i < n; i++)
        copies[i] = arena_str(arena, texts[i]);
    return copies;
}

static const struct authorize_values *copy_values(struct arena *arena,
                                                  const struct authorize_values *items, size_t n)
{
    struct authorize_values *copies = ARENA_ARRAY(arena, struct authorize_values, n);

    for (size_t i = 0; i < n; i++) {
        copies[i] = items[i];
        copies[i].name = arena_str(arena, items[i].name);
        copies[i].values = copy_texts(arena, items[i].values, items[i].n_values);
    }
    return copies;
}

static const struct field_name *make_names(struct arena *arena,
                                           const struct authorize_values *items, size_t n)
{
    struct field_name *names = ARENA_ARRAY(arena, struct field_name, n);

    for (size_t i = 0; i < n; i++)
        names[i] = field_name_make(arena, items[i].name);
    return names;
}

static int compile_path(struct authorize_rule *r, struct arena *arena,
                        const struct authorize_rule_spec *spec)
{
    struct str path = spec->path;
    struct path_found found;

    r->has_path = spec->has_path;
    r->is_path_inverted = spec->is_path_inverted;
    r->path_kind = spec->path_kind;
    if (!spec->has_path)
        return 0;
    if (spec->path_kind == ROUTE_PATH_REGEX)
        return regex_compile(arena, path, &r->path_regex, NULL) == 0 ? 0 : AUTHORIZE_BAD_REGEX;
    if (path_read(path, spec->path_reading, arena, &path, &found) != 0)
        return AUTHORIZE_BAD_PATH;
    while (spec->path_kind == ROUTE_PATH_PREFIX && str_ends_with(path, STR("/")))
        path.len--;
    r->path = arena_str(arena, path);
    return 0;
}

static int compile_rule(struct authorize_rule *r, struct arena *arena,
                        const struct authorize_rule_spec *spec)
{
    size_t bad;

    if (!spec->has_jwt && spec->n_cidrs == 0 && spec->n_headers == 0 && spec->n_methods == 0 &&
        !spec->has_path)
        return AUTHORIZE_EMPTY_RULE;
    r->name = arena_str(arena, spec->name);
    r->is_allow = spec->is_allow;
    r->has_jwt = spec->has_jwt;
    r->provider = arena_str(arena, spec->provider);
    r->claims = copy_values(arena, spec->claims, spec->n_claims);
    r->n_claims = (uint32_t)spec->n_claims;
    r->scopes = copy_texts(arena, spec->scopes, spec->n_scopes);
    r->n_scopes = (uint32_t)spec->n_scopes;
    r->headers = copy_values(arena, spec->headers, spec->n_headers);
    r->header_names = make_names(arena, spec->headers, spec->n_headers);
    r->n_headers = (uint32_t)spec->n_headers;
    r->methods = copy_texts(arena, spec->methods, spec->n_methods);
    r->n_methods = (uint32_t)spec->n_methods;
    r->has_cidrs = spec->n_cidrs > 0;
    if (!cidr_list_parse(spec->cidrs, spec->n_cidrs, arena, &r->cidrs, &bad))
        return AUTHORIZE_BAD_CIDR;
    return compile_path(r, arena, spec);
}

int authorization_init(struct authorization *a, struct arena *arena,
                       const struct authorize_rule_spec *rules, size_t n_rules,
                       bool is_default_allow, size_t *ret_bad)
{
    struct authorize_rule *compiled = ARENA_ARRAY(arena, struct authorize_rule, n_rules);

    *a = (struct authorization){compiled, (uint32_t)n_rules, is_default_allow};
    for (size_t i = 0; i < n_rules; i++) {
        int r = compile_rule(&compiled[i], arena, &rules[i]);

        compiled[i].index = (uint32_t)i;
        if (r != 0) {
            *ret_bad = i;
            return r;
        }
    }
    return 0;
}

/* ---- deciding ---- */

static bool has_text(const struct str *texts, size_t n, struct str text)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq(texts[i], text))
            return true;
    }
    return false;
}

static bool claim_holds(const struct authorize_values *claim, const struct jwt_claims *claims)
{
    enum claim_type wanted = claim->is_array ? CLAIM_IS_LIST : CLAIM_IS_STRING;

    if (jwt_claim_type(claims, claim->name) != wanted)
        return false;
    for (size_t i = 0; i < claim->n_values; i++) {
        if (jwt_claim_list_has(claims, claim->name, claim->values[i]))
            return true;
    }
    return false;
}

static struct authorize_miss jwt_miss(const struct authorize_rule *r,
                                      const struct authorize_input *in)
{
    if (!in->claims || !str_eq(r->provider, in->provider))
        return (struct authorize_miss){AUTHORIZE_PART_TOKEN, 0};
    for (uint32_t i = 0; i < r->n_claims; i++) {
        if (!claim_holds(&r->claims[i], in->claims))
            return (struct authorize_miss){AUTHORIZE_PART_CLAIM, i};
    }
    for (uint32_t i = 0; i < r->n_scopes; i++) {
        if (!jwt_claims_have_scope(in->claims, r->scopes[i]))
            return (struct authorize_miss){AUTHORIZE_PART_SCOPE, i};
    }
    return (struct authorize_miss){AUTHORIZE_PART_NONE, 0};
}

/* A Deny rule looks at every line by itself as well. */
static bool any_line_is(const struct http_headers *headers, struct str name, struct str value)
{
    for (unsigned i = 0; i < headers->n; i++) {
        if (str_eq(headers->items[i].name, name) && str_eq(headers->items[i].value, value))
            return true;
    }
    return false;
}

static bool header_holds(const struct authorize_rule *r, uint32_t index,
                         const struct authorize_input *in)
{
    const struct authorize_values *header = &r->headers[index];
    const struct field_name *name = &r->header_names[index];
    const struct http_request *request = in->request;

    for (size_t i = 0; i < header->n_values; i++) {
        if (name->id == HEADER_HOST) {
            if (str_eq_nocase(request->authority, header->values[i]))
                return true;
        } else if (field_header_is(&request->headers, name, header->values[i]) ||
                   (!r->is_allow &&
                    any_line_is(&request->headers, name->text, header->values[i]))) {
            return true;
        }
    }
    return false;
}

static enum regex_verdict path_matches(const struct authorize_rule *r, struct str path)
{
    switch (r->path_kind) {
    case ROUTE_PATH_EXACT:
        return str_eq(r->path, path) ? REGEX_HIT : REGEX_MISS;
    case ROUTE_PATH_REGEX:
        return regex_match(r->path_regex, path);
    case ROUTE_PATH_PREFIX:
    default:
        return route_path_has_prefix(path, r->path) ? REGEX_HIT : REGEX_MISS;
    }
}

/* A pattern that reached its limit says neither: it refuses, inverted or not. */
static enum regex_verdict path_holds(const struct authorize_rule *r, struct str path)
{
    enum regex_verdict verdict = path_matches(r, path);

    if (!r->is_path_inverted || verdict == REGEX_LIMIT)
        return verdict;
    return verdict == REGEX_HIT ? REGEX_MISS : REGEX_HIT;
}

static struct authorize_miss path_miss(const struct authorize_rule *r, struct str path)
{
    enum regex_verdict verdict = path_holds(r, path);

    return (struct authorize_miss){verdict == REGEX_HIT     ? AUTHORIZE_PART_NONE
                                   : verdict == REGEX_LIMIT ? AUTHORIZE_PART_LIMIT
                                                            : AUTHORIZE_PART_PATH,
                                   0};
}

struct authorize_miss authorize_rule_miss(const struct authorize_rule *r,
                                          const struct authorize_input *in)
{
    const struct http_request *request = in->request;
    struct authorize_miss miss = {AUTHORIZE_PART_NONE, 0};

    if (r->n_methods > 0 && !has_text(r->methods, r->n_methods, request->method_text))
        return (struct authorize_miss){AUTHORIZE_PART_METHOD, 0};
    if (r->has_cidrs && !cidr_list_has(&r->cidrs, in->client))
        return (struct authorize_miss){AUTHORIZE_PART_ADDRESS, 0};
    for (uint32_t i = 0; i < r->n_headers; i++) {
        if (!header_holds(r, i, in))
            return (struct authorize_miss){AUTHORIZE_PART_HEADER, i};
    }
    if (r->has_jwt)
        miss = jwt_miss(r, in);
    return miss.part == AUTHORIZE_PART_NONE && r->has_path ? path_miss(r, request->path) : miss;
}

struct authorize_result authorization_decide(const struct authorization *a,
                                             const struct authorize_input *input)
{
    for (uint32_t i = 0; i < a->n_rules; i++) {
        const struct authorize_rule *r = &a->rules[i];

        switch (authorize_rule_miss(r, input).part) {
        case AUTHORIZE_PART_NONE:
            return (struct authorize_result){r->is_allow ? AUTHORIZE_ALLOW : AUTHORIZE_DENY, r};
        case AUTHORIZE_PART_LIMIT:
            return (struct authorize_result){AUTHORIZE_LIMIT, r};
        default:
            break;
        }
    }
    return (struct authorize_result){a->is_default_allow ? AUTHORIZE_ALLOW : AUTHORIZE_DENY, NULL};
}
