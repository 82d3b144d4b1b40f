/* /config: the compiled snapshot as JSON: ports, listeners, routes; rules in config_rule.c. It
 * names what a policy looks at, never a secret: keys, certificates and tokens do not stand in
 * plans, and values of headers that carry credentials are not printed. */
#include "admin/config.h"

#include "admin/endpoints.h"

static void config_client(struct json *j, const struct client_plan *c)
{
    static const char *const modes[] = {"connection", "x-forwarded-for, by hops",
                                        "x-forwarded-for, by CIDRs", "header"};

    json_open(j, "clients", '{');
    json_text(j, "address_from", modes[c->address.mode]);
    if (c->address.mode == CLIENT_ADDRESS_HEADER)
        json_str(j, "address_header", c->address.header);
    json_bool(j, "allows_underscore", c->allows_underscore);
    json_u64(j, "idle_timeout_ms", c->idle_us / 1000);
    json_u64(j, "head_timeout_ms", c->head_us / 1000);
    json_u64(j, "request_timeout_ms", c->received_us / 1000);
    json_u64(j, "connection_limit",
             c->connection_limit == BOUNDED_COUNT_MAX ? 0 : c->connection_limit);
    json_close(j, '}');
}

static void config_route(struct json *j, const struct manifest *m, const struct route_plan *r)
{
    json_open(j, NULL, '{');
    json_str(j, "route", r->label);
    json_open(j, "rules", '[');
    for (uint32_t i = 0; i < r->n_rules; i++)
        config_format_rule(j, m, &r->rules[i]);
    json_close(j, ']');
    json_close(j, '}');
}

static void config_listener(struct json *j, const struct manifest *m, const struct listener_plan *l)
{
    struct str name;
    size_t at = 0;

    json_open(j, NULL, '{');
    json_str(j, "name", l->name);
    json_str(j, "hostname", l->hostname.len ? l->hostname : STR("*"));
    config_client(j, &l->client);
    json_open(j, "late_headers", '[');
    while (name_set_next(&l->late_headers, &at, &name))
        json_str(j, NULL, name);
    json_close(j, ']');
    json_u64(j, "access_logs", l->n_logs);
    json_open(j, "routes", '[');
    for (uint32_t i = 0; i < l->n_route_plans; i++)
        config_route(j, m, l->route_plans[i]);
    json_close(j, ']');
    json_close(j, '}');
}

static void config_port(struct json *j, const struct manifest *m, const struct port_plan *p)
{
    json_open(j, NULL, '{');
    json_u64(j, "port", p->number);
    json_u64(j, "bound", p->port ? p->port->bound : 0);
    json_str(j, "address", p->address.len ? p->address : STR("*"));
    json_text(j, "protocol", p->is_tls ? "HTTPS" : "HTTP");
    json_open(j, "listeners", '[');
    for (uint32_t i = 0; i < p->n_listeners; i++)
        config_listener(j, m, p->listeners[i]);
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
    for (uint32_t i = 0; s && i < s->n_ports; i++)
        config_port(&j, s->manifest, &s->ports[i]);
    json_close(&j, ']');
    json_close(&j, '}');
    buf_append_char(out, '\n');
}
