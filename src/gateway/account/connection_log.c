/* The record of a client's connection that ends: as that of a request, without all that a request
 * has. Owner: nothing; texts borrow from the client. On its worker. */
#include "gateway/account/connection_log.h"

#include <errno.h>

#include "gateway/account/log_match.h"
#include "gateway/account/record.h"
#include "gateway/client.h"
#include "gateway/snapshot.h"
#include "gateway/worker.h"
#include "net/tls.h"
#include "telemetry/log_format.h"

/* Its handshake named a host that no listener of the port has. */
static bool connection_is_unmatched(const struct client *c)
{
    return c->down.is_tls && stream_tls_entry(&c->stream) < 0 &&
           stream_server_name(&c->stream).len > 0;
}

/* A host that no listener has is the business of the port's first. */
static const struct listener_plan *connection_listener(const struct client *c)
{
    const struct port_plan *port = worker_port_plan(c->worker, c->port);
    const struct listener_plan *l = NULL;

    if (!port)
        return NULL;
    if (c->down.is_tls)
        l = port_plan_find_listener(port, stream_server_name(&c->stream));
    return l ? l : port->listeners[0];
}

static struct str connection_failure(const struct client *c, bool is_unmatched)
{
    if (!c->down.is_tls || c->down.tls_version)
        return STR("");
    if (is_unmatched)
        return STR("no listener has this name");
    return c->stream.error == EKEYREJECTED ? STR("certificate not accepted")
                                           : STR("TLS handshake failed");
}

static void connection_record(const struct client *c, const struct listener_plan *l,
                              bool is_unmatched, const struct access_peer *peer,
                              struct access_record *ret)
{
    const struct clock *now = &c->worker->loop.now;

    *ret = (struct access_record){
        .is_connection = true,
        .duration_us = now->mono_us - c->opened_us,
        .start_wall_us = now->wall_unix_us - (int64_t)(now->mono_us - c->opened_us),
        .details = is_unmatched ? STR("filter_chain_not_found") : STR(""),
        .flags = is_unmatched ? STR("NR") : STR("-"),
        .bytes_received = c->n_received,
        .bytes_sent = c->out.n_sent,
        .pool_us = ACCESS_NEVER,
        .listener_name = is_unmatched ? STR("") : l->name,
        .remote = str_of(c->peer_text),
        .remote_ip = c->down.peer_ip_text,
        .local = str_of(c->local_text),
        .server_name = stream_server_name(&c->stream),
        .tls_version = str_of(c->down.tls_version),
        .tls_cipher = str_of(c->down.tls_cipher),
        .tls_failure = connection_failure(c, is_unmatched),
        .peer = c->down.client_certificate ? peer : NULL,
        .connection_id = c->down.connection_id,
        .tokens_in = LOG_TOKENS_UNKNOWN,
        .tokens_cached = LOG_TOKENS_UNKNOWN,
        .tokens_out = LOG_TOKENS_UNKNOWN,
        .tokens_reasoning = LOG_TOKENS_UNKNOWN,
        .tokens_total = LOG_TOKENS_UNKNOWN,
        .first_token_us = LOG_TOKENS_UNKNOWN,
    };
    for (size_t i = 0; i < ACCESS_POINT_COUNT_; i++)
        ret->points_us[i] = ACCESS_NEVER;
}

void connection_log_write(struct client *c)
{
    const struct listener_plan *l = connection_listener(c);
    struct worker *w = c->worker;
    struct access_record record;
    struct access_peer peer = {0};
    bool is_unmatched = connection_is_unmatched(c);

    if (!l || !(is_unmatched || l->logs_connections))
        return;
    if (c->down.client_certificate)
        peer = record_peer(c->down.client_certificate);
    connection_record(c, l, is_unmatched, &peer, &record);
    for (uint32_t i = 0; i < l->n_connection_logs; i++) {
        const struct access_log_plan *log = &l->connection_logs[i];

        if (log->is_of_unmatched && !is_unmatched)
            continue;
        if (log->n_matches > 0 &&
            !log_match_any(log->matches, log->n_matches, &record, &w->spare_arena))
            continue;
        buf_clear(&w->log_line);
        log_format_line(log->format, &record, &w->log_line);
        log_ring_push(w->log, log->sink, buf_str(&w->log_line));
    }
}
