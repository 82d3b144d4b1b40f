/* See columns.h. What is not known is "<unknown>", as kubectl has it: files say no age, unless
 * metadata.creationTimestamp stands in them. */
#include "app/objects/columns.h"

#include "app/objects/text.h"
#include "base/clock.h"

enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400, YEAR_S = 365 * 86400 };

#define PATH(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct str text_at(const struct shown *s, const char *const *path)
{
    const struct node *node = shown_find(s->object, path);

    return node && node->type == NODE_SCALAR && !node_is_null(node) ? node->text : STR_NULL;
}

static void append_or(struct buf *out, struct str text, const char *otherwise)
{
    buf_append_str(out, text.len > 0 ? text : str_of(otherwise));
}

/* The texts at `key` (NULL: the items themselves) of a list, with commas between. */
static void append_list(struct buf *out, const struct node *list, const char *key)
{
    const char *before = "";

    for (size_t i = 0; list && list->type == NODE_LIST && i < list->n; i++) {
        const struct node *item = key ? node_find(list->items[i], key) : list->items[i];

        if (!item || item->type != NODE_SCALAR)
            continue;
        buf_printf(out, "%s%.*s", before, STR_ARG(item->text));
        before = ",";
    }
}

/* ---- of every kind ---- */

void column_append_age(struct buf *out, int64_t s)
{
    s = MAX(s, (int64_t)0);
    if (s < 2 * MINUTE_S)
        buf_printf(out, "%llds", (long long)s);
    else if (s < 10 * MINUTE_S && s % MINUTE_S > 0)
        buf_printf(out, "%lldm%llds", (long long)(s / MINUTE_S), (long long)(s % MINUTE_S));
    else if (s < 3 * HOUR_S)
        buf_printf(out, "%lldm", (long long)(s / MINUTE_S));
    else if (s < 8 * HOUR_S && s / MINUTE_S % 60 > 0)
        buf_printf(out, "%lldh%lldm", (long long)(s / HOUR_S), (long long)(s / MINUTE_S % 60));
    else if (s < 2 * DAY_S)
        buf_printf(out, "%lldh", (long long)(s / HOUR_S));
    else if (s < 8 * DAY_S && s / HOUR_S % 24 > 0)
        buf_printf(out, "%lldd%lldh", (long long)(s / DAY_S), (long long)(s / HOUR_S % 24));
    else if (s < 2 * YEAR_S)
        buf_printf(out, "%lldd", (long long)(s / DAY_S));
    else if (s < 8 * YEAR_S && s / DAY_S % 365 > 0)
        buf_printf(out, "%lldy%lldd", (long long)(s / YEAR_S), (long long)(s / DAY_S % 365));
    else
        buf_printf(out, "%lldy", (long long)(s / YEAR_S));
}

static void column_age(struct buf *out, const struct shown *s, int64_t now_unix_s)
{
    struct str created = text_at(s, PATH("metadata", "creationTimestamp"));
    int64_t unix_s;

    if (created.len > 0 && clock_parse_rfc3339(created.ptr, created.len, &unix_s))
        column_append_age(out, now_unix_s - unix_s);
    else
        buf_printf(out, "<unknown>");
}

struct status_walk {
    struct str reason;
    bool is_bad;
};

/* Listeners of a Gateway are judged by the Gateway's own condition. */
static void status_on_condition(void *ctx, struct str about, const struct node *condition)
{
    struct status_walk *w = ctx;
    bool is_good = str_eq(node_text(condition, "status"),
                          str_eq(node_text(condition, "type"), STR("Conflicted")) ? STR("False")
                                                                                  : STR("True"));

    if (w->is_bad || str_starts_with(about, STR("Listener/")))
        return;
    if (!is_good || w->reason.len == 0)
        w->reason = node_text(condition, "reason");
    w->is_bad = !is_good;
}

void column_append_status(struct buf *out, const struct shown *s)
{
    struct status_walk w = {0};

    shown_each_condition(s, status_on_condition, &w);
    append_or(out, w.reason, "<none>");
}

static void column_status(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    column_append_status(out, s);
}

static void column_place(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    append_or(out, s->place, "<unknown>");
}

