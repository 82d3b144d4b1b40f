/* Fuzz target of the meter. The first byte chooses the endpoint ('A' and on, as enum ai_endpoint)
 * or a content coding ('0' to '4'); the second, of an answer, its kind (j, e, o); the third draws
 * the splits. Beyond not crashing: an answer gives the same facts and usage whole, split, and
 * without the fast way of shapes; counts are within their bound; the filter's output does not
 * depend on the splits, and is the input where "usage" is not in it; what is decompressed does not
 * depend on the splits, and is bounded. */
#include "base/assert.h"
#include "base/limits.h"
#include "base/random.h"
#include "llm/decoder.h"
#include "llm/estimate.h"
#include "llm/usage_filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum how {
    WHOLE,
    SPLIT,
    SPLIT_LONG_WAY,
    BYTES,
};

static size_t next_part(struct random *r, enum how how, size_t left)
{
    size_t n = how == WHOLE ? left : how == BYTES ? 1 : 1 + random_below(r, 90);

    return MIN(n, left);
}

static void scan(struct answer_scan *s, struct str head, struct str text, enum how how)
{
    struct random r;

    random_init_seed(&r, (uint8_t)head.ptr[2]);
    answer_scan_init(s, (enum ai_endpoint)((uint8_t)(head.ptr[0] - 'A') % AI_ENDPOINT_COUNT_),
                     head.ptr[1] == 'j'   ? ANSWER_JSON
                     : head.ptr[1] == 'e' ? ANSWER_EVENTS
                                          : ANSWER_OTHER);
    s->uses_shapes = how != SPLIT_LONG_WAY;
    while (text.len > 0) {
        size_t n = next_part(&r, how, text.len);

        answer_scan_feed(s, str_slice(text, 0, n));
        text = str_slice(text, n, text.len);
    }
    answer_scan_end(s);
}

static void check_count(bool has, int64_t count)
{
    ASSERT(count >= 0 && count <= 3 * (int64_t)LIMIT_USAGE_TOKENS);
    ASSERT(has || count == 0);
}

static void check_usage(const struct answer_scan *s, size_t size)
{
    const struct answer_facts *f = &s->facts;
    struct usage u;

    answer_scan_usage(s, &u);
    check_count(true, u.input); /* cached tokens alone are input too */
    check_count(u.has_cached_input, u.cached_input);
    check_count(u.has_cache_creation_input, u.cache_creation_input);
    check_count(u.has_output, u.output);
    check_count(u.has_reasoning, u.reasoning);
    check_count(u.has_total, u.total);
    ASSERT(f->text_bytes <= size && answer_scan_open_text_bytes(s) <= f->text_bytes);
    ASSERT(f->text_bytes == 0 || f->has_content);
    ASSERT(!f->is_error_first || f->is_error);
    estimate_tokens_fill(&u, size, answer_scan_open_text_bytes(s));
    ASSERT(u.has_input && u.has_output && u.has_total && u.total >= 0);
}

static void check_same(const struct answer_scan *a, const struct answer_scan *b)
{
    ASSERT(memcmp(&a->facts, &b->facts, sizeof a->facts) == 0);
    ASSERT(memcmp(a->counts, b->counts, sizeof a->counts) == 0);
    ASSERT(a->has == b->has && a->is_invalid == b->is_invalid);
    ASSERT(a->open_text_bytes == b->open_text_bytes);
}

static void play_answer(struct str head, struct str text)
{
    static struct answer_scan first;
    static struct answer_scan other;

    scan(&first, head, text, WHOLE);
    check_usage(&first, text.len);
    for (enum how how = SPLIT; how <= BYTES; how++) {
        scan(&other, head, text, how);
        check_same(&first, &other);
    }
}

static void filter(struct str text, enum how how, uint8_t seed, struct buf *out)
{
    static struct answer_scan scan;
    struct usage_filter f;
    struct random r;

    random_init_seed(&r, seed);
    buf_clear(out);
    answer_scan_init(&scan, AI_ENDPOINT_CHAT_COMPLETIONS, ANSWER_EVENTS);
    usage_filter_init(&f, &scan);
    while (text.len > 0) {
        size_t n = next_part(&r, how, text.len);

        usage_filter_feed(&f, str_slice(text, 0, n), out);
        text = str_slice(text, n, text.len);
    }
    usage_filter_end(&f, out);
    usage_filter_deinit(&f);
}

static void play_filter(struct str head, struct str text)
{
    struct buf whole = {0}, split = {0};

    filter(text, WHOLE, 0, &whole);
    for (enum how how = SPLIT; how <= BYTES; how++) {
        filter(text, how, (uint8_t)head.ptr[2], &split);
        ASSERT(str_eq(buf_str(&whole), buf_str(&split)));
    }
    ASSERT(whole.len <= text.len);
    if (str_find(text, STR("\"usage\"")) < 0)
        ASSERT(str_eq(buf_str(&whole), text));
    buf_deinit(&whole);
    buf_deinit(&split);
}

static void append(void *context, struct str span)
{
    buf_append_str(context, span);
}

static int decode(enum decoder_coding coding, struct str text, size_t step, struct buf *out)
{
    struct decoder *d = decoder_new(coding);
    int r = 0;

    for (size_t at = 0; at < text.len && !r; at += step)
        r = decoder_feed(d, str_slice(text, at, at + step), append, out);
    decoder_free(d);
    return r;
}

static void play_decoder(enum decoder_coding coding, struct str text)
{
    struct buf whole = {0}, split = {0};
    int a = decode(coding, text, text.len + 1, &whole);
    int b = decode(coding, text, 7, &split);

    ASSERT(a >= 0 && a <= DECODER_TOO_LARGE && b >= 0 && b <= DECODER_TOO_LARGE);
    ASSERT(whole.len <= LIMIT_DECODED_SLACK_BYTES + text.len * LIMIT_DECODED_RATIO);
    if (a == 0 && b == 0)
        ASSERT(str_eq(buf_str(&whole), buf_str(&split)));
    buf_deinit(&whole);
    buf_deinit(&split);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str all = str_make(bytes, size);
    struct str text = str_slice(all, 3, size);

    if (size < 3)
        return 0;
    if (bytes[0] >= '0' && bytes[0] <= '4') {
        play_decoder((enum decoder_coding)(bytes[0] - '0'), text);
        return 0;
    }
    play_answer(all, text);
    if (bytes[1] == 'e')
        play_filter(all, text);
    return 0;
}
