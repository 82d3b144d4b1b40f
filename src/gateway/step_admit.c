/* admit: is the gateway willing? Answers malformed heads, finds the listener of the host, detects
 * the client's address, and removes what a client must not bring: late headers of the listener
 * (those that the gateway itself writes there) and x-forwarded-client-cert, in whose place it tells
 * of the certificate that was verified. Hop-by-hop headers have left in the codec already. */
#include "gateway/account/record.h"
#include "gateway/answer.h"
#include "gateway/client_cert.h"
#include "gateway/exchange.h"
#include "gateway/server.h"
#include "gateway/snapshot.h"
#include "gateway/trace/trace.h"
#include "gateway/worker.h"
#include "http/grpc/grpc_request.h"
#include "http/h1_spelling.h"
#include "http/target.h"

static enum refusal admit_head_refusal(enum h1_error error)
{
    static const enum refusal map[] = {
        [H1_ERROR_NONE] = REFUSAL_BAD_REQUEST,
        [H1_ERROR_BAD_REQUEST_LINE] = REFUSAL_BAD_REQUEST_LINE,
        [H1_ERROR_NOT_HTTP] = REFUSAL_BAD_REQUEST_LINE,
        [H1_ERROR_BAD_STATUS_LINE] = REFUSAL_BAD_REQUEST,
        [H1_ERROR_BAD_VERSION] = REFUSAL_BAD_VERSION,
        [H1_ERROR_BAD_HEADER] = REFUSAL_BAD_HEADER,
        [H1_ERROR_UNDERSCORE_HEADER] = REFUSAL_BAD_HEADER_NAME,
        [H1_ERROR_HEAD_TOO_LARGE] = REFUSAL_HEAD_TOO_LARGE,
        [H1_ERROR_TOO_MANY_HEADERS] = REFUSAL_TOO_MANY_HEADERS,
        [H1_ERROR_TARGET_TOO_LONG] = REFUSAL_URI_TOO_LONG,
        [H1_ERROR_BAD_TARGET] = REFUSAL_BAD_TARGET,
        [H1_ERROR_BAD_PATH] = REFUSAL_BAD_PATH,
        [H1_ERROR_BAD_HOST] = REFUSAL_BAD_HOST,
        [H1_ERROR_BAD_CONTENT_LENGTH] = REFUSAL_BAD_FRAMING,
        [H1_ERROR_BAD_TRANSFER_ENCODING] = REFUSAL_BAD_FRAMING,
        [H1_ERROR_BAD_CONNECTION] = REFUSAL_BAD_CONNECTION_HEADER,
        [H1_ERROR_BAD_CHUNK] = REFUSAL_BAD_CHUNK,
        [H1_ERROR_BAD_TRAILER] = REFUSAL_BAD_CHUNK,
        [H1_ERROR_BAD_EXPECT] = REFUSAL_BAD_EXPECT,
        [H1_ERROR_CONNECT_METHOD] = REFUSAL_METHOD_CONNECT,
        [H1_ERROR_TRUNCATED] = REFUSAL_BAD_REQUEST,
    };

    return (size_t)error < N_ELEMENTS(map) && map[error] ? map[error] : REFUSAL_BAD_REQUEST;
}

/* The listener of the connection's server name and that of the Host must obey the same TLS rules,
 * else a client certificate or a version asked of one host could be dodged through another (RFC
 * 9110 15.5.20). */
static bool admit_is_misdirected(const struct exchange *x, const struct port_plan *port)
{
    const struct downstream *d = x->downstream;
    const struct listener_plan *of_name;

    if (!d->is_tls)
        return false;
    /* Certificates are asked for in handshakes only: one by another name, or before a reload that
     * brought the rule, has not met it. */
    if (x->listener->client_rule != 0 && x->listener->client_rule != d->client_rule)
        return true;
    /* Without a name the handshake took the listener that asks for none. */
    of_name = port_plan_find_listener(port, d->server_name);
    return of_name && of_name != x->listener && of_name->tls_identity != x->listener->tls_identity;
}

/* Names with '_' have come only where the connection reads them. */
static void admit_remove_late(struct exchange *x)
{
    bool has_underscores = x->downstream->reads_underscore;
    struct http_headers *h = &x->request.headers;
    uint16_t n_kept = 0;

    for (uint16_t i = 0; i < h->n; i++) {
        struct str name = h->items[i].name;

        if (has_underscores ? listener_plan_drops(x->listener, name)
                            : listener_plan_is_own(x->listener, name))
            continue;
        if (n_kept < i)
            h->items[n_kept] = h->items[i];
        n_kept++;
    }
    h->n = n_kept;
}

