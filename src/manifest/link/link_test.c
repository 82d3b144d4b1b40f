/* Linking and checking, on small worlds: references, grants, listeners, attachment of routes and
 * policies, conditions and notes. */
#include "manifest/link/link_internal.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "manifest/core.h"
#include "manifest/http_route.h"
#include "test/harness/test.h"

static struct manifest m;

#define CLASS                                                                                      \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: c}\n"          \
    "spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}\n---\n"
#define GATEWAY                                                                                    \
    CLASS "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"                              \
          "metadata: {name: g, namespace: infra}\nspec:\n  gatewayClassName: c\n  listeners:\n"    \
          "  - {name: all, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}\n"  \
          "  - {name: own, port: 81, protocol: HTTP, hostname: '*.example.com'}\n---\n"
#define ROUTE(name_, ns_, spec_)                                                                   \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: " name_           \
    ", namespace: " ns_ "}\nspec:\n" spec_ "---\n"
#define PARENT "  parentRefs: [{name: g, namespace: infra}]\n"
#define SERVICE(name_, ns_)                                                                        \
    "apiVersion: v1\nkind: Service\nmetadata: {name: " name_ ", namespace: " ns_ "}\n"             \
    "spec: {ports: [{name: http, port: 80}]}\n---\n"
#define GRANT(ns_, kind_)                                                                          \
    "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\n"                        \
    "metadata: {name: grant, namespace: " ns_ "}\nspec:\n"                                         \
    "  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: app}]\n"              \
    "  to: [{group: '', kind: " kind_ "}]\n---\n"
#define SECURITY(name_, ns_, targets_)                                                             \
    "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nmetadata: {name: " name_    \
    ", namespace: " ns_ "}\nspec:\n  targetRefs: " targets_                                        \
    "\n  authorization: {defaultAction: Allow}\n---\n"
#define TARGET(kind_, name_) "{group: gateway.networking.k8s.io, kind: " kind_ ", name: " name_ "}"

static void load_with(const char *yaml, bool is_strict)
{
    struct manifest_options options = {.is_strict = is_strict};

    manifest_deinit(&m);
    CHECK_INT(manifest_load_bytes(&m, "t.yaml", str_of(yaml), &options), 0);
}

static void load(const char *yaml)
{
    load_with(yaml, false);
}

static const struct diag *find_diag(enum diag_code code)
{
    VEC_FOREACH (&m.diags.items, d) {
        if (d->code == code)
            return d;
    }
    return NULL;
}

static struct http_route *route(const char *name, const char *ns)
{
    struct object *o = manifest_get(&m, KIND_HTTP_ROUTE, str_of(ns), str_of(name));

    CHECK_MSG(o != NULL, "no route %s", name);
    return CONTAINER_OF(o, struct http_route, object);
}

static struct gateway *gateway(void)
{
    return CONTAINER_OF(manifest_get(&m, KIND_GATEWAY, STR("infra"), STR("g")), struct gateway,
                        object);
}

static const char *reason(const struct object *o, const char *about, const char *type)
{
    const struct condition *c = object_find_condition(o, str_of(about), type);

    return c ? c->reason : "(unset)";
}

#define CHECK_REASON(object_, about_, type_, expected_)                                            \
    CHECK_STR(str_of(reason((object_), (about_), (type_))), expected_)

TEST(link_resolves_backends_with_a_grant)
{
    const struct backend_ref *ref;

    load(GATEWAY ROUTE("r", "app",
                       PARENT "  rules: [{backendRefs: [{name: s, namespace: svc, "
                              "port: 80}]}]\n") SERVICE("s", "svc") GRANT("svc", "Service"));
    ref = &route("r", "app")->spec.rules.items[0].backend_refs.items[0].ref;
    CHECK_INT(m.diags.n_errors, 0);
    CHECK_INT(ref->state, REF_RESOLVED);
    CHECK_STR(ref->target->name, "s");
    CHECK_REASON(&route("r", "app")->object, "Gateway/infra/g", "ResolvedRefs", "ResolvedRefs");
    manifest_deinit(&m);
}

