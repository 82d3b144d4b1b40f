/* compile: answers in the place of others. One that cannot be had as written makes the rule refuse:
 * what it was to hide would be told. */
#include "gateway/compile/traffic/override.h"

#include "gateway/compile/direct.h"
#include "gateway/compile/traffic.h"
#include "gateway/traffic/override_plan.h"

static void override_statuses(struct arena *a, const struct response_match *spec,
                              struct answer_match *ret)
{
    struct answer_statuses *s = ARENA_ARRAY(a, struct answer_statuses, spec->status_codes.n + 1);
    size_t n = 0;

    VEC_FOREACH (&spec->status_codes, m) {
        bool is_range = m->type == STATUS_RANGE;

        s[n].first = (uint16_t)(is_range ? m->range->start.value : m->value.value);
        s[n++].last = (uint16_t)(is_range ? m->range->end.value : m->value.value);
    }
    ret->statuses = s;
    ret->n_statuses = n;
}

static void override_headers(struct compile *c, struct compile_place *at,
                             const struct response_match *spec, struct answer_match *ret)
{
    static const enum answer_value_kind comparisons[] = {
        [STRING_EXACT] = ANSWER_VALUE_IS,
        [STRING_PREFIX] = ANSWER_VALUE_STARTS,
        [STRING_SUFFIX] = ANSWER_VALUE_ENDS,
        [STRING_REGEX] = ANSWER_VALUE_MATCHES,
    };
    struct arena *a = &at->plan->arena;
    struct answer_header *h = ARENA_ARRAY(a, struct answer_header, spec->response_headers.n + 1);
    struct regex_error error;
    size_t n = 0;

    VEC_FOREACH (&spec->response_headers, m) {
        struct answer_header *to = &h[n++];

        to->name = arena_lower(a, m->name);
        to->kind = comparisons[m->value->type];
        to->value = arena_str(a, m->value->value);
        if (to->kind == ANSWER_VALUE_MATCHES &&
            regex_compile(a, to->value, &to->regex, &error) != 0) {
            manifest_object_error(c->manifest, at->traffic->merged.object, DIAG_INVALID_VALUE,
                                  m->value->mark, "the pattern is not valid: %s", error.text);
            compile_break_rule(at, "a pattern of responseOverride is not valid");
            n--;
        }
    }
    ret->headers = h;
    ret->n_headers = n;
}

static const struct redirect *override_redirect(struct compile *c, struct compile_place *at,
                                                const struct override_redirect *spec)
{
    static const char *const schemes[] = {"http", "https"};
    struct arena *a = &at->plan->arena;
    struct redirect *r = ARENA_NEW(a, struct redirect);
    struct str path = spec->path ? spec->path->replace_full_path : STR("");

    if (spec->scheme >= 0)
        r->scheme = str_of(schemes[spec->scheme]);
    r->hostname = arena_str(a, spec->hostname);
    r->port = (uint16_t)(spec->port.is_set ? spec->port.value : 0);
    r->status = (uint16_t)spec->status_code.value;
    if (!spec->path)
        return r;
    if (!compile_path(c, at->traffic->merged.object, spec->path->mark, path, &path))
        compile_break_rule(at, "the path of a redirect is one that no request has");
    path_rewrite_init(&r->path, a, PATH_REWRITE_FULL, path);
    return r;
}

static void override_compile(struct compile *c, struct compile_place *at,
                             const struct response_override *spec, struct override_item *ret)
{
    override_statuses(&at->plan->arena, spec->match, &ret->match);
    override_headers(c, at, spec->match, &ret->match);
    ret->is_for_local = spec->source != OVERRIDE_BACKEND;
    ret->is_for_backends = spec->source != OVERRIDE_LOCAL;
    if (spec->redirect)
        ret->redirect = override_redirect(c, at, spec->redirect);
    else
        ret->direct = compile_direct(c, at, at->traffic->merged.object, spec->response);
}

void compile_overrides(struct compile *c, struct compile_place *at)
{
    const struct backend_traffic_policy_spec *spec = at->traffic->spec;
    struct override_plan *plan;
    struct override_item *items;
    size_t n = 0;

    if (!spec || spec->response_override.n == 0)
        return;
    plan = ARENA_NEW(&at->plan->arena, struct override_plan);
    items = ARENA_ARRAY(&at->plan->arena, struct override_item, spec->response_override.n);
    VEC_FOREACH (&spec->response_override, o)
        override_compile(c, at, o, &items[n++]);
    plan->items = items;
    plan->n = n;
    if (!at->rule->is_broken)
        at->rule->overrides = plan;
}
