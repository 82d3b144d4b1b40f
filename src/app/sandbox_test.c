/* What the sandbox leaves and what it takes away. Each case runs in a child of its own, which tells
 * by its exit code; a child that the filter ends dies of SIGSYS. */
#include "app/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/syscall_filter.h"
#include "test/harness/test.h"

/* ---- a small world ---- */

enum { PATH_BYTES = 256, NOT_AT_ALL = 77 /* the kernel has it not */ };

struct world {
    char folder[64];
    char root[PATH_BYTES];    /* a folder of the configuration */
    char single[PATH_BYTES];  /* a root that is a file, in a folder of its own */
    char linked[PATH_BYTES];  /* a root that is reached through a link to a folder */
    char logs[PATH_BYTES];    /* a log folder */
    char foreign[PATH_BYTES]; /* a file beside all of them */
};

static const char *at(const struct world *w, const char *name)
{
    static char path[PATH_BYTES];

    snprintf(path, sizeof path, "%s/%s", w->folder, name);
    return path;
}

static bool put(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool is_ok = fd >= 0 && write(fd, "x", 1) == 1;

    if (fd >= 0)
        close(fd);
    return is_ok;
}

static bool is_readable(const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_ok = fd >= 0 && read(fd, &byte, 1) == 1;

    if (fd >= 0)
        close(fd);
    return is_ok;
}

/* Denied by Landlock, not for want of the file. */
static bool is_denied(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0644);

    if (fd >= 0)
        close(fd);
    return fd < 0 && errno == EACCES;
}

static void make_world(struct world *w)
{
    snprintf(w->folder, sizeof w->folder, "/tmp/tollgate-sandbox-XXXXXX");
    CHECK(mkdtemp(w->folder) != NULL);
    CHECK(mkdir(at(w, "root"), 0755) == 0 && mkdir(at(w, "logs"), 0755) == 0);
    CHECK(mkdir(at(w, "files"), 0755) == 0 && mkdir(at(w, "links"), 0755) == 0);
    CHECK(mkdir(at(w, "links/v1"), 0755) == 0 && mkdir(at(w, "links/v2"), 0755) == 0);
    CHECK(mkdir(at(w, "links/v1/conf"), 0755) == 0 && mkdir(at(w, "links/v2/conf"), 0755) == 0);
    CHECK(symlink("v1", at(w, "links/now")) == 0);
    CHECK(put(at(w, "root/a")) && put(at(w, "files/one")) && put(at(w, "foreign")));
    CHECK(put(at(w, "links/v1/conf/a")) && put(at(w, "links/v2/conf/a")));
    snprintf(w->root, sizeof w->root, "%s", at(w, "root"));
    snprintf(w->single, sizeof w->single, "%s", at(w, "files/one"));
    snprintf(w->linked, sizeof w->linked, "%s", at(w, "links/now/conf"));
    snprintf(w->logs, sizeof w->logs, "%s", at(w, "logs"));
    snprintf(w->foreign, sizeof w->foreign, "%s", at(w, "foreign"));
}

static void remove_world(const struct world *w)
{
    static const char *const names[] = {"root/a",        "root/b",
                                        "files/one",     "files/two",
                                        "foreign",       "logs/log",
                                        "links/now",     "links/v1/conf/a",
                                        "links/v1/conf", "links/v2/conf/a",
                                        "links/v2/conf", "root",
                                        "files",         "logs",
                                        "links/v1",      "links/v2",
                                        "links",         ""};

    for (size_t i = 0; i < N_ELEMENTS(names); i++)
        remove(at(w, names[i]));
}

/* One log goes to a pipe, as /dev/stdout does often. */
static void enter(const struct world *w, bool may_listen)
{
    char pipe_path[64];
    const char *const roots[] = {w->root, w->single, w->linked};
    const char *const logs[] = {w->logs, pipe_path};
    int ends[2];
    struct sandbox s = {.roots = roots,
                        .n_roots = N_ELEMENTS(roots),
                        .log_folders = logs,
                        .n_log_folders = N_ELEMENTS(logs),
                        .may_listen = may_listen};

    if (pipe2(ends, O_CLOEXEC) != 0)
        _exit(1);
    snprintf(pipe_path, sizeof pipe_path, "/proc/self/fd/%d", ends[1]);
    if (sandbox_enter(&s) < 0)
        _exit(1);
    if (!s.has_files || !s.has_calls)
        _exit(NOT_AT_ALL);
}

/* The status of `fn` in a process of its own, in the sandbox; true: it can be judged. */
static bool play(bool (*fn)(const struct world *w), bool may_listen, int *ret_status)
{
    struct world w = {0};
    pid_t pid;

    if (!sandbox_is_built_in())
        return false;
    make_world(&w);
    pid = fork();
    if (pid == 0) {
        enter(&w, may_listen);
        _exit(fn(&w) ? 0 : 2);
    }
    CHECK(pid > 0 && waitpid(pid, ret_status, 0) == pid);
    remove_world(&w);
    return !WIFEXITED(*ret_status) || WEXITSTATUS(*ret_status) != NOT_AT_ALL;
}

