/* Who is calling, and may they: what each authentication said, the claims that are used, the layers
 * in their order, and the rules of the policy up to the one that decided, each with the part of it
 * that does not hold. Tokens, keys and passwords are never told, nor claims that nothing uses. */
#include "admin/explain/parts.h"
#include "upstream/key_feed.h"

/* ---- authentication ---- */

static const char *keys_word(const struct key_feed_facts *f)
{
    if (f->state == KEY_FEED_LOCAL)
        return "given in the manifests";
    return f->n_keys > 0 ? "fetched" : "not fetched";
}

static void provider_tell(struct explain *e, const struct jwt_plan *p, const struct verdict *v)
{
    struct str audiences = STR("");
    bool has_verified = v->provider.ptr && str_eq(v->provider, p->provider.name);
    struct key_feed_facts facts;

    report_row(e->body, p->provider.name, NULL, has_verified ? "accepts the token" : NULL, STR(""));
    if (p->provider.issuer.len > 0)
        report_str(e->body, "issuer", p->provider.issuer);
    for (size_t i = 0; i < p->provider.n_audiences; i++)
        audiences = arena_printf(&e->arena, "%.*s%s%.*s", STR_ARG(audiences), i > 0 ? ", " : "",
                                 STR_ARG(p->provider.audiences[i]));
    if (audiences.len > 0)
        report_str(e->body, "audiences", audiences);
    key_feed_read_facts(p->keys, &facts);
    report_text(e->body, "keys", keys_word(&facts));
    if (facts.state != KEY_FEED_LOCAL)
        report_str(e->body, "key_set",
                   arena_printf(&e->arena, "%.*s%.*s", STR_ARG(p->keys->config.host),
                                STR_ARG(p->keys->config.path)));
    if (facts.state != KEY_FEED_LOCAL && facts.last_error[0])
        report_text(e->body, "last_error", facts.last_error);
    report_row_end(e->body);
}

static void verdict_tell(struct explain *e, const struct verdict *v)
{
    const struct authentication *a = v->authentication;

    if (!a) {
        report_row(e->body, STR("no authentication"), NULL, "open",
                   STR("some of the rules ask for no token"));
        report_row_end(e->body);
        return;
    }
    report_row(e->body, STR("token"), NULL,
               v->refusal != REFUSAL_NONE ? refusal_row(v->refusal)->code
               : v->claims                ? "accepted"
                                          : "none, and none is demanded",
               v->refusal != REFUSAL_NONE ? str_of(refusal_row(v->refusal)->text) : STR(""));
    report_row_end(e->body);
}

/* ---- claims ---- */

/* Claims with what they are used for, each once. */
struct claim_list {
    VEC(struct str) paths;
    VEC(struct str) uses;
};

static void claim_note(struct explain *e, struct claim_list *l, struct str path, struct str use)
{
    for (size_t i = 0; i < l->paths.n; i++) {
        if (str_eq(l->paths.items[i], path)) {
            l->uses.items[i] =
                arena_printf(&e->arena, "%.*s, %.*s", STR_ARG(l->uses.items[i]), STR_ARG(use));
            return;
        }
    }
    VEC_PUSH(&e->arena, &l->paths, path);
    VEC_PUSH(&e->arena, &l->uses, use);
}

static void claims_of_rules(struct explain *e, const struct exchange *x, struct claim_list *l)
{
    const struct security_plan *s = x->rule ? x->rule->security : NULL;

    for (uint32_t i = 0; s && s->authorization && i < s->authorization->n_rules; i++) {
        const struct authorize_rule *r = &s->authorization->rules[i];

        for (uint32_t k = 0; k < r->n_claims; k++)
            claim_note(e, l, r->claims[k].name,
                       r->name.len ? arena_printf(&e->arena, "rule %.*s", STR_ARG(r->name))
                                   : arena_printf(&e->arena, "rule %u", r->index));
    }
}

static void claims_of_headers(struct explain *e, const struct verdict *v, struct claim_list *l)
{
    const struct authentication *a = v->authentication;

    for (uint32_t i = 0; i < a->n_providers; i++) {
        const struct jwt_plan *p = &a->providers[i];

        if (!str_eq(p->provider.name, v->provider))
            continue;
        for (uint32_t k = 0; k < p->n_claim_headers; k++)
            claim_note(e, l, p->claim_paths[k],
                       arena_printf(&e->arena, "header %.*s", STR_ARG(p->claim_headers[k])));
    }
}

