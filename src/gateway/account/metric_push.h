/* Sends the gateway's metrics to the collectors that the current snapshot names, every few seconds
 * and once more at the end. Control. */
#pragma once

#include "net/loop.h"

struct server;
struct snapshot;

struct metric_push {
    struct server *server;
    struct list targets;
    struct timer timer;
};

void metric_push_init(struct metric_push *p, struct server *g);
void metric_push_deinit(struct metric_push *p);
/* From now on to the sinks of `s`; those that stay are told differences to what they know. */
void metric_push_adopt(struct metric_push *p, const struct snapshot *s);
/* The gateway ends: for the last time, whatever is on its way. Later calls do nothing. */
void metric_push_end(struct metric_push *p);
