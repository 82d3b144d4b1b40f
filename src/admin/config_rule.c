/* /config: one rule. Its matches are printed from the manifest it was compiled from, since the
 * compiled ones stand dissolved in the route table. Values beside a name that carries credentials
 * are replaced (telemetry/log_redact.h says which); of headers that a route writes, names only. */
#include "admin/config.h"

#include <stdio.h>

#include "manifest/ai_service_backend.h"
#include "manifest/manifest.h"
#include "telemetry/log_redact.h"

enum { CONFIG_NODE_LEVELS = 6 }; /* a valid match has four; a broken one may have any */

static const struct str config_redacted = {"(redacted)", 10};

static bool config_is_secret(struct str name, struct str value)
{
    return log_redact_is_secret_name(name) || log_redact_has_token(value);
}

/* ---- matches ---- */

static void config_scalar(struct json *j, const char *name, const struct node *n)
{
    int64_t number;
    bool truth;

    if (node_to_bool(n, &truth))
        json_bool(j, name, truth);
    else if (node_to_int(n, &number) && number >= 0)
        json_u64(j, name, (uint64_t)number);
    else
        json_str(j, name, n->text);
}

static void config_node(struct json *j, const char *name, const struct node *n, unsigned level);

static void config_map(struct json *j, const char *name, const struct node *n, unsigned level)
{
    struct str about = node_text(n, "name");

    json_open(j, name, '{');
    for (size_t i = 0; i < n->n; i++) {
        const struct node_entry *e = &n->entries[i];
        char key[64];

        snprintf(key, sizeof key, "%.*s", STR_ARG(e->key));
        if (str_eq(e->key, STR("value")) && config_is_secret(about, e->value->text))
            json_str(j, key, config_redacted);
        else
            config_node(j, key, e->value, level + 1);
    }
    json_close(j, '}');
}

static void config_node(struct json *j, const char *name, const struct node *n, unsigned level)
{
    if (n->type == NODE_SCALAR) {
        config_scalar(j, name, n);
    } else if (n->type == NODE_NULL || level >= CONFIG_NODE_LEVELS) {
        json_str(j, name, STR(""));
    } else if (n->type == NODE_MAP) {
        config_map(j, name, n, level);
    } else {
        json_open(j, name, '[');
        for (size_t i = 0; i < n->n; i++)
            config_node(j, NULL, n->items[i], level + 1);
        json_close(j, ']');
    }
}

const struct object *config_find_object(const struct manifest *m, struct str label)
{
    struct str name = label, kind, namespace;
    const struct object *found = NULL;
    ssize_t colon;

    if (!m || !str_split(&name, '/', &kind) || !str_split(&name, '/', &namespace))
        return NULL;
    colon = str_find_char(name, ':', 0);
    if (colon >= 0)
        name = str_slice(name, 0, (size_t)colon);
    for (int i = 0; i < KIND_COUNT && !found; i++) {
        if (str_eq(kinds[i].name, kind))
            found = manifest_get(m, (enum kind_id)i, namespace, name);
    }
    return found;
}

static void config_matches(struct json *j, const struct manifest *m, const struct rule_plan *r)
{
    const struct object *o = config_find_object(m, r->route->label);
    const struct node *rules, *matches = NULL;

    rules = o ? node_find(node_find(o->source, "spec"), "rules") : NULL;
    if (rules && rules->type == NODE_LIST && r->index < rules->n)
        matches = node_find(rules->items[r->index], "matches");
    if (matches)
        config_node(j, "matches", matches, 0);
}

/* ---- security ---- */

static void config_strs(struct json *j, const char *name, const struct str *items, size_t n)
{
    json_open(j, name, '[');
    for (size_t i = 0; i < n; i++)
        json_str(j, NULL, items[i]);
    json_close(j, ']');
}

static void config_provider(struct json *j, const struct jwt_plan *p)
{
    json_open(j, NULL, '{');
    json_str(j, "name", p->provider.name);
    json_str(j, "issuer", p->provider.issuer);
    config_strs(j, "audiences", p->provider.audiences, p->provider.n_audiences);
    json_open(j, "claim_headers", '[');
    for (uint32_t i = 0; i < p->n_claim_headers; i++) {
        json_open(j, NULL, '{');
        json_str(j, "claim", p->claim_paths[i]);
        json_str(j, "header", p->claim_headers[i]);
        json_close(j, '}');
    }
    json_close(j, ']');
    json_close(j, '}');
}

