/* The endpoints in one table, and the gates before them: Host must be an address, a loopback name
 * or the bound address (else a page in a browser could reach the port by a name that it controls),
 * a browser must not ask for another site's page, and the method must not change anything. */
#include "admin/endpoints.h"

#include "admin/connection.h"
#include "admin/explain/endpoint.h"
#include "admin/objects/object_list.h"
#include "admin/page.h"
#include "base/limits.h"
#include "base/log_memory.h"
#include "http/query.h"
#include "policy/cidr.h"
#include "telemetry/metrics.h"

static void endpoint_refuse(struct admin_answer *answer, uint16_t status, const char *text)
{
    answer->status = status;
    buf_printf(&answer->body, "%s\n", text);
}

static void serve_ready(struct admin *a, struct admin_answer *answer)
{
    struct buf why = {0};

    if (admin_is_ready(a, &why)) {
        buf_printf(&answer->body, "ready\n");
        admin_format_pending_keys(a, &answer->body);
    } else {
        answer->status = 503;
        buf_printf(&answer->body, "not ready: %.*s\n", STR_ARG(buf_str(&why)));
    }
    buf_deinit(&why);
}

static void serve_healthz(struct admin *a UNUSED, struct admin_answer *answer)
{
    buf_printf(&answer->body, "ok\n");
}

/* With very many series it is long, and whoever may ask for it need not read it; who does is not to
 * be refused for those. */
static void serve_metrics(struct admin *a, struct admin_answer *answer)
{
    admin_connections_make_room(a);
    answer->type = METRICS_CONTENT_TYPE;
    metrics_format(&a->server->metrics, &answer->body);
}

static void serve_status(struct admin *a, struct admin_answer *answer)
{
    answer->type = "application/json";
    admin_status_format(a, &answer->body);
}

static void serve_config(struct admin *a, struct admin_answer *answer)
{
    answer->type = "application/json";
    admin_config_format(a, &answer->body);
}

static void ask_objects(struct admin *a, const struct http_request *request,
                        struct admin_answer *answer)
{
    const struct snapshot *s = a->server->current;
    struct object_query query;

    if (admin_connections_held(a) > LIMIT_OBJECTS_BYTES) {
        endpoint_refuse(answer, 503, "Other answers are still to be taken: try again.");
        return;
    }
    answer->type = "application/x-ndjson";
    object_query_parse(request->query, &query);
    if (!s || object_list_format(s->manifest, s, &query, &answer->body) == 0)
        return;
    buf_clear(&answer->body);
    answer->type = ADMIN_TEXT;
    endpoint_refuse(answer, 400, "More than is told at a time: ask for a kind, namespace or name.");
}

/* With ?after=POSITION the lines behind it, and before them where to go on and how many bytes were
 * missed. */
static void ask_logs(struct admin *a UNUSED, const struct http_request *request,
                     struct admin_answer *answer)
{
    struct str query = request->query;
    bool has_position = false;
    uint64_t position = 0;
    uint64_t missed = 0;
    struct str name, value;
    struct buf lines = {0};

    while (query_next(&query, &name, &value)) {
        if (str_eq(name, STR("after")))
            has_position = str_to_u64(value, &position);
    }
    position = log_memory_read(position, &lines, &missed);
    if (has_position)
        buf_printf(&answer->body, "%llu %llu\n", (unsigned long long)position,
                   (unsigned long long)missed);
    buf_append_str(&answer->body, buf_str(&lines));
    buf_deinit(&lines);
}

static void serve_live(struct admin *a, struct admin_answer *answer)
{
    answer->is_live = live_has_room(&a->live);
    if (answer->is_live)
        answer->type = "text/event-stream";
    else
        endpoint_refuse(answer, 503, "The live page is open as often as it may be: close another.");
}

static void serve_help(struct admin *a, struct admin_answer *answer);

