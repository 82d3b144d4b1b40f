/* Runs the registered tests: one fork each, killed after TEST_TIMEOUT_S, descriptors compared
 * before and after. Prints TAP; exits 1 when anything failed. Single-threaded. */
#include "test/harness/test.h"

#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEST_TIMEOUT_S = 60 };

static struct test_case *tests_first;
static struct test_case **tests_end = &tests_first;
static unsigned fault_countdown;

void test_register(struct test_case *test)
{
    *tests_end = test;
    tests_end = &test->next;
}

void test_fail(const char *file, int line, const char *format, ...)
{
    va_list args;

    printf("# %s:%d: ", file, line);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
    _exit(1);
}

void test_fault_after(unsigned n_calls)
{
    fault_countdown = n_calls;
}

bool test_fault(void)
{
    return fault_countdown > 0 && --fault_countdown == 0;
}

static int test_count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    if (!dir)
        return -1;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void test_run_here(const struct test_case *test)
{
    int n_before = test_count_fds();

    test->fn();
    int n_after = test_count_fds();

    if (n_after != n_before)
        test_fail(test->file, 0, "%d file descriptors before, %d after", n_before, n_after);
}

static bool test_run_forked(const struct test_case *test)
{
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        alarm(TEST_TIMEOUT_S);
        test_run_here(test);
        fflush(stdout);
        /* exit, not _exit: the sanitizers' leak check runs at exit. */
        exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false;
    if (WIFSIGNALED(status))
        printf("# %s: ended by signal %d%s\n", test->name, WTERMSIG(status),
               WTERMSIG(status) == SIGALRM ? " (timeout)" : "");
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool test_is_wanted(const struct test_case *test, int argc, char **argv)
{
    bool has_names = false;

    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-')
            continue;
        has_names = true;
        if (strcmp(argv[i], test->name) == 0)
            return true;
    }
    return !has_names;
}

int main(int argc, char **argv)
{
    bool may_fork = !(argc > 1 && strcmp(argv[1], "--no-fork") == 0);
    int n_run = 0;
    int n_failed = 0;

    for (const struct test_case *test = tests_first; test; test = test->next) {
        bool is_ok = true;

        if (!test_is_wanted(test, argc, argv))
            continue;
        if (may_fork)
            is_ok = test_run_forked(test);
        else
            test_run_here(test);
        n_run++;
        n_failed += !is_ok;
        printf("%s %d - %s\n", is_ok ? "ok" : "not ok", n_run, test->name);
    }
    printf("1..%d\n", n_run);
    return n_failed > 0 || n_run == 0;
}
