/* Nodes as YAML and as JSON, in the forms that kubectl prints them in: blocks, lists as deep as
 * their key, keys in the order of the manifest. Both are read as the same document again. Pure;
 * bounded by the nodes' reader. */
#pragma once

#include "base/buf.h"
#include "tree/node.h"

/* `indent`: columns before each line. A node that is a scalar, or empty, is one line. */
void node_append_yaml(struct buf *out, const struct node *node, size_t indent);
/* From where the output stands; further lines have `depth` steps. No line end behind it. */
void node_append_json(struct buf *out, const struct node *node, size_t depth);
