/* How the gateway was asked to run, as far as compiling and serving depend on it. */
#pragma once

#include "base/str.h"
#include "net/broker.h"
#include "net/inheritance.h"

/* --port-map 80=8080 */
struct port_mapping {
    uint16_t from;
    uint16_t to;
};

/* --resolve HOST:PORT=ADDR:PORT */
struct resolve_override {
    struct str host;
    uint16_t port;
    struct str ip;
    uint16_t to_port;
};

/* Set once before start; strings live as long as the process. */
struct server_options {
    uint32_t n_workers;
    struct port_mapping *port_maps;
    uint32_t n_port_maps;
    struct resolve_override *resolves;
    uint32_t n_resolves;
    const char *dns_servers;   /* "127.0.0.1:5353,[::1]:53"; NULL: those of resolv.conf */
    struct str cluster_domain; /* "cluster.local" */
    struct str address_pool;   /* CIDR, empty: all Gateways share the wildcard address */
    uint64_t memory_limit;     /* bytes; 0: none */
    bool is_strict;
    struct broker *broker; /* binds the ports; NULL: we do */
    /* Sockets of the process that was here before, for the ports of the start; NULL: none. */
    struct inheritance *inheritance;
};
