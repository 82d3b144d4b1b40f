/* OCSP stapling (RFC 6066 section 8, RFC 8446 section 4.4.2.1) of a response that stands in a file:
 * whether it can be stapled to a certificate, and the moment when a client asks for it.
 *
 * Compile thread, then workers. The response is fetched and renewed by others, and its signature is
 * the client's to verify: a wrong one only makes clients doubt us. */
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "net/tls_internal.h"

static void staple_free_response(OCSP_RESPONSE **response)
{
    OCSP_RESPONSE_free(*response);
}
static void staple_free_basic(OCSP_BASICRESP **basic)
{
    OCSP_BASICRESP_free(*basic);
}
static void staple_free_leaf(X509 **leaf)
{
    X509_free(*leaf);
}

/* By serial number and issuer's name (RFC 6960 section 4.1.1). Its key is not looked at: it is in
 * the issuer's certificate, which need not be here. */
static bool staple_is_about(const OCSP_SINGLERESP *single, const X509 *leaf)
{
    OCSP_CERTID *id = (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(single);
    ASN1_OCTET_STRING *issuer = NULL;
    ASN1_OBJECT *algorithm = NULL;
    ASN1_INTEGER *serial = NULL;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n_digest = 0;

    if (OCSP_id_get0_info(&issuer, &algorithm, NULL, &serial, id) != 1 ||
        ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) != 0)
        return false;
    const EVP_MD *md = EVP_get_digestbyobj(algorithm);

    return md && X509_NAME_digest(X509_get_issuer_name(leaf), md, digest, &n_digest) == 1 &&
           ASN1_STRING_length(issuer) == (int)n_digest &&
           memcmp(ASN1_STRING_get0_data(issuer), digest, n_digest) == 0;
}

static OCSP_SINGLERESP *staple_find(OCSP_BASICRESP *basic, const X509 *leaf)
{
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);

        if (staple_is_about(single, leaf))
            return single;
    }
    return NULL;
}

static const char *staple_judge(OCSP_BASICRESP *basic, const X509 *leaf, int64_t *ret_until_s)
{
    OCSP_SINGLERESP *single = staple_find(basic, leaf);
    ASN1_GENERALIZEDTIME *until = NULL;
    struct tm tm = {0};

    if (!single)
        return "the OCSP response is about another certificate";
    if (OCSP_single_get0_status(single, NULL, NULL, NULL, &until) != V_OCSP_CERTSTATUS_GOOD)
        return "the OCSP response does not call the certificate good";
    if (!until || ASN1_TIME_to_tm(until, &tm) != 1)
        return "the OCSP response does not say until when it holds";
    *ret_until_s = (int64_t)timegm(&tm);
    return NULL;
}

int tls_check_staple(struct str certificate_pem, struct str ocsp_der, int64_t *ret_until_s,
                     struct buf *ret_why)
{
    const unsigned char *at = (const unsigned char *)ocsp_der.ptr;
    BIO *bio AUTO(tls_bio_free) = tls_bio(certificate_pem);
    X509 *leaf AUTO(staple_free_leaf) =
        bio ? PEM_read_bio_X509(bio, NULL, tls_no_password, NULL) : NULL;
    OCSP_RESPONSE *response AUTO(staple_free_response) = NULL;
    OCSP_BASICRESP *basic AUTO(staple_free_basic) = NULL;
    const char *problem;

    if (!leaf)
        return tls_fail(ret_why, TLS_BAD_CERTIFICATE, "the certificate is not valid PEM");
    if (ocsp_der.len > 0 && ocsp_der.len <= LIMIT_OCSP_BYTES)
        response = d2i_OCSP_RESPONSE(NULL, &at, (long)ocsp_der.len);
    if (!response || at != (const unsigned char *)ocsp_der.ptr + ocsp_der.len)
        return tls_fail(ret_why, TLS_BAD_STAPLE, "the OCSP response is not valid DER");
    if (OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
        basic = OCSP_response_get1_basic(response);
    if (!basic)
        return tls_fail(ret_why, TLS_BAD_STAPLE, "the OCSP response is no answer");
    problem = staple_judge(basic, leaf, ret_until_s);
    return problem ? tls_fail(ret_why, TLS_BAD_STAPLE, problem) : 0;
}

static int staple_on_status(SSL *ssl, void *arg UNUSED)
{
    const struct tls_session *session = SSL_get_ex_data(ssl, tls_session_index());
    const struct tls_entry *e = &session->server->entries[session->entry];
    unsigned char *copy;

    /* An outdated one is worse than none: clients take it for an attack. */
    if (e->ocsp.len == 0 || clock_wall_s(clock_read()) >= e->ocsp_until_s)
        return SSL_TLSEXT_ERR_NOACK;
    copy = OPENSSL_memdup(e->ocsp.ptr, e->ocsp.len);
    if (!copy || SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)e->ocsp.len) != 1) {
        OPENSSL_free(copy);
        return SSL_TLSEXT_ERR_NOACK;
    }
    return SSL_TLSEXT_ERR_OK;
}

void tls_staple(struct tls_entry *e, const struct tls_entry_config *config)
{
    if (config->ocsp_der.len == 0)
        return;
    e->ocsp =
        str_make(mem_dup_text(config->ocsp_der.ptr, config->ocsp_der.len), config->ocsp_der.len);
    e->ocsp_until_s = config->ocsp_until_s;
    SSL_CTX_set_tlsext_status_cb(e->ctx, staple_on_status);
}
