/* One entry per cluster that has a name: a query, then a timer for its TTL. An answer becomes the
 * cluster's endpoints, in the order of their texts: servers that rotate an answer change nothing. A
 * failure keeps the last ones, and is tried again soon, then at growing intervals; it marks the
 * cluster as failed when there never were any, or when they are too old, so that waiting requests
 * are answered. What another cluster knows of the same name is a new one's first answer. */
#include "upstream/names.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "telemetry/metrics.h"

enum {
    NAME_TTL_MIN_S = 1,
    NAME_TTL_MAX_S = 300,
    NAME_RETRY_US = 1000000, /* after a failure; doubled by each of those that follow */
    NAME_RETRY_MAX_US = 30 * 1000000,
};

struct name_entry {
    struct names *names;
    struct cluster *cluster; /* an observing reference */
    struct resolve_query query;
    struct timer timer;
    bool is_new;       /* nothing was asked yet */
    uint64_t good_us;  /* when the last good answer came; 0: none yet, or it is too old */
    uint64_t retry_us; /* after the next failure; 0: NAME_RETRY_US */
    struct list_node node;
};

static void name_entry_resolve(struct name_entry *e);

static void name_entry_on_timer(struct timer *t)
{
    name_entry_resolve(CONTAINER_OF(t, struct name_entry, timer));
}

static void name_entry_again(struct name_entry *e, uint64_t us)
{
    e->timer.fn = name_entry_on_timer;
    timer_set(e->names->loop, &e->timer, e->names->loop->now.mono_us + us);
}

static void name_entry_publish(struct name_entry *e, struct endpoint_set *endpoints)
{
    if (cluster_publish(e->cluster, endpoints))
        e->names->on_news(e->names->ctx);
}

/* ---- failures ---- */

/* Half of it for certain, the rest by chance: gateways that lost their server together do not come
 * back to it together. */
static uint64_t name_entry_retry_us(struct name_entry *e)
{
    uint64_t us = e->retry_us ? e->retry_us : (uint64_t)NAME_RETRY_US;

    e->retry_us = MIN(us * 2, (uint64_t)NAME_RETRY_MAX_US);
    return us / 2 + random_below(&e->names->random, (uint32_t)(us / 2));
}

static void name_entry_on_failure(struct name_entry *e)
{
    uint64_t now_us = e->names->loop->now.mono_us;

    if (e->good_us == 0 || now_us - e->good_us >= e->names->stale_us) {
        e->good_us = 0;
        name_entry_publish(e, endpoint_set_new(0, ENDPOINTS_FAILED));
    }
    name_entry_again(e, name_entry_retry_us(e));
}

/* ---- answers ---- */

static bool name_entry_has(const struct resolve_result *result, int family)
{
    for (size_t i = 0; i < result->n_addresses; i++) {
        if (result->addresses[i].address.ss_family == family)
            return true;
    }
    return false;
}

/* The one family that is used of the answer; AF_UNSPEC: both. */
static int name_entry_family(const struct name_entry *e, const struct resolve_result *result)
{
    switch (e->cluster->lookup.family) {
    case CLUSTER_IPV4:
        return AF_INET;
    case CLUSTER_IPV6:
        return AF_INET6;
    case CLUSTER_IPV4_PREFERRED:
        return name_entry_has(result, AF_INET) ? AF_INET : AF_INET6;
    case CLUSTER_IPV6_PREFERRED:
        return name_entry_has(result, AF_INET6) ? AF_INET6 : AF_INET;
    default:
        return AF_UNSPEC;
    }
}

static int name_compare(const void *a, const void *b)
{
    return strcmp(((const struct endpoint *)a)->text, ((const struct endpoint *)b)->text);
}

/* Each address once. */
static void name_sort(struct endpoint_set *s)
{
    uint32_t n = 0;

    qsort(s->items, s->n, sizeof s->items[0], name_compare);
    for (uint32_t i = 0; i < s->n; i++) {
        if (n == 0 || name_compare(&s->items[n - 1], &s->items[i]) != 0)
            s->items[n++] = s->items[i];
    }
    s->n = n;
}

static struct endpoint_set *name_entry_endpoints(const struct name_entry *e,
                                                 const struct resolve_result *result)
{
    struct endpoint_set *s = endpoint_set_new((uint32_t)result->n_addresses, ENDPOINTS_KNOWN);
    int family = name_entry_family(e, result);

    s->n = 0;
    for (size_t i = 0; i < result->n_addresses; i++) {
        const struct resolve_address *a = &result->addresses[i];

        if (family == AF_UNSPEC || a->address.ss_family == family)
            endpoint_init_address(&s->items[s->n++], (const struct sockaddr *)&a->address, a->len,
                                  e->cluster->resolve_port);
    }
    name_sort(s);
    return s;
}