TEST(link_names_every_way_a_backend_can_be_missing)
{
    static const struct {
        const char *yaml;
        enum ref_state state;
        enum diag_code code;
        enum diag_severity severity;
        const char *reason;
    } rows[] = {
        {GATEWAY ROUTE("r", "app",
                       PARENT "  rules: [{backendRefs: [{name: s, namespace: svc, port: 80}]}]\n")
             SERVICE("s", "svc"),
         REF_NOT_PERMITTED, DIAG_MISSING_GRANT, DIAG_ERROR, "RefNotPermitted"},
        {GATEWAY ROUTE("r", "app",
                       PARENT "  rules: [{backendRefs: [{name: s, namespace: svc, port: 80}]}]\n")
             SERVICE("s", "svc") GRANT("svc", "Secret"),
         REF_NOT_PERMITTED, DIAG_MISSING_GRANT, DIAG_ERROR, "RefNotPermitted"},
        {GATEWAY ROUTE("r", "app", PARENT "  rules: [{backendRefs: [{name: s, port: 80}]}]\n"),
         REF_NOT_GIVEN, DIAG_MISSING_CORE_OBJECT, DIAG_NOTE, "ResolvedRefs"},
        {GATEWAY ROUTE("r", "app",
                       PARENT "  rules: [{backendRefs: [{name: b, kind: Backend, group: "
                              "gateway.envoyproxy.io}]}]\n"),
         REF_NOT_FOUND, DIAG_DANGLING_REFERENCE, DIAG_ERROR, "BackendNotFound"},
        {GATEWAY ROUTE("r", "app",
                       PARENT "  rules: [{backendRefs: [{name: b, kind: Thing, group: "
                              "example.com}]}]\n"),
         REF_INVALID_KIND, DIAG_INVALID_VALUE, DIAG_ERROR, "InvalidKind"},
        {GATEWAY ROUTE("r", "app", PARENT "  rules: [{backendRefs: [{name: s, port: 81}]}]\n")
             SERVICE("s", "app"),
         REF_NOT_FOUND, DIAG_DANGLING_REFERENCE, DIAG_ERROR, "BackendNotFound"},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        const struct diag *d;

        load(rows[i].yaml);
        CHECK_MSG(route("r", "app")->spec.rules.items[0].backend_refs.items[0].ref.state ==
                      rows[i].state,
                  "row %zu", i);
        d = find_diag(rows[i].code);
        CHECK_MSG(d && d->severity == rows[i].severity, "row %zu", i);
        CHECK_STR(d->path, "spec.rules[0].backendRefs[0]");
        CHECK_REASON(&route("r", "app")->object, "Gateway/infra/g", "ResolvedRefs", rows[i].reason);
        CHECK_MSG(!route("r", "app")->object.is_broken, "row %zu", i);
    }
    manifest_deinit(&m);
}

TEST(link_strict_makes_missing_core_objects_errors)
{
    load_with(GATEWAY ROUTE("r", "app", PARENT "  rules: [{backendRefs: [{name: s, port: 80}]}]\n"),
              true);
    CHECK_INT(m.diags.n_errors, 1);
    CHECK_INT(m.n_incomplete, 1);
    manifest_deinit(&m);
}

TEST(link_attaches_routes_by_namespace_and_host)
{
    const struct gateway *g;

    load(GATEWAY ROUTE("a", "app", PARENT)
             ROUTE("b", "infra", PARENT "  hostnames: [x.example.com, other.org]\n")
                 ROUTE("d", "infra", PARENT "  hostnames: [other.org]\n"));
    g = gateway();
    CHECK_INT(g->spec.listeners.items[0].routes.n, 3);
    CHECK_INT(g->spec.listeners.items[1].routes.n, 1);
    CHECK_STR(g->spec.listeners.items[1].routes.items[0].route->name, "b");
    CHECK_INT(g->spec.listeners.items[1].routes.items[0].hostnames.n, 1);
    CHECK_STR(g->spec.listeners.items[1].routes.items[0].hostnames.items[0], "x.example.com");
    CHECK_INT(g->spec.listeners.items[0].routes.items[0].hostnames.n, 0);
    CHECK_INT(m.diags.n_errors, 0);
    manifest_deinit(&m);
}

TEST(link_says_why_a_route_is_not_attached)
{
    static const struct {
        const char *yaml;
        const char *about;
        const char *reason;
    } rows[] = {
        {GATEWAY ROUTE("r", "app",
                       "  parentRefs: [{name: g, namespace: infra, sectionName: own}]\n"),
         "Gateway/infra/g/own", "NotAllowedByListeners"},
        {GATEWAY ROUTE("r", "infra",
                       "  parentRefs: [{name: g, sectionName: own}]\n  hostnames: [a.org]\n"),
         "Gateway/infra/g/own", "NoMatchingListenerHostname"},
        {GATEWAY ROUTE("r", "infra", "  parentRefs: [{name: g, sectionName: nope}]\n"),
         "Gateway/infra/g/nope", "NoMatchingParent"},
        {GATEWAY ROUTE("r", "infra", "  parentRefs: [{name: g, port: 99}]\n"), "Gateway/infra/g",
         "NoMatchingParent"},
        {GATEWAY ROUTE("r", "infra", "  parentRefs: [{name: other}]\n"), "Gateway/infra/other",
         "NoMatchingParent"},
        {GATEWAY ROUTE("r", "infra", "  parentRefs: [{name: g}]\n  oops: 1\n"), "Gateway/infra/g",
         "UnsupportedValue"},
        {GATEWAY ROUTE("r", "infra", "  parentRefs: [{name: g, sectionName: all}]\n"),
         "Gateway/infra/g/all", "Accepted"},
    };

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        const char *ns = i == 0 ? "app" : "infra";

        load(rows[i].yaml);
        CHECK_REASON(&route("r", ns)->object, rows[i].about, "Accepted", rows[i].reason);
    }
    manifest_deinit(&m);
}

