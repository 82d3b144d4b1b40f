/* compile: until when the certificates of Secrets are valid, for who watches. */
#include <stdlib.h>

#include "gateway/compile/tls.h"
#include "manifest/core.h"
#include "net/certificate/chain.h"

static int certificate_compare(const void *a, const void *b)
{
    const struct certificate_fact *x = a;
    const struct certificate_fact *y = b;

    if (x->until_s != y->until_s)
        return x->until_s < y->until_s ? -1 : 1;
    return str_compare(x->secret->label, y->secret->label);
}

void compile_certificates(struct compile *c)
{
    struct snapshot *s = c->snapshot;

    VEC_FOREACH (manifest_kind(c->manifest, KIND_SECRET), o) {
        const struct secret *secret = CONTAINER_OF(*o, struct secret, object);
        struct certificate_fact fact = {.secret = *o};

        if (secret_find(secret, "tls.key").len > 0 &&
            chain_until(secret_find(secret, "tls.crt"), &fact.until_s))
            VEC_PUSH(&s->arena, &s->certificates, fact);
    }
    if (s->certificates.n > 0)
        qsort(s->certificates.items, s->certificates.n, sizeof s->certificates.items[0],
              certificate_compare);
}
