/* What counts as a credential: by the name of the header or query parameter, or because it looks
 * like a token. A format that asks for one gets the word "redacted" instead. When in doubt a value
 * is redacted: a log line is worth less than a key. */
#include "telemetry/log_redact.h"

#include "base/macro.h"

enum { LOG_REDACT_NAME_MAX = 64, LOG_REDACT_TOKEN_MIN = 20 };

static const struct str log_redacted = {"redacted", 8};

/* Names of parameters that are too short for a rule by their ending ("monkey"). */
static bool log_redact_is_secret_word(struct str name)
{
    static const char *const words[] = {"key", "sig", "auth", "jwt", "pwd", "passwd", "credential"};

    for (size_t i = 0; i < N_ELEMENTS(words); i++) {
        if (str_eq_nocase(name, str_of(words[i])))
            return true;
    }
    return false;
}

bool log_redact_is_secret_name(struct str name)
{
    static const char *const endings[] = {
        "authorization", "cookie",   "api-key",   "api_key",  "apikey",           "token",
        "secret",        "password", "signature", "api-keys", "subscription-key", "credentials",
    };

    for (size_t i = 0; i < N_ELEMENTS(endings); i++) {
        if (str_ends_with_nocase(name, str_of(endings[i])))
            return true;
    }
    return false;
}

bool log_redact_is_secret_parameter(struct str name)
{
    return log_redact_is_secret_name(name) || log_redact_is_secret_word(name);
}

bool log_redact_is_secret_variable(struct str name)
{
    return log_redact_is_secret_parameter(name) || str_ends_with_nocase(name, STR("_key"));
}

/* "eyJ" is how base64url of `{"` begins; a token has two dots behind it. */
bool log_redact_has_token(struct str text)
{
    const char *end, *at, *dot;

    if (text.len < LOG_REDACT_TOKEN_MIN) /* perhaps of no memory at all */
        return false;
    end = text.ptr + text.len;
    at = text.ptr + 2;
    /* By its rarest letter: most texts have none at all. */
    while (at && (at = memchr(at, 'J', (size_t)(end - at))) != NULL) {
        if (at[-2] == 'e' && at[-1] == 'y')
            break;
        at++;
    }
    /* The dots that the first one lacks a later one lacks too. */
    dot = at ? memchr(at, '.', (size_t)(end - at)) : NULL;
    return dot && memchr(dot + 1, '.', (size_t)(end - dot - 1));
}

static int log_redact_digit(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;

    return at ? (int)((at - digits) % 16) : -1;
}

/* A parameter's name as the backend reads it: a percent sign does not hide it. Longer names are
 * judged by their end. */
static struct str log_redact_unescape(struct str name, char room[LOG_REDACT_NAME_MAX])
{
    size_t n = 0;

    if (LIKELY(str_find_char(name, '%', 0) < 0))
        return name;
    for (size_t i = 0; i < name.len; i++) {
        int high = name.ptr[i] == '%' && i + 2 < name.len ? log_redact_digit(name.ptr[i + 1]) : -1;
        int low = high >= 0 ? log_redact_digit(name.ptr[i + 2]) : -1;

        if (n == LOG_REDACT_NAME_MAX) {
            n /= 2;
            memmove(room, room + n, n);
        }
        room[n++] = low >= 0 ? (char)(high * 16 + low) : name.ptr[i];
        i += low >= 0 ? 2 : 0;
    }
    return str_make(room, n);
}

/* One part of a query: does it hold a credential? Its name and equals sign, if any, may be shown.
 */
static bool log_redact_parameter(struct str part, struct str *ret_name)
{
    ssize_t equals = str_find_char(part, '=', 0);
    struct str name = str_slice(part, 0, equals < 0 ? 0 : (size_t)equals);
    char room[LOG_REDACT_NAME_MAX];

    if (log_redact_has_token(name) || (equals < 0 && log_redact_has_token(part))) {
        *ret_name = STR("");
        return true;
    }
    if (equals < 0)
        return false;
    *ret_name = str_slice(part, 0, name.len + 1);
    return log_redact_is_secret_parameter(log_redact_unescape(name, room)) ||
           log_redact_has_token(part);
}

static bool log_redact_is_needed(struct str path, struct str query)
{
    struct str part, name;

    if (UNLIKELY(log_redact_has_token(path)))
        return true;
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
    size_t n_path = mark < 0 ? target.len : (size_t)mark;
    struct str path = str_slice(target, 0, n_path);
    struct str query = mark < 0 ? STR_NULL : str_slice(target, n_path + 1, target.len);
    struct str result = {room, 0};
    struct str part, name;

    if (LIKELY(!log_redact_is_needed(path, query)))
        return target;
    log_redact_append(&result, cap, log_redact_has_token(path) ? log_redacted : path);
    for (const char *mark_text = "?"; str_split(&query, '&', &part); mark_text = "&") {
        log_redact_append(&result, cap, str_of(mark_text));
        if (log_redact_parameter(part, &name)) {
            log_redact_append(&result, cap, name);
            part = log_redacted;
        }
        log_redact_append(&result, cap, part);
    }
    return result;
}
