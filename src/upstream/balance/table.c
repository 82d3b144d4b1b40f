/* Tables are a list that only grows: as a rule of one item. A new one is complete before it is
 * linked. */
#include "upstream/balance/table.h"

#include "base/assert.h"
#include "base/mem.h"

struct endpoint_table {
    struct endpoint_table *next;
    struct maglev *maglev;
};

const struct maglev *endpoint_set_table(const struct endpoint_set *s, uint32_t size)
{
    const struct endpoint_table *t = atomic_load_explicit(&s->tables, memory_order_acquire);

    while (t && t->maglev->size != size)
        t = t->next;
    return t ? t->maglev : NULL;
}

void endpoint_set_add_table(struct endpoint_set *s, uint32_t size)
{
    struct endpoint_table *t;
    struct str *names;

    if (s->n == 0 || endpoint_set_table(s, size))
        return;
    names = mem_alloc(s->n * sizeof names[0]);
    for (uint32_t i = 0; i < s->n; i++)
        names[i] = str_of(s->items[i].text);
    t = MEM_NEW(struct endpoint_table);
    t->maglev = maglev_new(names, s->n, size);
    t->next = atomic_load_explicit(&s->tables, memory_order_relaxed);
    atomic_store_explicit(&s->tables, t, memory_order_release);
    mem_free(names);
}

void endpoint_tables_free(struct endpoint_table *tables)
{
    while (tables) {
        struct endpoint_table *t = tables;

        tables = t->next;
        maglev_free(t->maglev);
        mem_free(t);
    }
}

/* ---- which are wanted ---- */

static void table_wishes_sweep(struct table_wish **list)
{
    struct table_wish **link = list;

    while (*link) {
        struct table_wish *t = *link;

        if (atomic_load_explicit(&t->n_users, memory_order_acquire) > 0) {
            link = &t->next;
            continue;
        }
        *link = t->next;
        mem_free(t);
    }
}

struct table_wish *table_want(struct table_wish **list, uint32_t size)
{
    struct table_wish *t = *list;

    while (t && t->size != size)
        t = t->next;
    if (!t) {
        t = MEM_NEW(struct table_wish);
        t->size = size;
        t->next = *list;
        *list = t;
    }
    atomic_fetch_add_explicit(&t->n_users, 1, memory_order_relaxed);
    return t;
}

void table_unwant(struct table_wish *t)
{
    /* The last touch of it: whoever sees 0 may free it. */
    atomic_fetch_sub_explicit(&t->n_users, 1, memory_order_release);
}

void endpoint_set_add_tables(struct endpoint_set *s, struct table_wish **list)
{
    table_wishes_sweep(list);
    for (const struct table_wish *t = *list; t; t = t->next)
        endpoint_set_add_table(s, t->size);
}

bool endpoint_set_has_spare_tables(const struct endpoint_set *s, struct table_wish **list)
{
    const struct endpoint_table *t = atomic_load_explicit(&s->tables, memory_order_relaxed);

    table_wishes_sweep(list);
    for (; t; t = t->next) {
        const struct table_wish *w = *list;

        while (w && w->size != t->maglev->size)
            w = w->next;
        if (!w)
            return true;
    }
    return false;
}

void table_wishes_free(struct table_wish *list)
{
    table_wishes_sweep(&list);
    ASSERT(!list);
}