/* Naming a late header in Connection would remove what the gateway adds, in a careless backend. */
static bool admit_names_late(const struct exchange *x)
{
    struct str rest = x->request.connection;
    struct str part;

    while (str_split(&rest, ',', &part)) {
        struct str name = str_trim(part);

        if (name.len > 0 && listener_plan_is_own(x->listener, name))
            return true;
    }
    return false;
}

static bool admit_is_dropped(const void *listener, struct str name)
{
    return listener_plan_drops(listener, name);
}

/* A name that no client may bring is none that it may spell: a backend that takes capitals for a
 * part of the name would miss what the gateway writes. */
static void admit_keep_case(struct exchange *x)
{
    struct http_headers *h = &x->request.headers;

    x->request.wants_spelling = x->listener->client.keeps_case && !x->request.is_http2;
    if (!x->request.wants_spelling)
        h->spelling = NULL;
    if (h->spelling)
        h->spelling = h1_spelling_without(h->spelling, &x->arena, admit_is_dropped, x->listener);
}

/* To backends, and to the log. */
static void admit_tell_certificate(struct exchange *x)
{
    const struct client_plan *client = &x->listener->client;
    const struct tls_peer *peer = x->downstream->client_certificate;

    if (peer && x->listener->logs_peer)
        x->certificate = record_keep_peer(peer, &x->arena);
    if (peer && client->tells_certificate)
        http_headers_add_id(&x->request.headers, HEADER_X_FORWARDED_CLIENT_CERT,
                            client_cert_format(peer, client->certificate_details, &x->arena));
}

static bool admit_has_underscore(const struct exchange *x)
{
    const struct http_headers *h = &x->request.headers;

    for (uint16_t i = 0; i < h->n; i++) {
        if (str_find_char(h->items[i].name, '_', 0) >= 0)
            return true;
    }
    return false;
}

/* Facts of the connection that the log needs after the client may have left. */
static void admit_note_connection(struct exchange *x)
{
    const struct downstream *d = x->downstream;

    x->port = d->listen_port;
    x->peer = arena_str(&x->arena, str_of(d->peer_text));
    x->peer_ip = arena_str(&x->arena, d->peer_ip_text);
    x->local = arena_str(&x->arena, str_of(d->local_text));
    x->server_name = arena_str(&x->arena, d->server_name);
    x->tls_version = d->tls_version;
    x->tls_cipher = d->tls_cipher;
    x->connection_id = d->connection_id;
    x->client_ip = x->peer_ip;
    x->client.address = d->peer_ip;
}

static void admit_find_client(struct exchange *x)
{
    char room[46];

    x->client = client_address_find(&x->listener->client.address, &x->downstream->peer_ip,
                                    &x->request.headers);
    if (x->client.address.is_valid && !ip_address_eq(&x->client.address, &x->downstream->peer_ip))
        x->client_ip = arena_str(&x->arena, ip_address_format(&x->client.address, room));
}

/* False: what the caller of gRPC writes of its deadline is none. It is not ignored: a backend that
 * reads it another way would work for a caller who has gone, or refuse it. */
static bool admit_read_deadline(struct exchange *x)
{
    struct str value = http_headers_joined(&x->request.headers, STR("grpc-timeout"));

    if (!x->is_grpc || !value.ptr)
        return true;
    x->has_grpc_timeout = true;
    return grpc_timeout_parse(value, &x->grpc_timeout_us) == 0;
}

/* Who stands before the gateway asks by whatever host: by one of no listener the port's first has
 * the word. */
static bool admit_is_health_check(const struct exchange *x, const struct client_plan *client)
{
    return client->health_path.len > 0 && str_eq(x->request.path, client->health_path) &&
           !x->request.query.ptr &&
           (x->request.method == HTTP_METHOD_GET || x->request.method == HTTP_METHOD_HEAD);
}

static enum step_result admit_answer_health(struct exchange *x)
{
    if (atomic_load_explicit(&x->worker->server->is_leaving, memory_order_relaxed))
        return exchange_refuse(x, REFUSAL_DRAINING);
    return answer_text(x, 200, STR("text/plain"), STR("ok\n"));
}

/* HTTP/1.0 knows requests without a host. Over TLS the name of the handshake says whose default
 * holds, else the port's first listener. */
static void admit_default_host(struct exchange *x, const struct port_plan *port)
{
    const struct downstream *d = x->downstream;
    const struct listener_plan *l =
        d->is_tls ? port_plan_find_listener(port, d->server_name) : NULL;
    struct str host = l ? l->client.default_host : port->client.default_host;

    if (host.len > 0 && x->request.minor_version == 0)
        x->request.host = x->request.authority = arena_str(&x->arena, host);
}

