/* Maglev tables of a set of endpoints, one of each size that is asked for. They are built where
 * sets are made and go with them: workers only read. */
#pragma once

#include "policy/balance/maglev.h"
#include "upstream/endpoint.h"

/* Unless it has one. By one thread at a time, also while workers read the set; an empty set has no
 * tables. */
void endpoint_set_add_table(struct endpoint_set *s, uint32_t size);
/* NULL: none of that size. */
const struct maglev *endpoint_set_table(const struct endpoint_set *s, uint32_t size);
/* With the set. */
void endpoint_tables_free(struct endpoint_table *tables);

/* Tables of that size are to be there: one item of a cluster's list of sizes. Whoever changes the
 * list is alone with it. */
struct table_wish {
    struct table_wish *next;
    uint32_t size;
    _Atomic uint32_t n_users; /* 0: not any more */
};

struct table_wish *table_want(struct table_wish **list, uint32_t size);
/* Any thread, and whatever happens to the list meanwhile. */
void table_unwant(struct table_wish *t);
/* All that are wanted. What nobody wants any more leaves the list. */
void endpoint_set_add_tables(struct endpoint_set *s, struct table_wish **list);
/* Has it some that nobody wants any more? */
bool endpoint_set_has_spare_tables(const struct endpoint_set *s, struct table_wish **list);
/* Nobody may want one. */
void table_wishes_free(struct table_wish *list);
