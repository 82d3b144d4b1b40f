/* The columns of each kind's table: those of its custom resource (additionalPrinterColumns) or, for
 * Kubernetes' own kinds, kubectl's. Policies and wide tables say the STATUS too. */
#pragma once

#include "app/objects/shown.h"
#include "base/buf.h"

/* `now_unix_s`: for ages. */
typedef void column_fn(struct buf *out, const struct shown *s, int64_t now_unix_s);

struct column {
    const char *title; /* NULL: no further one */
    column_fn *format;
    bool is_wide; /* with -o wide only */
};

/* Without namespace and name, which come first in every table. */
const struct column *columns_of(enum kind_id id);
/* "5d", "3h20m": as kubectl says an age. */
void column_append_age(struct buf *out, int64_t seconds);
/* "Accepted", or the reason of the first condition that does not hold; "<none>": there is none. */
void column_append_status(struct buf *out, const struct shown *s);
