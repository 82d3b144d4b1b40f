/* The parent. It may be root, so it does little: it reads no file, no network and no configuration,
 * only signals and the fixed messages of its child (socket_holder.c judges them). The two files are
 * under 500 lines (tools/check-sizes).
 *
 *   STARTING --ready--> SERVING            a first child that ends while STARTING ends the parent:
 *      ^                   | dies          it said why
 *      |  back-off         v
 *      +---------------- WAITING
 *   any --SIGTERM, SIGINT, taken over--> ENDING --the child ends--> exit with its code
 *
 * The child is a new image of the same file (exec), not a copy of the parent: each has addresses
 * and canaries of its own, which a crash does not help to guess. It has left the user, the groups
 * and all capabilities of the parent before it runs a line of the gateway, and the kernel ends it
 * with the parent. It leads a process group, so that a Ctrl-C reaches it once, through us.
 *
 * Thread: the only one. Signals are blocked and read from a signalfd. */
#include "app/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/socket_holder.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

enum supervisor_state {
    SUPERVISOR_STARTING,
    SUPERVISOR_SERVING,
    SUPERVISOR_WAITING,
    SUPERVISOR_ENDING,
};

enum { SUPERVISOR_EXIT_FAILED = 1 };

/* What the parent needs besides being root: the rest of root's capabilities goes. */
#define SUPERVISOR_CAPABILITIES                                                                    \
    (1ULL << CAP_NET_BIND_SERVICE | 1ULL << CAP_SETUID | 1ULL << CAP_SETGID | 1ULL << CAP_KILL)

struct supervisor {
    char **argv;
    const struct identity *who;
    enum supervisor_state state;
    bool has_served; /* some child did: what fails from now on is tried again */
    int exit_code;   /* -1: goes on */
    pid_t child;     /* 0: none */
    int channel;     /* to it; -1: none */
    int signal_fd;
    int program_fd;
    uint64_t started_ms;
    uint64_t restart_ms; /* WAITING */
    uint64_t backoff_ms;
    struct socket_holder holder;
};

static uint64_t supervisor_now_ms(void)
{
    return clock_mono_ms(clock_read());
}

/* ---- the child ---- */

NORETURN static void supervisor_give_up(const char *what)
{
    log_error("cannot start the gateway: %s: %s", what, strerror(errno));
    _exit(SUPERVISOR_EXIT_FAILED);
}

/* Between fork and exec. The order matters: a change of user forgets PR_SET_PDEATHSIG, and a parent
 * that died before it is set would not be noticed. */
NORETURN static void supervisor_become_child(const struct supervisor *s, int fd, pid_t parent)
{
    char number[16];
    sigset_t set;

    setpgid(0, 0);
    if (identity_assume(s->who, false) < 0)
        supervisor_give_up("becoming another user");
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
        supervisor_give_up("PR_SET_PDEATHSIG");
    if (getppid() != parent)
        _exit(SUPERVISOR_EXIT_FAILED);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    if (fcntl(fd, F_SETFD, 0) < 0)
        supervisor_give_up("the channel");
    snprintf(number, sizeof number, "%d", fd);
    setenv(BROKER_VARIABLE, number, 1);
    fexecve(s->program_fd, s->argv, environ);
    supervisor_give_up("running the program as its user");
}

static int supervisor_start_child(struct supervisor *s)
{
    pid_t parent = getpid();
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_origin(-errno);
    s->child = fork();
    if (s->child == 0)
        supervisor_become_child(s, pair[1], parent);
    close(pair[1]);
    if (s->child < 0) {
        int r = error_origin(-errno);

        s->child = 0;
        close(pair[0]);
        return r;
    }
    s->channel = pair[0];
    s->started_ms = supervisor_now_ms();
    s->state = SUPERVISOR_STARTING;
    return 0;
}

static void supervisor_serve_child(struct supervisor *s)
{
    int r = s->channel < 0 ? BROKER_EMPTY : socket_holder_serve(&s->holder, s->channel);

    s->has_served |= s->holder.is_ready;
    if (s->holder.is_ready && s->state == SUPERVISOR_STARTING)
        s->state = SUPERVISOR_SERVING;
    if (s->holder.has_left) /* started again it would take over from the other */
        s->state = SUPERVISOR_ENDING;
    if (r != 0 && r != BROKER_EMPTY) {
        /* It has closed its end, or does not keep to the form: no further word. */
        socket_close(s->channel);
        s->channel = -1;
    }
}

/* ---- its end ---- */

