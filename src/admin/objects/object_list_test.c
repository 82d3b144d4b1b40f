/* What is shown of objects, and above all what is not: a manifest with a secret at each place where
 * one may stand, and the lists of every kind's status. */
#include "admin/objects/object_list.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "test/harness/test.h"

static struct manifest *load(const char *text)
{
    struct manifest *m = MEM_NEW(struct manifest);

    CHECK(manifest_load_bytes(m, "test.yaml", str_of(text), NULL) == 0);
    return m;
}

static char *shown(const struct manifest *m, const char *query)
{
    struct object_query q;
    struct buf out = {0};

    object_query_parse(str_of(query), &q);
    CHECK(object_list_format(m, NULL, &q, &out) == 0);
    buf_append_char(&out, '\0');
    return out.ptr;
}

static void unload(struct manifest *m)
{
    manifest_deinit(m);
    mem_free(m);
}

#define SECRET "hunter2"

TEST(no_secret_is_shown_wherever_it_stands)
{
    static const char *const rows[] = {
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {name: " SECRET ", value: " SECRET
        "}\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {name: " SECRET "}\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstrngData: {a: " SECRET "}\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: [" SECRET "]\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: " SECRET "\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, annotations: {a: " SECRET "}}\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, managedFields: [{a: " SECRET "}]}\n",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstatus: {a: " SECRET "}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, annotations: "
        "{kubectl.kubernetes.io/last-applied-configuration: '{\"a\":\"" SECRET "\"}'}}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: 'u:{SHA}" SECRET "'}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: 'u:$2y$10$" SECRET "'}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {api-token: " SECRET "}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: '-----BEGIN PRIVATE "
        "KEY-----" SECRET "'}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: "
        "'{\"kty\":\"oct\",\"k\":\"" SECRET "\"}'}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: "
        "eyJhbGciOiJub25lIn0.eyJ4Ijo"
        "xfQ." SECRET "}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: 'http://u:" SECRET
        "@h/x'}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: "
        "'http://h/x?api_key=" SECRET "'}\n",
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: "
        "{rules: [{matches: [{headers: [{name: X-Api-Key, value: " SECRET "}]}]}]}\n",
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: "
        "{rules: [{matches: [{queryParams: [{name: key, value: " SECRET "}]}]}]}\n",
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: "
        "{rules: [{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: "
        "authorization, value: Basic " SECRET "}]}}]}]}\n",
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nmetadata: {name: p}\n"
        "spec: {authorization: {rules: [{principal: {headers: [{name: x-auth, values: [" SECRET
        "]}]}}]}}\n",
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nmetadata: {name: p}\n"
        "spec: {oidc: {clientSecret: " SECRET "}}\n",
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyProxy\nmetadata: {name: e}\nspec: "
        "{telemetry: {accessLog: {settings: [{sinks: [{type: OpenTelemetry, openTelemetry: "
        "{headers: "
        "[{name: x-plain, value: " SECRET "}]}}]}]}}}\n",
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyProxy\nmetadata: {name: e}\nspec: "
        "{telemetry: {tracing: {provider: {openTelemetry: {headers: [{name: x-plain, value: " SECRET
        "}]}}}}}\n",
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyProxy\nmetadata: {name: e}\nspec: "
        "{telemetry: {metrics: {sinks: [{type: OpenTelemetry, openTelemetry: {headers: [{name: "
        "x-plain, value: " SECRET "}]}}]}}}\n",
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct manifest *m = load(rows[i]);
        char *text = shown(m, "");

        CHECK_INT(m->objects.n, 1);
        CHECK_MSG(!strstr(text, SECRET), "row %zu: %s", i, text);
        CHECK_MSG(strstr(text, "(redacted)") || strstr(rows[i], "status:"), "row %zu: %s", i, text);
        free(text);
        unload(m);
    }
}

TEST(what_is_no_secret_is_shown_as_it_was_written)
{
    static const struct {
        const char *manifest;
        const char *shown;
    } rows[] = {
        {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: 'x: 1', b: \"é\\x01\", "
         "c: '80'}\n",
         "\"data\":{\"a\":\"x: 1\",\"b\":\"é\\u0001\",\"c\":\"80\"}"},
        {"apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\nmetadata: {name: b}\nspec: "
         "{x: 80, y: 1.50, z: 0x10, t: True, n: ~, u: 007, e: 1e3, l: [], m: {}, v: 'true'}\n",
         "\"spec\":{\"x\":80,\"y\":1.50,\"z\":16,\"t\":true,\"n\":null,\"u\":\"007\",\"e\":1000,"
         "\"l\":[],\"m\":{},\"v\":\"true\"}"},
        {"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, "
         "annotations: "
         "{a: b}}\nspec: {rules: [{matches: [{headers: [{name: ':authority', value: h}, {name: "
         "x-tenant, value: a}]}]}]}\n",
         "\"annotations\":{\"a\":\"b\"}},\"spec\":{\"rules\":[{\"matches\":[{\"headers\":[{"
         "\"name\":"
         "\":authority\",\"value\":\"h\"},{\"name\":\"x-tenant\",\"value\":\"a\"}]}]}]}"},
        {"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: "
         "{rules: [{matches: [{headers: [{name: authorization, value: '^Bearer .*$'}, {name: "
         "authorization, value: 'Bearer x.*'}]}]}]}\n",
         "[{\"name\":\"authorization\",\"value\":\"^Bearer .*$\"},{\"name\":\"authorization\","
         "\"value\":\"(redacted)\"}]"},
        {"apiVersion: v1\nkind: Secret\nmetadata: {name: s, labels: {a: b}}\ntype: Opaque\ndata: "
         "{k: "
         "eA==}\nimmutable: true\n",
         "\"metadata\":{\"name\":\"s\",\"labels\":{\"a\":\"b\"}},\"type\":\"Opaque\",\"data\":{"
         "\"k\":"
         "\"(redacted)\"},\"immutable\":true}"},
        {"apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyProxy\nmetadata: {name: e}\nspec: "
         "{telemetry: {tracing: {provider: {openTelemetry: {headers: [{name: x-plain, value: "
         "v}]}}}}}\n",
         "\"headers\":[{\"name\":\"x-plain\",\"value\":\"(redacted)\"}]"},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        struct manifest *m = load(rows[i].manifest);
        char *text = shown(m, "");

        CHECK_MSG(strstr(text, rows[i].shown), "row %zu: %s", i, text);
        free(text);
        unload(m);
    }
}

static const char world[] =
    "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: c}\n"
    "spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}\n---\n"
    "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: n}\n"
    "spec: {gatewayClassName: c, listeners: [{name: h, port: 80, protocol: HTTP}, {name: t, port: "
    "81,"
    " protocol: TCP}]}\nstatus: {conditions: [{type: Written, status: 'True'}]}\n---\n"
    "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, namespace: n}\n"
    "spec: {parentRefs: [{name: g, sectionName: h}, {name: gone}]}\n---\n"
    "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {name: p, "
    "namespace: n}\nspec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: "
    "g}]}\n"
    "---\n"
    "apiVersion: aigateway.envoyproxy.io/v1alpha1\nkind: AIGatewayRoute\nmetadata: {name: a, "
    "namespace: n}\nspec: {schema: {name: OpenAI}, parentRefs: [{name: g}, {name: gone}], rules: "
    "[]}\n"
    "---\n"
    "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\nmetadata: {name: b, namespace: n}\n"
    "spec: {endpoints: [{fqdn: {hostname: b.test, port: 80}}]}\n---\n"
    "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: n}\nspec: {ports: [{port: "
    "80}]}\n";

TEST(the_status_is_that_of_the_kinds_api)
{
    static const struct {
        const char *query;
        const char *shown;
    } rows[] = {
        {"kind=GatewayClass",
         "\"status\":{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\","
         "\"reason\":\"Accepted\",\"message\":\"Served by this gateway.\"}]}}"},
        {"kind=Gateway", "\"status\":{\"addresses\":[],\"conditions\":[{\"type\":\"Accepted\""},
        {"kind=Gateway", "{\"name\":\"h\",\"attachedRoutes\":2,\"supportedKinds\":[{\"group\":"
                         "\"gateway.networking.k8s.io"
                         "\",\"kind\":\"HTTPRoute\"},{\"group\":\"gateway.networking.k8s.io\","
                         "\"kind\":\"GRPCRoute\"}],"
                         "\"conditions\":[{\"type\":\"Conflicted\",\"status\":\"False\""},
        {"kind=Gateway", "{\"name\":\"t\",\"attachedRoutes\":0,\"supportedKinds\":[],"},
        {"kind=HTTPRoute",
         "\"status\":{\"parents\":[{\"parentRef\":{\"group\":\"gateway.networking.k8s.io\","
         "\"kind\":"
         "\"Gateway\",\"namespace\":\"n\",\"name\":\"g\",\"sectionName\":\"h\"},\"controllerName\":"
         "\"gateway.envoyproxy.io/gatewayclass-controller\",\"conditions\":[{\"type\":\"Accepted\","
         "\"status\":\"True\""},
        {"kind=HTTPRoute", "\"name\":\"gone\"},\"controllerName\""},
        {"kind=BackendTrafficPolicy", "\"status\":{\"ancestors\":[{\"ancestorRef\":{\"group\":"
                                      "\"gateway.networking.k8s.io\",\"kind\":"
                                      "\"Gateway\",\"namespace\":\"n\",\"name\":\"g\"},"},
        /* The parent that is not there stands for the whole. */
        {"kind=AIGatewayRoute",
         "\"status\":{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"False\","
         "\"reason\":\"NoMatchingParent\""},
        {"kind=Backend", "\"status\":{\"conditions\":[{\"type\":\"Accepted\",\"status\":\"True\""},
        {"kind=Service", "\"spec\":{\"ports\":[{\"port\":80}]}},\"place\":\"test.yaml:32\""},
    };
    struct manifest *m = load(world);

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        char *text = shown(m, rows[i].query);

        CHECK_MSG(strstr(text, rows[i].shown), "row %zu: %s", i, text);
        CHECK_MSG(!strstr(text, "Written"), "row %zu: %s", i, text);
        free(text);
    }
    unload(m);
}

