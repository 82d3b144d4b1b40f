/* Nodes of manifests as JSON. What must not be shown is replaced on the way. */
#pragma once

#include "base/buf.h"
#include "tree/node.h"

struct table;

/* A document that has a bound: beyond it nothing more is written, and `is_full` says so. */
struct object_json {
    struct buf *out;
    size_t max_bytes;
    bool is_full;
};

enum object_hide {
    OBJECT_HIDE_SECRETS, /* what is one by its name, its looks, or its field's flag */
    OBJECT_HIDE_VALUES,  /* all but the `name` of each item */
    OBJECT_HIDE_ALL,     /* every scalar; keys stay */
};

/* `table` decodes `node`; NULL: not known. */
void object_json_node(struct object_json *j, const struct node *node, const struct table *table,
                      enum object_hide hide);
