/* Tests of the base level: slices, arenas, maps, lists, hashing, time, JSON escaping. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/hex.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/vec.h"
#include "test/harness/test.h"

TEST(str_numbers_are_digits_only)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } rows[] = {{"0", true, 0},
                {"18446744073709551615", true, UINT64_MAX},
                {"18446744073709551616", false, 0},
                {"", false, 0},
                {"+1", false, 0},
                {"1 ", false, 0}};

    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        uint64_t value = 0;
        bool ok = str_to_u64(str_of(rows[i].text), &value);

        CHECK_MSG(ok == rows[i].ok && value == rows[i].value, "row %zu", i);
    }
}

TEST(str_split_keeps_empty_parts)
{
    struct str rest = STR("a,,b,");
    struct str part;
    const char *expected[] = {"a", "", "b", ""};
    size_t n = 0;

    while (str_split(&rest, ',', &part)) {
        CHECK(n < 4);
        CHECK_STR(part, expected[n++]);
    }
    CHECK_INT(n, 4);
}

/* Each byte at each place of a word of eight, and behind it. */
TEST(str_lowers_the_letters_alone)
{
    for (int c = 0; c < 256; c++) {
        char text[11], lower[11];

        for (size_t at = 0; at < sizeof text; at++) {
            char expected = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : (char)c;

            memset(text, 'Z', sizeof text);
            text[at] = (char)c;
            str_lower(str_make(text, sizeof text), lower);
            for (size_t i = 0; i < sizeof text; i++)
                CHECK_INT(lower[i], i == at ? expected : 'z');
        }
        str_lower(str_make(text, sizeof text), text);
        CHECK(memcmp(text, lower, sizeof text) == 0);
    }
    str_lower(STR(""), NULL);
}

TEST(str_compares_and_searches)
{
    CHECK(str_eq_nocase(STR("Content-Length"), STR("content-lengtH")));
    CHECK(!str_eq_nocase(STR("a"), STR("ab")));
    CHECK(str_starts_with(STR("/foo/bar"), STR("/foo")));
    CHECK(str_ends_with_nocase(STR("a.EXAMPLE"), STR(".example")));
    CHECK_INT(str_find(STR("abcabd"), STR("abd")), 3);
    CHECK_STR(str_trim(STR(" \t x y\t")), "x y");
    CHECK(str_compare(STR("a"), STR("ab")) < 0);
    CHECK(str_eq_secret(STR("same"), STR("same")) && !str_eq_secret(STR("same"), STR("sane")));
    CHECK_INT(str_distance(STR("hostname"), STR("hostnames"), 3), 1);
    CHECK_INT(str_distance(STR("kitten"), STR("sitting"), 9), 3);
}

static void count_cleanup(void *object)
{
    (*(int *)object)++;
}

TEST(arena_runs_cleanups_and_keeps_a_chunk)
{
    struct arena a;
    int n_cleaned = 0;

    arena_init(&a, 128);
    for (int round = 0; round < 3; round++) {
        char *first = arena_alloc(&a, 100);

        memset(first, 'x', 100);
        CHECK(((uintptr_t)arena_alloc(&a, 24) & 15) == 0);
        CHECK_STR(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
        CHECK_STR(arena_u64(&a, 0), "0");
        CHECK_STR(arena_u64(&a, UINT64_MAX), "18446744073709551615");
        arena_alloc(&a, 5000);
        arena_on_cleanup(&a, count_cleanup, &n_cleaned);
        arena_reset(&a);
        CHECK_INT(n_cleaned, round + 1);
    }
    CHECK_INT(a.used_bytes, 128);
    arena_deinit(&a);
    arena_deinit(&a);
}

TEST(map_survives_growth_and_removal)
{
    struct map m = {0};
    struct arena a;

    arena_init(&a, 4096);
    for (int i = 0; i < 1000; i++)
        CHECK(!map_put(&m, arena_printf(&a, "key-%d", i), &m));
    CHECK_INT(m.n_items, 1000);
    for (int i = 0; i < 1000; i += 2)
        CHECK(map_remove(&m, arena_printf(&a, "key-%d", i)) == &m);
    for (int i = 0; i < 1000; i++)
        CHECK((map_find(&m, arena_printf(&a, "key-%d", i)) != NULL) == (i % 2 == 1));
    map_deinit(&m);
    arena_deinit(&a);
}

TEST(list_knows_where_a_node_is)
{
    struct list a = {0}, b = {0};
    struct list_node nodes[3] = {0};

    for (int i = 0; i < 3; i++)
        list_append(&a, &nodes[i]);
    list_move(&b, &nodes[1]);
    CHECK(a.n_nodes == 2 && b.n_nodes == 1 && nodes[1].owner == &b);
    LIST_FOREACH (&a, node)
        list_remove(node);
    CHECK(a.n_nodes == 0 && !a.first && !a.last && !nodes[0].owner);
}

TEST(vec_grows)
{
    struct arena a;
    VEC(int) v = {0};

    arena_init(&a, 256);
    for (int i = 0; i < 100; i++)
        VEC_PUSH(&a, &v, i);
    CHECK(v.n == 100 && v.items[99] == 99);
    arena_deinit(&a);
}

TEST(siphash_matches_the_published_vector)
{
    unsigned char message[15];
    struct hash_key key = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};

    for (unsigned i = 0; i < sizeof message; i++)
        message[i] = (unsigned char)i;
    CHECK(hash_sip24(key, message, sizeof message) == 0xa129ca6149be45e5ULL);
    CHECK(hash_str_nocase(STR("X-Tenant")) == hash_str_nocase(STR("x-tenant")));
}

