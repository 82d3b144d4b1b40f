#include "net/certificate/chain.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <time.h>

#include "base/buf.h"
#include "net/certificate_testing.h"
#include "test/harness/test.h"

enum { HOUR_S = 3600, DAY_S = 24 * HOUR_S, SLACK_S = 60 };

/* The certificate once more, with another end. */
static void append_with_end(struct buf *out, struct test_certificate *c, long end_s)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    long n;

    CHECK(X509_gmtime_adj(X509_getm_notAfter(c->x509), end_s) != NULL);
    CHECK(PEM_write_bio_X509(bio, c->x509) == 1);
    n = BIO_get_mem_data(bio, &text);
    buf_append(out, text, (size_t)n);
    BIO_free(bio);
}

TEST(a_chain_ends_with_the_first_of_its_certificates)
{
    struct test_certificate authority = test_certificate_new("ca", NULL, NULL);
    struct test_certificate leaf = test_certificate_new("a", "DNS:a.test", &authority);
    struct buf chain = {0};
    int64_t now_s = (int64_t)time(NULL);
    int64_t until_s;

    CHECK(chain_until(str_of(leaf.certificate_pem.ptr), &until_s));
    CHECK(until_s > now_s + DAY_S - SLACK_S && until_s < now_s + DAY_S + SLACK_S);
    buf_append_str(&chain, str_of(leaf.certificate_pem.ptr));
    append_with_end(&chain, &authority, HOUR_S);
    CHECK(chain_until(buf_str(&chain), &until_s));
    CHECK(until_s > now_s + HOUR_S - SLACK_S && until_s < now_s + HOUR_S + SLACK_S);
    buf_clear(&chain);
    append_with_end(&chain, &authority, -HOUR_S);
    buf_append_str(&chain, str_of(leaf.certificate_pem.ptr));
    CHECK(chain_until(buf_str(&chain), &until_s));
    CHECK(until_s < now_s);
    buf_deinit(&chain);
    test_certificate_free(&leaf);
    test_certificate_free(&authority);
}

TEST(what_is_no_certificate_has_no_end)
{
    static const char *const rows[] = {
        "",
        "nonsense",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    };
    int64_t until_s;

    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        CHECK_MSG(!chain_until(str_of(rows[i]), &until_s), "%s", rows[i]);
}
