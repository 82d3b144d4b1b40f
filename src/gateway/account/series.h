/* Metric series that a worker remembers rather than looks up for each exchange (measure.c). Series
 * are never freed before their shard, so these pointers stay good. Worker-local. */
#pragma once

#include "telemetry/metrics.h"

/* The series that a rule's or a backend's successful requests count in, once looked up. */
struct series_memo {
    struct metric_series *requests;
    struct metric_series *duration;
};

/* What the answers of one tenant and model with status 200 count in. Those of late are remembered:
 * one comparison instead of nine look-ups. */
struct ai_series {
    struct metric_series *requests;
    struct metric_series *duration;
    /* The conventions' own labels besides the model: static texts, so that pointers tell them
     * apart. NULL: none of the series behind `generated` is looked up. */
    const char *operation;
    const char *provider;
    /* NULL until there is something to count: not every endpoint has all. */
    struct metric_series *processed;
    struct metric_series *generated;
    struct metric_series *input;
    struct metric_series *output;
    struct metric_series *server_duration;
    struct metric_series *first_token;
    struct metric_series *output_token;
};

enum { WORKER_AI_SERIES = 64 };
