/* See lines.h. What is equal at both ends is left out of the search for the longest common
 * subsequence, whose table is bounded; objects of a configuration are short. */
#include "app/history/lines.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/vec.h"

enum { LINES_AROUND = 3 };

struct line {
    char mark; /* ' ', '-' or '+' */
    struct str text;
};

struct lines {
    struct arena arena;
    VEC(struct str) before;
    VEC(struct str) after;
    VEC(struct line) script;
};

static void lines_put(struct lines *l, char mark, struct str text)
{
    VEC_PUSH(&l->arena, &l->script, ((struct line){mark, text}));
}

/* Between `first` and `end` of either side: table[i][j] is the longest that is common from i and j
 * on. */
static void lines_align(struct lines *l, size_t first, size_t before_end, size_t after_end)
{
    size_t n = before_end - first, m = after_end - first, width = m + 1;
    const struct str *a = l->before.items, *b = l->after.items;
    bool may_search = (uint64_t)(n + 1) * width <= LIMIT_DIFF_CELLS;
    uint32_t *table = may_search ? mem_alloc_zero((n + 1) * width * sizeof *table) : NULL;
    size_t i = 0, j = 0;

    if (first > 0) { /* else there may be none at all */
        a += first;
        b += first;
    }
    for (size_t x = n; may_search && x-- > 0;) {
        for (size_t y = m; y-- > 0;)
            table[x * width + y] = str_eq(a[x], b[y])
                                       ? table[(x + 1) * width + y + 1] + 1
                                       : MAX(table[(x + 1) * width + y], table[x * width + y + 1]);
    }
    while (i < n || j < m) {
        if (may_search && i < n && j < m && str_eq(a[i], b[j])) {
            lines_put(l, ' ', a[i++]);
            j++;
        } else if (i < n && (j == m || !may_search ||
                             table[(i + 1) * width + j] >= table[i * width + j + 1])) {
            lines_put(l, '-', a[i++]);
        } else {
            lines_put(l, '+', b[j++]);
        }
    }
    mem_free(table);
}

static void lines_compare(struct lines *l)
{
    size_t n = l->before.n, m = l->after.n, first = 0;

    while (first < n && first < m && str_eq(l->before.items[first], l->after.items[first]))
        lines_put(l, ' ', l->before.items[first++]);
    while (n > first && m > first && str_eq(l->before.items[n - 1], l->after.items[m - 1])) {
        n--;
        m--;
    }
    lines_align(l, first, n, m);
    for (; n < l->before.n; n++)
        lines_put(l, ' ', l->before.items[n]);
}

/* From the first line around the change at `at` to behind the last one of what belongs together. */
static void lines_hunk(const struct lines *l, size_t at, size_t *ret_first, size_t *ret_end)
{
    size_t last = at;

    for (size_t i = at; i < l->script.n && i <= last + 2 * LINES_AROUND + 1; i++)
        last = l->script.items[i].mark != ' ' ? i : last;
    *ret_first = at > LINES_AROUND ? at - LINES_AROUND : 0;
    *ret_end = MIN(last + 1 + LINES_AROUND, l->script.n);
}

static void lines_format(const struct lines *l, size_t first, size_t end, size_t before,
                         size_t after, struct buf *out)
{
    size_t n_before = 0, n_after = 0;

    for (size_t i = first; i < end; i++) {
        n_before += l->script.items[i].mark != '+';
        n_after += l->script.items[i].mark != '-';
    }
    buf_printf(out, "@@ -%zu,%zu +%zu,%zu @@\n", n_before ? before + 1 : before, n_before,
               n_after ? after + 1 : after, n_after);
    for (size_t i = first; i < end; i++) {
        buf_append_char(out, l->script.items[i].mark);
        buf_append_str(out, l->script.items[i].text);
        buf_append_char(out, '\n');
    }
}

/* The end of the last line is none of a further one. */
static struct str lines_whole(struct str text)
{
    return text.len > 0 && text.ptr[text.len - 1] == '\n' ? str_slice(text, 0, text.len - 1) : text;
}

bool lines_diff(struct str before, struct str after, struct buf *out)
{
    struct lines l = {0};
    struct str line;
    size_t at = 0, n_before = 0, n_after = 0;
    bool has_change = false;

    arena_init(&l.arena, 16384);
    before = before.len > 0 ? lines_whole(before) : STR_NULL;
    after = after.len > 0 ? lines_whole(after) : STR_NULL;
    while (str_split(&before, '\n', &line))
        VEC_PUSH(&l.arena, &l.before, line);
    while (str_split(&after, '\n', &line))
        VEC_PUSH(&l.arena, &l.after, line);
    lines_compare(&l);
    while (at < l.script.n) {
        size_t first, end;

        if (l.script.items[at].mark == ' ') {
            n_before++;
            n_after++;
            at++;
            continue;
        }
        has_change = true;
        lines_hunk(&l, at, &first, &end);
        lines_format(&l, first, end, n_before - (at - first), n_after - (at - first), out);
        for (; at < end; at++) {
            n_before += l.script.items[at].mark != '+';
            n_after += l.script.items[at].mark != '-';
        }
    }
    arena_deinit(&l.arena);
    return has_change;
}
