/* The part `credentials`: key sets, and certificates with their ends. Of a Secret nothing is told
 * but its name and when its certificates end. */
#include "admin/live/part.h"
#include "base/limits.h"
#include "gateway/snapshot.h"

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

/* The next to end first. */
static void credentials_certificates(const struct snapshot *s, struct json *j)
{
    struct part_list rows;

    json_open(j, "certificates", '{');
    part_list_open(&rows, j, "list", CREDENTIALS_CERTIFICATES_BYTES);
    VEC_FOREACH (&s->certificates, fact) {
        if (!part_row_open(&rows))
            continue;
        part_str(j, "namespace", fact->secret->namespace);
        part_str(j, "name", fact->secret->name);
        json_u64(j, "until_s", (uint64_t)MAX(fact->until_s, (int64_t)0));
        part_row_close(&rows);
    }
    part_list_close(&rows, "list_more");
    json_close(j, '}');
}

void live_write_credentials(struct live *l, struct json *j)
{
    const struct snapshot *s = live_snapshot(l);

    if (!s)
        return;
    credentials_key_sets(s, j);
    credentials_certificates(s, j);
}
