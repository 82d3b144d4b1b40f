/* The limit store of one process: counters by identity, so that a rule that a reload leaves as it
 * is keeps its counts. Shared by all threads; its lock is taken when configuration changes, never
 * per request. */
#pragma once

#include "policy/bucket_table.h"

struct limit_memory {
    struct limit_store store; /* what the gateway calls */
    pthread_mutex_t lock;
    struct map by_identity;
};

void limit_memory_init(struct limit_memory *m);
/* All counters must have been released. */
void limit_memory_deinit(struct limit_memory *m);