/* The status of one condition of the object itself: "True", "False". */
static void append_condition(struct buf *out, const struct shown *s, const char *type)
{
    const struct node *list = shown_find(s->object, PATH("status", "conditions"));

    for (size_t i = 0; list && list->type == NODE_LIST && i < list->n; i++) {
        if (!str_eq(node_text(list->items[i], "type"), str_of(type)))
            continue;
        buf_append_str(out, node_text(list->items[i], "status"));
        return;
    }
    buf_printf(out, "Unknown");
}

/* ---- Gateway API ---- */

static void column_controller(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    buf_append_str(out, text_at(s, PATH("spec", "controllerName")));
}

static void column_accepted(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    append_condition(out, s, "Accepted");
}

static void column_description(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    buf_append_str(out, text_at(s, PATH("spec", "description")));
}

static void column_class(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    buf_append_str(out, text_at(s, PATH("spec", "gatewayClassName")));
}

static void column_address(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    append_list(out, shown_find(s->object, PATH("status", "addresses")), "value");
}

static void column_programmed(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    append_condition(out, s, "Programmed");
}

/* ["a.example.com","b.example.com"]: kubectl shows the list as it is. */
static void column_hostnames(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    const struct node *list = shown_find(s->object, PATH("spec", "hostnames"));
    const char *before = "[";

    if (!list || list->type != NODE_LIST || list->n == 0)
        return;
    for (size_t i = 0; i < list->n; i++) {
        buf_printf(out, "%s", before);
        text_append_quoted(out, list->items[i]->text);
        before = ",";
    }
    buf_append_char(out, ']');
}

/* Envoy AI Gateway has a condition of its own for what is not accepted. */
static void column_ai_status(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    struct status_walk w = {0};

    shown_each_condition(s, status_on_condition, &w);
    if (w.reason.len > 0)
        buf_printf(out, w.is_bad ? "NotAccepted" : "Accepted");
}

/* ---- Kubernetes' own ---- */

static void column_active(struct buf *out, const struct shown *s UNUSED, int64_t now_unix_s UNUSED)
{
    buf_printf(out, "Active");
}

static void column_service_type(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    append_or(out, text_at(s, PATH("spec", "type")), "ClusterIP");
}

static void column_cluster_ip(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    append_or(out, text_at(s, PATH("spec", "clusterIP")), "<none>");
}

static void column_external_ip(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    const struct node *list = shown_find(s->object, PATH("spec", "externalIPs"));

    if (list && list->type == NODE_LIST && list->n > 0)
        append_list(out, list, NULL);
    else
        append_or(out, text_at(s, PATH("spec", "externalName")), "<none>");
}

static void column_ports(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    const struct node *list = shown_find(s->object, PATH("spec", "ports"));
    const char *before = "";

    if (!list || list->type != NODE_LIST || list->n == 0)
        buf_printf(out, "<none>");
    for (size_t i = 0; list && list->type == NODE_LIST && i < list->n; i++) {
        struct str node_port = node_text(list->items[i], "nodePort");

        buf_printf(out, "%s%.*s%s%.*s/", before, STR_ARG(node_text(list->items[i], "port")),
                   node_port.len > 0 ? ":" : "", STR_ARG(node_port));
        append_or(out, node_text(list->items[i], "protocol"), "TCP");
        before = ",";
    }
}

/* "a=b,c=d" */
static void column_selector(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    const struct node *map = shown_find(s->object, PATH("spec", "selector"));
    const char *before = "";

    if (!map || map->type != NODE_MAP || map->n == 0)
        buf_printf(out, "<none>");
    for (size_t i = 0; map && map->type == NODE_MAP && i < map->n; i++) {
        buf_printf(out, "%s%.*s=%.*s", before, STR_ARG(map->entries[i].key),
                   STR_ARG(map->entries[i].value->text));
        before = ",";
    }
}

static void column_address_type(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    buf_append_str(out, text_at(s, PATH("addressType")));
}

static void column_slice_ports(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    size_t before = out->len;

    append_list(out, shown_find(s->object, PATH("ports")), "port");
    if (out->len == before)
        buf_printf(out, "<unset>");
}

static void column_endpoints(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    const struct node *list = shown_find(s->object, PATH("endpoints"));
    size_t before = out->len;

    for (size_t i = 0; list && list->type == NODE_LIST && i < list->n; i++) {
        if (out->len > before)
            buf_append_char(out, ',');
        append_list(out, node_find(list->items[i], "addresses"), NULL);
    }
    if (out->len == before)
        buf_printf(out, "<unset>");
}

