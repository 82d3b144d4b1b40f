/* Heap memory that does not fail: running out ends the process (sizes from outside are bounded
 * before they are asked for, base/limits.h). */
#pragma once

#include "base/macro.h"

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_alloc_zero(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *ptr, size_t size) __attribute__((returns_nonnull));
/* NULL is nothing. */
void mem_free(void *ptr);
/* Copies with a terminating NUL. The caller frees. */
char *mem_dup_text(const char *text, size_t len);
/* Overwrites secrets before their memory goes; never optimised away. */
void mem_wipe(void *ptr, size_t size);

/* One zeroed object of `type`. */
#define MEM_NEW(type) ((type *)mem_alloc_zero(sizeof(type)))

/* For AUTO(mem_free_ptr): frees what the pointer variable holds. */
static inline void mem_free_ptr(void *ptr_to_ptr)
{
    mem_free(*(void **)ptr_to_ptr);
}
