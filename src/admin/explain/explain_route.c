/* Which listener, which rule, and under which policies. The rule that won is the journey's word;
 * why the others lost is asked of each of their matches by the table's own questions
 * (route_cursor_reason), and of a rule with several matches the one that came nearest answers. */
#include "admin/config.h"
#include "admin/explain/parts.h"
#include "base/limits.h"
#include "manifest/policy_merge.h"
#include "policy/route_cursor.h"

/* A rule, by its best match. */
struct explain_rule {
    const struct rule_plan *rule;
    const struct route_match *match;
    struct route_reason reason;
    bool is_behind; /* it holds, and comes after the winner */
    enum route_precedence behind_by;
};

struct rule_walk {
    struct explain *e;
    struct exchange *x;
    bool is_judged;
    struct route_cursor cursor;
    struct explain_rule *rules; /* by number of rule_plan; others are zeroed */
    uint32_t n_numbers;
    uint32_t *order; /* their numbers, as they come in the table */
    uint32_t n;
    const struct route_match *winner;
    struct str host; /* pattern */
    size_t n_left_out;
};

/* ---- the listener ---- */

static void explain_hosts_served(struct explain *e)
{
    report_list(e->body, "listeners_of_this_port");
    for (uint32_t i = 0; i < e->port->n_listeners; i++) {
        const struct listener_plan *l = e->port->listeners[i];

        report_row(e->body, l->name, NULL, NULL, STR(""));
        report_str(e->body, "hostname", l->hostname.len ? l->hostname : STR("*"));
        report_row_end(e->body);
    }
    report_list_close(e->body);
}

/* "namespace/gateway/listener" as object and name. */
static const struct object *explain_gateway(const struct explain *e, const struct exchange *x,
                                            struct str *ret_listener)
{
    struct str rest = x->listener->name, namespace, gateway;

    if (!str_split(&rest, '/', &namespace) || !str_split(&rest, '/', &gateway))
        return NULL;
    *ret_listener = rest;
    return manifest_get(e->snapshot->manifest, KIND_GATEWAY, namespace, gateway);
}

/* Where the manifest has it. */
static const struct mark *explain_listener_place(const struct object *gateway, struct str name)
{
    const struct node *all =
        gateway ? node_find(node_find(gateway->source, "spec"), "listeners") : NULL;

    for (size_t i = 0; all && all->type == NODE_LIST && i < all->n; i++) {
        if (str_eq(node_text(all->items[i], "name"), name))
            return &all->items[i]->mark;
    }
    return gateway ? &gateway->mark : NULL;
}

void explain_listener(struct explain *e, const struct exchange *x)
{
    const struct listener_plan *l = x->listener;
    const struct object *gateway;
    struct str name;

    e->has_listener = true;
    report_open(e->body, "listener");
    if (l) {
        gateway = explain_gateway(e, x, &name);
        report_str(e->body, "name", l->name);
        report_mark(e->body, "at", explain_listener_place(gateway, name));
        report_str(e->body, "hostname", l->hostname.len ? l->hostname : STR("*"));
    }
    report_str(e->body, "host", x->request.host);
    report_u64(e->body, "port", e->port->number);
    report_text(e->body, "protocol", e->port->is_tls ? "HTTPS" : "HTTP");
    if (!l)
        explain_hosts_served(e);
    report_close(e->body);
}

/* ---- the rules ---- */

static bool rule_has_won(const struct rule_walk *w, const struct explain_rule *r)
{
    return w->x->rule && r->rule == w->x->rule;
}

/* A match that comes nearer to being met speaks for its rule. */
static void rules_note(struct rule_walk *w, const struct route_match *m, struct route_reason reason)
{
    const struct rule_plan *rule = m->rule;
    struct explain_rule *r;

    if (rule->number >= w->n_numbers)
        return;
    r = &w->rules[rule->number];
    if (!r->rule) {
        w->order[w->n++] = rule->number;
    } else if (r->reason.by == ROUTE_MEETS_ALL ||
               (reason.by != ROUTE_MEETS_ALL && reason.by <= r->reason.by)) {
        return;
    }
    *r = (struct explain_rule){.rule = rule, .match = m, .reason = reason};
}

