/* SHA-256 over a secret prefix and the parts with their lengths. A digest never leaves the process,
 * so that the prefix does for a key (nobody can extend what nobody sees), and costs one pass. */
#include "auth/credential_digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>

#include "base/assert.h"
#include "base/random.h"

enum { CREDENTIAL_KEY_BYTES = 64 }; /* one block */

static uint8_t digest_key[CREDENTIAL_KEY_BYTES];
static EVP_MD *digest_sha256; /* looked up once: the look-up costs more than the hash */
static pthread_once_t digest_once = PTHREAD_ONCE_INIT;

static void digest_init(void)
{
    random_secure(digest_key, sizeof digest_key);
    digest_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

void credential_digest_make(struct credential_digest *ret, const struct str *parts, size_t n)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok;

    pthread_once(&digest_once, digest_init);
    ok = ctx && digest_sha256 && EVP_DigestInit_ex2(ctx, digest_sha256, NULL) &&
         EVP_DigestUpdate(ctx, digest_key, sizeof digest_key);
    for (size_t i = 0; i < n; i++) {
        uint64_t len = parts[i].len;

        ok = ok && EVP_DigestUpdate(ctx, &len, sizeof len) &&
             (len == 0 || EVP_DigestUpdate(ctx, parts[i].ptr, len));
    }
    ok = ok && EVP_DigestFinal_ex(ctx, ret->bytes, NULL);
    EVP_MD_CTX_free(ctx);
    ASSERT(ok); /* only without memory or without SHA-256: neither is up to a request */
}

bool credential_digest_eq(const struct credential_digest *a, const struct credential_digest *b)
{
    return CRYPTO_memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}
