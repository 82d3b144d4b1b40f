/* What compile needs from outside, and its entrance. */
#pragma once

#include "gateway/snapshot.h"

struct server_options;
struct log_writer;
struct exporter_registry;
struct limit_store;
struct tls_tickets;

struct compile_input {
    const struct server_options *options;
    struct cluster_registry *clusters;
    struct key_feed_registry *feeds;
    struct exporter_registry *exporters; /* NULL: check only */
    struct limit_store *limits;
    struct log_writer *log_writer; /* NULL: check only, sinks are not opened */
    struct tls_tickets *tickets;   /* keys of all listeners' session tickets; NULL: check only */
};

/* Takes over `m` on success. 0 or negative. Errors found only here (a log format, a regular
 * expression) are reported in m->diags and make their object refuse. */
MUST_USE int compile_pass(const struct compile_input *input, struct manifest *m,
                          struct snapshot **ret_snapshot);