TEST(link_selects_namespaces_by_label)
{
    load(CLASS
         "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
         "metadata: {name: g, namespace: infra}\nspec:\n  gatewayClassName: c\n"
         "  listeners:\n  - name: a\n    port: 80\n    protocol: HTTP\n    allowedRoutes:\n"
         "      namespaces: {from: Selector, selector: {matchLabels: {team: x}}}\n---\n"
         "apiVersion: v1\nkind: Namespace\nmetadata: {name: app, labels: {team: x}}\n---\n" ROUTE(
             "r", "app", PARENT) ROUTE("s", "else", PARENT));
    CHECK_INT(gateway()->spec.listeners.items[0].routes.n, 1);
    CHECK_REASON(&route("s", "else")->object, "Gateway/infra/g", "Accepted",
                 "NotAllowedByListeners");
    manifest_deinit(&m);
}

TEST(link_lets_the_first_of_two_listeners_stand)
{
    const struct gateway *g;
    const struct diag *d;

    load(CLASS "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
               "metadata: {name: g, namespace: infra}\nspec:\n  gatewayClassName: c\n"
               "  listeners:\n  - {name: a, port: 80, protocol: HTTP}\n"
               "  - {name: b, port: 80, protocol: HTTP}\n"
               "  - {name: d, port: 80, protocol: HTTP, hostname: x.org}\n"
               "  - {name: e, port: 85, protocol: TCP}\n");
    g = gateway();
    CHECK(g->spec.listeners.items[0].is_programmed && !g->spec.listeners.items[0].is_conflicted);
    CHECK(!g->spec.listeners.items[1].is_programmed && g->spec.listeners.items[1].is_conflicted);
    CHECK(g->spec.listeners.items[2].is_programmed);
    CHECK(!g->spec.listeners.items[3].is_programmed);
    CHECK(!g->object.is_broken);
    d = find_diag(DIAG_CONFLICT);
    CHECK(d && d->other.line == d->mark.line - 1);
    CHECK_REASON(&g->object, "b", "Conflicted", "HostnameConflict");
    CHECK_REASON(&g->object, "e", "Accepted", "UnsupportedProtocol");
    CHECK_REASON(&g->object, "", "Accepted", "ListenersNotValid");
    manifest_deinit(&m);
}

TEST(link_leaves_a_listener_without_its_secret_closed)
{
    load(CLASS "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
               "metadata: {name: g, namespace: infra}\nspec:\n  gatewayClassName: c\n"
               "  listeners:\n  - {name: a, port: 80, protocol: HTTP}\n"
               "  - {name: b, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: s}]}}\n");
    CHECK_INT(m.diags.n_errors, 0);
    CHECK_INT(m.diags.n_notes, 1);
    CHECK(gateway()->spec.listeners.items[0].is_programmed);
    CHECK(!gateway()->spec.listeners.items[1].is_programmed);
    CHECK_REASON(&gateway()->object, "b", "ResolvedRefs", "InvalidCertificateRef");
    manifest_deinit(&m);
}

/* A self-signed certificate and its key as PEM, made anew. */
static void make_pair(struct buf *certificate, struct buf *key)
{
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes;
    size_t n;

    CHECK(pkey && x && bio);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, pkey);
    CHECK(X509_sign(x, pkey, EVP_sha256()) > 0);
    PEM_write_bio_X509(bio, x);
    n = (size_t)BIO_get_mem_data(bio, &bytes);
    buf_append(certificate, bytes, n);
    (void)BIO_reset(bio);
    PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL);
    n = (size_t)BIO_get_mem_data(bio, &bytes);
    buf_append(key, bytes, n);
    BIO_free(bio);
    X509_free(x);
    EVP_PKEY_free(pkey);
}