static void config_values(struct json *j, const char *name, const struct authorize_values *items,
                          uint32_t n)
{
    json_open(j, name, '[');
    for (uint32_t i = 0; i < n; i++) {
        json_open(j, NULL, '{');
        json_str(j, "name", items[i].name);
        json_open(j, "values", '[');
        for (size_t k = 0; k < items[i].n_values; k++)
            json_str(j, NULL,
                     config_is_secret(items[i].name, items[i].values[k]) ? config_redacted
                                                                         : items[i].values[k]);
        json_close(j, ']');
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void config_authorization(struct json *j, const struct authorization *a)
{
    json_open(j, "authorization", '{');
    json_text(j, "default", a->is_default_allow ? "Allow" : "Deny");
    json_open(j, "rules", '[');
    for (uint32_t i = 0; i < a->n_rules; i++) {
        const struct authorize_rule *r = &a->rules[i];

        json_open(j, NULL, '{');
        json_str(j, "name", r->name);
        json_text(j, "action", r->is_allow ? "Allow" : "Deny");
        if (r->has_jwt)
            json_str(j, "provider", r->provider);
        config_values(j, "claims", r->claims, r->n_claims);
        config_values(j, "headers", r->headers, r->n_headers);
        config_strs(j, "scopes", r->scopes, r->n_scopes);
        config_strs(j, "methods", r->methods, r->n_methods);
        json_bool(j, "by_client_address", r->has_cidrs);
        if (r->has_path)
            json_str(j, "path", r->path);
        json_close(j, '}');
    }
    json_close(j, ']');
    json_close(j, '}');
}

static void config_security(struct json *j, const struct security_plan *s)
{
    json_open(j, "security", '{');
    json_str(j, "policy", s->policy);
    if (s->is_unavailable)
        json_str(j, "refuses_because", s->why);
    if (s->authentication)
        json_bool(j, "jwt_optional", s->authentication->is_optional);
    json_open(j, "jwt_providers", '[');
    for (uint32_t i = 0; s->authentication && i < s->authentication->n_providers; i++)
        config_provider(j, &s->authentication->providers[i]);
    json_close(j, ']');
    if (s->authorization)
        config_authorization(j, s->authorization);
    json_close(j, '}');
}

/* ---- layers ---- */

static void config_api_key(struct json *j, const struct api_key_plan *p)
{
    static const char *const places[] = {"header", "param", "cookie"};

    json_open(j, NULL, '{');
    json_text(j, "kind", "api_key");
    json_str(j, "policy", p->policy);
    json_u64(j, "clients", api_keys_count(p->keys));
    json_open(j, "sources", '[');
    VEC_FOREACH (&p->sources, source) {
        json_open(j, NULL, '{');
        json_str(j, places[source->place], source->name);
        json_close(j, '}');
    }
    json_close(j, ']');
    json_str(j, "client_id_header", p->client_id_header);
    json_bool(j, "forwards_credentials", p->forwards);
    json_close(j, '}');
}

static void config_basic(struct json *j, const struct basic_plan *p)
{
    json_open(j, NULL, '{');
    json_text(j, "kind", "basic");
    json_str(j, "policy", p->policy);
    json_u64(j, "users", htpasswd_count(p->users));
    json_str(j, "credential_header", p->credential_header);
    json_str(j, "user_header", p->user_header);
    json_bool(j, "matches_tenant", p->matches_tenant);
    json_bool(j, "forwards_credentials", p->forwards);
    json_close(j, '}');
}

static void config_ext_auth(struct json *j, const struct ext_auth_plan *p)
{
    json_open(j, NULL, '{');
    json_text(j, "kind", "external");
    json_str(j, "policy", p->policy);
    json_str(j, "backend", p->config.cluster->name);
    json_str(j, "path",
             p->config.path_override.len ? p->config.path_override : p->config.path_prefix);
    json_bool(j, "path_is_whole", p->config.path_override.len > 0);
    config_strs(j, "request_headers", p->config.headers, p->config.n_headers);
    config_strs(j, "backend_headers", p->backend_headers, p->n_backend_headers);
    json_u64(j, "timeout_ms", p->config.timeout_us / 1000);
    json_bool(j, "fails_open", p->fails_open);
    json_close(j, '}');
}

static void config_layers(struct json *j, const struct layer_plan *l)
{
    json_open(j, "layers", '[');
    VEC_FOREACH (&l->api_keys, p)
        config_api_key(j, p);
    VEC_FOREACH (&l->basics, p)
        config_basic(j, p);
    VEC_FOREACH (&l->ext_auths, p)
        config_ext_auth(j, p);
    json_close(j, ']');
}

/* ---- what the rule does ---- */

static void config_mod_names(struct json *j, const char *name, const struct header_mod *mods,
                             uint16_t n)
{
    json_open(j, name, '[');
    for (uint16_t i = 0; i < n; i++)
        json_str(j, NULL, mods[i].name);
    json_close(j, ']');
}

static void config_mods(struct json *j, const char *name, const struct header_mods *m)
{
    if (!m)
        return;
    json_open(j, name, '{');
    config_mod_names(j, "set", m->set, m->n_set);
    config_mod_names(j, "add", m->add, m->n_add);
    config_mod_names(j, "remove", m->remove, m->n_remove);
    json_close(j, '}');
}

static void config_filters(struct json *j, const struct rule_plan *r)
{
    config_mods(j, "request_headers", r->request_mods);
    config_mods(j, "response_headers", r->response_mods);
    if (r->path_rewrite)
        json_str(j, "path_rewrite", r->path_rewrite->value);
    if (r->host_rewrite)
        json_str(j, "host_rewrite",
                 r->host_rewrite->kind == HOST_REWRITE_BACKEND ? STR("(backend)")
                                                               : r->host_rewrite->value);
    if (r->redirect)
        json_u64(j, "redirect_status", r->redirect->status);
    if (r->direct)
        json_u64(j, "direct_response_status", r->direct->status);
    if (r->cors)
        json_bool(j, "cors", true);
    json_open(j, "mirrors", '[');
    for (uint32_t i = 0; i < r->n_mirrors; i++)
        json_str(j, NULL, r->mirrors[i].cluster->name);
    json_close(j, ']');
}

static void config_timeouts(struct json *j, const struct rule_plan *r)
{
    json_open(j, "timeouts_ms", '{');
    json_u64(j, "connect", r->connect_us / 1000);
    json_u64(j, "request", r->request_us / 1000);
    json_u64(j, "request_by_policy", r->policy_request_us / 1000);
    json_u64(j, "backend_request", r->backend_request_us / 1000);
    json_u64(j, "stream_idle", r->stream_idle_us / 1000);
    json_close(j, '}');
}

/* ---- where it leads ---- */

static uint64_t config_gcd(uint64_t a, uint64_t b)
{
    while (b > 0) {
        uint64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* A credential is told by its header only. */
static void config_ai(struct json *j, const struct ai_backend_plan *ai)
{
    json_str(j, "ai_service", ai->name);
    json_text(j, "schema", ai_schema_names[ai->target.schema]);
    if (ai->model.len > 0)
        json_str(j, "model", ai->model);
    if (ai->credential.header.len > 0)
        json_str(j, "credential_header", ai->credential.header);
    config_mods(j, "route_headers", ai->route_mods);
    config_mods(j, "service_headers", ai->service_mods);
}

/* Weights are compiled to a scale of their own: shown in their lowest terms. */
static void config_backends(struct json *j, const struct rule_plan *r)
{
    static const char *const words[] = {"valid", "invalid", "not enforced", "not supported"};
    uint64_t divisor = 0;

    for (uint32_t i = 0; i < r->n_backends; i++)
        divisor = config_gcd(r->backends[i].weight, divisor);
    json_open(j, "backends", '[');
    for (uint32_t i = 0; i < r->n_backends; i++) {
        const struct backend_plan *b = &r->backends[i];

        json_open(j, NULL, '{');
        json_str(j, "name", b->name);
        json_u64(j, "share", r->backends[i].weight / MAX(divisor, (uint64_t)1));
        json_text(j, "state", words[b->validity]);
        if (b->ai)
            config_ai(j, b->ai);
        config_mods(j, "request_headers", b->request_mods);
        config_mods(j, "response_headers", b->response_mods);
        json_close(j, '}');
    }
    json_close(j, ']');
}

void config_format_rule(struct json *j, const struct manifest *m, const struct rule_plan *r)
{
    json_open(j, NULL, '{');
    json_str(j, "name", r->name);
    json_str(j, "log_name", r->log_name);
    json_bool(j, "ai", r->is_ai);
    if (r->is_broken)
        json_str(j, "refuses_because", r->why_broken);
    config_matches(j, m, r);
    config_filters(j, r);
    config_timeouts(j, r);
    if (r->security)
        config_security(j, r->security);
    if (r->layers)
        config_layers(j, r->layers);
    config_backends(j, r);
    json_close(j, '}');
}
