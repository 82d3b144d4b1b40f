/* The linking and checking passes over a loaded manifest: names to pointers, grants, attachment of
 * routes and policies, conditions, notes. Called by manifest_load; reports into m->diags. Compile
 * thread; no I/O, no clock. */
#pragma once

#include "manifest/manifest.h"

void link_manifest(struct manifest *m);
