/* Compile as control and its compile thread call it. Apart from compile.h, whose manifest headers
 * share names with the running side (a listener there is part of an object). */
#pragma once

#include "gateway/server.h"

/* 0 with a snapshot that owns `m`, or negative. Errors found only here are added to m->diags.
 * Compile thread, or control at start. */
MUST_USE int compile_for_server(struct server *server, struct manifest *m,
                                struct snapshot **ret_snapshot);
