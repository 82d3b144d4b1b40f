/* The header is an interface of others: exact texts, and certificates that want to say more. */
#include "gateway/client_cert.h"

#include "test/harness/test.h"

enum {
    SUBJECT = 1 << CLIENT_CERT_SUBJECT,
    CERT = 1 << CLIENT_CERT_CERT,
    CHAIN = 1 << CLIENT_CERT_CHAIN,
    DNS = 1 << CLIENT_CERT_DNS,
    URI = 1 << CLIENT_CERT_URI,
};

static void check_text(const struct tls_peer *peer, uint32_t details, const char *expected)
{
    struct arena a;

    arena_init(&a, 1024);
    CHECK_STR(client_cert_format(peer, details, &a), expected);
    arena_deinit(&a);
}

TEST(the_elements_stand_in_the_order_of_envoy)
{
    struct str uris[] = {STR("spiffe://a.test/web")};
    struct str names[] = {STR("a.test"), STR("b.test")};
    struct str local[] = {STR("spiffe://gateway.test/")};
    struct tls_peer peer = {
        .hash = STR("00ff"),
        .subject = STR("CN=web,O=Example"),
        .certificate = STR("-----BEGIN%20CERTIFICATE-----%0A"),
        .chain = STR("-----BEGIN%20CERTIFICATE-----%0A-----BEGIN"),
        .uris = uris,
        .n_uris = 1,
        .dns_names = names,
        .n_dns_names = 2,
    };

    check_text(&peer, 0, "Hash=00ff");
    check_text(&peer, SUBJECT, "Hash=00ff;Subject=\"CN=web,O=Example\"");
    check_text(&peer, SUBJECT | CERT | DNS | URI,
               "Hash=00ff;Cert=\"-----BEGIN%20CERTIFICATE-----%0A\";Subject=\"CN=web,O=Example\";"
               "URI=spiffe://a.test/web;DNS=a.test;DNS=b.test");
    check_text(&peer, SUBJECT | CERT | CHAIN,
               "Hash=00ff;Cert=\"-----BEGIN%20CERTIFICATE-----%0A\";"
               "Chain=\"-----BEGIN%20CERTIFICATE-----%0A-----BEGIN\";Subject=\"CN=web,O=Example\"");
    peer.local_uris = local;
    peer.n_local_uris = 1;
    check_text(&peer, 0, "By=spiffe://gateway.test/;Hash=00ff");
    peer.subject = STR("");
    peer.n_uris = 0;
    check_text(&peer, SUBJECT | URI, "By=spiffe://gateway.test/;Hash=00ff;Subject=\"\";URI=");
}

TEST(a_name_cannot_add_an_element)
{
    struct str uris[] = {STR("x:;Subject=\"CN=admin\""), STR("y:,Hash=11"), STR("z:\\\";DNS=c")};
    struct tls_peer peer = {.hash = STR("00"), .uris = uris, .n_uris = 3};

    check_text(&peer, URI,
               "Hash=00;URI=\"x:;Subject=\\\"CN=admin\\\"\";URI=\"y:,Hash=11\";"
               "URI=\"z:\\\\\\\";DNS=c\"");
}
