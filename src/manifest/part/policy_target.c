/* Decoding and checking of what a policy is attached to; label selectors.
 *
 * Owner: the load's arena. Thread: compile thread; label_selector_matches is pure. Whether a target
 * exists, and which of several policies wins, is left to link and check. */
#include "manifest/part/policy_target.h"

const char *const merge_type_names[] = {"StrategicMerge", "JSONMerge", "Replace", NULL};

static const struct field policy_target_fields[] = {
    FIELD_STR(policy_target, group, "group", 0, "API group of the target."),
    FIELD_STR(policy_target, kind, "kind", FIELD_REQUIRED | FIELD_NON_EMPTY, "Kind of the target."),
    FIELD_STR(policy_target, name, "name", FIELD_REQUIRED | FIELD_NON_EMPTY, "Name of the target."),
    FIELD_STR(policy_target, section_name, "sectionName", 0,
              "Listener of a Gateway, or rule of a route; the whole object unless given."),
};
const struct table policy_target_table = TABLE(policy_target);

static const char *const label_operator_names[] = {"In", "NotIn", "Exists", "DoesNotExist", NULL};

static void label_requirement_check(struct decoder *d, const struct node *node, void *object)
{
    const struct label_requirement *r = object;
    bool needs_values = r->op == LABEL_IN || r->op == LABEL_NOT_IN;

    if (r->op >= 0 && needs_values != (r->values.n > 0))
        decode_error(d, DIAG_INVALID_VALUE, node, "values",
                     needs_values ? "at least one value is needed with operator %s"
                                  : "no value is allowed with operator %s",
                     label_operator_names[r->op]);
}

static const struct field label_requirement_fields[] = {
    FIELD_STR(label_requirement, key, "key", FIELD_REQUIRED | FIELD_NON_EMPTY, "Label."),
    FIELD_ENUM(label_requirement, op, "operator", FIELD_REQUIRED, label_operator_names,
               "How the label is compared with the values."),
    FIELD_STRS(label_requirement, values, "values", 0, "Values; none with Exists, DoesNotExist."),
};
const struct table label_requirement_table =
    TABLE_CHECKED(label_requirement, label_requirement_check);

#define LABEL_SELECTOR_FIELDS(type, at)                                                            \
    FIELD_TEXT_MAP(type, at match_labels, "matchLabels", 0, "Labels and values, all of them."),    \
        FIELD_LIST(type, at match_expressions, "matchExpressions", 0, label_requirement,           \
                   "Further conditions on labels, all of them.")

static const struct field label_selector_fields[] = {LABEL_SELECTOR_FIELDS(label_selector, )};
const struct table label_selector_table = TABLE(label_selector);

static const char *const target_namespaces_names[] = {"Same", "All", "Selector", NULL};

static void target_namespaces_check(struct decoder *d, const struct node *node, void *object)
{
    static const char *const keys[] = {NULL, NULL, "selector"};
    struct target_namespaces *t = object;

    if (t->from < 0)
        t->from = TARGET_NAMESPACES_SAME;
    check_union(d, node, t->from, target_namespaces_names, keys, false);
}

static const struct field target_namespaces_fields[] = {
    FIELD_ENUM(target_namespaces, from, "from", 0, target_namespaces_names,
               "The policy's own namespace, all, or those that the selector names."),
    FIELD_OBJECT(target_namespaces, selector, "selector", 0, label_selector,
                 "Labels of the namespaces."),
};
static const struct table target_namespaces_table =
    TABLE_CHECKED(target_namespaces, target_namespaces_check);

static void target_selector_check(struct decoder *d, const struct node *node, void *object)
{
    struct target_selector *t = object;

    if (t->group.ptr == NULL)
        t->group = GROUP_GATEWAY;
    if (!str_eq(t->group, GROUP_GATEWAY))
        decode_error(d, DIAG_INVALID_VALUE, node_find(node, "group"), "group",
                     "must be gateway.networking.k8s.io");
}

static const struct field target_selector_fields[] = {
    FIELD_STR(target_selector, group, "group", 0,
              "API group of the targets: gateway.networking.k8s.io."),
    FIELD_STR(target_selector, kind, "kind", FIELD_REQUIRED | FIELD_NON_EMPTY,
              "Kind of the targets."),
    LABEL_SELECTOR_FIELDS(target_selector, labels.),
    FIELD_OBJECT(target_selector, namespaces, "namespaces", 0, target_namespaces,
                 "Namespaces of the targets; the policy's own unless given."),
};
const struct table target_selector_table = TABLE_CHECKED(target_selector, target_selector_check);

static bool kind_is_listed(struct str kind, const char *const *kinds)
{
    for (; *kinds; kinds++) {
        if (str_eq(kind, str_of(*kinds)))
            return true;
    }
    return false;
}