static uint64_t name_entry_refresh_us(const struct name_entry *e,
                                      const struct resolve_result *result)
{
    uint32_t ttl_s = MIN(MAX(result->ttl_s, (uint32_t)NAME_TTL_MIN_S), (uint32_t)NAME_TTL_MAX_S);

    return e->cluster->lookup.refresh_us ? e->cluster->lookup.refresh_us
                                         : (uint64_t)ttl_s * 1000000;
}

static void name_entry_count(const struct name_entry *e, const struct resolve_result *result)
{
    static const char *const words[] = {
        [RESOLVE_OK] = "ok",
        [RESOLVE_NOT_FOUND] = "not_found",
        [RESOLVE_SERVER_FAILURE] = "server_failure",
        [RESOLVE_TIMEOUT] = "timeout",
    };

    metric_add(METRICS_SERIES(e->names->metrics, METRIC_NAME_LOOKUPS, e->cluster->name,
                              str_of(words[result->status])),
               1);
    if (result->n_dropped > 0)
        metric_add(
            METRICS_SERIES(e->names->metrics, METRIC_NAME_ADDRESSES_DROPPED, e->cluster->name),
            result->n_dropped);
}

static void name_entry_on_done(struct resolve_query *q, const struct resolve_result *result)
{
    struct name_entry *e = CONTAINER_OF(q, struct name_entry, query);

    name_entry_count(e, result);
    if (result->status != RESOLVE_OK || result->n_addresses == 0) {
        name_entry_on_failure(e);
        return;
    }
    e->good_us = e->names->loop->now.mono_us;
    e->retry_us = 0;
    name_entry_publish(e, name_entry_endpoints(e, result));
    name_entry_again(e, name_entry_refresh_us(e, result));
}

static void name_entry_resolve(struct name_entry *e)
{
    static const int families[] = {
        [CLUSTER_ALL_FAMILIES] = AF_UNSPEC,
        [CLUSTER_IPV4] = AF_INET,
        [CLUSTER_IPV6] = AF_INET6,
        [CLUSTER_IPV4_PREFERRED] = AF_UNSPEC,
        [CLUSTER_IPV6_PREFERRED] = AF_UNSPEC,
    };

    resolver_start(&e->names->resolver, &e->query, e->cluster->resolve_host,
                   families[e->cluster->lookup.family], name_entry_on_done);
}

static void name_entry_free(struct name_entry *e)
{
    resolver_cancel(&e->query);
    timer_cancel(e->names->loop, &e->timer);
    list_remove(&e->node);
    e->cluster->is_watched_name = false;
    cluster_unobserve(e->cluster);
    mem_free(e);
}

/* ---- of another process ---- */

struct name_memory {
    uint64_t good_us;
    struct list_node node;
    struct str host; /* behind the addresses */
    size_t n;
    struct resolve_address addresses[];
};

static struct name_memory *names_find_memory(struct names *n, struct str host)
{
    LIST_FOREACH (&n->memories, node) {
        struct name_memory *m = CONTAINER_OF(node, struct name_memory, node);

        if (str_eq(m->host, host))
            return m;
    }
    return NULL;
}

static void names_forget(struct names *n)
{
    LIST_FOREACH (&n->memories, node) {
        list_remove(node);
        mem_free(CONTAINER_OF(node, struct name_memory, node));
    }
    n->n_remembered = 0;
}

void names_import(struct names *n, const struct name_answer *answer)
{
    size_t n_bytes = answer->n_addresses * sizeof answer->addresses[0];
    struct name_memory *m;

    if (answer->age_us >= MIN(n->stale_us, n->loop->now.mono_us) ||
        answer->n_addresses > LIMIT_NAME_ADDRESSES ||
        n->n_remembered + answer->n_addresses > LIMIT_TAKEOVER_ENDPOINTS ||
        names_find_memory(n, answer->host))
        return;
    m = mem_alloc(sizeof *m + n_bytes + answer->host.len);
    *m = (struct name_memory){.good_us = n->loop->now.mono_us - answer->age_us,
                              .n = answer->n_addresses};
    memcpy(m->addresses, answer->addresses, n_bytes);
    m->host = str_make(m->addresses + m->n, answer->host.len);
    memcpy(m->addresses + m->n, answer->host.ptr, answer->host.len);
    list_append(&n->memories, &m->node);
    n->n_remembered += m->n;
}

/* ---- all of them ---- */

int names_init(struct names *n, struct loop *l, struct cluster_registry *clusters,
               struct metrics_shard *metrics, names_news_fn *on_news, void *ctx)
{
    *n = (struct names){.loop = l,
                        .clusters = clusters,
                        .metrics = metrics,
                        .stale_us = LIMIT_NAME_STALE_S * UINT64_C(1000000),
                        .on_news = on_news,
                        .ctx = ctx};
    random_init(&n->random);
    return resolver_init(&n->resolver, l);
}

