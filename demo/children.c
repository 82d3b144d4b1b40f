/* Child processes of the launcher.
 *
 * Each child gets a process group of its own, so that a Ctrl-C on the terminal reaches the launcher
 * alone, which then stops them in order: the gateway first, while its backends still answer. Should
 * the launcher die, the kernel ends them (PR_SET_PDEATHSIG). Thread: the launcher's only one. */
#include "demo/children.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STOP_MS 8000

__attribute__((noreturn)) static void run_child(const char *const *argv, const char *output,
                                                pid_t parent)
{
    sigset_t none;
    int fd;

    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    (void)setpgid(0, 0);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (output) {
        fd = open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
            _exit(1);
    }
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)dup2(fd, 0);
    (void)execv(argv[0], (char *const *)argv);
    (void)fprintf(stderr, "tollgate-demo: cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

int children_start(struct children *c, const char *name, const char *const *argv,
                   const char *output)
{
    pid_t parent = getpid();
    pid_t pid;

    (void)fflush(NULL);
    pid = c->n < CHILDREN_MAX ? fork() : -1;
    if (pid == 0)
        run_child(argv, output, parent);
    if (pid < 0) {
        (void)fprintf(stderr, "tollgate-demo: cannot start %s: %s\n", name, strerror(errno));
        return -1;
    }
    c->rows[c->n++] = (struct child){name, pid, 0};
    return 0;
}

const struct child *children_find_ended(struct children *c)
{
    for (int i = 0; i < c->n; i++) {
        struct child *child = &c->rows[i];

        if (child->pid > 0 && waitpid(child->pid, &child->status, WNOHANG) == child->pid) {
            child->pid = 0;
            return child;
        }
    }
    return NULL;
}

void child_complain(const struct child *child)
{
    if (WIFSIGNALED(child->status))
        (void)fprintf(stderr, "tollgate-demo: %s was ended by signal %d (%s)\n", child->name,
                      WTERMSIG(child->status), strsignal(WTERMSIG(child->status)));
    else
        (void)fprintf(stderr, "tollgate-demo: %s ended with status %d\n", child->name,
                      WEXITSTATUS(child->status));
}

/* Waits by SIGCHLD, which the launcher keeps blocked, so nothing is missed between two looks. */
static bool wait_end(struct child *child, long long limit_ms)
{
    struct timespec start, now;
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        struct timespec left = {0, 200 * 1000 * 1000};

        if (waitpid(child->pid, &child->status, WNOHANG) == child->pid)
            return true;
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        if ((now.tv_sec - start.tv_sec) * 1000LL + (now.tv_nsec - start.tv_nsec) / 1000000 >
            limit_ms)
            return false;
        (void)sigtimedwait(&set, NULL, &left);
    }
}

bool children_stop(struct children *c)
{
    bool is_clean = true;

    for (int i = c->n - 1; i >= 0; i--) {
        struct child *child = &c->rows[i];

        if (child->pid <= 0)
            continue;
        (void)kill(child->pid, SIGTERM);
        if (!wait_end(child, STOP_MS)) {
            (void)fprintf(stderr, "tollgate-demo: %s does not stop; killing it\n", child->name);
            (void)kill(child->pid, SIGKILL);
            (void)waitpid(child->pid, &child->status, 0);
        }
        if (!WIFEXITED(child->status) || WEXITSTATUS(child->status) != 0) {
            child_complain(child);
            is_clean = false;
        }
        child->pid = 0;
    }
    c->n = 0;
    return is_clean;
}
