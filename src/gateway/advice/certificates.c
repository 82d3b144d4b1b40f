/* Certificates that are past their end, near it, or not yet good: of listeners, of the gateway
 * towards backends, and of the authorities that others are judged by. Near is a fifth of the whole
 * time, and thirty days at most: who renews at a third before the end has had the chance.
 *
 * OpenSSL's objects live for one call; keys are not read. */
#include "gateway/advice/advice_internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <time.h>

#include "base/clock.h"
#include "manifest/backend.h"
#include "manifest/backend_tls_policy.h"
#include "manifest/client_traffic_policy.h"
#include "manifest/core.h"

enum { DAY_S = 86400, NEAR_DAYS = 30, NEAR_PART = 5 };

struct certificate_walk {
    struct advice *a;
    struct map told; /* "Secret/ns/name tls.crt": one word about each */
};

/* Who uses it, and what for. */
struct certificate_use {
    const struct object *user;
    struct mark mark;
    const char *key; /* "tls.crt" or "ca.crt" */
    const char *consequence;
};

static bool unix_time_of(const ASN1_TIME *t, int64_t *ret)
{
    struct tm parts;

    if (ASN1_TIME_to_tm(t, &parts) != 1)
        return false;
    *ret = timegm(&parts);
    return true;
}

static struct str name_of(struct advice *a, X509 *x)
{
    char name[256] = "";

    X509_NAME_oneline(X509_get_subject_name(x), name, sizeof name);
    return arena_str(&a->scratch, str_of(name));
}

static void certificate_judge(struct certificate_walk *w, X509 *x, const struct object *keeper,
                              const struct certificate_use *use)
{
    int64_t now = w->a->now_unix_s, from, until, left_days;
    enum diag_severity severity = DIAG_WARNING;
    const char *verb;
    struct diag *d;
    char date[25];

    if (!unix_time_of(X509_get0_notBefore(x), &from) ||
        !unix_time_of(X509_get0_notAfter(x), &until))
        return;
    left_days = (until - now) / DAY_S;
    if (now > until) {
        verb = "expired on";
    } else if (now < from) {
        verb = "is not good before";
    } else if (until - now < MIN((int64_t)NEAR_DAYS * DAY_S, (until - from) / NEAR_PART)) {
        verb = "expires on";
        severity = DIAG_NOTE;
    } else {
        return;
    }
    clock_format_iso((now < from ? from : until) * 1000000, date);
    d = diag_add(&w->a->m->diags, severity, DIAG_CERTIFICATE_EXPIRY, keeper->mark, keeper->label,
                 "%s: the certificate of %.*s %s %.10s", use->key, STR_ARG(name_of(w->a, x)), verb,
                 date);
    if (severity == DIAG_NOTE)
        d->hint = arena_printf(&w->a->m->arena,
                               "in %lld days; renew it and replace the %.*s: it is "
                               "loaded while the gateway serves",
                               (long long)left_days, STR_ARG(keeper->kind->name));
    else
        d->hint = str_of(use->consequence);
    d->other = use->mark;
    d->other_text = arena_printf(&w->a->m->arena, "used by %.*s", STR_ARG(use->user->label));
}

static void certificate_visit(struct certificate_walk *w, const struct object *keeper,
                              const struct certificate_use *use)
{
    struct str pem = keeper ? keeper_find(keeper, use->key) : STR_NULL;
    BIO *bio;
    X509 *x;

    if (pem.len == 0 ||
        !advice_tells(w->a, &w->told,
                      arena_printf(&w->a->scratch, "%.*s %s", STR_ARG(keeper->label), use->key)))
        return;
    bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    while (bio && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        certificate_judge(w, x, keeper, use);
        X509_free(x);
    }
    BIO_free(bio);
    ERR_clear_error();
}

/* ---- who uses certificates ---- */

#define CONSEQUENCE_SERVER    "clients that verify it do not connect"
#define CONSEQUENCE_CLIENT    "the backend may refuse the gateway"
#define CONSEQUENCE_AUTHORITY "what it has signed is not trusted"

static void visit_listener(struct advice *a, const struct advice_place *at, void *user)
{
    const struct listener_tls *tls = at->listener->tls;

    (void)a;
    for (size_t i = 0; tls && i < tls->certificate_refs.n; i++) {
        const struct secret_ref *ref = &tls->certificate_refs.items[i];

        certificate_visit(user, ref->target,
                          &(struct certificate_use){&at->gateway->object, ref->mark, "tls.crt",
                                                    CONSEQUENCE_SERVER});
    }
}

static void visit_authorities(struct certificate_walk *w, const struct object *user,
                              const struct local_object_ref *refs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        certificate_visit(
            w, refs[i].target,
            &(struct certificate_use){user, refs[i].mark, "ca.crt", CONSEQUENCE_AUTHORITY});
}

static void visit_backends(struct certificate_walk *w)
{
    VEC_FOREACH (manifest_kind(w->a->m, KIND_BACKEND), o) {
        const struct backend_tls *tls = CONTAINER_OF(*o, struct backend, object)->spec.tls;

        if (!tls)
            continue;
        visit_authorities(w, *o, tls->ca_certificate_refs.items, tls->ca_certificate_refs.n);
        if (tls->client_certificate_ref)
            certificate_visit(w, tls->client_certificate_ref->target,
                              &(struct certificate_use){*o, tls->client_certificate_ref->mark,
                                                        "tls.crt", CONSEQUENCE_CLIENT});
    }
    VEC_FOREACH (manifest_kind(w->a->m, KIND_BACKEND_TLS_POLICY), o) {
        const struct backend_tls_validation *v =
            CONTAINER_OF(*o, struct backend_tls_policy, object)->spec.validation;

        if (v)
            visit_authorities(w, *o, v->ca_certificate_refs.items, v->ca_certificate_refs.n);
    }
}

static void visit_clients(struct certificate_walk *w)
{
    VEC_FOREACH (manifest_kind(w->a->m, KIND_CLIENT_TRAFFIC_POLICY), o) {
        const struct client_tls *tls =
            CONTAINER_OF(*o, struct client_traffic_policy, object)->spec.tls;
        const struct client_validation *v = tls ? tls->client_validation : NULL;

        for (size_t i = 0; v && i < v->ca_certificate_refs.n; i++)
            certificate_visit(w, v->ca_certificate_refs.items[i].target,
                              &(struct certificate_use){*o, v->ca_certificate_refs.items[i].mark,
                                                        "ca.crt", CONSEQUENCE_AUTHORITY});
    }
}

void advise_certificates(struct advice *a)
{
    struct certificate_walk w = {.a = a};

    if (a->now_unix_s == 0)
        return;
    advice_each_listener(a, visit_listener, &w);
    visit_backends(&w);
    visit_clients(&w);
    map_deinit(&w.told);
}
