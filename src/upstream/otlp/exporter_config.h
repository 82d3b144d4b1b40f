/* What an exporter (exporter.h) sends, where to, and how. */
#pragma once

#include "upstream/breaker/breaker.h"

struct cluster;

enum exporter_signal { EXPORTER_TRACES, EXPORTER_METRICS, EXPORTER_SIGNALS_ };

struct exporter_header {
    struct str name; /* lower-case */
    struct str value;
};

struct exporter_config {
    enum exporter_signal signal;
    struct str name;         /* whose it is: logs */
    struct cluster *cluster; /* the exporter takes a reference of its own */
    struct str authority;
    struct str resource;                   /* the resource's attributes: a JSON array */
    const struct exporter_header *headers; /* of every export */
    uint32_t n_headers;
    uint64_t connect_us;
    uint64_t timeout_us; /* of one try */
    uint64_t idle_us;    /* as struct attempt has it */
    bool has_limits;
    struct breaker_limits limits;
};