TEST(link_judges_certificates_and_keys)
{
    struct buf cert_a AUTO(buf_deinit) = {0}, key_a AUTO(buf_deinit) = {0};
    struct buf cert_b AUTO(buf_deinit) = {0}, key_b AUTO(buf_deinit) = {0};
    struct buf chain AUTO(buf_deinit) = {0};

    make_pair(&cert_a, &key_a);
    make_pair(&cert_b, &key_b);
    buf_append_str(&chain, buf_str(&cert_a));
    buf_append_str(&chain, buf_str(&cert_b));
    CHECK(link_certificate_problem(buf_str(&cert_a), buf_str(&key_a)) == NULL);
    CHECK(link_certificate_problem(buf_str(&chain), buf_str(&key_a)) == NULL);
    CHECK(link_certificate_problem(buf_str(&cert_a), buf_str(&key_b)) != NULL);
    CHECK(link_certificate_problem(buf_str(&chain), buf_str(&key_b)) != NULL);
    CHECK(link_certificate_problem(STR("rubbish"), buf_str(&key_a)) != NULL);
    CHECK(link_certificate_problem(buf_str(&cert_a), STR("rubbish")) != NULL);
    CHECK(link_certificate_problem(STR(""), STR("")) != NULL);
}

/* A PEM text as a block of a YAML value. */
static void append_block(struct buf *out, const char *key, struct str text)
{
    struct str line;

    buf_printf(out, "  %s: |\n", key);
    while (str_split(&text, '\n', &line) && line.len > 0)
        buf_printf(out, "    %.*s\n", STR_ARG(line));
}

static void load_listener_with(struct str certificate, struct str key, const char *more)
{
    struct buf text AUTO(buf_deinit) = {0};

    buf_printf(&text,
               CLASS "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"
                     "metadata: {name: g, namespace: infra}\nspec:\n  gatewayClassName: c\n"
                     "  listeners:\n  - {name: s, port: 443, protocol: HTTPS, "
                     "tls: {certificateRefs: [{name: t, namespace: keys}]}}\n---\n%s"
                     "apiVersion: v1\nkind: Secret\nmetadata: {name: t, namespace: keys}\n"
                     "stringData:\n",
               more);
    append_block(&text, "tls.crt", certificate);
    append_block(&text, "tls.key", key);
    buf_append_char(&text, '\0');
    load(text.ptr);
}

TEST(link_opens_tls_listeners_with_a_granted_and_matching_secret_only)
{
    static const char grant[] =
        "apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\n"
        "metadata: {name: grant, namespace: keys}\nspec:\n"
        "  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: infra}]\n"
        "  to: [{group: '', kind: Secret, name: t}]\n---\n";
    struct buf cert_a AUTO(buf_deinit) = {0}, key_a AUTO(buf_deinit) = {0};
    struct buf cert_b AUTO(buf_deinit) = {0}, key_b AUTO(buf_deinit) = {0};

    make_pair(&cert_a, &key_a);
    make_pair(&cert_b, &key_b);
    load_listener_with(buf_str(&cert_a), buf_str(&key_a), grant);
    CHECK_INT(m.diags.n_errors, 0);
    CHECK(gateway()->spec.listeners.items[0].is_programmed);
    load_listener_with(buf_str(&cert_a), buf_str(&key_a), "");
    CHECK(!gateway()->spec.listeners.items[0].is_programmed);
    CHECK_REASON(&gateway()->object, "s", "ResolvedRefs", "RefNotPermitted");
    load_listener_with(buf_str(&cert_a), buf_str(&key_b), grant);
    CHECK(!gateway()->spec.listeners.items[0].is_programmed);
    CHECK(find_diag(DIAG_BAD_CERTIFICATE) != NULL);
    CHECK_STR(find_diag(DIAG_BAD_CERTIFICATE)->object, "Secret/keys/t");
    manifest_deinit(&m);
}

TEST(link_attaches_policies_by_label)
{
    load(GATEWAY "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
                 "metadata: {name: a, namespace: infra, labels: {team: x}}\nspec:\n" PARENT "---\n"
                 "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
                 "metadata: {name: b, namespace: infra, labels: {team: y}}\nspec:\n" PARENT "---\n"
                 "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
                 "metadata: {name: c, namespace: app, labels: {team: x}}\nspec:\n" PARENT "---\n"
                 "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\n"
                 "metadata: {name: p, namespace: infra}\nspec:\n"
                 "  targetSelectors: [{kind: HTTPRoute, matchLabels: {team: x}}]\n"
                 "  authorization: {defaultAction: Allow}\n");
    CHECK_INT(m.diags.n_errors, 0);
    CHECK_INT(
        manifest_policies_at(&m, KIND_SECURITY_POLICY, &route("a", "infra")->object, STR(""))->n,
        1);
    CHECK_INT(
        manifest_policies_at(&m, KIND_SECURITY_POLICY, &route("b", "infra")->object, STR(""))->n,
        0);
    CHECK_INT(
        manifest_policies_at(&m, KIND_SECURITY_POLICY, &route("c", "app")->object, STR(""))->n, 0);
    manifest_deinit(&m);
}

