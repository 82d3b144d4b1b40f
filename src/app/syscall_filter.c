/* Three lists. What is on none fails with ENOSYS: libraries fall back then, as they do on an older
 * kernel, and a newer one of them does not break the gateway. No memory becomes executable any
 * more: nothing is loaded or generated after the start. */
#include "app/syscall_filter.h"

#include <errno.h>
#include <linux/prctl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

/* Whatever the arguments are. */
static const int filter_allowed[] = {
    /* bytes */
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(writev),
    SCMP_SYS(pwrite64), SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(dup),
    SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(fcntl), SCMP_SYS(pipe2),
    /* sockets that are there */
    SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(connect), SCMP_SYS(getsockname),
    SCMP_SYS(getpeername), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(sendto),
    SCMP_SYS(recvfrom), SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SCMP_SYS(sendmmsg),
    SCMP_SYS(recvmmsg), SCMP_SYS(shutdown),
    /* events */
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6),
    SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(signalfd4),
    SCMP_SYS(inotify_init1), SCMP_SYS(inotify_add_watch), SCMP_SYS(inotify_rm_watch),
    /* files, as far as Landlock and the user let */
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(fstat),
    SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(fstatfs), SCMP_SYS(statfs), SCMP_SYS(access),
    SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64), SCMP_SYS(getcwd), SCMP_SYS(fadvise64),
    /* memory */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
    /* threads and their clocks */
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(get_robust_list), SCMP_SYS(rseq),
    SCMP_SYS(set_tid_address), SCMP_SYS(membarrier), SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(setpriority), SCMP_SYS(getpriority),
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(times),
    /* signals and the end */
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigtimedwait), SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall), SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    /* questions about ourselves */
    SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid),
    SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getrusage), SCMP_SYS(getrlimit), SCMP_SYS(capget),
    SCMP_SYS(sysinfo), SCMP_SYS(uname), SCMP_SYS(getrandom)};

/* Only where this process binds its ports by itself. */
static const int filter_listening[] = {SCMP_SYS(bind), SCMP_SYS(listen)};

/* Only where it keeps the configurations that served (app/history). */
static const int filter_keeping[] = {SCMP_SYS(flock),    SCMP_SYS(fsync),     SCMP_SYS(rename),
                                     SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(unlink),
                                     SCMP_SYS(unlinkat)};

/* Nothing in this program or its libraries comes here. */
static const int filter_deadly[] = {SCMP_SYS(execve),
                                    SCMP_SYS(execveat),
                                    SCMP_SYS(fork),
                                    SCMP_SYS(vfork),
                                    SCMP_SYS(ptrace),
                                    SCMP_SYS(process_vm_readv),
                                    SCMP_SYS(process_vm_writev),
                                    SCMP_SYS(mount),
                                    SCMP_SYS(umount2),
                                    SCMP_SYS(pivot_root),
                                    SCMP_SYS(chroot),
                                    SCMP_SYS(setns),
                                    SCMP_SYS(unshare),
                                    SCMP_SYS(bpf),
                                    SCMP_SYS(perf_event_open),
                                    SCMP_SYS(userfaultfd),
                                    SCMP_SYS(io_uring_setup),
                                    SCMP_SYS(keyctl),
                                    SCMP_SYS(add_key),
                                    SCMP_SYS(request_key),
                                    SCMP_SYS(init_module),
                                    SCMP_SYS(finit_module),
                                    SCMP_SYS(delete_module),
                                    SCMP_SYS(kexec_load),
                                    SCMP_SYS(setuid),
                                    SCMP_SYS(setgid),
                                    SCMP_SYS(setreuid),
                                    SCMP_SYS(setresuid),
                                    SCMP_SYS(setgroups),
                                    SCMP_SYS(capset)};

/* A call with one argument that must be so: (value & mask) == wanted. */
struct filter_rule {
    int number;
    unsigned argument;
    uint64_t mask;
    uint64_t wanted;
};

static const struct filter_rule filter_rules[] = {
    /* Towards backends and name servers, which may be on this machine too: no local sockets
     * (AF_UNIX), but 127.0.0.1 as any address. */
    {SCMP_SYS(socket), 0, UINT32_MAX, AF_INET},
    {SCMP_SYS(socket), 0, UINT32_MAX, AF_INET6},
    {SCMP_SYS(mmap), 2, PROT_EXEC, 0},
    {SCMP_SYS(mprotect), 2, PROT_EXEC, 0},
    {SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD},
    {SCMP_SYS(prctl), 0, UINT32_MAX, PR_SET_NAME},
    {SCMP_SYS(prctl), 0, UINT32_MAX, PR_GET_NAME},
    {SCMP_SYS(prctl), 0, UINT32_MAX, PR_SET_VMA},
    {SCMP_SYS(prlimit64), 0, UINT32_MAX, 0},
    {SCMP_SYS(ioctl), 1, UINT32_MAX, TCGETS},
    {SCMP_SYS(ioctl), 1, UINT32_MAX, FIONREAD},
    {SCMP_SYS(ioctl), 1, UINT32_MAX, FIONBIO},
};

static int filter_add_all(scmp_filter_ctx f, uint32_t action, const int *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int r = seccomp_rule_add_array(f, action, numbers[i], 0, NULL);

        if (r < 0)
            return error_origin(r);
    }
    return 0;
}

static int filter_add_rule(scmp_filter_ctx f, const struct filter_rule *rule)
{
    struct scmp_arg_cmp compare = {.arg = rule->argument,
                                   .op = SCMP_CMP_MASKED_EQ,
                                   .datum_a = rule->mask,
                                   .datum_b = rule->wanted};
    int r = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, rule->number, 1, &compare);

    return r < 0 ? error_origin(r) : 0;
}

static int filter_fill(scmp_filter_ctx f, bool may_listen, bool keeps_files)
{
    /* abort() and the harness of a sanitizer signal their own process, and no other. */
    const struct filter_rule own = {SCMP_SYS(tgkill), 0, UINT32_MAX, (uint32_t)getpid()};
    int r = filter_add_all(f, SCMP_ACT_ALLOW, filter_allowed, N_ELEMENTS(filter_allowed));

    if (r == 0 && may_listen)
        r = filter_add_all(f, SCMP_ACT_ALLOW, filter_listening, N_ELEMENTS(filter_listening));
    if (r == 0 && keeps_files)
        r = filter_add_all(f, SCMP_ACT_ALLOW, filter_keeping, N_ELEMENTS(filter_keeping));
    if (r == 0)
        r = filter_add_all(f, SCMP_ACT_KILL_PROCESS, filter_deadly, N_ELEMENTS(filter_deadly));
    for (size_t i = 0; r == 0 && i < N_ELEMENTS(filter_rules); i++)
        r = filter_add_rule(f, &filter_rules[i]);
    return r == 0 ? filter_add_rule(f, &own) : r;
}

int syscall_filter_enter(bool may_listen, bool keeps_files)
{
    scmp_filter_ctx f;
    int r;

    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0 && errno == EINVAL)
        return SYSCALL_FILTER_ABSENT;
    f = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!f)
        return error_origin(-ENOMEM);
    /* Older kernels take a filter for a sign of code that nobody trusts and slow the whole process
     * down against speculation; ours holds nobody else's code. */
    r = seccomp_attr_set(f, SCMP_FLTATR_CTL_SSB, 1);
    if (r == 0)
        r = filter_fill(f, may_listen, keeps_files);
    if (r == 0)
        r = seccomp_load(f);
    seccomp_release(f);
    return r < 0 ? error_origin(r) : 0;
}