/* `serve` answers with the whole, `ask` with what the query asks for. */
static const struct {
    const char *path;
    void (*serve)(struct admin *a, struct admin_answer *answer);
    bool is_for_probe;
    const char *text;
    /* In place of `serve`: what it says depends on what is asked. */
    void (*ask)(struct admin *a, const struct http_request *request, struct admin_answer *answer);
} endpoint_rows[] = {
    {"/help", serve_help, false, "this list; the live page is /", NULL},
    {"/live", serve_live, false, "what the live page shows, as an event stream", NULL},
    {"/ready", serve_ready, true, "200 while requests are served, else 503 and what is missing",
     NULL},
    {"/healthz", serve_healthz, true, "200 while the process lives", NULL},
    {"/metrics", serve_metrics, true, "Prometheus metrics", NULL},
    {"/status", serve_status, false,
     "every object with its conditions, listeners, key sets, clusters (JSON)", NULL},
    {"/config", serve_config, false, "the compiled configuration that serves now (JSON)", NULL},
    {"/objects", NULL, false,
     "the objects as written, with their status, a line of JSON each (?kind=&namespace=&name=)",
     ask_objects},
    {"/logs", NULL, false, "the last lines of the gateway's own log", ask_logs},
    {"/explain", NULL, false,
     "?request=POST%20http://host/path: what would become of that request, and why",
     admin_explain_serve},
};

static void serve_help(struct admin *a UNUSED, struct admin_answer *answer)
{
    buf_printf(&answer->body, "tollgate %s\n\n", TOLLGATE_VERSION);
    for (size_t i = 0; i < N_ELEMENTS(endpoint_rows); i++)
        buf_printf(&answer->body, "%-10s %s\n", endpoint_rows[i].path, endpoint_rows[i].text);
}

static bool endpoint_host_is_ours(const struct admin_port *port, const struct http_request *request)
{
    struct str host = request->host;
    struct ip_address ip;

    if (str_eq(request->authority, port->text) || str_eq(host, STR("localhost")))
        return true;
    if (host.len > 2 && host.ptr[0] == '[')
        host = str_slice(host, 1, host.len - 1);
    /* A literal address cannot be pointed elsewhere by a name server. */
    return ip_address_parse(host, &ip);
}

static void endpoint_serve_row(size_t row, struct admin *a, const struct http_request *request,
                               struct admin_answer *answer)
{
    if (endpoint_rows[row].ask)
        endpoint_rows[row].ask(a, request, answer);
    else
        endpoint_rows[row].serve(a, answer);
}

/* A browser says who asks; others do not (Fetch Metadata). Another port of the same host is another
 * program, and no page of ours. */
static bool endpoint_is_cross_site(const struct http_request *request)
{
    const struct http_header *site = http_headers_find(&request->headers, STR("sec-fetch-site"));

    return site && !str_eq(site->value, STR("same-origin")) && !str_eq(site->value, STR("none"));
}

static bool endpoint_serve_page(const struct http_request *request, struct admin_answer *answer)
{
    for (const struct page_file *f = page_files; f->path; f++) {
        if (!str_eq(request->path, str_of(f->path)))
            continue;
        answer->type = f->type;
        buf_append(&answer->body, f->bytes, f->n);
        return true;
    }
    return false;
}

void admin_endpoint_serve(struct admin_port *port, const struct http_request *request,
                          struct admin_answer *answer)
{
    if (!endpoint_host_is_ours(port, request)) {
        endpoint_refuse(answer, 421, "This host is not served here.");
        return;
    }
    if (endpoint_is_cross_site(request)) {
        endpoint_refuse(answer, 403,
                        "Other sites' pages are not answered: open this address by itself.");
        return;
    }
    if (request->method != HTTP_METHOD_GET && request->method != HTTP_METHOD_HEAD) {
        endpoint_refuse(answer, 405, "Only GET and HEAD are served here.");
        return;
    }
    for (size_t i = 0; i < N_ELEMENTS(endpoint_rows); i++) {
        if (str_eq(request->path, str_of(endpoint_rows[i].path)) &&
            (!port->is_probe || endpoint_rows[i].is_for_probe)) {
            endpoint_serve_row(i, port->admin, request, answer);
            return;
        }
    }
    if (port->is_probe || !endpoint_serve_page(request, answer))
        endpoint_refuse(answer, 404, "No such endpoint.");
}