static void supervisor_wait_to_restart(struct supervisor *s)
{
    uint64_t now_ms = supervisor_now_ms();

    if (s->state == SUPERVISOR_SERVING && now_ms - s->started_ms >= SUPERVISOR_STEADY_MS)
        s->backoff_ms = SUPERVISOR_BACKOFF_MIN_MS;
    log_warn("the gateway is started again in %llu ms", (unsigned long long)s->backoff_ms);
    s->restart_ms = now_ms + s->backoff_ms;
    s->backoff_ms = MIN(2 * s->backoff_ms, (uint64_t)SUPERVISOR_BACKOFF_MAX_MS);
    s->state = SUPERVISOR_WAITING;
}

static void supervisor_on_child_end(struct supervisor *s, int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : SUPERVISOR_EXIT_FAILED;
    bool is_wanted = s->state == SUPERVISOR_ENDING || (WIFEXITED(status) && code == 0);

    supervisor_serve_child(s); /* its last words */
    socket_close(s->channel);
    s->channel = -1;
    s->child = 0;
    socket_holder_take_back(&s->holder);
    if (WIFSIGNALED(status))
        log_error("the gateway's process was ended by signal %d (%s)", WTERMSIG(status),
                  strsignal(WTERMSIG(status)));
    else if (!is_wanted && s->has_served)
        log_error("the gateway's process ended with exit code %d", code);
    if (is_wanted || !s->has_served)
        s->exit_code = code;
    else
        supervisor_wait_to_restart(s);
}

static void supervisor_restart(struct supervisor *s)
{
    if (supervisor_start_child(s) == 0)
        return;
    log_error("cannot start the gateway: %s", error_trace());
    /* Better a port that refuses for a moment than no gateway: descriptors may be what is wanting,
     * ours or the system's. */
    socket_holder_close_all(&s->holder);
    supervisor_wait_to_restart(s);
}

/* ---- events ---- */

static void supervisor_end(struct supervisor *s, int number)
{
    s->state = SUPERVISOR_ENDING;
    if (s->child > 0)
        kill(s->child, number); /* it drains; a second one ends it at once */
    else
        s->exit_code = 0;
}

static void supervisor_on_signal(struct supervisor *s, int number)
{
    int status;

    switch (number) {
    case SIGCHLD:
        if (s->child > 0 && waitpid(s->child, &status, WNOHANG) == s->child)
            supervisor_on_child_end(s, status);
        break;
    case SIGTERM:
    case SIGINT:
        supervisor_end(s, number);
        break;
    default:
        if (s->child > 0)
            kill(s->child, number);
        break;
    }
}

static void supervisor_read_signals(struct supervisor *s)
{
    struct signalfd_siginfo info;

    while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        supervisor_on_signal(s, (int)info.ssi_signo);
}

static int supervisor_timeout(const struct supervisor *s)
{
    uint64_t now_ms = supervisor_now_ms();

    if (s->state != SUPERVISOR_WAITING)
        return -1;
    return s->restart_ms > now_ms ? (int)(s->restart_ms - now_ms) : 0;
}

static void supervisor_turn(struct supervisor *s)
{
    struct pollfd fds[] = {{.fd = s->signal_fd, .events = POLLIN},
                           {.fd = s->channel, .events = POLLIN}};

    if (poll(fds, N_ELEMENTS(fds), supervisor_timeout(s)) < 0 && errno != EINTR) {
        log_error("the gateway's parent cannot wait: %s", strerror(errno));
        s->exit_code = SUPERVISOR_EXIT_FAILED;
        return;
    }
    supervisor_serve_child(s);
    supervisor_read_signals(s);
    if (s->state == SUPERVISOR_WAITING && supervisor_timeout(s) == 0)
        supervisor_restart(s);
}

/* ---- start and end ---- */

static int supervisor_open(struct supervisor *s)
{
    static const int numbers[] = {SIGCHLD, SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < N_ELEMENTS(numbers); i++)
        sigaddset(&set, numbers[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return error_origin(-errno);
    s->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (s->signal_fd < 0)
        return error_origin(-errno);
    s->program_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    if (s->program_fd < 0)
        return error_origin(-errno);
    s->holder.may_bind_privileged = socket_may_bind_privileged();
    return s->who->is_other ? identity_keep_capabilities(SUPERVISOR_CAPABILITIES) : 0;
}

int supervisor_run(char **argv, const struct identity *who)
{
    static struct supervisor s; /* large, zeroed, and there is one */

    s.argv = argv;
    s.who = who;
    s.exit_code = -1;
    s.channel = s.signal_fd = s.program_fd = -1;
    s.backoff_ms = SUPERVISOR_BACKOFF_MIN_MS;
    if (supervisor_open(&s) < 0 || supervisor_start_child(&s) < 0) {
        log_error("cannot start: %s", error_trace());
        s.exit_code = SUPERVISOR_EXIT_FAILED;
    }
    while (s.exit_code < 0)
        supervisor_turn(&s);
    socket_holder_close_all(&s.holder);
    socket_close(s.channel);
    socket_close(s.signal_fd);
    socket_close(s.program_fd);
    return s.exit_code;
}
