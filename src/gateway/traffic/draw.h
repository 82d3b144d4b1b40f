/* Which backend of a priority, by weight. */
#pragma once

#include "gateway/refusal.h"

#include <stdint.h>

struct backend_plan;
struct exchange;

/* REFUSAL_NONE and one that can be sent to, or what the share that was drawn is refused with. */
enum refusal draw_backend(struct exchange *x, uint32_t priority, const struct backend_plan **ret);
/* Where another try goes after x->backend has failed: a backend drawn anew, which is the same one
 * when it has other endpoints (upstream/pool.h avoids the one that failed), and else another one
 * if a few draws find any. */
const struct backend_plan *draw_again(struct exchange *x, uint32_t priority);
