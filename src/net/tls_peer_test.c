/* Session tickets and certificates of clients, over real loopback sockets: what a ticket is worth,
 * and to whom. */
#include <openssl/tls1.h>
#include <time.h>

#include "base/limits.h"
#include "net/tls_internal.h"
#include "net/tls_testing.h"
#include "test/harness/test.h"

/* ---- tickets: their keys ---- */

static struct tls_server *server_with_tickets(const struct tls_entry_config *entry,
                                              struct tls_tickets *tickets)
{
    struct tls_server *server = server_of(entry, 1);

    tls_server_use_tickets(server, tickets);
    return server;
}

TEST(a_session_resumes_after_a_reload_that_changed_nothing_and_where_its_listener_is_the_same)
{
    struct scene s = scene_open();
    struct test_certificate other = test_certificate_new("a.test", "DNS:a.test", &s.ca);
    struct tls_tickets *tickets = tls_tickets_new(0);
    struct tls_entry_config entry = entry_of(&s.leaf, "");
    struct tls_server *before = server_with_tickets(&entry, tickets);
    struct tls_server *same = server_with_tickets(&entry, tickets);
    struct tls_entry_config changed[4] = {entry, entry, entry, entry};
    struct tls_server *servers[4];

    changed[0].identity = STR("another listener");
    changed[1].certificate_pem = other.certificate_pem;
    changed[1].key_pem = other.key_pem;
    changed[2].ciphers = STR("ECDHE-ECDSA-AES256-GCM-SHA384");
    changed[3].client_ca_pem = s.ca.certificate_pem;
    changed[3].is_client_optional = true;
    for (size_t i = 0; i < N_ELEMENTS(changed); i++)
        servers[i] = server_with_tickets(&changed[i], tickets);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        for (size_t i = 0; i < N_ELEMENTS(changed); i++) {
            struct tls_client *client = client_of(&(struct tls_client_config){
                .ca_pem = s.ca.certificate_pem, .max_version = version});

            CHECK(!connect_and_say_if_resumed(before, client, "a.test"));
            CHECK_MSG(connect_and_say_if_resumed(same, client, "a.test"), "version %x", version);
            CHECK_MSG(!connect_and_say_if_resumed(servers[i], client, "a.test"), "change %zu", i);
            tls_client_free(client);
        }
    }
    for (size_t i = 0; i < N_ELEMENTS(changed); i++)
        tls_server_unref(servers[i]);
    tls_server_unref(before);
    tls_server_unref(same);
    tls_tickets_unref(tickets);
    test_certificate_free(&other);
    scene_close(&s);
}

TEST(tickets_of_a_replaced_key_are_taken_until_it_is_forgotten)
{
    static const uint64_t KEY_US = UINT64_C(1000000) * LIMIT_TICKET_KEY_S;
    /* When the session is made, and when it is offered; in ages of a key, times ten. */
    static const struct {
        int made, offered;
        bool is_taken;
    } cases[] = {{0, 9, true},    {0, 10, true},  {9, 20, true},   {0, 29, true},  {0, 30, false},
                 {9, 100, false}, {10, 39, true}, {10, 40, false}, {0, 100, false}};
    struct scene s = scene_open();
    struct tls_entry_config entry = entry_of(&s.leaf, "");

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct tls_tickets *tickets = tls_tickets_new(0);
        struct tls_server *server = server_with_tickets(&entry, tickets);
        struct tls_client *client =
            client_of(&(struct tls_client_config){.ca_pem = s.ca.certificate_pem});

        for (int at = 1; at <= cases[i].made; at++)
            tls_tickets_rotate(tickets, KEY_US / 10 * (uint64_t)at);
        CHECK(!connect_and_say_if_resumed(server, client, "a.test"));
        for (int at = cases[i].made; at <= cases[i].offered; at++)
            tls_tickets_rotate(tickets, KEY_US / 10 * (uint64_t)at);
        CHECK_MSG(connect_and_say_if_resumed(server, client, "a.test") == cases[i].is_taken,
                  "case %zu", i);
        tls_client_free(client);
        tls_server_unref(server);
        tls_tickets_unref(tickets);
    }
    scene_close(&s);
}

