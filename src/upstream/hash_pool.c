/* Queue and threads. A job is the pool's from ask to the wake-up of its worker, and the worker's
 * then; who waits for it is the worker's business all the time, so that a client who leaves touches
 * no thread. The threads run at a lower priority than the loops: guessing passwords slows other
 * guesses down, not requests. */
#include "upstream/hash_pool.h"

#include <sys/resource.h>
#include <unistd.h>

#include "auth/password.h"
#include "base/limits.h"
#include "base/mem.h"

enum { HASH_NICE = 10 };

struct hash_job {
    struct list_node node;  /* queue or desk's done, under the lock */
    struct list_node mine;  /* desk's jobs, worker-local */
    struct list waits;      /* worker-local */
    struct hash_desk *desk; /* immutable, as what follows */
    struct credential_digest digest;
    uint64_t source;
    bool is_known;
    bool is_right; /* the thread's, then the worker's */
    size_t hash_len;
    size_t password_len;
    char text[]; /* hash, password */
};

static void hash_job_free(struct hash_job *j)
{
    list_remove(&j->mine);
    while (j->waits.first)
        list_remove(j->waits.first);
    mem_wipe(j->text, j->hash_len + j->password_len);
    mem_free(j);
}

/* ---- threads ---- */

static void hash_job_run(struct hash_job *j)
{
    struct str hash = str_make(j->text, j->hash_len);
    struct str password = str_make(j->text + j->hash_len, j->password_len);
    bool fits = password_verify(hash, password);

    j->is_right = fits && j->is_known;
    mem_wipe(j->text + j->hash_len, j->password_len);
}

static void *hash_pool_main(void *arg)
{
    struct hash_pool *p = arg;

    pthread_setname_np(pthread_self(), "passwords");
    setpriority(PRIO_PROCESS, (id_t)gettid(), HASH_NICE); /* of this thread only; a wish */
    pthread_mutex_lock(&p->lock);
    while (!p->is_ending) {
        struct hash_job *j;

        if (!p->queue.first) {
            pthread_cond_wait(&p->work, &p->lock);
            continue;
        }
        j = CONTAINER_OF(p->queue.first, struct hash_job, node);
        list_remove(&j->node);
        j->desk->n_running++;
        pthread_mutex_unlock(&p->lock);
        hash_job_run(j);
        pthread_mutex_lock(&p->lock);
        j->desk->n_running--;
        list_append(&j->desk->done, &j->node);
        /* Within the lock: the desk cannot go before it was told. */
        wake_post(&j->desk->wake);
        pthread_cond_broadcast(&p->idle);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Under the lock. Whether there is a thread at all. */
static bool hash_pool_staff(struct hash_pool *p)
{
    if (p->n_threads < p->n_wanted &&
        pthread_create(&p->threads[p->n_threads], NULL, hash_pool_main, p) == 0)
        p->n_threads++;
    return p->n_threads > 0;
}

void hash_pool_init(struct hash_pool *p, uint32_t n_threads)
{
    *p = (struct hash_pool){0};
    p->n_wanted = MAX(1U, MIN(n_threads, (uint32_t)HASH_THREADS_MAX));
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->idle, NULL);
}

void hash_pool_deinit(struct hash_pool *p)
{
    if (p->n_wanted == 0)
        return;
    pthread_mutex_lock(&p->lock);
    p->is_ending = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->n_threads; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->idle);
    pthread_mutex_destroy(&p->lock);
    p->n_wanted = 0;
}

/* ---- desks ---- */

static void hash_job_tell(struct hash_job *j)
{
    while (j->waits.first) {
        struct hash_wait *w = CONTAINER_OF(j->waits.first, struct hash_wait, node);

        list_remove(&w->node);
        w->verdict = j->is_right ? HASH_RIGHT : HASH_WRONG;
        w->on_done(w);
    }
}

static struct hash_job *hash_desk_take_done(struct hash_desk *d)
{
    struct list_node *node;

    pthread_mutex_lock(&d->pool->lock);
    node = d->done.first;
    if (node)
        list_remove(node);
    pthread_mutex_unlock(&d->pool->lock);
    return node ? CONTAINER_OF(node, struct hash_job, node) : NULL;
}

