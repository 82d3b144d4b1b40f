/* compile: TLS towards backends (BackendTLSPolicy, Backend.tls) and on listeners (certificates from
 * Secrets, the listener's TLS options). What cannot be had as written is never weakened: the
 * backend's share refuses, the listener is not programmed. */
#include "gateway/compile/tls.h"

#include <openssl/tls1.h>

#include "base/assert.h"
#include "base/hash.h"
#include "gateway/compile/tls/client_rule.h"
#include "manifest/backend_tls_policy.h"
#include "manifest/client_traffic_policy.h"

void compile_tls_draft_deinit(struct compile_tls_draft *d)
{
    tls_client_free(d->client);
    d->client = NULL;
}

static int compile_tls_version(int version)
{
    static const int versions[] = {0, TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION};

    return version >= 0 && version < (int)N_ELEMENTS(versions) ? versions[version] : 0;
}

static struct str compile_join(struct arena *a, const struct str_vec *items)
{
    struct str joined = STR("");

    for (size_t i = 0; i < items->n; i++)
        joined =
            arena_printf(a, "%.*s%s%.*s", STR_ARG(joined), i ? ":" : "", STR_ARG(items->items[i]));
    return joined;
}

/* All authorities, one PEM after the other. False when one is missing. */
static bool compile_ca(struct compile *c, const struct local_object_ref *refs, size_t n,
                       struct str *ret_pem)
{
    struct str pem = STR("");

    for (size_t i = 0; i < n; i++) {
        struct str one = refs[i].target ? keeper_find(refs[i].target, "ca.crt") : STR_NULL;

        if (one.len == 0)
            return false;
        pem = arena_printf(&c->scratch, "%.*s%.*s\n", STR_ARG(pem), STR_ARG(one));
    }
    *ret_pem = pem;
    return true;
}

static bool compile_tls_finish(struct compile *c, const struct object *from,
                               const struct tls_client_config *config,
                               struct compile_tls_draft *ret)
{
    struct buf why = {0};
    int r = tls_client_new(config, &ret->client, &why);

    if (r != 0)
        manifest_object_error(c->manifest, (struct object *)(uintptr_t)from, DIAG_BAD_CERTIFICATE,
                              from->mark, "TLS to the backend cannot be set up: %.*s",
                              STR_ARG(buf_str(&why)));
    buf_deinit(&why);
    ret->key = arena_printf(&c->scratch, "|tls:%016llx", (unsigned long long)hash_str(ret->key));
    return r == 0;
}

/* ---- BackendTLSPolicy ---- */

static bool compile_tls_of_policy(struct compile *c, const struct backend_tls_policy *p,
                                  struct compile_tls_draft *ret)
{
    const struct backend_tls_validation *v = p->spec.validation;
    struct tls_client_config config = {0};
    struct str *names;

    if (p->object.is_broken || !v)
        return false;
    if (!compile_ca(c, v->ca_certificate_refs.items, v->ca_certificate_refs.n, &config.ca_pem))
        return false;
    config.uses_system_ca = v->well_known_ca_certificates.len > 0;
    if (!config.uses_system_ca && config.ca_pem.len == 0)
        return false;
    config.verify_host = v->hostname;
    names = ARENA_ARRAY(&c->scratch, struct str, v->subject_alt_names.n + 1);
    for (size_t i = 0; i < v->subject_alt_names.n; i++) {
        if (v->subject_alt_names.items[i].type != SAN_HOSTNAME)
            return false; /* URI names are not verified yet: refuse rather than skip */
        names[config.n_alt_names++] = v->subject_alt_names.items[i].hostname;
    }
    config.alt_names = names;
    ret->server_name = v->hostname;
    ret->key = arena_printf(&c->scratch, "%.*s|%.*s|%zu|%d", STR_ARG(v->hostname),
                            STR_ARG(config.ca_pem), config.n_alt_names, config.uses_system_ca);
    for (size_t i = 0; i < config.n_alt_names; i++)
        ret->key = arena_printf(&c->scratch, "%.*s|%.*s", STR_ARG(ret->key), STR_ARG(names[i]));
    return compile_tls_finish(c, &p->object, &config, ret);
}

