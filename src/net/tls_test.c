/* TLS on both sides over real loopback sockets, with certificates made on the spot. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/tls1.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "net/signals.h"
#include "net/tls_internal.h"
#include "net/tls_testing.h"
#include "test/harness/memory.h"
#include "test/harness/test.h"

/* What a client of both protocols offers by ALPN. */
#define BOTH "\2h2\10http/1.1"

/* ---- bytes ---- */

TEST(a_handshake_ends_in_ready_on_both_sides_and_bytes_pass)
{
    struct scene s = scene_open();
    struct test_pair *p = connect_pair(s.server, s.client, "a.test");

    CHECK(p->client.is_up && p->server.is_up);
    CHECK(stream_is_tls(&p->server.stream));
    CHECK_STR(stream_server_name(&p->server.stream), "a.test");
    CHECK_INT(stream_tls_entry(&p->server.stream), 0);
    test_side_send(p, &p->client, "ask", 3);
    TEST_TURN_UNTIL(&p->loop, p->server.n_in == 3);
    test_side_send(p, &p->server, "answer", 6);
    TEST_TURN_UNTIL(&p->loop, p->client.n_in == 6);
    test_pair_free(p);
    scene_close(&s);
}

TEST(a_megabyte_passes_unchanged_through_small_pieces_and_full_sockets)
{
    enum { TOTAL = 1000000 };
    struct scene s = scene_open();
    struct test_pair *p = connect_pair(s.server, s.client, "a.test");
    char *bytes = mem_alloc(TOTAL);
    size_t done = 0;

    for (size_t i = 0; i < TOTAL; i++)
        bytes[i] = (char)(i * 7 + i / 251);
    while (done < TOTAL) {
        size_t n = 0;
        size_t left = TOTAL - done;
        size_t first = MIN(left, (size_t)3);
        size_t second = MIN(left - first, (size_t)40000);
        struct iovec pieces[3] = {{bytes + done, first},
                                  {bytes + done + first, second},
                                  {bytes + done + first + second, left - first - second}};
        int r = stream_send(&p->client.stream, pieces, 3, &n);

        CHECK(r == 0 || r == STREAM_AGAIN);
        done += r == 0 ? n : 0;
        if (r == STREAM_AGAIN)
            stream_want(&p->client.stream, LOOP_READ | LOOP_WRITE);
        CHECK(loop_turn(&p->loop, 0) == 0);
    }
    TEST_TURN_UNTIL(&p->loop, p->server.n_in == TOTAL);
    CHECK(memcmp(p->server.in, bytes, TOTAL) == 0);
    mem_free(bytes);
    test_pair_free(p);
    scene_close(&s);
}

TEST(bytes_left_inside_tls_are_read_on_without_the_socket)
{
    static char bytes[10000];
    struct scene s = scene_open();
    struct test_pair *p = connect_pair(s.server, s.client, "a.test");

    p->server.recv_cap = 100;
    test_side_send(p, &p->client, bytes, sizeof bytes); /* one record */
    TEST_TURN_UNTIL(&p->loop, p->server.n_in == sizeof bytes);
    test_pair_free(p);
    scene_close(&s);
}

TEST(a_reader_that_pauses_with_bytes_inside_tls_gets_them_when_it_resumes)
{
    static char bytes[10000];
    struct scene s = scene_open();
    struct test_pair *p = connect_pair(s.server, s.client, "a.test");

    p->server.recv_cap = 100;
    test_side_send(p, &p->client, bytes, sizeof bytes);
    TEST_TURN_UNTIL(&p->loop, p->server.n_in > 0);
    stream_want(&p->server.stream, 0);
    for (int i = 0; i < 5; i++)
        CHECK(loop_turn(&p->loop, 0) == 0);
    CHECK(p->server.n_in < sizeof bytes);
    stream_want(&p->server.stream, LOOP_READ);
    TEST_TURN_UNTIL(&p->loop, p->server.n_in == sizeof bytes);
    test_pair_free(p);
    scene_close(&s);
}

TEST(one_read_takes_some_records_however_small_they_are)
{
    enum { RECORDS = 200, AT_ONCE = 64, HEAD_BYTES = 5 };
    struct scene s = scene_open();
    struct test_pair *p = connect_pair(s.server, s.client, "a.test");
    char bytes[RECORDS];
    size_t n = 0;
    int n_there = 0;

    p->server.is_reading = false;
    for (int i = 0; i < RECORDS; i++)
        test_side_send(p, &p->client, "x", 1);
    while (n_there < RECORDS * (HEAD_BYTES + 1 + EVP_GCM_TLS_TAG_LEN + 1))
        CHECK_INT(ioctl(p->server.stream.io.fd, FIONREAD, &n_there), 0);
    CHECK_INT(stream_recv(&p->server.stream, bytes, sizeof bytes, &n), 0);
    CHECK_INT(n, AT_ONCE);
    p->server.is_reading = true; /* and the rest comes, though the socket may be empty */
    TEST_TURN_UNTIL(&p->loop, p->server.n_in + n == RECORDS);
    test_pair_free(p);
    scene_close(&s);
}

