/* What is valid, does as it is written, and yet not as somebody may think: a path that a prefix
 * does not reach, a limit that its clients choose the count of, a certificate that runs out. Notes,
 * and warnings where something has no effect or fails soon; nothing here changes what is served.
 * `tollgate check` prints them, the start counts them. After compile, which has found where
 * Gateways listen. */
#pragma once

#include "manifest/manifest.h"

/* Adds to m->diags. `now_unix_s`: certificates are judged by it; 0: they are not. */
void advice_give(struct manifest *m, int64_t now_unix_s);
