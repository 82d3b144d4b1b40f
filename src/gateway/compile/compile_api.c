/* Hands the server's registries to compile. */
#include "gateway/compile/compile_api.h"

#include "gateway/compile/compile_pass.h"

int compile_for_server(struct server *server, struct manifest *m, struct snapshot **ret_snapshot)
{
    struct compile_input input = {
        .options = &server->options,
        .clusters = &server->clusters,
        .feeds = &server->feeds,
        .exporters = &server->exporters,
        .limits = &server->limits.store,
        .log_writer = &server->log_writer,
        .tickets = server->tickets,
    };

    return compile_pass(&input, m, ret_snapshot);
}