TEST(a_first_request_that_comes_with_the_handshake_is_read)
{
    struct scene s = scene_open();
    struct test_pair *p = test_pair_new(s.server, s.client, "a.test");

    /* The client is ready first and sends at once: its Finished and the request come together. */
    TEST_TURN_UNTIL(&p->loop, p->client.is_up);
    test_side_send(p, &p->client, "ask", 3);
    TEST_TURN_UNTIL(&p->loop, p->server.n_in == 3);
    test_pair_free(p);
    scene_close(&s);
}

TEST(the_end_that_comes_in_one_packet_with_the_last_bytes_is_told)
{
    struct scene s = scene_open();
    struct test_pair *p = connect_pair(s.server, s.client, "a.test");

    test_side_send(p, &p->server, "last", 4);
    stream_shutdown(&p->server.stream); /* close_notify, FIN */
    TEST_TURN_UNTIL(&p->loop, p->client.end);
    CHECK_INT(p->client.end, STREAM_EOF);
    CHECK_INT(p->client.n_in, 4);
    test_side_send(p, &p->client, "thanks", 6); /* the other way is still open */
    TEST_TURN_UNTIL(&p->loop, p->server.n_in == 6);
    test_pair_free(p);
    scene_close(&s);
}

TEST(a_server_that_vanishes_without_goodbye_is_a_reset_for_the_client)
{
    struct scene s = scene_open();
    struct test_pair *p = connect_pair(s.server, s.client, "a.test");

    signals_block();
    shutdown(p->server.stream.io.fd, SHUT_WR); /* FIN without close_notify: cut off? */
    TEST_TURN_UNTIL(&p->loop, p->client.end);
    CHECK_INT(p->client.end, STREAM_RESET);
    test_pair_free(p);
    scene_close(&s);
}

TEST(half_a_record_keeps_neither_side_busy)
{
    struct scene s = scene_open();
    struct test_pair *p = connect_pair(s.server, s.client, "a.test");
    char raw[4000] = {23, 3, 3, 0x0b,
                      (char)0xb8}; /* the head of a record of 3000 bytes, and some of it */
    int n_before;

    n_before = p->server.n_reads;
    CHECK(send(p->client.stream.io.fd, raw, 1000, 0) == 1000);
    TEST_TURN_UNTIL(&p->loop, p->server.n_reads > n_before);
    n_before = p->server.n_reads;
    for (int i = 0; i < 20; i++) {
        stream_want(&p->server.stream, 0);
        stream_want(&p->server.stream, LOOP_READ);
        CHECK(loop_turn(&p->loop, 0) == 0);
    }
    CHECK_INT(p->server.n_reads, n_before);
    test_pair_free(p);
    scene_close(&s);
}

