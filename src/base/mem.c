/* The one place that asks the system allocator. Allocation failure is not an error path here: the
 * gateway bounds every size that an outsider chooses, so failure means the machine is out of
 * memory. */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

void *mem_alloc(size_t size)
{
    void *ptr = malloc(size ? size : 1);

    ASSERT(ptr != NULL);
    return ptr;
}

void *mem_alloc_zero(size_t size)
{
    void *ptr = calloc(1, size ? size : 1);

    ASSERT(ptr != NULL);
    return ptr;
}

void *mem_realloc(void *ptr, size_t size)
{
    void *moved = realloc(ptr, size ? size : 1);

    ASSERT(moved != NULL);
    return moved;
}

void mem_free(void *ptr)
{
    free(ptr);
}

char *mem_dup_text(const char *text, size_t len)
{
    char *copy = mem_alloc(len + 1);

    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void mem_wipe(void *ptr, size_t size)
{
    if (ptr && size > 0)
        explicit_bzero(ptr, size);
}
