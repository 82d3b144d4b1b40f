/* The plain twin, and the choice among all. The table is written before main() and only read from
 * then on (but for tests). */
#include "llm/json_skip.h"

#include "llm/json_skip_block.h"

const struct json_skip_ops *json_skip_usable[4];
const struct json_skip_ops *json_skip = &json_skip_scalar;

static size_t skip_plain(const unsigned char *p, size_t n)
{
    size_t i = 0;

    while (i < n && p[i] >= 0x20 && p[i] < 0x80 && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

static size_t skip_string(const unsigned char *p, size_t n)
{
    size_t i = 0;

    for (;;) {
        size_t unit = 0;

        i += skip_plain(p + i, n - i);
        if (i == n)
            return i;
        if (p[i] >= 0x80)
            unit = json_character_length(p + i, n - i);
        else if (p[i] == '\\')
            unit = json_escape_length(p + i, n - i);
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