static void update_keys(struct test_side *side, unsigned n)
{
    SSL *ssl = side->stream.tls->ssl;

    for (unsigned i = 0; i < n; i++) {
        CHECK_INT(SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        CHECK_INT(SSL_do_handshake(ssl), 1);
    }
}

TEST(records_that_bring_no_content_are_bounded_by_those_that_do)
{
    enum { ROUNDS = 2 * LIMIT_TLS_IDLE_RECORDS };
    struct scene s = scene_open();

    for (int i = 0; i < 2; i++) {
        struct test_pair *p = connect_pair(s.server, s.client, "a.test");
        struct test_side *from = i == 0 ? &p->client : &p->server;
        struct test_side *to = i == 0 ? &p->server : &p->client;

        for (size_t n = 1; n <= ROUNDS; n++) {
            update_keys(from, n > 1 ? 1 : LIMIT_TLS_IDLE_RECORDS - 1); /* a client has a ticket */
            test_side_send(p, from, "x", 1);
            TEST_TURN_UNTIL(&p->loop, to->n_in == n);
        }
        update_keys(from, LIMIT_TLS_IDLE_RECORDS);
        TEST_TURN_UNTIL(&p->loop, to->end || to->is_down);
        CHECK_INT(to->end, STREAM_RESET);
        CHECK_INT(to->stream.error, EPROTO);
        CHECK_INT(to->n_in, ROUNDS);
        test_pair_free(p);
    }
    scene_close(&s);
}

TEST(plain_bytes_on_a_tls_port_end_in_a_hangup)
{
    struct scene s = scene_open();
    struct test_pair *p = test_pair_new(s.server, NULL, "");

    TEST_TURN_UNTIL(&p->loop, p->client.is_up);
    test_side_send(p, &p->client, "GET / HTTP/1.1\r\n\r\n", 18);
    TEST_TURN_UNTIL(&p->loop, p->server.is_down);
    CHECK_INT(p->server.stream.error, EPROTO);
    test_pair_free(p);
    scene_close(&s);
}

/* ---- which certificate ---- */

TEST(the_server_name_selects_exact_then_longest_wildcard_then_the_nameless_entry)
{
    static const struct {
        const char *name;
        int entry;
    } cases[] = {
        {"a.test", 1},       {"A.Test", 1},    {"x.a.test", 2},   {"y.x.a.test", 3},
        {"z.y.x.a.test", 3}, {"x.a.tests", 0}, {"other.test", 0}, {"127.0.0.1", 0},
    };
    struct scene s = scene_open();
    struct tls_entry_config entries[4] = {entry_of(&s.leaf, ""), entry_of(&s.leaf, "a.test"),
                                          entry_of(&s.leaf, "*.a.test"),
                                          entry_of(&s.leaf, "*.x.a.test")};
    struct tls_server *server = server_of(entries, 4);
    struct tls_client *client = client_of(&(struct tls_client_config){.skips_verification = true});

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct test_pair *p = connect_pair(server, client, cases[i].name);

        CHECK_MSG(p->server.is_up, "%s: no handshake", cases[i].name);
        CHECK_MSG(stream_tls_entry(&p->server.stream) == cases[i].entry, "%s: entry %d",
                  cases[i].name, stream_tls_entry(&p->server.stream));
        test_pair_free(p);
    }
    tls_server_unref(server);
    tls_client_free(client);
    scene_close(&s);
}

TEST(a_name_that_nobody_serves_and_no_name_are_refused_when_no_entry_is_nameless)
{
    static const char *const names[] = {"b.test", "127.0.0.1", "a.a.test"};
    struct scene s = scene_open();
    struct tls_entry_config entry = entry_of(&s.leaf, "a.test");
    struct tls_server *server = server_of(&entry, 1);
    struct tls_client *client = client_of(&(struct tls_client_config){.skips_verification = true});

    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        struct test_pair *p = connect_pair(server, client, names[i]);

        CHECK_MSG(!p->client.is_up && !p->server.is_up, "%s", names[i]);
        test_pair_free(p);
    }
    tls_server_unref(server);
    tls_client_free(client);
    scene_close(&s);
}

TEST(a_server_name_is_one_name_and_nothing_else)
{
    static const struct {
        const char *what;
        const char *bytes;
        size_t len;
        const char *name; /* NULL: refused */
    } cases[] = {
#define EXT(bytes_) bytes_, sizeof(bytes_) - 1
        {"a name", EXT("\0\6\0\0\3a.b"), "a.b"},
        {"capital letters", EXT("\0\6\0\0\3A.b"), "a.b"},
        {"one letter", EXT("\0\4\0\0\1a"), "a"},
        {"nothing", EXT(""), NULL},
        {"half a length", EXT("\0"), NULL},
        {"an empty list", EXT("\0\0"), NULL},
        {"no length of a name", EXT("\0\2\0\0"), NULL},
        {"an empty name", EXT("\0\3\0\0\0"), NULL},
        {"a list that is longer", EXT("\0\7\0\0\3a.b"), NULL},
        {"a list that is shorter", EXT("\0\5\0\0\3a.b"), NULL},
        {"bytes behind the list", EXT("\0\6\0\0\3a.bc"), NULL},
        {"a name that is longer", EXT("\0\6\0\0\4a.b"), NULL},
        {"a name that is far longer", EXT("\0\6\0\377\377a.b"), NULL},
        {"a name that is shorter", EXT("\0\6\0\0\2a.b"), NULL},
        {"two names", EXT("\0\12\0\0\2a.\0\0\2b."), NULL},
        {"a name of another type", EXT("\0\6\1\0\3a.b"), NULL},
        {"a NUL inside", EXT("\0\6\0\0\3a\0b"), NULL},
        {"a NUL at the end", EXT("\0\6\0\0\3ab\0"), NULL},
#undef EXT
    };
    unsigned char longest[5 + TLS_NAME_MAX + 1];
    char name[TLS_NAME_MAX + 1];

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        bool is_good =
            tls_parse_server_name((const unsigned char *)cases[i].bytes, cases[i].len, name);

        CHECK_MSG(is_good == (cases[i].name != NULL), "%s", cases[i].what);
        CHECK_MSG(strcmp(name, is_good ? cases[i].name : "") == 0, "%s: %s", cases[i].what, name);
    }
    for (size_t n = TLS_NAME_MAX; n <= TLS_NAME_MAX + 1; n++) {
        memset(longest, 'a', sizeof longest);
        memcpy(longest,
               (unsigned char[]){(unsigned char)((n + 3) >> 8), (unsigned char)(n + 3), 0,
                                 (unsigned char)(n >> 8), (unsigned char)n},
               5);
        CHECK(tls_parse_server_name(longest, 5 + n, name) == (n <= TLS_NAME_MAX));
    }
}

