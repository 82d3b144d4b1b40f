/* The endpoints in one table, and the two gates before them: Host must be an address, a loopback
 * name or the bound address (else a page in a browser could reach the port by a name that it
 * controls), and the method must not change anything. */
#include "admin/endpoints.h"

#include "admin/explain/endpoint.h"
#include "policy/cidr.h"
#include "telemetry/metrics.h"

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

static void serve_metrics(struct admin *a, struct admin_answer *answer)
{
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

static void serve_index(struct admin *a, struct admin_answer *answer);

static const struct {
    const char *path;
    void (*serve)(struct admin *a, struct admin_answer *answer);
    bool is_for_probe;
    const char *text;
    /* In place of `serve`: what it says depends on what is asked. */
    void (*ask)(struct admin *a, const struct http_request *request, struct admin_answer *answer);
} endpoint_rows[] = {
    {"/", serve_index, false, "this list", NULL},
    {"/ready", serve_ready, true, "200 while requests are served, else 503 and what is missing",
     NULL},
    {"/healthz", serve_healthz, true, "200 while the process lives", NULL},
    {"/metrics", serve_metrics, true, "Prometheus metrics", NULL},
    {"/status", serve_status, false,
     "every object with its conditions, listeners, key sets, clusters (JSON)", NULL},
    {"/config", serve_config, false, "the compiled configuration that serves now (JSON)", NULL},
    {"/explain", NULL, false,
     "?request=POST%20http://host/path: what would become of that request, and why",
     admin_explain_serve},
};

static void serve_index(struct admin *a UNUSED, struct admin_answer *answer)
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

static void endpoint_refuse(struct admin_answer *answer, uint16_t status, const char *text)
{
    answer->status = status;
    buf_printf(&answer->body, "%s\n", text);
}

void admin_endpoint_serve(struct admin_port *port, const struct http_request *request,
                          struct admin_answer *answer)
{
    if (!endpoint_host_is_ours(port, request)) {
        endpoint_refuse(answer, 421, "This host is not served here.");
        return;
    }
    if (request->method != HTTP_METHOD_GET && request->method != HTTP_METHOD_HEAD) {
        endpoint_refuse(answer, 405, "Only GET and HEAD are served here.");
        return;
    }
    for (size_t i = 0; i < N_ELEMENTS(endpoint_rows); i++) {
        if (str_eq(request->path, str_of(endpoint_rows[i].path)) &&
            (!port->is_probe || endpoint_rows[i].is_for_probe)) {
            if (endpoint_rows[i].ask)
                endpoint_rows[i].ask(port->admin, request, answer);
            else
                endpoint_rows[i].serve(port->admin, answer);
            return;
        }
    }
    endpoint_refuse(answer, 404, "No such endpoint.");
}