static void rules_walk(struct rule_walk *w)
{
    const struct route_table *t = w->x->listener->routes;
    enum route_precedence behind_by = ROUTE_PRECEDENCES_ - 1;

    for (size_t i = 0; i < route_table_n_matches(t); i++) {
        const struct route_match *m = route_table_at(t, i);
        const struct verdict *v = exchange_verdict(w->x, m->auth_group);
        struct route_reason reason =
            route_cursor_reason(&w->cursor, m, w->is_judged && v ? &v->headers : NULL);
        struct explain_rule *r;

        rules_note(w, m, reason);
        if (w->winner && m->behind_by < behind_by)
            behind_by = m->behind_by;
        r = ((const struct rule_plan *)m->rule)->number < w->n_numbers
                ? &w->rules[((const struct rule_plan *)m->rule)->number]
                : NULL;
        if (r && w->winner && r->match == m && reason.by == ROUTE_MEETS_ALL) {
            r->is_behind = true;
            r->behind_by = behind_by;
        }
        if (!w->winner && reason.by == ROUTE_MEETS_ALL && m->rule == w->x->rule)
            w->winner = m;
    }
}

static const struct object *rule_object(const struct rule_walk *w, const struct explain_rule *r)
{
    return config_find_object(w->e->snapshot->manifest, r->rule->route->label);
}

static const struct mark *rule_place(const struct object *o, const struct rule_plan *rule)
{
    const struct node *rules = o ? node_find(node_find(o->source, "spec"), "rules") : NULL;

    if (rules && rules->type == NODE_LIST && rule->index < rules->n)
        return &rules->items[rule->index]->mark;
    return o ? &o->mark : NULL;
}

/* ---- why not ---- */

static struct str why_host(const struct rule_walk *w, const struct object *o)
{
    const struct node *names = o ? node_find(node_find(o->source, "spec"), "hostnames") : NULL;
    struct arena *a = &w->e->arena;
    struct str own = STR("");

    for (size_t i = 0; names && names->type == NODE_LIST && i < names->n; i++)
        own = arena_printf(a, "%.*s%s%.*s", STR_ARG(own), own.len ? ", " : "",
                           STR_ARG(names->items[i]->text));
    if (!w->host.ptr)
        return arena_printf(a, "its hostnames are %.*s, and no rule is for this host",
                            STR_ARG(own.len ? own : STR("any")));
    return arena_printf(a, "its hostnames are %.*s; this host goes to the rules for %.*s",
                        STR_ARG(own.len ? own : STR("any")),
                        STR_ARG(w->host.len ? w->host : STR("any host")));
}

static struct str match_path(const struct route_match *m, struct arena *a)
{
    static const char *const kinds_[] = {[ROUTE_PATH_PREFIX] = "PathPrefix",
                                         [ROUTE_PATH_REGEX] = "RegularExpression",
                                         [ROUTE_PATH_EXACT] = "Exact"};
    struct str path = m->path_regex ? regex_pattern(m->path_regex)
                      : m->path.len ? m->path
                                    : STR("/");

    return m->path_suffix.len ? arena_printf(a, "%s %.*s ending in %.*s", kinds_[m->path_kind],
                                             STR_ARG(path), STR_ARG(m->path_suffix))
                              : arena_printf(a, "%s %.*s", kinds_[m->path_kind], STR_ARG(path));
}

/* What is asked of a value, and which there is. */
static struct str why_value(const struct rule_walk *w, const char *of,
                            const struct route_condition *c, struct str value)
{
    struct arena *a = &w->e->arena;
    struct str wanted =
        explain_shown(w->x, c->name.text, c->regex ? regex_pattern(c->regex) : c->value);

    if (!value.ptr)
        return arena_printf(a, "%s %.*s is to be %s%.*s, and there is none", of,
                            STR_ARG(c->name.text), c->regex ? "like " : "", STR_ARG(wanted));
    return arena_printf(a, "%s %.*s is to be %s%.*s, and is %.*s", of, STR_ARG(c->name.text),
                        c->regex ? "like " : "", STR_ARG(wanted),
                        STR_ARG(explain_shown(w->x, c->name.text, value)));
}

static struct str why_header(const struct rule_walk *w, const struct route_condition *c)
{
    struct str value = c->name.id == HEADER_HOST
                           ? w->x->request.authority
                           : http_headers_joined(&w->x->request.headers, c->name.text);

    return why_value(w, "header", c, value.len || value.ptr ? value : STR_NULL);
}

static struct str why_query(const struct rule_walk *w, const struct route_condition *c)
{
    struct str query = w->x->request.query;
    char *room;

    if (!query.ptr || query.len == 0)
        return why_value(w, "query parameter", c, STR_NULL);
    room = arena_bytes(&w->e->arena, query.len);
    return why_value(w, "query parameter", c,
                     field_query_value(query, c->name.text, room, query.len));
}

static struct str why_late(const struct rule_walk *w, const struct explain_rule *r)
{
    const struct route_condition *c = r->reason.condition;
    const struct verdict *v = exchange_verdict(w->x, r->match->auth_group);
    struct str value = v ? http_headers_joined(&v->headers, c->name.text) : STR_NULL;