TEST(each_entry_has_its_own_versions)
{
    struct scene s = scene_open();
    struct tls_entry_config entries[2] = {entry_of(&s.leaf, "a.test"), entry_of(&s.leaf, "b.test")};
    struct tls_client *old = client_of(
        &(struct tls_client_config){.skips_verification = true, .max_version = TLS1_2_VERSION});
    struct tls_client *new = client_of(
        &(struct tls_client_config){.skips_verification = true, .min_version = TLS1_3_VERSION});
    struct tls_server *server;
    static const bool expected[2][2] = {{true, false}, {false, true}}; /* [entry][client] */

    entries[0].max_version = TLS1_2_VERSION;
    entries[1].min_version = TLS1_3_VERSION;
    server = server_of(entries, 2);
    for (int i = 0; i < 4; i++) {
        struct test_pair *p = connect_pair(server, i % 2 ? new : old, i / 2 ? "b.test" : "a.test");

        CHECK_MSG((p->client.is_up && p->server.is_up) == expected[i / 2][i % 2], "case %d", i);
        test_pair_free(p);
    }
    tls_server_unref(server);
    tls_client_free(old);
    tls_client_free(new);
    scene_close(&s);
}

/* Suites of TLS 1.1, and a level of security that lets them pass: then versions alone decide. */
#define OLD_CIPHERS "ECDHE-ECDSA-AES128-SHA"

static bool is_up_at_level_0(struct tls_server *server, const struct tls_client_config *config)
{
    struct tls_client *client = client_of(config);
    struct test_pair *p;
    bool is_up;

    SSL_CTX_set_security_level(server->entries[0].ctx, 0);
    SSL_CTX_set_security_level(client->ctx, 0);
    p = connect_pair(server, client, "a.test");
    is_up = p->client.is_up && p->server.is_up;
    test_pair_free(p);
    tls_client_free(client);
    return is_up;
}

TEST(no_listener_goes_below_1_2_and_no_client_unasked)
{
    struct scene s = scene_open();
    struct tls_entry_config entry = entry_of(&s.leaf, "");
    struct tls_client_config old = {.skips_verification = true,
                                    .min_version = TLS1_1_VERSION,
                                    .max_version = TLS1_1_VERSION,
                                    .ciphers = STR(OLD_CIPHERS)};
    struct tls_client_config usual = {.skips_verification = true, .ciphers = STR(OLD_CIPHERS)};

    entry.ciphers = STR(OLD_CIPHERS);
    for (int asked = 0; asked <= TLS1_2_VERSION; asked = asked ? asked + 1 : TLS1_VERSION) {
        struct tls_server *server;

        entry.min_version = asked;
        server = server_of(&entry, 1);
        CHECK_MSG(!is_up_at_level_0(server, &old), "minimum %x", (unsigned)asked);
        CHECK_INT(SSL_CTX_get_min_proto_version(server->entries[0].ctx), TLS1_2_VERSION);
        /* What would be if they did: it is the versions that refuse. */
        server->entries[0].min_version = server->entries[0].max_version = TLS1_1_VERSION;
        SSL_CTX_set_min_proto_version(server->entries[0].ctx, TLS1_1_VERSION);
        CHECK(is_up_at_level_0(server, &old));
        CHECK(!is_up_at_level_0(server, &usual));
        tls_server_unref(server);
    }
    scene_close(&s);
}

/* ---- resumption ---- */

TEST(a_session_resumes_on_its_listener_with_either_version)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct scene s = scene_open();

    for (size_t i = 0; i < N_ELEMENTS(versions); i++) {
        struct tls_client *client = client_of(&(struct tls_client_config){
            .ca_pem = s.ca.certificate_pem, .max_version = versions[i]});

        CHECK(!connect_and_say_if_resumed(s.server, client, "a.test"));
        CHECK(connect_and_say_if_resumed(s.server, client, "a.test"));
        CHECK(connect_and_say_if_resumed(s.server, client, "a.test"));
        tls_client_free(client);
    }
    scene_close(&s);
}