TEST(link_refuses_extension_filters_of_other_kinds)
{
    const struct http_filter *f;

    load(GATEWAY
         "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: app}\n---\n" ROUTE(
             "r", "app",
             PARENT "  rules: [{filters: [{type: ExtensionRef, extensionRef: {group: '', kind: "
                    "ConfigMap, name: x}}]}]\n"));
    f = &route("r", "app")->spec.rules.items[0].filters.items[0];
    CHECK_INT(f->extension_ref->state, REF_INVALID_KIND);
    CHECK_REASON(&route("r", "app")->object, "Gateway/infra/g", "ResolvedRefs", "InvalidKind");
    manifest_deinit(&m);
}

TEST(link_attaches_policies_most_specific_first)
{
    struct policy_chain chain;
    const struct object *g;

    load(GATEWAY ROUTE("r", "infra", PARENT "  rules: [{name: one}, {name: two}]\n")
             SECURITY("on-gateway", "infra", "[" TARGET("Gateway", "g") "]")
                 SECURITY("on-route", "infra", "[" TARGET("HTTPRoute", "r") "]")
                     SECURITY("on-rule", "infra",
                              "[{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r, "
                              "sectionName: one}]")
                         SECURITY("on-listener", "infra",
                                  "[{group: gateway.networking.k8s.io, kind: Gateway, name: g, "
                                  "sectionName: all}]"));
    CHECK_INT(m.diags.n_errors, 0);
    g = &gateway()->object;
    chain = manifest_policy_chain(&m, KIND_SECURITY_POLICY, &route("r", "infra")->object,
                                  STR("one"), g, STR("all"));
    CHECK_INT(chain.n, 4);
    CHECK_STR(chain.items[0]->name, "on-rule");
    CHECK_STR(chain.items[1]->name, "on-route");
    CHECK_STR(chain.items[2]->name, "on-listener");
    CHECK_STR(chain.items[3]->name, "on-gateway");
    chain = manifest_policy_chain(&m, KIND_SECURITY_POLICY, &route("r", "infra")->object,
                                  STR("two"), g, STR("own"));
    CHECK_INT(chain.n, 2);
    CHECK_REASON(chain.items[0], "Gateway/infra/g", "Accepted", "Accepted");
    manifest_deinit(&m);
}

TEST(link_lets_the_older_policy_win)
{
    const struct object_vec *at;

    load(GATEWAY SECURITY("b", "infra", "[" TARGET("Gateway", "g") "]")
             SECURITY("a", "infra", "[" TARGET("Gateway", "g") "]"));
    at = manifest_policies_at(&m, KIND_SECURITY_POLICY, &gateway()->object, STR(""));
    CHECK_INT(at->n, 1);
    CHECK_STR(at->items[0]->name, "a");
    CHECK(find_diag(DIAG_CONFLICT) != NULL);
    CHECK_REASON(manifest_get(&m, KIND_SECURITY_POLICY, STR("infra"), STR("b")), "Gateway/infra/g",
                 "Accepted", "Conflicted");
    manifest_deinit(&m);
}

TEST(link_reports_targets_that_do_not_exist)
{
    load(GATEWAY SECURITY("a", "infra", "[" TARGET("HTTPRoute", "nope") "]"));
    CHECK(find_diag(DIAG_DANGLING_REFERENCE) != NULL);
    CHECK(find_diag(DIAG_INEFFECTIVE) != NULL);
    CHECK(!manifest_get(&m, KIND_SECURITY_POLICY, STR("infra"), STR("a"))->is_broken);
    CHECK_INT(m.n_incomplete, m.diags.n_errors);
    manifest_deinit(&m);
}

TEST(link_keeps_a_broken_security_policy_attached)
{
    const struct object_vec *at;

    load(GATEWAY "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\n"
                 "metadata: {name: p, namespace: infra}\nspec:\n"
                 "  targetRefs: [" TARGET("Gateway", "g") "]\n  jwtt: {}\n");
    at = manifest_policies_at(&m, KIND_SECURITY_POLICY, &gateway()->object, STR(""));
    CHECK_INT(at->n, 1);
    CHECK(at->items[0]->is_broken);
    CHECK_REASON(at->items[0], "Gateway/infra/g", "Accepted", "Invalid");
    manifest_deinit(&m);
}

