/* The plain twin, and the choice among all three by what the processor can do.
 *
 * The table and the choice are written before main() and only read from then on (but by tests, in
 * one thread). What a skipped byte means is for json_scan. */
#include "llm/json/json_skip.h"

#include "llm/json/json_skip_block.h"

const struct json_skip_ops *json_skip_usable[4];
const struct json_skip_ops *json_skip = &json_skip_scalar;

static size_t skip_ascii(const unsigned char *p, size_t n)
{
    size_t i = 0;

    while (i < n && p[i] >= 0x20 && p[i] < 0x80 && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

static size_t skip_plain(const unsigned char *p, size_t n)
{
    size_t i = 0;

    for (;;) {
        i += skip_ascii(p + i, n - i);
        size_t unit = i < n && p[i] >= 0x80 ? json_character_length(p + i, n - i) : 0;

        if (unit == 0)
            return i;
        i += unit;
    }
}

static size_t skip_string(const unsigned char *p, size_t n)
{
    size_t i = 0;

    for (;;) {
        i += skip_plain(p + i, n - i);
        size_t unit = i < n && p[i] == '\\' ? json_escape_length(p + i, n - i) : 0;

        if (unit == 0)
            return i;
        i += unit;
    }
}

static size_t skip_space(const unsigned char *p, size_t n)
{
    size_t i = 0;

    while (i < n && (p[i] == ' ' || p[i] == '\n' || p[i] == '\r' || p[i] == '\t'))
        i++;
    return i;
}

const struct json_skip_ops json_skip_scalar = {"scalar", skip_string, skip_plain, skip_space};

__attribute__((constructor)) static void choose(void)
{
    unsigned n = 0;

#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi"))
        json_skip_usable[n++] = &json_skip_avx2;
    json_skip_usable[n++] = &json_skip_sse2;
#endif
    json_skip_usable[n] = &json_skip_scalar;
    json_skip = json_skip_usable[0];
}
