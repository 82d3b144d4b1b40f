/* The reference of all kinds and fields, generated from the tables that decode them. */
#pragma once

#include "base/buf.h"

/* Markdown: a table of kinds, then one section per struct. Pure; any thread. */
void reference_format(struct buf *out);
