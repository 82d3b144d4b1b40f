/* The mean of the first answers, then an exponentially weighted one: each further answer counts for
 * a thirty-second. Fixed point, so that rounding does not keep an average from coming down. */
#include "policy/model_average.h"

#include "base/limits.h"
#include "base/mem.h"

enum { AVERAGE_WEIGHT = 32, AVERAGE_SCALE = 1024, AVERAGE_TOKENS_MAX = 1 << 24 };

struct model_average {
    struct list_node recent;
    uint64_t scaled; /* tokens * AVERAGE_SCALE */
    uint32_t n_answers;
    uint32_t model_len;
    char model[];
};

void model_averages_init(struct model_averages *m)
{
    *m = (struct model_averages){0};
    pthread_mutex_init(&m->lock, NULL);
}

static void averages_drop(struct model_averages *m, struct model_average *a)
{
    map_remove(&m->by_model, str_make(a->model, a->model_len));
    list_remove(&a->recent);
    mem_free(a);
}

void model_averages_deinit(struct model_averages *m)
{
    while (m->recent.first)
        averages_drop(m, CONTAINER_OF(m->recent.first, struct model_average, recent));
    map_deinit(&m->by_model);
}

static struct model_average *averages_add(struct model_averages *m, struct str model)
{
    struct model_average *a = mem_alloc_zero(sizeof *a + model.len);

    if (m->recent.n_nodes >= LIMIT_MODEL_AVERAGES)
        averages_drop(m, CONTAINER_OF(m->recent.first, struct model_average, recent));
    a->model_len = (uint32_t)model.len;
    memcpy(a->model, model.ptr, model.len);
    map_put(&m->by_model, str_make(a->model, model.len), a);
    return a;
}

static void average_learn(struct model_average *a, uint64_t n_tokens)
{
    int64_t heard = (int64_t)MIN(n_tokens, (uint64_t)AVERAGE_TOKENS_MAX) * AVERAGE_SCALE;
    int64_t known = (int64_t)a->scaled;

    a->n_answers = MIN(a->n_answers + 1, (uint32_t)AVERAGE_WEIGHT);
    a->scaled = (uint64_t)(known + (heard - known) / (int64_t)a->n_answers);
}

void model_average_note(struct model_averages *m, struct str model, uint64_t n_tokens)
{
    struct model_average *a;

    if (model.len == 0 || model.len > LIMIT_MODEL_NAME_BYTES)
        return;
    pthread_mutex_lock(&m->lock);
    a = map_find(&m->by_model, model);
    if (!a)
        a = averages_add(m, model);
    average_learn(a, n_tokens);
    list_move(&m->recent, &a->recent);
    pthread_mutex_unlock(&m->lock);
}

bool model_average_find(struct model_averages *m, struct str model, uint64_t *ret_tokens)
{
    const struct model_average *a;
    bool is_known;

    pthread_mutex_lock(&m->lock);
    a = map_find(&m->by_model, model);
    is_known = a && a->n_answers >= MODEL_AVERAGE_MIN_ANSWERS;
    if (is_known)
        *ret_tokens = (a->scaled + AVERAGE_SCALE - 1) / AVERAGE_SCALE;
    pthread_mutex_unlock(&m->lock);
    return is_known;
}

void model_averages_export(struct model_averages *m, model_average_fn *tell, void *ctx)
{
    pthread_mutex_lock(&m->lock);
    LIST_FOREACH (&m->recent, node) {
        const struct model_average *a = CONTAINER_OF(node, struct model_average, recent);

        tell(ctx, str_make(a->model, a->model_len), a->scaled, a->n_answers);
    }
    pthread_mutex_unlock(&m->lock);
}

bool model_average_import(struct model_averages *m, struct str model, uint64_t scaled,
                          uint32_t n_answers)
{
    struct model_average *a;

    if (model.len == 0 || model.len > LIMIT_MODEL_NAME_BYTES || n_answers == 0 ||
        n_answers > AVERAGE_WEIGHT || scaled > (uint64_t)AVERAGE_TOKENS_MAX * AVERAGE_SCALE)
        return false;
    pthread_mutex_lock(&m->lock);
    a = map_find(&m->by_model, model);
    if (!a)
        a = averages_add(m, model);
    a->scaled = scaled;
    a->n_answers = n_answers;
    list_move(&m->recent, &a->recent);
    pthread_mutex_unlock(&m->lock);
    return true;
}

uint64_t model_average_expect(struct model_averages *m, struct str model, uint64_t max_tokens)
{
    uint64_t average;
    uint64_t expected = model_average_find(m, model, &average) ? average * MODEL_AVERAGE_FACTOR
                                                               : MODEL_AVERAGE_UNKNOWN;

    return max_tokens > 0 ? MIN(expected, max_tokens) : expected;
}
