/* See grid.h. */
#include "app/objects/grid.h"

#include "app/objects/text.h"
#include "base/assert.h"

enum { GRID_GAP = 3 };

void grid_init(struct grid *g, struct arena *a, size_t n_columns)
{
    ASSERT(n_columns <= GRID_COLUMNS_MAX);
    *g = (struct grid){.arena = a, .n_columns = n_columns};
}

void grid_add(struct grid *g, const struct str *cells)
{
    struct grid_row *row = VEC_ADD(g->arena, &g->rows);
    struct buf clean = {0};

    for (size_t i = 0; i < g->n_columns; i++) {
        buf_clear(&clean);
        text_append_safe(&clean, cells[i]);
        row->cells[i] = arena_str(g->arena, buf_str(&clean));
    }
    buf_deinit(&clean);
}

static void grid_pad(struct buf *out, size_t n)
{
    while (n-- > 0)
        buf_append_char(out, ' ');
}

static void grid_trim(struct buf *out, size_t from)
{
    while (out->len > from && out->ptr[out->len - 1] == ' ')
        out->len--;
}

void grid_format(const struct grid *g, struct buf *out, size_t indent)
{
    size_t widths[GRID_COLUMNS_MAX] = {0};

    VEC_FOREACH (&g->rows, row) {
        for (size_t i = 0; i < g->n_columns; i++)
            widths[i] = MAX(widths[i], text_width(row->cells[i]));
    }
    VEC_FOREACH (&g->rows, row) {
        size_t from = out->len;

        grid_pad(out, indent);
        for (size_t i = 0; i < g->n_columns; i++) {
            buf_append_str(out, row->cells[i]);
            grid_pad(out, widths[i] - text_width(row->cells[i]) + GRID_GAP);
        }
        grid_trim(out, from);
        buf_append_char(out, '\n');
    }
}
