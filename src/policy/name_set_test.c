/* Sets of header names: spelling does not matter, and many names are all found. */
#include "policy/name_set.h"

#include "test/harness/test.h"

TEST(name_set_folds_case_and_underscores)
{
    struct arena a;
    struct name_set set = {0};

    arena_init(&a, 1024);
    CHECK(!name_set_has(&set, STR("x-tenant")));
    name_set_add(&set, &a, STR("X-Tenant"));
    name_set_add(&set, &a, STR("x_tenant"));
    name_set_add(&set, &a, STR(""));
    CHECK_INT(set.n_names, 1);
    CHECK(name_set_has(&set, STR("x-tenant")));
    CHECK(name_set_has(&set, STR("X_TENANT")));
    CHECK(!name_set_has(&set, STR("x-tenan")));
    CHECK(!name_set_has(&set, STR("x-tenants")));
    CHECK(!name_set_has(&set, STR("y-tenant")));
    CHECK(!name_set_has(&set, STR("")));
    arena_deinit(&a);
}

TEST(name_set_finds_and_walks_many)
{
    struct arena a;
    struct name_set set = {0};
    size_t at = 0;
    size_t n = 0;
    struct str name;

    arena_init(&a, 1024);
    for (int i = 0; i < 500; i++)
        name_set_add(&set, &a, arena_printf(&a, "x-header_%d", i));
    for (int i = 0; i < 500; i++)
        CHECK(name_set_has(&set, arena_printf(&a, "X_Header-%d", i)));
    CHECK(!name_set_has(&set, STR("x-header-500")));
    for (; name_set_next(&set, &at, &name); n++)
        CHECK(str_starts_with(name, STR("x-header-")));
    CHECK_INT(n, 500);
    arena_deinit(&a);
}
