/* The difference of two texts by lines, in the unified form that people and patch read. Pure. */
#pragma once

#include "base/buf.h"

/* Appends hunks with three lines around each change; nothing where the texts are equal. Beyond
 * LIMIT_DIFF_CELLS of lines that differ all of them are told as replaced. True: there was
 * something. */
bool lines_diff(struct str before, struct str after, struct buf *out);