static void hash_desk_on_wake(struct wake *wake)
{
    struct hash_desk *d = CONTAINER_OF(wake, struct hash_desk, wake);
    struct hash_job *j;

    while (d->pool && (j = hash_desk_take_done(d)) != NULL) {
        list_remove(&j->mine); /* who asks from now on asks anew */
        hash_job_tell(j);
        hash_job_free(j);
    }
}

void hash_desk_init(struct hash_desk *d, struct hash_pool *p, struct loop *l)
{
    *d = (struct hash_desk){.pool = p};
    wake_init(&d->wake, l, hash_desk_on_wake);
}

void hash_desk_deinit(struct hash_desk *d)
{
    if (!d->pool)
        return;
    pthread_mutex_lock(&d->pool->lock);
    LIST_FOREACH (&d->jobs, node) {
        struct hash_job *j = CONTAINER_OF(node, struct hash_job, mine);

        if (j->node.owner == &d->pool->queue)
            list_remove(&j->node);
    }
    while (d->n_running > 0)
        pthread_cond_wait(&d->pool->idle, &d->pool->lock);
    pthread_mutex_unlock(&d->pool->lock);
    LIST_FOREACH (&d->jobs, node) {
        struct hash_job *j = CONTAINER_OF(node, struct hash_job, mine);

        list_remove(&j->node);
        hash_job_free(j);
    }
    d->pool = NULL;
}

static struct hash_job *hash_job_new(struct hash_desk *d, const struct hash_question *q)
{
    struct hash_job *j = mem_alloc_zero(sizeof *j + q->hash.len + q->password.len);

    j->desk = d;
    j->digest = q->digest;
    j->source = q->source;
    j->is_known = q->is_known;
    j->hash_len = q->hash.len;
    j->password_len = q->password.len;
    memcpy(j->text, q->hash.ptr, q->hash.len);
    if (q->password.len > 0)
        memcpy(j->text + q->hash.len, q->password.ptr, q->password.len);
    return j;
}

static struct hash_job *hash_desk_find(struct hash_desk *d, const struct credential_digest *digest)
{
    LIST_FOREACH (&d->jobs, node) {
        struct hash_job *j = CONTAINER_OF(node, struct hash_job, mine);

        if (credential_digest_eq(&j->digest, digest))
            return j;
    }
    return NULL;
}

/* Under the lock. */
static bool hash_pool_has_room(const struct hash_pool *p, uint64_t source)
{
    uint32_t n = 0;

    LIST_FOREACH (&p->queue, node) {
        n += CONTAINER_OF(node, struct hash_job, node)->source == source;
    }
    return p->queue.n_nodes < LIMIT_PASSWORD_QUEUE && n < LIMIT_PASSWORD_QUEUE_PER_SOURCE;
}

/* NULL: no room. */
static struct hash_job *hash_desk_post(struct hash_desk *d, const struct hash_question *q)
{
    struct hash_pool *p = d->pool;
    struct hash_job *j = NULL;

    pthread_mutex_lock(&p->lock);
    if (hash_pool_has_room(p, q->source) && hash_pool_staff(p)) {
        j = hash_job_new(d, q);
        list_append(&p->queue, &j->node);
        pthread_cond_signal(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
    return j;
}

int hash_desk_ask(struct hash_desk *d, const struct hash_question *q, struct hash_wait *w)
{
    struct hash_job *j = hash_desk_find(d, &q->digest);

    PRE(!w->node.owner);
    if (!j) {
        j = hash_desk_post(d, q);
        if (!j)
            return HASH_POOL_FULL;
        list_append(&d->jobs, &j->mine);
    }
    w->verdict = HASH_PENDING;
    list_append(&j->waits, &w->node);
    return 0;
}

void hash_desk_cancel(struct hash_desk *d, struct hash_wait *w)
{
    struct hash_job *j;
    bool is_queued;

    if (!w->node.owner)
        return;
    j = CONTAINER_OF(w->node.owner, struct hash_job, waits);
    list_remove(&w->node);
    if (j->waits.n_nodes > 0)
        return;
    pthread_mutex_lock(&d->pool->lock);
    is_queued = j->node.owner == &d->pool->queue;
    if (is_queued)
        list_remove(&j->node);
    pthread_mutex_unlock(&d->pool->lock);
    if (is_queued)
        hash_job_free(j);
}
