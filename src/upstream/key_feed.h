/* A key feed: the JSON Web Key Set of one token issuer, kept fresh. Local sets never change; remote
 * ones are fetched in the background by control, with a single fetch in flight, retried with the
 * policy's retries, no redirects followed. The last good set serves while the source is down, for
 * LIMIT_KEY_SET_STALE_S at most. Shared: workers read keys and version and ask for a refetch;
 * everything under "control only" belongs to the control thread.
 *
 *     NEW --start--> FETCHING --ok--> FRESH --refresh due--> FETCHING (keys go on serving)
 *                       +--failed--> RETRYING --back-off--> FETCHING
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "auth/jwks.h"
#include "upstream/attempt.h"
#include "upstream/key_feed_retry.h"

enum {
    KEY_FEED_RETRY_AFTER_S = 2,
};

enum key_feed_state {
    KEY_FEED_NEW,
    KEY_FEED_FETCHING,
    KEY_FEED_FRESH,
    KEY_FEED_RETRYING,
    KEY_FEED_LOCAL
};

struct key_feed_config {
    struct str name;         /* of the provider: logs, metrics */
    struct str host;         /* Host header */
    struct str path;         /* with query */
    struct cluster *cluster; /* the feed takes a reference of its own */
    uint64_t cache_us;       /* refreshed before it ends; 300 s by default */
    uint64_t connect_us;     /* of one fetch's connection */
    uint64_t timeout_us;     /* of one fetch */
    uint64_t idle_us;        /* after which its connection is closed, unused; 0: the default */
    bool has_limits;
    struct breaker_limits limits;
    struct key_feed_retry retry;
};

/* Facts for status and metrics; a consistent copy under the lock. */
struct key_feed_facts {
    enum key_feed_state state;
    uint32_t n_keys;
    uint64_t n_fetches_ok;
    uint64_t n_fetches_failed;
    int64_t fetched_wall_us; /* 0: never */
    char last_error[128];
};

struct key_feed_registry;

struct key_feed {
    _Atomic uint32_t n_refs;
    struct key_feed_registry *registry;
    struct str key; /* identity: a feed whose configuration is unchanged outlives a reload */
    struct key_feed_config config; /* strings owned */
    _Atomic uint32_t version;      /* bumped with every end of a fetch */
    _Atomic uint64_t keys_version; /* jwks_version of the keys; 0: none */
    _Atomic bool is_refetch_wanted;
    pthread_mutex_t lock;
    struct jwks *keys; /* NULL: none yet */
    struct buf text;   /* that remote ones were read from */
    uint64_t fetched_us;
    bool is_answered; /* some fetch has ended, well or not */
    struct key_feed_facts facts;
    struct list_node node;
    /* control only */
    enum key_feed_state state;
    struct arena arena; /* of one fetch */
    struct http_request request;
    struct attempt attempt;
    struct buf body;
    struct timer timer;         /* refresh, back-off */
    struct timer timeout_timer; /* of the running fetch */
    uint32_t n_failed;          /* tries of this round */
    uint64_t refetched_us;      /* last time an unknown kid caused a fetch */
};

typedef void key_feed_news_fn(void *ctx);

struct key_feed_registry {
    pthread_mutex_t lock;
    struct map by_key;
    struct list feeds;
    struct upstreams *upstreams; /* control's */
    struct wake wake;            /* refetch wanted, or feeds to start */
    struct random random;
    key_feed_news_fn *on_news; /* keys changed or a first fetch ended: control tells the workers */
    void *ctx;
};

/* Control. */
void key_feed_registry_init(struct key_feed_registry *r, struct upstreams *u,
                            key_feed_news_fn *on_news, void *ctx);
void key_feed_registry_deinit(struct key_feed_registry *r);
/* Starts new feeds, frees those that nobody references any more. Control. */
void key_feed_registry_sweep(struct key_feed_registry *r);

/* The feed of that identity with one more reference; compile thread. `config` is copied when new;
 * the last good keys of another feed on the same source are taken over. */
struct key_feed *key_feed_get_remote(struct key_feed_registry *r, struct str key,
                                     const struct key_feed_config *config);
/* A local set. Positive: an enum jwks condition. */
MUST_USE int key_feed_get_local(struct key_feed_registry *r, struct str key, struct str name,
                                struct str json, struct key_feed **ret_feed);
struct key_feed *key_feed_ref(struct key_feed *f);
/* Any thread; the memory goes at control's next sweep. */
void key_feed_unref(struct key_feed *f);

/* Any thread: the keys with one more reference, NULL when there are none (then *ret_is_pending says
 * whether a first fetch is still under way). */
struct jwks *key_feed_keys(struct key_feed *f, bool *ret_is_pending);
static inline uint32_t key_feed_version(struct key_feed *f)
{
    return atomic_load_explicit(&f->version, memory_order_acquire);
}
/* What remembered tokens were verified with: the same while the set's text stays the same, whatever
 * happens to fetches. */
static inline uint64_t key_feed_keys_version(const struct key_feed *f)
{
    return atomic_load_explicit(&f->keys_version, memory_order_acquire);
}
/* An unknown kid was seen: asks for one fetch, at most every 10 s. True when one is or will be
 * under way. Any thread. */
bool key_feed_want_refetch(struct key_feed *f, uint64_t now_us);
void key_feed_read_facts(struct key_feed *f, struct key_feed_facts *ret_facts);

/* A fetched set, as one process tells it to another. Borrowed. */
struct key_feed_copy {
    struct str key; /* of the feed: its identity */
    struct str json;
    uint64_t age_us; /* since it was fetched */
};
typedef void key_feed_copy_fn(void *ctx, const struct key_feed_copy *copy);

/* Control. All fetched sets that serve. */
void key_feed_export(struct key_feed_registry *r, key_feed_copy_fn *fn, void *ctx);
/* Control. It serves, unless the feed is not there, or has one as new; it is fetched all the same.
 */
void key_feed_import(struct key_feed_registry *r, const struct key_feed_copy *copy);
