/* The refusals as data. */
#include "gateway/refusal.h"

#include "base/assert.h"

static const struct refusal_row refusal_rows[] = {[REFUSAL_NONE] = {"NONE", 0, "", "-", ""},
#define X(name, status, code, flag, text) [REFUSAL_##name] = {#name, status, code, flag, text},
                                                  REFUSALS(X)
#undef X
};

const struct refusal_row *refusal_row(enum refusal r)
{
    PRE(r < REFUSAL_COUNT_);
    return &refusal_rows[r];
}
