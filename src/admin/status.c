/* /status: every object with its place and conditions, what is listened on, key sets, clusters, and
 * what was found in the manifests. Names, addresses and reasons only: no value of a Secret. */
#include "admin/endpoints.h"
#include "admin/json.h"
#include "admin/objects/object_status.h"
#include "manifest/kind.h"

bool admin_is_ready(const struct admin *a, struct buf *why)
{
    const struct snapshot *s = a->server->current;

    if (a->facts.is_draining)
        buf_printf(why, "shutting down");
    else if (!s || s->n_ports == 0)
        buf_printf(why, "no listener is programmed; see /status");
    else
        return true;
    return false;
}

void admin_format_pending_keys(const struct admin *a, struct buf *out)
{
    const struct snapshot *s = a->server->current;

    for (uint32_t i = 0; s && i < s->n_feeds; i++) {
        struct key_feed_facts facts;
        bool is_known = false;

        for (uint32_t k = 0; k < i; k++)
            is_known |= s->feeds[k] == s->feeds[i];
        key_feed_read_facts(s->feeds[i], &facts);
        if (!is_known && facts.n_keys == 0)
            buf_printf(out, "no keys yet: %.*s\n", STR_ARG(s->feeds[i]->config.name));
    }
}

static void status_conditions(struct json *j, const struct object *o)
{
    static const char *const words[] = {"False", "True", "Unknown"};

    json_open(j, "conditions", '[');
    for (size_t i = 0; i < o->conditions.n; i++) {
        const struct condition_set *set = &o->conditions.items[i];

        for (size_t k = 0; k < set->items.n; k++) {
            const struct condition *c = &set->items.items[k];

            json_open(j, NULL, '{');
            if (set->about.len > 0)
                json_str(j, "about", set->about);
            json_text(j, "type", c->type);
            json_text(j, "status", words[c->status]);
            json_text(j, "reason", c->reason);
            json_str(j, "message", c->message);
            json_close(j, '}');
        }
    }
    json_close(j, ']');
}

