/* The client's side of one exchange, whatever protocol it came by: a handle with a few calls.
 * HTTP/1 has one at a time per connection, HTTP/2 many. The exchange sets its pointer to
 * NULL when the client leaves. Worker-local. */
#pragma once

#include "http/message.h"
#include "policy/cidr.h"

struct downstream;
struct exchange;
struct port;
struct tls_peer; /* net/tls.h */

struct downstream_ops {
    void (*send_continue)(struct downstream *d);
    /* Once, final heads and 101. Framing as the response's body field says. */
    void (*send_head)(struct downstream *d, const struct http_response *response);
    /* The span is borrowed until flush, which must come in the same callback. */
    void (*send_data)(struct downstream *d, struct str span);
    void (*send_end)(struct downstream *d, const struct http_headers *trailers);
    void (*flush)(struct downstream *d);
    /* The answer cannot be completed: the client must notice (reset, no clean end). */
    void (*abort)(struct downstream *d);
    /* True: pause the source; exchange_on_drained comes when there is room. */
    bool (*is_full)(struct downstream *d);
    /* Whether request content may be delivered (exchange_on_body). Starts false. */
    void (*want_body)(struct downstream *d, bool is_wanted);
    /* After 101: bytes of both directions are passed on as they are. */
    void (*set_raw)(struct downstream *d);
    /* The exchange is over and forgets the handle. */
    void (*release)(struct downstream *d);
};

struct downstream {
    const struct downstream_ops *ops;
    struct exchange *exchange; /* NULL between requests */
    struct ip_address peer_ip;
    struct str peer_ip_text;
    const char *peer_text;  /* "192.0.2.1:1234" */
    const char *local_text; /* "192.0.2.9:443" */
    const struct port *listen_port;
    uint16_t port;                             /* its number as the Gateway states it */
    struct str server_name;                    /* SNI, empty when plain or none */
    const struct tls_peer *client_certificate; /* verified; NULL: none */
    uint64_t client_rule; /* on certificates, that its handshake obeyed; 0: none */
    bool is_tls;
    const char *tls_version; /* static; NULL: clear text */
    const char *tls_cipher;
    uint64_t connection_id;  /* unlike that of any other connection of the process */
    bool reads_underscore;   /* header names with '_': as its port's policy was at accept */
    uint64_t bytes_sent;     /* of the current exchange's answer: content, and the head of a 101 */
    uint64_t bytes_received; /* of the current exchange's content */
};
