/* How long the answers of each model are on average: what a reservation expects of the next one.
 * Shared by all threads behind one short lock; bounded by LIMIT_MODEL_AVERAGES, the model that was
 * used longest ago leaves first. */
#pragma once

#include <pthread.h>

#include "base/list.h"
#include "base/map.h"

enum {
    MODEL_AVERAGE_MIN_ANSWERS = 20, /* fewer say nothing yet */
    MODEL_AVERAGE_UNKNOWN = 1024,   /* tokens that are expected then */
    MODEL_AVERAGE_FACTOR = 4,       /* of the average: few answers are longer */
};

struct model_averages {
    pthread_mutex_t lock;
    struct map by_model;
    struct list recent; /* by last use, oldest first */
};

void model_averages_init(struct model_averages *m);
/* Safe on zeroed memory and repeated. */
void model_averages_deinit(struct model_averages *m);
/* An answer of `model` had that many tokens. Only of models that answered well, so that no client
 * can fill the table with its inventions. A name longer than LIMIT_MODEL_NAME_BYTES is not kept. */
void model_average_note(struct model_averages *m, struct str model, uint64_t n_tokens);
/* The moving average in tokens, rounded up. False before MODEL_AVERAGE_MIN_ANSWERS answers. */
bool model_average_find(struct model_averages *m, struct str model, uint64_t *ret_tokens);
typedef void model_average_fn(void *ctx, struct str model, uint64_t scaled, uint32_t n_answers);
/* All, the model that was used longest ago first: what model_average_import takes, in that order.
 */
void model_averages_export(struct model_averages *m, model_average_fn *tell, void *ctx);
/* In place of what is known of that model. False: such an average cannot be. */
bool model_average_import(struct model_averages *m, struct str model, uint64_t scaled,
                          uint32_t n_answers);
/* What is to be reserved for an answer: MODEL_AVERAGE_FACTOR times the average, or
 * MODEL_AVERAGE_UNKNOWN, and no more than the request allows (`max_tokens`; 0: it does not say). */
uint64_t model_average_expect(struct model_averages *m, struct str model, uint64_t max_tokens);