TEST(link_breaks_a_security_policy_whose_secret_is_missing)
{
    load(GATEWAY "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\n"
                 "metadata: {name: p, namespace: infra}\nspec:\n"
                 "  targetRefs: [" TARGET("Gateway", "g") "]\n  basicAuth: {users: {name: s}}\n");
    CHECK_INT(m.diags.n_errors, 0);
    CHECK(manifest_get(&m, KIND_SECURITY_POLICY, STR("infra"), STR("p"))->is_broken);
    manifest_deinit(&m);
}

TEST(link_does_not_accept_what_is_not_enforced)
{
    const struct object *o;

    load(GATEWAY "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\n"
                 "metadata: {name: p, namespace: infra}\nspec:\n"
                 "  targetRefs: [" TARGET("Gateway", "g") "]\n"
                                                          "  oidc: {clientID: x}\n");
    o = manifest_get(&m, KIND_SECURITY_POLICY, STR("infra"), STR("p"));
    CHECK(!o->is_broken);
    CHECK_REASON(o, "Gateway/infra/g", "Accepted", "Invalid");
    manifest_deinit(&m);
}

TEST(an_error_found_late_takes_acceptance_back)
{
    struct object *proxy, *policy;

    load(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: c}\nspec:\n"
        "  controllerName: gateway.envoyproxy.io/gatewayclass-controller\n"
        "  parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, name: e, namespace: "
        "infra}\n---\n"
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyProxy\n"
        "metadata: {name: e, namespace: infra}\nspec: {}\n---\n" SECURITY(
            "p", "app", "[" TARGET("HTTPRoute", "r") "]") ROUTE("r", "app", "  rules: []\n"));
    proxy = manifest_get(&m, KIND_ENVOY_PROXY, STR("infra"), STR("e"));
    policy = manifest_get(&m, KIND_SECURITY_POLICY, STR("app"), STR("p"));
    CHECK_REASON(proxy, "", "Accepted", "Accepted");
    CHECK_REASON(policy, "HTTPRoute/app/r", "Accepted", "Accepted");
    manifest_object_error(&m, proxy, DIAG_INVALID_VALUE, proxy->mark, "bad %s", "format");
    manifest_object_error(&m, policy, DIAG_INVALID_VALUE, policy->mark, "bad %s", "keys");
    CHECK_REASON(proxy, "", "Accepted", "Invalid");
    CHECK_REASON(policy, "HTTPRoute/app/r", "Accepted", "Invalid");
    CHECK_STR(object_find_condition(proxy, STR(""), "Accepted")->message, "bad format");
    CHECK_REASON(manifest_get(&m, KIND_GATEWAY_CLASS, STR(""), STR("c")), "", "Accepted",
                 "InvalidParameters");
    manifest_deinit(&m);
}

TEST(link_takes_the_generated_route_of_an_ai_gateway_route_as_target)
{
    const struct object *ai;

    load(GATEWAY
         "apiVersion: aigateway.envoyproxy.io/v1alpha1\nkind: AIGatewayRoute\n"
         "metadata: {name: ai, namespace: infra}\nspec:\n  schema: {name: OpenAI}\n"
         "  targetRefs: [" TARGET("Gateway", "g") "]\n  rules: [{backendRefs: []}]\n---\n" SECURITY(
             "p", "infra", "[" TARGET("HTTPRoute", "ai") "]"));
    ai = manifest_get(&m, KIND_AI_GATEWAY_ROUTE, STR("infra"), STR("ai"));
    CHECK_INT(manifest_policies_at(&m, KIND_SECURITY_POLICY, ai, STR(""))->n, 1);
    CHECK_INT(gateway()->spec.listeners.items[0].routes.n, 1);
    CHECK(gateway()->spec.listeners.items[0].routes.items[0].route == ai);
    CHECK(find_diag(DIAG_OLDER_FORM) != NULL);
    manifest_deinit(&m);
}

