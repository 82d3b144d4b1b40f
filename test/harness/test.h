/* Unit-test harness: tests register themselves, each runs in a process of its own with a timeout,
 * file descriptors are counted before and after, results come out as TAP.
 *
 *   TEST(bucket_refuses_when_empty)
 *   {
 *       CHECK(bucket_take(&b, 1) == BUCKET_EMPTY);
 *   }
 *
 * A test program links the harness, which brings main(). `PROGRAM NAME...` runs the named tests
 * only,
 * `--no-fork` runs them in this process (for a debugger). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct test_case {
    const char *name;
    const char *file;
    void (*fn)(void);
    struct test_case *next;
};

void test_register(struct test_case *test);
/* Reports and ends the test. */
__attribute__((noreturn, format(printf, 3, 4))) void test_fail(const char *file, int line,
                                                               const char *format, ...);

#define TEST(name_)                                                                                \
    static void test_fn_##name_(void);                                                             \
    static struct test_case test_case_##name_ = {#name_, __FILE__, test_fn_##name_, NULL};         \
    __attribute__((constructor)) static void test_register_##name_(void)                           \
    {                                                                                              \
        test_register(&test_case_##name_);                                                         \
    }                                                                                              \
    static void test_fn_##name_(void)

#define CHECK(expr) ((expr) ? (void)0 : test_fail(__FILE__, __LINE__, "CHECK(%s)", #expr))
/* With a message that says which row of a table failed. */
#define CHECK_MSG(expr, ...) ((expr) ? (void)0 : test_fail(__FILE__, __LINE__, __VA_ARGS__))
#define CHECK_INT(actual, expected)                                                                \
    do {                                                                                           \
        long long test_a_ = (long long)(actual), test_e_ = (long long)(expected);                  \
        if (test_a_ != test_e_)                                                                    \
            test_fail(__FILE__, __LINE__, "%s: %lld, expected %lld", #actual, test_a_, test_e_);   \
    } while (0)
/* `actual` is a struct str, `expected` a C string. */
#define CHECK_STR(actual, expected)                                                                \
    do {                                                                                           \
        __typeof__(actual) test_s_ = (actual);                                                     \
        const char *test_t_ = (expected);                                                          \
        if (test_s_.len != strlen(test_t_) ||                                                      \
            (test_s_.len > 0 && memcmp(test_s_.ptr, test_t_, test_s_.len) != 0))                   \
            test_fail(__FILE__, __LINE__, "%s: \"%.*s\", expected \"%s\"", #actual,                \
                      (int)test_s_.len, test_s_.ptr ? test_s_.ptr : "", test_t_);                  \
    } while (0)

/* Fault countdown: code under test calls test_fault() through a seam of its own; it answers true
 * once, at the n-th call after test_fault_after(n). */
void test_fault_after(unsigned n_calls);
bool test_fault(void);
