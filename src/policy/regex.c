/* PCRE2 behind four calls.
 *
 * No JIT: its code pages and stacks would cost more memory than an idle gateway may hold, and the
 * interpreter obeys the match limit exactly. Most patterns of real manifests are a literal with an
 * optional ".*" at the end ("Bearer .*"); those are recognised at compile time and matched by
 * comparing bytes.
 *
 * Patterns work on bytes, not on code points: subjects come from outside and need not be UTF-8, and
 * a subject that fails a UTF check would otherwise be neither a match nor a miss.
 *
 * Owner: the arena of the snapshot. Threads: compiled objects are immutable; the match block is
 * thread-local, made at a thread's first match and freed by a thread-specific destructor. */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "policy/regex.h"

#include <pcre2.h>
#include <pthread.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"

/* What follows the literal of a pattern that needs no engine. */
enum regex_tail {
    REGEX_TAIL_ENGINE, /* not such a pattern */
    REGEX_TAIL_NONE,
    REGEX_TAIL_ANY,  /* ".*" */
    REGEX_TAIL_SOME, /* ".+" */
};

struct regex {
    struct str pattern;
    struct str literal;
    enum regex_tail tail;
    uint32_t n_groups;
    pcre2_code *code;
};

/* Heap that one match may take for its backtracking, in KiB. */
#define REGEX_HEAP_KIB 4096

struct regex_scratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
};

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void scratch_free(void *ptr)
{
    struct regex_scratch *s = ptr;

    pcre2_match_data_free(s->data);
    pcre2_match_context_free(s->context);
    mem_free(s);
}

static void scratch_create_key(void)
{
    ASSERT(pthread_key_create(&scratch_key, scratch_free) == 0);
}

static struct regex_scratch *scratch_get(void)
{
    pthread_once(&scratch_once, scratch_create_key);
    struct regex_scratch *s = pthread_getspecific(scratch_key);

    if (s)
        return s;
    s = MEM_NEW(struct regex_scratch);
    s->data = pcre2_match_data_create(N_ELEMENTS(((struct regex_groups *)0)->items), NULL);
    s->context = pcre2_match_context_create(NULL);
    ASSERT(s->data && s->context);
    pcre2_set_match_limit(s->context, LIMIT_REGEX_MATCH_STEPS);
    pcre2_set_heap_limit(s->context, REGEX_HEAP_KIB);
    ASSERT(pthread_setspecific(scratch_key, s) == 0);
    return s;
}

static bool is_literal_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr(" _-/,:;=@%&\"'!~<>", c));
}

/* Recognises LITERAL, LITERAL.* and LITERAL.+ */
static enum regex_tail find_tail(struct str pattern, struct str *ret_literal)
{
    enum regex_tail tail = REGEX_TAIL_NONE;

    if (str_ends_with(pattern, STR(".*")))
        tail = REGEX_TAIL_ANY;
    else if (str_ends_with(pattern, STR(".+")))
        tail = REGEX_TAIL_SOME;
    *ret_literal = str_slice(pattern, 0, pattern.len - (tail == REGEX_TAIL_NONE ? 0 : 2));
    for (size_t i = 0; i < ret_literal->len; i++) {
        if (!is_literal_char(ret_literal->ptr[i]))
            return REGEX_TAIL_ENGINE;
    }
    return tail;
}

static void regex_release(void *ptr)
{
    pcre2_code_free(((struct regex *)ptr)->code);
}

static int regex_refuse(struct regex_error *ret_error, size_t offset, const char *text)
{
    if (ret_error) {
        ret_error->offset = offset;
        snprintf(ret_error->text, sizeof ret_error->text, "%s", text);
    }
    return REGEX_BAD_PATTERN;
}

static pcre2_code *compile_code(struct str pattern, struct regex_error *ret_error)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    uint32_t options =
        PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP;
    int code;
    PCRE2_SIZE offset;
    PCRE2_UCHAR text[sizeof ret_error->text];

    ASSERT(context);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, options, &code, &offset, context);
    pcre2_compile_context_free(context);
    if (compiled)
        return compiled;
    pcre2_get_error_message(code, text, sizeof text);
    (void)regex_refuse(ret_error, offset, (const char *)text);
    return NULL;
}

int regex_compile(struct arena *arena, struct str pattern, const struct regex **ret_regex,
                  struct regex_error *ret_error)
{
    if (pattern.len > LIMIT_REGEX_BYTES)
        return regex_refuse(ret_error, LIMIT_REGEX_BYTES, "the pattern is too long");
    if (!pattern.ptr)
        pattern = STR("");
    pcre2_code *code = compile_code(pattern, ret_error);

    if (!code)
        return REGEX_BAD_PATTERN;
    struct regex *r = ARENA_NEW(arena, struct regex);

    r->pattern = arena_str(arena, pattern);
    r->tail = find_tail(r->pattern, &r->literal);
    r->code = code;
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &r->n_groups);
    arena_on_cleanup(arena, regex_release, r);
    *ret_regex = r;
    return 0;
}

static enum regex_verdict match_literal(const struct regex *r, struct str subject)
{
    if (r->tail == REGEX_TAIL_NONE)
        return str_eq(subject, r->literal) ? REGEX_HIT : REGEX_MISS;
    if (!str_starts_with(subject, r->literal))
        return REGEX_MISS;
    size_t n_rest = subject.len - r->literal.len;

    if (n_rest == 0)
        return r->tail == REGEX_TAIL_ANY ? REGEX_HIT : REGEX_MISS;
    /* "." matches everything but a line break. */
    return memchr(subject.ptr + r->literal.len, '\n', n_rest) ? REGEX_MISS : REGEX_HIT;
}

static enum regex_verdict run_engine(const struct regex *r, struct str subject, size_t from,
                                     uint32_t options)
{
    struct regex_scratch *s = scratch_get();
    const char *bytes = subject.ptr ? subject.ptr : "";
    int n =
        pcre2_match(r->code, (PCRE2_SPTR)bytes, subject.len, from, options, s->data, s->context);

    if (n >= 0)
        return REGEX_HIT;
    /* Any other error is a limit of some kind (steps, depth, heap); none may count as a miss. */
    return n == PCRE2_ERROR_NOMATCH ? REGEX_MISS : REGEX_LIMIT;
}

enum regex_verdict regex_match(const struct regex *r, struct str subject)
{
    if (r->tail != REGEX_TAIL_ENGINE)
        return match_literal(r, subject);
    return run_engine(r, subject, 0, PCRE2_ANCHORED | PCRE2_ENDANCHORED);
}

enum regex_verdict regex_search(const struct regex *r, struct str subject, size_t from,
                                struct regex_groups *ret_groups)
{
    PRE(from <= subject.len);
    enum regex_verdict verdict = run_engine(r, subject, from, 0);

    *ret_groups = (struct regex_groups){0};
    if (verdict != REGEX_HIT)
        return verdict;
    struct regex_scratch *s = scratch_get();
    PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(s->data);
    size_t n = MIN((size_t)r->n_groups + 1, N_ELEMENTS(ret_groups->items));

    for (size_t i = 0; i < n; i++) {
        /* \K in a look-around can set a start behind the end: treat it as an unset group. */
        if (bounds[2 * i] != PCRE2_UNSET && bounds[2 * i] <= bounds[2 * i + 1])
            ret_groups->items[i] = str_slice(subject, bounds[2 * i], bounds[2 * i + 1]);
    }
    return REGEX_HIT;
}

unsigned regex_n_groups(const struct regex *r)
{
    return r->n_groups;
}

struct str regex_pattern(const struct regex *r)
{
    return r->pattern;
}
