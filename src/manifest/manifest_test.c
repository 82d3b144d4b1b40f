/* Loading: kinds, versions, identity, duplicates, core objects, and the decoding of Gateway API
 * kinds with each mistake named at its place. */
#include "manifest/manifest.h"

#include "manifest/core.h"
#include "manifest/gateway.h"
#include "manifest/hostname.h"
#include "manifest/http_route.h"
#include "manifest/reference.h"
#include "test/harness/memory.h"
#include "test/harness/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

static struct manifest m;

static void load(const char *yaml)
{
    manifest_deinit(&m);
    CHECK_INT(manifest_load_bytes(&m, "t.yaml", str_of(yaml), NULL), 0);
}

static const struct diag *find_diag(enum diag_code code)
{
    VEC_FOREACH (&m.diags.items, d) {
        if (d->code == code)
            return d;
    }
    return NULL;
}

TEST(kind_table_is_complete)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        CHECK_INT(kinds[i].id, i);
        CHECK(kinds[i].table != NULL && kinds[i].name.len > 0 && kinds[i].object_size > 0);
        CHECK(kind_find(kinds[i].group, kinds[i].name) == &kinds[i]);
        CHECK(strlen(kinds[i].versions) > 0);
    }
    CHECK(kind_serves(&kinds[KIND_GATEWAY], STR("v1")));
    CHECK(kind_serves(&kinds[KIND_GATEWAY], STR("v1beta1")));
    CHECK(!kind_serves(&kinds[KIND_GATEWAY], STR("v1alpha1")));
}

TEST(manifest_finds_objects_by_identity)
{
    load("apiVersion: v1\nkind: Namespace\nmetadata: {name: n1, labels: {a: b}}\n---\n"
         "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: v}\n---\n"
         "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n"
         "  metadata: {name: d, namespace: n1, uid: u, "
         "creationTimestamp: 2024-01-02T03:04:05Z}\n");
    CHECK_INT(m.diags.n_errors, 0);
    CHECK_INT(m.objects.n, 3);
    const struct object *ns = manifest_get(&m, KIND_NAMESPACE, STR("ignored"), STR("n1"));
    const struct object *c = manifest_get(&m, KIND_CONFIG_MAP, STR("default"), STR("c"));
    const struct object *d = manifest_find(&m, STR(""), STR("ConfigMap"), STR("n1"), STR("d"));

    CHECK(ns && str_is_empty(ns->namespace));
    CHECK_STR(ns->label, "Namespace/n1");
    CHECK_STR(c->label, "ConfigMap/default/c");
    CHECK_STR(keeper_find(c, "k"), "v");
    CHECK_INT(d->creation_unix_s, 1704164645);
    CHECK(manifest_get(&m, KIND_SECRET, STR("n1"), STR("d")) == NULL);
    manifest_deinit(&m);
}

TEST(manifest_reports_duplicates)
{
    const struct diag *d;

    load("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n---\n"
         "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n---\n"
         "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: e}\n---\n"
         "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: e}\ndata: {a: b}\n");
    CHECK_INT(m.diags.n_notes, 1);
    CHECK_INT(m.diags.n_errors, 1);
    d = find_diag(DIAG_DUPLICATE_OBJECT);
    CHECK(d->severity == DIAG_NOTE && d->mark.line == 5 && d->other.line == 1);
    CHECK(!manifest_get(&m, KIND_CONFIG_MAP, STR("default"), STR("c"))->is_broken);
    CHECK(manifest_get(&m, KIND_CONFIG_MAP, STR("default"), STR("e"))->is_broken);
    manifest_deinit(&m);
}

TEST(manifest_sorts_out_kinds_that_it_does_not_read)
{
    static const struct {
        const char *yaml;
        enum diag_severity severity;
        enum diag_code code;
    } rows[] = {
        {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}", DIAG_NOTE,
         DIAG_NOT_FOR_GATEWAY},
        {"apiVersion: v1\nkind: Pod\nmetadata: {name: x}", DIAG_NOTE, DIAG_NOT_FOR_GATEWAY},
        {"apiVersion: gateway.networking.k8s.io/v1\nkind: TCPRoute\nmetadata: {name: x}",
         DIAG_WARNING, DIAG_UNSUPPORTED_FIELD},
        {"apiVersion: gateway.networking.k8s.io/v1\nkind: HttpRoute\nmetadata: {name: x}",
         DIAG_ERROR, DIAG_UNKNOWN_KIND},
        {"apiVersion: gateway.networking.k8s.io/v9\nkind: HTTPRoute\nmetadata: {name: x}",
         DIAG_ERROR, DIAG_UNKNOWN_KIND},
        {"apiVersion: v1\nmetadata: {name: x}", DIAG_ERROR, DIAG_MISSING_FIELD},
        {"just text", DIAG_ERROR, DIAG_MISSING_FIELD},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        load(rows[i].yaml);
        CHECK_MSG(m.diags.items.n == 1 && m.diags.items.items[0].code == rows[i].code &&
                      m.diags.items.items[0].severity == rows[i].severity,
                  "row %zu", i);
    }
    load(rows[3].yaml);
    CHECK_STR(m.diags.items.items[0].hint, "did you mean \"HTTPRoute\"?");
    manifest_deinit(&m);
}