static void claims_tell(struct explain *e, const struct exchange *x, const struct verdict *v)
{
    struct claim_list l = {0};

    claim_note(e, &l, STR("sub"), STR("logs"));
    claim_note(e, &l, STR("tenant"), STR("logs, metrics"));
    claims_of_headers(e, v, &l);
    claims_of_rules(e, x, &l);
    report_list(e->body, "claims");
    for (size_t i = 0; i < l.paths.n; i++) {
        struct str value = jwt_claim_text(v->claims, l.paths.items[i], &e->arena);

        report_pair(e->body, l.paths.items[i],
                    value.ptr ? explain_shown(x, l.paths.items[i], value) : STR("(absent)"));
        report_str(e->body, "used_for", l.uses.items[i]);
        report_row_end(e->body);
    }
    report_list_close(e->body);
}

/* What identify found, and the claims of the rule's own authentication; where no rule took the
 * request, those of the first. */
void explain_authentication(struct explain *e, struct exchange *x)
{
    const struct verdict *told = NULL;

    e->has_authentication = true;
    if (x->verdicts.n == 0)
        return;
    report_list(e->body, "authentication");
    VEC_FOREACH (&x->verdicts, v) {
        verdict_tell(e, v);
        for (uint32_t i = 0; v->authentication && i < v->authentication->n_providers; i++)
            provider_tell(e, &v->authentication->providers[i], v);
        if (v->claims && !told)
            told = v;
    }
    report_list_close(e->body);
    if (x->identity)
        told = x->identity->claims ? x->identity : NULL;
    if (told)
        claims_tell(e, x, told);
}

/* ---- layers ---- */

/* Layers pass in their order, so that how many have passed says where it stands. */
static void layer_tell(struct explain *e, const struct exchange *x, const char *what,
                       struct str policy, bool has_passed, bool *is_refused)
{
    bool is_here = !has_passed && !*is_refused && x->refusal != REFUSAL_NONE &&
                   str_eq(x->refusal_detail, policy);

    report_row(e->body, arena_printf(&e->arena, "%s of %.*s", what, STR_ARG(policy)),
               explain_place(e, policy),
               has_passed ? "passed"
               : is_here  ? refusal_row(x->refusal)->code
                          : "not asked",
               is_here ? str_of(refusal_row(x->refusal)->text) : STR(""));
    *is_refused |= is_here;
}

static void authorizer_tell(struct explain *e, const struct ext_auth_plan *p, bool is_reached)
{
    report_row(e->body, arena_printf(&e->arena, "external authorizer of %.*s", STR_ARG(p->policy)),
               explain_place(e, p->policy), is_reached ? "would be asked" : "not asked", STR(""));
    report_str(e->body, "at_backend", p->config.cluster->name);
    report_text(e->body, "if_it_fails", p->fails_open ? "the request passes" : "it is refused");
    report_row_end(e->body);
}

void explain_layers(struct explain *e, const struct exchange *x)
{
    const struct layer_plan *plan = x->rule ? x->rule->layers : NULL;
    const struct layer_state *s = &x->layers;
    bool is_refused = false;

    e->has_layers = true;
    if (!plan)
        return;
    report_list(e->body, "layers");
    for (uint32_t i = 0; i < plan->api_keys.n; i++) {
        layer_tell(e, x, "API key", plan->api_keys.items[i].policy, i < s->n_api_keys, &is_refused);
        report_row_end(e->body);
    }
    for (uint32_t i = 0; i < plan->basics.n; i++) {
        layer_tell(e, x, "password", plan->basics.items[i].policy, i < s->n_basics, &is_refused);
        if (i < s->n_basics && s->user.len > 0)
            report_str(e->body, "user", s->user);
        report_row_end(e->body);
    }
    for (uint32_t i = 0; i < plan->ext_auths.n; i++)
        authorizer_tell(e, &plan->ext_auths.items[i], i < s->n_ext_auths);
    report_list_close(e->body);
}

/* ---- authorization ---- */

static struct str values_text(struct explain *e, const struct exchange *x,
                              const struct authorize_values *v)
{
    struct str text = STR("");

    for (size_t i = 0; i < v->n_values; i++)
        text = arena_printf(&e->arena, "%.*s%s%.*s", STR_ARG(text), i > 0 ? ", " : "",
                            STR_ARG(explain_shown(x, v->name, v->values[i])));
    return text;
}

static struct str why_header(struct explain *e, const struct authorize_rule *r, uint32_t index,
                             const struct authorize_input *in)
{
    const struct authorize_values *v = &r->headers[index];
    const struct exchange *x = e->exchange;
    struct str value =
        r->header_names[index].id == HEADER_HOST
            ? in->request->authority
            : http_headers_joined(&in->request->headers, r->header_names[index].text);

    return arena_printf(
        &e->arena, "header %.*s is %.*s, and the rule is for %.*s", STR_ARG(v->name),
        STR_ARG(value.ptr ? explain_shown(x, r->header_names[index].text, value) : STR("absent")),
        STR_ARG(values_text(e, x, v)));
}

