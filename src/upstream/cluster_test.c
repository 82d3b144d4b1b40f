/* Clusters and what is kept of their backends: over changes of addresses, over settings of
 * connections, and not longer than anybody asks for it. */
#include "upstream/cluster.h"

#include "test/harness/test.h"
#include "upstream/balance/table.h"

static struct cluster_registry registry;

static struct endpoint_set *addresses(const char *const *ips, uint32_t n)
{
    struct endpoint_set *s = endpoint_set_new(n, ENDPOINTS_KNOWN);

    for (uint32_t i = 0; i < n; i++)
        CHECK(endpoint_init_ip(&s->items[i], str_of(ips[i]), 80));
    return s;
}

static struct cluster *cluster(const char *key, const char *name, const char *ip)
{
    struct cluster_identity identity = {
        .key = str_of(key), .name = str_of(name), .endpoints = addresses(&ip, 1)};
    struct cluster *c = cluster_registry_get(&registry, &identity);

    endpoint_set_unref(identity.endpoints);
    return c;
}

static uint32_t in_flight(struct cluster *c, uint32_t index)
{
    struct endpoint_set *s = cluster_endpoints(c);
    uint32_t n = atomic_load(&s->items[index].state->n_in_flight);

    endpoint_set_unref(s);
    return n;
}

TEST(a_change_of_addresses_forgets_nothing_of_those_that_stay)
{
    static const char *const both[] = {"127.0.0.2", "127.0.0.1"};
    static const char *const other[] = {"127.0.0.2"};
    static const char *const back[] = {"127.0.0.1"};

    cluster_registry_init(&registry);
    struct cluster *c = cluster("k", "Backend/ns/b", "127.0.0.1");

    atomic_store(&c->endpoints->items[0].state->n_in_flight, 7);
    CHECK(cluster_publish(c, addresses(both, 2)));
    CHECK_INT(in_flight(c, 0), 0);
    CHECK_INT(in_flight(c, 1), 7);
    CHECK(cluster_publish(c, addresses(other, 1)));
    CHECK_INT(in_flight(c, 0), 0);
    CHECK(cluster_publish(c, addresses(back, 1)));
    CHECK_MSG(in_flight(c, 0) == 0, "nobody asked for it meanwhile");
    cluster_unref(c);
    cluster_registry_deinit(&registry);
}

TEST(clusters_of_one_backend_share_what_is_known_of_its_addresses)
{
    cluster_registry_init(&registry);
    struct cluster *a = cluster("k", "Backend/ns/b", "127.0.0.1");
    struct cluster *b = cluster("k|1,2,3", "Backend/ns/b", "127.0.0.1");
    struct cluster *c = cluster("other", "Backend/ns/other", "127.0.0.1");

    CHECK(a != b && a->backend == b->backend && a->backend != c->backend);
    atomic_store(&a->endpoints->items[0].state->n_in_flight, 3);
    CHECK_INT(in_flight(b, 0), 3);
    CHECK_INT(in_flight(c, 0), 0);
    cluster_unref(a);
    CHECK_INT(in_flight(b, 0), 3);
    cluster_unref(b);
    cluster_unref(c);
    cluster_registry_deinit(&registry);
}

TEST(a_set_in_use_keeps_the_state_of_its_addresses_after_its_cluster)
{
    cluster_registry_init(&registry);
    struct cluster *c = cluster("k", "Backend/ns/b", "127.0.0.1");
    struct endpoint_set *kept = cluster_endpoints(c);

    atomic_store(&kept->items[0].state->n_in_flight, 1);
    cluster_unref(c);
    c = cluster("k", "Backend/ns/b", "127.0.0.1");
    CHECK_INT(in_flight(c, 0), 1);
    endpoint_set_unref(kept);
    CHECK_INT(in_flight(c, 0), 1);
    cluster_unref(c);
    cluster_registry_deinit(&registry);
}

static const struct maglev *table_of(struct cluster *c, uint32_t size)
{
    return endpoint_set_table(c->endpoints, size);
}

TEST(endpoints_have_the_tables_that_are_wanted_as_long_as_they_are)
{
    static const char *const both[] = {"127.0.0.2", "127.0.0.1"};
    static const char *const one[] = {"127.0.0.2"};

    cluster_registry_init(&registry);
    struct cluster *c = cluster("k", "Backend/ns/b", "127.0.0.1");

    CHECK(!table_of(c, 101));
    struct table_wish *small = cluster_want_table(c, 101);
    const struct maglev *built = table_of(c, 101);

    CHECK(built && built->size == 101 && !table_of(c, 103));
    struct table_wish *again = cluster_want_table(c, 101);
    struct table_wish *large = cluster_want_table(c, 103);

    CHECK(again == small && table_of(c, 101) == built && table_of(c, 103));
    CHECK(cluster_publish(c, addresses(both, 2)));
    CHECK(table_of(c, 101) && table_of(c, 101) != built && table_of(c, 103));
    table_unwant(large);
    table_unwant(again);
    CHECK(cluster_publish(c, addresses(one, 1)));
    CHECK(table_of(c, 101) && !table_of(c, 103));
    table_unwant(small);
    CHECK(cluster_publish(c, addresses(both, 2)));
    CHECK(!table_of(c, 101));
    cluster_unref(c);
    cluster_registry_deinit(&registry);
}

TEST(tables_that_nobody_wants_go_when_another_one_is_wanted)
{
    cluster_registry_init(&registry);
    struct cluster *c = cluster("k", "Backend/ns/b", "127.0.0.1");
    struct table_wish *first = cluster_want_table(c, 101);
    struct table_wish *second = cluster_want_table(c, 103);
    uint32_t version = atomic_load(&c->version);

    CHECK(table_of(c, 101) && table_of(c, 103));
    atomic_store(&c->endpoints->items[0].state->n_in_flight, 5);
    table_unwant(first);
    first = cluster_want_table(c, 107);
    CHECK(!table_of(c, 101) && table_of(c, 103) && table_of(c, 107));
    CHECK_MSG(atomic_load(&c->version) != version, "workers are to see it");
    CHECK_INT(in_flight(c, 0), 5);
    CHECK_STR(str_of(c->endpoints->items[0].text), "127.0.0.1:80");
    table_unwant(first);
    table_unwant(second);
    cluster_unref(c);
    cluster_registry_deinit(&registry);
}

TEST(what_is_to_be_published_is_prepared_before_and_only_where_it_differs)
{
    static const char *const both[] = {"127.0.0.2", "127.0.0.1"};
    static const char *const same[] = {"127.0.0.1"};

    cluster_registry_init(&registry);
    struct cluster *c = cluster("k", "Backend/ns/b", "127.0.0.1");
    struct table_wish *t = cluster_want_table(c, 101);
    struct endpoint_set *s = addresses(both, 2);

    cluster_prepare(c, s);
    const struct maglev *built = endpoint_set_table(s, 101);

    CHECK(built);
    CHECK(cluster_publish(c, s) && table_of(c, 101) == built);
    CHECK(cluster_publish(c, endpoint_set_new(0, ENDPOINTS_FAILED)));
    CHECK_MSG(!table_of(c, 101), "of no endpoints there is none");
    CHECK(cluster_publish(c, addresses(same, 1)) && table_of(c, 101));
    s = addresses(same, 1);
    cluster_prepare(c, s);
    CHECK(!endpoint_set_table(s, 101));
    endpoint_set_unref(s);
    table_unwant(t);
    cluster_unref(c);
    cluster_registry_deinit(&registry);
}
