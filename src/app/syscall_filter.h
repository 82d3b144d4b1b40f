/* Which system calls this process and its threads can still make (seccomp, through libseccomp). */
#pragma once

#include "base/macro.h"

enum syscall_filter_result {
    SYSCALL_FILTER_ABSENT = 1, /* the kernel has none */
};

/* From here on. `may_listen`: sockets may be bound; without, only a parent can. `keeps_files`: they
 * may be renamed and removed, as far as Landlock and the user let. What no gateway needs fails with
 * ENOSYS, as on a kernel that has it not; what only an intruder would do ends the process. 0,
 * negative, or SYSCALL_FILTER_ABSENT. */
MUST_USE int syscall_filter_enter(bool may_listen, bool keeps_files);
