/* See client_rule.h. A rule is all of what is asked or nothing: a piece that cannot be had (a
 * missing authority, a pattern that is none) breaks the policy, whose routes then refuse. */
#include "gateway/compile/tls/client_rule.h"

#include "base/mem.h"
#include "manifest/client_traffic_policy.h"
#include "manifest/core.h"
#include "policy/regex.h"

/* What the objects keep under `key`, one PEM after the other. The first that has nothing there is
 * answered; NULL: none. */
static const struct secret_ref *compile_pem(struct compile *c, const struct secret_ref *refs,
                                            size_t n, const char *key, struct str *ret_pem)
{
    struct str pem = STR("");

    for (size_t i = 0; i < n; i++) {
        struct str one = refs[i].target ? keeper_find(refs[i].target, key) : STR_NULL;

        if (one.len == 0)
            return &refs[i];
        pem = arena_printf(&c->scratch, "%.*s%.*s\n", STR_ARG(pem), STR_ARG(one));
    }
    *ret_pem = pem;
    return NULL;
}

/* ---- a policy ---- */

/* The rule of one policy on its way. */
struct client_rule_draft {
    struct compile *c;
    struct client_traffic_policy *policy;
    const struct client_validation *validation;
    struct tls_entry_config *entry;
    struct tls_name *names;
};

/* False after saying what is missing: the policy is broken then. */
static bool rule_pem(struct client_rule_draft *r, const struct secret_ref *refs, size_t n,
                     const char *key, struct str *ret_pem)
{
    const struct secret_ref *bad = compile_pem(r->c, refs, n, key, ret_pem);

    if (bad)
        manifest_object_error(r->c->manifest, &r->policy->object, DIAG_BAD_CERTIFICATE, bad->mark,
                              "%.*s %.*s has nothing under the key %s", STR_ARG(bad->kind),
                              STR_ARG(bad->name), key);
    return !bad;
}

static bool rule_pins(struct client_rule_draft *r, const struct str_vec *texts, bool is_key)
{
    struct tls_entry_config *entry = r->entry;
    struct tls_pin *pins =
        ARENA_ARRAY(&r->c->scratch, struct tls_pin, entry->n_client_pins + texts->n);

    for (size_t i = 0; i < entry->n_client_pins; i++)
        pins[i] = entry->client_pins[i];
    for (size_t i = 0; i < texts->n; i++) {
        if (tls_pin_parse(texts->items[i], is_key, &pins[entry->n_client_pins + i]))
            continue;
        manifest_object_error(r->c->manifest, &r->policy->object, DIAG_INVALID_VALUE,
                              r->validation->mark,
                              "tls.clientValidation.%s: \"%.*s\" is not %s of a SHA-256",
                              is_key ? "spkiHashes" : "certificateHashes", STR_ARG(texts->items[i]),
                              is_key ? "the base64" : "the hex digits");
        return false;
    }
    entry->client_pins = pins;
    entry->n_client_pins += texts->n;
    return true;
}

/* ---- names ---- */

/* A pattern of a policy as the layer of TLS wants it. Refcounted: servers hold it. */
struct name_pattern {
    struct tls_pattern base;
    struct arena arena;
    const struct regex *regex;
};

/* A name that takes too long to match is not let in either. */
static bool name_pattern_matches(const struct tls_pattern *base, struct str name)
{
    const struct name_pattern *p = CONTAINER_OF(base, struct name_pattern, base);

    return regex_match(p->regex, name) == REGEX_HIT;
}

static void name_pattern_free(struct tls_pattern *base)
{
    struct name_pattern *p = CONTAINER_OF(base, struct name_pattern, base);

    arena_deinit(&p->arena);
    mem_free(p);
}

static void name_pattern_drop(void *base)
{
    tls_pattern_unref(base);
}

/* With a reference of c->scratch's. NULL: it is none. */
static struct tls_pattern *name_pattern_new(struct compile *c, struct str text)
{
    struct name_pattern *p = MEM_NEW(struct name_pattern);

