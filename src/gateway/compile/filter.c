/* compile: filters of rules and backends. A filter that cannot be had as written makes its rule
 * refuse with 500 (Gateway API HTTPRouteFilter: "must not silently be skipped"). */
#include "gateway/compile/direct.h"
#include "gateway/compile/rule.h"
#include "manifest/core.h"
#include "manifest/http_route_filter.h"

void compile_break_rule(struct compile_place *at, const char *why)
{
    if (at->rule->is_broken)
        return;
    at->rule->is_broken = true;
    at->rule->why_broken = str_of(why);
}

static struct header_mod *compile_mod_list(struct arena *a, const struct header_value *items,
                                           size_t n)
{
    struct header_mod *mods = ARENA_ARRAY(a, struct header_mod, n + 1);

    for (size_t i = 0; i < n; i++) {
        mods[i].name = items[i].name;
        mods[i].value = items[i].value;
    }
    return mods;
}

const struct header_mods *compile_header_mods(struct compile *c, struct arena *a,
                                              struct object *owner, const struct header_modifier *m)
{
    struct header_mods *mods = ARENA_NEW(a, struct header_mods);
    struct header_mods_spec spec = {
        .set = compile_mod_list(&c->scratch, m->set.items, m->set.n),
        .n_set = m->set.n,
        .add = compile_mod_list(&c->scratch, m->add.items, m->add.n),
        .n_add = m->add.n,
        .remove = m->remove.items,
        .n_remove = m->remove.n,
    };
    struct str name = STR_NULL;

    if (header_mods_init(mods, a, &spec, &name) == 0)
        return mods;
    manifest_object_error(c->manifest, owner, DIAG_INVALID_VALUE, m->mark,
                          "header \"%.*s\" cannot be modified here", STR_ARG(name));
    return NULL;
}

/* NULL after breaking the rule. */
static const struct header_mods *compile_rule_mods(struct compile *c, struct compile_place *at,
                                                   const struct header_modifier *m)
{
    const struct header_mods *mods = compile_header_mods(c, &at->plan->arena, at->route, m);

    if (!mods)
        compile_break_rule(at, "a header modifier is not valid");
    return mods;
}

static void compile_path_modifier(struct compile *c, struct compile_place *at,
                                  const struct path_modifier *m, struct path_rewrite *ret)
{
    bool is_full = m->type == PATH_REPLACE_FULL;
    struct str value = is_full ? m->replace_full_path : m->replace_prefix_match;

    if (value.len > 0 &&
        !compile_path_as(c, at->route, m->mark, value, client_path_reading(at->client), &value))
        compile_break_rule(at, "the path of a rewrite is one that no request has");
    path_rewrite_init(ret, &at->plan->arena, is_full ? PATH_REWRITE_FULL : PATH_REWRITE_PREFIX,
                      value);
}

static void compile_redirect(struct compile *c, struct compile_place *at,
                             const struct request_redirect *spec)
{
    static const char *const schemes[] = {"http", "https"};
    struct arena *a = &at->plan->arena;
    struct redirect *r = ARENA_NEW(a, struct redirect);

    if (spec->scheme >= 0)
        r->scheme = str_of(schemes[spec->scheme]);
    r->hostname = arena_str(a, spec->hostname);
    r->port = (uint16_t)(spec->port.is_set ? spec->port.value : 0);
    r->status = (uint16_t)(spec->status_code.is_set ? spec->status_code.value : 302);
    if (spec->path)
        compile_path_modifier(c, at, spec->path, &r->path);
    at->rule->redirect = r;
}

static struct path_rewrite *compile_rule_path(struct compile_place *at)
{
    struct path_rewrite *r = ARENA_NEW(&at->plan->arena, struct path_rewrite);

    at->rule->path_rewrite = r;
    return r;
}

static struct host_rewrite *compile_host_rewrite(struct compile_place *at,
                                                 enum host_rewrite_kind kind, struct str value)
{
    struct host_rewrite *r = ARENA_NEW(&at->plan->arena, struct host_rewrite);

