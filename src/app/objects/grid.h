/* Rows of cells in columns as wide as their widest cell, three blanks apart, as kubectl prints
 * them. Cells are cleaned of control characters. */
#pragma once

#include "base/vec.h"

enum { GRID_COLUMNS_MAX = 12 };

struct grid_row {
    struct str cells[GRID_COLUMNS_MAX];
};

struct grid {
    struct arena *arena;
    size_t n_columns;
    VEC(struct grid_row) rows;
};

struct buf;

void grid_init(struct grid *g, struct arena *a, size_t n_columns);
/* Copies the cells. */
void grid_add(struct grid *g, const struct str *cells);
/* Each line behind `indent` blanks; no blanks at its end. */
void grid_format(const struct grid *g, struct buf *out, size_t indent);
