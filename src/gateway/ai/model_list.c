/* See model_list.h. A model is listed when a chat request for it, with these very credentials,
 * would find a rule and pass its layers and its authorization: the same lookup and the same
 * judgement as for the request itself, once per model that the listener's AIGatewayRoutes name. The
 * request that is asked about starts from what the client sent: whatever rule took the list has
 * left nothing on it. Where a rule took it, the list may only be sent once that rule's layers have
 * passed. Worker-local. */
#include "gateway/ai/model_list.h"

#include "gateway/answer.h"
#include "gateway/layer/layer_forecast.h"
#include "gateway/worker.h"
#include "policy/route_cursor.h"

/* The request that is asked about. */
struct model_probe {
    struct exchange *x;
    struct http_request request; /* by which routes are found: without late headers */
    struct http_request judged;  /* the same with those of one candidate's authentication */
    struct layer_forecast layers;
    struct str model;
};

bool model_list_is_asked(const struct exchange *x, const struct route_match *match)
{
    const struct rule_plan *rule = match ? match->rule : NULL;

    return x->endpoint == AI_ENDPOINT_MODELS && x->listener->has_ai_routes &&
           (!rule || rule->is_ai ||
            (match->path_kind == ROUTE_PATH_PREFIX && match->path.len == 0));
}

static struct str probe_late_value(void *context, uint32_t auth_group, struct str name)
{
    struct model_probe *p = context;
    const struct verdict *v = exchange_verdict(p->x, auth_group);

    if (!v)
        return STR_NULL;
    return header_is_model(name) ? p->model : http_headers_joined(&v->headers, name);
}

/* The list's headers as they were before `route` added those of its own rule. */
static struct http_headers probe_own_headers(struct exchange *x)
{
    struct http_headers h = http_headers_copy(&x->request.headers, &x->arena);
    uint16_t n_kept = 0;

    for (uint16_t i = 0; i < h.n; i++) {
        if (!listener_plan_is_late(x->listener, h.items[i].name))
            h.items[n_kept++] = h.items[i];
    }
    h.n = n_kept;
    return h;
}

static void probe_add_headers(struct model_probe *p, const struct verdict *v,
                              struct http_headers *to)
{
    for (uint16_t i = 0; i < v->headers.n; i++)
        http_headers_add(to, v->headers.items[i].name, v->headers.items[i].value);
    http_headers_add_id(to, HEADER_X_AI_EG_MODEL, p->model);
    http_headers_add_id(to, HEADER_X_MODEL, p->model);
}

/* The headers that this verdict leaves on a request for the model: its lists are made anew for each
 * question in the same place. */
static void probe_set_headers(struct model_probe *p, const struct verdict *v,
                              struct http_headers *late)
{
    const struct http_headers *own = &p->request.headers;
    struct http_headers *all = &p->judged.headers;

    late->n = all->n = 0;
    for (uint16_t i = 0; i < own->n; i++)
        http_headers_add(all, own->items[i].name, own->items[i].value);
    probe_add_headers(p, v, late);
    probe_add_headers(p, v, all);
}

static bool probe_is_authorized(struct model_probe *p, const struct rule_plan *rule,
                                const struct verdict *v)
{
    struct authorize_input input = {
        .request = &p->judged,
        .client = &p->x->client.address,
        .provider = v->provider,
        .claims = v->claims,
    };

    if (v->refusal != REFUSAL_NONE || rule->is_broken)
        return false;
    if (rule->security && rule->security->is_unavailable)
        return false;
    if (!layer_forecast_passes(&p->layers, rule->layers, v, &p->judged))
        return false;
    return !rule->security || !rule->security->authorization ||
           authorization_decide(rule->security->authorization, &input).verdict == AUTHORIZE_ALLOW;
}

static bool probe_may_reach(struct model_probe *p, struct http_headers *late)
{
    const struct route_match *match;
    struct route_cursor cursor;

    route_cursor_init(&cursor, p->x->listener->routes, &p->request, true);
    route_cursor_set_late(&cursor, probe_late_value, p);
    while (route_cursor_next(&cursor, &match) == ROUTE_CANDIDATE) {
        const struct verdict *v = exchange_verdict(p->x, match->auth_group);

        if (!v)
            return false;
        probe_set_headers(p, v, late);
        if (route_match_late(match, late) == REGEX_HIT)
            return probe_is_authorized(p, match->rule, v);
    }
    return false;
}

/* ---- the text ---- */

static void list_add_openai(struct buf *text, const struct model_plan *m)
{
    buf_append_str(text, STR("{\"id\":"));
    buf_append_json(text, m->name);
    buf_printf(
        text, ",\"object\":\"model\",\"created\":%lld,\"owned_by\":", (long long)m->created_unix_s);
    buf_append_json(text, m->owned_by);
    buf_append_char(text, '}');
}

static void list_add_anthropic(struct buf *text, const struct model_plan *m)
{
    char created[25];

    clock_format_iso(m->created_unix_s * 1000000, created);
    buf_append_str(text, STR("{\"type\":\"model\",\"id\":"));
    buf_append_json(text, m->name);
    buf_append_str(text, STR(",\"display_name\":"));
    buf_append_json(text, m->name);
    buf_printf(text, ",\"created_at\":\"%s\"}", created);
}

static struct str list_format(struct exchange *x, const struct model_plan *const *models, size_t n)
{
    bool is_anthropic = http_headers_value(&x->request.headers, STR("anthropic-version")).len > 0;
    struct buf text = {0};
    struct str copy;

    buf_append_str(&text,
                   is_anthropic ? STR("{\"data\":[") : STR("{\"object\":\"list\",\"data\":["));
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_append_char(&text, ',');
        (is_anthropic ? list_add_anthropic : list_add_openai)(&text, models[i]);
    }
    if (!is_anthropic) {
        buf_append_str(&text, STR("]}\n"));
    } else {
        buf_append_str(&text, STR("],\"has_more\":false,\"first_id\":"));
        n > 0 ? buf_append_json(&text, models[0]->name) : buf_append_str(&text, STR("null"));
        buf_append_str(&text, STR(",\"last_id\":"));
        n > 0 ? buf_append_json(&text, models[n - 1]->name) : buf_append_str(&text, STR("null"));
        buf_append_str(&text, STR("}\n"));
    }
    copy = arena_str(&x->arena, buf_str(&text));
    buf_deinit(&text);
    return copy;
}

void model_list_make(struct exchange *x)
{
    const struct listener_plan *l = x->listener;
    struct model_probe p = {.x = x, .request = x->request};
    const struct model_plan **found =
        ARENA_ARRAY(&x->arena, const struct model_plan *, l->models.n + 1);
    struct http_headers late;
    size_t n = 0;

    http_headers_init(&late, &x->arena);
    p.request.method = HTTP_METHOD_POST;
    p.request.method_text = STR("POST");
    p.request.path = ai_endpoint_row(AI_ENDPOINT_CHAT_COMPLETIONS)->path;
    p.request.headers = probe_own_headers(x);
    p.judged = p.request;
    http_headers_init(&p.judged.headers, &x->arena);
    layer_forecast_init(&p.layers, x, x->rule ? x->rule->layers : NULL);
    VEC_FOREACH (&l->models, m) {
        p.model = m->name;
        if (probe_may_reach(&p, &late))
            found[n++] = m;
    }
    layer_forecast_done(&p.layers);
    x->model_list = list_format(x, found, n);
}

enum step_result model_list_answer(struct exchange *x)
{
    return answer_text(x, 200, STR("application/json"), x->model_list);
}
