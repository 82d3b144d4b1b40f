/* Landlock by its three system calls; glibc has no functions for them. Rights that are newer than
 * the header are given by number; those that are newer than the kernel are left out, as its
 * documentation asks: it handles what it knows. */
#include "app/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

/* linux/landlock.h of newer kernels */
#define ACCESS_TRUNCATE  (1ULL << 14) /* from version 3 on */
#define ACCESS_IOCTL_DEV (1ULL << 15) /* from version 5 on */

enum { LANDLOCK_VERSION_REFER = 2, LANDLOCK_VERSION_TRUNCATE = 3, LANDLOCK_VERSION_IOCTL_DEV = 5 };

#define ACCESS_VERSION_1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
/* What a rule on something that is no folder may hold. */
#define ACCESS_OF_FILES (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)

static const uint64_t landlock_rights[] = {
    [LANDLOCK_READ] = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    [LANDLOCK_KEEP] = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                      LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
                      LANDLOCK_ACCESS_FS_REMOVE_FILE,
    [LANDLOCK_WRITE] = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG,
};

int landlock_open(struct landlock *l)
{
    struct landlock_ruleset_attr attr = {0};
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    *l = (struct landlock){.ruleset = -1};
    if (version < 0)
        return errno == ENOSYS || errno == EOPNOTSUPP ? LANDLOCK_ABSENT : error_origin(-errno);
    l->handled = ACCESS_VERSION_1;
    if (version >= LANDLOCK_VERSION_REFER)
        l->handled |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= LANDLOCK_VERSION_TRUNCATE)
        l->handled |= ACCESS_TRUNCATE;
    if (version >= LANDLOCK_VERSION_IOCTL_DEV)
        l->handled |= ACCESS_IOCTL_DEV;
    attr.handled_access_fs = l->handled;
    l->ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    return l->ruleset < 0 ? error_origin(-errno) : 0;
}

int landlock_allow(struct landlock *l, const char *path, enum landlock_access access)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = landlock_rights[access]};
    struct stat st;
    int r = 0;

    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return errno == ENOENT || errno == EACCES || errno == ENOTDIR || errno == ELOOP
                   ? 0
                   : error_origin(-errno);
    if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rule.allowed_access &= ACCESS_OF_FILES;
    /* EBADFD: a pipe or the like, which has no place in the file system and no need of a rule. */
    if (syscall(SYS_landlock_add_rule, l->ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0 &&
        errno != EBADFD)
        r = error_origin(-errno);
    close(rule.parent_fd);
    return r;
}

int landlock_enter(struct landlock *l)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(SYS_landlock_restrict_self, l->ruleset, 0) != 0)
        return error_origin(-errno);
    return 0;
}

void landlock_close(struct landlock *l)
{
    if (l->ruleset >= 0)
        close(l->ruleset);
    l->ruleset = -1;
}