static const struct backend_tls_policy *
compile_find_tls_policy(struct compile *c, const struct object *target, struct str section)
{
    const struct object_vec *at =
        manifest_policies_at(c->manifest, KIND_BACKEND_TLS_POLICY, target, section);

    if (at->n == 0 && section.len > 0)
        at = manifest_policies_at(c->manifest, KIND_BACKEND_TLS_POLICY, target, STR(""));
    return at->n > 0 ? (const struct backend_tls_policy *)at->items[0] : NULL;
}

bool compile_tls_of_service(struct compile *c, const struct service *s, struct str namespace,
                            struct str name, uint16_t port, struct compile_tls_draft *ret)
{
    const struct service_port *service_port = s ? service_find_port(s, port) : NULL;
    const struct object_vec *at =
        manifest_policies_at_service(c->manifest, KIND_BACKEND_TLS_POLICY, namespace, name,
                                     service_port ? service_port->name : STR(""));

    if (at->n == 0)
        at = manifest_policies_at_service(c->manifest, KIND_BACKEND_TLS_POLICY, namespace, name,
                                          STR(""));
    return at->n == 0 ||
           compile_tls_of_policy(c, (const struct backend_tls_policy *)at->items[0], ret);
}

/* ---- Backend.tls ---- */

static void compile_alpn(const struct str_vec *names, struct compile_tls_draft *ret)
{
    ret->names_protocols = names->n > 0;
    for (size_t i = 0; i < names->n; i++) {
        ret->has_http1 |= str_eq(names->items[i], STR("http/1.1"));
        ret->has_http2 |= str_eq(names->items[i], STR("h2"));
    }
}

bool compile_tls_of_backend(struct compile *c, const struct backend *b,
                            const struct backend_endpoint *e, struct compile_tls_draft *ret)
{
    const struct backend_tls_policy *policy = compile_find_tls_policy(c, &b->object, STR(""));
    const struct backend_tls *tls = b->spec.tls;
    struct tls_client_config config = {0};

    if (policy)
        return compile_tls_of_policy(c, policy, ret);
    if (!tls)
        return true;
    if (!compile_ca(c, tls->ca_certificate_refs.items, tls->ca_certificate_refs.n, &config.ca_pem))
        return false;
    config.uses_system_ca = tls->well_known_ca_certificates.len > 0;
    config.skips_verification = tls->insecure_skip_verify.value;
    if (!config.uses_system_ca && config.ca_pem.len == 0 && !config.skips_verification)
        return false;
    if (tls->client_certificate_ref) {
        const struct object *secret = tls->client_certificate_ref->target;

        if (!secret)
            return false;
        config.certificate_pem = keeper_find(secret, "tls.crt");
        config.key_pem = keeper_find(secret, "tls.key");
    }
    config.min_version = compile_tls_version(tls->settings.min_version);
    config.max_version = compile_tls_version(tls->settings.max_version);
    config.ciphers = compile_join(&c->scratch, &tls->settings.ciphers);
    config.groups = compile_join(&c->scratch, &tls->settings.ecdh_curves);
    config.signatures = compile_join(&c->scratch, &tls->settings.signature_algorithms);
    compile_alpn(&tls->settings.alpn_protocols, ret);
    ret->server_name = tls->sni.len ? tls->sni : e->hostname;
    ret->key = arena_printf(&c->scratch, "%.*s|%.*s|%d%d|%d%d%d|%d-%d|%.*s|%.*s|%.*s|%.*s",
                            STR_ARG(ret->server_name), STR_ARG(config.ca_pem),
                            config.uses_system_ca, config.skips_verification, ret->names_protocols,
                            ret->has_http1, ret->has_http2, config.min_version, config.max_version,
                            STR_ARG(config.ciphers), STR_ARG(config.groups),
                            STR_ARG(config.signatures), STR_ARG(config.certificate_pem));
    return compile_tls_finish(c, &b->object, &config, ret);
}

bool compile_tls_of_uri(struct compile *c, struct str host, struct compile_tls_draft *ret)
{
    struct tls_client_config config = {.uses_system_ca = true};
    struct buf why = {0};
    int r = tls_client_new(&config, &ret->client, &why);

    buf_deinit(&why);
    ret->server_name = host;
    ret->key = arena_printf(&c->scratch, "|tls:system:%.*s", STR_ARG(host));
    return r == 0;
}

