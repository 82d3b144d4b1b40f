/* What the commands of the history have in common: the store, its revisions, and the configuration
 * that one of them was. */
#pragma once

#include "app/dry_compile.h"
#include "app/history/store.h"

struct opened {
    const struct options *options;
    struct history store;
    struct arena arena;
    struct history_revisions all;
};

/* False: said on standard error. Close it in either case. */
bool opened_open(struct opened *o, const struct options *options);
void opened_close(struct opened *o);
/* The revisions as they are now. False: said. */
bool opened_list(struct opened *o);
/* The revision of that name. NULL: said. */
const struct history_revision *opened_find(const struct opened *o, const char *name);

/* The configuration that a revision was, judged as a gateway would judge it now. */
struct opened_revision {
    const struct history_revision *revision;
    struct str *contents; /* of its files, in their order; in the arena of `opened` */
    struct manifest *manifest;
    struct dry_compile compiled;
};

/* False: said. Close it in either case. */
bool opened_load(struct opened *o, const struct history_revision *revision,
                 struct opened_revision *ret);
void opened_unload(struct opened_revision *r);
