/* See object_secret.h. The names are those of the access log (telemetry/log_redact.h). */
#include "admin/objects/object_secret.h"

#include "telemetry/log_redact.h"

static bool text_has(struct str text, struct str needle)
{
    return text.len >= needle.len && memmem(text.ptr, text.len, needle.ptr, needle.len) != NULL;
}

/* Private keys in PEM; lines of a file of passwords: bcrypt, SHA-crypt, MD5-crypt, {SHA}. */
static bool text_has_marks(struct str text)
{
    static const char *const marks[] = {"PRIVATE KEY-----", ":$2",   ":$5$", ":$6$",
                                        ":$apr1",           ":{SHA}"};

    for (size_t i = 0; i < N_ELEMENTS(marks); i++) {
        if (text_has(text, str_of(marks[i])))
            return true;
    }
    return false;
}

/* A JSON Web Key that is more than a public one: "d" is the private half, "k" the whole key. */
static bool text_is_private_key_set(struct str text)
{
    return text_has(text, STR("\"kty\"")) &&
           (text_has(text, STR("\"d\"")) || text_has(text, STR("\"k\"")));
}

/* "https://user:password@host/path", "https://host/path?key=value" */
static bool text_is_secret_address(struct str text)
{
    ssize_t scheme = str_find(text, STR("://"));
    char room[64];
    struct str authority;
    ssize_t slash;

    if (scheme < 0)
        return false;
    authority = str_slice(text, (size_t)scheme + 3, text.len);
    slash = str_find_char(authority, '/', 0);
    if (slash >= 0)
        authority.len = (size_t)slash;
    return str_find_char(authority, '@', 0) >= 0 ||
           log_redact_target(text, room, sizeof room).ptr == room;
}

bool object_text_is_secret(struct str text)
{
    return log_redact_has_token(text) || text_has_marks(text) || text_is_private_key_set(text) ||
           text_is_secret_address(text);
}

bool object_key_is_secret(struct str key)
{
    return log_redact_is_secret_name(key);
}

bool object_header_is_secret(struct str name)
{
    static const char *const words[] = {"auth", "key",  "token", "secret", "pass",
                                        "pwd",  "cred", "sign",  "sess",   "cookie"};
    char lower[64];
    size_t n = MIN(name.len, sizeof lower);

    if (str_eq(name, STR(":authority")))
        return false;
    for (size_t i = 0; i < n; i++)
        lower[i] = str_lower_char(name.ptr[i]);
    for (size_t i = 0; i < N_ELEMENTS(words); i++) {
        if (text_has(str_make(lower, n), str_of(words[i])))
            return true;
    }
    return name.len > n || log_redact_is_secret_name(name);
}

bool object_text_is_open_pattern(struct str text)
{
    static const char *const schemes[] = {"", "Bearer ", "Basic ", "bearer ", "basic "};

    if (str_starts_with(text, STR("^")))
        text = str_slice(text, 1, text.len);
    if (str_ends_with(text, STR("$")))
        text.len--;
    if (!str_ends_with(text, STR(".*")) && !str_ends_with(text, STR(".+")))
        return false;
    text.len -= 2;
    for (size_t i = 0; i < N_ELEMENTS(schemes); i++) {
        if (str_eq(text, str_of(schemes[i])))
            return true;
    }
    return false;
}

bool object_annotation_is_secret(struct str name)
{
    return str_ends_with(name, STR("/last-applied-configuration"));
}