TEST(check_notes_endpoints_reachable_without_their_checks)
{
    const struct diag *d;

    load(GATEWAY "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: Backend\n"
                 "metadata: {name: b, namespace: infra}\nspec:\n  endpoints:\n"
                 "  - fqdn: {hostname: s.infra.svc.cluster.local, port: 80}\n---\n"
                 "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendSecurityPolicy\n"
                 "metadata: {name: p, namespace: infra}\nspec:\n"
                 "  targetRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: b}]\n"
                 "  basicAuth: {users: {name: secret}}\n---\n" ROUTE(
                     "r", "infra", PARENT "  rules: [{backendRefs: [{name: s, port: 80}]}]\n")
                     ROUTE("guarded", "infra",
                           PARENT "  rules: [{backendRefs: [{name: b, kind: Backend, group: "
                                  "gateway.envoyproxy.io}]}]\n"));
    d = find_diag(DIAG_BYPASS);
    CHECK(d != NULL && d->severity == DIAG_NOTE);
    CHECK_STR(d->object, "HTTPRoute/infra/r");
    CHECK(find_diag(DIAG_DIFFERENCE) != NULL);
    manifest_deinit(&m);
}

TEST(link_attaches_tls_policies_to_services_that_are_not_given)
{
    load("apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\n"
         "metadata: {name: p, namespace: a}\nspec:\n"
         "  targetRefs: [{group: '', kind: Service, name: s}]\n"
         "  validation: {hostname: s.org, wellKnownCACertificates: System}\n");
    CHECK_INT(m.diags.n_errors, 0);
    CHECK_INT(
        manifest_policies_at_service(&m, KIND_BACKEND_TLS_POLICY, STR("a"), STR("s"), STR(""))->n,
        1);
    CHECK_INT(
        manifest_policies_at_service(&m, KIND_BACKEND_TLS_POLICY, STR("b"), STR("s"), STR(""))->n,
        0);
    manifest_deinit(&m);
}

TEST(link_gives_services_their_endpoint_slices)
{
    load("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
         "metadata: {name: s-1, namespace: a, labels: {kubernetes.io/service-name: s}}\n"
         "addressType: IPv4\nendpoints: [{addresses: [127.0.0.1]}]\nports: [{port: "
         "9000}]\n---\n" SERVICE("s", "a"));
    CHECK_INT(m.diags.n_errors, 0);
    CHECK_INT(
        CONTAINER_OF(manifest_get(&m, KIND_SERVICE, STR("a"), STR("s")), struct service, object)
            ->endpoint_slices.n,
        1);
    manifest_deinit(&m);
}

TEST(check_warns_of_a_route_without_parents)
{
    load(ROUTE("r", "a", "  hostnames: [a.org]\n"));
    CHECK(find_diag(DIAG_INEFFECTIVE) != NULL && m.diags.n_warnings == 1);
    manifest_deinit(&m);
}

#define KIND_ROUTE(kind_, name_, meta_, spec_)                                                     \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: " kind_ "\nmetadata: {name: " name_           \
    ", namespace: infra" meta_ "}\nspec:\n" spec_ "---\n"
#define OLD ", creationTimestamp: 2024-01-01T00:00:00Z"
#define NEW ", creationTimestamp: 2025-01-01T00:00:00Z"

static const char *route_reason(enum kind_id kind, const char *name, const char *about)
{
    struct object *o = manifest_get(&m, kind, STR("infra"), str_of(name));

    CHECK_MSG(o != NULL, "no route %s", name);
    return reason(o, about, "Accepted");
}

TEST(link_serves_one_of_an_http_and_a_grpc_route_that_share_a_host)
{
    const struct listener *l;

    load(GATEWAY KIND_ROUTE("GRPCRoute", "calls", OLD, PARENT "  hostnames: [a.example.com]\n")
             KIND_ROUTE("HTTPRoute", "any", NEW, PARENT)
                 KIND_ROUTE("HTTPRoute", "other", NEW, PARENT "  hostnames: [b.example.com]\n"));
    l = &gateway()->spec.listeners.items[0];
    CHECK_INT(l->routes.n, 2);
    CHECK_STR(str_of(route_reason(KIND_GRPC_ROUTE, "calls", "Gateway/infra/g")), "Accepted");
    CHECK_STR(str_of(route_reason(KIND_HTTP_ROUTE, "any", "Gateway/infra/g")), "Conflicted");
    CHECK_STR(str_of(route_reason(KIND_HTTP_ROUTE, "other", "Gateway/infra/g")), "Accepted");
    CHECK(find_diag(DIAG_CONFLICT) != NULL);
    CHECK_STR(find_diag(DIAG_CONFLICT)->object, "HTTPRoute/infra/any");
}

TEST(link_lets_the_first_name_stand_where_routes_are_equally_old)
{
    load(GATEWAY KIND_ROUTE("HTTPRoute", "b", "", PARENT) KIND_ROUTE("GRPCRoute", "a", "", PARENT)
             KIND_ROUTE("GRPCRoute", "c", "", PARENT));
    CHECK_INT(gateway()->spec.listeners.items[0].routes.n, 2);
    CHECK_STR(str_of(route_reason(KIND_HTTP_ROUTE, "b", "Gateway/infra/g")), "Conflicted");
    CHECK_STR(str_of(route_reason(KIND_GRPC_ROUTE, "c", "Gateway/infra/g")), "Accepted");
}

