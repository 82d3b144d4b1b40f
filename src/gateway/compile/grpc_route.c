/* compile: the rules of a GRPCRoute. A call is the path "/service/method" of a POST whose content
 * is gRPC's (http/grpc/grpc_request.h); only calls meet these rules (decision 14). Backends are
 * spoken to in HTTP/2. Precedence is the route table's. */
#include "manifest/grpc_route.h"
#include "gateway/compile/limit.h"
#include "gateway/compile/rule.h"
#include "llm/kserve_grpc.h"
#include "policy/route_table.h"

/* The whole path as a pattern: each name's own, or any. */
static void compile_method_pattern(struct compile *c, const struct grpc_method_match *m,
                                   struct route_spec *spec)
{
    static const struct str any = {"[^/]+", 5};
    struct str service = m->service.len ? m->service : any;
    struct str method = m->method.len ? m->method : any;

    spec->path_kind = ROUTE_PATH_REGEX;
    spec->path = arena_printf(&c->scratch, "/(?:%.*s)/(?:%.*s)", STR_ARG(service), STR_ARG(method));
}

static void compile_method_exact(struct compile *c, const struct grpc_method_match *m,
                                 struct route_spec *spec)
{
    if (m->service.len > 0 && m->method.len > 0) {
        spec->path_kind = ROUTE_PATH_EXACT;
        spec->path =
            arena_printf(&c->scratch, "/%.*s/%.*s", STR_ARG(m->service), STR_ARG(m->method));
    } else if (m->service.len > 0) {
        spec->path = arena_printf(&c->scratch, "/%.*s", STR_ARG(m->service));
    } else if (m->method.len > 0) {
        spec->path_suffix = arena_printf(&c->scratch, "/%.*s", STR_ARG(m->method));
    }
}

static void compile_method(struct compile_rules *r, const struct grpc_method_match *m,
                           struct route_spec *spec)
{
    spec->n_service = m->service.len;
    spec->n_method = m->method.len;
    if (m->type == VALUE_REGEX) {
        compile_method_pattern(r->c, m, spec);
        return;
    }
    compile_method_exact(r->c, m, spec);
    /* A broken route is reported already, and what is to be refused must still be met. */
    if (!r->at.route->is_broken &&
        !compile_path(r->c, r->at.route, m->mark, spec->path, &spec->path))
        compile_break_rule(&r->at, "the service or method of a match is one that no call has");
}

static void compile_grpc_match(struct compile_rules *r, const struct grpc_route_match *m,
                               uint32_t index)
{
    struct route_spec spec = {
        .path_kind = ROUTE_PATH_PREFIX, .path = STR("/"), .is_grpc = true, .match_index = index};

    if (m) {
        if (m->method)
            compile_method(r, m->method, &spec);
        spec.headers = compile_values(&r->c->scratch, m->headers.items, m->headers.n);
        spec.n_headers = m->headers.n;
    }
    compile_add_match(r, &spec, m ? m->mark : r->at.route->mark);
}

/* What an HTTPRouteFilter does is said in HTTP: paths, statuses, bodies. */
static void compile_grpc_extensions(struct compile_rules *r, const struct grpc_route_rule *spec)
{
    VEC_FOREACH (&spec->filters, f) {
        if (f->type != HTTP_FILTER_EXTENSION_REF)
            continue;
        diag_add(&r->c->manifest->diags, DIAG_WARNING, DIAG_NOT_ENFORCED, f->mark,
                 r->at.route->label,
                 "filters of type ExtensionRef are not enforced in a GRPCRoute: the rule refuses");
        compile_break_rule(&r->at, "an ExtensionRef filter is not enforced in a GRPCRoute");
    }
}

/* Does it take no calls but those whose model is read, where they have one? */
static bool method_is_read(const struct grpc_method_match *m)
{
    return m && m->type != VALUE_REGEX && str_eq(m->service, STR(KSERVE_GRPC_SERVICE)) &&
           m->method.len > 0 && kserve_grpc_find_method(m->method) != KSERVE_RPC_UNREAD;
}

/* May it take calls of KServe's service whose model is not read? */
static bool method_may_be_unread(const struct grpc_method_match *m)
{
    bool is_other = m && m->type != VALUE_REGEX && m->service.len > 0 &&
                    !str_eq(m->service, STR(KSERVE_GRPC_SERVICE));

    return !is_other && !method_is_read(m);
}

/* What holds for a model by other ways and cannot for calls that do not tell it. */
static void compile_check_models(struct compile_rules *r, const struct grpc_route_rule *spec)
{
    struct compile *c = r->c;
    const struct object *route = r->at.route;
    bool reads_all = spec->matches.n > 0;
    bool may_be_unread = !reads_all;

    VEC_FOREACH (&spec->matches, m) {
        reads_all &= method_is_read(m->method);
        may_be_unread |= method_may_be_unread(m->method);
    }
    compile_check_grpc_limits(c, &r->at, reads_all);
    if ((r->at.rule->model_uses & (MODEL_JUDGED | MODEL_MATCHED)) && may_be_unread &&
        compile_tells(c, arena_printf(&c->scratch, "%.*s|model", STR_ARG(route->label))))
        diag_add(&c->manifest->diags, DIAG_WARNING, DIAG_NOT_ENFORCED, route->mark, route->label,
                 "its matches or its authorization ask for the model, which calls "
                 "of " KSERVE_GRPC_SERVICE
                 " that stream messages or manage models do not let read: such calls refuse");
}

static void compile_grpc_rule(struct compile_rules *r, const struct grpc_route_rule *spec,
                              uint32_t index)
{
    compile_rule_begin(r, spec->name, "grpcroute", index);
    compile_grpc_extensions(r, spec);
    compile_filters(r->c, &r->at, spec->filters.items, spec->filters.n);
    compile_route_backends(r, spec->backend_refs.items, spec->backend_refs.n);
    compile_rule_done(r);
    for (size_t i = 0; i < spec->matches.n; i++)
        compile_grpc_match(r, &spec->matches.items[i], (uint32_t)i);
    if (spec->matches.n == 0)
        compile_grpc_match(r, NULL, 0);
    compile_check_models(r, spec);
}

void compile_grpc_route(struct compile_rules *r)
{
    static const struct grpc_route_rule everything;
    const struct grpc_route *route = (const struct grpc_route *)r->at.route;
    size_t n = MAX(route->spec.rules.n, (size_t)1);

    r->at.plan->rules = ARENA_ARRAY(&r->at.plan->arena, struct rule_plan, n);
    r->at.plan->n_rules = (uint32_t)n;
    for (size_t i = 0; i < route->spec.rules.n; i++)
        compile_grpc_rule(r, &route->spec.rules.items[i], (uint32_t)i);
    if (route->spec.rules.n == 0)
        compile_grpc_rule(r, &everything, 0);
}