static void column_secret_type(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    append_or(out, text_at(s, PATH("type")), "Opaque");
}

/* How many values a Secret or ConfigMap has. */
static void column_data(struct buf *out, const struct shown *s, int64_t now_unix_s UNUSED)
{
    static const char *const keys[] = {"data", "stringData", "binaryData"};
    size_t n = 0;

    for (size_t i = 0; i < N_ELEMENTS(keys); i++) {
        const struct node *map = node_find(s->object, keys[i]);

        n += map && map->type == NODE_MAP ? map->n : 0;
    }
    buf_append_u64(out, n);
}

/* ---- tables ---- */

#define AGE                                                                                        \
    {                                                                                              \
        "AGE", column_age, false                                                                   \
    }
#define STATUS                                                                                     \
    {                                                                                              \
        "STATUS", column_status, false                                                             \
    }
#define WIDE {"STATUS", column_status, true}, WIDE_PLACE
#define WIDE_PLACE                                                                                 \
    {"FILE", column_place, true},                                                                  \
    {                                                                                              \
        NULL, NULL, false                                                                          \
    }

static const struct column class_columns[] = {{"CONTROLLER", column_controller, false},
                                              {"ACCEPTED", column_accepted, false},
                                              AGE,
                                              {"DESCRIPTION", column_description, true},
                                              WIDE_PLACE};
static const struct column gateway_columns[] = {{"CLASS", column_class, false},
                                                {"ADDRESS", column_address, false},
                                                {"PROGRAMMED", column_programmed, false},
                                                AGE,
                                                WIDE};
static const struct column route_columns[] = {{"HOSTNAMES", column_hostnames, false}, AGE, WIDE};
static const struct column plain_columns[] = {AGE, WIDE};
static const struct column status_columns[] = {STATUS, AGE, WIDE_PLACE};
static const struct column ai_columns[] = {
    {"STATUS", column_ai_status, false}, {"REASON", column_status, true}, WIDE_PLACE};
static const struct column namespace_columns[] = {
    {"STATUS", column_active, false}, AGE, WIDE_PLACE};
static const struct column service_columns[] = {{"TYPE", column_service_type, false},
                                                {"CLUSTER-IP", column_cluster_ip, false},
                                                {"EXTERNAL-IP", column_external_ip, false},
                                                {"PORT(S)", column_ports, false},
                                                AGE,
                                                {"SELECTOR", column_selector, true},
                                                WIDE_PLACE};
static const struct column slice_columns[] = {{"ADDRESSTYPE", column_address_type, false},
                                              {"PORTS", column_slice_ports, false},
                                              {"ENDPOINTS", column_endpoints, false},
                                              AGE,
                                              WIDE_PLACE};
static const struct column secret_columns[] = {
    {"TYPE", column_secret_type, false}, {"DATA", column_data, false}, AGE, WIDE_PLACE};
static const struct column config_map_columns[] = {{"DATA", column_data, false}, AGE, WIDE_PLACE};

const struct column *columns_of(enum kind_id id)
{
    static const struct column *const rows[KIND_COUNT] = {
        [KIND_GATEWAY_CLASS] = class_columns,
        [KIND_GATEWAY] = gateway_columns,
        [KIND_HTTP_ROUTE] = route_columns,
        [KIND_GRPC_ROUTE] = route_columns,
        [KIND_BACKEND_TLS_POLICY] = status_columns,
        [KIND_BACKEND] = status_columns,
        [KIND_SECURITY_POLICY] = status_columns,
        [KIND_BACKEND_TRAFFIC_POLICY] = status_columns,
        [KIND_CLIENT_TRAFFIC_POLICY] = status_columns,
        [KIND_BACKEND_SECURITY_POLICY] = status_columns,
        [KIND_AI_GATEWAY_ROUTE] = ai_columns,
        [KIND_AI_SERVICE_BACKEND] = ai_columns,
        [KIND_AI_BACKEND_SECURITY_POLICY] = ai_columns,
        [KIND_NAMESPACE] = namespace_columns,
        [KIND_SERVICE] = service_columns,
        [KIND_ENDPOINT_SLICE] = slice_columns,
        [KIND_SECRET] = secret_columns,
        [KIND_CONFIG_MAP] = config_map_columns,
    };

    return rows[id] ? rows[id] : plain_columns;
}
