/* Whether a value is still somewhere in memory that was allocated, freed or not: for tests that
 * secrets are wiped. Nobody holds the value that is looked for; a rule makes it, byte by byte. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* First of all, before anything secret is allocated: what is freed stays in the heap from now on,
 * where it can be found, instead of going back to the system. False: memory cannot be searched here
 * (a sanitizer's allocator), and there is nothing to test. */
bool test_memory_begin(void);
/* A value of `n` capital letters that stands nowhere else. On the caller's stack it is not found.
 */
void test_secret_write(char *to, size_t n);
/* How often the end of that value stands in the heap, in anonymous mappings, and on the stacks of
 * other threads. Its beginning may be gone: the allocator writes there itself. */
size_t test_secret_count(size_t n);
