/* Differences of texts: what is told brings one to the other, and reads as people expect it. */
#include "app/history/lines.h"

#include <stdio.h>

#include "base/limits.h"
#include "test/harness/test.h"

static void check(const char *before, const char *after, const char *expected)
{
    struct buf out = {0};

    CHECK_INT(lines_diff(str_of(before), str_of(after), &out), expected[0] != '\0');
    CHECK_STR(buf_str(&out), expected);
    buf_deinit(&out);
}

TEST(what_is_equal_is_not_told)
{
    check("", "", "");
    check("a\nb\n", "a\nb\n", "");
}

TEST(lines_come_go_and_change)
{
    check("a\nb\nc\n", "a\nx\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
    check("a\n", "a\nb\n", "@@ -1,1 +1,2 @@\n a\n+b\n");
    check("a\nb\n", "b\n", "@@ -1,2 +1,1 @@\n-a\n b\n");
    check("", "a\n", "@@ -0,0 +1,1 @@\n+a\n");
    check("a\n", "", "@@ -1,1 +0,0 @@\n-a\n");
    check("a\nb\na\n", "b\na\nb\n", "@@ -1,3 +1,3 @@\n-a\n b\n a\n+b\n");
}

TEST(changes_far_apart_are_hunks_of_their_own)
{
    check("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "x\n2\n3\n4\n5\n6\n7\n8\ny\n",
          "@@ -1,4 +1,4 @@\n-1\n+x\n 2\n 3\n 4\n@@ -6,4 +6,4 @@\n 6\n 7\n 8\n-9\n+y\n");
    check("1\n2\n3\n4\n5\n6\n7\n8\n", "x\n2\n3\n4\n5\n6\n7\ny\n",
          "@@ -1,8 +1,8 @@\n-1\n+x\n 2\n 3\n 4\n 5\n 6\n 7\n-8\n+y\n");
}

/* Reads the hunks as patch would. */
static void apply(struct str before, struct str hunks, struct buf *out)
{
    struct str line, from;
    size_t at = 0;

    hunks = str_slice(hunks, 0, hunks.len ? hunks.len - 1 : 0);
    before = before.len ? str_slice(before, 0, before.len - 1) : STR_NULL;
    while (hunks.len > 0 && str_split(&hunks, '\n', &line)) {
        if (line.ptr[0] == '@') {
            unsigned first, n;
            char head[64];

            snprintf(head, sizeof head, "%.*s", STR_ARG(line));
            CHECK_INT(sscanf(head, "@@ -%u,%u", &first, &n), 2);
            for (; at + (n > 0) < first && str_split(&before, '\n', &from); at++)
                buf_printf(out, "%.*s\n", STR_ARG(from));
            continue;
        }
        if (line.ptr[0] != '+') {
            CHECK(str_split(&before, '\n', &from));
            at++;
            CHECK(str_eq(str_slice(line, 1, line.len), from));
        }
        if (line.ptr[0] != '-')
            buf_printf(out, "%.*s\n", STR_ARG(str_slice(line, 1, line.len)));
    }
    while (str_split(&before, '\n', &from))
        buf_printf(out, "%.*s\n", STR_ARG(from));
}

TEST(what_is_told_brings_one_to_the_other)
{
    uint64_t seed = 7;

    for (int round = 0; round < 300; round++) {
        struct buf texts[2] = {{0}, {0}}, hunks = {0}, made = {0};

        for (int side = 0; side < 2; side++) {
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            for (unsigned i = 0, n = (unsigned)(seed >> 33) % 40; i < n; i++) {
                seed = seed * 6364136223846793005U + 1442695040888963407U;
                buf_printf(&texts[side], "%u\n", (unsigned)(seed >> 40) % 6);
            }
        }
        bool differs = lines_diff(buf_str(&texts[0]), buf_str(&texts[1]), &hunks);

        CHECK(differs == !str_eq(buf_str(&texts[0]), buf_str(&texts[1])));
        apply(buf_str(&texts[0]), buf_str(&hunks), &made);
        CHECK(str_eq(buf_str(&made), buf_str(&texts[1])));
        buf_deinit(&texts[0]);
        buf_deinit(&texts[1]);
        buf_deinit(&hunks);
        buf_deinit(&made);
    }
}

TEST(more_than_is_compared_is_replaced)
{
    struct buf a = {0}, b = {0}, out = {0};

    for (int i = 0; i < 3000; i++) {
        buf_printf(&a, "%d\n", i);
        buf_printf(&b, "%d\n", 3000 - i);
    }
    CHECK(3001ULL * 3001 > LIMIT_DIFF_CELLS);
    CHECK(lines_diff(buf_str(&a), buf_str(&b), &out));
    CHECK(str_starts_with(buf_str(&out), STR("@@ -1,3000 +1,3000 @@\n-0\n-1\n")));
    buf_deinit(&a);
    buf_deinit(&b);
    buf_deinit(&out);
}
