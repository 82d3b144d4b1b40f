/* See chain.h. */
#include "net/certificate/chain.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <time.h>

static bool certificate_until(const X509 *certificate, int64_t *ret_until_s)
{
    struct tm tm = {0};

    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) != 1)
        return false;
    *ret_until_s = (int64_t)timegm(&tm);
    return true;
}

bool chain_until(struct str chain_pem, int64_t *ret_until_s)
{
    BIO *bio = chain_pem.len > 0 && chain_pem.len < INT32_MAX
                   ? BIO_new_mem_buf(chain_pem.ptr, (int)chain_pem.len)
                   : NULL;
    int64_t earliest = INT64_MAX;
    bool is_good = bio != NULL;
    X509 *certificate;

    /* A certificate has no password to be asked for. */
    while (is_good && (certificate = PEM_read_bio_X509(bio, NULL, NULL, (void *)""))) {
        int64_t until_s = 0;

        is_good = certificate_until(certificate, &until_s);
        earliest = MIN(earliest, until_s);
        X509_free(certificate);
    }
    ERR_clear_error();
    BIO_free(bio);
    if (!is_good || earliest == INT64_MAX)
        return false;
    *ret_until_s = earliest;
    return true;
}
