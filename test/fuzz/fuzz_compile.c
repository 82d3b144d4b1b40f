/* Fuzz target of the last pass of configuration: manifests to a snapshot, twice from the same
 * bytes. Beyond not crashing: whatever could be read compiles; every listener and rule that comes
 * of it can be asked; both times the same is found, and nothing of it is left when it is freed. */
#include "base/assert.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/advice/advice.h"
#include "gateway/compile/compile_pass.h"
#include "gateway/server.h"
#include "http/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { FUZZ_NOW_S = 1800000000 };

struct found {
    size_t n_errors;
    size_t n_findings;
    uint32_t n_ports;
    uint32_t n_clusters;
};

static struct server *fuzz_server(void)
{
    static const struct server_options options = {.n_workers = 1,
                                                  .cluster_domain = {"cluster.local", 13}};
    static struct loop loop;
    static struct server server;

    if (server.loop)
        return &server;
    log_set_level(LOG_ERROR);
    if (loop_init(&loop) < 0 || server_init(&server, &loop, &options) < 0)
        UNREACHABLE();
    return &server;
}

/* Sinks of logs are files and sockets of the manifest's choice: only their formats are compiled. */
static int compile_bytes(struct server *g, struct manifest *m, struct snapshot **ret_snapshot)
{
    struct compile_input input = {
        .options = &g->options,
        .clusters = &g->clusters,
        .feeds = &g->feeds,
        .limits = &g->limits.store,
    };

    return compile_pass(&input, m, ret_snapshot);
}

static void ask(const struct snapshot *s)
{
    for (uint32_t i = 0; i < s->n_ports; i++) {
        const struct port_plan *p = &s->ports[i];

        ASSERT(p->n_listeners > 0);
        (void)port_plan_find_listener(p, STR("a.example.com"));
        for (uint32_t k = 0; k < p->n_listeners; k++) {
            const struct listener_plan *l = p->listeners[k];

            ASSERT(port_plan_find_listener(p, l->hostname));
        }
    }
}

static struct found load(struct server *g, struct str bytes)
{
    struct manifest *m = MEM_NEW(struct manifest);
    struct snapshot *s = NULL;
    struct found found = {0};
    int code = manifest_load_bytes(m, "fuzz.yaml", bytes, NULL);

    if (code == 0)
        code = compile_bytes(g, m, &s);
    ASSERT(code >= 0);
    if (s)
        advice_give(m, FUZZ_NOW_S);
    found.n_errors = m->diags.n_errors;
    found.n_findings = m->diags.items.n;
    if (s) {
        ask(s);
        found.n_ports = s->n_ports;
        found.n_clusters = s->n_clusters;
        snapshot_free(s);
    } else {
        manifest_deinit(m);
        mem_free(m);
    }
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct server *g = fuzz_server();
    struct found first = load(g, str_make(bytes, size));
    struct found second = load(g, str_make(bytes, size));

    ASSERT(memcmp(&first, &second, sizeof first) == 0);
    key_feed_registry_sweep(&g->feeds);
    ASSERT(g->clusters.clusters.n_nodes == 0 && g->limits.by_identity.n_items == 0);
    return 0;
}