void names_deinit(struct names *n)
{
    if (!n->loop)
        return;
    LIST_FOREACH (&n->entries, node) {
        name_entry_free(CONTAINER_OF(node, struct name_entry, node));
    }
    names_forget(n);
    resolver_deinit(&n->resolver);
    n->loop = NULL;
}

static void names_add(struct names *n, struct cluster *c)
{
    struct name_entry *e = MEM_NEW(struct name_entry);

    e->names = n;
    e->cluster = cluster_observe(c);
    e->is_new = true;
    c->is_watched_name = true;
    list_append(&n->entries, &e->node);
}

/* Who knows the newest good answer to the same question; NULL: nobody. */
static struct name_entry *name_entry_find_source(const struct name_entry *e)
{
    struct name_entry *newest = NULL;

    LIST_FOREACH (&e->names->entries, node) {
        struct name_entry *other = CONTAINER_OF(node, struct name_entry, node);

        if (other->good_us > (newest ? newest->good_us : 0) &&
            str_eq(other->cluster->resolve_host, e->cluster->resolve_host))
            newest = other;
    }
    return newest;
}

/* A reload makes new clusters of what is spoken to otherwise than before: what is known of their
 * names must not go with the old ones while the name servers fail. The other's answer may have been
 * asked of one family alone: better some addresses than none, until there is an answer. */
static void name_entry_adopt(struct name_entry *e, const struct name_answer *known)
{
    struct resolve_result answer = {.addresses = known->addresses,
                                    .n_addresses = known->n_addresses};
    struct endpoint_set *s = name_entry_endpoints(e, &answer);

    if (s->n == 0) {
        endpoint_set_unref(s);
        return;
    }
    e->good_us = e->names->loop->now.mono_us - known->age_us;
    name_entry_publish(e, s);
}

static void name_entry_tell(const struct name_entry *e, name_answer_fn *fn, void *ctx)
{
    struct endpoint_set *known = cluster_endpoints(e->cluster);
    struct resolve_address *addresses = mem_alloc((known->n + 1) * sizeof addresses[0]);

    for (uint32_t i = 0; i < known->n; i++)
        addresses[i] =
            (struct resolve_address){known->items[i].address, known->items[i].address_len};
    fn(ctx, &(struct name_answer){.host = e->cluster->resolve_host,
                                  .age_us = e->names->loop->now.mono_us - e->good_us,
                                  .addresses = addresses,
                                  .n_addresses = known->n});
    mem_free(addresses);
    endpoint_set_unref(known);
}

static void name_entry_on_told(void *ctx, const struct name_answer *answer)
{
    name_entry_adopt(ctx, answer);
}

void names_export(struct names *n, name_answer_fn *fn, void *ctx)
{
    LIST_FOREACH (&n->entries, node) {
        const struct name_entry *e = CONTAINER_OF(node, struct name_entry, node);

        if (e->good_us > 0)
            name_entry_tell(e, fn, ctx);
    }
}

static void name_entry_begin(struct name_entry *e)
{
    struct names *n = e->names;
    const struct name_entry *source = name_entry_find_source(e);
    struct name_memory *m = names_find_memory(n, e->cluster->resolve_host);

    e->is_new = false;
    if (source && (!m || source->good_us >= m->good_us))
        name_entry_tell(source, name_entry_on_told, e);
    else if (m)
        name_entry_adopt(e, &(struct name_answer){.age_us = n->loop->now.mono_us - m->good_us,
                                                  .addresses = m->addresses,
                                                  .n_addresses = m->n});
    name_entry_resolve(e);
}

/* Every cluster each time: one that pools kept alive may be in use again. */
static void names_find_new(struct names *n)
{
    pthread_mutex_lock(&n->clusters->lock);
    LIST_FOREACH (&n->clusters->clusters, node) {
        struct cluster *c = CONTAINER_OF(node, struct cluster, node);

        if (c->resolve_host.len > 0 && !c->is_watched_name && cluster_is_in_use(c))
            names_add(n, c);
    }
    pthread_mutex_unlock(&n->clusters->lock);
}

void names_sweep(struct names *n)
{
    names_find_new(n);
    /* Before the others go, of which they learn. */
    LIST_FOREACH (&n->entries, node) {
        struct name_entry *e = CONTAINER_OF(node, struct name_entry, node);

        if (e->is_new)
            name_entry_begin(e);
    }
    names_forget(n);
    LIST_FOREACH (&n->entries, node) {
        struct name_entry *e = CONTAINER_OF(node, struct name_entry, node);

        if (!cluster_is_in_use(e->cluster))
            name_entry_free(e);
    }
}