    arena_init(&p->arena, 512);
    p->base.matches = name_pattern_matches;
    p->base.free = name_pattern_free;
    atomic_init(&p->base.n_refs, 1);
    if (regex_compile(&p->arena, text, &p->regex, NULL) != 0) {
        tls_pattern_unref(&p->base);
        return NULL;
    }
    arena_on_cleanup(&c->scratch, name_pattern_drop, &p->base);
    return &p->base;
}

static bool rule_name_error(struct client_rule_draft *r, struct mark mark, const char *what,
                            struct str value)
{
    manifest_object_error(r->c->manifest, &r->policy->object, DIAG_INVALID_VALUE, mark,
                          "tls.clientValidation.subjectAltNames: \"%.*s\" is no %s", STR_ARG(value),
                          what);
    return false;
}

static bool rule_name(struct client_rule_draft *r, struct mark mark, struct tls_name name, int type)
{
    static const enum tls_name_match matches[] = {[STRING_EXACT] = TLS_NAME_EXACT,
                                                  [STRING_PREFIX] = TLS_NAME_PREFIX,
                                                  [STRING_SUFFIX] = TLS_NAME_SUFFIX,
                                                  [STRING_REGEX] = TLS_NAME_PATTERN};

    name.match = type >= 0 ? matches[type] : TLS_NAME_EXACT;
    if (name.match == TLS_NAME_PATTERN && !(name.pattern = name_pattern_new(r->c, name.value)))
        return rule_name_error(r, mark, "regular expression", name.value);
    if (name.kind == TLS_NAME_OTHER && !tls_oid_is_valid(name.oid))
        return rule_name_error(r, mark, "object identifier in numbers and dots", name.oid);
    r->names[r->entry->n_client_names++] = name;
    return true;
}

static bool rule_names_of(struct client_rule_draft *r, enum tls_name_kind kind,
                          const struct string_match *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct tls_name name = {.kind = kind, .value = items[i].value};

        if (!rule_name(r, items[i].mark, name, items[i].type))
            return false;
    }
    return true;
}

static bool rule_names(struct client_rule_draft *r, const struct subject_alt_names *s)
{
    size_t n = s->dns_names.n + s->email_addresses.n + s->ip_addresses.n + s->uris.n;

    r->names = ARENA_ARRAY(&r->c->scratch, struct tls_name, n + s->other_names.n + 1);
    r->entry->client_names = r->names;
    if (!rule_names_of(r, TLS_NAME_DNS, s->dns_names.items, s->dns_names.n) ||
        !rule_names_of(r, TLS_NAME_EMAIL, s->email_addresses.items, s->email_addresses.n) ||
        !rule_names_of(r, TLS_NAME_IP, s->ip_addresses.items, s->ip_addresses.n) ||
        !rule_names_of(r, TLS_NAME_URI, s->uris.items, s->uris.n))
        return false;
    VEC_FOREACH (&s->other_names, other) {
        struct tls_name name = {.kind = TLS_NAME_OTHER, .oid = other->oid, .value = other->value};

        if (!rule_name(r, other->mark, name, other->type))
            return false;
    }
    if (r->entry->n_client_names > 0)
        return true;
    /* None would let everybody in whom an authority knows. */
    manifest_object_error(r->c->manifest, &r->policy->object, DIAG_MISSING_FIELD, s->mark,
                          "tls.clientValidation.subjectAltNames: names nothing");
    return false;
}

/* ---- the whole ---- */

