/* The part `objects`: the tree of the configuration (each Gateway, its listeners, their routes, and
 * what is attached to each), and before it whatever is not well, with the reason. Of one
 * configuration it is always the same, and made once. */
#include "admin/config.h"
#include "admin/live/part.h"
#include "gateway/snapshot.h"
#include "manifest/gateway.h"

enum { OBJECTS_TROUBLE_BYTES = 3500, OBJECTS_TREE_BYTES = 4000 };

struct object_tree {
    const struct snapshot *s;
    struct part_list rows;
    struct map known; /* routes whose parts have been told */
};

/* ---- judging ---- */

static bool condition_is_bad(const struct condition *c)
{
    bool is_bad_if_true = strcmp(c->type, "Conflicted") == 0;

    return c->status == (is_bad_if_true ? CONDITION_TRUE : CONDITION_FALSE);
}

/* The first one that is not as it should be; `about` STR_NULL: of all. NULL: all is well. */
static const struct condition *object_find_trouble(const struct object *o, struct str about,
                                                   struct str *ret_about)
{
    VEC_FOREACH (&o->conditions, set) {
        if (about.ptr && !str_eq(set->about, about))
            continue;
        VEC_FOREACH (&set->items, c) {
            if (!condition_is_bad(c))
                continue;
            *ret_about = set->about;
            return c;
        }
    }
    return NULL;
}

/* "Accepted, ResolvedRefs", each type once, a bad one with its reason: "not ResolvedRefs
 * (BackendNotFound)". One that is as it should be and means nothing more (Conflicted: False) is
 * left out. */
static void object_says(struct json *j, const struct object *o, struct str about)
{
    struct buf text = {0};

    VEC_FOREACH (&o->conditions, set) {
        if (about.ptr ? !str_eq(set->about, about) : o->kind->id == KIND_GATEWAY && set->about.len)
            continue;
        VEC_FOREACH (&set->items, c) {
            const char *comma = text.len > 0 ? ", " : "";

            if (text.len > 0 && str_find(buf_str(&text), str_of(c->type)) >= 0)
                continue;
            if (condition_is_bad(c))
                buf_printf(&text, "%s%s%s (%s)", comma, c->status == CONDITION_TRUE ? "" : "not ",
                           c->type, c->reason);
            else if (c->status == CONDITION_TRUE)
                buf_printf(&text, "%s%s", comma, c->type);
        }
    }
    part_str(j, "says", buf_str(&text));
    buf_deinit(&text);
}

static bool object_is_trouble(const struct object *o)
{
    struct str about;

    return o->is_broken || object_find_trouble(o, STR_NULL, &about) != NULL;
}

/* The finding that explains it best: an error, else a warning. */
static const struct diag *object_find_diag(const struct manifest *m, const struct object *o)
{
    const struct diag *warning = NULL;

    VEC_FOREACH (&m->diags.items, d) {
        if (!str_eq(d->object, o->label))
            continue;
        if (d->severity == DIAG_ERROR)
            return d;
        if (d->severity == DIAG_WARNING && !warning)
            warning = d;
    }
    return warning;
}

/* ---- rows ---- */

static void object_name(struct json *j, const struct object *o)
{
    json_str(j, "kind", o->kind->name);
    if (o->namespace.len > 0)
        part_str(j, "namespace", o->namespace);
    part_str(j, "name", o->name);
}

static void object_place(struct json *j, const char *name, const struct mark *mark)
{
    struct buf place = {0};

    if (!mark->file)
        return;
    buf_printf(&place, "%s:%u", mark->file, mark->line);
    /* Its end says more than its beginning. */
    if (place.len > PART_TEXT_BYTES)
        buf_consume(&place, place.len - PART_TEXT_BYTES);
    json_str(j, name, buf_str(&place));
    buf_deinit(&place);
}

static void object_finding(struct json *j, const struct diag *d)
{
    json_open(j, "finding", '{');
    object_place(j, "place", &d->mark);
    part_str(j, "path", d->path);
    part_str(j, "text", d->text);
    if (d->hint.len > 0)
        part_str(j, "hint", d->hint);
    json_close(j, '}');
}

static void object_condition(struct json *j, const struct condition *c)
{
    json_text(j, "type", c->type);
    json_text(j, "reason", c->reason);
    if (c->message.len > 0)
        part_str(j, "message", c->message);
}

static void object_trouble(struct json *j, const struct manifest *m, const struct object *o)
{
    struct str about = STR_NULL;
    const struct condition *c = object_find_trouble(o, STR_NULL, &about);
    const struct diag *d = object_find_diag(m, o);

    object_name(j, o);
    object_place(j, "place", &o->mark);
    json_bool(j, "broken", o->is_broken);
    if (about.len > 0)
        part_str(j, "about", about);
    if (c)
        object_condition(j, c);
    if (d)
        object_finding(j, d);
}

static void objects_troubles(struct json *j, const struct manifest *m)
{
    struct part_list rows;

    part_list_open(&rows, j, "troubles", OBJECTS_TROUBLE_BYTES);
    for (size_t i = 0; i < m->objects.n; i++) {
        if (!object_is_trouble(m->objects.items[i]) || !part_row_open(&rows))
            continue;
        object_trouble(j, m, m->objects.items[i]);
        part_row_close(&rows);
    }
    part_list_close(&rows, "troubles_more");
}

/* ---- the tree ---- */

/* False: there is no room for it, nor for what is below it. */
static bool tree_object(struct object_tree *t, unsigned depth, const struct object *o)
{
    if (!part_row_open(&t->rows))
        return false;
    json_u64(t->rows.json, "depth", depth);
    object_name(t->rows.json, o);
    object_says(t->rows.json, o, STR_NULL);
    json_bool(t->rows.json, "well", !object_is_trouble(o));
    part_row_close(&t->rows);
    return t->rows.n_left_out == 0;
}