TEST(a_key_that_slept_too_long_is_forgotten_at_once)
{
    struct scene s = scene_open();
    struct tls_entry_config entry = entry_of(&s.leaf, "");
    struct tls_tickets *tickets = tls_tickets_new(0);
    struct tls_server *server = server_with_tickets(&entry, tickets);

    CHECK(!connect_and_say_if_resumed(server, s.client, "a.test"));
    tls_tickets_rotate(tickets, UINT64_C(100000000) * LIMIT_TICKET_KEY_S);
    CHECK(!connect_and_say_if_resumed(server, s.client, "a.test"));
    tls_server_unref(server);
    tls_tickets_unref(tickets);
    scene_close(&s);
}

/* ---- certificates of clients ---- */

static struct tls_client *client_with(const struct scene *s, const struct test_certificate *own,
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

/* Does the server take it? A client of TLS 1.3 believes so before the server has judged. */
static bool is_let_in(struct tls_server *server, struct tls_client *client, const char *name)
{
    struct test_pair *p = connect_pair(server, client, name);
    bool is_in;

    if (p->client.is_up && !p->server.is_up)
        TEST_TURN_UNTIL(&p->loop, p->server.is_up || p->server.is_down);
    is_in = p->client.is_up && p->server.is_up;
    test_pair_free(p);
    return is_in;
}

TEST(clients_are_let_in_by_the_rule_on_their_certificates)
{
    struct scene s = scene_open();
    struct test_certificate theirs = test_certificate_new("theirs", NULL, NULL);
    struct test_certificate good = test_certificate_new("good", "DNS:good.test", &theirs);
    struct test_certificate strange = test_certificate_new("strange", "DNS:good.test", &s.ca);
    struct tls_entry_config entries[3] = {entry_of(&s.leaf, "a.test"), entry_of(&s.leaf, "b.test"),
                                          entry_of(&s.leaf, "*.w.test")};
    struct tls_server *server;
    static const char *const names[] = {"a.test", "x.w.test"};
    const struct {
        const struct test_certificate *own;
        bool is_in[2]; /* required, optional */
    } cases[] = {{NULL, {false, true}}, {&good, {true, true}}, {&strange, {false, false}}};

    entries[0].client_ca_pem = theirs.certificate_pem;
    entries[2].client_ca_pem = theirs.certificate_pem;
    entries[2].is_client_optional = true;
    server = server_of(entries, 3);
    CHECK(tls_client_rule(&entries[0]) != tls_client_rule(&entries[2]));
    CHECK(tls_client_rule(&entries[1]) == 0);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        for (size_t i = 0; i < 2 * N_ELEMENTS(cases); i++) {
            struct tls_client *client = client_with(&s, cases[i / 2].own, version);

            CHECK_MSG(is_let_in(server, client, names[i % 2]) == cases[i / 2].is_in[i % 2],
                      "version %x, case %zu at %s", version, i / 2, names[i % 2]);
            tls_client_free(client);
        }
    }
    tls_server_unref(server);
    test_certificate_free(&strange);
    test_certificate_free(&good);
    test_certificate_free(&theirs);
    scene_close(&s);
}

/* The session of a connection to `server`, to be offered elsewhere. */
static SSL_SESSION *session_of(struct tls_server *server, struct tls_client *client,
                               const char *name)
{
    struct test_pair *p = connect_pair(server, client, name);
    SSL_SESSION *session;

    CHECK(p->client.is_up && p->server.is_up);
    test_side_send(p, &p->server, "x", 1);
    TEST_TURN_UNTIL(&p->loop, p->client.n_in == 1);
    session = SSL_get1_session(p->client.stream.tls->ssl);
    test_pair_free(p);
    return session;
}

