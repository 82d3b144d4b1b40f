/* What one worker hands to control for export: a ring of bytes that only the worker fills and only
 * control empties, without locks. What does not fit is dropped and counted: telemetry costs no
 * request anything. */
#pragma once

#include "base/str.h"

struct export_ring;

struct export_ring *export_ring_new(void);
void export_ring_free(struct export_ring *r);

/* The producer: copies `item`, which is for `target` (not NULL). False: dropped. */
bool export_ring_push(struct export_ring *r, void *target, struct str item);
/* The producer: it is time to be emptied. */
bool export_ring_is_filling(const struct export_ring *r);

/* The consumer: the oldest item, valid until export_ring_advance; false when empty. */
bool export_ring_peek(struct export_ring *r, void **ret_target, struct str *ret_item);
void export_ring_advance(struct export_ring *r);
/* Any thread: dropped so far. */
uint64_t export_ring_n_dropped(const struct export_ring *r);