TEST(manifest_isolates_objects_with_duplicate_keys)
{
    load("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\ndata: {}\n");
    CHECK(manifest_get(&m, KIND_CONFIG_MAP, STR("default"), STR("c"))->is_broken);
    manifest_deinit(&m);
}

TEST(secret_values_are_decoded_and_never_printed)
{
    const struct object *s;

    load("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
         "data: {a: aGVsbG8=, b: 'aGVs\n  bG8=', c: AAEC}\nstringData: {a: world}\n");
    CHECK_INT(m.diags.n_errors, 0);
    s = manifest_get(&m, KIND_SECRET, STR("default"), STR("s"));
    CHECK_STR(keeper_find(s, "a"), "world");
    CHECK_STR(keeper_find(s, "b"), "hello");
    CHECK_INT(keeper_find(s, "c").len, 3);
    load("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: hunter2-not-base64!}\n");
    CHECK_INT(m.diags.n_errors, 1);
    CHECK_STR(m.diags.items.items[0].path, "data.a");
    CHECK(str_find(m.diags.items.items[0].text, STR("hunter")) < 0);
    manifest_deinit(&m);
}

#define ROUTE_HEAD                                                                                 \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n"      \
    "  parentRefs: [{name: g}]\n"
#define GATEWAY_HEAD                                                                               \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec:\n"        \
    "  gatewayClassName: c\n"

