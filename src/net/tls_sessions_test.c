/* Sessions by id, over real loopback sockets: who resumes, where, for how long, and how many are
 * kept. Clients speak TLS 1.2 and take no ticket unless said. */
#include "net/tls_sessions.h"

#include <openssl/tls1.h>

#include "base/limits.h"
#include "net/tls_internal.h"
#include "net/tls_testing.h"
#include "test/harness/test.h"

static struct tls_server *server_with(const struct tls_entry_config *entry,
                                      struct tls_tickets *tickets)
{
    struct tls_server *server = server_of(entry, 1);

    tls_server_use_tickets(server, tickets);
    return server;
}

struct visit {
    bool is_in;
    bool is_resumed;
    bool is_told; /* of a certificate */
};

/* One connection that offers `*session` (NULL: none), and leaves there what it got for it. */
static struct visit visit_as(struct tls_server *server, struct tls_client *client,
                             SSL_SESSION **session)
{
    struct test_pair *p = test_pair_new(server, client, "a.test");
    SSL *ssl = p->client.stream.tls->ssl;
    struct visit v = {0};

    SSL_set_options(ssl, SSL_OP_NO_TICKET);
    CHECK(SSL_set_session(ssl, *session) == 1);
    TEST_TURN_UNTIL(&p->loop, (p->server.is_up && p->client.is_up) || p->server.is_down);
    v.is_in = p->server.is_up;
    if (v.is_in) {
        v.is_resumed = stream_tls_is_resumed(&p->server.stream);
        v.is_told = stream_tls_peer(&p->server.stream) != NULL;
        SSL_SESSION_free(*session);
        *session = SSL_get1_session(ssl);
    }
    test_pair_free(p);
    return v;
}

static struct tls_client *client_as(const struct scene *s, const struct test_certificate *own,
                                    int version)
{
    struct tls_client_config config = {
        .ca_pem = s->ca.certificate_pem, .min_version = version, .max_version = version};

    if (own) {
        config.certificate_pem = own->certificate_pem;
        config.key_pem = own->key_pem;
    }
    return client_of(&config);
}

TEST(a_client_without_tickets_resumes_where_its_listener_remembers_and_nowhere_else)
{
    struct scene s = scene_open();
    struct tls_tickets *tickets = tls_tickets_new(0);
    struct tls_entry_config plain = entry_of(&s.leaf, "");
    struct tls_entry_config remembers = plain;
    struct tls_entry_config elsewhere = plain;
    struct tls_client *client = client_as(&s, NULL, TLS1_2_VERSION);
    SSL_SESSION *session = NULL;
    SSL_SESSION *none = NULL;

    remembers.remembers_sessions = elsewhere.remembers_sessions = true;
    elsewhere.identity = STR("another listener");
    struct tls_server *forgets = server_with(&plain, tickets);
    struct tls_server *server = server_with(&remembers, tickets);
    struct tls_server *after_reload = server_with(&remembers, tickets);
    struct tls_server *other = server_with(&elsewhere, tickets);

    CHECK(visit_as(forgets, client, &none).is_in);
    CHECK(!visit_as(forgets, client, &none).is_resumed);
    CHECK_INT(tls_sessions_count(tls_tickets_sessions(tickets)), 0);
    CHECK(!visit_as(server, client, &session).is_resumed);
    CHECK(visit_as(server, client, &session).is_resumed);
    CHECK(visit_as(after_reload, client, &session).is_resumed);
    CHECK_INT(tls_sessions_count(tls_tickets_sessions(tickets)), 1);
    CHECK(!visit_as(other, client, &session).is_resumed);
    CHECK(visit_as(other, client, &session).is_resumed);
    CHECK(!visit_as(forgets, client, &session).is_resumed);
    CHECK(!visit_as(server, client, &session).is_resumed);
    CHECK(visit_as(server, client, &session).is_resumed);
    SSL_CTX_remove_session(server->entries[0].ctx, session); /* as after a fatal alert */
    CHECK(!visit_as(server, client, &session).is_resumed);
    SSL_SESSION_free(session);
    SSL_SESSION_free(none);
    tls_server_unref(other);
    tls_server_unref(after_reload);
    tls_server_unref(server);
    tls_server_unref(forgets);
    tls_client_free(client);
    tls_tickets_unref(tickets);
    scene_close(&s);
}

TEST(a_ticket_is_all_there_is_for_those_who_take_one)
{
    struct scene s = scene_open();
    struct tls_tickets *tickets = tls_tickets_new(0);
    struct tls_entry_config entry = entry_of(&s.leaf, "");

    entry.remembers_sessions = true;
    struct tls_server *server = server_with(&entry, tickets);

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_client *client = client_as(&s, NULL, version);

        CHECK(!connect_and_say_if_resumed(server, client, "a.test"));
        CHECK(connect_and_say_if_resumed(server, client, "a.test"));
        tls_client_free(client);
    }
    CHECK_INT(tls_sessions_count(tls_tickets_sessions(tickets)), 0);
    tls_server_unref(server);
    tls_tickets_unref(tickets);
    scene_close(&s);
}