static const struct target_rule *find_rule(struct str group, struct str kind,
                                           const struct target_rule *rules, size_t n_rules)
{
    for (size_t i = 0; i < n_rules; i++) {
        if (str_eq(group, rules[i].group) && kind_is_listed(kind, rules[i].kinds))
            return &rules[i];
    }
    return NULL;
}

static struct str list_allowed(struct decoder *d, const struct target_rule *rules, size_t n_rules)
{
    struct str text = STR("");

    for (size_t i = 0; i < n_rules; i++) {
        for (size_t k = 0; rules[i].kinds[k]; k++)
            text = arena_printf(d->arena, "%.*s%s%s", STR_ARG(text), text.len > 0 ? ", " : "",
                                rules[i].kinds[k]);
        text = arena_printf(d->arena, "%.*s of %.*s", STR_ARG(text), STR_ARG(rules[i].group));
    }
    return text;
}

/* A kind that the policy cannot stand at is reported and emptied: link counts the policy as lost.
 */
static void check_target(struct decoder *d, struct mark mark, struct str group, struct str *kind,
                         const struct target_rule *rules, size_t n_rules)
{
    struct node at = {.mark = mark};

    if (kind->len == 0 || find_rule(group, *kind, rules, n_rules))
        return;
    decode_error(d, DIAG_INVALID_VALUE, &at, NULL,
                 "%.*s of group \"%.*s\" is no target; allowed: %.*s", STR_ARG(*kind),
                 STR_ARG(group), STR_ARG(list_allowed(d, rules, n_rules)));
    *kind = STR_NULL;
}

void policy_targets_check(struct decoder *d, const struct node *node, struct policy_targets *t,
                          const struct target_rule *rules, size_t n_rules)
{
    static const char *const keys[] = {"targetRef", "targetRefs", "targetSelectors", NULL};
    static const char *const refs[] = {"targetRef", "targetRefs", NULL};
    size_t path;

    check_at_least_one(d, node, keys);
    check_at_most_one(d, node, refs);
    if (t->single && t->refs.n == 0)
        VEC_PUSH(d->arena, &t->refs, *t->single);
    path = decode_enter_key(d, t->single ? "targetRef" : "targetRefs");
    VEC_FOREACH (&t->refs, r)
        check_target(d, r->mark, r->group, &r->kind, rules, n_rules);
    decode_leave(d, path);
    path = decode_enter_key(d, "targetSelectors");
    VEC_FOREACH (&t->selectors, s)
        check_target(d, s->labels.mark, s->group, &s->kind, rules, n_rules);
    decode_leave(d, path);
    t->single = NULL; /* one place for each reference: link visits it once */
}

static struct str find_label(const struct text_pair_vec *labels, struct str key)
{
    VEC_FOREACH (labels, p) {
        if (str_eq(p->key, key))
            return p->value.ptr ? p->value : STR("");
    }
    return STR_NULL;
}

static bool requirement_holds(const struct label_requirement *r, const struct text_pair_vec *labels)
{
    struct str value = find_label(labels, r->key);
    bool is_listed = false;

    if (r->op == LABEL_EXISTS || r->op == LABEL_DOES_NOT_EXIST)
        return (value.ptr != NULL) == (r->op == LABEL_EXISTS);
    for (size_t i = 0; i < r->values.n && value.ptr; i++)
        is_listed = is_listed || str_eq(value, r->values.items[i]);
    /* As in Kubernetes, an absent label satisfies NotIn. */
    return is_listed == (r->op == LABEL_IN);
}

bool label_selector_matches(const struct label_selector *s, const struct text_pair_vec *labels)
{
    VEC_FOREACH (&s->match_labels, p) {
        struct str value = find_label(labels, p->key);

        if (value.ptr == NULL || !str_eq(value, p->value))
            return false;
    }
    VEC_FOREACH (&s->match_expressions, r) {
        if (!requirement_holds(r, labels))
            return false;
    }
    return true;
}

void policy_merge_check(struct decoder *d, const struct node *node, const struct policy_targets *t,
                        int merge_type)
{
    const struct node *at = node_find(node, "mergeType");

    if (merge_type < 0)
        return;
    if (merge_type == MERGE_REPLACE)
        decode_error(d, DIAG_INVALID_VALUE, at, "mergeType",
                     "Replace is what happens without mergeType; it is no value here");
    VEC_FOREACH (&t->refs, r) {
        if (!str_ends_with(r->kind, STR("Route")))
            decode_error(d, DIAG_INVALID_VALUE, at, "mergeType",
                         "allowed only where every target is a route, not %.*s", STR_ARG(r->kind));
    }
}
