/* Fuzz target of what a client's certificate says in x-forwarded-client-cert. The first byte
 * chooses the details; then each name is a letter, a length and its bytes: S, P, B  in the subject,
 * as UTF8String, PrintableString, BMPString    U, D  a URI, a DNS name L        a URI of our own
 * certificate The certificate is made of them, signed, and read from its DER. Beyond not crashing:
 * the header is one element of printable characters for who reads it as Envoy writes it; the keys
 * are those that were asked for, in their order; each printable name comes out as it went in, no
 * other one does, and none begins another element. */
#include <openssl/x509v3.h>

#include "base/assert.h"
#include "gateway/client_cert.h"
#include "net/tls_peer.h"

#include <openssl/err.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { NAMES_MAX = 32 };

struct names {
    struct str items[NAMES_MAX];
    size_t n;
};

/* Of the names that went in, those that may come out. */
struct wanted {
    struct names own;
    struct names uris;
    struct names dns;
};

static EVP_PKEY *fuzz_key(void)
{
    static const unsigned char raw[32] = "a key that keeps nothing secret";
    static EVP_PKEY *key;

    if (!key)
        key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, sizeof raw);
    ASSERT(key != NULL);
    return key;
}

static void want(struct names *names, struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if ((unsigned char)name.ptr[i] < 0x20 || (unsigned char)name.ptr[i] > 0x7e)
            return;
    }
    names->items[names->n++] = name;
}

static void add_name(GENERAL_NAMES *names, int kind, struct str bytes)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    int is_done = name && text && ASN1_STRING_set(text, bytes.ptr, (int)bytes.len) == 1;

    ASSERT(is_done);
    GENERAL_NAME_set0_value(name, kind, text);
    is_done = sk_GENERAL_NAME_push(names, name);
    ASSERT(is_done);
}

/* NULL: OpenSSL makes no certificate of this, or reads none. */
static X509 *sign(X509 *x, const GENERAL_NAMES *names)
{
    unsigned char *der = NULL;
    const unsigned char *at;
    X509 *read = NULL;
    int len = 0;

    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, fuzz_key());
    if (sk_GENERAL_NAME_num(names) > 0)
        X509_add1_ext_i2d(x, NID_subject_alt_name, (void *)(uintptr_t)names, 0, 0);
    if (X509_sign(x, fuzz_key(), NULL) > 0)
        len = i2d_X509(x, &der);
    at = der;
    if (len > 0)
        read = d2i_X509(NULL, &at, len);
    OPENSSL_free(der);
    X509_free(x);
    ERR_clear_error();
    return read;
}

static int subject_type(char letter)
{
    return letter == 'S'   ? V_ASN1_UTF8STRING
           : letter == 'P' ? V_ASN1_PRINTABLESTRING
           : letter == 'B' ? V_ASN1_BMPSTRING
                           : 0;
}

/* The client's certificate and ours from the names in `rest`. */
static void make(struct str rest, struct wanted *w, X509 *ret[2])
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAMES *own = GENERAL_NAMES_new();

    ret[0] = X509_new();
    ret[1] = X509_new();
    ASSERT(names && own && ret[0] && ret[1]);
    for (size_t i = 0; i < NAMES_MAX && rest.len >= 2; i++) {
        char letter = rest.ptr[0];
        size_t end = 2 + MIN((size_t)(uint8_t)rest.ptr[1], rest.len - 2);
        struct str bytes = str_slice(rest, 2, end);

        rest = str_slice(rest, end, rest.len);
        if (letter == 'U' || letter == 'D') {
            add_name(names, letter == 'U' ? GEN_URI : GEN_DNS, bytes);
            want(letter == 'U' ? &w->uris : &w->dns, bytes);
        } else if (letter == 'L') {
            add_name(own, GEN_URI, bytes);
            want(&w->own, bytes);
        } else if (subject_type(letter)) {
            X509_NAME_add_entry_by_NID(X509_get_subject_name(ret[0]), NID_commonName,
                                       subject_type(letter), (const unsigned char *)bytes.ptr,
                                       (int)bytes.len, -1, 0);
        }
    }
    ret[0] = sign(ret[0], names);
    ret[1] = sign(ret[1], own);
    GENERAL_NAMES_free(names);
    GENERAL_NAMES_free(own);
}

