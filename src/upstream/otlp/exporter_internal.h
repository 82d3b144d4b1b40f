/* Between exporter.c (registry and queues) and exporter_send.c (one export). Nobody else includes
 * this. */
#pragma once

#include "upstream/otlp/exporter.h"

struct exporter_batch {
    struct list_node node;
    uint32_t n_items;
    struct buf text; /* the whole body once it is sent, without its end before */
};

/* exporter_send.c: sends the first batch, if there is one and none is on its way. */
void exporter_go_on(struct exporter *e);
/* At once, if it pauses. */
void exporter_hurry(struct exporter *e);
/* Nothing is on its way any more; the batches stay. */
void exporter_stop(struct exporter *e);

/* exporter.c: the first batch is done with. */
void exporter_drop_batch(struct exporter *e);
struct exporter_counts *exporter_counts(struct exporter *e);
/* Something has ended: is the flush over? */
void exporter_registry_note_end(struct exporter_registry *r);