TEST(a_session_never_resumes_on_another_port_nor_after_a_reload)
{
    struct scene s = scene_open();
    struct tls_entry_config entries[2] = {entry_of(&s.leaf, ""), entry_of(&s.leaf, "*.w.test")};
    struct tls_server *server = server_of(entries, 2);
    struct tls_server *reloaded = server_of(entries, 2);

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_client *client = client_of(
            &(struct tls_client_config){.ca_pem = s.ca.certificate_pem, .max_version = version});

        CHECK(!connect_and_say_if_resumed(server, client, "a.test"));
        CHECK(connect_and_say_if_resumed(server, client, "a.test"));
        CHECK(!connect_and_say_if_resumed(reloaded, client, "a.test"));
        CHECK(!connect_and_say_if_resumed(s.server, client, "a.test"));
        tls_client_free(client);
    }
    tls_server_unref(server);
    tls_server_unref(reloaded);
    scene_close(&s);
}

/* Offers `session` to a connection for `name`, whatever name it was made for. */
static bool is_resumed_with(struct tls_server *server, struct tls_client *client, const char *name,
                            SSL_SESSION *session)
{
    struct test_pair *p = test_pair_new(server, client, name);
    bool is_resumed;

    CHECK(SSL_set_session(p->client.stream.tls->ssl, session) == 1);
    TEST_TURN_UNTIL(&p->loop, p->client.is_up && p->server.is_up);
    is_resumed = stream_tls_is_resumed(&p->server.stream);
    test_pair_free(p);
    return is_resumed;
}

TEST(a_ticket_of_one_listener_is_worth_nothing_at_another_of_the_same_port)
{
    struct scene s = scene_open();
    struct tls_entry_config entries[2] = {entry_of(&s.leaf, "a.test"),
                                          entry_of(&s.leaf, "*.w.test")};
    struct tls_server *server = server_of(entries, 2);

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_client *client = client_of(
            &(struct tls_client_config){.ca_pem = s.ca.certificate_pem, .max_version = version});
        struct test_pair *p = connect_pair(server, client, "x.w.test");
        SSL_SESSION *session;

        test_side_send(p, &p->server, "x", 1);
        TEST_TURN_UNTIL(&p->loop, p->client.n_in == 1);
        session = SSL_get1_session(p->client.stream.tls->ssl);
        test_pair_free(p);
        CHECK(is_resumed_with(server, client, "x.w.test", session));
        CHECK(!is_resumed_with(server, client, "a.test", session));
        SSL_SESSION_free(session);
        tls_client_free(client);
    }
    tls_server_unref(server);
    scene_close(&s);
}

/* ---- keys of tickets ---- */

enum { KEYS_WORDS_MAX = 64 };

/* The words at `at` that are none of small numbers and addresses: keys, and what is random. Read as
 * /proc shows it, for the memory may be free. */
static size_t key_words(const void *at, size_t size, uint64_t words[KEYS_WORDS_MAX])
{
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    uint64_t all[KEYS_WORDS_MAX];
    size_t n = 0;

    CHECK(size <= sizeof all && memory >= 0);
    CHECK(pread(memory, all, size, (off_t)(uintptr_t)at) == (ssize_t)size);
    close(memory);
    for (size_t i = 0; i < size / sizeof all[0]; i++) {
        if (all[i] >> 48 != 0)
            words[n++] = all[i];
    }
    return n;
}

/* How many of them are still there. */
static size_t key_words_left(const uint64_t *words, size_t n, const void *at, size_t size)
{
    uint64_t now[KEYS_WORDS_MAX];
    size_t n_now = key_words(at, size, now);
    size_t n_left = 0;

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n_now; j++)
            n_left += words[i] == now[j];
    }
    return n_left;
}

TEST(keys_of_tickets_are_wiped_when_they_are_too_old_and_with_their_server)
{
    static const uint64_t key_us = UINT64_C(1000000) * LIMIT_TICKET_KEY_S;
    struct tls_tickets *t;
    uint64_t words[KEYS_WORDS_MAX];
    size_t size, n;

    if (!test_memory_begin())
        return;
    t = tls_tickets_new(0);
    size = malloc_usable_size(t) / sizeof words[0] * sizeof words[0];
    tls_tickets_rotate(t, key_us);
    tls_tickets_rotate(t, 2 * key_us);
    n = key_words(t, size, words);
    CHECK_MSG(n > 24, "%zu words", n); /* three keys of two secrets of 32 bytes, and their names */
    CHECK_INT(key_words_left(words, n, t, size), n);
    tls_tickets_rotate(t, 100 * key_us);
    CHECK_INT(key_words_left(words, n, t, size), 0);
    n = key_words(t, size, words);
    CHECK(n > 0);
    tls_tickets_unref(t);
    CHECK_INT(key_words_left(words, n, t, size), 0);
}

/* ---- verification by the client ---- */

struct verify_case {
    const char *what;
    const char *server_name;
    const char *verify_host;
    const char *alt_names[2];
    bool knows_ca;
    bool skips;
    bool is_good;
};