/* ---- listeners ---- */

static struct str compile_tls_option(const struct listener_tls *tls, const char *name)
{
    for (size_t i = 0; i < tls->options.n; i++) {
        if (str_eq(tls->options.items[i].key, str_of(name)))
            return tls->options.items[i].value;
    }
    return STR_NULL;
}

/* "A, B" or "A:B" -> "A:B" */
static struct str compile_cipher_option(struct arena *a, struct str text)
{
    struct str joined = STR("");
    struct str rest = text;
    struct str part;

    while (rest.ptr && str_split(&rest, ',', &part)) {
        part = str_trim(part);
        if (part.len > 0)
            joined = arena_printf(a, "%.*s%s%.*s", STR_ARG(joined), joined.len ? ":" : "",
                                  STR_ARG(part));
    }
    return joined;
}

/* What the ClientTrafficPolicy says goes before the listener's own options. */
static void compile_client_tls(struct compile *c, const struct client_traffic_policy *p,
                               struct tls_entry_config *entry)
{
    const struct client_tls *tls = p->spec.tls;
    int min_version = compile_tls_version(tls->settings.min_version);
    int max_version = compile_tls_version(tls->settings.max_version);

    if (min_version)
        entry->min_version = min_version;
    if (max_version)
        entry->max_version = max_version;
    if (tls->settings.ciphers.n > 0)
        entry->ciphers = compile_join(&c->scratch, &tls->settings.ciphers);
    entry->groups = compile_join(&c->scratch, &tls->settings.ecdh_curves);
    entry->signatures = compile_join(&c->scratch, &tls->settings.signature_algorithms);
    entry->protocols = compile_join(&c->scratch, &tls->settings.alpn_protocols);
    entry->remembers_sessions =
        tls->session && tls->session->resumption && tls->session->resumption->stateful;
}

/* A response that cannot be stapled is left out: clients then ask for one themselves. `tells`: says
 * so. */
static void compile_staple(struct compile *c, const struct object *secret, bool tells,
                           struct tls_entry_config *entry)
{
    struct str der = keeper_find(secret, "tls.ocsp-staple");
    struct buf why = {0};

    if (der.len == 0)
        return;
    if (tls_check_staple(entry->certificate_pem, der, &entry->ocsp_until_s, &why) == 0)
        entry->ocsp_der = der;
    else if (tells)
        diag_add(&c->manifest->diags, DIAG_WARNING, DIAG_BAD_CERTIFICATE, secret->mark,
                 secret->label, "tls.ocsp-staple is not stapled: %.*s", STR_ARG(buf_str(&why)));
    buf_deinit(&why);
}

/* With the certificate that `secret` keeps. */
static struct tls_entry_config compile_tls_entry(struct compile *c, const struct gateway *g,
                                                 const struct listener *l,
                                                 const struct object *secret)
{
    const struct client_traffic_policy *p = compile_client_policy(c, g, l);
    const struct listener_tls *tls = l->tls;
    struct tls_entry_config entry = {
        .hostname = arena_lower(&c->scratch, l->hostname),
        .certificate_pem = keeper_find(secret, "tls.crt"),
        .key_pem = keeper_find(secret, "tls.key"),
        .ciphers = compile_cipher_option(&c->scratch, compile_tls_option(tls, "tls.cipher_suites")),
        .min_version = listener_tls_version(compile_tls_option(tls, "tls.min_protocol_version")),
        .max_version = listener_tls_version(compile_tls_option(tls, "tls.max_protocol_version")),
        .identity = compile_listener_name(&c->scratch, g, l),
    };

    if (p && !p->object.is_broken && p->spec.tls)
        compile_client_tls(c, p, &entry);
    compile_client_rule(c, g, l, &entry);
    entry.tells_chain = p && !p->object.is_broken && client_traffic_policy_tells_chain(&p->spec);
    return entry;
}

struct tls_entry_vec {
    struct tls_entry_config *items;
    size_t n;
    size_t cap;
};

/* One for each of the listener's certificates, in c->scratch. */
static void compile_tls_entries(struct compile *c, const struct listener_member *m, bool tells,
                                struct tls_entry_vec *entries)
{
    const struct listener_tls *tls = m->listener->tls;

