/* The manual page tollgate(1), in mdoc, from the tables of the commands and options. */
#pragma once

#include "base/buf.h"

void man_format(struct buf *out);
