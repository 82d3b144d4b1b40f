/* compile: TLS of upstreams and listeners. */
#pragma once

#include "gateway/compile/gather.h"
#include "manifest/backend.h"
#include "manifest/core.h"
#include "net/tls.h"

/* How a cluster speaks TLS; `client` NULL: plain. */
struct compile_tls_draft {
    struct tls_client *client;
    struct str server_name; /* SNI where it differs from the host */
    struct str key;         /* what tells this TLS apart, for the cluster's identity */
    bool names_protocols;   /* by ALPN: these, else both */
    bool has_http1;
    bool has_http2;
};

/* False: TLS is asked for and cannot be had as written (the share refuses). */
/* `s` NULL: the Service stands in no file; a policy may name it all the same. */
MUST_USE bool compile_tls_of_service(struct compile *c, const struct service *s,
                                     struct str namespace, struct str name, uint16_t port,
                                     struct compile_tls_draft *ret);
MUST_USE bool compile_tls_of_backend(struct compile *c, const struct backend *b,
                                     const struct backend_endpoint *e,
                                     struct compile_tls_draft *ret);
/* For https URIs: the system's authorities. */
MUST_USE bool compile_tls_of_uri(struct compile *c, struct str host, struct compile_tls_draft *ret);
void compile_tls_draft_deinit(struct compile_tls_draft *d);
/* Can a listener's TLS be set up as written? If not, says so in the diagnostics. */
MUST_USE bool compile_listener_tls(struct compile *c, const struct listener_member *m);
/* The server of a port whose listeners have passed compile_listener_tls. False after
 * saying why. */
MUST_USE bool compile_port_tls(struct compile *c, struct port_draft *draft);
/* Into the snapshot: until when each Secret's certificates are valid. */
void compile_certificates(struct compile *c);