/* False after saying what is wrong with it. */
static bool rule_of_policy(struct client_rule_draft *r)
{
    const struct client_validation *v = r->validation;
    struct tls_entry_config *entry = r->entry;

    entry->is_client_optional = client_validation_is_optional(v);
    entry->accepts_unverified = client_validation_accepts_unverified(v);
    if (v->ca_certificate_refs.n == 0 && !entry->accepts_unverified) {
        manifest_object_error(r->c->manifest, &r->policy->object, DIAG_MISSING_FIELD, v->mark,
                              "tls.clientValidation.caCertificateRefs: required, certificates of "
                              "clients are verified by nothing else");
        return false;
    }
    if (v->crl &&
        !rule_pem(r, v->crl->refs.items, v->crl->refs.n, "ca.crl", &entry->client_crl_pem))
        return false;
    if (!rule_pins(r, &v->spki_hashes, true) || !rule_pins(r, &v->certificate_hashes, false))
        return false;
    if (v->subject_alt_names && !rule_names(r, v->subject_alt_names))
        return false;
    entry->allows_expired = v->allow_expired_certificate.value;
    entry->is_only_leaf_looked_up = v->crl && v->crl->only_verify_leaf.value;
    return rule_pem(r, v->ca_certificate_refs.items, v->ca_certificate_refs.n, "ca.crt",
                    &entry->client_ca_pem);
}

static void rule_ask_nobody(struct tls_entry_config *entry)
{
    entry->client_ca_pem = STR("");
    entry->accepts_unverified = false;
}

static void rule_of_gateway(struct compile *c, const struct frontend_validation *v,
                            struct tls_entry_config *entry)
{
    entry->accepts_unverified = v->mode == FRONTEND_INSECURE_FALLBACK;
    entry->is_client_optional = entry->accepts_unverified;
    if (compile_pem(c, v->ca_certificate_refs.items, v->ca_certificate_refs.n, "ca.crt",
                    &entry->client_ca_pem))
        rule_ask_nobody(entry);
}

void compile_client_rule(struct compile *c, const struct gateway *g, const struct listener *l,
                         struct tls_entry_config *entry)
{
    const struct client_traffic_policy *p = compile_client_policy(c, g, l);
    const struct frontend_validation *frontend = compile_frontend(g, l);
    struct client_rule_draft r = {
        .c = c, .policy = (struct client_traffic_policy *)(uintptr_t)p, .entry = entry};

    if (p && p->object.is_broken)
        return; /* its routes refuse */
    if (p && p->spec.tls && p->spec.tls->client_validation) {
        r.validation = p->spec.tls->client_validation;
        if (!rule_of_policy(&r))
            rule_ask_nobody(entry);
    } else if (frontend) {
        rule_of_gateway(c, frontend, entry);
    }
}

/* ---- the Gateway's ---- */

const struct frontend_validation *compile_frontend(const struct gateway *g,
                                                   const struct listener *l)
{
    const struct gateway_frontend *f = g->spec.tls ? g->spec.tls->frontend : NULL;

    if (!f)
        return NULL;
    VEC_FOREACH (&f->per_port, of) {
        if (of->port.value == l->port.value)
            return of->tls ? of->tls->validation : NULL;
    }
    return f->default_tls ? f->default_tls->validation : NULL;
}

const char *compile_frontend_trouble(struct compile *c, const struct gateway *g,
                                     const struct listener *l)
{
    const struct frontend_validation *v = compile_frontend(g, l);
    const struct client_traffic_policy *p = compile_client_policy(c, g, l);
    const struct secret_ref *bad;
    struct str pem;

    if (!v || l->kind != LISTENER_HTTPS || (p && p->spec.tls && p->spec.tls->client_validation))
        return NULL;
    bad = compile_pem(c, v->ca_certificate_refs.items, v->ca_certificate_refs.n, "ca.crt", &pem);
    if (!bad)
        return NULL;
    diag_add(&c->manifest->diags, DIAG_ERROR, DIAG_BAD_CERTIFICATE, bad->mark, g->object.label,
             "tls.frontend: %.*s %.*s has nothing under the key ca.crt: routes of listener "
             "\"%.*s\" refuse",
             STR_ARG(bad->kind), STR_ARG(bad->name), STR_ARG(l->name));
    return "an authority of clients' certificates that the Gateway names is missing";
}