TEST(a_client_accepts_the_right_name_of_a_known_authority_and_nothing_else)
{
    static const struct verify_case cases[] = {
        {"the name", "a.test", NULL, {0}, true, false, true},
        {"a wildcard", "x.w.test", NULL, {0}, true, false, true},
        {"a wildcard over two labels", "x.y.w.test", NULL, {0}, true, false, false},
        {"another name", "b.test", NULL, {0}, true, false, false},
        {"an unknown authority", "a.test", NULL, {0}, false, false, false},
        {"the address", "127.0.0.1", NULL, {0}, true, false, true},
        {"another address", "127.0.0.2", NULL, {0}, true, false, false},
        {"a name to verify apart from SNI", "b.test", "a.test", {0}, true, false, true},
        {"a wrong name to verify", "a.test", "b.test", {0}, true, false, false},
        {"one of the alternative names", "a.test", NULL, {"b.test", "a.test"}, true, false, true},
        {"none of the alternative names", "a.test", NULL, {"b.test", "c.test"}, true, false, false},
        {"alternative names instead", "a.test", "a.test", {"b.test", NULL}, true, false, false},
        {"verification switched off", "b.test", NULL, {0}, false, true, true},
    };
    struct scene s = scene_open();

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        const struct verify_case *v = &cases[i];
        struct str alt_names[2] = {str_of(v->alt_names[0]), str_of(v->alt_names[1])};
        struct tls_client_config config = {
            .skips_verification = v->skips,
            .ca_pem = v->knows_ca ? s.ca.certificate_pem : STR(""),
            .verify_host = str_of(v->verify_host),
            .alt_names = alt_names,
            .n_alt_names = (size_t)((v->alt_names[0] != NULL) + (v->alt_names[1] != NULL))};
        struct tls_client *client = client_of(&config);
        struct test_pair *p = connect_pair(s.server, client, v->server_name);

        CHECK_MSG(p->client.is_up == v->is_good, "%s", v->what);
        CHECK_MSG(v->is_good || p->client.stream.error == EKEYREJECTED, "%s: error %d", v->what,
                  p->client.stream.error);
        test_pair_free(p);
        tls_client_free(client);
    }
    scene_close(&s);
}

TEST(a_common_name_is_not_a_name)
{
    struct test_certificate ca = test_certificate_new("authority", NULL, NULL);
    struct test_certificate leaf = test_certificate_new("a.test", "email:x@a.test", &ca);
    struct tls_entry_config entry = entry_of(&leaf, "");
    struct tls_server *server = server_of(&entry, 1);
    struct tls_client *client =
        client_of(&(struct tls_client_config){.ca_pem = ca.certificate_pem});
    struct test_pair *p = connect_pair(server, client, "a.test");

    CHECK(!p->client.is_up);
    CHECK_INT(p->client.stream.error, EKEYREJECTED);
    test_pair_free(p);
    tls_server_unref(server);
    tls_client_free(client);
    test_certificate_free(&leaf);
    test_certificate_free(&ca);
}

TEST(a_client_without_a_name_to_verify_does_not_connect)
{
    struct scene s = scene_open();
    struct sockaddr_storage address;
    socklen_t len;
    int listener = test_listen(&address, &len);
    struct loop l;
    struct stream stream;

    CHECK(loop_init(&l) == 0);
    struct stream_target to = {.address = (const struct sockaddr *)&address,
                               .address_len = len,
                               .tls = s.client,
                               .server_name = STR("")};

    CHECK(stream_open_connect(&stream, &l, &to, NULL) < 0);
    to.server_name = str_make("a.test\0.b.test", 14);
    CHECK(stream_open_connect(&stream, &l, &to, NULL) < 0);
    loop_deinit(&l);
    close(listener);
    scene_close(&s);
}

/* ---- what configurations are refused ---- */

static struct str middle_broken(struct str pem)
{
    char *copy = mem_dup_text(pem.ptr, pem.len);

    copy[pem.len / 2] = '*';
    return str_make(copy, pem.len);
}