/* Is a client that offers the session let in, and was it resumed? */
static bool is_let_in_with(struct tls_server *server, struct tls_client *client, const char *name,
                           SSL_SESSION *session, bool *ret_is_resumed)
{
    struct test_pair *p = test_pair_new(server, client, name);
    bool is_in;

    CHECK(SSL_set_session(p->client.stream.tls->ssl, session) == 1);
    TEST_TURN_UNTIL(&p->loop, p->server.is_up || p->server.is_down);
    is_in = p->server.is_up;
    *ret_is_resumed = is_in && stream_tls_is_resumed(&p->server.stream);
    test_pair_free(p);
    return is_in;
}

/* A client of TLS 1.3 may offer a ticket once; many do no more. */
TEST(a_resumed_session_brings_a_ticket_for_the_next_one_where_it_must)
{
    struct scene s = scene_open();
    struct tls_tickets *tickets = tls_tickets_new(0);
    struct tls_entry_config entry = entry_of(&s.leaf, "");
    struct tls_server *server = server_with_tickets(&entry, tickets);

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_client *client = client_with(&s, NULL, version);
        SSL_SESSION *first = session_of(server, client, "a.test");
        SSL_SESSION *second = session_of(server, client, "a.test");
        const unsigned char *old, *new;
        size_t old_len, new_len;

        SSL_SESSION_get0_ticket(first, &old, &old_len);
        SSL_SESSION_get0_ticket(second, &new, &new_len);
        CHECK(old_len > 0 && new_len > 0);
        CHECK_MSG(str_eq(str_make(old, old_len), str_make(new, new_len)) ==
                      (version == TLS1_2_VERSION),
                  "version %x", version);
        SSL_SESSION_free(first);
        SSL_SESSION_free(second);
        tls_client_free(client);
    }
    tls_server_unref(server);
    tls_tickets_unref(tickets);
    scene_close(&s);
}

TEST(a_ticket_never_stands_in_for_a_certificate)
{
    struct scene s = scene_open();
    struct test_certificate ours = test_certificate_new("ours", NULL, NULL);
    struct test_certificate theirs = test_certificate_new("theirs", NULL, NULL);
    struct test_certificate good = test_certificate_new("good", "DNS:good.test", &theirs);
    struct tls_entry_config open = entry_of(&s.leaf, "");
    struct tls_entry_config asks_theirs = open;
    struct tls_entry_config asks_ours = open;
    struct tls_tickets *tickets = tls_tickets_new(0);
    struct tls_server *servers[3]; /* all of one identity: what differs is the rule */
    bool is_resumed;

    asks_theirs.client_ca_pem = theirs.certificate_pem;
    asks_ours.client_ca_pem = ours.certificate_pem;
    servers[0] = server_with_tickets(&open, tickets);
    servers[1] = server_with_tickets(&asks_theirs, tickets);
    servers[2] = server_with_tickets(&asks_ours, tickets);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_client *bare = client_with(&s, NULL, version);
        struct tls_client *client = client_with(&s, &good, version);
        SSL_SESSION *of_open = session_of(servers[0], bare, "a.test");
        SSL_SESSION *of_theirs = session_of(servers[1], client, "a.test");

        CHECK(is_let_in_with(servers[0], bare, "a.test", of_open, &is_resumed) && is_resumed);
        CHECK(is_let_in_with(servers[1], bare, "a.test", of_theirs, &is_resumed) && is_resumed);
        CHECK(!is_let_in_with(servers[1], bare, "a.test", of_open, &is_resumed));
        CHECK(!is_let_in_with(servers[2], client, "a.test", of_theirs, &is_resumed));
        CHECK(!is_let_in_with(servers[2], bare, "a.test", of_open, &is_resumed));
        SSL_SESSION_free(of_open);
        SSL_SESSION_free(of_theirs);
        tls_client_free(bare);
        tls_client_free(client);
    }
    for (size_t i = 0; i < N_ELEMENTS(servers); i++)
        tls_server_unref(servers[i]);
    tls_tickets_unref(tickets);
    test_certificate_free(&good);
    test_certificate_free(&theirs);
    test_certificate_free(&ours);
    scene_close(&s);
}

