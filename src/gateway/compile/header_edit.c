/* compile: edits of headers that a ClientTrafficPolicy asks for on all of a listener. */
#include "policy/headers/header_edit.h"

#include "gateway/compile/compile.h"
#include "manifest/client_traffic_policy.h"

static const struct header_mod *edit_list(struct arena *a, const struct header_value *items,
                                          size_t n)
{
    struct header_mod *mods = ARENA_ARRAY(a, struct header_mod, n);

    for (size_t i = 0; i < n; i++)
        mods[i] = (struct header_mod){.name = items[i].name, .value = items[i].value};
    return mods;
}

static const struct header_pattern *edit_patterns(struct arena *a, const struct string_match *items,
                                                  size_t n)
{
    static const enum header_pattern_kind of_types[] = {
        [STRING_EXACT] = HEADER_PATTERN_EXACT,
        [STRING_PREFIX] = HEADER_PATTERN_PREFIX,
        [STRING_SUFFIX] = HEADER_PATTERN_SUFFIX,
        [STRING_REGEX] = HEADER_PATTERN_REGEX,
    };
    struct header_pattern *patterns = ARENA_ARRAY(a, struct header_pattern, n);

    for (size_t i = 0; i < n; i++)
        patterns[i] = (struct header_pattern){.kind = items[i].type >= 0 ? of_types[items[i].type]
                                                                         : HEADER_PATTERN_EXACT,
                                              .text = items[i].value};
    return patterns;
}

/* NULL after saying what is wrong: the policy is broken then, and its listeners' routes refuse. */
static const struct header_edits *compile_edits(struct compile *c, struct client_traffic_policy *p,
                                                struct arena *a, const struct header_edit *edit)
{
    struct header_edits *e = ARENA_NEW(a, struct header_edits);
    const struct header_edits_spec spec = {
        .mods = {.set = edit_list(&c->scratch, edit->set.items, edit->set.n),
                 .n_set = edit->set.n,
                 .add = edit_list(&c->scratch, edit->add.items, edit->add.n),
                 .n_add = edit->add.n,
                 .remove = edit->remove.items,
                 .n_remove = edit->remove.n},
        .absent = edit_list(&c->scratch, edit->add_if_absent.items, edit->add_if_absent.n),
        .n_absent = edit->add_if_absent.n,
        .removed = edit_patterns(&c->scratch, edit->remove_on_match.items, edit->remove_on_match.n),
        .n_removed = edit->remove_on_match.n,
    };
    struct str name;

    if (header_edits_init(e, a, &spec, &name) == 0)
        return e;
    manifest_object_error(c->manifest, &p->object, DIAG_INVALID_VALUE, edit->mark,
                          "header \"%.*s\" cannot be edited here", STR_ARG(name));
    return NULL;
}

/* What rules believe because only the gateway writes it is not a policy's to write beforehand. */
static bool edits_forge(struct compile *c, struct client_traffic_policy *p,
                        const struct listener_plan *plan, const struct header_edits *e,
                        struct mark mark)
{
    struct str name;
    size_t at = 0;

    while (header_edits_next_written(e, &at, &name)) {
        if (!listener_plan_is_own(plan, name))
            continue;
        manifest_object_error(c->manifest, &p->object, DIAG_INVALID_VALUE, mark,
                              "header \"%.*s\" is one that the gateway itself writes after it has "
                              "verified what it says",
                              STR_ARG(name));
        return true;
    }
    return false;
}

void compile_client_edits(struct compile *c, const struct gateway *g, const struct listener *l,
                          struct listener_plan *plan)
{
    struct client_traffic_policy *p =
        (struct client_traffic_policy *)(uintptr_t)compile_client_policy(c, g, l);
    const struct client_headers *h = p && !p->object.is_broken ? p->spec.headers : NULL;
    const struct header_edits *early;

    if (!h)
        return;
    if (h->late_response_headers)
        plan->client.late_edits = compile_edits(c, p, &plan->arena, h->late_response_headers);
    if (!h->early_request_headers)
        return;
    early = compile_edits(c, p, &plan->arena, h->early_request_headers);
    if (early && !edits_forge(c, p, plan, early, h->early_request_headers->mark))
        plan->client.early_edits = early;
}
