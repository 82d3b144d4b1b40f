/* See trace_state.h. One member that is none makes all of it worthless: who wrote it is not to be
 * guessed. */
#include "telemetry/trace/trace_state.h"

#include "base/limits.h"

enum {
    STATE_MEMBERS_MAX = 32,
    STATE_KEY_BYTES = 256,
    STATE_TENANT_BYTES = 241, /* of a key, before its '@' */
    STATE_SYSTEM_BYTES = 14,  /* and behind it */
    STATE_VALUE_BYTES = 256,
    STATE_LARGE_BYTES = 128, /* of a member: such are left out first */
};

struct trace_state {
    struct str members[STATE_MEMBERS_MAX];
    size_t n;
    size_t n_bytes; /* of them, with commas between */
};

static bool state_is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool state_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool state_is_name(struct str s, size_t n_max, bool may_begin_with_digit)
{
    if (s.len == 0 || s.len > n_max ||
        !(state_is_lower(s.ptr[0]) || (may_begin_with_digit && state_is_digit(s.ptr[0]))))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (!state_is_lower(c) && !state_is_digit(c) && c != '_' && c != '-' && c != '*' &&
            c != '/')
            return false;
    }
    return true;
}

static bool state_is_key(struct str key)
{
    ssize_t at = str_find_char(key, '@', 0);

    if (at < 0)
        return state_is_name(key, STATE_KEY_BYTES, false);
    return state_is_name(str_slice(key, 0, (size_t)at), STATE_TENANT_BYTES, true) &&
           state_is_name(str_slice(key, (size_t)at + 1, key.len), STATE_SYSTEM_BYTES, false);
}

/* No space at its end, which trimming has taken. */
static bool state_is_value(struct str value)
{
    if (value.len == 0 || value.len > STATE_VALUE_BYTES)
        return false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < ' ' || value.ptr[i] > '~' || value.ptr[i] == '=')
            return false;
    }
    return true;
}

static struct str state_key(struct str member)
{
    ssize_t equals = str_find_char(member, '=', 0);

    return str_slice(member, 0, equals < 0 ? member.len : (size_t)equals);
}

static bool state_add(struct trace_state *s, struct str member)
{
    struct str key = state_key(member);

    if (s->n == STATE_MEMBERS_MAX || key.len == member.len || !state_is_key(key) ||
        !state_is_value(str_slice(member, key.len + 1, member.len)))
        return false;
    for (size_t i = 0; i < s->n; i++) {
        if (str_eq(state_key(s->members[i]), key))
            return false;
    }
    s->members[s->n++] = member;
    s->n_bytes += member.len + (s->n > 1);
    return true;
}

static void state_drop(struct trace_state *s, size_t at)
{
    s->n_bytes -= s->members[at].len + (s->n > 1);
    s->n--;
    memmove(&s->members[at], &s->members[at + 1], (s->n - at) * sizeof s->members[0]);
}

/* From the end on: what stands first is of who wrote last (3.3.1.5). */
static void state_shorten(struct trace_state *s)
{
    for (size_t i = s->n; i > 0 && s->n_bytes > LIMIT_TRACE_STATE_BYTES; i--) {
        if (s->members[i - 1].len > STATE_LARGE_BYTES)
            state_drop(s, i - 1);
    }
    while (s->n_bytes > LIMIT_TRACE_STATE_BYTES)
        state_drop(s, s->n - 1);
}

static struct str state_join(const struct trace_state *s, struct arena *a)
{
    char *text = arena_bytes(a, s->n_bytes + 1);
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++) {
        if (i > 0)
            text[n++] = ',';
        memcpy(text + n, s->members[i].ptr, s->members[i].len);
        n += s->members[i].len;
    }
    return str_make(text, n);
}

struct str trace_state_sound(struct str text, struct arena *a)
{
    struct trace_state s = {0};
    struct str rest = text, part;

    while (str_split(&rest, ',', &part)) {
        struct str member = str_trim(part);

        if (member.len > 0 && !state_add(&s, member))
            return STR("");
    }
    if (s.n_bytes <= LIMIT_TRACE_STATE_BYTES && text.len <= LIMIT_TRACE_STATE_BYTES)
        return s.n > 0 ? text : STR("");
    state_shorten(&s);
    return state_join(&s, a);
}
