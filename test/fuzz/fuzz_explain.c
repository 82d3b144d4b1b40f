/* Fuzz target of explanations: the first byte says how it is asked (of a running gateway or of
 * files, as JSON or text), then come a request line, header lines, an empty line and content, as
 * somebody might write them; or the same is asked by the headers of the admin port, the content
 * with escapes, which must be told the same; or a query and header lines of that port come as they
 * are. Beyond not crashing: what comes back is a document, or lines that a terminal may show; it
 * holds no secret that was not asked about; and nothing is left of it, neither at the backends nor
 * in the counts of limits. */
#include "admin/admin.h"
#include "admin/endpoints.h"
#include "admin/explain/endpoint.h"
#include "admin/explain/explain.h"
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/compile/compile_pass.h"
#include "test/fuzz/exchange/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
struct clock __wrap_clock_read(void);
uint64_t __wrap_clock_coarse_us(void);

enum {
    IS_LIVE = 1,
    IS_JSON = 2,
    IS_FAR = 4,
    WAYS = 0x60,
    WAY_HEADERS = 0x40, /* "@" to "G": as `tollgate explain` asks a running gateway */
    WAY_RAW = 0x60,     /* "`" to "g": a query, then lines of headers */
    CONTENT_MAX = 1 << 20,
};

static const struct clock fuzz_now = {1000000, INT64_C(1767225600) * 1000000};

