/* Maglev tables: even, few changes, the same whatever the order; and where the keys of endpoints
 * that are ill, or were tried, go. */
#include "policy/balance/maglev.h"

#include <stdio.h>
#include <stdlib.h>

#include "policy/balance/stable_hash.h"
#include "test/harness/test.h"

enum { SIZE = 65537, N_MAX = 128, KEYS = 20000 };

static char texts[N_MAX][32];
static struct str names[N_MAX];

static void name_all(void)
{
    for (unsigned i = 0; i < N_MAX; i++) {
        snprintf(texts[i], sizeof texts[i], "10.0.%u.%u:8080", i / 16, i);
        names[i] = str_of(texts[i]);
    }
}

TEST(every_endpoint_has_as_many_places_as_the_others)
{
    static const uint32_t sizes[] = {2, 3, 5, 101, SIZE, 655373};
    static const uint32_t ns[] = {1, 2, 3, 10, 100, N_MAX};

    name_all();
    for (size_t s = 0; s < N_ELEMENTS(sizes); s++) {
        for (size_t k = 0; k < N_ELEMENTS(ns); k++) {
            struct maglev *m = maglev_new(names, ns[k], sizes[s]);
            uint32_t counts[N_MAX] = {0};

            for (uint32_t i = 0; i < m->size; i++)
                counts[m->places[i]]++;
            for (uint32_t i = 0; i < ns[k]; i++)
                CHECK(counts[i] == sizes[s] / ns[k] || counts[i] == sizes[s] / ns[k] + 1);
            maglev_free(m);
        }
    }
}

static uint32_t all_well(const void *context, uint32_t index)
{
    (void)context, (void)index;
    return 0;
}

static uint64_t key_of(unsigned i)
{
    char text[32];

    snprintf(text, sizeof text, "user-%u", i);
    return stable_hash(str_of(text));
}

TEST(keys_are_spread_as_evenly_as_chance_has_it)
{
    enum { N = 10, MANY = 500000 };
    struct balancer_view v = {.n = N, .avoid = BALANCER_NO_ENDPOINT, .load = all_well};
    unsigned counts[N] = {0};
    struct maglev *m;

    name_all();
    m = maglev_new(names, N, SIZE);
    for (unsigned i = 0; i < MANY; i++)
        counts[maglev_pick(m, key_of(i), 0, &v)]++;
    for (unsigned i = 0; i < N; i++)
        CHECK_MSG(counts[i] > MANY / N / 100 * 99 && counts[i] < MANY / N / 100 * 101, "%u of %u",
                  counts[i], (unsigned)MANY);
    maglev_free(m);
}

TEST(one_that_goes_takes_few_places_of_the_others_with_it)
{
    static const uint32_t ns[] = {2, 3, 5, 10, 20, 50, 100};

    name_all();
    for (size_t k = 0; k < N_ELEMENTS(ns); k++) {
        uint32_t n = ns[k];
        struct maglev *all = maglev_new(names, n, SIZE);
        struct maglev *fewer = maglev_new(names, n - 1, SIZE);
        uint32_t n_moved = 0;

        for (uint32_t i = 0; i < SIZE; i++)
            n_moved += all->places[i] != fewer->places[i];
        CHECK_MSG(n_moved >= SIZE / n && n_moved <= 2 * SIZE / n, "%u of %u moved", n_moved, n);
        maglev_free(all);
        maglev_free(fewer);
    }
}

TEST(the_order_of_the_names_has_no_say)
{
    enum { N = 7 };
    struct str turned[N];
    struct maglev *m, *other;

    name_all();
    for (unsigned i = 0; i < N; i++)
        turned[(i + 3) % N] = names[i];
    m = maglev_new(names, N, SIZE);
    other = maglev_new(turned, N, SIZE);
    for (uint32_t i = 0; i < SIZE; i++)
        CHECK(str_eq(names[m->places[i]], turned[other->places[i]]));
    maglev_free(m);
    maglev_free(other);
}