static void status_objects(struct json *j, const struct manifest *m)
{
    json_open(j, "objects", '[');
    for (size_t i = 0; i < m->objects.n; i++) {
        const struct object *o = m->objects.items[i];

        json_open(j, NULL, '{');
        json_str(j, "kind", o->kind->name);
        json_str(j, "apiVersion", o->api_version);
        if (o->namespace.len > 0)
            json_str(j, "namespace", o->namespace);
        json_str(j, "name", o->name);
        json_text(j, "file", o->mark.file ? o->mark.file : "");
        json_u64(j, "line", o->mark.line);
        json_bool(j, "broken", o->is_broken);
        if (o->kind->id == KIND_GATEWAY)
            object_status_addresses(j, o);
        status_conditions(j, o);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void status_diagnostics(struct json *j, const struct diag_list *diags)
{
    json_open(j, "diagnostics", '[');
    for (size_t i = 0; i < diags->items.n; i++) {
        const struct diag *d = &diags->items.items[i];

        json_open(j, NULL, '{');
        json_text(j, "severity", diag_severity_text(d->severity));
        json_text(j, "code", diag_code_text(d->code));
        json_text(j, "file", d->mark.file ? d->mark.file : "");
        json_u64(j, "line", d->mark.line);
        json_u64(j, "column", d->mark.column);
        json_str(j, "object", d->object);
        json_str(j, "path", d->path);
        json_str(j, "text", d->text);
        if (d->hint.len > 0)
            json_str(j, "hint", d->hint);
        json_close(j, '}');
    }
    json_close(j, ']');
}

/* What the manifests name and do not bring: a short list to work through. */
static void status_missing(struct json *j, const struct diag_list *diags)
{
    json_open(j, "missing", '[');
    for (size_t i = 0; i < diags->items.n; i++) {
        const struct diag *d = &diags->items.items[i];

        if (d->code != DIAG_DANGLING_REFERENCE && d->code != DIAG_MISSING_CORE_OBJECT &&
            d->code != DIAG_MISSING_GRANT)
            continue;
        json_open(j, NULL, '{');
        json_text(j, "code", diag_code_text(d->code));
        json_str(j, "object", d->object);
        json_str(j, "path", d->path);
        json_str(j, "text", d->text);
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void status_reloads(struct json *j, const struct admin *a)
{
    char stamp[25] = "";

    if (a->server->swapped_wall_us > 0)
        clock_format_iso(a->server->swapped_wall_us, stamp);
    json_text(j, "last_reload", a->facts.last_reload);
    json_open(j, "reloads", '{');
    json_u64(j, "ok", a->server->n_reloads_ok);
    json_u64(j, "failed", a->server->n_reloads_failed);
    json_text(j, "serving_since", stamp);
    json_close(j, '}');
}

static void status_ports(struct json *j, const struct snapshot *s)
{
    json_open(j, "ports", '[');
    for (uint32_t i = 0; i < s->n_ports; i++) {
        const struct port_plan *p = &s->ports[i];

        json_open(j, NULL, '{');
        json_u64(j, "port", p->number);
        json_u64(j, "bound", p->port ? p->port->bound : 0);
        json_str(j, "address", p->address.len ? p->address : STR("*"));
        json_text(j, "protocol", p->is_tls ? "HTTPS" : "HTTP");
        json_u64(j, "connections", p->port ? bounded_count_get(&p->port->n_connections) : 0);
        json_open(j, "listeners", '[');
        for (uint32_t k = 0; k < p->n_listeners; k++)
            json_str(j, NULL, p->listeners[k]->name);
        json_close(j, ']');
        json_close(j, '}');
    }
    json_close(j, ']');
}

static void status_feed(struct json *j, struct key_feed *f)
{
    static const char *const states[] = {"new", "fetching", "fresh", "retrying", "local"};
    struct key_feed_facts facts;
    char stamp[25] = "";

    key_feed_read_facts(f, &facts);
    if (facts.fetched_wall_us > 0)
        clock_format_iso(facts.fetched_wall_us, stamp);
    json_open(j, NULL, '{');
    json_str(j, "provider", f->config.name);
    json_text(j, "state", states[facts.state]);
    json_u64(j, "keys", facts.n_keys);
    json_u64(j, "fetches_ok", facts.n_fetches_ok);
    json_u64(j, "fetches_failed", facts.n_fetches_failed);
    json_text(j, "fetched", stamp);
    json_text(j, "last_error", facts.last_error);
    json_close(j, '}');
}

static void status_feeds(struct json *j, const struct snapshot *s)
{
    json_open(j, "key_sets", '[');
    for (uint32_t i = 0; i < s->n_feeds; i++) {
        bool is_known = false;

        for (uint32_t k = 0; k < i; k++)
            is_known |= s->feeds[k] == s->feeds[i];
        if (!is_known)
            status_feed(j, s->feeds[i]);
    }
    json_close(j, ']');
}

/* Of the backend, which other clusters may share. */
static void status_breaker(struct json *j, const struct breaker *b)
{
    if (!breaker_is_watched(b))
        return;
    json_open(j, "circuit_breaker", '{');
    json_u64(j, "connections", bounded_count_get(&b->connections));
    json_u64(j, "requests", bounded_count_get(&b->requests));
    json_u64(j, "pending", pending_count(&b->pending));
    json_u64(j, "retries", bounded_count_get(&b->retries));
    json_close(j, '}');
}

static void status_cluster(struct json *j, struct cluster *c)
{
    static const char *const states[] = {"pending", "known", "failed"};
    struct endpoint_set *set = cluster_endpoints(c);

    json_open(j, NULL, '{');
    json_str(j, "name", c->name);
    json_text(j, "endpoints_state", states[set->state]);
    if (c->resolve_host.len > 0)
        json_str(j, "host", c->resolve_host);
    json_bool(j, "tls", c->tls != NULL);
    status_breaker(j, &c->backend->breaker);
    json_open(j, "endpoints", '[');
    for (uint32_t i = 0; i < set->n; i++) {
        json_open(j, NULL, '{');
        json_text(j, "address", set->items[i].text);
        json_u64(j, "in_flight", atomic_load(&set->items[i].state->n_in_flight));
        if (set->items[i].state->health.target)
            json_text(j, "health", health_target_text(set->items[i].state->health.target));
        json_close(j, '}');
    }
    json_close(j, ']');
    json_close(j, '}');
    endpoint_set_unref(set);
}

static void status_clusters(struct json *j, const struct snapshot *s)
{
    json_open(j, "clusters", '[');
    for (uint32_t i = 0; i < s->n_clusters; i++) {
        bool is_known = false;

        for (uint32_t k = 0; k < i; k++)
            is_known |= s->clusters[k] == s->clusters[i];
        if (!is_known)
            status_cluster(j, s->clusters[i]);
    }
    json_close(j, ']');
}

void admin_status_format(const struct admin *a, struct buf *out)
{
    const struct snapshot *s = a->server->current;
    struct buf why = {0};
    struct json j;

    json_init(&j, out);
    json_open(&j, NULL, '{');
    json_text(&j, "version", TOLLGATE_VERSION);
    json_bool(&j, "ready", admin_is_ready(a, &why));
    json_u64(&j, "generation", s ? s->generation : 0);
    if (why.len > 0)
        json_str(&j, "not_ready_because", buf_str(&why));
    status_reloads(&j, a);
    json_u64(&j, "workers", a->server->n_workers);
    json_u64(&j, "connections", server_n_connections(a->server));
    json_u64(&j, "exchanges", server_n_exchanges(a->server));
    json_text(&j, "limits", "one process: several gateways would multiply budgets");
    if (s) {
        status_ports(&j, s);
        status_feeds(&j, s);
        status_clusters(&j, s);
        status_missing(&j, &s->manifest->diags);
        status_objects(&j, s->manifest);
        status_diagnostics(&j, &s->manifest->diags);
    }
    json_close(&j, '}');
    buf_append_char(out, '\n');
    buf_deinit(&why);
}