static void tree_policies(struct object_tree *t, unsigned depth, const struct object *target,
                          struct str section)
{
    static const enum kind_id policies[] = {
        KIND_CLIENT_TRAFFIC_POLICY, KIND_SECURITY_POLICY,         KIND_BACKEND_TRAFFIC_POLICY,
        KIND_BACKEND_TLS_POLICY,    KIND_BACKEND_SECURITY_POLICY, KIND_AI_BACKEND_SECURITY_POLICY};

    for (size_t i = 0; i < N_ELEMENTS(policies); i++) {
        VEC_FOREACH (manifest_policies_at(t->s->manifest, policies[i], target, section), policy)
            (void)tree_object(t, depth, *policy);
    }
}

static const struct route_plan *tree_find_plan(const struct snapshot *s, const struct object *route)
{
    for (uint32_t i = 0; i < s->n_ports; i++) {
        for (uint32_t k = 0; k < s->ports[i].n_listeners; k++) {
            const struct listener_plan *l = s->ports[i].listeners[k];

            for (uint32_t n = 0; n < l->n_route_plans; n++) {
                if (str_eq(l->route_plans[n]->label, route->label))
                    return l->route_plans[n];
            }
        }
    }
    return NULL;
}

/* With its port, which no object has; what it is attached to stands in no file at times. */
static void tree_backend(struct object_tree *t, unsigned depth, const struct backend_plan *b)
{
    const struct object *o = config_find_object(t->s->manifest, b->name);

    if (!part_row_open(&t->rows))
        return;
    json_u64(t->rows.json, "depth", depth);
    json_text(t->rows.json, "kind", "");
    part_str(t->rows.json, "name", b->name);
    if (o)
        object_says(t->rows.json, o, STR_NULL);
    json_bool(t->rows.json, "well",
              b->cluster != NULL && b->validity == BACKEND_VALID && !(o && object_is_trouble(o)));
    part_row_close(&t->rows);
    if (o)
        tree_policies(t, depth + 1, o, STR(""));
}

/* Behind an AIServiceBackend, where there is one. */
static void tree_service(struct object_tree *t, unsigned depth, const struct backend_plan *b)
{
    struct buf label = {0};
    const struct object *o;

    buf_printf(&label, "AIServiceBackend/%.*s", STR_ARG(b->ai->name));
    o = config_find_object(t->s->manifest, buf_str(&label));
    buf_deinit(&label);
    if (o && tree_object(t, depth, o)) {
        tree_policies(t, depth + 1, o, STR(""));
        depth++;
    }
    tree_backend(t, depth, b);
}

/* Each once, whatever the rules that lead to it. */
static void tree_backends(struct object_tree *t, unsigned depth, const struct object *route)
{
    const struct route_plan *plan = tree_find_plan(t->s, route);
    struct map told = {0};

    for (uint32_t i = 0; plan && i < plan->n_rules; i++) {
        for (uint32_t k = 0; k < plan->rules[i].n_backends; k++) {
            const struct backend_plan *b = &plan->rules[i].backends[k];

            if (b->name.len == 0 || map_put(&told, b->ai ? b->ai->name : b->name, &told))
                continue;
            if (b->ai)
                tree_service(t, depth, b);
            else
                tree_backend(t, depth, b);
        }
    }
    map_deinit(&told);
}

static void tree_route(struct object_tree *t, unsigned depth, const struct object *route)
{
    if (!tree_object(t, depth, route) || map_put(&t->known, route->label, t))
        return;
    tree_policies(t, depth + 1, route, STR(""));
    tree_backends(t, depth + 1, route);
}

static void tree_listener(struct object_tree *t, const struct gateway *g, const struct listener *l)
{
    struct str about;

    if (part_row_open(&t->rows)) {
        json_u64(t->rows.json, "depth", 1);
        json_text(t->rows.json, "kind", "Listener");
        part_str(t->rows.json, "name", l->name);
        json_u64(t->rows.json, "port", (uint64_t)MAX(l->port.value, (int64_t)0));
        object_says(t->rows.json, &g->object, l->name);
        json_bool(t->rows.json, "well", !object_find_trouble(&g->object, l->name, &about));
        part_row_close(&t->rows);
    }
    tree_policies(t, 2, &g->object, l->name);
    VEC_FOREACH (&l->routes, attached)
        tree_route(t, 2, attached->route);
}

static void objects_tree(struct json *j, const struct snapshot *s)
{
    struct object_tree tree = {.s = s};

    part_list_open(&tree.rows, j, "tree", OBJECTS_TREE_BYTES);
    VEC_FOREACH (manifest_kind(s->manifest, KIND_GATEWAY), o) {
        const struct gateway *g = CONTAINER_OF(*o, struct gateway, object);

        (void)tree_object(&tree, 0, *o);
        tree_policies(&tree, 1, *o, STR(""));
        VEC_FOREACH (&g->spec.listeners, l)
            tree_listener(&tree, g, l);
    }
    part_list_close(&tree.rows, "tree_more");
    map_deinit(&tree.known);
}

void live_write_objects(struct live *l, struct json *j)
{
    const struct snapshot *s = live_snapshot(l);

    if (!s)
        return;
    json_u64(j, "generation", s->generation);
    json_u64(j, "objects", s->manifest->objects.n);
    json_u64(j, "errors", s->manifest->diags.n_errors);
    json_u64(j, "warnings", s->manifest->diags.n_warnings);
    objects_troubles(j, s->manifest);
    objects_tree(j, s);
}
