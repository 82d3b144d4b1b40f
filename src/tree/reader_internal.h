/* Between reader.c and reader_files.c only. */
#pragma once

#include "tree/reader.h"

/* Appends the documents of one text. `file` lives as long as the nodes. 0 or READER_REFUSED. */
MUST_USE int reader_parse(struct reader *r, const char *file, struct str bytes);
