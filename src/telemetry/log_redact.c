/* What counts as a credential: by the name of the header or query parameter, or because it looks
 * like a token. A format that asks for one gets the word "redacted" instead. */
#include "telemetry/log_redact.h"

#include "base/macro.h"

static const struct str log_redacted = {"redacted", 8};

bool log_redact_is_secret_name(struct str name)
{
    static const char *const endings[] = {"authorization", "cookie",  "api-key", "api_key",
                                          "apikey",        "token",   "secret",  "password",
                                          "signature",     "api-keys"};

    for (size_t i = 0; i < N_ELEMENTS(endings); i++) {
        if (str_ends_with_nocase(name, str_of(endings[i])))
            return true;
    }
    return false;
}

/* "eyJ" is how base64url of `{"` begins; a token has two dots behind it. */
bool log_redact_has_token(struct str text)
{
    const char *at = text.len >= 20 ? memmem(text.ptr, text.len, "eyJ", 3) : NULL;
    const char *end;
    const char *dot;

    if (LIKELY(!at))
        return false;
    end = text.ptr + text.len;
    dot = memchr(at, '.', (size_t)(end - at));
    return dot && memchr(dot + 1, '.', (size_t)(end - dot - 1));
}

static bool log_redact_parameter(struct str part, struct str *ret_name)
{
    ssize_t equals = str_find_char(part, '=', 0);

    if (equals < 0)
        return false;
    *ret_name = str_slice(part, 0, (size_t)equals + 1);
    return log_redact_is_secret_name(str_slice(part, 0, (size_t)equals)) ||
           log_redact_has_token(part);
}

static bool log_redact_is_needed(struct str query)
{
    struct str part, name;

    while (str_split(&query, '&', &part)) {
        if (log_redact_parameter(part, &name))
            return true;
    }
    return false;
}

static void log_redact_append(struct str *room, size_t cap, struct str text)
{
    size_t n = MIN(text.len, cap - room->len);

    if (n > 0)
        memcpy((char *)(uintptr_t)room->ptr + room->len, text.ptr, n);
    room->len += n;
}

struct str log_redact_target(struct str target, char *room, size_t cap)
{
    ssize_t mark = str_find_char(target, '?', 0);
    struct str result = {room, 0};
    struct str query, part, name;
    bool is_first = true;

    if (mark < 0)
        return UNLIKELY(log_redact_has_token(target)) ? log_redacted : target;
    query = str_slice(target, (size_t)mark + 1, target.len);
    if (LIKELY(!log_redact_is_needed(query)))
        return target;
    log_redact_append(&result, cap, str_slice(target, 0, (size_t)mark + 1));
    while (str_split(&query, '&', &part)) {
        if (!is_first)
            log_redact_append(&result, cap, STR("&"));
        is_first = false;
        if (log_redact_parameter(part, &name)) {
            log_redact_append(&result, cap, name);
            part = log_redacted;
        }
        log_redact_append(&result, cap, part);
    }
    return result;
}
