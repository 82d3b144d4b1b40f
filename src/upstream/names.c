/* One entry per cluster that has a name: a query, then a timer for its TTL. An answer becomes the
 * cluster's endpoints; a failure keeps the last ones, or marks the cluster as failed when there
 * never were any, so that waiting requests are answered. */
#include "upstream/names.h"

#include "base/mem.h"

enum {
    NAME_TTL_MIN_S = 1,
    NAME_TTL_MAX_S = 300,
    NAME_RETRY_US = 2 * 1000000,
};

struct name_entry {
    struct names *names;
    struct cluster *cluster; /* an observing reference */
    struct resolve_query query;
    struct timer timer;
    bool is_known; /* some answer came */
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

static void name_entry_on_done(struct resolve_query *q, const struct resolve_result *result)
{
    struct name_entry *e = CONTAINER_OF(q, struct name_entry, query);
    struct endpoint_set *endpoints;
    uint32_t ttl_s;

    if (result->status != RESOLVE_OK || result->n_addresses == 0) {
        if (!e->is_known)
            name_entry_publish(e, endpoint_set_new(0, ENDPOINTS_FAILED));
        name_entry_again(e, NAME_RETRY_US);
        return;
    }
    endpoints = endpoint_set_new((uint32_t)result->n_addresses, ENDPOINTS_KNOWN);
    for (uint32_t i = 0; i < endpoints->n; i++)
        endpoint_init_address(&endpoints->items[i],
                              (const struct sockaddr *)&result->addresses[i].address,
                              result->addresses[i].len, e->cluster->resolve_port);
    e->is_known = true;
    name_entry_publish(e, endpoints);
    ttl_s = MIN(MAX(result->ttl_s, (uint32_t)NAME_TTL_MIN_S), (uint32_t)NAME_TTL_MAX_S);
    name_entry_again(e, (uint64_t)ttl_s * 1000000);
}

static void name_entry_resolve(struct name_entry *e)
{
    resolver_start(&e->names->resolver, &e->query, e->cluster->resolve_host, name_entry_on_done);
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

int names_init(struct names *n, struct loop *l, struct cluster_registry *clusters,
               names_news_fn *on_news, void *ctx)
{
    *n = (struct names){.loop = l, .clusters = clusters, .on_news = on_news, .ctx = ctx};
    return resolver_init(&n->resolver, l);
}

void names_deinit(struct names *n)
{
    if (!n->loop)
        return;
    LIST_FOREACH (&n->entries, node) {
        name_entry_free(CONTAINER_OF(node, struct name_entry, node));
    }
    resolver_deinit(&n->resolver);
    n->loop = NULL;
}

static void names_add(struct names *n, struct cluster *c)
{
    struct name_entry *e = MEM_NEW(struct name_entry);

    e->names = n;
    e->cluster = cluster_observe(c);
    c->is_watched_name = true;
    list_append(&n->entries, &e->node);
    name_entry_resolve(e);
}

void names_sweep(struct names *n)
{
    LIST_FOREACH (&n->entries, node) {
        struct name_entry *e = CONTAINER_OF(node, struct name_entry, node);

        if (!cluster_is_in_use(e->cluster))
            name_entry_free(e);
    }
    /* Every cluster each time: one that pools kept alive may be in use again. */
    pthread_mutex_lock(&n->clusters->lock);
    LIST_FOREACH (&n->clusters->clusters, node) {
        struct cluster *c = CONTAINER_OF(node, struct cluster, node);

        if (c->resolve_host.len > 0 && !c->is_watched_name && cluster_is_in_use(c))
            names_add(n, c);
    }
    pthread_mutex_unlock(&n->clusters->lock);
}
