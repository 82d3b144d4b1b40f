/* One revision as the text of its record, and read back. Pure. */
#pragma once

#include "app/history/store.h"
#include "base/buf.h"

/* `r->files` sorted by path: sets `r->id` by them. */
void record_identify(struct history_revision *r, struct arena *a);
void record_format(const struct history_revision *r, struct buf *out);
/* Copies into the arena. False: it is no record of that number. */
bool record_parse(struct str text, uint32_t number, struct arena *a, struct history_revision *ret);
/* 64 hex digits of SHA-256. */
struct str record_hash(struct str bytes, struct arena *a);
/* May it be the name of a blob? */
bool record_is_hash(struct str text);