TEST(a_remembered_session_is_no_certificate)
{
    struct scene s = scene_open();
    struct test_certificate theirs = test_certificate_new("theirs", NULL, NULL);
    struct test_certificate good = test_certificate_new("good", "DNS:good.test", &theirs);
    struct tls_tickets *tickets = tls_tickets_new(0);
    struct tls_entry_config open = entry_of(&s.leaf, "");
    struct tls_client *bare = client_as(&s, NULL, TLS1_2_VERSION);
    struct tls_client *known = client_as(&s, &good, TLS1_2_VERSION);
    SSL_SESSION *of_open = NULL;
    SSL_SESSION *of_known = NULL;
    struct visit v;

    open.remembers_sessions = true;
    struct tls_entry_config asks = open; /* of the same identity: what differs is the rule */

    asks.client_ca_pem = theirs.certificate_pem;
    struct tls_server *lets_in = server_with(&open, tickets);
    struct tls_server *server = server_with(&asks, tickets);

    CHECK(visit_as(lets_in, bare, &of_open).is_in);
    CHECK(visit_as(lets_in, bare, &of_open).is_resumed);
    CHECK(!visit_as(server, bare, &of_open).is_in);
    v = visit_as(server, known, &of_known);
    CHECK(v.is_in && !v.is_resumed && v.is_told);
    v = visit_as(server, known, &of_known);
    CHECK(v.is_in && v.is_resumed && v.is_told);
    /* Time goes on: what has expired, or is none of the names now, is not let in by memory. */
    X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(server->entries[0].authorities),
                               time(NULL) + 172800);
    CHECK(!visit_as(server, known, &of_known).is_in);
    SSL_SESSION_free(of_known);
    SSL_SESSION_free(of_open);
    tls_server_unref(server);
    tls_server_unref(lets_in);
    tls_client_free(known);
    tls_client_free(bare);
    tls_tickets_unref(tickets);
    test_certificate_free(&good);
    test_certificate_free(&theirs);
    scene_close(&s);
}

TEST(sessions_are_forgotten_with_the_keys_of_their_time)
{
    static const uint64_t KEY_US = UINT64_C(1000000) * LIMIT_TICKET_KEY_S;
    struct scene s = scene_open();
    struct tls_tickets *tickets = tls_tickets_new(0);
    struct tls_entry_config entry = entry_of(&s.leaf, "");
    struct tls_client *client = client_as(&s, NULL, TLS1_2_VERSION);
    SSL_SESSION *session = NULL;

    entry.remembers_sessions = true;
    struct tls_server *server = server_with(&entry, tickets);

    CHECK(visit_as(server, client, &session).is_in);
    tls_tickets_rotate(tickets, KEY_US);
    CHECK(visit_as(server, client, &session).is_resumed);
    tls_tickets_rotate(tickets, 2 * KEY_US);
    CHECK_INT(tls_sessions_count(tls_tickets_sessions(tickets)), 0);
    CHECK(!visit_as(server, client, &session).is_resumed);
    SSL_SESSION_free(session);
    tls_server_unref(server);
    tls_client_free(client);
    tls_tickets_unref(tickets);
    scene_close(&s);
}

/* Sessions are made without handshakes: only their number counts here. */
TEST(the_least_recently_used_session_goes_first)
{
    struct scene s = scene_open();
    struct tls_tickets *tickets = tls_tickets_new(0);
    struct tls_sessions *sessions = tls_tickets_sessions(tickets);
    struct tls_entry_config entry = entry_of(&s.leaf, "");
    struct tls_client *client = client_as(&s, NULL, TLS1_2_VERSION);
    SSL_SESSION *first = NULL;
    SSL_SESSION *second = NULL;
    struct tls_client *other = client_as(&s, NULL, TLS1_2_VERSION);
    struct test_pair *p;
    int (*keep)(SSL *, SSL_SESSION *);

    entry.remembers_sessions = true;
    struct tls_server *server = server_with(&entry, tickets);

    CHECK(visit_as(server, client, &first).is_in);
    CHECK(visit_as(server, client, &second).is_in);
    CHECK(visit_as(server, client, &first).is_resumed); /* so the second goes before it */
    p = connect_pair(server, other, "a.test");
    keep = SSL_CTX_sess_get_new_cb(server->entries[0].ctx);
    for (unsigned i = 0; i < LIMIT_TLS_SESSIONS - 1; i++) {
        SSL_SESSION *made = SSL_SESSION_dup(first);
        unsigned char id[4] = {1, (unsigned char)i, (unsigned char)(i >> 8), 0};

        CHECK(SSL_SESSION_set1_id(made, id, sizeof id) == 1);
        CHECK_INT(keep(p->server.stream.tls->ssl, made), 0);
        SSL_SESSION_free(made);
    }
    CHECK_INT(tls_sessions_count(sessions), LIMIT_TLS_SESSIONS);
    test_pair_free(p);
    CHECK(visit_as(server, client, &first).is_resumed);
    CHECK(!visit_as(server, client, &second).is_resumed);
    tls_client_free(other);
    SSL_SESSION_free(second);
    SSL_SESSION_free(first);
    tls_server_unref(server);
    tls_client_free(client);
    tls_tickets_unref(tickets);
    scene_close(&s);
}
