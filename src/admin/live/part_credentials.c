/* The part `credentials`: key sets, and certificates with their ends. Of a Secret nothing is told
 * but its name and when its certificates end. Certificates are read once for each configuration. */
#include <stdlib.h>

#include "admin/live/part.h"
#include "base/limits.h"
#include "gateway/snapshot.h"
#include "manifest/core.h"
#include "net/certificate/chain.h"

enum { CREDENTIALS_KEYS_BYTES = 3500, CREDENTIALS_CERTIFICATES_BYTES = 3500 };

/* ---- key sets ---- */

static void credentials_key_set(struct json *j, struct key_feed *f)
{
    static const char *const states[] = {"new", "fetching", "fresh", "retrying", "local"};
    struct key_feed_facts facts;

    key_feed_read_facts(f, &facts);
    part_str(j, "provider", f->config.name);
    json_text(j, "state", states[facts.state]);
    json_u64(j, "keys", facts.n_keys);
    json_u64(j, "fetches_failed", facts.n_fetches_failed);
    if (facts.fetched_wall_us > 0) {
        json_u64(j, "fetched_s", (uint64_t)facts.fetched_wall_us / 1000000);
        json_u64(j, "serves_until_s",
                 (uint64_t)facts.fetched_wall_us / 1000000 + LIMIT_KEY_SET_STALE_S);
    }
    part_str(j, "last_error", str_of(facts.last_error));
}

/* Those that have no keys, then those that cannot be fetched, then the others. */
static unsigned credentials_rank(struct key_feed *f)
{
    struct key_feed_facts facts;

    key_feed_read_facts(f, &facts);
    if (facts.n_keys == 0)
        return 0;
    return facts.state == KEY_FEED_RETRYING ? 1 : 2;
}

static void credentials_key_sets(const struct snapshot *s, struct json *j)
{
    struct part_list rows;

    part_list_open(&rows, j, "key_sets", CREDENTIALS_KEYS_BYTES);
    for (unsigned rank = 0; rank < 3; rank++) {
        struct map known = {0}; /* a feed may serve several policies */

        for (uint32_t i = 0; i < s->n_feeds; i++) {
            if (map_put(&known, s->feeds[i]->key, s->feeds[i]) ||
                credentials_rank(s->feeds[i]) != rank || !part_row_open(&rows))
                continue;
            credentials_key_set(j, s->feeds[i]);
            part_row_close(&rows);
        }
        map_deinit(&known);
    }
    part_list_close(&rows, "key_sets_more");
}

/* ---- certificates ---- */

struct certificate_view {
    const struct object *secret;
    int64_t until_s;
};

static int certificate_compare(const void *a, const void *b)
{
    const struct certificate_view *x = a;
    const struct certificate_view *y = b;

    if (x->until_s != y->until_s)
        return x->until_s < y->until_s ? -1 : 1;
    return str_compare(x->secret->label, y->secret->label);
}

/* The next to end first. */
static void credentials_write_certificates(struct json *j, const struct certificate_view *views,
                                           size_t n)
{
    struct part_list rows;

    json_open(j, NULL, '{');
    part_list_open(&rows, j, "list", CREDENTIALS_CERTIFICATES_BYTES);
    for (size_t i = 0; i < n; i++) {
        if (!part_row_open(&rows))
            continue;
        part_str(j, "namespace", views[i].secret->namespace);
        part_str(j, "name", views[i].secret->name);
        json_u64(j, "until_s", (uint64_t)MAX(views[i].until_s, (int64_t)0));
        part_row_close(&rows);
    }
    part_list_close(&rows, "list_more");
    json_close(j, '}');
}

static void credentials_read_certificates(const struct manifest *m, struct buf *out)
{
    struct arena arena;
    VEC(struct certificate_view) views = {0};
    struct json j;

    arena_init(&arena, 4096);
    VEC_FOREACH (manifest_kind(m, KIND_SECRET), o) {
        const struct secret *secret = CONTAINER_OF(*o, struct secret, object);
        struct certificate_view view = {.secret = *o};

        if (secret_find(secret, "tls.key").len > 0 &&
            chain_until(secret_find(secret, "tls.crt"), &view.until_s))
            VEC_PUSH(&arena, &views, view);
    }
    if (views.n > 0)
        qsort(views.items, views.n, sizeof views.items[0], certificate_compare);
    buf_clear(out);
    json_init(&j, out);
    credentials_write_certificates(&j, views.items, views.n);
    arena_deinit(&arena);
}

void live_write_credentials(struct live *l, struct json *j)
{
    const struct snapshot *s = live_snapshot(l);

    if (!s)
        return;
    if (l->certificates.len == 0 || l->certificates_of != s->generation)
        credentials_read_certificates(s->manifest, &l->certificates);
    l->certificates_of = s->generation;
    credentials_key_sets(s, j);
    json_raw(j, "certificates", buf_str(&l->certificates));
}