TEST(a_remembered_certificate_is_judged_again)
{
    enum { DAYS_2 = 172800 };
    struct scene s = scene_open();
    struct test_certificate middle = test_certificate_new("middle", NULL, &s.ca);
    struct test_certificate near = test_certificate_new("near", "DNS:near.test", &s.ca);
    struct test_certificate far = test_certificate_new("far", "DNS:far.test", &middle);
    struct tls_entry_config entry = entry_of(&s.leaf, "");
    struct tls_server *server;
    struct buf chain = {0};

    entry.client_ca_pem = s.ca.certificate_pem;
    server = server_of(&entry, 1);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_client *of_near = client_with(&s, &near, version);
        struct tls_client *of_far;
        struct test_certificate with_chain = far;

        buf_clear(&chain);
        buf_append_str(&chain, far.certificate_pem);
        buf_append_str(&chain, middle.certificate_pem);
        with_chain.certificate_pem = buf_str(&chain);
        of_far = client_with(&s, &with_chain, version);
        CHECK(!connect_and_say_if_resumed(server, of_near, "a.test"));
        CHECK(connect_and_say_if_resumed(server, of_near, "a.test"));
        /* Its chain does not stand in the ticket, so it shows it again. */
        CHECK(!connect_and_say_if_resumed(server, of_far, "a.test"));
        CHECK(!connect_and_say_if_resumed(server, of_far, "a.test"));
        X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(server->entries[0].authorities),
                                   time(NULL) + DAYS_2);
        CHECK_MSG(!is_let_in(server, of_near, "a.test"), "expired since, version %x", version);
        X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(server->entries[0].authorities),
                                   time(NULL));
        tls_client_free(of_near);
        tls_client_free(of_far);
    }
    tls_server_unref(server);
    buf_deinit(&chain);
    test_certificate_free(&far);
    test_certificate_free(&near);
    test_certificate_free(&middle);
    scene_close(&s);
}

TEST(a_chain_that_is_too_long_is_not_read)
{
    static const struct {
        int n;
        bool is_in;
    } cases[] = {{2, true}, {150, false}}; /* some 400 bytes each */
    struct scene s = scene_open();
    struct test_certificate own = test_certificate_new("own", "DNS:own.test", &s.ca);
    struct tls_entry_config entry = entry_of(&s.leaf, "");
    struct tls_server *server;

    entry.client_ca_pem = s.ca.certificate_pem;
    server = server_of(&entry, 1);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct test_certificate with_chain = own;
        struct tls_client *client;
        struct buf chain = {0};

        buf_append_str(&chain, own.certificate_pem);
        for (int k = 0; k < cases[i].n; k++)
            buf_append_str(&chain, s.ca.certificate_pem);
        with_chain.certificate_pem = buf_str(&chain);
        client = client_with(&s, &with_chain, 0);
        CHECK_MSG(is_let_in(server, client, "a.test") == cases[i].is_in, "case %zu", i);
        tls_client_free(client);
        buf_deinit(&chain);
    }
    tls_server_unref(server);
    test_certificate_free(&own);
    scene_close(&s);
}

TEST(what_a_certificate_says_is_told_without_harm)
{
    struct scene s = scene_open();
    struct test_certificate own = test_certificate_new(
        "a\"b;c\r\nX: y\xc3\xa9", "URI:spiffe://a.test/web,DNS:a.test,email:x@a.test", &s.ca);
    struct tls_entry_config entry = entry_of(&s.leaf, "");
    struct tls_client *client = client_with(&s, &own, 0);
    struct test_pair *p;
    const struct tls_peer *peer;

    entry.client_ca_pem = s.ca.certificate_pem;
    struct tls_server *server = server_of(&entry, 1);

    p = connect_pair(server, client, "a.test");
    CHECK(p->server.is_up);
    peer = stream_tls_peer(&p->server.stream);
    CHECK(peer != NULL);
    CHECK_STR(peer->subject, "CN=a\\\"b\\;c\\0D\\0AX: y\\C3\\A9");
    CHECK_INT(peer->hash.len, 64);
    CHECK_INT(peer->n_uris, 1);
    CHECK_STR(peer->uris[0], "spiffe://a.test/web");
    CHECK_INT(peer->n_dns_names, 1);
    CHECK_STR(peer->dns_names[0], "a.test");
    CHECK(str_starts_with(peer->certificate, STR("-----BEGIN%20CERTIFICATE-----%0A")));
    CHECK(str_find_char(peer->certificate, '\n', 0) < 0);
    CHECK(stream_tls_client_rule(&p->server.stream) == tls_client_rule(&entry));
    CHECK(stream_tls_peer(&p->client.stream) == NULL);
    test_pair_free(p);
    tls_server_unref(server);
    tls_client_free(client);
    test_certificate_free(&own);
    scene_close(&s);
}

