/* Which endpoints of a set are used: by their health, and all of them in panic. */
#include "upstream/health/usable.h"

#include "base/macro.h"
#include "test/harness/test.h"
#include "upstream/cluster.h"

enum { N = 4 };

static struct cluster_registry registry;

static struct cluster *make(uint32_t n)
{
    struct cluster_identity identity = {.key = STR("k"), .name = STR("Backend/ns/b")};
    char ip[16];

    cluster_registry_init(&registry);
    identity.endpoints = endpoint_set_new(n, ENDPOINTS_KNOWN);
    for (uint32_t i = 0; i < n; i++) {
        snprintf(ip, sizeof ip, "127.0.0.%u", i + 1);
        CHECK(endpoint_init_ip(&identity.endpoints->items[i], str_of(ip), 80));
    }
    return cluster_registry_get(&registry, &identity);
}

static void end(struct cluster *c)
{
    cluster_unref(c);
    cluster_registry_deinit(&registry);
}

static void set(struct cluster *c, uint32_t index, enum health_bit bit, bool is_set)
{
    health_set_bit(&c->backend->health, &c->endpoints->items[index].state->health, bit, is_set);
}

TEST(all_are_used_when_fewer_are_well_than_the_threshold_says)
{
    static const struct {
        uint32_t percent;
        uint32_t n_ill;
        bool is_panic;
    } cases[] = {
        {50, 0, false},  {50, 2, false}, {50, 3, true}, {50, 4, true},  {100, 1, true},
        {100, 0, false}, {0, 4, false},  {1, 4, true},  {25, 3, false}, {26, 3, true},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct cluster *c = make(N);
        struct endpoint_set *s = c->endpoints;

        atomic_store(&c->backend->health.panic_percent, cases[i].percent);
        for (uint32_t k = 0; k < cases[i].n_ill; k++)
            set(c, k, k % 2 ? HEALTH_EJECTED : HEALTH_FAILS_PROBES, true);
        CHECK_INT(endpoint_set_n_well(s), N - cases[i].n_ill);
        CHECK_MSG(endpoint_set_is_in_panic(s) == cases[i].is_panic, "case %zu", i);
        for (uint32_t k = 0; k < N; k++) {
            bool is_well = k >= cases[i].n_ill;

            CHECK_MSG(endpoint_set_may_use(s, k, true) == (is_well || cases[i].is_panic),
                      "case %zu, endpoint %u", i, k);
            CHECK_MSG(endpoint_set_may_use(s, k, false) == is_well,
                      "case %zu, endpoint %u without panic", i, k);
        }
        end(c);
    }
}

TEST(the_count_follows_every_change)
{
    struct cluster *c = make(N);
    struct endpoint_set *s = c->endpoints;

    CHECK_INT(endpoint_set_n_well(s), N);
    set(c, 0, HEALTH_FAILS_PROBES, true);
    CHECK_INT(endpoint_set_n_well(s), N - 1);
    set(c, 0, HEALTH_EJECTED, true);
    CHECK_INT(endpoint_set_n_well(s), N - 1);
    set(c, 0, HEALTH_FAILS_PROBES, false);
    CHECK_MSG(endpoint_set_n_well(s) == N - 1, "it is ejected still");
    set(c, 3, HEALTH_EJECTED, true);
    CHECK_INT(endpoint_set_n_well(s), N - 2);
    set(c, 0, HEALTH_EJECTED, false);
    set(c, 3, HEALTH_EJECTED, false);
    CHECK_INT(endpoint_set_n_well(s), N);
    end(c);
}

TEST(an_address_that_stays_keeps_its_health)
{
    static const char *const next[] = {"127.0.0.9", "127.0.0.2"};
    struct cluster *c = make(2);
    struct endpoint_set *s = endpoint_set_new(2, ENDPOINTS_KNOWN);

    set(c, 1, HEALTH_FAILS_PROBES, true);
    for (uint32_t i = 0; i < 2; i++)
        CHECK(endpoint_init_ip(&s->items[i], str_of(next[i]), 80));
    CHECK(cluster_publish(c, s));
    CHECK(endpoint_set_may_use(c->endpoints, 0, true));
    CHECK(!endpoint_set_may_use(c->endpoints, 1, false));
    CHECK_INT(endpoint_set_n_well(c->endpoints), 1);
    end(c);
}

TEST(an_empty_set_has_nobody_and_no_panic)
{
    struct endpoint_set *s = endpoint_set_new(0, ENDPOINTS_FAILED);

    CHECK_INT(endpoint_set_n_well(s), 0);
    CHECK(!endpoint_set_is_in_panic(s));
    endpoint_set_unref(s);
}
