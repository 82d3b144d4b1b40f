/* /config: the compiled snapshot as JSON. It names Secrets' users, never their values: keys,
 * certificates and tokens do not stand in plans, and header values that a route sets on credentials
 * are not printed. */
#include "admin/endpoints.h"
#include "admin/json.h"

static void config_backend(struct json *j, const struct backend_plan *b, uint64_t weight)
{
    static const char *const words[] = {"valid", "invalid", "not enforced"};

    json_open(j, NULL, '{');
    json_str(j, "name", b->name);
    json_u64(j, "weight", weight);
    json_text(j, "state", words[b->validity]);
    json_close(j, '}');
}

static void config_security(struct json *j, const struct security_plan *s)
{
    json_open(j, "security", '{');
    json_str(j, "policy", s->policy);
    if (s->is_unavailable)
        json_str(j, "refuses_because", s->why);
    json_open(j, "jwt_providers", '[');
    for (uint32_t i = 0; s->authentication && i < s->authentication->n_providers; i++)
        json_str(j, NULL, s->authentication->providers[i].provider.name);
    json_close(j, ']');
    json_bool(j, "authorization", s->authorization != NULL);
    json_bool(j, "cors", s->cors != NULL);
    json_close(j, '}');
}

static void config_rule(struct json *j, const struct rule_plan *r)
{
    json_open(j, NULL, '{');
    json_str(j, "name", r->name);
    json_str(j, "log_name", r->log_name);
    if (r->is_broken)
        json_str(j, "refuses_because", r->why_broken);
    json_bool(j, "ai", r->is_ai);
    json_bool(j, "redirect", r->redirect != NULL);
    json_bool(j, "direct_response", r->has_direct_response);
    json_u64(j, "mirrors", r->n_mirrors);
    json_u64(j, "connect_timeout_ms", r->connect_us / 1000);
    json_u64(j, "request_timeout_ms",
             (r->request_us ? r->request_us : r->policy_request_us) / 1000);
    json_u64(j, "backend_request_timeout_ms", r->backend_request_us / 1000);
    json_u64(j, "stream_idle_timeout_ms", r->stream_idle_us / 1000);
    if (r->security)
        config_security(j, r->security);
    json_open(j, "backends", '[');
    for (uint32_t i = 0; i < r->n_backends; i++)
        config_backend(j, &r->backends[i], r->weights.ends[i] - (i ? r->weights.ends[i - 1] : 0));
    json_close(j, ']');
    json_close(j, '}');
}

static void config_listener(struct json *j, const struct listener_plan *l)
{
    struct str name;
    size_t at = 0;

    json_open(j, NULL, '{');
    json_str(j, "name", l->name);
    json_str(j, "hostname", l->hostname.len ? l->hostname : STR("*"));
    json_open(j, "late_headers", '[');
    while (name_set_next(&l->late_headers, &at, &name))
        json_str(j, NULL, name);
    json_close(j, ']');
    json_u64(j, "access_logs", l->n_logs);
    json_open(j, "routes", '[');
    for (uint32_t i = 0; i < l->n_route_plans; i++) {
        json_open(j, NULL, '{');
        json_str(j, "route", l->route_plans[i]->label);
        json_open(j, "rules", '[');
        for (uint32_t k = 0; k < l->route_plans[i]->n_rules; k++)
            config_rule(j, &l->route_plans[i]->rules[k]);
        json_close(j, ']');
        json_close(j, '}');
    }
    json_close(j, ']');
    json_close(j, '}');
}

void admin_config_format(const struct admin *a, struct buf *out)
{
    const struct snapshot *s = a->server->current;
    struct json j;

    json_init(&j, out);
    json_open(&j, NULL, '{');
    json_u64(&j, "generation", s ? s->generation : 0);
    json_open(&j, "ports", '[');
    for (uint32_t i = 0; s && i < s->n_ports; i++) {
        json_open(&j, NULL, '{');
        json_u64(&j, "port", s->ports[i].number);
        json_text(&j, "protocol", s->ports[i].is_tls ? "HTTPS" : "HTTP");
        json_open(&j, "listeners", '[');
        for (uint32_t k = 0; k < s->ports[i].n_listeners; k++)
            config_listener(&j, s->ports[i].listeners[k]);
        json_close(&j, ']');
        json_close(&j, '}');
    }
    json_close(&j, ']');
    json_close(&j, '}');
    buf_append_char(out, '\n');
}
