/* compile: comments in silent event streams. One that is not understood is no reason to refuse the
 * route: a warning, and no comments. */
#include "gateway/compile/traffic/keep_alive.h"

#include "base/limits.h"

enum { SECOND_US = 1000000 };

void compile_keep_alive(struct compile *c, struct compile_place *at)
{
    VEC_FOREACH (&at->route->annotations, a) {
        uint64_t us = 0;

        if (!str_eq(a->key, STR(KEEP_ALIVE_ANNOTATION)))
            continue;
        if (decode_duration_text(a->value, &us) && us >= SECOND_US) {
            at->rule->keep_alive_us = us;
        } else if (compile_tells(c, arena_printf(&c->scratch, "%.*s|" KEEP_ALIVE_ANNOTATION,
                                                 STR_ARG(at->route->label)))) {
            diag_add(
                &c->manifest->diags, DIAG_WARNING, DIAG_OUT_OF_RANGE, a->mark, at->route->label,
                "annotation " KEEP_ALIVE_ANNOTATION ": expected a duration of a second or more, "
                "found \"%.*s\": no comments are sent",
                STR_ARG(a->value));
        }
    }
}