/* Another listener of the port keeps `//`. False: merged, the path is none. */
static bool admit_merge_slashes(struct exchange *x, const struct port_plan *port)
{
    const struct client_plan *client = x->listener ? &x->listener->client
                                       : port      ? &port->client
                                                   : NULL;

    return (client && client->keeps_slashes) ||
           target_merge_slashes(&x->arena, &x->request) == H1_ERROR_NONE;
}

/* A redirect keeps the method, and what it names is asked for anew: rules see that path alone. */
static enum step_result admit_escaped_slash(struct exchange *x)
{
    static const struct redirect to_itself = {.status = 307};

    if (x->listener->client.escaped_slash == ESCAPED_SLASH_REFUSED)
        return exchange_refuse(x, REFUSAL_BAD_PATH);
    return answer_redirect(x, &to_itself);
}

/* Listeners and routes are found without it (http/grammar.h); here the backend is not told of it
 * either. */
static void admit_strip_host_dot(struct http_request *q, struct arena *a)
{
    struct str authority = q->authority;
    size_t n = q->host.len;

    if (authority.len > n && authority.ptr[n] == '.')
        q->authority =
            arena_join(a, str_slice(authority, 0, n), str_slice(authority, n + 1, authority.len));
}

static void admit_edit_early(struct exchange *x, const struct header_edits *edits)
{
    header_edits_apply(edits, &x->request.headers);
    x->is_grpc = grpc_request_is(&x->request); /* as its content type is now */
}

enum step_result step_admit(struct exchange *x)
{
    struct worker *w = x->worker;
    const struct port_plan *port;

    admit_note_connection(x);
    x->original_path = x->request.target;
    x->is_grpc = grpc_request_is(&x->request);
    if (x->refusal != REFUSAL_NONE)
        return STEP_LAST;
    if (x->head_error != H1_ERROR_NONE)
        return exchange_refuse(x, admit_head_refusal(x->head_error));
    if (w->exchanges.n_nodes > LIMIT_EXCHANGES)
        return exchange_refuse(x, REFUSAL_OVERLOADED);
    x->hold = worker_hold(w);
    port = worker_port_plan(w, x->downstream->listen_port);
    if (UNLIKELY(x->request.host.len == 0) && port)
        admit_default_host(x, port);
    const struct listener_plan *listener =
        port ? port_plan_find_listener(port, x->request.host) : NULL;

    x->listener = listener;
    if (UNLIKELY(x->request.has_empty_segment) && !admit_merge_slashes(x, port))
        return exchange_refuse(x, REFUSAL_BAD_PATH);
    if (port && admit_is_health_check(x, listener ? &listener->client : &port->client))
        return admit_answer_health(x);
    if (UNLIKELY(overload_level(&w->server->overload) >= OVERLOAD_SHEDDING))
        return exchange_refuse(x, REFUSAL_OVERLOADED);
    if (!listener)
        return exchange_refuse(x, REFUSAL_NO_LISTENER);
    if (listener->client.stream_us)
        exchange_bound_life(x, x->started_us + listener->client.stream_us);
    if (admit_is_misdirected(x, port))
        return exchange_refuse(x, REFUSAL_MISDIRECTED);
    if (x->request.has_escaped_slash && listener->client.escaped_slash != ESCAPED_SLASH_FORWARDED)
        return admit_escaped_slash(x);
    /* The connection reads them for another listener of its port, or since before a reload. */
    if (x->downstream->reads_underscore && !listener->client.allows_underscore &&
        admit_has_underscore(x))
        return exchange_refuse(x, REFUSAL_BAD_HEADER_NAME);
    if (listener->client.strips_host_dot)
        admit_strip_host_dot(&x->request, &x->arena);
    if (UNLIKELY(listener->client.ignores_websocket) && !x->request.is_tunnel)
        x->request.upgrade = STR("");
    if (admit_names_late(x))
        return exchange_refuse(x, REFUSAL_BAD_CONNECTION_HEADER);
    if (listener->client.early_edits)
        admit_edit_early(x, listener->client.early_edits);
    admit_find_client(x);
    if (x->client.is_missing)
        return exchange_refuse(x, REFUSAL_CLIENT_ADDRESS);
    if (!admit_read_deadline(x))
        return exchange_refuse(x, REFUSAL_BAD_GRPC_TIMEOUT);
    admit_remove_late(x);
    if (UNLIKELY(listener->client.keeps_case) || x->request.headers.spelling)
        admit_keep_case(x);
    admit_tell_certificate(x);
    if (UNLIKELY(listener->trace) && !x->rehearsal)
        trace_begin(x);
    return STEP_NEXT;
}
