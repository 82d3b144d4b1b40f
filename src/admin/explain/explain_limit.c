/* Each limit of the rule: whether it counts the request, under which value, what it would take and
 * how much is left. Looked at and not taken (limit_store_ops.peek). */
#include "admin/explain/parts.h"
#include "policy/limit_rule_miss.h"

static const struct limit_claim *limit_claim_of(const struct exchange *x,
                                                const struct limit_rule_plan *rule)
{
    for (uint32_t i = 0; i < x->limits.n_claims; i++) {
        if (x->limits.rules[i] == rule)
            return &x->limits.claims[i];
    }
    return NULL;
}

/* ---- the key ---- */

static struct str key_join(struct explain *e, struct str before, struct str name, struct str value)
{
    return arena_printf(&e->arena, "%.*s%s%.*s=%.*s", STR_ARG(before), before.len ? ", " : "",
                        STR_ARG(name), STR_ARG(value));
}

static struct str key_address(struct explain *e, struct str bytes)
{
    struct ip_address address = {.is_valid = bytes.len == sizeof address.bytes};
    char *room = arena_bytes(&e->arena, 46);

    if (!address.is_valid)
        return STR("(a hash)");
    memcpy(address.bytes, bytes.ptr, bytes.len);
    return ip_address_format(&address, room);
}

/* A key and how far it has been read. */
struct key_walk {
    struct explain *e;
    const struct exchange *x;
    struct str rest;
    struct str text;
    bool is_short; /* it has fewer values than parts: some were folded into a hash */
};

static void key_add(struct key_walk *w, struct str name, bool is_address)
{
    struct limit_key_part part = {.value = STR("")};

    w->is_short |= !limit_key_next(&w->rest, &part);
    w->text = key_join(w->e, w->text, name,
                       part.is_hash ? STR("(a hash)")
                       : is_address ? key_address(w->e, part.value)
                                    : explain_shown(w->x, name, part.value));
}

/* The Distinct parts with their values, in the order in which the key has them. */
static struct str key_text(struct explain *e, const struct exchange *x, const struct limit_rule *r,
                           struct str key)
{
    struct key_walk w = {.e = e, .x = x, .rest = key, .text = STR("")};

    for (uint32_t i = 0; i < r->n_selectors; i++) {
        const struct limit_selector *s = &r->selectors[i];

        if (s->is_cidr_distinct)
            key_add(&w, STR("client address"), true);
        for (uint32_t k = 0; k < s->n_headers + s->n_queries; k++) {
            const struct limit_item *item =
                k < s->n_headers ? &s->headers[k] : &s->queries[k - s->n_headers];

            if (item->kind == LIMIT_ITEM_DISTINCT)
                key_add(&w, item->name.text, false);
        }
    }
    return w.is_short ? STR("(a hash)") : w.text;
}

/* ---- one limit ---- */

static const char *limit_word(const struct limit_claim *c)
{
    switch (c->room) {
    case LIMIT_ROOM_YES:
        return "room";
    case LIMIT_ROOM_USED:
        return "used up";
    case LIMIT_ROOM_RESERVED:
        return "reserved by requests under way";
    case LIMIT_ROOM_CROWDED:
        break;
    }
    return "too many distinct values";
}

static void limit_tell_cost(struct explain *e, const struct limit_rule_plan *rule,
                            const struct limit_claim *c)
{
    report_u64(e->body, "cost", c->take);
    if (!c->is_settled)
        return;
    report_u64(e->body, "reserved_for_the_answer", c->reserve);
    if (rule->response.source == LIMIT_COST_METADATA)
        report_str(e->body, "then_counted_by", rule->response.key);
}

/* Of the rule's own questions the first that says no. */
static struct str limit_why_not(struct explain *e, const struct exchange *x,
                                const struct limit_rule *r)
{
    struct limit_input input = {&x->request, &x->client.address};
    struct limit_miss miss = limit_rule_miss(r, &input);
    char address[46];

    switch (miss.part) {
    case LIMIT_PART_METHOD:
        return arena_printf(&e->arena, "it counts other methods than %.*s",
                            STR_ARG(x->request.method_text));
    case LIMIT_PART_ADDRESS:
        return arena_printf(&e->arena, "it counts other addresses than %.*s",
                            STR_ARG(ip_address_format(&x->client.address, address)));
    case LIMIT_PART_HEADER:
    case LIMIT_PART_QUERY:
        return arena_printf(&e->arena, "%s %.*s is not as it counts",
                            miss.part == LIMIT_PART_HEADER ? "header" : "query parameter",
                            STR_ARG(miss.item->name.text));
    case LIMIT_PART_PATH:
        return STR("it counts other paths");
    case LIMIT_PART_NONE:
        break;
    }
    return STR("");
}

/* Of "global/3", by its place in the manifest. */
static const struct mark *limit_place(const struct explain *e, const struct limit_rule_plan *rule)
{
    struct str rest = rule->name;
    struct str kind;
    uint64_t index = 0;

    if (!str_split(&rest, '/', &kind) || !str_to_u64(rest, &index) || index > UINT32_MAX)
        return explain_place(e, rule->policy);
    return explain_item_place(e, rule->policy,
                              str_eq(kind, STR("local")) ? "spec.rateLimit.local.rules"
                                                         : "spec.rateLimit.global.rules",
                              (uint32_t)index);
}

static void limit_tell(struct explain *e, const struct exchange *x,
                       const struct limit_rule_plan *rule)
{
    const struct limit_claim *c = limit_claim_of(x, rule);
    struct str name =
        arena_printf(&e->arena, "%.*s of %.*s", STR_ARG(rule->name), STR_ARG(rule->policy));

    report_row(e->body, name, limit_place(e, rule), c ? limit_word(c) : "not counted",
               c ? STR("") : limit_why_not(e, x, &rule->rule));
    if (c) {
        if (rule->rule.is_distinct)
            report_str(e->body, "key", key_text(e, x, &rule->rule, c->key));
        report_u64(e->body, "limit", rule->limit);
        report_time(e->body, "window", (uint64_t)rule->window_s * 1000000);
        limit_tell_cost(e, rule, c);
        report_u64(e->body, "left", c->remaining);
        report_u64(e->body, "reset_s", c->reset_s);
        report_text(e->body, "counted",
                    rule->counter ? "for all routes of the policy" : "for this rule alone");
    }
    if (rule->is_shadow)
        report_bool(e->body, "shadow", true);
    report_row_end(e->body);
}

void explain_limits(struct explain *e, struct exchange *x)
{
    const struct limit_plan *plan = x->rule->limits;

    report_list(e->body, "limits");
    for (uint32_t i = 0; plan && i < plan->set->n_rules; i++)
        limit_tell(e, x, &plan->set->rules[i]);
    report_list_close(e->body);
}
