/* Each limit of the rule: whether it counts the request, under which value, what it would take and
 * how much is left. Looked at and not taken (limit_store_ops.peek). */
#include "admin/explain/parts.h"
#include "policy/limit_rule_miss.h"
#include "telemetry/log_redact.h"

static const struct limit_claim *limit_claim_of(const struct exchange *x,
                                                const struct limit_rule_plan *rule)
{
    for (uint32_t i = 0; i < x->limits.n_claims; i++) {
        if (x->limits.rules[i] == rule)
            return &x->limits.claims[i];
    }
    return NULL;
}

/* The words of the live page; but of the asker's own values only credentials are hidden. */
static struct str limit_key_text(struct explain *e, const struct exchange *x,
                                 const struct limit_rule *r, struct str key)
{
    struct buf text = {0};
    struct str words;

    limit_rule_format_key(r, key, explain_may_show, x, &text);
    words = log_redact_has_token(buf_str(&text)) ? STR("(hidden)")
                                                 : arena_str(&e->arena, buf_str(&text));
    buf_deinit(&text);
    return words;
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
            report_str(e->body, "key", limit_key_text(e, x, &rule->rule, c->key));
        report_u64(e->body, "limit", rule->limit);
        report_time(e->body, "window", (uint64_t)rule->window_s * 1000000);
        limit_tell_cost(e, rule, c);
        report_u64(e->body, "left", c->remaining);
        report_seconds(e->body, "reset_s", c->reset_s);
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
