/* See memory.h. Reads /proc/self/mem window by window through buffers that are no part of the heap:
 * what is looked for must not be overwritten by the look. */
#include "test/harness/memory.h"

#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <unistd.h>

#include "base/macro.h"
#include "test/harness/test.h"

enum { SECRET_TAIL = 24 };

bool test_memory_begin(void)
{
    return !IS_SANITIZED && mallopt(M_MMAP_THRESHOLD, 1 << 30) == 1 &&
           mallopt(M_TRIM_THRESHOLD, 1 << 30) == 1;
}

static char secret_byte(size_t i)
{
    return (char)('A' + ((uint32_t)i * 2654435761U >> 16) % 26); /* no period */
}

void test_secret_write(char *to, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = secret_byte(i);
}

static bool secret_ends_at(const char *bytes, size_t n)
{
    for (size_t i = 0; i < SECRET_TAIL; i++) {
        if (bytes[i] != secret_byte(n - SECRET_TAIL + i))
            return false;
    }
    return true;
}

static size_t count_in_range(int memory, uintptr_t from, uintptr_t to, size_t secret_len)
{
    static char window[65536];
    size_t n = 0;

    for (uintptr_t at = from; at < to; at += sizeof window - SECRET_TAIL) {
        ssize_t got = pread(memory, window, MIN(sizeof window, (size_t)(to - at)), (off_t)at);

        for (ssize_t i = 0; i + SECRET_TAIL <= got; i++)
            n += secret_ends_at(window + i, secret_len);
    }
    explicit_bzero(window, sizeof window);
    return n;
}

size_t test_secret_count(size_t secret_len)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    static char room[4096];
    char line[512], kind;
    size_t n = 0;

    CHECK(secret_len >= SECRET_TAIL);
    CHECK(maps && memory >= 0 && setvbuf(maps, room, _IOFBF, sizeof room) == 0);
    while (fgets(line, sizeof line, maps)) {
        unsigned long long from, to;
        bool is_allocated = strstr(line, "[heap]") || !strpbrk(line, "/["); /* no file, no stack */

        if (is_allocated && sscanf(line, "%llx-%llx rw%c", &from, &to, &kind) == 3)
            n += count_in_range(memory, (uintptr_t)from, (uintptr_t)to, secret_len);
    }
    fclose(maps);
    close(memory);
    return n;
}