/* ---- a reader of the header ---- */

/* The next `key=value` of the element; its value without quotes and their escapes. */
static bool read_pair(struct str *rest, struct arena *a, struct str *ret_key, struct str *ret_value)
{
    ssize_t equals = str_find_char(*rest, '=', 0);
    char *value = arena_bytes(a, rest->len + 1);
    size_t n = 0;
    size_t i;

    if (rest->len == 0)
        return false;
    ASSERT(equals > 0);
    *ret_key = str_slice(*rest, 0, (size_t)equals);
    i = (size_t)equals + 1;
    if (i < rest->len && rest->ptr[i] == '"') {
        for (i++; i < rest->len && rest->ptr[i] != '"'; i++) {
            if (rest->ptr[i] == '\\')
                i++;
            ASSERT(i < rest->len);
            value[n++] = rest->ptr[i];
        }
        ASSERT(i < rest->len); /* the quotes are closed */
        i++;
    } else {
        for (; i < rest->len && rest->ptr[i] != ';'; i++) {
            ASSERT(!memchr(",=\"\\ ", rest->ptr[i], 5));
            value[n++] = rest->ptr[i];
        }
    }
    ASSERT(i == rest->len || (rest->ptr[i] == ';' && i + 1 < rest->len));
    *rest = str_slice(*rest, MIN(i + 1, rest->len), rest->len);
    *ret_value = str_make(value, n);
    return true;
}

/* The next pair is this one; its value. */
static struct str expect(struct str *rest, struct arena *a, const char *key)
{
    struct str found, value;
    bool is_there = read_pair(rest, a, &found, &value);

    ASSERT(is_there && str_eq(found, str_of(key)));
    return value;
}

static void expect_names(struct str *rest, struct arena *a, const char *key,
                         const struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        ASSERT(str_eq(expect(rest, a, key), names->items[i]));
}

static bool is_made_of(struct str s, const char *punctuation)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = str_lower_char(s.ptr[i]);

        if ((c < '0' || c > '9') && (c < 'a' || c > 'z') && !strchr(punctuation, c))
            return false;
    }
    return true;
}

static void check_header(struct str header, uint32_t details, const struct wanted *w,
                         struct arena *a)
{
    struct str value;

    for (size_t i = 0; i < header.len; i++)
        ASSERT(header.ptr[i] >= ' ' && header.ptr[i] <= '~');
    expect_names(&header, a, "By", &w->own);
    value = expect(&header, a, "Hash");
    ASSERT(value.len == 64 && is_made_of(value, ""));
    for (int detail = CLIENT_CERT_CERT; detail <= CLIENT_CERT_CHAIN; detail++) {
        if (!(details >> detail & 1))
            continue;
        value = expect(&header, a, detail == CLIENT_CERT_CERT ? "Cert" : "Chain");
        ASSERT(str_starts_with(value, STR("-----BEGIN%20CERTIFICATE-----%0A")));
        ASSERT(is_made_of(value, "%-"));
    }
    if (details >> CLIENT_CERT_SUBJECT & 1)
        (void)expect(&header, a, "Subject");
    if (details >> CLIENT_CERT_URI & 1) {
        expect_names(&header, a, "URI", &w->uris);
        if (w->uris.n == 0)
            ASSERT(expect(&header, a, "URI").len == 0);
    }
    if (details >> CLIENT_CERT_DNS & 1)
        expect_names(&header, a, "DNS", &w->dns);
    ASSERT(header.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct wanted wanted = {0};
    struct tls_peer *peer;
    struct arena a;
    X509 *made[2];

    if (size == 0)
        return 0;
    make(str_make(bytes + 1, size - 1), &wanted, made);
    if (made[0] && made[1]) {
        arena_init(&a, 4096);
        peer = tls_peer_read(made[0], made[1]);
        peer->chain = arena_join(&a, peer->certificate, peer->certificate);
        check_header(client_cert_format(peer, bytes[0], &a), bytes[0], &wanted, &a);
        tls_peer_free(peer);
        arena_deinit(&a);
    }
    X509_free(made[0]);
    X509_free(made[1]);
    return 0;
}