/* One mistake each; the place is the path in the object. */
TEST(gateway_api_mistakes_are_named_by_path)
{
    static const struct {
        const char *yaml;
        const char *path;
        enum diag_code code;
    } rows[] = {
        {ROUTE_HEAD "  rules: [{matches: [{path: {value: nope}}]}]",
         "spec.rules[0].matches[0].path.value", DIAG_INVALID_VALUE},
        {ROUTE_HEAD "  rules: [{matches: [{path: {value: /a//b}}]}]",
         "spec.rules[0].matches[0].path.value", DIAG_INVALID_VALUE},
        {ROUTE_HEAD "  rules: [{matches: [{path: {value: /a%2Fb}}]}]",
         "spec.rules[0].matches[0].path.value", DIAG_INVALID_VALUE},
        {ROUTE_HEAD "  rules: [{matches: [{path: {type: RegularExpression, value: '('}}]}]",
         "spec.rules[0].matches[0].path.value", DIAG_INVALID_VALUE},
        {ROUTE_HEAD "  rules: [{matches: [{path: {type: Regex, value: /}}]}]",
         "spec.rules[0].matches[0].path.type", DIAG_INVALID_VALUE},
        {ROUTE_HEAD "  rules: [{matches: [{method: get}]}]", "spec.rules[0].matches[0].method",
         DIAG_INVALID_VALUE},
        {ROUTE_HEAD "  rules: [{matches: [{headers: [{name: 'a b', value: x}]}]}]",
         "spec.rules[0].matches[0].headers[0].name", DIAG_INVALID_VALUE},
        {ROUTE_HEAD "  rules: [{matches: [{headers: [{name: a}]}]}]",
         "spec.rules[0].matches[0].headers[0].value", DIAG_MISSING_FIELD},
        {ROUTE_HEAD "  hostnames: [UPPER.example.com]", "spec.hostnames[0]", DIAG_INVALID_VALUE},
        {ROUTE_HEAD "  hostnames: ['a.*.com']", "spec.hostnames[0]", DIAG_INVALID_VALUE},
        {ROUTE_HEAD "  hostnames: [10.0.0.1]", "spec.hostnames[0]", DIAG_INVALID_VALUE},
        {ROUTE_HEAD "  rules: [{filters: [{type: CORS}]}]", "spec.rules[0].filters[0].cors",
         DIAG_MISSING_FIELD},
        {ROUTE_HEAD "  rules: [{filters: [{type: RequestRedirect, requestRedirect: {statusCode: "
                    "200}}]}]",
         "spec.rules[0].filters[0].requestRedirect.statusCode", DIAG_INVALID_VALUE},
        {ROUTE_HEAD "  rules: [{backendRefs: [{name: s}]}]", "spec.rules[0].backendRefs[0].port",
         DIAG_MISSING_FIELD},
        {ROUTE_HEAD "  rules: [{backendRefs: [{name: s, port: 70000}]}]",
         "spec.rules[0].backendRefs[0].port", DIAG_OUT_OF_RANGE},
        {ROUTE_HEAD "  rules: [{backendRefs: [{name: s, port: 80, weight: 1000001}]}]",
         "spec.rules[0].backendRefs[0].weight", DIAG_OUT_OF_RANGE},
        {ROUTE_HEAD "  rules: [{timeouts: {request: 1s, backendRequest: 2s}}]",
         "spec.rules[0].timeouts.backendRequest", DIAG_OUT_OF_RANGE},
        {ROUTE_HEAD "  rules: [{name: a}, {name: a}]", "spec.rules", DIAG_CONFLICT},
        {ROUTE_HEAD "  rule: []", "spec", DIAG_UNKNOWN_FIELD},
        {GATEWAY_HEAD "  listeners: []", "spec.listeners", DIAG_MISSING_FIELD},
        {GATEWAY_HEAD "  listeners: [{name: a, port: 80, protocol: HTTP, tls: {}}]",
         "spec.listeners[0].tls", DIAG_INVALID_VALUE},
        {GATEWAY_HEAD "  listeners: [{name: a, port: 443, protocol: HTTPS}]",
         "spec.listeners[0].tls", DIAG_MISSING_FIELD},
        {GATEWAY_HEAD "  listeners: [{name: a, port: 443, protocol: HTTPS, tls: {}}]",
         "spec.listeners[0].tls.certificateRefs", DIAG_MISSING_FIELD},
        {GATEWAY_HEAD "  listeners: [{name: a, port: 80, protocol: HTTP}]\n"
                      "  addresses: [{value: nowhere}]",
         "spec.addresses[0].value", DIAG_INVALID_VALUE},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        const struct diag *d;

        load(rows[i].yaml);
        d = find_diag(rows[i].code);
        CHECK_MSG(d != NULL, "row %zu", i);
        CHECK_MSG(str_eq(d->path, str_of(rows[i].path)), "row %zu: %.*s", i, STR_ARG(d->path));
        CHECK_MSG(m.objects.items[0]->is_broken, "row %zu", i);
        CHECK_MSG(d->mark.line >= 4, "row %zu: line %u", i, d->mark.line);
    }
    manifest_deinit(&m);
}

TEST(http_route_defaults_are_filled_in)
{
    const struct http_route *r;

    load(ROUTE_HEAD);
    r = CONTAINER_OF(m.objects.items[0], struct http_route, object);
    CHECK_INT(r->spec.rules.n, 1);
    CHECK_INT(r->spec.rules.items[0].matches.n, 0);
    CHECK_STR(r->spec.parent_refs.items[0].kind, "Gateway");
    load(ROUTE_HEAD "  rules: [{matches: [{path: {}, headers: [{name: a, value: b}]}]}]");
    CHECK(!m.objects.items[0]->is_broken);
    r = CONTAINER_OF(m.objects.items[0], struct http_route, object);
    CHECK_INT(r->spec.rules.items[0].matches.items[0].path->type, PATH_PREFIX);
    CHECK_STR(r->spec.rules.items[0].matches.items[0].path->value, "/");
    CHECK_INT(r->spec.rules.items[0].matches.items[0].headers.items[0].type, VALUE_EXACT);
    CHECK_INT(r->spec.rules.items[0].matches.items[0].method, -1);
    manifest_deinit(&m);
}