    for (size_t i = 0; i < tls->certificate_refs.n; i++) {
        const struct object *secret = tls->certificate_refs.items[i].target;
        struct tls_entry_config *entry = VEC_ADD(&c->scratch, entries);

        *entry = compile_tls_entry(c, m->gateway, m->listener, secret);
        compile_staple(c, secret, tells, entry);
    }
}

/* Served as they are asked for; but who wrote them should know. */
static void compile_weak_ciphers(struct compile *c, const struct listener_member *m,
                                 struct str ciphers)
{
    const struct client_traffic_policy *p = compile_client_policy(c, m->gateway, m->listener);
    bool is_policy = p && !p->object.is_broken && p->spec.tls && p->spec.tls->settings.ciphers.n;
    struct buf names = {0};

    tls_list_weak(ciphers, &names);
    if (names.len > 0)
        diag_add(&c->manifest->diags, DIAG_WARNING, DIAG_DIFFERENCE,
                 is_policy ? p->spec.tls->settings.mark : m->listener->tls->mark,
                 is_policy ? p->object.label : m->gateway->object.label,
                 "%s of listener \"%.*s\": without forward secrecy or AEAD, so HTTP/2 is not "
                 "agreed on over them (RFC 9113 9.2.2): %.*s",
                 is_policy ? "tls.ciphers" : "tls.cipher_suites", STR_ARG(m->listener->name),
                 STR_ARG(buf_str(&names)));
    buf_deinit(&names);
}

bool compile_listener_tls(struct compile *c, const struct listener_member *m)
{
    const struct listener *l = m->listener;
    struct tls_entry_vec entries = {0};
    struct tls_server *server = NULL;
    struct buf why = {0};
    int r;

    compile_tls_entries(c, m, true, &entries);
    ASSERT(entries.items && entries.n > 0); /* no certificate: not programmed */
    compile_weak_ciphers(c, m, entries.items[0].ciphers);
    r = tls_server_new(entries.items, entries.n, &server, &why);

    if (r != 0) {
        struct diag *d =
            diag_add(&c->manifest->diags, DIAG_ERROR, DIAG_BAD_CERTIFICATE, l->tls->mark,
                     m->gateway->object.label, "TLS of listener \"%.*s\" cannot be set up: %.*s",
                     STR_ARG(l->name), STR_ARG(buf_str(&why)));

        d->hint = STR("the listener is not opened");
        server = NULL;
    }
    tls_server_unref(server);
    buf_deinit(&why);
    return r == 0;
}

bool compile_port_tls(struct compile *c, struct port_draft *draft)
{
    struct port_plan *port = &draft->plan;
    struct tls_entry_vec entries = {0};
    struct buf why = {0};
    int r;

    for (uint32_t i = 0; i < port->n_listeners; i++) {
        const struct listener_member *m = &draft->listeners.items[i].members.items[0];
        const struct tls_entry_config *first;
        size_t at = entries.n;
        struct str rules;

        compile_tls_entries(c, m, false, &entries); /* compile_listener_tls has told */
        ASSERT(entries.items && entries.n > at);    /* no certificate: not programmed */
        first = &entries.items[at];
        port->listeners[i]->client_rule = tls_client_rule(first);
        rules = arena_printf(&c->scratch, "%d-%d|%.*s|%.*s|%.*s|%.*s|%llx", first->min_version,
                             first->max_version, STR_ARG(first->ciphers), STR_ARG(first->groups),
                             STR_ARG(first->signatures), STR_ARG(first->protocols),
                             (unsigned long long)port->listeners[i]->client_rule);
        port->listeners[i]->tls_identity = hash_str(rules);
    }
    r = tls_server_new(entries.items, entries.n, &port->tls, &why);
    if (r != 0)
        diag_add(&c->manifest->diags, DIAG_ERROR, DIAG_BAD_CERTIFICATE,
                 draft->listeners.items[0].members.items[0].listener->mark,
                 arena_str(&c->manifest->arena, port->listeners[0]->name),
                 "TLS of port %u cannot be set up, the port is not opened: %.*s", port->number,
                 STR_ARG(buf_str(&why)));
    else if (c->tickets)
        tls_server_use_tickets(port->tls, c->tickets);
    buf_deinit(&why);
    return r == 0;
}
