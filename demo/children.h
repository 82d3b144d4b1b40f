/* The programs that the launcher runs: started together, watched, stopped in reverse order. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define CHILDREN_MAX 8

struct child {
    const char *name;
    pid_t pid; /* 0: not running */
    int status;
};

struct children {
    struct child rows[CHILDREN_MAX];
    int n;
};

/* Starts a program; argv[0] is its path. Its output goes to ours, or is appended to `output`. 0, or
 * -1 after a line on standard error. */
int children_start(struct children *c, const char *name, const char *const *argv,
                   const char *output);
/* The first that has ended although nobody asked it to, or NULL. */
const struct child *children_find_ended(struct children *c);
/* Says on standard error how it ended. */
void child_complain(const struct child *child);
/* SIGTERM to each in turn, the last started first, SIGKILL to what stays. True if all ended well.
 */
bool children_stop(struct children *c);
