/* x-forwarded-client-cert: what backends learn of a client's verified certificate, as Envoy writes
 * it ("x-forwarded-client-cert" in its documentation of HTTP headers). Pure. */
#pragma once

#include "manifest/client_traffic_policy.h"
#include "net/tls.h"

/* `details`: besides By and Hash, bits by enum client_cert. */
struct str client_cert_format(const struct tls_peer *peer, uint32_t details, struct arena *a);
