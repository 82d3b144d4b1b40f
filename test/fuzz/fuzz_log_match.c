/* Fuzz target of access-log matches. Bytes up to the first NUL are an expression, the rest whatever
 * a client wrote. Beyond not crashing: a refusal has a place inside the expression, and what was
 * accepted answers the same again and again, and the opposite of its negation unless both fail. */
#include "base/assert.h"
#include "gateway/account/log_match.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct str find_header(const void *context, struct str name)
{
    return str_starts_with(name, STR("x-none")) ? STR_NULL : *(const struct str *)context;
}

static struct access_record record_of(const struct str *value)
{
    static const struct access_cost costs[] = {{{"llm_total_token", 15}, 50}};

    return (struct access_record){
        .method = *value,
        .path = *value,
        .query = *value,
        .status = 503,
        .flags = *value,
        .duration_us = UINT64_MAX,
        .bytes_sent = UINT64_MAX,
        .upstream_host = *value,
        .remote = *value,
        .remote_ip = *value,
        .authority = *value,
        .tokens_in = LOG_TOKENS_UNKNOWN,
        .tenant = *value,
        .costs = costs,
        .n_costs = N_ELEMENTS(costs),
        .context = value,
        .request_header = find_header,
        .response_header = find_header,
        .response_trailer = find_header,
    };
}

static void play_match(struct arena *a, struct str text, const struct cel_expr *match,
                       const struct access_record *r)
{
    const struct cel_expr *opposite;
    struct cel_error error;
    bool holds = log_match_any(&match, 1, r, a);

    ASSERT(log_match_any(&match, 1, r, a) == holds);
    if (log_match_parse(a, arena_printf(a, "!(%.*s\n)", STR_ARG(text)), &opposite, &error) == 0)
        ASSERT(!(holds && log_match_any(&opposite, 1, r, a)));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str all = str_make(bytes, size);
    ssize_t nul = str_find_char(all, '\0', 0);
    struct str text = str_slice(all, 0, nul < 0 ? size : (size_t)nul);
    struct str value = nul < 0 ? STR_NULL : str_slice(all, (size_t)nul + 1, size);
    struct access_record r = record_of(&value);
    const struct cel_expr *match = NULL;
    struct cel_error error;
    struct arena a;
    int code;

    arena_init(&a, 65536);
    code = log_match_parse(&a, text, &match, &error);
    ASSERT(code == 0 || (code == CEL_INVALID && error.offset <= text.len && error.text.len > 0));
    if (code == 0)
        play_match(&a, text, match, &r);
    arena_deinit(&a);
    return 0;
}
