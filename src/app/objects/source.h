/* Where the objects that a command shows come from: files (-f), judged as a gateway would judge
 * them, or a running gateway's admin port. Both give the same list. */
#pragma once

#include "admin/objects/object_list.h"
#include "app/dry_compile.h"
#include "app/objects/shown.h"

struct source {
    const struct options *options;
    struct manifest *manifest; /* of files; NULL: a gateway is asked */
    struct dry_compile compiled;
    struct arena arena; /* of what was read from either */
};

enum source_result {
    SOURCE_FAILED = 1, /* `ret_why` says what is wrong */
};

/* 0 or SOURCE_FAILED; close it in either case. */
MUST_USE int source_open(struct source *s, const struct options *o, struct buf *ret_why);
void source_close(struct source *s);
/* Appends what the query takes, sorted. Nodes live until the source is closed. 0 or SOURCE_FAILED.
 */
MUST_USE int source_read(struct source *s, const struct object_query *q, struct shown_vec *ret,
                         struct buf *ret_why);
