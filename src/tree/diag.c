/* The list of what is wrong with a configuration: collecting, bounding, sorting.
 *
 * Owner: the load; the strings and items live in its arena. Thread: the compile thread only. How a
 * finding is printed stands in diag_format.c; what it does to start and reload is decided by the
 * callers of the load. */
#include "tree/diag.h"

#include <stdlib.h>

#include "base/limits.h"

void diag_list_init(struct diag_list *l, struct arena *a)
{
    *l = (struct diag_list){.arena = a};
}

static void diag_count(struct diag_list *l, enum diag_severity severity)
{
    size_t *counts[] = {&l->n_notes, &l->n_warnings, &l->n_errors};

    ++*counts[severity];
}

bool diag_list_is_full(const struct diag_list *l, enum diag_severity severity)
{
    /* Half of the room is kept for errors: a flood of notes must not hide them. */
    return l->items.n >= (severity == DIAG_ERROR ? LIMIT_DIAGNOSTICS : LIMIT_DIAGNOSTICS / 2);
}

struct diag *diag_add(struct diag_list *l, enum diag_severity severity, enum diag_code code,
                      struct mark mark, struct str object, const char *format, ...)
{
    struct diag *d;
    va_list args;

    diag_count(l, severity);
    if (diag_list_is_full(l, severity)) {
        /* One scratch item, reused: a million findings must not cost a million items. */
        if (!l->scratch)
            l->scratch = ARENA_NEW(l->arena, struct diag);
        *l->scratch = (struct diag){.severity = severity, .code = code, .mark = mark};
        return l->scratch;
    }
    d = VEC_ADD(l->arena, &l->items);
    *d = (struct diag){.severity = severity, .code = code, .mark = mark, .object = object};
    d->order = l->items.n;
    va_start(args, format);
    d->text = arena_vprintf(l->arena, format, args);
    va_end(args);
    return d;
}

const char *diag_code_text(enum diag_code code)
{
    static const char *const texts[] = {
#define X(id, word, text, help) word,
        DIAG_CODES(X)
#undef X
    };

    return texts[code];
}

const char *diag_severity_text(enum diag_severity severity)
{
    static const char *const texts[] = {"note", "warning", "error"};

    return texts[severity];
}

static int diag_compare(const void *a_ptr, const void *b_ptr)
{
    const struct diag *a = a_ptr;
    const struct diag *b = b_ptr;
    int order = strcmp(a->mark.file ? a->mark.file : "", b->mark.file ? b->mark.file : "");

    if (order != 0)
        return order;
    if (a->mark.line != b->mark.line)
        return a->mark.line < b->mark.line ? -1 : 1;
    if (a->mark.column != b->mark.column)
        return a->mark.column < b->mark.column ? -1 : 1;
    if (a->severity != b->severity)
        return a->severity > b->severity ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

void diag_sort(struct diag_list *l)
{
    if (l->items.n > 1)
        qsort(l->items.items, l->items.n, sizeof *l->items.items, diag_compare);
}