TEST(grpc_route_names_and_filters_are_checked)
{
#define GRPC_HEAD                                                                                  \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {name: r}\nspec:\n"      \
    "  parentRefs: [{name: g}]\n"
    static const struct {
        const char *yaml;
        const char *path;
    } rows[] = {
        {GRPC_HEAD "  rules: [{matches: [{method: {}}]}]", "spec.rules[0].matches[0].method"},
        {GRPC_HEAD "  rules: [{matches: [{method: {service: 'a/b'}}]}]",
         "spec.rules[0].matches[0].method.service"},
        {GRPC_HEAD "  rules: [{matches: [{method: {service: '', method: ''}}]}]",
         "spec.rules[0].matches[0].method"},
        {GRPC_HEAD "  rules: [{matches: [{method: {service: 'a..b'}}]}]",
         "spec.rules[0].matches[0].method.service"},
        {GRPC_HEAD "  rules: [{matches: [{method: {service: 'a.'}}]}]",
         "spec.rules[0].matches[0].method.service"},
        {GRPC_HEAD "  rules: [{matches: [{method: {service: 'a.1b'}}]}]",
         "spec.rules[0].matches[0].method.service"},
        {GRPC_HEAD "  rules: [{matches: [{method: {service: '..'}}]}]",
         "spec.rules[0].matches[0].method.service"},
        {GRPC_HEAD "  rules: [{matches: [{method: {method: 'a.b'}}]}]",
         "spec.rules[0].matches[0].method.method"},
        {GRPC_HEAD "  rules: [{matches: [{method: {method: '1a'}}]}]",
         "spec.rules[0].matches[0].method.method"},
        {GRPC_HEAD "  rules: [{matches: [{method: {type: RegularExpression, method: '('}}]}]",
         "spec.rules[0].matches[0].method.method"},
        {GRPC_HEAD "  rules: [{filters: [{type: URLRewrite, urlRewrite: {}}]}]",
         "spec.rules[0].filters"},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        const struct diag *d = NULL;

        load(rows[i].yaml);
        VEC_FOREACH (&m.diags.items, item) {
            if (item->severity == DIAG_ERROR && str_eq(item->path, str_of(rows[i].path)))
                d = item;
        }
        CHECK_MSG(d != NULL, "row %zu", i);
    }
    load(GRPC_HEAD "  rules: [{matches: [{method: {service: a.b.C, method: D}},\n"
                   "    {method: {service: .a_1.B2}}, {method: {service: '', method: _d9}}]}]");
    CHECK(!m.objects.items[0]->is_broken);
    manifest_deinit(&m);
}

TEST(hostname_wildcards_meet_as_the_gateway_api_says)
{
    static const struct {
        const char *a, *b, *common; /* NULL: nothing in common */
    } rows[] = {
        {"", "", ""},
        {"", "a.com", "a.com"},
        {"a.com", "", "a.com"},
        {"a.com", "a.com", "a.com"},
        {"a.com", "b.com", NULL},
        {"*.a.com", "x.a.com", "x.a.com"},
        {"x.y.a.com", "*.a.com", "x.y.a.com"},
        {"*.a.com", "a.com", NULL},
        {"*.a.com", "xa.com", NULL},
        {"*.a.com", "*.x.a.com", "*.x.a.com"},
        {"*.a.com", "*.b.com", NULL},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct str common;
        bool is_met = hostname_intersect(str_of(rows[i].a), str_of(rows[i].b), &common);

        CHECK_MSG(is_met == (rows[i].common != NULL), "row %zu", i);
        if (is_met)
            CHECK_STR(common, rows[i].common);
    }
}

TEST(reference_names_every_kind_and_has_a_text_for_every_field)
{
    struct buf out AUTO(buf_deinit) = {0};

    reference_format(&out);
    for (size_t i = 0; i < KIND_COUNT; i++)
        CHECK(str_find(buf_str(&out), kinds[i].name) > 0);
    CHECK(str_find(buf_str(&out), STR("### http_route_rule")) > 0);
    CHECK(str_find(buf_str(&out), STR("(null)")) < 0);
}

/* ---- what is left in memory ---- */

enum { SECRET_BYTES = 600 };

static void write_secret(const char *path)
{
    char text[SECRET_BYTES + 256];
    int n = snprintf(text, sizeof text,
                     "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: ");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    test_secret_write(text + n, SECRET_BYTES);
    n += SECRET_BYTES;
    text[n++] = '}';
    CHECK(fd >= 0 && write(fd, text, (size_t)n) == n);
    close(fd);
    mem_wipe(text, sizeof text);
}

TEST(no_value_of_a_secret_is_left_in_memory_when_the_manifest_goes)
{
    char path[] = "/tmp/tollgate-secret-XXXXXX.yaml";
    const char *const paths[] = {path};
    int fd;

    if (!test_memory_begin())
        return;
    fd = mkstemps(path, 5);
    CHECK(fd >= 0);
    close(fd);
    write_secret(path);
    manifest_deinit(&m);
    CHECK_INT(manifest_load(&m, paths, 1, NULL), 0);
    CHECK_INT(keeper_find(manifest_get(&m, KIND_SECRET, STR("default"), STR("s")), "key").len,
              SECRET_BYTES);
    CHECK(test_secret_count(SECRET_BYTES) > 0); /* it can be found while it is in use */
    manifest_deinit(&m);
    CHECK_INT(test_secret_count(SECRET_BYTES), 0);
    unlink(path);
}
