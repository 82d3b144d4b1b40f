/* See websocket.h. */
#include "gateway/h2/websocket.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base/random.h"

enum { KEY_BYTES = 16, BASE64_BYTES = 32 /* of a digest, the longer of the two */ };

#define KEY_NAME    "sec-websocket-key"
#define ACCEPT_NAME "sec-websocket-accept"

void websocket_ask(struct http_request *request)
{
    struct http_headers *h = &request->headers;
    unsigned char key[KEY_BYTES];
    unsigned char text[BASE64_BYTES];
    int n;

    random_secure(key, sizeof key);
    n = EVP_EncodeBlock(text, key, sizeof key);
    http_headers_set(h, STR(KEY_NAME), arena_str(h->arena, str_make((char *)text, (size_t)n)));
}

/* RFC 6455 4.2.2. False: there is no SHA-1 here. */
static bool websocket_accept(struct str key, unsigned char *ret_text)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[SHA_DIGEST_LENGTH];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool is_done = ctx && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) == 1 &&
                   EVP_DigestUpdate(ctx, key.ptr, key.len) == 1 &&
                   EVP_DigestUpdate(ctx, guid, sizeof guid - 1) == 1 &&
                   EVP_DigestFinal_ex(ctx, digest, NULL) == 1;

    EVP_MD_CTX_free(ctx);
    if (is_done)
        EVP_EncodeBlock(ret_text, digest, sizeof digest);
    return is_done;
}

bool websocket_is_sound(const struct http_request *request, const struct http_response *response)
{
    struct str key = http_headers_value(&request->headers, STR(KEY_NAME));
    struct str given = http_headers_value(&response->headers, STR(ACCEPT_NAME));
    unsigned char wanted[BASE64_BYTES];

    /* Any 2xx opens the tunnel of an extended CONNECT: one that opens none here must not pass. */
    if (response->status != 101)
        return response->status >= 300;
    return str_eq_nocase(response->upgrade, STR("websocket")) && websocket_accept(key, wanted) &&
           str_eq(given, str_of((char *)wanted));
}