    return why_value(w,
                     header_is_model(c->name.text) ? "the model, header"
                                                   : "header (that authentication writes)",
                     c, value);
}

static const char *reason_word(const struct explain_rule *r)
{
    switch (r->reason.by) {
    case ROUTE_MISSES_HOST:
        return "hostname";
    case ROUTE_MISSES_PATH:
        return "path";
    case ROUTE_MISSES_ENDPOINT:
        return "endpoint";
    case ROUTE_MISSES_CALL:
        return "grpc";
    case ROUTE_MISSES_METHOD:
        return "method";
    case ROUTE_MISSES_HEADER:
        return "header";
    case ROUTE_MISSES_QUERY:
        return "query";
    case ROUTE_MISSES_LATE:
        return header_is_model(r->reason.condition->name.text) ? "model" : "claim";
    case ROUTE_AT_LIMIT:
        return "pattern";
    case ROUTE_MEETS_ALL:
        break;
    }
    return "precedence";
}

static struct str rule_why(const struct rule_walk *w, const struct explain_rule *r,
                           const struct object *o)
{
    static const char *const precedence_words[] = {
#define X(name, words) words,
        ROUTE_PRECEDENCES(X)
#undef X
    };
    struct arena *a = &w->e->arena;

    switch (r->reason.by) {
    case ROUTE_MISSES_HOST:
        return why_host(w, o);
    case ROUTE_MISSES_PATH:
        return arena_printf(a, "its path is %.*s", STR_ARG(match_path(r->match, a)));
    case ROUTE_MISSES_ENDPOINT:
        return STR("an AIGatewayRoute takes requests to AI endpoints only, and this is none by its "
                   "method and path");
    case ROUTE_MISSES_CALL:
        return STR("a GRPCRoute takes calls of gRPC only: POST with a content-type of "
                   "application/grpc");
    case ROUTE_MISSES_METHOD:
        return arena_printf(a, "it is for another method than %.*s",
                            STR_ARG(w->x->request.method_text));
    case ROUTE_MISSES_HEADER:
        return why_header(w, r->reason.condition);
    case ROUTE_MISSES_QUERY:
        return why_query(w, r->reason.condition);
    case ROUTE_MISSES_LATE:
        return why_late(w, r);
    case ROUTE_AT_LIMIT:
        return STR("a pattern of it took too long to match: the request is refused");
    case ROUTE_MEETS_ALL:
        break;
    }
    return r->is_behind ? str_of(precedence_words[r->behind_by]) : STR("");
}

/* ---- telling ---- */

static void rule_tell(struct rule_walk *w, const struct explain_rule *r)
{
    struct report *out = w->e->body;
    const struct object *o = rule_object(w, r);
    bool is_open = !w->x->rule && r->reason.by == ROUTE_MEETS_ALL;
    const char *verdict =
        rule_has_won(w, r) ? "won"
        : is_open
            ? "possible"
            : arena_text(&w->e->arena, arena_printf(&w->e->arena, "lost by %s", reason_word(r)));
    struct str why =
        rule_has_won(w, r) || is_open ? match_path(r->match, &w->e->arena) : rule_why(w, r, o);

    report_row(out, r->rule->log_name, rule_place(o, r->rule), verdict, why);
    report_row_end(out);
}

/* What came nearest is told first; each pass in the order of precedence. */
static bool rule_is_of_pass(const struct rule_walk *w, const struct explain_rule *r, unsigned pass)
{
    unsigned own = rule_has_won(w, r) || (!w->x->rule && r->reason.by == ROUTE_MEETS_ALL) ? 0
                   : r->reason.by == ROUTE_MISSES_HOST                                    ? 3
                   : r->reason.by == ROUTE_MISSES_PATH                                    ? 2
                                                                                          : 1;

    return own == pass;
}

static void rules_tell(struct rule_walk *w)
{
    size_t n_told = 0;

    report_list(w->e->body, "rules");
    for (unsigned pass = 0; pass <= 3; pass++) {
        for (uint32_t i = 0; i < w->n; i++) {
            const struct explain_rule *r = &w->rules[w->order[i]];

            if (!rule_is_of_pass(w, r, pass))
                continue;
            if (n_told++ < LIMIT_EXPLAIN_RULES)
                rule_tell(w, r);
            else
                w->n_left_out++;
        }
    }
    report_list_close(w->e->body);
    report_u64(w->e->body, "rules_considered", w->n);
    if (w->n_left_out > 0)
        report_u64(w->e->body, "rules_not_listed", w->n_left_out);
}

