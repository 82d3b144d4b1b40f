/* The bounded pool of threads that judges passwords against slow hashes: never on an event loop. A
 * worker leaves a job at its desk and is told by its own loop when the job is done; callers who
 * bring the same password at the same time share one job. Nobody waits in a queue without bound:
 * beyond LIMIT_PASSWORD_QUEUE a job is refused, and beyond LIMIT_PASSWORD_QUEUE_PER_SOURCE of one
 * client, who so cannot keep the others out.
 *
 *     QUEUED --thread takes it--> RUNNING --> DONE --worker's loop--> told and freed
 *        +--all who waited have left--> freed
 */
#pragma once

#include <pthread.h>

#include "auth/credential_digest.h"
#include "net/loop.h"

enum { HASH_THREADS_MAX = 4 };

enum hash_result {
    HASH_POOL_FULL = 1,
};

enum hash_verdict { HASH_PENDING, HASH_RIGHT, HASH_WRONG };

/* Shared by all workers. */
struct hash_pool {
    pthread_mutex_t lock;
    pthread_cond_t work; /* a job is queued, or the pool ends */
    pthread_cond_t idle; /* a job has left its thread */
    struct list queue;   /* of jobs, oldest first */
    pthread_t threads[HASH_THREADS_MAX];
    uint32_t n_threads;
    uint32_t n_wanted; /* threads; started with the first jobs */
    bool is_ending;
};

/* One worker's side. Worker-local, but for what the pool's lock guards. */
struct hash_desk {
    struct hash_pool *pool;
    struct wake wake;
    struct list jobs;   /* all of this worker that were not told yet */
    struct list done;   /* under the lock */
    uint32_t n_running; /* under the lock */
};

struct hash_wait;
typedef void hash_wait_fn(struct hash_wait *w);

/* Somebody who waits for a verdict: embedded in an exchange. A zeroed one waits for nothing. */
struct hash_wait {
    struct list_node node; /* of its job's; on none: not waiting */
    enum hash_verdict verdict;
    hash_wait_fn *on_done; /* `verdict` is there; on the worker's loop, never within the call */
};

/* What is to be judged; everything is copied. `digest` stands for the whole: equal ones share a
 * job. Where the user is unknown the hash is a stand-in, and the verdict is no whatever it says. */
struct hash_question {
    struct str hash;
    struct str password;
    struct credential_digest digest;
    uint64_t source; /* whose it is (auth/failure_limit.h) */
    bool is_known;
};

/* No thread is started yet. */
void hash_pool_init(struct hash_pool *p, uint32_t n_threads);
/* After all desks have been closed; waits for the threads. Safe on zeroed memory. */
void hash_pool_deinit(struct hash_pool *p);

void hash_desk_init(struct hash_desk *d, struct hash_pool *p, struct loop *l);
/* On the worker's thread, or after it: forgets what is queued and waits for what is computed. */
void hash_desk_deinit(struct hash_desk *d);
/* 0: w->on_done will be called, unless cancelled. HASH_POOL_FULL: too many wait already. */
MUST_USE int hash_desk_ask(struct hash_desk *d, const struct hash_question *q, struct hash_wait *w);
/* No call of on_done follows. Safe when nothing is waited for. */
void hash_desk_cancel(struct hash_desk *d, struct hash_wait *w);