static struct str why_claim(struct explain *e, const struct authorize_values *v,
                            const struct authorize_input *in)
{
    static const char *const types[] = {[CLAIM_ABSENT] = "absent",
                                        [CLAIM_IS_STRING] = "a string",
                                        [CLAIM_IS_LIST] = "a list",
                                        [CLAIM_IS_OTHER] = "neither a string nor a list"};
    enum claim_type type = jwt_claim_type(in->claims, v->name);
    struct str value = jwt_claim_string(in->claims, v->name);

    if (type != (v->is_array ? CLAIM_IS_LIST : CLAIM_IS_STRING))
        return arena_printf(&e->arena, "claim %.*s is %s, and the rule is for %s", STR_ARG(v->name),
                            types[type], v->is_array ? "a list" : "a string");
    return arena_printf(&e->arena, "claim %.*s is %.*s, and the rule is for %.*s", STR_ARG(v->name),
                        STR_ARG(value.ptr ? explain_shown(e->exchange, v->name, value)
                                          : STR("a list without them")),
                        STR_ARG(values_text(e, e->exchange, v)));
}

static struct str why_not(struct explain *e, const struct authorize_rule *r,
                          const struct authorize_input *in, struct authorize_miss miss)
{
    char address[46];

    switch (miss.part) {
    case AUTHORIZE_PART_METHOD:
        return arena_printf(&e->arena, "it is for other methods than %.*s",
                            STR_ARG(in->request->method_text));
    case AUTHORIZE_PART_ADDRESS:
        return arena_printf(&e->arena, "the client %.*s is in none of its ranges",
                            STR_ARG(ip_address_format(in->client, address)));
    case AUTHORIZE_PART_HEADER:
        return why_header(e, r, miss.index, in);
    case AUTHORIZE_PART_TOKEN:
        return in->claims ? arena_printf(&e->arena, "the token is one of provider %.*s, not %.*s",
                                         STR_ARG(in->provider), STR_ARG(r->provider))
                          : STR("there is no token");
    case AUTHORIZE_PART_CLAIM:
        return why_claim(e, &r->claims[miss.index], in);
    case AUTHORIZE_PART_SCOPE:
        return arena_printf(&e->arena, "the token has no scope %.*s",
                            STR_ARG(r->scopes[miss.index]));
    case AUTHORIZE_PART_PATH:
        return r->is_path_inverted ? STR("it is for every path but this one")
                                   : STR("it is for other paths");
    case AUTHORIZE_PART_LIMIT:
        return STR("a pattern of it took too long to match: the request is refused");
    case AUTHORIZE_PART_NONE:
        break;
    }
    return STR("");
}

static void rule_tell(struct explain *e, const struct authorize_rule *r,
                      const struct authorize_input *in, bool is_decided)
{
    struct authorize_miss miss = {AUTHORIZE_PART_NONE, 0};
    const char *verdict = "not asked";
    struct str why = STR("");

    if (!is_decided) {
        miss = authorize_rule_miss(r, in);
        why = why_not(e, r, in, miss);
        verdict =
            miss.part == AUTHORIZE_PART_NONE ? r->is_allow ? "allows" : "denies" : "does not match";
    }
    report_row(e->body, r->name.len ? r->name : arena_printf(&e->arena, "rule %u", r->index),
               explain_item_place(e, e->exchange->rule->security->policy,
                                  "spec.authorization.rules", r->index),
               verdict, why);
    report_text(e->body, "action", r->is_allow ? "Allow" : "Deny");
    report_row_end(e->body);
}

void explain_authorization(struct explain *e, const struct authorization *a,
                           const struct authorize_input *in, const struct authorize_result *result)
{
    const struct security_plan *s = e->exchange->rule->security;
    bool is_decided = false;

    report_open(e->body, "authorization");
    report_str(e->body, "policy", s->policy);
    report_mark(e->body, "at", explain_place(e, s->policy));
    report_text(e->body, "decision",
                result->verdict == AUTHORIZE_ALLOW   ? "allowed"
                : result->verdict == AUTHORIZE_LIMIT ? "not decided: a pattern took too long"
                                                     : "denied");
    if (result->rule)
        report_str(e->body, "decided_by",
                   result->rule->name.len
                       ? result->rule->name
                       : arena_printf(&e->arena, "rule %u", result->rule->index));
    else
        report_text(e->body, "decided_by", "defaultAction");
    report_list(e->body, "rules");
    for (uint32_t i = 0; i < a->n_rules; i++) {
        rule_tell(e, &a->rules[i], in, is_decided);
        is_decided |= result->rule == &a->rules[i];
    }
    report_list_close(e->body);
    report_text(e->body, "default_action", a->is_default_allow ? "Allow" : "Deny");
    report_close(e->body);
}