void explain_rules(struct explain *e, struct exchange *x, bool is_judged)
{
    struct rule_walk w = {
        .e = e, .x = x, .is_judged = is_judged, .n_numbers = e->snapshot->n_numbers};

    e->has_rules = true;
    route_cursor_init(&w.cursor, x->listener->routes, &x->request, x->is_ai);
    w.host = route_cursor_host(&w.cursor, &e->arena);
    w.rules = ARENA_ARRAY(&e->arena, struct explain_rule, w.n_numbers + 1);
    w.order = ARENA_ARRAY(&e->arena, uint32_t, w.n_numbers + 1);
    rules_walk(&w);
    rules_tell(&w);
}

/* ---- policies ---- */

static void policy_tell(struct explain *e, const struct object *o, const char *verdict,
                        const char *why)
{
    report_row(e->body, o->label, &o->mark, verdict, str_of(why));
    report_row_end(e->body);
}

static void policies_of_chain(struct explain *e, const struct exchange *x, enum kind_id kind,
                              const struct object *route, const struct object *gateway,
                              struct str listener)
{
    struct policy_chain chain =
        manifest_policy_chain(e->snapshot->manifest, kind, route, x->rule->name, gateway, listener);
    struct merged_policy merged = policy_merge(&e->arena, &chain);

    for (size_t i = 0; i < chain.n; i++) {
        const struct object *o = chain.items[i];

        if (merged.is_broken && i < merged.n_policies)
            policy_tell(e, o, "broken", "it has an error: see tollgate check");
        else if (i == 0)
            policy_tell(e, o, "applies", "");
        else if (i < merged.n_policies)
            policy_tell(e, o, "applies", "what the more specific one does not say");
        else
            policy_tell(e, o, "covered", "by the more specific one");
    }
}

static void policies_of_clients(struct explain *e, const struct object *gateway,
                                struct str listener)
{
    const struct manifest *m = e->snapshot->manifest;
    const struct object_vec *at =
        manifest_policies_at(m, KIND_CLIENT_TRAFFIC_POLICY, gateway, listener);

    if (at->n == 0)
        at = manifest_policies_at(m, KIND_CLIENT_TRAFFIC_POLICY, gateway, STR(""));
    if (at->n > 0)
        policy_tell(e, at->items[0], at->items[0]->is_broken ? "broken" : "applies",
                    "to the listener's clients");
}

/* Policies that were told already: several backends may have one. */
struct policy_list {
    VEC(const struct object *) items;
};

static void policies_of_target(struct explain *e, struct policy_list *told, enum kind_id kind,
                               const struct object *target)
{
    const struct object_vec *at =
        target ? manifest_policies_at(e->snapshot->manifest, kind, target, STR("")) : NULL;

    for (size_t i = 0; at && i < at->n; i++) {
        bool is_told = false;

        VEC_FOREACH (&told->items, o)
            is_told |= *o == at->items[i];
        if (is_told)
            continue;
        VEC_PUSH(&e->arena, &told->items, at->items[i]);
        policy_tell(
            e, at->items[i], at->items[i]->is_broken ? "broken" : "applies",
            arena_text(&e->arena, arena_printf(&e->arena, "to %.*s", STR_ARG(target->label))));
    }
}

static void policies_of_backends(struct explain *e, const struct exchange *x)
{
    struct policy_list told = {0};

    for (uint32_t i = 0; i < x->rule->n_backends; i++) {
        const struct backend_plan *b = &x->rule->backends[i];
        const struct object *o = explain_object(e, b->name);

        policies_of_target(e, &told, KIND_BACKEND_SECURITY_POLICY, o);
        policies_of_target(e, &told, KIND_BACKEND_TLS_POLICY, o);
        if (b->ai)
            policies_of_target(
                e, &told, KIND_AI_BACKEND_SECURITY_POLICY,
                explain_object(e, arena_join(&e->arena, STR("AIServiceBackend/"), b->ai->name)));
    }
}

void explain_policies(struct explain *e, struct exchange *x)
{
    const struct object *route = config_find_object(e->snapshot->manifest, x->rule->route->label);
    struct str listener = STR("");
    const struct object *gateway = explain_gateway(e, x, &listener);

    report_list(e->body, "policies");
    if (route && gateway) {
        policies_of_chain(e, x, KIND_SECURITY_POLICY, route, gateway, listener);
        policies_of_chain(e, x, KIND_BACKEND_TRAFFIC_POLICY, route, gateway, listener);
        policies_of_clients(e, gateway, listener);
    }
    policies_of_backends(e, x);
    report_list_close(e->body);
    if (x->rule->is_broken)
        report_str(e->body, "rule_is_broken", x->rule->why_broken);
    if (x->rule->security && x->rule->security->is_unavailable)
        report_str(e->body, "security_is_unavailable", x->rule->security->why);
}