    r->kind = kind;
    r->value = arena_str(&at->plan->arena, value);
    at->rule->host_rewrite = r;
    return r;
}

static void compile_url_rewrite(struct compile *c, struct compile_place *at,
                                const struct url_rewrite *spec)
{
    if (spec->hostname.len > 0)
        compile_host_rewrite(at, HOST_REWRITE_LITERAL, spec->hostname);
    if (spec->path)
        compile_path_modifier(c, at, spec->path, compile_rule_path(at));
}

static void compile_regex_rewrite(struct compile *c, struct compile_place *at,
                                  const struct regex_rewrite *spec)
{
    struct path_rewrite *r = compile_rule_path(at);
    struct regex_error error = {0};

    if (path_rewrite_init_regex(r, &at->plan->arena, spec->pattern, spec->substitution, &error) ==
        0) {
        r->path_reading = client_path_reading(at->client);
        return;
    }
    manifest_object_error(c->manifest, at->route, DIAG_INVALID_VALUE, spec->mark,
                          "the rewrite's pattern or substitution is not valid: %s", error.text);
    compile_break_rule(at, "a rewrite pattern is not valid");
}

static void compile_filter_host(struct compile_place *at, const struct filter_host_rewrite *spec,
                                struct opt_bool tells_former)
{
    struct host_rewrite *r = NULL;

    switch ((enum filter_host_type)spec->type) {
    case FILTER_HOST_HEADER:
        r = compile_host_rewrite(at, HOST_REWRITE_HEADER, spec->header);
        break;
    case FILTER_HOST_BACKEND:
        r = compile_host_rewrite(at, HOST_REWRITE_BACKEND, STR(""));
        break;
    case FILTER_HOST_PATH_REGEX:
        compile_break_rule(at, "a host rewrite by path pattern is not supported");
        break;
    }
    if (r)
        r->hides_former = tells_former.is_set && !tells_former.value;
}

static bool edit_writes(const struct header_edit *e, struct str name)
{
    for (size_t i = 0; i < e->set.n; i++) {
        if (str_eq_nocase(e->set.items[i].name, name))
            return true;
    }
    for (size_t i = 0; i < e->add.n; i++) {
        if (str_eq_nocase(e->add.items[i].name, name))
            return true;
    }
    return false;
}

/* An answer made here has no headers yet but for its body's type: what is to be added where none is
 * there can be told now. */
static void compile_direct_headers(struct compile *c, struct compile_place *at, struct object *o,
                                   const struct header_edit *e, struct direct_plan *direct)
{
    struct header_mods *mods = ARENA_NEW(&at->plan->arena, struct header_mods);
    size_t n = e->add.n;
    struct header_mod *add =
        ARENA_ARRAY(&c->scratch, struct header_mod, n + e->add_if_absent.n + 1);
    struct header_mods_spec spec = {
        .set = compile_mod_list(&c->scratch, e->set.items, e->set.n),
        .n_set = e->set.n,
        .add = add,
    };
    struct str name = STR_NULL;

    for (size_t i = 0; i < n; i++)
        add[i] = (struct header_mod){.name = e->add.items[i].name, .value = e->add.items[i].value};
    VEC_FOREACH (&e->add_if_absent, h) {
        bool is_there = edit_writes(e, h->name) ||
                        (direct->body.len > 0 && str_eq_nocase(h->name, STR("content-type")));

        if (!is_there)
            add[n++] = (struct header_mod){.name = h->name, .value = h->value};
    }
    spec.n_add = n;
    if (header_mods_init(mods, &at->plan->arena, &spec, &name) == 0 && !mods->host.ptr) {
        direct->mods = mods;
        return;
    }
    manifest_object_error(c->manifest, o, DIAG_INVALID_VALUE, e->mark,
                          "header \"%.*s\" cannot be written on an answer", STR_ARG(name));
    compile_break_rule(at, "a header of a direct response is not valid");
}