TEST(link_keeps_a_route_that_one_of_its_listeners_still_serves)
{
    /* Of the listeners "all" and "own" only the first has a route of the other kind. */
    load(GATEWAY KIND_ROUTE("HTTPRoute", "old", OLD,
                            "  parentRefs: [{name: g, namespace: infra, sectionName: all}]\n")
             KIND_ROUTE("GRPCRoute", "calls", NEW, PARENT));
    CHECK_INT(gateway()->spec.listeners.items[0].routes.n, 1);
    CHECK_INT(gateway()->spec.listeners.items[1].routes.n, 1);
    CHECK_STR(str_of(route_reason(KIND_GRPC_ROUTE, "calls", "Gateway/infra/g")), "Accepted");
    CHECK(find_diag(DIAG_CONFLICT) != NULL);
}

#define SIDE                                                                                       \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"                                    \
    "metadata: {name: side, namespace: infra}\nspec:\n  gatewayClassName: c\n  listeners:\n"       \
    "  - {name: all, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}\n---\n"
#define SIDE_PARENT "  parentRefs: [{name: side, namespace: infra}]\n"

static struct gateway *side(void)
{
    return CONTAINER_OF(manifest_get(&m, KIND_GATEWAY, STR("infra"), STR("side")), struct gateway,
                        object);
}

TEST(link_settles_listeners_that_are_one_as_a_single_one)
{
    struct listener_member members[2];

    load(GATEWAY SIDE KIND_ROUTE("HTTPRoute", "any", OLD, PARENT)
             KIND_ROUTE("GRPCRoute", "calls", NEW, SIDE_PARENT)
                 KIND_ROUTE("HTTPRoute", "own", NEW, SIDE_PARENT "  hostnames: [c.org]\n"));
    members[0] = (struct listener_member){gateway(), &gateway()->spec.listeners.items[0]};
    members[1] = (struct listener_member){side(), &side()->spec.listeners.items[0]};
    /* The listeners of "side" have a conflict of their own: the first by name stands. */
    CHECK_STR(str_of(route_reason(KIND_HTTP_ROUTE, "own", "Gateway/infra/side")), "Conflicted");
    CHECK_STR(str_of(route_reason(KIND_GRPC_ROUTE, "calls", "Gateway/infra/side")), "Accepted");
    link_merged_conflicts(&m, members, 2);
    CHECK_INT(members[0].listener->routes.n, 1);
    CHECK_INT(members[1].listener->routes.n, 0);
    CHECK_STR(str_of(route_reason(KIND_GRPC_ROUTE, "calls", "Gateway/infra/side")), "Conflicted");
    CHECK_STR(str_of(route_reason(KIND_HTTP_ROUTE, "any", "Gateway/infra/g")), "Accepted");
    CHECK_INT(m.diags.n_errors, 2);
    link_merged_conflicts(&m, members, 2);
    CHECK_INT(m.diags.n_errors, 2);
}

TEST(link_takes_an_ai_gateway_route_for_the_http_route_generated_from_it)
{
    load(GATEWAY
         "apiVersion: aigateway.envoyproxy.io/v1alpha1\nkind: AIGatewayRoute\n"
         "metadata: {name: ai, namespace: infra" OLD "}\nspec:\n" PARENT
         "  rules: [{matches: [{headers: [{name: x-ai-eg-model, value: m}]}]}]\n---\n" KIND_ROUTE(
             "GRPCRoute", "calls", NEW, PARENT));
    CHECK_STR(str_of(route_reason(KIND_GRPC_ROUTE, "calls", "Gateway/infra/g")), "Conflicted");
}

TEST(link_handles_thousands_of_routes)
{
    struct buf text AUTO(buf_deinit) = {0};

    buf_printf(&text, GATEWAY);
    for (int i = 0; i < 5000; i++)
        buf_printf(&text,
                   "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
                   "metadata: {name: r%d, namespace: app}\nspec:\n" PARENT
                   "  hostnames: [h%d.org]\n  rules: [{backendRefs: [{name: s, port: 80}]}]\n---\n",
                   i, i);
    buf_append_char(&text, '\0');
    load(text.ptr);
    CHECK_INT(gateway()->spec.listeners.items[0].routes.n, 5000);
    CHECK_INT(m.diags.n_errors, 0);
    manifest_deinit(&m);
}