TEST(a_name_that_is_there_twice_ends)
{
    struct str twice[3];
    struct maglev *m;

    name_all();
    twice[0] = twice[1] = names[0];
    twice[2] = names[1];
    m = maglev_new(twice, 3, 101);
    for (uint32_t i = 0; i < m->size; i++)
        CHECK(m->places[i] < 3);
    maglev_free(m);
}

/* ---- who is not to be used ---- */

enum { N = 5 };

static uint32_t load_of(const void *context, uint32_t index)
{
    return ((const uint32_t *)context)[index];
}

TEST(only_the_keys_of_one_that_is_ill_go_elsewhere)
{
    uint32_t well[N] = {0};
    uint32_t ill[N] = {[2] = UINT32_MAX};
    struct balancer_view before = {
        .n = N, .avoid = BALANCER_NO_ENDPOINT, .load = load_of, .context = well};
    struct balancer_view after = before;
    unsigned counts[N] = {0};
    unsigned n = 0;
    struct maglev *m;

    name_all();
    after.context = ill;
    m = maglev_new(names, N, SIZE);
    for (unsigned i = 0; i < KEYS; i++) {
        uint32_t was = maglev_pick(m, key_of(i), 0, &before);
        uint32_t is = maglev_pick(m, key_of(i), 0, &after);

        CHECK(was == 2 ? is != 2 : is == was);
        counts[is] += was == 2;
        n += was == 2;
    }
    /* Shared by the others. */
    for (uint32_t i = 0; i < N; i++)
        CHECK_MSG(i == 2 || (counts[i] > n / 4 - n / 20 && counts[i] < n / 4 + n / 20), "%u of %u",
                  counts[i], n);
    maglev_free(m);
}

TEST(each_further_try_of_a_key_goes_to_one_that_was_not_tried)
{
    uint32_t loads[N] = {[3] = UINT32_MAX};
    struct balancer_view v = {
        .n = N, .avoid = BALANCER_NO_ENDPOINT, .load = load_of, .context = loads};
    struct maglev *m;

    name_all();
    m = maglev_new(names, N, SIZE);
    for (unsigned i = 0; i < KEYS; i++) {
        uint32_t first = maglev_pick(m, key_of(i), 0, &v);
        uint32_t second = maglev_pick(m, key_of(i), 1, &v);

        CHECK(first != 3 && second != 3 && second != first);
    }
    loads[3] = 0;
    for (unsigned i = 0; i < 1000; i++) {
        bool was_tried[N] = {false};

        for (uint32_t k = 0; k < 3; k++) {
            uint32_t index = maglev_pick(m, key_of(i), k, &v);

            CHECK(!was_tried[index]);
            was_tried[index] = true;
        }
    }
    /* Tried, and ill since: the next one is not passed over for it, but for having failed too. */
    for (unsigned i = 0; i < 1000; i++) {
        uint32_t first = maglev_pick(m, key_of(i), 0, &v);
        uint32_t second = maglev_pick(m, key_of(i), 1, &v);

        loads[first] = UINT32_MAX;
        v.avoid = second;
        uint32_t third = maglev_pick(m, key_of(i), 1, &v);

        CHECK(third != first && third != second);
        loads[first] = 0;
        v.avoid = BALANCER_NO_ENDPOINT;
    }
    maglev_free(m);
}

TEST(the_only_one_that_is_well_is_found)
{
    uint32_t loads[N] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, 9};
    struct balancer_view v = {
        .n = N, .avoid = BALANCER_NO_ENDPOINT, .load = load_of, .context = loads};
    struct maglev *m;

    name_all();
    m = maglev_new(names, N, SIZE);
    for (unsigned i = 0; i < KEYS; i++) {
        CHECK_INT(maglev_pick(m, key_of(i), 0, &v), 4);
        CHECK_INT(maglev_pick(m, key_of(i), 40, &v), 4);
    }
    v.avoid = 4;
    CHECK_INT(maglev_pick(m, 1, 1, &v), 4);
    loads[4] = UINT32_MAX;
    CHECK_INT(maglev_pick(m, 1, 0, &v), BALANCER_NO_ENDPOINT);
    maglev_free(m);
}
