/* See tls_testing.h. Compiled into test programs, never into the library. */
#include "net/tls_testing.h"

struct tls_entry_config entry_of(const struct test_certificate *c, const char *hostname)
{
    return (struct tls_entry_config){.hostname = str_of(hostname),
                                     .certificate_pem = c->certificate_pem,
                                     .key_pem = c->key_pem,
                                     .identity = str_of(hostname)};
}

struct tls_server *server_of(const struct tls_entry_config *entries, size_t n)
{
    struct tls_server *server = NULL;
    struct buf why = {0};

    MUST(tls_server_new(entries, n, &server, &why) == 0);
    buf_deinit(&why);
    return server;
}

struct tls_client *client_of(const struct tls_client_config *config)
{
    struct tls_client *client = NULL;
    struct buf why = {0};

    MUST(tls_client_new(config, &client, &why) == 0);
    buf_deinit(&why);
    return client;
}

struct scene scene_open(void)
{
    struct scene s = {.ca = test_certificate_new("authority", NULL, NULL)};
    struct tls_entry_config entry;

    s.leaf = test_certificate_new("a.test", "DNS:a.test,DNS:*.w.test,IP:127.0.0.1", &s.ca);
    entry = entry_of(&s.leaf, "");
    s.server = server_of(&entry, 1);
    s.client = client_of(&(struct tls_client_config){.ca_pem = s.ca.certificate_pem});
    return s;
}

void scene_close(struct scene *s)
{
    tls_server_unref(s->server);
    tls_client_free(s->client);
    test_certificate_free(&s->leaf);
    test_certificate_free(&s->ca);
}

struct test_pair *connect_pair(struct tls_server *server, struct tls_client *client,
                               const char *name)
{
    struct test_pair *p = test_pair_new(server, client, name);

    TEST_TURN_UNTIL(&p->loop,
                    (p->client.is_up && p->server.is_up) || p->client.is_down || p->server.is_down);
    return p;
}

bool connect_and_say_if_resumed(struct tls_server *server, struct tls_client *client,
                                const char *name)
{
    struct test_pair *p = connect_pair(server, client, name);
    bool is_resumed;

    MUST(p->client.is_up && p->server.is_up);
    test_side_send(p, &p->server, "x", 1);
    TEST_TURN_UNTIL(&p->loop, p->client.n_in == 1);
    is_resumed = stream_tls_is_resumed(&p->server.stream);
    MUST(is_resumed == stream_tls_is_resumed(&p->client.stream));
    test_pair_free(p);
    return is_resumed;
}
