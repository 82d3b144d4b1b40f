/* Intrusive doubly linked list with a count: state is a place, and gauges are list lengths. A node
 * is on at most one list; a zeroed node is on none. Not thread-safe. */
#pragma once

#include "base/assert.h"

struct list_node {
    struct list_node *next;
    struct list_node *prev;
    struct list *owner; /* NULL when on no list */
};

struct list {
    struct list_node *first;
    struct list_node *last;
    size_t n_nodes;
};

static inline void list_remove(struct list_node *node)
{
    struct list *list = node->owner;

    if (!list)
        return;
    *(node->prev ? &node->prev->next : &list->first) = node->next;
    *(node->next ? &node->next->prev : &list->last) = node->prev;
    list->n_nodes--;
    *node = (struct list_node){0};
}

static inline void list_append(struct list *list, struct list_node *node)
{
    PRE(!node->owner);
    node->prev = list->last;
    node->next = NULL;
    node->owner = list;
    *(list->last ? &list->last->next : &list->first) = node;
    list->last = node;
    list->n_nodes++;
}

static inline void list_prepend(struct list *list, struct list_node *node)
{
    PRE(!node->owner);
    node->next = list->first;
    node->prev = NULL;
    node->owner = list;
    *(list->first ? &list->first->prev : &list->last) = node;
    list->first = node;
    list->n_nodes++;
}

/* From wherever it is (or nowhere) to the end of `list`. */
static inline void list_move(struct list *list, struct list_node *node)
{
    list_remove(node);
    list_append(list, node);
}

/* Walks; the current node may be removed. `node` is a struct list_node *. */
#define LIST_FOREACH(list, node)                                                                   \
    for (struct list_node *node = (list)->first, *node##_next = node ? node->next : NULL; node;    \
         node = node##_next, node##_next = node ? node->next : NULL)
