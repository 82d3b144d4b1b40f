/* Small language helpers: attributes, array length, checked results, scope-bound cleanup. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE         __attribute__((warn_unused_result))
#define PRINTF(fmt, arg) __attribute__((format(printf, fmt, arg)))
#define NORETURN         __attribute__((noreturn))
#define COLD             __attribute__((cold))
#define LIKELY(x)        __builtin_expect(!!(x), 1)
#define UNLIKELY(x)      __builtin_expect(!!(x), 0)
#define FALLTHROUGH      __attribute__((fallthrough))
#define UNUSED           __attribute__((unused))

/* Asks for the cache lines of an object that is needed soon: with thousands of routes each of them
 * is a miss, and misses asked for together cost as much as one. */
#define PREFETCH(object)                                                                           \
    do {                                                                                           \
        for (size_t line_ = 0; line_ < sizeof *(object); line_ += 64)                              \
            __builtin_prefetch((const char *)(object) + line_);                                    \
    } while (0)

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* The object of `type` whose field `member` stands at `ptr`. */
#define CONTAINER_OF(ptr, type, member)                                                            \
    ((type *)(void *)((char *)(1 ? (ptr) : &((type *)0)->member) - offsetof(type, member)))

#define MIN(a, b)                                                                                  \
    ({                                                                                             \
        __typeof__(a) min_a_ = (a);                                                                \
        __typeof__(b) min_b_ = (b);                                                                \
        min_a_ < min_b_ ? min_a_ : min_b_;                                                         \
    })
#define MAX(a, b)                                                                                  \
    ({                                                                                             \
        __typeof__(a) max_a_ = (a);                                                                \
        __typeof__(b) max_b_ = (b);                                                                \
        max_a_ > max_b_ ? max_a_ : max_b_;                                                         \
    })

/* A function that is rare, or large among small ones: inlined it would cost its callers its frame.
 */
#define NOINLINE __attribute__((noinline))

/* Straight-line code only, never across a wait: AUTO(free_fn) runs at the end of the scope; the
 * function takes a pointer to the variable. TAKE(p) hands the value on and disarms the cleanup. */
#define AUTO(cleanup_fn) __attribute__((cleanup(cleanup_fn)))
#define TAKE(ptr)                                                                                  \
    ({                                                                                             \
        __typeof__(ptr) take_ = (ptr);                                                             \
        (ptr) = NULL;                                                                              \
        take_;                                                                                     \
    })

/* Is this a build with a sanitizer, whose runtime has memory and threads of its own? */
#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    HAS_FEATURE(address_sanitizer) || HAS_FEATURE(thread_sanitizer) ||                             \
    HAS_FEATURE(memory_sanitizer)
enum { IS_SANITIZED = true };
#else
enum { IS_SANITIZED = false };
#endif