TEST(bad_pairs_are_named)
{
    struct scene s = scene_open();
    struct test_certificate other = test_certificate_new("b.test", "DNS:b.test", NULL);
    struct str broken = middle_broken(s.leaf.certificate_pem);
    const struct {
        struct str certificate, key;
        int condition;
    } cases[] = {
        {s.leaf.certificate_pem, s.leaf.key_pem, 0},
        {STR(""), s.leaf.key_pem, TLS_BAD_CERTIFICATE},
        {STR("hello"), s.leaf.key_pem, TLS_BAD_CERTIFICATE},
        {broken, s.leaf.key_pem, TLS_BAD_CERTIFICATE},
        {s.leaf.certificate_pem, STR(""), TLS_BAD_KEY},
        {s.leaf.certificate_pem, s.leaf.certificate_pem, TLS_BAD_KEY},
        {s.leaf.certificate_pem, other.key_pem, TLS_KEY_MISMATCH},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct buf why = {0};
        int64_t not_after_s = 0;
        struct tls_entry_config entry = {.certificate_pem = cases[i].certificate,
                                         .key_pem = cases[i].key};
        struct tls_server *server = NULL;

        CHECK_MSG(tls_check_pair(cases[i].certificate, cases[i].key, &not_after_s, &why) ==
                      cases[i].condition,
                  "case %zu", i);
        CHECK((cases[i].condition == 0) == (why.len == 0));
        CHECK((cases[i].condition == 0) == (not_after_s > 1000000000));
        CHECK_INT(tls_server_new(&entry, 1, &server, &why), cases[i].condition);
        CHECK_MSG(str_find(buf_str(&why), STR("PRIVATE")) < 0, "a key in: %.*s",
                  STR_ARG(buf_str(&why)));
        tls_server_unref(server);
        buf_deinit(&why);
    }
    mem_free((void *)(uintptr_t)broken.ptr);
    test_certificate_free(&other);
    scene_close(&s);
}

TEST(a_broken_chain_behind_a_good_leaf_is_refused)
{
    struct scene s = scene_open();
    struct str broken = middle_broken(s.ca.certificate_pem);
    struct buf chain = {0};
    struct buf why = {0};
    struct tls_server *server = NULL;
    struct tls_entry_config entry = entry_of(&s.leaf, "");

    buf_append_str(&chain, s.leaf.certificate_pem);
    buf_append_str(&chain, broken);
    entry.certificate_pem = buf_str(&chain);
    CHECK_INT(tls_server_new(&entry, 1, &server, &why), TLS_BAD_CERTIFICATE);
    CHECK(why.len > 0);
    buf_clear(&chain);
    buf_append_str(&chain, s.leaf.certificate_pem);
    buf_append_str(&chain, s.ca.certificate_pem);
    buf_append_str(&chain, STR("\nand a remark\n"));
    entry.certificate_pem = buf_str(&chain);
    CHECK_INT(tls_server_new(&entry, 1, &server, &why), 0);
    tls_server_unref(server);
    buf_deinit(&chain);
    buf_deinit(&why);
    mem_free((void *)(uintptr_t)broken.ptr);
    scene_close(&s);
}

TEST(cipher_lists_hold_suites_by_name_and_nothing_else)
{
    static const struct {
        const char *list;
        bool is_good;
    } cases[] = {
        {"", true},
        {"ECDHE-ECDSA-AES128-GCM-SHA256", true},
        {"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256", true},
        {"TLS_AES_128_GCM_SHA256", true},
        {"TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256", true},
        {"ECDHE-ECDSA-AES128-GCM-SHA257", false},
        {"ECDHE-ECDSA-AES128-GCM-SHA256:LOTS", false},
        {":ECDHE-ECDSA-AES128-GCM-SHA256", false},
        {"ALL", false},
        {"ECDHE-ECDSA-AES128-GCM-SHA256:@SECLEVEL=0", false},
        {"!ECDHE-ECDSA-AES128-GCM-SHA256", false},
    };
    struct scene s = scene_open();

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct tls_entry_config entry = entry_of(&s.leaf, "");
        struct tls_server *server = NULL;
        struct buf why = {0};

        entry.ciphers = str_of(cases[i].list);
        CHECK_MSG(tls_server_new(&entry, 1, &server, &why) ==
                      (cases[i].is_good ? 0 : TLS_BAD_CIPHERS),
                  "%s: %.*s", cases[i].list, STR_ARG(buf_str(&why)));
        tls_server_unref(server);
        buf_deinit(&why);
    }
    scene_close(&s);
}

/* The protocol that both agree on over `ciphers`; "-": no connection. */
static const char *protocol_over(const struct scene *s, const char *ciphers, int max_version,
                                 const char *offer)
{
    static char protocol[16];
    struct tls_entry_config entry = entry_of(&s->leaf, "");
    struct tls_client_config config = {
        .skips_verification = true, .max_version = max_version, .ciphers = str_of(ciphers)};
    struct tls_server *server;
    struct tls_client *client = client_of(&config);
    struct test_pair *p;

    entry.ciphers = str_of(ciphers);
    server = server_of(&entry, 1);
    p = test_pair_new(server, client, "a.test");
    stream_offer(&p->client.stream, str_of(offer));
    TEST_TURN_UNTIL(&p->loop,
                    (p->client.is_up && p->server.is_up) || p->client.is_down || p->server.is_down);
    snprintf(protocol, sizeof protocol, "%s",
             p->client.is_up && p->server.is_up ? stream_alpn(&p->server.stream) : "-");
    test_pair_free(p);
    tls_server_unref(server);
    tls_client_free(client);
    return protocol;
}

