/* The objects that a list of admin/objects/object_list.h tells, read again: from a running gateway
 * they are a stranger's words, so every size is bounded by the reader of manifests, and what is not
 * an object of a known kind is refused. */
#pragma once

#include "base/vec.h"
#include "manifest/kind.h"

struct shown {
    const struct kind *kind;
    struct str namespace; /* empty for cluster-scoped kinds */
    struct str name;
    struct str place;            /* "file:line", may be empty */
    const struct node *object;   /* a map */
    const struct node *findings; /* a list, or NULL */
};

struct shown_vec {
    struct shown *items;
    size_t n;
    size_t cap;
};

enum shown_result {
    SHOWN_REFUSED = 1, /* `ret_why` says what is wrong with the list */
};

/* Appends, sorted by namespace and name from where it began. 0 or SHOWN_REFUSED. */
MUST_USE int shown_read(struct arena *a, struct str list, struct shown_vec *ret,
                        struct buf *ret_why);
/* What stands at the path of keys, which a NULL ends; NULL when there is nothing. */
const struct node *shown_find(const struct node *node, const char *const *path);
/* Calls `fn` for each condition of each list of the status, listeners' too. `about`: "" or what the
 * list is about ("Gateway/ns/name", "Listener/http"). */
typedef void shown_condition_fn(void *ctx, struct str about, const struct node *condition);
void shown_each_condition(const struct shown *s, shown_condition_fn *fn, void *ctx);