static size_t n_lines(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

TEST(objects_are_chosen_by_group_kind_namespace_and_name)
{
    static const struct {
        const char *query;
        size_t n;
    } rows[] = {
        {"", 7},
        {"kind=Gateway&name=g", 1},
        {"kind=Gateway&name=x", 0},
        {"namespace=n", 6},
        {"namespace=m", 0},
        {"group=", 1},
        {"group=gateway.envoyproxy.io", 2},
        {"name=g&unknown=1", 1},
        {"kind=gateway", 0},
        {"kind=%47ateway", 0},
        {"&&=&kind", 7},
    };
    struct manifest *m = load(world);

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        char *text = shown(m, rows[i].query);

        CHECK_MSG(n_lines(text) == rows[i].n, "%s: %s", rows[i].query, text);
        free(text);
    }
    unload(m);
}

TEST(findings_come_with_one_object_and_names_alone_when_brief)
{
    struct manifest *m = load(world);
    char *one = shown(m, "kind=HTTPRoute&name=r");
    char *all = shown(m, "kind=HTTPRoute");
    char *brief = shown(m, "kind=HTTPRoute&brief=true");

    CHECK(strstr(one,
                 "\"findings\":[{\"severity\":\"error\",\"code\":\"dangling-reference\",\"file\":"
                 "\"test.yaml\","));
    CHECK(!strstr(all, "findings"));
    CHECK_STR(str_of(brief),
              "{\"object\":{\"apiVersion\":\"gateway.networking.k8s.io/v1\",\"kind\":"
              "\"HTTPRoute\",\"metadata\":{\"name\":\"r\",\"namespace\":\"n\"}},\"place\":"
              "\"test.yaml:12\",\"broken\":false}\n");
    free(one);
    free(all);
    free(brief);
    unload(m);
}