TEST(http_2_is_not_agreed_on_over_a_suite_that_it_forbids)
{
    static const struct {
        const char *ciphers;
        int max_version;
        const char *offer;
        const char *protocol;
    } cases[] = {
        {"", TLS1_2_VERSION, BOTH, "h2"},
        {"ECDHE-ECDSA-AES128-GCM-SHA256", TLS1_2_VERSION, BOTH, "h2"},
        {"ECDHE-ECDSA-CHACHA20-POLY1305", TLS1_2_VERSION, BOTH, "h2"},
        {"ECDHE-ECDSA-AES256-CCM", TLS1_2_VERSION, BOTH, "h2"},
        {"ECDHE-ECDSA-AES128-SHA256", TLS1_2_VERSION, BOTH, "http/1.1"},
        {"ECDHE-ECDSA-AES128-SHA", TLS1_2_VERSION, BOTH, "http/1.1"},
        {"ECDHE-ECDSA-AES128-SHA", TLS1_2_VERSION, "\2h2", "-"},
        {"ECDHE-ECDSA-AES128-SHA", TLS1_3_VERSION, BOTH, "h2"}, /* whose suites are good ones */
        /* One list, and the suite that was chosen of it. */
        {"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA", TLS1_2_VERSION, BOTH, "h2"},
        {"ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-GCM-SHA256", TLS1_2_VERSION, BOTH, "http/1.1"},
    };
    struct scene s = scene_open();

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        const char *protocol =
            protocol_over(&s, cases[i].ciphers, cases[i].max_version, cases[i].offer);

        CHECK_MSG(strcmp(protocol, cases[i].protocol) == 0, "case %zu: %s, expected %s", i,
                  protocol, cases[i].protocol);
    }
    scene_close(&s);
}

TEST(weak_suites_of_a_list_are_named)
{
    static const struct {
        const char *list;
        const char *weak;
    } cases[] = {
        {"", ""},
        {"ECDHE-ECDSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256:NO-SUCH-SUITE", ""},
        {"DHE-RSA-AES256-GCM-SHA384", ""},
        {"AES128-GCM-SHA256", "AES128-GCM-SHA256"}, /* AEAD without forward secrecy */
        {"AES256-SHA:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-SHA256",
         "AES256-SHA, ECDHE-RSA-AES128-SHA256"},
    };

    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        struct buf names = {0};

        tls_list_weak(str_of(cases[i].list), &names);
        CHECK_STR(buf_str(&names), cases[i].weak);
        buf_deinit(&names);
    }
}

TEST(an_authority_that_is_none_is_refused)
{
    struct tls_client *client = NULL;
    struct buf why = {0};

    CHECK_INT(tls_client_new(&(struct tls_client_config){.ca_pem = STR("hello")}, &client, &why),
              TLS_BAD_CA);
    CHECK(why.len > 0);
    buf_deinit(&why);
}

TEST(keys_of_tickets_that_are_handed_over_are_the_same_and_of_the_same_age)
{
    const uint64_t hour_us = UINT64_C(1000000) * LIMIT_TICKET_KEY_S;
    struct tls_tickets *from = tls_tickets_new(hour_us);
    struct tls_tickets *to = tls_tickets_new(5);
    struct tls_ticket_key told[TLS_TICKET_KEYS], kept[TLS_TICKET_KEYS];

    tls_tickets_rotate(from, 2 * hour_us);
    CHECK_INT(tls_tickets_export(from, 2 * hour_us + 3, told), 2);
    CHECK(told[0].age_us == 3 && told[1].age_us == hour_us + 3);
    tls_tickets_import(to, 2 * hour_us + 3, told, 2);
    CHECK_INT(tls_tickets_export(to, 2 * hour_us + 4, kept), 2);
    for (int i = 0; i < 2; i++) {
        CHECK(memcmp(told[i].bytes, kept[i].bytes, sizeof kept[i].bytes) == 0);
        CHECK(kept[i].age_us == told[i].age_us + 1);
    }
    CHECK(memcmp(kept[0].bytes, kept[1].bytes, sizeof kept[0].bytes) != 0);
    /* The age counts on: the next rotation comes when it would have come. */
    tls_tickets_rotate(to, 3 * hour_us - 1);
    CHECK_INT(tls_tickets_export(to, 3 * hour_us, kept), 2);
    tls_tickets_rotate(to, 3 * hour_us);
    CHECK_INT(tls_tickets_export(to, 3 * hour_us, kept), 3);
    CHECK(memcmp(told[0].bytes, kept[1].bytes, sizeof kept[1].bytes) == 0);
    tls_tickets_unref(from);
    tls_tickets_unref(to);
}
