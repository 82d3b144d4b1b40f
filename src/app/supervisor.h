/* The parent of the gateway: holds its listening sockets, starts it as another user, and starts it
 * again when it dies. */
#pragma once

#include "app/identity.h"

/* Back-off between a death and the next start: doubled each time, from the beginning again after a
 * run of SUPERVISOR_STEADY_MS. */
enum {
    SUPERVISOR_BACKOFF_MIN_MS = 100,
    SUPERVISOR_BACKOFF_MAX_MS = 30000,
    SUPERVISOR_STEADY_MS = 60000,
};

/* Runs this program with the same arguments as `who`, until it ends as it was told to, or cannot
 * start in the first place. The process's exit code. */
int supervisor_run(char **argv, const struct identity *who);
