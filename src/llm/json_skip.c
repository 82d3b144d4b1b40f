/* Skipping of strings. */
#include "llm/json_skip.h"

size_t json_skip_string(const unsigned char *p, size_t n)
{
    return json_skip_plain(p, n);
}

size_t json_skip_plain(const unsigned char *p, size_t n)
{
    size_t i = 0;

    while (i < n && p[i] >= 0x20 && p[i] < 0x80 && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}
