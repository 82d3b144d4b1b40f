/* The control groups that hold this process (Linux: Documentation/admin-guide/cgroup-v2.rst, and
 * cgroup-v1). A limit of any group above binds too, so a walk goes from the process's own group to
 * the root; inside a container the root that is seen is the container's. A file that cannot be read
 * says nothing. */
#pragma once

#include "base/str.h"

enum { CGROUP_TEXT_BYTES = 4096 };

/* Where limits of one controller stand: "cpu", "memory". */
struct cgroup_place {
    struct str path; /* of a group, "/a/b"; empty: the root */
    const char *controller;
    bool is_v2;
};

/* What one group says; 0: no limit. */
typedef uint64_t cgroup_limit_fn(const struct cgroup_place *place);

/* The smallest limit of both versions of a controller, at most `limit`. */
uint64_t cgroup_smallest(const char *controller, cgroup_limit_fn *fn, uint64_t limit);
/* For a cgroup_limit_fn: a file of the group. STR_NULL: none. */
struct str cgroup_read(const struct cgroup_place *place, const char *file,
                       char room[CGROUP_TEXT_BYTES]);
/* The group in the text of /proc/self/cgroup: the line "0::PATH" (v2), or the one whose list of
 * controllers has `controller` (v1). STR_NULL when there is none. For tests. */
struct str cgroup_find_path(struct str text, const char *controller, bool is_v2);
