/* Scripts that teach a shell to complete the command line, printed from the tables. */
#pragma once

#include "base/buf.h"

#define COMPLETION_SHELLS(X) X(bash) X(zsh) X(fish)

enum completion_result {
    COMPLETION_UNKNOWN = 1, /* no such shell is known */
};

/* 0 or COMPLETION_UNKNOWN. */
MUST_USE int completion_format(struct buf *out, const char *shell);
