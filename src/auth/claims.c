/* The claims of a verified token. The JSON is kept as parsed: it is only read, by path, and tokens
 * are small; what every request needs again (exp, nbf, iss) is taken out once. */
#include <math.h>
#include <stdio.h>

#include "auth/base64url.h"
#include "auth/claims_internal.h"
#include "base/mem.h"

struct jwt_claims {
    json_t *payload;
    size_t bytes;         /* estimate, for the memory bound */
    int64_t expires_s;    /* INT64_MAX: never */
    int64_t not_before_s; /* INT64_MIN: always */
};

static bool claims_read_date(const json_t *payload, const char *name, int64_t otherwise,
                             int64_t *ret_s)
{
    const json_t *value = json_object_get(payload, name);
    double number;

    *ret_s = otherwise;
    if (!value)
        return true;
    if (!json_is_number(value))
        return false;
    number = json_number_value(value);
    if (!(number >= -9e15 && number <= 9e15)) /* also NaN */
        return false;
    *ret_s = (int64_t)floor(number);
    return true;
}

/* What the parsed payload holds in memory, roughly: small values cost far more than their text. The
 * depth is bounded (LIMIT_TOKEN_JSON_DEPTH). */
static size_t claims_measure(const json_t *value)
{
    size_t bytes = 64;
    const json_t *item;
    const char *key;
    size_t i;

    if (json_is_string(value))
        return bytes + json_string_length(value);
    json_array_foreach(value, i, item)
    {
        bytes += 16 + claims_measure(item);
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, item)
    {
        bytes += 96 + strlen(key) + claims_measure(item);
    }
    return bytes;
}

int jwt_claims_new(json_t *payload, struct jwt_claims **ret_claims)
{
    struct jwt_claims *c = MEM_NEW(struct jwt_claims);

    c->payload = payload;
    c->bytes = sizeof *c + claims_measure(payload);
    if (!claims_read_date(payload, "exp", INT64_MAX, &c->expires_s) ||
        !claims_read_date(payload, "nbf", INT64_MIN, &c->not_before_s)) {
        jwt_claims_free(c);
        return JWT_MALFORMED;
    }
    *ret_claims = c;
    return 0;
}

void jwt_claims_free(struct jwt_claims *c)
{
    if (!c)
        return;
    json_decref(c->payload);
    mem_free(c);
}

size_t jwt_claims_bytes(const struct jwt_claims *c)
{
    return c->bytes;
}

static struct str claim_json_str(const json_t *value)
{
    return str_make(json_string_value(value), json_string_length(value));
}

static bool claims_have_audience(const json_t *aud, const struct jwt_provider *p)
{
    const json_t *item;
    size_t i;

    for (size_t k = 0; k < p->n_audiences; k++) {
        if (json_is_string(aud) && str_eq(claim_json_str(aud), p->audiences[k]))
            return true;
        json_array_foreach(aud, i, item)
        {
            if (json_is_string(item) && str_eq(claim_json_str(item), p->audiences[k]))
                return true;
        }
    }
    return false;
}

int jwt_claims_check(const struct jwt_claims *c, const struct jwt_provider *p, int64_t now_s)
{
    if (p->issuer.len > 0) {
        const json_t *iss = json_object_get(c->payload, "iss");

        if (!json_is_string(iss) || !str_eq(claim_json_str(iss), p->issuer))
            return JWT_WRONG_ISSUER;
    }
    if (c->expires_s != INT64_MAX && now_s - JWT_CLOCK_SKEW_S >= c->expires_s)
        return JWT_EXPIRED;
    if (c->not_before_s != INT64_MIN && now_s + JWT_CLOCK_SKEW_S < c->not_before_s)
        return JWT_NOT_YET_VALID;
    if (p->n_audiences > 0 && !claims_have_audience(json_object_get(c->payload, "aud"), p))
        return JWT_WRONG_AUDIENCE;
    return 0;
}

static const json_t *claim_find(const struct jwt_claims *c, struct str path)
{
    const json_t *at = json_object_getn(c->payload, path.ptr, path.len);
    struct str rest = path;
    struct str part;

    if (at || str_find_char(path, '.', 0) < 0)
        return at;
    at = c->payload;
    while (at && str_split(&rest, '.', &part))
        at = json_is_object(at) ? json_object_getn(at, part.ptr, part.len) : NULL;
    return at;
}

enum claim_type jwt_claim_type(const struct jwt_claims *c, struct str path)
{
    const json_t *value = claim_find(c, path);

    if (!value)
        return CLAIM_ABSENT;
    if (json_is_string(value))
        return CLAIM_IS_STRING;
    return json_is_array(value) ? CLAIM_IS_LIST : CLAIM_IS_OTHER;
}

struct str jwt_claim_string(const struct jwt_claims *c, struct str path)
{
    const json_t *value = claim_find(c, path);

    return json_is_string(value) ? claim_json_str(value) : STR_NULL;
}

bool jwt_claim_list_has(const struct jwt_claims *c, struct str path, struct str wanted)
{
    const json_t *value = claim_find(c, path);
    const json_t *item;
    size_t i;

    if (json_is_string(value))
        return str_eq(claim_json_str(value), wanted);
    json_array_foreach(value, i, item)
    {
        if (json_is_string(item) && str_eq(claim_json_str(item), wanted))
            return true;
    }
    return false;
}

/* RFC 9110 5.5: what may stand in a field value. A claim with a line break must not become two
 * headers. */
static bool claim_fits_header(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char ch = (unsigned char)s.ptr[i];

        if ((ch < 0x20 && ch != '\t') || ch == 0x7f)
            return false;
    }
    return true;
}

static struct str claim_as_base64(const json_t *value, struct arena *a)
{
    char *json = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

    if (!json)
        return STR_NULL;
    size_t n = strlen(json);
    char *text = arena_bytes(a, base64url_length(n) + 4);
    struct str result = str_make(text, base64url_encode(json, n, text));

    free(json);
    return result;
}

struct str jwt_claim_text(const struct jwt_claims *c, struct str path, struct arena *a)
{
    const json_t *value = claim_find(c, path);

    if (json_is_string(value)) {
        struct str text = claim_json_str(value);

        return claim_fits_header(text) ? str_trim(text) : STR_NULL;
    }
    if (json_is_integer(value))
        return arena_printf(a, "%lld", (long long)json_integer_value(value));
    if (json_is_real(value))
        return arena_printf(a, "%.17g", json_real_value(value));
    if (json_is_boolean(value))
        return json_is_true(value) ? STR("true") : STR("false");
    return value && !json_is_null(value) ? claim_as_base64(value, a) : STR_NULL;
}

static bool claim_words_have(struct str words, struct str wanted)
{
    struct str part;

    while (str_split(&words, ' ', &part)) {
        if (str_eq(part, wanted))
            return true;
    }
    return false;
}

bool jwt_claims_have_scope(const struct jwt_claims *c, struct str scope)
{
    static const char *const names[] = {"scope", "scp"};

    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        struct str name = str_of(names[i]);

        if (claim_words_have(jwt_claim_string(c, name), scope) ||
            jwt_claim_list_has(c, name, scope))
            return true;
    }
    return false;
}