/* What is told of a client that is let in: its hash, empty for nothing. */
static bool is_told(struct tls_server *server, struct tls_client *client, const char *name,
                    bool *ret_is_in)
{
    struct test_pair *p = connect_pair(server, client, name);
    bool is_told;

    if (p->client.is_up && !p->server.is_up)
        TEST_TURN_UNTIL(&p->loop, p->server.is_up || p->server.is_down);
    *ret_is_in = p->server.is_up;
    is_told = *ret_is_in && stream_tls_peer(&p->server.stream);
    test_pair_free(p);
    return is_told;
}

TEST(a_certificate_that_nobody_verified_lets_in_where_it_may_and_says_nothing)
{
    struct scene s = scene_open();
    struct test_certificate theirs = test_certificate_new("theirs", NULL, NULL);
    struct test_certificate good = test_certificate_new("good", "DNS:good.test", &theirs);
    struct test_certificate other = test_certificate_new("other", "DNS:other.test", &theirs);
    struct test_certificate strange = test_certificate_new("strange", "DNS:good.test", &s.ca);
    struct test_certificate self = test_certificate_new("self", NULL, NULL);
    const struct tls_name name = {.value = STR("good.test")};
    struct tls_entry_config entries[4] = {
        entry_of(&s.leaf, "a.test"), entry_of(&s.leaf, "z.w.test"), entry_of(&s.leaf, "x.w.test"),
        entry_of(&s.leaf, "y.w.test")};
    static const char *const names[] = {"a.test", "z.w.test", "x.w.test", "y.w.test"};
    struct tls_tickets *tickets = tls_tickets_new(0);
    struct tls_server *server;
    const struct {
        const struct test_certificate *own;
        bool is_in[4];
        bool is_told[4];
    } cases[] = {
        {NULL, {true, false, true, true}, {false}},
        {&good, {true, true, true, true}, {true, true, false, true}},
        {&other, {true, true, true, true}, {false, false, false, true}},
        {&strange, {true, true, true, false}, {false}},
        {&self, {true, true, true, false}, {false}},
    };

    /* Asked for; required; asked for, with no authority at all; verified, to compare. */
    for (size_t i = 0; i < N_ELEMENTS(entries); i++) {
        entries[i].accepts_unverified = i < 3;
        entries[i].is_client_optional = i != 1;
        entries[i].client_ca_pem = i == 2 ? STR("") : theirs.certificate_pem;
        entries[i].client_names = &name;
        entries[i].n_client_names = i < 2;
        CHECK(tls_client_rule(&entries[i]) != 0);
        CHECK(i == 0 || tls_client_rule(&entries[i]) != tls_client_rule(&entries[i - 1]));
    }
    server = server_of(entries, N_ELEMENTS(entries));
    tls_server_use_tickets(server, tickets);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
            for (size_t k = 0; k < N_ELEMENTS(entries); k++) {
                struct tls_client *client = client_with(&s, cases[i].own, version);

                /* Once more with what is remembered, if anything is. */
                for (int turn = 0; turn < 2; turn++) {
                    bool is_in;
                    bool tells = is_told(server, client, names[k], &is_in);

                    CHECK_MSG(is_in == cases[i].is_in[k] && tells == cases[i].is_told[k],
                              "version %x, case %zu at %s, turn %d", version, i, names[k], turn);
                }
                tls_client_free(client);
            }
        }
    }
    tls_server_unref(server);
    tls_tickets_unref(tickets);
    test_certificate_free(&self);
    test_certificate_free(&strange);
    test_certificate_free(&other);
    test_certificate_free(&good);
    test_certificate_free(&theirs);
    scene_close(&s);
}

