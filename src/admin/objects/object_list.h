/* The objects of a configuration, as they are shown: what the manifest says without its secrets,
 * and what became of it. One line of JSON for each, so that a reader can take them one by one:
 *
 *   {"object":{"apiVersion":...,"status":{...}},"place":"a.yaml:7","broken":false,"findings":[...]}
 *
 * `findings` only where one object is asked for by name. Used by the admin port's /objects and by
 * `tollgate get` of files, so that both show the same. Any thread. */
#pragma once

#include "gateway/snapshot.h"
#include "manifest/manifest.h"

/* Empty: any. Strings borrow. */
struct object_query {
    struct str group;
    struct str kind;
    struct str namespace;
    struct str name;
    bool has_group; /* an empty one is the core group */
    bool is_brief;  /* apiVersion, kind and names alone */
};

enum object_list_result {
    OBJECT_LIST_TOO_LARGE = 1, /* beyond LIMIT_OBJECTS_BYTES; `out` is of no use */
};

/* "group=gateway.networking.k8s.io&kind=Gateway&namespace=ns&name=n&brief=true"; values stand for
 * themselves (names have nothing to escape), unknown ones are passed over. */
void object_query_parse(struct str query, struct object_query *ret);
void object_query_format(const struct object_query *q, struct buf *out);
/* Appends; 0 or OBJECT_LIST_TOO_LARGE. `live`: the snapshot that serves, where one does (control's
 * thread then); an object that is asked for by name says where it leads. */
MUST_USE int object_list_format(const struct manifest *m, const struct snapshot *live,
                                const struct object_query *q, struct buf *out);
