/* Matches that are the same on one listener and host: the first in precedence gets every request,
 * the others none. Precedence between equals is the older route, then the name, then the order of
 * the rules (Gateway API, "HTTPRouteRule"). Matches that merely overlap have the precedence of the
 * API and are as somebody wrote them. So are those on headers under different SecurityPolicies:
 * each may write the header for other callers. */
#include "gateway/advice/advice_internal.h"

#include <stdlib.h>

struct overlap_first {
    const struct object *route;
    struct mark mark;
    size_t rule;
};

/* One match of a rule, on its way into the map. */
struct overlap_match {
    const struct attached_route *attached;
    size_t rule;
    size_t match;
    struct mark mark;
    struct str rule_name;
    bool asks_headers; /* but for the model's, which no policy writes */
    struct str key;    /* of the match alone */
};

struct overlap {
    struct advice *a;
    const struct advice_place *at;
    struct map *told;
    struct map seen;    /* host and key -> struct overlap_first */
    struct arena arena; /* of a listener */
};

static int compare_texts(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* Conditions in any order are the same. */
static void append_sorted(struct buf *key, struct str *texts, size_t n)
{
    qsort(texts, n, sizeof *texts, compare_texts);
    for (size_t i = 0; i < n; i++) {
        buf_append_char(key, '\n');
        buf_append_str(key, texts[i]);
    }
    buf_append_char(key, '\r');
}

static void append_values(struct overlap *v, struct buf *key, const struct http_value_match *items,
                          size_t n, bool has_case)
{
    struct str *texts = ARENA_ARRAY(&v->arena, struct str, n + 1);

    for (size_t i = 0; i < n; i++) {
        struct str name = has_case ? items[i].name : arena_lower(&v->arena, items[i].name);

        texts[i] = arena_printf(&v->arena, "%.*s %d %.*s", STR_ARG(name), items[i].type,
                                STR_ARG(items[i].value));
    }
    append_sorted(key, texts, n);
}

/* ---- the three kinds of matches ---- */

static void key_of_http(struct overlap *v, struct buf *key, const struct http_route_match *match)
{
    struct str path = match && match->path ? match->path->value : STR("/");
    int type = match && match->path ? match->path->type : PATH_PREFIX;

    if (type == PATH_PREFIX && path.len > 1 && str_ends_with(path, STR("/")))
        path = str_slice(path, 0, path.len - 1);
    buf_printf(key, "http %d %d %.*s\r", type, match ? match->method : -1, STR_ARG(path));
    append_values(v, key, match ? match->headers.items : NULL, match ? match->headers.n : 0, false);
    append_values(v, key, match ? match->query_params.items : NULL,
                  match ? match->query_params.n : 0, true);
}

static void key_of_grpc(struct overlap *v, struct buf *key, const struct grpc_route_match *match)
{
    const struct grpc_method_match *method = match ? match->method : NULL;

    buf_printf(key, "grpc %d %.*s/%.*s\r", method ? method->type : 0,
               STR_ARG(method ? method->service : STR("")),
               STR_ARG(method ? method->method : STR("")));
    append_values(v, key, match ? match->headers.items : NULL, match ? match->headers.n : 0, false);
}

static void key_of_ai(struct overlap *v, struct buf *key, const struct ai_route_match *match)
{
    size_t n = match ? match->headers.n : 0;
    struct str *texts = ARENA_ARRAY(&v->arena, struct str, n + 1);

    for (size_t i = 0; i < n; i++) {
        const struct ai_header_match *h = &match->headers.items[i];

        texts[i] = arena_printf(&v->arena, "%.*s %d %.*s", STR_ARG(arena_lower(&v->arena, h->name)),
                                h->type, STR_ARG(h->value));
    }
    buf_printf(key, "ai\r");
    append_sorted(key, texts, n);
}

/* ---- one listener ---- */

static void overlap_report(struct overlap *v, const struct overlap_match *match,
                           const struct overlap_first *first, struct str host)
{
    const struct object *route = match->attached->route;
    struct diag *d;

    if (!advice_tells(v->a, v->told,
                      arena_printf(&v->arena, "%.*s|%zu|%zu", STR_ARG(route->label), match->rule,
                                   match->match)))
        return;
    d = diag_add(&v->a->m->diags, DIAG_WARNING, DIAG_OVERLAP, match->mark, route->label,
                 "gets no request%s%.*s on listener %.*s: rule %zu of %.*s has the same match and "
                 "is asked first",
                 host.len > 0 ? " for " : "", STR_ARG(host), STR_ARG(v->at->listener->name),
                 first->rule, STR_ARG(first->route->label));
    d->path = ADVICE_PATH(v->a, "spec.rules[%zu].matches[%zu]", match->rule, match->match);
    d->hint = STR("tell them apart by a path, a header or a host, or put both backends into one "
                  "rule with weights");
    d->other = first->mark;
    d->other_text = STR("the match that gets them");
}

static void overlap_add_at(struct overlap *v, const struct overlap_match *match, struct str host)
{
    struct str key = arena_printf(&v->arena, "%.*s\r%.*s", STR_ARG(host), STR_ARG(match->key));
    struct overlap_first *first = map_find(&v->seen, key);

    if (first && (first->route != match->attached->route || first->rule != match->rule)) {
        overlap_report(v, match, first, host);
        return;
    }
    if (first)
        return; /* twice in a rule: they lead to the same place */
    first = ARENA_NEW(&v->arena, struct overlap_first);
    *first = (struct overlap_first){
        .route = match->attached->route, .mark = match->mark, .rule = match->rule};
    map_put(&v->seen, key, first);
}

/* Whose headers the match is judged by. */
static void append_policies(struct overlap *v, struct buf *key, const struct overlap_match *match)
{
    struct policy_chain chain =
        manifest_policy_chain(v->a->m, KIND_SECURITY_POLICY, match->attached->route,
                              match->rule_name, &v->at->gateway->object, v->at->listener->name);

    for (size_t i = 0; i < chain.n; i++)
        buf_printf(key, "\r%.*s", STR_ARG(chain.items[i]->label));
}

static void overlap_add(struct overlap *v, struct overlap_match *match, struct buf *key)
{
    const struct str_vec *hosts = &match->attached->hostnames;

    if (match->asks_headers)
        append_policies(v, key, match);
    match->key = arena_str(&v->arena, buf_str(key));
    for (size_t i = 0; i < hosts->n; i++)
        overlap_add_at(v, match, arena_lower(&v->arena, hosts->items[i]));
    if (hosts->n == 0)
        overlap_add_at(v, match, STR(""));
}

static void overlap_http(struct overlap *v, struct overlap_match *match, struct buf *key,
                         const struct http_route_rule *rule)
{
    for (size_t k = 0; k < MAX(rule->matches.n, (size_t)1); k++) {
        const struct http_route_match *m = rule->matches.n > 0 ? &rule->matches.items[k] : NULL;

        buf_clear(key);
        key_of_http(v, key, m);
        match->match = k;
        match->mark = m ? m->mark : rule->mark;
        match->rule_name = rule->name;
        match->asks_headers = m && m->headers.n > 0;
        overlap_add(v, match, key);
    }
}

static void overlap_grpc(struct overlap *v, struct overlap_match *match, struct buf *key,
                         const struct grpc_route_rule *rule)
{
    for (size_t k = 0; k < MAX(rule->matches.n, (size_t)1); k++) {
        const struct grpc_route_match *m = rule->matches.n > 0 ? &rule->matches.items[k] : NULL;

        buf_clear(key);
        key_of_grpc(v, key, m);
        match->match = k;
        match->mark = m ? m->mark : rule->mark;
        match->rule_name = rule->name;
        match->asks_headers = m && m->headers.n > 0;
        overlap_add(v, match, key);
    }
}

static bool ai_match_asks_more(const struct ai_route_match *match)
{
    VEC_FOREACH (&match->headers, h) {
        if (!str_eq_nocase(h->name, STR("x-ai-eg-model")))
            return true;
    }
    return false;
}

static void overlap_ai(struct overlap *v, struct overlap_match *match, struct buf *key,
                       const struct ai_route_rule *rule)
{
    for (size_t k = 0; k < MAX(rule->matches.n, (size_t)1); k++) {
        const struct ai_route_match *m = rule->matches.n > 0 ? &rule->matches.items[k] : NULL;

        buf_clear(key);
        key_of_ai(v, key, m);
        match->match = k;
        match->mark = m ? m->mark : rule->mark;
        match->rule_name = rule->name;
        match->asks_headers = m && ai_match_asks_more(m);
        overlap_add(v, match, key);
    }
}

static void overlap_route(struct overlap *v, const struct attached_route *attached, struct buf *key)
{
    struct overlap_match match = {.attached = attached};
    struct object *o = attached->route;

    if (o->kind->id == KIND_HTTP_ROUTE) {
        const struct http_route_spec *s = &CONTAINER_OF(o, struct http_route, object)->spec;

        for (match.rule = 0; match.rule < s->rules.n; match.rule++)
            overlap_http(v, &match, key, &s->rules.items[match.rule]);
    } else if (o->kind->id == KIND_GRPC_ROUTE) {
        const struct grpc_route_spec *s = &CONTAINER_OF(o, struct grpc_route, object)->spec;

        for (match.rule = 0; match.rule < s->rules.n; match.rule++)
            overlap_grpc(v, &match, key, &s->rules.items[match.rule]);
    } else {
        const struct ai_gateway_route_spec *s =
            &CONTAINER_OF(o, struct ai_gateway_route, object)->spec;

        for (match.rule = 0; match.rule < s->rules.n; match.rule++)
            overlap_ai(v, &match, key, &s->rules.items[match.rule]);
    }
}

static int compare_age(const void *a, const void *b)
{
    const struct attached_route *x = *(const struct attached_route *const *)a;
    const struct attached_route *y = *(const struct attached_route *const *)b;

    return object_compare_age(x->route, y->route);
}

static void overlap_listener(struct advice *a, const struct advice_place *at, void *told)
{
    struct overlap v = {.a = a, .at = at, .told = told};
    size_t n = at->listener->routes.n;
    const struct attached_route **order;
    struct buf key = {0};

    arena_init(&v.arena, 65536);
    order = ARENA_ARRAY(&v.arena, const struct attached_route *, n + 1);
    for (size_t i = 0; i < n; i++)
        order[i] = &at->listener->routes.items[i];
    qsort((void *)order, n, sizeof *order, compare_age);
    for (size_t i = 0; i < n; i++) {
        if (!order[i]->route->is_broken)
            overlap_route(&v, order[i], &key);
    }
    buf_deinit(&key);
    map_deinit(&v.seen);
    arena_deinit(&v.arena);
}

void advise_overlaps(struct advice *a)
{
    struct map told = {0};

    advice_each_listener(a, overlap_listener, &told);
    map_deinit(&told);
}