TEST(a_chain_is_told_without_its_root_and_without_what_led_nowhere)
{
    struct scene s = scene_open();
    struct test_certificate middle = test_certificate_new("middle", NULL, &s.ca);
    struct test_certificate far = test_certificate_new("far", "DNS:far.test", &middle);
    struct test_certificate junk = test_certificate_new("junk", "DNS:junk.test", NULL);
    struct tls_entry_config entry = entry_of(&s.leaf, "");
    const struct test_certificate *shown[] = {&far, &junk, &middle, &s.ca};
    struct test_certificate with_chain = far;
    struct buf chain = {0};

    for (size_t i = 0; i < N_ELEMENTS(shown); i++)
        buf_append_str(&chain, shown[i]->certificate_pem);
    with_chain.certificate_pem = buf_str(&chain);
    entry.client_ca_pem = s.ca.certificate_pem;
    for (int tells = 0; tells < 2; tells++) {
        struct tls_client *client = client_with(&s, &with_chain, 0);
        struct tls_server *server;
        struct test_pair *p;
        const struct tls_peer *peer;

        entry.tells_chain = tells;
        server = server_of(&entry, 1);
        p = connect_pair(server, client, "a.test");
        CHECK(p->server.is_up);
        peer = stream_tls_peer(&p->server.stream);
        CHECK(peer != NULL);
        if (tells) {
            struct arena a;
            struct tls_peer *of_middle = tls_peer_read(middle.x509, NULL);

            arena_init(&a, 4096);
            CHECK(str_eq(peer->chain, arena_join(&a, peer->certificate, of_middle->certificate)));
            tls_peer_free(of_middle);
            arena_deinit(&a);
        } else {
            CHECK_INT(peer->chain.len, 0);
        }
        test_pair_free(p);
        tls_server_unref(server);
        tls_client_free(client);
    }
    buf_deinit(&chain);
    test_certificate_free(&junk);
    test_certificate_free(&far);
    test_certificate_free(&middle);
    scene_close(&s);
}

/* ---- names ---- */

static int n_patterns;

static bool pattern_is_long(const struct tls_pattern *p UNUSED, struct str name)
{
    return name.len > 9;
}

static void pattern_gone(struct tls_pattern *p UNUSED)
{
    n_patterns--;
}

