/* The twins of json_skip against each other: none skips what is not fine, each skips all that is
 * (up to what it may leave to its caller), wherever the special bytes stand in the vectors. */
#include "llm/json/json_skip.h"

#include "base/mem.h"
#include "test/harness/test.h"

#define ROOM 200

static unsigned char text[ROOM];

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* The caller's loop, as json_scan has it: a unit that the skipper left is taken by plain C. */
static size_t skip_all(const struct json_skip_ops *ops, bool passes_escapes, const unsigned char *p,
                       size_t n)
{
    size_t i = 0;

    for (;;) {
        size_t step = passes_escapes ? ops->string(p + i, n - i) : ops->plain(p + i, n - i);

        CHECK(step <= n - i);
        if (step == 0) {
            size_t unit = n - i < 6 ? n - i : 6;

            /* One unit at most: shorter and shorter until it is a whole one, or none. */
            while (unit > 0 && step == 0) {
                step = passes_escapes ? json_skip_scalar.string(p + i, unit)
                                      : json_skip_scalar.plain(p + i, unit);
                unit--;
            }
        }
        if (step == 0)
            return i;
        i += step;
    }
}

static void compare(const unsigned char *p, size_t n)
{
    size_t want = json_skip_scalar.string(p, n);
    size_t plain = json_skip_scalar.plain(p, n);
    size_t space = json_skip_scalar.space(p, n);

    for (unsigned i = 0; json_skip_usable[i]; i++) {
        const struct json_skip_ops *ops = json_skip_usable[i];
        unsigned char *copy = mem_alloc(n > 0 ? n : 1); /* a sanitizer sees reads beyond */

        memcpy(copy, p, n);
        CHECK_MSG(ops->string(copy, n) <= want, "%s skips too much", ops->name);
        CHECK_MSG(skip_all(ops, true, copy, n) == want, "%s, not %zu", ops->name, want);
        CHECK_MSG(skip_all(ops, false, copy, n) == plain, "%s plain, not %zu", ops->name, plain);
        CHECK_MSG(ops->space(copy, n) == space, "%s space", ops->name);
        mem_free(copy);
    }
}

TEST(a_special_byte_is_seen_at_every_place)
{
    for (unsigned c = 0; c < 256; c++) {
        for (size_t at = 0; at < 70; at++) {
            memset(text, 'x', sizeof text);
            text[at] = (unsigned char)c;
            compare(text, 150);
            compare(text, at + 1);
            memset(text, ' ', sizeof text);
            text[at] = (unsigned char)c;
            compare(text, 100);
        }
    }
}

TEST(units_are_skipped_whole_at_every_place)
{
    static const char *const units[] = {
        "\\n",
        "\\\\",
        "\\\"",
        "\\u00e9",
        "\\ud800",
        "\\u12G4",
        "\\x",
        "\\\\\\\"",
        "\\\\\\\\\"",
        "\xc3\xa9",
        "\xe2\x82\xac",
        "\xf0\x9f\x98\x80",
        "\xed\xa0\x80",
        "\xe0\x80\x80",
        "\xf4\x90\x80\x80",
        "\xc3",
        "\xe2\x82",
        "\xf0\x9f\x98",
        "\x80",
        "\xc3\\n",
        "\xe2\x82\"",
        "\xc0\xaf",
        "\xff",
        "\xf8\x88\x80\x80",
        "\xe2\x82\xac\x80",
    };

    for (size_t i = 0; i < N_ELEMENTS(units); i++) {
        size_t len = strlen(units[i]);

        for (size_t at = 0; at < 135; at++) {
            memset(text, 'x', sizeof text);
            memcpy(text + at, units[i], len);
            compare(text, 190);
            for (size_t n = at; n <= at + len; n++)
                compare(text, n);
        }
    }
}

/* Every second byte behind every lead, with tails and others behind it. */
TEST(every_character_is_judged_alike)
{
    static const unsigned char others[] = {0x7f, 0x80, 0xbf, 0xc0, 'x'};
    size_t n_others = N_ELEMENTS(others);

    memset(text, 'x', sizeof text);
    for (unsigned i = 0; i < 128 * 256 * n_others * n_others; i++) {
        unsigned char *p = text + 20 + i % 41; /* at every place, the border of a block included */

        p[0] = (unsigned char)(0x80 + i / n_others / n_others / 256);
        p[1] = (unsigned char)(i / n_others / n_others % 256);
        p[2] = others[i / n_others % n_others];
        p[3] = others[i % n_others];
        size_t want = json_skip_scalar.string(text, 100);

        for (unsigned k = 0; json_skip_usable[k]; k++)
            CHECK(skip_all(json_skip_usable[k], true, text, 100) == want);
        memset(p, 'x', 4);
    }
}

TEST(random_text_is_skipped_alike)
{
    static const char *const pieces[] = {
        "x",
        "xxxxxxxxxxxxxxxxxxxx",
        "\\n",
        "\\\"",
        "\\u0041",
        "\xc3\xa9",
        "\xe4\xbd\xa0",
        "\xf0\x9f\x98\x80",
        "\\\\",
        "\xe1\x80\x80",
        "\\",
        "\"",
        "\x80",
        "\xf1",
    };
    uint64_t state = 88172645463325252u;

    for (unsigned round = 0; round < 20000; round++) {
        size_t n = 0;
        /* The last four pieces are faults: rare, so that most texts are long. */
        while (n < ROOM - 24) {
            uint64_t r = next_random(&state);
            const char *piece = pieces[r % 64 == 0 ? (r >> 8) % N_ELEMENTS(pieces) : (r >> 8) % 10];

            memcpy(text + n, piece, strlen(piece));
            n += strlen(piece);
        }
        compare(text, n);
    }
}

TEST(the_best_twin_is_chosen)
{
    CHECK(json_skip == json_skip_usable[0]);
#ifdef __x86_64__
    CHECK(json_skip != &json_skip_scalar);
#endif
}