const struct direct_plan *compile_direct(struct compile *c, struct compile_place *at,
                                         struct object *owner, const struct custom_response *spec)
{
    struct arena *a = &at->plan->arena;
    struct direct_plan *direct = ARENA_NEW(a, struct direct_plan);
    struct str body = STR("");

    if (spec->body && spec->body->type == BODY_VALUE_REF && spec->body->value_ref) {
        const struct local_object_ref *ref = spec->body->value_ref;

        body = ref->target ? keeper_find_or_first(ref->target, "response.body") : STR("");
        if (!ref->target || !body.ptr)
            compile_break_rule(at, ref->target ? "the ConfigMap of an answer is empty"
                                               : "the ConfigMap of an answer is missing");
    } else if (spec->body) {
        body = spec->body->inline_text;
    }
    direct->status = (uint16_t)(spec->status_code.is_set ? spec->status_code.value : 0);
    direct->body = arena_str(a, body);
    direct->type = arena_str(a, spec->content_type);
    if (spec->header)
        compile_direct_headers(c, at, owner, spec->header, direct);
    return direct;
}

static const struct direct_plan *
compile_direct_response(struct compile *c, struct compile_place *at, struct http_route_filter *f)
{
    struct direct_plan *direct = ARENA_NEW(&at->plan->arena, struct direct_plan);

    *direct = *compile_direct(c, at, &f->object, f->spec.direct_response);
    if (direct->status == 0)
        direct->status = 200;
    return direct;
}

static void compile_extension(struct compile *c, struct compile_place *at,
                              const struct local_object_ref *ref)
{
    struct http_route_filter *f = (struct http_route_filter *)ref->target;

    if (!f || f->object.kind->id != KIND_HTTP_ROUTE_FILTER || f->object.is_broken) {
        compile_break_rule(at, "the HTTPRouteFilter of a rule is missing or has an error");
        return;
    }
    if (http_route_filter_find_unenforced(&f->spec) || f->spec.credential_injection) {
        compile_break_rule(at, "the HTTPRouteFilter uses a feature that is not enforced yet");
        return;
    }
    if (f->spec.url_rewrite && f->spec.url_rewrite->path &&
        f->spec.url_rewrite->path->replace_regex_match)
        compile_regex_rewrite(c, at, f->spec.url_rewrite->path->replace_regex_match);
    if (f->spec.url_rewrite && f->spec.url_rewrite->hostname)
        compile_filter_host(at, f->spec.url_rewrite->hostname,
                            f->spec.url_rewrite->append_forwarded_host);
    if (f->spec.direct_response)
        at->rule->direct = compile_direct_response(c, at, f);
}

static void compile_mirror(struct compile *c, struct compile_place *at,
                           const struct request_mirror *spec)
{
    struct rule_plan *rule = at->rule;
    struct mirror_plan *grown =
        ARENA_ARRAY(&at->plan->arena, struct mirror_plan, rule->n_mirrors + 1);
    struct cluster *cluster = spec->backend_ref
                                  ? compile_cluster_of(c, at->route, spec->backend_ref,
                                                       at->route->kind->id == KIND_GRPC_ROUTE, NULL)
                                  : NULL;

    compile_guard_of_ref(c, at, spec->backend_ref);
    if (!cluster)
        return; /* a mirror that cannot be reached takes nothing from the request; check reports it
                 */
    arena_on_cleanup(&at->plan->arena, compile_cluster_cleanup, cluster);
    if (rule->n_mirrors > 0)
        memcpy(grown, rule->mirrors, rule->n_mirrors * sizeof grown[0]);
    grown[rule->n_mirrors] = (struct mirror_plan){cluster, 100, 100};
    if (spec->percent.is_set)
        grown[rule->n_mirrors].numerator = (uint32_t)spec->percent.value;
    if (spec->fraction) {
        grown[rule->n_mirrors].numerator = (uint32_t)spec->fraction->numerator.value;
        grown[rule->n_mirrors].denominator =
            (uint32_t)(spec->fraction->denominator.is_set ? spec->fraction->denominator.value
                                                          : 100);
    }
    rule->mirrors = grown;
    rule->n_mirrors++;
}