TEST(names_are_compared_by_kind_and_patterns_are_kept_by_whoever_holds_a_copy)
{
    static const char utf8[] = "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:user@a.test";
    static const char octets[] = "otherName:1.3.6.1.4.1.311.20.2.3;OCT:user@a.test";
    struct tls_pattern pattern = {.matches = pattern_is_long, .free = pattern_gone};
    const struct {
        const char *alt_names;
        struct tls_name name;
        bool passes;
    } cases[] = {
        {utf8,
         {TLS_NAME_OTHER, TLS_NAME_EXACT, STR("user@a.test"), STR("1.3.6.1.4.1.311.20.2.3"), NULL},
         true},
        {utf8,
         {TLS_NAME_OTHER, TLS_NAME_SUFFIX, STR("@a.test"), STR("1.3.6.1.4.1.311.20.2.3"), NULL},
         true},
        {utf8,
         {TLS_NAME_OTHER, TLS_NAME_EXACT, STR("user@a.test"), STR("1.3.6.1.4.1.311.20.2.4"), NULL},
         false},
        {utf8,
         {TLS_NAME_OTHER, TLS_NAME_EXACT, STR("User@a.test"), STR("1.3.6.1.4.1.311.20.2.3"), NULL},
         false},
        {utf8, {TLS_NAME_EMAIL, TLS_NAME_EXACT, STR("user@a.test"), STR(""), NULL}, false},
        {octets,
         {TLS_NAME_OTHER, TLS_NAME_EXACT, STR("user@a.test"), STR("1.3.6.1.4.1.311.20.2.3"), NULL},
         false},
        {"email:user@a.test",
         {TLS_NAME_OTHER, TLS_NAME_EXACT, STR("user@a.test"), STR("1.3.6.1.4.1.311.20.2.3"), NULL},
         false},
        {utf8,
         {TLS_NAME_OTHER, TLS_NAME_PATTERN, STR("x"), STR("1.3.6.1.4.1.311.20.2.3"), &pattern},
         true},
        {"DNS:long.a.test", {TLS_NAME_DNS, TLS_NAME_PATTERN, STR("x"), STR(""), &pattern}, true},
        {"DNS:a.test", {TLS_NAME_DNS, TLS_NAME_PATTERN, STR("x"), STR(""), &pattern}, false},
        {"URI:x://long.test", {TLS_NAME_DNS, TLS_NAME_PATTERN, STR("x"), STR(""), &pattern}, false},
    };

    atomic_init(&pattern.n_refs, 1);
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct test_certificate own = test_certificate_new("own", cases[i].alt_names, NULL);
        struct tls_name *copy = tls_names_copy(&cases[i].name, 1);

        CHECK_MSG(tls_names_pass(copy, 1, own.x509) == cases[i].passes, "case %zu", i);
        tls_names_free(copy, 1);
        test_certificate_free(&own);
    }
    n_patterns = 1;
    struct tls_name *copy = tls_names_copy(&cases[7].name, 1);

    tls_pattern_unref(&pattern);
    CHECK_INT(n_patterns, 1);
    tls_names_free(copy, 1);
    CHECK_INT(n_patterns, 0);
}

TEST(object_identifiers_have_one_spelling)
{
    static const struct {
        const char *text;
        bool is_valid;
    } cases[] = {{"1.3.6.1.4.1.311.20.2.3", true},
                 {"2.5.4.3", true},
                 {"2.5.4.03", false},
                 {"commonName", false},
                 {"", false},
                 {"1", false},
                 {"3.1", false},
                 {"1.2.", false},
                 {" 1.2", false},
                 {"1 2", false}};

    for (size_t i = 0; i < N_ELEMENTS(cases); i++)
        CHECK_MSG(tls_oid_is_valid(str_of(cases[i].text)) == cases[i].is_valid, "\"%s\"",
                  cases[i].text);
}

TEST(authorities_of_clients_that_are_none_are_refused)
{
    struct scene s = scene_open();
    struct tls_entry_config entry = entry_of(&s.leaf, "");
    struct tls_server *server = NULL;
    struct buf why = {0};

    entry.client_ca_pem = STR("hello");
    CHECK_INT(tls_server_new(&entry, 1, &server, &why), TLS_BAD_CA);
    CHECK(why.len > 0);
    buf_deinit(&why);
    scene_close(&s);
}

/* ---- pins ---- */

TEST(pins_are_digests_and_nothing_else)
{
    static const char hex[] = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
    static const char colons[] = "00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:"
                                 "10:11:12:13:14:15:16:17:18:19:1a:1b:1c:1d:1e:1f";
    static const char base64[] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    static const struct {
        const char *text;
        bool is_key;
        bool is_good;
    } cases[] = {
        {hex, false, true},
        {colons, false, true},
        {base64, true, true},
        {hex, true, false},
        {base64, false, false},
        {"", true, false},
        {"", false, false},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1", false, false},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1g", false, false},
        {"00-01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:"
         "10:11:12:13:14:15:16:17:18:19:1a:1b:1c:1d:1e:1f",
         false, false},
        {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh==", true, false},
        {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8_", true, false},
        {"!AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", true, false},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct tls_pin pin;
        bool is_good = tls_pin_parse(str_of(cases[i].text), cases[i].is_key, &pin);

        CHECK_MSG(is_good == cases[i].is_good, "\"%s\"", cases[i].text);
        for (unsigned k = 0; is_good && k < TLS_PIN_BYTES; k++)
            CHECK_INT(pin.digest[k], k);
    }
}
