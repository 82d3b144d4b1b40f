/* TLS configurations and connections for tests: what most of them need. Test programs only. */
#pragma once

#include "net/certificate_testing.h"
#include "net/stream_testing.h"
#include "net/tls.h"

/* What most tests need: an authority, a certificate for a.test, both configurations. */
struct scene {
    struct test_certificate ca;
    struct test_certificate leaf;
    struct tls_server *server;
    struct tls_client *client;
};

struct scene scene_open(void);
void scene_close(struct scene *s);
/* An entry that presents the certificate. */
struct tls_entry_config entry_of(const struct test_certificate *c, const char *hostname);
/* Those that must succeed. */
struct tls_server *server_of(const struct tls_entry_config *entries, size_t n);
struct tls_client *client_of(const struct tls_client_config *config);
/* Connects until both sides are up or one is down. */
struct test_pair *connect_pair(struct tls_server *server, struct tls_client *client,
                               const char *name);
/* Connects, exchanges a word (so that tickets have arrived), tells whether it was resumed. */
bool connect_and_say_if_resumed(struct tls_server *server, struct tls_client *client,
                                const char *name);
