/* The schemes. crypt(3) computes the slow ones; it reads a C string, so that a password with a NUL
 * would count as its beginning: such a one is refused. bcrypt looks at the first 72 bytes of a
 * password only; that is its own. */
#include "auth/password.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "auth/base64url.h"
#include "base/mem.h"

enum { SHA1_BYTES = 20, BCRYPT_TAIL = 53, SALT_MAX = 16 };

/* The alphabet of crypt(5). */
static bool password_is_crypt64(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '/'))
            return false;
    }
    return true;
}

/* "$2y$NN$" and 22 characters of salt, 31 of hash. */
static int password_check_bcrypt(struct str hash)
{
    struct str cost_text = str_slice(hash, 4, 6);
    uint64_t cost;

    if (hash.len != 7 + BCRYPT_TAIL || hash.ptr[6] != '$' || !str_to_u64(cost_text, &cost) ||
        cost < 4 || !password_is_crypt64(str_slice(hash, 7, hash.len)))
        return PASSWORD_MALFORMED;
    return cost > PASSWORD_BCRYPT_COST_MAX ? PASSWORD_TOO_COSTLY : 0;
}

/* "$5$[rounds=N$]salt$hash" */
static int password_check_sha_crypt(struct str hash, size_t hash_len)
{
    struct str rest = str_slice(hash, 3, hash.len);
    uint64_t rounds = 5000;
    struct str salt;

    if (str_starts_with(rest, STR("rounds="))) {
        struct str text;

        rest = str_slice(rest, 7, rest.len);
        if (!str_split(&rest, '$', &text) || !str_to_u64(text, &rounds) || rounds < 1000)
            return PASSWORD_MALFORMED;
    }
    if (!str_split(&rest, '$', &salt) || salt.len > SALT_MAX || !password_is_crypt64(salt) ||
        rest.len != hash_len || !password_is_crypt64(rest))
        return PASSWORD_MALFORMED;
    return rounds > PASSWORD_SHA_CRYPT_ROUNDS_MAX ? PASSWORD_TOO_COSTLY : 0;
}

/* "{SHA}" and the SHA-1 in base64. */
static bool password_sha1_of(struct str hash, unsigned char ret_sha1[SHA1_BYTES])
{
    return base64_decode(str_slice(hash, 5, hash.len), ret_sha1, SHA1_BYTES) == SHA1_BYTES;
}

static bool password_is_sha1(struct str hash)
{
    return str_starts_with(hash, STR("{SHA}"));
}

int password_check_hash(struct str hash)
{
    unsigned char room[SHA1_BYTES];

    if (password_is_sha1(hash))
        return password_sha1_of(hash, room) ? 0 : PASSWORD_MALFORMED;
    if (str_starts_with(hash, STR("$2a$")) || str_starts_with(hash, STR("$2b$")) ||
        str_starts_with(hash, STR("$2y$")))
        return password_check_bcrypt(hash);
    if (str_starts_with(hash, STR("$5$")))
        return password_check_sha_crypt(hash, 43);
    if (str_starts_with(hash, STR("$6$")))
        return password_check_sha_crypt(hash, 86);
    return PASSWORD_UNKNOWN_SCHEME;
}

const char *password_problem_text(int result)
{
    switch (result) {
    case PASSWORD_MALFORMED:
        return "a password hash that is malformed";
    case PASSWORD_TOO_COSTLY:
        return "a password hash that takes too long to check (bcrypt: cost 12 at most; SHA-crypt: "
               "500000 rounds at most)";
    default:
        return "a password hash of an unknown scheme (known: bcrypt, SHA-crypt, {SHA})";
    }
}

bool password_is_slow(struct str hash)
{
    return !password_is_sha1(hash);
}

static bool password_verify_sha1(struct str hash, struct str password)
{
    unsigned char expected[SHA1_BYTES], computed[SHA1_BYTES];
    bool is_right = password_sha1_of(hash, expected) &&
                    EVP_Digest(password.ptr, password.len, computed, NULL, EVP_sha1(), NULL) &&
                    CRYPTO_memcmp(expected, computed, sizeof computed) == 0;

    mem_wipe(computed, sizeof computed);
    return is_right;
}

static bool password_verify_crypt(struct str hash, struct str password)
{
    struct crypt_data *data = mem_alloc_zero(sizeof *data);
    char setting[PASSWORD_HASH_BYTES_MAX + 1];
    char phrase[PASSWORD_BYTES_MAX + 1];
    const char *computed;
    bool is_right;

    memcpy(setting, hash.ptr, hash.len);
    setting[hash.len] = '\0';
    if (password.len > 0)
        memcpy(phrase, password.ptr, password.len);
    phrase[password.len] = '\0';
    computed = crypt_rn(phrase, setting, data, (int)sizeof *data);
    is_right = computed && str_eq_secret(str_of(computed), hash);
    mem_wipe(phrase, sizeof phrase);
    mem_wipe(data, sizeof *data);
    mem_free(data);
    return is_right;
}

bool password_verify(struct str hash, struct str password)
{
    if (password.len > PASSWORD_BYTES_MAX || hash.len > PASSWORD_HASH_BYTES_MAX ||
        str_find_char(password, '\0', 0) >= 0)
        return false;
    return password_is_sha1(hash) ? password_verify_sha1(hash, password)
                                  : password_verify_crypt(hash, password);
}