static void expect_ok(bool (*fn)(const struct world *w), bool may_listen)
{
    int status;

    if (play(fn, may_listen, &status))
        CHECK_MSG(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
}

/* ---- files ---- */

static bool reads_its_configuration(const struct world *w)
{
    return is_readable(at(w, "root/a")) && is_readable(w->single) &&
           is_readable(at(w, "links/now/conf/a"));
}

TEST(the_configuration_stays_readable)
{
    expect_ok(reads_its_configuration, true);
}

static bool is_denied_the_rest(const struct world *w)
{
    return is_denied("/etc/shadow", O_RDONLY) && is_denied("/etc/passwd", O_RDONLY) &&
           is_denied(w->foreign, O_RDONLY) && is_denied(w->folder, O_RDONLY | O_DIRECTORY) &&
           is_denied("/", O_RDONLY | O_DIRECTORY);
}

TEST(nothing_else_is_readable)
{
    CHECK(is_readable("/etc/passwd")); /* without the sandbox */
    expect_ok(is_denied_the_rest, true);
}

static bool writes_logs_only(const struct world *w)
{
    return open(at(w, "logs/log"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644) >= 0 &&
           is_denied(at(w, "logs/log"), O_RDONLY) && is_denied(at(w, "root/a"), O_WRONLY) &&
           is_denied(at(w, "root/b"), O_WRONLY | O_CREAT) && is_denied(w->foreign, O_WRONLY) &&
           is_denied("/tmp/tollgate-sandbox-new", O_WRONLY | O_CREAT);
}

TEST(only_logs_can_be_written)
{
    expect_ok(writes_logs_only, true);
}

/* The other side of the renames is a process that is not in the sandbox. */
static bool reads_what_was_replaced(const struct world *w)
{
    char byte;

    if (read(STDIN_FILENO, &byte, 1) != 1)
        return false;
    return is_readable(w->single) && is_readable(at(w, "links/now/conf/a"));
}

TEST(a_file_and_a_link_that_were_replaced_stay_readable)
{
    struct world w = {0};
    int go[2], entered[2], status;
    char path[PATH_BYTES];
    pid_t pid;

    if (!sandbox_is_built_in())
        return;
    make_world(&w);
    CHECK(pipe2(go, O_CLOEXEC) == 0 && pipe2(entered, O_CLOEXEC) == 0);
    pid = fork();
    if (pid == 0) {
        dup2(go[0], STDIN_FILENO);
        enter(&w, true);
        if (write(entered[1], "x", 1) != 1)
            _exit(3);
        _exit(reads_what_was_replaced(&w) ? 0 : 2);
    }
    close(entered[1]);
    if (read(entered[0], path, 1) == 1) { /* else it has no Landlock, and says so */
        CHECK(put(at(&w, "files/two")));
        snprintf(path, sizeof path, "%s", at(&w, "files/two"));
        CHECK(rename(path, w.single) == 0);
        CHECK(unlink(at(&w, "links/now")) == 0 && symlink("v2", at(&w, "links/now")) == 0);
        CHECK(write(go[1], "x", 1) == 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_MSG(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == NOT_AT_ALL),
              "status %d", status);
    close(entered[0]);
    close(go[0]);
    close(go[1]);
    remove_world(&w);
}

/* ---- system calls ---- */

static void *answers_itself(void *arg)
{
    return arg;
}

static bool works_on(const struct world *w UNUSED)
{
    pthread_t thread;
    void *answer = NULL;
    char *memory = malloc(1 << 22);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int v4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool is_ok = memory && fd >= 0 && v4 >= 0 &&
                 pthread_create(&thread, NULL, answers_itself, memory) == 0 &&
                 pthread_join(thread, &answer) == 0 && answer == memory && isatty(fd) == 0;

    free(memory);
    return is_ok;
}

TEST(threads_memory_and_sockets_work_in_the_sandbox)
{
    expect_ok(works_on, false);
}

static bool is_absent(long result)
{
    return result == -1 && errno == ENOSYS;
}

static bool lacks_the_rest(const struct world *w)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return is_absent(syscall(SYS_mkdirat, AT_FDCWD, w->logs, 0755)) &&
           is_absent(syscall(SYS_unlinkat, AT_FDCWD, w->foreign, 0)) &&
           is_absent(syscall(SYS_kill, getppid(), 0)) &&
           is_absent(syscall(SYS_tgkill, getppid(), getppid(), 0)) &&
           is_absent(syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0)) &&
           is_absent(syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0)) &&
           is_absent(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0)) &&
           is_absent(syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0)) && page != MAP_FAILED &&
           is_absent(syscall(SYS_mprotect, page, 4096, PROT_READ | PROT_EXEC)) &&
           is_absent(syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

TEST(system_calls_that_are_not_listed_fail)
{
    expect_ok(lacks_the_rest, true);
}

static bool binds(const struct world *w UNUSED)
{
    struct sockaddr_storage any = {.ss_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return bind(fd, (const struct sockaddr *)&any, sizeof(struct sockaddr_in)) == 0 &&
           listen(fd, 1) == 0;
}

static bool cannot_bind(const struct world *w UNUSED)
{
    struct sockaddr_storage any = {.ss_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return is_absent(bind(fd, (const struct sockaddr *)&any, sizeof(struct sockaddr_in))) &&
           is_absent(listen(fd, 1));
}

TEST(ports_are_bound_here_or_by_the_parent_not_both)
{
    expect_ok(binds, true);
    expect_ok(cannot_bind, false);
}

static bool runs_a_program(const struct world *w UNUSED)
{
    char *argv[] = {NULL};

    execve("/bin/true", argv, argv);
    return true;
}

static bool becomes_root(const struct world *w UNUSED)
{
    return syscall(SYS_setresuid, 0, 0, 0) == 0;
}

static bool looks_into_others(const struct world *w UNUSED)
{
    return syscall(SYS_ptrace, 16 /* PTRACE_ATTACH */, getppid(), 0, 0) == 0;
}

TEST(what_only_an_intruder_does_ends_the_process)
{
    bool (*const plays[])(const struct world *) = {runs_a_program, becomes_root, looks_into_others};

    for (size_t i = 0; i < N_ELEMENTS(plays); i++) {
        int status;

        if (play(plays[i], true, &status))
            CHECK_MSG(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "play %zu: status %d", i,
                      status);
    }
}