static void compile_cors_filter(struct compile *c, struct compile_place *at,
                                const struct http_cors *spec)
{
    struct cors *cors = ARENA_NEW(&at->plan->arena, struct cors);
    struct cors_policy policy = {
        .origins = spec->allow_origins.items,
        .n_origins = spec->allow_origins.n,
        .methods = spec->allow_methods.items,
        .n_methods = spec->allow_methods.n,
        .headers = spec->allow_headers.items,
        .n_headers = spec->allow_headers.n,
        .expose = spec->expose_headers.items,
        .n_expose = spec->expose_headers.n,
        .max_age_s = spec->max_age_s.is_set ? spec->max_age_s.value : 5,
        .may_credentials = spec->allow_credentials.value,
    };
    size_t bad;

    if (cors_init(cors, &at->plan->arena, &policy, &bad) != 0) {
        manifest_object_error(c->manifest, at->route, DIAG_INVALID_VALUE, spec->mark,
                              "allowOrigins[%zu] is not an origin", bad);
        compile_break_rule(at, "an origin of the CORS filter is not valid");
        return;
    }
    at->rule->cors = cors;
}

static void compile_filter(struct compile *c, struct compile_place *at, const struct http_filter *f)
{
    switch ((enum http_filter_type)f->type) {
    case HTTP_FILTER_REQUEST_HEADER_MODIFIER:
        at->rule->request_mods = compile_rule_mods(c, at, f->request_header_modifier);
        break;
    case HTTP_FILTER_RESPONSE_HEADER_MODIFIER:
        at->rule->response_mods = compile_rule_mods(c, at, f->response_header_modifier);
        break;
    case HTTP_FILTER_REQUEST_MIRROR:
        compile_mirror(c, at, f->request_mirror);
        break;
    case HTTP_FILTER_REQUEST_REDIRECT:
        compile_redirect(c, at, f->request_redirect);
        break;
    case HTTP_FILTER_URL_REWRITE:
        compile_url_rewrite(c, at, f->url_rewrite);
        break;
    case HTTP_FILTER_EXTENSION_REF:
        compile_extension(c, at, f->extension_ref);
        break;
    case HTTP_FILTER_CORS:
        compile_cors_filter(c, at, f->cors);
        break;
    case HTTP_FILTER_EXTERNAL_AUTH:
        compile_break_rule(at, "the ExternalAuth filter is not supported");
        break;
    }
}

void compile_filters(struct compile *c, struct compile_place *at, const struct http_filter *filters,
                     size_t n)
{
    for (size_t i = 0; i < n; i++) {
        /* A filter that did not decode: its type is unknown, so what it would have done is too. */
        if (filters[i].type < 0)
            compile_break_rule(at, "a filter has an error");
        else if (!at->route->is_broken)
            compile_filter(c, at, &filters[i]);
    }
}

void compile_backend_filters(struct compile *c, struct compile_place *at,
                             const struct http_backend_ref *ref, struct backend_plan *plan)
{
    for (size_t i = 0; i < ref->filters.n && !at->route->is_broken; i++) {
        const struct http_filter *f = &ref->filters.items[i];

        if (f->type == HTTP_FILTER_REQUEST_HEADER_MODIFIER)
            plan->request_mods = compile_rule_mods(c, at, f->request_header_modifier);
        else if (f->type == HTTP_FILTER_RESPONSE_HEADER_MODIFIER)
            plan->response_mods = compile_rule_mods(c, at, f->response_header_modifier);
        else
            plan->validity = BACKEND_INVALID;
    }
}
