/* tollgate explain of a running gateway: its admin port is asked, and says what it would say of
 * files, with live counts. */
#pragma once

#include "admin/explain/question.h"
#include "app/options.h"

/* Prints the explanation, or what is wrong. The exit code: 0; 1: nobody explains it; 2: that is no
 * request, or none that can be asked about so. */
int explain_of_running(const struct options *o, const struct question *q);