TEST(a_question_is_read_as_it_was_written)
{
    struct object_query q = {.group = STR(""),
                             .has_group = true,
                             .kind = STR("Secret"),
                             .namespace = STR("n"),
                             .name = STR("s"),
                             .is_brief = true};
    struct object_query again;
    struct buf text = {0};

    object_query_format(&q, &text);
    CHECK_STR(buf_str(&text), "group=&kind=Secret&namespace=n&name=s&brief=true");
    object_query_parse(buf_str(&text), &again);
    CHECK(again.has_group && again.group.len == 0 && again.is_brief);
    CHECK(str_eq(again.kind, q.kind) && str_eq(again.namespace, q.namespace) &&
          str_eq(again.name, q.name));
    buf_deinit(&text);
}

/* A few kilobytes that aliases make two gigabytes of. */
TEST(what_would_be_too_large_is_not_made)
{
    struct object_query q = {0};
    struct buf text = {0};
    struct buf out = {0};
    struct manifest *m;

    buf_printf(&text, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  a: &a ");
    for (size_t i = 0; i < LIMIT_OBJECTS_BYTES / 32 * 3; i++)
        buf_append_char(&text, 'x');
    for (int i = 0; i < 20; i++)
        buf_printf(&text, "\n  b%d: *a", i);
    buf_append_char(&text, '\n');
    buf_append_char(&text, '\0');
    m = load(text.ptr);
    CHECK_INT(object_list_format(m, NULL, &q, &out), OBJECT_LIST_TOO_LARGE);
    CHECK(out.len < LIMIT_OBJECTS_BYTES + 65536);
    buf_deinit(&out);
    buf_deinit(&text);
    unload(m);
}