TEST(json_text_cannot_be_forged)
{
    struct buf b = {0};

    buf_append_json(&b, str_make("a\"\\\n\x01\xc3\xa9\xff\xed\xa0\x80", 11));
    CHECK_STR(buf_str(&b), "\"a\\\"\\\\\\n\\u0001\xc3\xa9\\ufffd\\ufffd\\ufffd\\ufffd\"");
    buf_clear(&b);
    buf_append_json(&b, STR("\xc2\x84\xc2\x85\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"));
    CHECK_STR(buf_str(&b), "\"\xc2\x84\\u0085\xe2\x80\xa7\\u2028\\u2029\xe2\x80\xaa\"");
    buf_deinit(&b);
}

TEST(json_text_is_escaped_wherever_it_stands)
{
    for (int c = 0; c < 256; c++) {
        for (size_t at = 0; at < 131; at++) {
            char text[132];
            char expected[160];
            struct buf b = {0};
            bool is_plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';

            memset(text, 'x', sizeof text);
            text[at] = (char)c;
            buf_append_json(&b, str_make(text, sizeof text));
            snprintf(expected, sizeof expected,
                     is_plain                ? "\"%.*s%c%.*s\""
                     : c == '"' || c == '\\' ? "\"%.*s\\%c%.*s\""
                     : c == '\n'             ? "\"%.*s\\n%.0d%.*s\""
                     : c >= 0x80             ? "\"%.*s\\ufffd%.0d%.*s\""
                                             : "\"%.*s\\u%04x%.*s\"",
                     (int)at, text, c == '\n' || c >= 0x80 ? 0 : c, (int)(131 - at), text + at + 1);
            CHECK_STR(buf_str(&b), expected);
            buf_deinit(&b);
        }
    }
}

TEST(hexadecimal_has_all_its_digits)
{
    char text[2 * HEX_U32_BYTES + 1] = {0};

    hex_put_u64(text, 0x0123456789abcdef);
    CHECK_STR(str_of(text), "0123456789abcdef");
    hex_put_u64(text, 0xf00000000000000aULL);
    CHECK_STR(str_of(text), "f00000000000000a");
    for (uint32_t i = 0; i < 256; i++) {
        char want[2 * HEX_U32_BYTES + 1];
        uint64_t value = i * 0x0101010101010101ULL;

        snprintf(want, sizeof want, "%016" PRIx64, value);
        hex_put_u64(text, value);
        CHECK(memcmp(text, want, sizeof want) == 0);
    }
}

/* Texts have exactly their memory, so that a sanitizer sees who reads beyond. */
TEST(json_text_is_whole_at_every_length)
{
    enum { LENGTHS = 300 };
    static const char odd[] = {'"', '\\', '\n', '\x01', '\x7f', '\x80'};
    static const char *const escaped[] = {"\\\"", "\\\\", "\\n", "\\u0001", "\\u007f", "\\ufffd"};
    char expected[LENGTHS + 16];
    struct buf b = {0};

    for (size_t len = 0; len < LENGTHS; len++) {
        char *text = mem_alloc(len);

        for (size_t i = 0; i < len; i++)
            text[i] = (char)('a' + i % 26);
        snprintf(expected, sizeof expected, "\"%.*s\"", (int)len, text);
        buf_clear(&b);
        buf_append_json(&b, str_make(text, len));
        CHECK_STR(buf_str(&b), expected);
        for (size_t at = 0; at < len; at++) {
            char plain = text[at];
            size_t which = (len + at) % N_ELEMENTS(odd);

            text[at] = odd[which];
            snprintf(expected, sizeof expected, "\"%.*s%s%.*s\"", (int)at, text, escaped[which],
                     (int)(len - at - 1), text + at + 1);
            buf_clear(&b);
            buf_append_json(&b, str_make(text, len));
            CHECK_STR(buf_str(&b), expected);
            text[at] = plain;
        }
        mem_free(text);
    }
    buf_deinit(&b);
}

TEST(time_has_its_written_forms)
{
    char iso[25], http[30];
    int64_t unix_s;

    clock_format_iso(1767323045678000, iso);
    CHECK_STR(str_of(iso), "2026-01-02T03:04:05.678Z");
    clock_format_http(784111777, http);
    CHECK_STR(str_of(http), "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK(clock_parse_rfc3339("2026-01-02T03:04:05.678Z", 24, &unix_s) && unix_s == 1767323045);
    CHECK(clock_parse_rfc3339("2026-01-02T04:04:05+01:00", 25, &unix_s) && unix_s == 1767323045);
    CHECK(!clock_parse_rfc3339("2026-01-02 03:04:05", 19, &unix_s));
}

TEST(error_fold_makes_a_leaked_condition_fatal)
{
    CHECK(error_fold(0) == 0 && error_fold(-5) == -5 && error_fold(3) < 0);
    CHECK(strstr(error_trace(), "unhandled condition 3") != NULL);
}

TEST(random_stays_below_its_bound)
{
    struct random r;

    random_init_seed(&r, 42);
    for (int i = 0; i < 1000; i++)
        CHECK(random_below(&r, 7) < 7);
}