/* Who may call, by a token whose keys are not there, a password, and an address. */
static const char more[] =
    "---\n"
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: who, namespace: "
    "play}, spec: {parentRefs: [{name: front}], rules: [{matches: [{path: {value: /who}}, {path: "
    "{value: /me}, headers: [{name: x-tenant, value: a}]}], backendRefs: [{group: "
    "gateway.envoyproxy.io, kind: Backend, name: plain}]}]}}\n---\n"
    "{apiVersion: v1, kind: Secret, metadata: {name: users, namespace: play}, stringData: "
    "{.htpasswd: \"bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\"}}\n---\n"
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: pass, namespace: "
    "play}, spec: {parentRefs: [{name: front}], rules: [{matches: [{path: {value: /pass}}], "
    "backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: plain}]}]}}\n---\n"
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: SecurityPolicy, metadata: {name: pass, "
    "namespace: play}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, "
    "name: pass}], basicAuth: {users: {name: users}}}}\n---\n"
    "{apiVersion: gateway.envoyproxy.io/v1alpha1, kind: SecurityPolicy, metadata: {name: who, "
    "namespace: play}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, "
    "name: who}], jwt: {providers: [{name: p, issuer: i, remoteJWKS: {uri: "
    "\"http://127.0.0.1:9/keys\"}, claimToHeaders: [{claim: tenant, header: x-tenant}]}]}, "
    "authorization: {defaultAction: Deny, rules: [{name: r, action: Allow, principal: {jwt: "
    "{provider: p, claims: [{name: tenant, values: [a, b]}]}}}, {action: Deny, principal: "
    "{clientCIDRs: [10.0.0.0/8]}}]}}}\n";

static struct {
    struct loop loop;
    struct server server;
    struct admin admin;
} here;

struct clock __wrap_clock_read(void)
{
    return fuzz_now;
}

uint64_t __wrap_clock_coarse_us(void)
{
    return fuzz_now.mono_us;
}

static void here_build(void)
{
    static const struct server_options options = {.n_workers = 1,
                                                  .cluster_domain = {"cluster.local", 13}};
    struct manifest *m = MEM_NEW(struct manifest);
    struct compile_input input = {.options = &options,
                                  .clusters = &here.server.clusters,
                                  .feeds = &here.server.feeds,
                                  .limits = &here.server.limits.store};
    struct buf text = {0};

    log_set_level(LOG_ERROR);
    buf_append_str(&text, world_manifests[0]);
    buf_append_str(&text, str_of(more));
    if (loop_init(&here.loop) < 0 || server_init(&here.server, &here.loop, &options) < 0 ||
        manifest_load_bytes(m, "fuzz.yaml", buf_str(&text), NULL) != 0 ||
        compile_pass(&input, m, &here.server.current) != 0 || m->diags.n_errors > 0)
        UNREACHABLE();
    snapshot_publish(here.server.current);
    admin_init(&here.admin, &here.server);
    buf_deinit(&text);
}

/* Nothing is under way at any backend, and nobody holds the configuration. */
static void here_check(void)
{
    LIST_FOREACH (&here.server.clusters.clusters, node) {
        const struct cluster *c = CONTAINER_OF(node, struct cluster, node);

        ASSERT(bounded_count_get(&c->backend->breaker.connections) == 0);
        ASSERT(bounded_count_get(&c->backend->breaker.requests) == 0);
        ASSERT(bounded_count_get(&c->backend->breaker.retries) == 0);
        for (uint32_t i = 0; i < c->endpoints->n; i++)
            ASSERT(atomic_load(&c->endpoints->items[i].state->n_in_flight) == 0);
    }
    ASSERT(atomic_load(&here.server.current->n_workers) == 0);
}

/* Whatever is counted would be told here (limit_memory_share). */
static void told_nothing(void *ctx UNUSED, const struct limit_move *move UNUSED)
{
    UNREACHABLE();
}

static bool question_of(struct str text, struct question *q)
{
    struct buf why = {0};
    struct str line;
    bool is_ok = str_split(&text, '\n', &line) && question_read(q, line, &why) == 0;

    while (is_ok && str_split(&text, '\n', &line) && line.len > 0)
        is_ok = question_add_header(q, line, &why) == 0;
    q->has_body = text.ptr && text.len > 0;
    q->body = q->has_body ? str_slice(text, 0, CONTENT_MAX) : STR("");
    buf_deinit(&why);
    return is_ok;
}

/* Past the string that begins at `i`: nothing in it ends it early, or is a control character. */
static size_t skip_string(struct str out, size_t i)
{
    for (i++; i < out.len && out.ptr[i] != '"'; i++) {
        ASSERT((unsigned char)out.ptr[i] >= ' ');
        if (out.ptr[i] == '\\')
            i++;
    }
    ASSERT(i < out.len);
    return i + 1;
}

/* One object, its brackets in order, and nothing but words, numbers and strings in it. */
static void check_json(struct str out)
{
    char open[64];
    size_t depth = 0;
    size_t i = 0;

    do {
        char c = out.ptr[i];

        if (c == '"') {
            i = skip_string(out, i);
            continue;
        }
        ASSERT(strchr("{}[]:,truefalsn0123456789", c));
        if (c == '{' || c == '[') {
            ASSERT(depth < sizeof open);
            open[depth++] = c;
        } else if (c == '}' || c == ']') {
            ASSERT(depth > 0 && open[--depth] == (c == '}' ? '{' : '['));
        }
        i++;
    } while (depth > 0 && i < out.len);
    ASSERT(depth == 0 && str_eq(str_slice(out, i, out.len), STR("\n")));
    ASSERT(str_find(out, STR("\"decision\":{")) >= 0);
}

static void check_output(struct str out, bool is_json)
{
    if (is_json) {
        check_json(out);
        return;
    }
    for (size_t i = 0; i < out.len; i++)
        ASSERT(out.ptr[i] == '\n' || (out.ptr[i] >= ' ' && out.ptr[i] < 0x7f));
    ASSERT(str_find(out, STR("\ndecision:\n")) >= 0);
}

/* ---- by the admin port ---- */

static void ask(struct str query, const struct http_headers *headers, struct admin_answer *answer)
{
    struct http_request request = {
        .method = HTTP_METHOD_GET, .path = STR("/explain"), .query = query, .headers = *headers};

    *answer = (struct admin_answer){.status = 200, .type = ADMIN_TEXT};
    admin_explain_serve(&here.admin, &request, answer);
    if (answer->status == 200)
        check_output(buf_str(&answer->body), str_eq(str_of(answer->type), STR("application/json")));
    else
        ASSERT(answer->status == 400 || answer->status == 404);
}

/* What another draw may turn out otherwise is not the same twice. */
static bool is_of_chance(struct str out)
{
    return str_find(out, STR("another request like it")) >= 0;
}

/* The question in headers, every byte of its content escaped. */
static void ask_in_headers(const struct question *q, struct str request, struct str out, int r)
{
    struct buf query = {0}, content = {0};
    struct http_headers headers;
    struct admin_answer answer;
    struct arena a;

    arena_init(&a, 4096);
    http_headers_init(&headers, &a);
    http_headers_add(&headers, STR("x-explain-request"), request);
    for (uint32_t i = 0; i < q->n_headers; i++)
        http_headers_add(&headers, STR("x-explain-header"),
                         arena_printf(&a, "%.*s: %.*s", STR_ARG(q->headers[i].name),
                                      STR_ARG(q->headers[i].value)));
    for (size_t i = 0; i < q->body.len; i++)
        buf_printf(&content, i % 3 == 1 ? "%%%02x" : "%%%02X", (unsigned char)q->body.ptr[i]);
    if (q->has_body)
        http_headers_add(&headers, STR("x-explain-body-encoded"), buf_str(&content));
    buf_printf(&query, "format=%s%s", q->is_json ? "json" : "text",
               q->from.is_valid ? "&from=10.1.2.3" : "");
    ask(buf_str(&query), &headers, &answer);
    ASSERT(answer.status == (r == 0 ? 200 : 404));
    ASSERT(r != 0 || is_of_chance(out) || str_eq(buf_str(&answer.body), out));
    buf_deinit(&answer.body);
    buf_deinit(&query);
    buf_deinit(&content);
    arena_deinit(&a);
}

/* As it came; names in lower case, as a codec has them. */
static void ask_raw(struct str text)
{
    struct http_headers headers;
    struct admin_answer answer;
    struct str query, line;
    struct arena a;

    arena_init(&a, 4096);
    http_headers_init(&headers, &a);
    if (!str_split(&text, '\n', &query))
        query = STR("");
    while (str_split(&text, '\n', &line) && headers.n < QUESTION_HEADERS_MAX) {
        ssize_t colon = str_find_char(line, ':', 0);
        size_t n = colon < 0 ? line.len : (size_t)colon;

        http_headers_add(&headers, arena_lower(&a, str_slice(line, 0, n)),
                         str_trim(str_slice(line, n + 1, line.len)));
    }
    ask(query, &headers, &answer);
    ASSERT(str_find(buf_str(&answer.body), STR("key-of-alice")) < 0 ||
           str_find(text, STR("alice")) >= 0 || str_find_char(text, '%', 0) >= 0);
    buf_deinit(&answer.body);
    arena_deinit(&a);
}

/* ---- directly ---- */

static void ask_directly(const uint8_t flags, struct str text)
{
    static struct question q;
    struct explain_options options = {.is_live = flags & IS_LIVE};
    struct buf out = {0}, why = {0};
    struct str rest = text, request;
    int r;

    memset(&q, 0, sizeof q);
    q.is_json = flags & IS_JSON;
    if ((flags & IS_FAR) && !ip_address_parse(STR("10.1.2.3"), &q.from))
        UNREACHABLE();
    if (!question_of(text, &q))
        return;
    r = explain(&here.server, &options, &q, &out, &why);
    ASSERT(r == 0 || r == EXPLAIN_NO_PORT);
    if (r == 0)
        check_output(buf_str(&out), q.is_json);
    ASSERT(str_find(buf_str(&out), STR("key-of-alice")) < 0 || str_find(text, STR("alice")) >= 0 ||
           str_find_char(text, '%', 0) >= 0);
    if ((flags & WAYS) == WAY_HEADERS && options.is_live && str_split(&rest, '\n', &request))
        ask_in_headers(&q, request, buf_str(&out), r);
    buf_deinit(&out);
    buf_deinit(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str text;

    if (size == 0)
        return 0;
    if (!here.server.loop) {
        here_build();
        limit_memory_share(&here.server.limits, 1, told_nothing, NULL);
    }
    text = str_make(bytes + 1, size - 1);
    if ((bytes[0] & WAYS) == WAY_RAW)
        ask_raw(text);
    else
        ask_directly(bytes[0], text);
    here_check();
    return 0;
}
